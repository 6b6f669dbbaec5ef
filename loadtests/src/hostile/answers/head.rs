//! Heads that are none.

use super::super::answer::{HostileAnswer, Outcome};
use super::super::backend::Act;
use super::{hello, say};

/// First lines that are none, or that say what no answer can.
const BAD_LINES: &[(&str, &str)] = &[
    ("a status of four digits", "HTTP/1.1 2000 OK"),
    ("a status of two digits", "HTTP/1.1 20 OK"),
    ("a status of letters", "HTTP/1.1 abc OK"),
    ("a status with a sign", "HTTP/1.1 +20 OK"),
    ("a status of 000", "HTTP/1.1 000 OK"),
    ("a status of 099", "HTTP/1.1 099 OK"),
    ("a status of 600", "HTTP/1.1 600 OK"),
    ("a status of 999", "HTTP/1.1 999 OK"),
    ("no status", "HTTP/1.1"),
    ("two blanks before the status", "HTTP/1.1  200 OK"),
    ("a tab before the status", "HTTP/1.1\t200 OK"),
    ("the version HTTP/2.0", "HTTP/2.0 200 OK"),
    ("the version in small letters", "http/1.1 200 OK"),
    ("another protocol", "ICY 200 OK"),
    ("a request in the place of an answer", "GET / HTTP/1.1"),
    ("a control character in the reason", "HTTP/1.1 200 O\x01K"),
    ("a NUL in the reason", "HTTP/1.1 200 O\0K"),
    ("a bare CR in the reason", "HTTP/1.1 200 OK\rSet-Cookie: a=b"),
];

/// Header lines that are none.
const BAD_HEADERS: &[(&str, &str)] = &[
    ("a header line without a colon", "X-A\r\n"),
    ("a header line without a name", ": b\r\n"),
    ("a blank in a header name", "X A: b\r\n"),
    ("a NUL in a header value", "X-A: b\0c\r\n"),
    ("a bare CR in a header value", "X-A: b\rSet-Cookie: a=b\r\n"),
    ("a control character in a header value", "X-A: b\x01c\r\n"),
    ("a DEL in a header value", "X-A: b\x7fc\r\n"),
    ("a header line that ends in a bare LF", "X-A: b\n"),
    ("a header line that ends in CR CR LF", "X-A: b\r\r\n"),
];

pub(super) fn answers() -> Vec<HostileAnswer> {
    let lines = BAD_LINES.iter().map(|(what, line)| {
        let text = format!("{line}\r\nContent-Length: 5\r\n\r\nhello");
        HostileAnswer::keeping(format!("an answer with {what}"), text)
    });
    let headers = BAD_HEADERS
        .iter()
        .map(|(what, line)| HostileAnswer::keeping(format!("an answer with {what}"), hello(line)));
    lines.chain(headers).chain(garbage()).chain(cured()).chain(long()).chain(good()).collect()
}

fn garbage() -> Vec<HostileAnswer> {
    let http2: &[u8] =
        b"\0\0\x12\x04\0\0\0\0\0\0\x03\0\0\0\x80\0\x04\0\x01\0\0\0\x05\0\xff\xff\xff";
    let tls: &[u8] = b"\x15\x03\x03\x00\x02\x02\x28";
    let noise: Vec<u8> =
        (0..4096_u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    vec![
        HostileAnswer::closing("noise", noise),
        HostileAnswer::closing("an answer of HTTP/0.9", "<html>hello</html>"),
        HostileAnswer::closing("the frames of HTTP/2", http2),
        HostileAnswer::closing("an alert of TLS", tls),
        HostileAnswer::closing("the greeting of another service", "SSH-2.0-OpenSSH_9.6\r\n"),
        HostileAnswer::closing(
            "an answer of bare LFs",
            "HTTP/1.1 200 OK\nContent-Length: 5\n\nhello",
        ),
        HostileAnswer::closing("an empty line and then nothing", "\r\n\r\n"),
    ]
}

/// What a proxy may refuse or set right.
fn cured() -> Vec<HostileAnswer> {
    let joined = Outcome::honest(200, "hello");
    vec![
        HostileAnswer::keeping("a folded header line", hello("X-A: b\r\n c\r\n"))
            .or(joined.clone()),
        HostileAnswer::keeping("a blank before a colon", hello("X-A : b\r\n")).or(joined.clone()),
        HostileAnswer::keeping(
            "no blank after the status",
            say("200", "Content-Length: 5\r\n", "hello"),
        )
        .or(joined.clone()),
        HostileAnswer::keeping(
            "an empty line before the answer",
            [b"\r\n", &hello("")[..]].concat(),
        )
        .or(joined),
    ]
}

fn long() -> Vec<HostileAnswer> {
    let header = format!("X-Long: {}\r\n", "y".repeat(1 << 20));
    let many = "X-A: b\r\n".repeat(10_000);
    let piece = vec![b'y'; 64 << 10];
    vec![
        HostileAnswer::keeping("a header of a mebibyte", hello(&header)),
        HostileAnswer::keeping("ten thousand headers", hello(&many)),
        HostileAnswer::new(
            "a header that does not end",
            vec![
                Act::Say(b"HTTP/1.1 200 OK\r\nX-Long: ".to_vec()),
                Act::Repeat(piece.clone(), 1_000),
                Act::Close,
            ],
        ),
        HostileAnswer::new(
            "headers that do not end",
            vec![
                Act::Say(b"HTTP/1.1 200 OK\r\n".to_vec()),
                Act::Repeat("X-A: b\r\n".repeat(1_000).into_bytes(), 1_000),
                Act::Close,
            ],
        ),
        HostileAnswer::new(
            "a reason that does not end",
            vec![Act::Say(b"HTTP/1.1 200 ".to_vec()), Act::Repeat(piece, 1_000), Act::Close],
        ),
    ]
}

fn good() -> Vec<HostileAnswer> {
    let honest = || Outcome::honest(200, "hello");
    let cookies = Outcome::Honest {
        status: 200,
        body: b"hello".to_vec(),
        lacks: &[],
        has: Some(("set-cookie", &["a=1", "b=2"])),
    };
    let hop = Outcome::Honest {
        status: 200,
        body: b"hello".to_vec(),
        lacks: &["x-inner", "keep-alive", "proxy-connection"],
        has: Some(("x-outer", &["1"])),
    };
    let inner = "Connection: x-inner\r\nX-Inner: 1\r\nX-Outer: 1\r\nKeep-Alive: timeout=5\r\n\
                 Proxy-Connection: keep-alive\r\n";
    let bytewise = hello("")
        .into_iter()
        .flat_map(|byte| [Act::Say(vec![byte]), Act::Pause(std::time::Duration::from_millis(1))]);
    vec![
        HostileAnswer::keeping("an empty reason", say("200 ", "Content-Length: 5\r\n", "hello"))
            .only(honest()),
        HostileAnswer::keeping("two cookies", hello("Set-Cookie: a=1\r\nSet-Cookie: b=2\r\n"))
            .only(cookies),
        HostileAnswer::keeping("headers of one hop", hello(inner)).only(hop),
        HostileAnswer::keeping("an empty header value", hello("X-A:\r\n")).only(honest()),
        HostileAnswer::new("an answer that comes byte by byte", bytewise.collect()).only(honest()),
        HostileAnswer::keeping(
            "a status that nobody knows",
            say("299 Fine", "Content-Length: 5\r\n", "hello"),
        )
        .only(Outcome::honest(299, "hello")),
    ]
}
