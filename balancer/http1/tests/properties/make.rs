//! Heads and bodies to try: mostly good, with everything that is known to confuse parsers.

use proptest::prelude::*;
use proptest::sample::select;

const METHODS: [&str; 8] = ["GET", "GET", "POST", "OPTIONS", "HEAD", "PURGE", "TRACE", "G(T"];

const TARGETS: [&str; 18] = [
    "/",
    "/shop",
    "/a;x=1?b=/c?d",
    "*",
    "http://a.example/x?y",
    "HTTPS://a.example:81",
    "/a%20b",
    "http://a.example?x",
    "//b/c",
    "/a#b",
    "/a`b?`",
    "/?a=\"b\"",
    "/{a|b}^\\",
    "http://A.example:81/",
    "http://u@a/",
    "shop",
    "/\u{e9}",
    "",
];

const NAMES: [&str; 27] = [
    "Host",
    "host",
    "Connection",
    "connection",
    "Content-Length",
    "content-length",
    "Transfer-Encoding",
    "TRANSFER-ENCODING",
    "Cookie",
    "Expect",
    "Upgrade",
    "X-Forwarded-For",
    "X-Forwarded-",
    "Forwarded",
    "Keep-Alive",
    "TE",
    "Trailer",
    "Accept",
    "Accept",
    "User-Agent",
    "X-Mine",
    "x-mine",
    "X-Other",
    "Content_Length",
    "Transfer-Encoding ",
    " Folded",
    "Na(me",
];

const VALUES: [&str; 28] = [
    "shop.example",
    "a.example:81",
    "close",
    "close, a b",
    "trailers;q=1, (x)",
    "a/b, c/",
    "A.EXAMPLE:081",
    "keep-alive",
    "upgrade",
    "x-mine",
    "X-Other, close",
    "host",
    "3",
    "3, 3",
    "+3",
    "0",
    "chunked",
    "Chunked",
    "gzip, chunked",
    "websocket",
    "h2c",
    "a=1; JSESSIONID=k.n1",
    "100-continue",
    "",
    "10.0.0.1",
    "for=x",
    "*/*",
    "Jos\u{e9}",
];

/// The lines that most requests have in common, so that most of them come through.
const LIKELY: [&str; 9] = [
    "Accept: */*",
    "Cookie: a=1",
    "X-Forwarded-For: 10.0.0.1",
    "Connection: x-mine, keep-alive",
    "X-Mine: 1",
    "Connection: close",
    "Upgrade: websocket",
    "User-Agent: x",
    "Keep-Alive: 5",
];

fn line() -> impl Strategy<Value = String> {
    let blank = select(vec![": ", ": ", ": ", ":", ":\t", " : ", ""]);
    (select(&NAMES[..]), blank, select(&VALUES[..]))
        .prop_map(|(name, blank, value)| [name, blank, value].concat())
}

/// A head of anything, often refused.
pub(crate) fn wild() -> impl Strategy<Value = Vec<u8>> {
    let version = select(vec![" HTTP/1.1", " HTTP/1.0", " HTTP/2.0", "  HTTP/1.1", ""]);
    let odd = (select(&METHODS[..]), select(&TARGETS[..]), version);
    let odd = odd.prop_map(|(method, target, version)| format!("{method} {target}{version}"));
    let likely = select(vec![
        "GET / HTTP/1.1",
        "POST /shop?x=1 HTTP/1.1",
        "GET http://a.example:81 HTTP/1.1",
        "POST / HTTP/1.0",
    ]);
    let first = prop_oneof![3 => likely.prop_map(str::to_owned), 1 => odd];
    let usual = prop_oneof![
        5 => select(&LIKELY[..]).prop_map(str::to_owned),
        1 => Just("Host: shop.example".to_owned()),
        1 => Just("Content-Length: 3".to_owned()),
        1 => Just("Transfer-Encoding: chunked".to_owned()),
        2 => line(),
    ];
    let lines = prop::collection::vec(usual, 0..6);
    let end =
        prop_oneof![40 => Just("\r\n"), 1 => Just("\n"), 1 => Just("\r"), 1 => Just("\r\r\n")];
    let ends = prop::collection::vec(end, 8);
    let host = select(vec![None, Some("Host: a.example:81".to_owned())]);
    (first, host, lines, ends).prop_map(|(first, host, lines, ends)| {
        let all: Vec<_> =
            [first].into_iter().chain(host).chain(lines).chain([String::new()]).collect();
        all.iter().zip(ends).map(|(line, end)| format!("{line}{end}")).collect::<String>().into()
    })
}

/// A head that passes, of few lines or many.
pub(crate) fn good() -> impl Strategy<Value = Vec<u8>> {
    let method = select(vec!["GET", "POST", "DELETE"]);
    let target = select(vec!["/", "/shop?x=1", "http://shop.example/x", "http://shop.example:80"]);
    let framing = select(vec![
        "",
        "",
        "Content-Length: 3\r\n",
        "transfer-encoding: chunked\r\n",
        "Transfer-Encoding: CHUNKED\r\n",
        "Content-Length:0\r\n",
    ]);
    let lines = prop_oneof![
        prop::collection::vec(select(&LIKELY[..]), 0..6),
        prop::collection::vec(select(&LIKELY[..]), 12..60),
    ];
    // Connection may name eight headers in all.
    let named = |lines: &Vec<&str>| lines.iter().filter(|line| line.contains("x-mine,")).count();
    let lines = lines.prop_filter("too many named", move |lines| named(lines) <= 8);
    (method, target, lines, framing, any::<prop::sample::Index>()).prop_map(
        |(method, target, mut lines, framing, place)| {
            lines.insert(place.index(lines.len() + 1), "Host: shop.example");
            let lines = lines.join("\r\n");
            format!("{method} {target} HTTP/1.1\r\n{framing}{lines}\r\n\r\n").into_bytes()
        },
    )
}

/// An answer's head of anything.
pub(crate) fn answer() -> impl Strategy<Value = Vec<u8>> {
    let first = select(vec![
        "HTTP/1.1 200 OK",
        "HTTP/1.1 200",
        "HTTP/1.0 404 Not here",
        "HTTP/1.1 101 Switching",
        "HTTP/1.1 204 ",
        "HTTP/1.1 304 Not Modified",
        "HTTP/1.1 103 Hints",
        "HTTP/1.1 099 Low",
        "HTTP/2 200",
        "HTTP/1.1 200 Sch\u{f6}n",
    ]);
    let line = prop_oneof![3 => select(&LIKELY[..]).prop_map(str::to_owned), 1 => line()];
    let framing = select(vec![
        "Date: now",
        "Content-Length: 3",
        "Transfer-Encoding: chunked",
        "Transfer-Encoding: Chunked",
    ]);
    let lines = prop::collection::vec(line, 0..16);
    (first, framing, lines).prop_map(|(first, framing, lines)| {
        let all = [vec![first.to_owned(), framing.to_owned()], lines].concat();
        [all.join("\r\n").as_bytes(), b"\r\n\r\n"].concat()
    })
}

/// A chunk: its data, how its size is spelt, and an extension.
fn chunk() -> impl Strategy<Value = (Vec<u8>, usize, &'static str)> {
    let extension = select(vec!["", "", "", ";a", ";a=b;c=\"d\"", ";", "; x"]);
    (prop::collection::vec(any::<u8>(), 1..40), 0_usize..4, extension)
}

/// A good body in chunks, and its data.
pub(crate) fn chunked() -> impl Strategy<Value = (Vec<u8>, Vec<u8>)> {
    let trailers = select(vec!["", "", "X-Sum: 1\r\n", "X-Sum:\r\nY: a b\r\n"]);
    (prop::collection::vec(chunk(), 0..6), trailers).prop_map(|(chunks, trailers)| {
        let (mut body, mut data) = (Vec::new(), Vec::new());
        for (bytes, zeros, extension) in chunks {
            let size = format!("{}{:X}{extension}\r\n", "0".repeat(zeros), bytes.len());
            body.extend_from_slice(size.as_bytes());
            body.extend_from_slice(&bytes);
            body.extend_from_slice(b"\r\n");
            data.extend_from_slice(&bytes);
        }
        body.extend_from_slice(format!("0\r\n{trailers}\r\n").as_bytes());
        (body, data)
    })
}

/// A body in chunks with one byte changed or taken out, or noise.
pub(crate) fn broken() -> impl Strategy<Value = Vec<u8>> {
    let noise = prop::collection::vec(select(&b"0123aF;:\r\n\t xX+-"[..]), 0..60);
    let byte = select(&b"\r\n;:0 gF\0x"[..]);
    let changed = (chunked(), any::<prop::sample::Index>(), byte, any::<bool>());
    let changed = changed.prop_map(|((mut body, _), at, byte, takes)| {
        let at = at.index(body.len());
        if takes {
            body.remove(at);
        } else {
            body[at] = byte;
        }
        body
    });
    prop_oneof![3 => changed, 1 => noise]
}
