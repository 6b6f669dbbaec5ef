//! What is refused, and with which word.

use muster_http1::{BadRequest, HeadLimits, parse_request};

use super::words::{get, head, post, refusal, refused};

/// Requests with this first line are refused so.
fn line(line: &str) -> &'static str {
    refused(&head(&[line, "Host: h"]))
}

#[test]
fn two_lengths_are_refused_even_if_they_agree() {
    assert_eq!(refused(&post(&["Content-Length: 3", "Content-Length: 3"])), "content-length");
    assert_eq!(refused(&post(&["Content-Length: 3, 3"])), "content-length");
}

#[test]
fn a_length_is_digits_and_nothing_else() {
    for length in ["", "+3", "-3", "0x3", "3 3", "3;", "3.0", "1000000000000000000", "three"] {
        let bytes = post(&[&format!("Content-Length: {length}")]);
        assert_eq!(refused(&bytes), "content-length", "{length}");
    }
}

#[test]
fn length_and_chunks_together_are_refused_in_either_order() {
    let (length, chunked) = ("Content-Length: 3", "Transfer-Encoding: chunked");
    assert_eq!(refused(&post(&[length, chunked])), "length-and-transfer-encoding");
    assert_eq!(refused(&post(&[chunked, length])), "length-and-transfer-encoding");
}

#[test]
fn an_encoding_is_chunked_exactly_once() {
    let odd = [
        "",
        ",chunked",
        "chunked,",
        "chunked, chunked",
        "gzip, chunked",
        "identity",
        "xchunked",
        "chunked;q=1",
        "\"chunked\"",
    ];
    for encoding in odd {
        let bytes = post(&[&format!("Transfer-Encoding: {encoding}")]);
        assert_eq!(refused(&bytes), "transfer-encoding", "{encoding}");
    }
    let twice = ["Transfer-Encoding: chunked", "Transfer-Encoding: chunked"];
    assert_eq!(refused(&post(&twice)), "transfer-encoding");
}

#[test]
fn http_10_knows_no_chunks() {
    let bytes = head(&["POST / HTTP/1.0", "Transfer-Encoding: chunked"]);
    assert_eq!(refused(&bytes), "transfer-encoding");
}

#[test]
fn a_bare_line_feed_ends_nothing() {
    let bare: [&[u8]; 6] = [
        b"GET / HTTP/1.1\nHost: h\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: h\n\r\n",
        b"GET / HTTP/1.1\r\nHost: h\nA: b\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: h\r\n\n",
        b"GET / HTTP/1.1\nHost: h\n\n",
        b"GET / HTTP/1.0\n\n",
    ];
    for bytes in bare {
        assert_eq!(refused(bytes), "bare-lf", "{}", bytes.escape_ascii());
    }
}

#[test]
fn a_bare_carriage_return_is_refused() {
    assert_eq!(refused(b"GET / HTTP/1.1\r\nHost: h\rA: b\r\n\r\n"), "bare-cr");
    assert_eq!(refused(b"GET / HTTP/1.1\r\nHost: h\r\n\rA: b\r\n\r\n"), "bare-cr");
    assert_eq!(refused(b"GET / HTTP/1.1\rHost: h\r\n\r\n"), "bare-cr");
    assert_eq!(refused(b"GET / HTTP/1.1\r\nHost: h\r\r\n\r\n"), "bare-cr");
}

#[test]
fn a_folded_value_is_refused() {
    assert_eq!(refused(&get(&["A: b", " c"])), "obs-fold");
    assert_eq!(refused(&get(&["A: b", "\tTransfer-Encoding: chunked"])), "obs-fold");
    assert_eq!(refused(&head(&["GET / HTTP/1.1", " Host: h"])), "obs-fold");
}

#[test]
fn a_blank_before_the_colon_is_refused() {
    assert_eq!(refused(&post(&["Transfer-Encoding : chunked"])), "blank-before-colon");
    assert_eq!(refused(&post(&["Content-Length\t: 3"])), "blank-before-colon");
}

#[test]
fn a_name_is_a_token_and_has_a_colon() {
    for bad in [": x", "Na\x00me: x", "N\u{e9}: x", "A(b): x", "A\"b: x", "NoColon", "A@b: x"] {
        assert_eq!(refused(&get(&[bad])), "bad-header-name", "{bad}");
    }
}

#[test]
fn a_value_has_no_control_characters() {
    for bad in ["A: b\x00c", "A: b\x0Bc", "A: \x0C", "A: b\x7F", "A: \x1B[1m", "A:\x08"] {
        assert_eq!(refused(&get(&[bad])), "bad-header-value", "{}", bad.escape_debug());
    }
}

/// Which bytes pass between two texts, in a head long enough for the parser's widest steps.
fn passing(before: &str, after: &str) -> Vec<u8> {
    let passes = |byte: &u8| {
        let (before, after) = (format!("{before}{}", "a".repeat(40)), "a".repeat(40) + after);
        let bytes = [before.as_bytes(), &[*byte], after.as_bytes()].concat();
        matches!(parse_request(&bytes, &HeadLimits::default()), Ok(Some(_)))
    };
    (0..=255).filter(passes).collect()
}

#[test]
fn each_byte_is_judged_alike_wherever_it_stands() {
    let query = (b'!'..=b'~').filter(|byte| !b"#\"<>".contains(byte)).collect::<Vec<_>>();
    assert_eq!(passing("GET /?", " HTTP/1.1\r\nHost: h\r\n\r\n"), query);
    let path = query.iter().copied().filter(|byte| *byte != b'`').collect::<Vec<_>>();
    assert_eq!(passing("GET /", " HTTP/1.1\r\nHost: h\r\n\r\n"), path);
    let value = (0..=255).filter(|byte| *byte == b'\t' || (*byte >= b' ' && *byte != 0x7F));
    assert_eq!(passing("GET / HTTP/1.1\r\nHost: h\r\nA: ", "\r\n\r\n"), value.collect::<Vec<_>>());
    // A colon ends the name: what follows it is the value then.
    let is_name = |byte: &u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~:".contains(byte);
    let name = (0..=255).filter(is_name).collect::<Vec<_>>();
    assert_eq!(passing("GET / HTTP/1.1\r\nHost: h\r\n", ": b\r\n\r\n"), name);
}

#[test]
fn nothing_stands_before_the_request_line() {
    assert_eq!(refused(b"\r\nGET / HTTP/1.1\r\nHost: h\r\n\r\n"), "leading-empty-line");
    assert_eq!(refused(b"\nGET"), "leading-empty-line");
    assert_eq!(refused(b" GET / HTTP/1.1\r\n"), "bad-method");
}

#[test]
fn a_host_is_one_host() {
    for host in ["a b", "a/../b", "user@a", "a?b", "a#b", "a, b", "", "a:b", "[::1", "a\\b"] {
        let bytes = head(&["GET / HTTP/1.1", &format!("Host: {host}")]);
        assert_eq!(refused(&bytes), "bad-host", "{host}");
    }
    assert_eq!(refused(&get(&["Host: shop.example"])), "bad-host");
    assert_eq!(refused(&head(&["GET / HTTP/1.0", "Host: a", "Host: b"])), "bad-host");
}

#[test]
fn a_host_is_the_one_of_the_url() {
    let both =
        |url: &str, host: &str| head(&[&format!("GET {url} HTTP/1.1"), &format!("Host: {host}")]);
    for (url, host) in [
        ("http://a.example/", "b.example"),
        ("http://a.example/", "a.example:81"),
        ("http://a.example/", "a.example:443"),
        ("https://a.example/", "a.example:80"),
        ("http://a.example:81/", "a.example"),
        ("http://[::1]/", "[::2]"),
    ] {
        assert_eq!(refused(&both(url, host)), "bad-host", "{url} {host}");
    }
    let old = head(&["GET http://a.example/ HTTP/1.0", "Host: b.example"]);
    assert_eq!(refused(&old), "bad-host");
}

#[test]
fn http_11_has_a_host_even_beside_a_url() {
    assert_eq!(refused(&head(&["GET / HTTP/1.1"])), "no-host");
    assert_eq!(refused(&head(&["GET http://a.example/ HTTP/1.1"])), "no-host");
}

#[test]
fn a_target_is_a_path_or_a_url() {
    let bad = [
        "shop",
        "?x",
        "a.example:80",
        "ftp://a/",
        "http:///x",
        "http://user@a/",
        "http://a?x",
        "http://",
        "http:/a",
        "/a#b",
        "*",
        "/*#",
        "http://a:x/",
        "/\u{e9}",
        "/a\x7F",
        "http://a\\b/",
        "httpx://a/",
        "/a\"b",
        "/<a",
        "/a>",
        "/a`b",
        "/?a=\"b\"",
        "/?<",
        "/?>",
        "http://a/<",
    ];
    for target in bad {
        assert_eq!(line(&format!("GET {target} HTTP/1.1")), "bad-target", "{target}");
    }
    let raw =
        [&b"GET /a\rb HTTP/1.1\r\n"[..], b"GET /a\0b HTTP/1.1\r\n", b"GET /\xE9 HTTP/1.1\r\n"];
    for bytes in raw {
        assert_eq!(refused(bytes), "bad-target", "{}", bytes.escape_ascii());
    }
}

#[test]
fn a_request_line_has_three_parts_with_one_blank_between() {
    assert_eq!(line("GET  / HTTP/1.1"), "bad-target");
    assert_eq!(line("GET /  HTTP/1.1"), "bad-request-line");
    assert_eq!(line("GET / x HTTP/1.1"), "bad-request-line");
    assert_eq!(line("GET / HTTP/1.1 "), "bad-request-line");
    assert_eq!(line("GET /"), "bad-target");
    assert_eq!(line("GET"), "bad-method");
    assert_eq!(line("GET\t/ HTTP/1.1"), "bad-method");
    assert_eq!(line("G(T / HTTP/1.1"), "bad-method");
    assert_eq!(line("GET / http/1.1"), "bad-request-line");
}

#[test]
fn other_versions_are_told_apart_from_nonsense() {
    for version in ["HTTP/0.9", "HTTP/1.2", "HTTP/2.0", "HTTP/3.0"] {
        assert_eq!(line(&format!("GET / {version}")), "version", "{version}");
    }
    assert_eq!(refusal(&head(&["GET / HTTP/2.0", "Host: h"])).status(), 505);
    assert_eq!(line("GET / HTTP/1.10"), "bad-request-line");
    assert_eq!(line("GET / HTTP/one"), "bad-request-line");
}

#[test]
fn connect_and_trace_are_no_business_of_ours() {
    let connect = head(&["CONNECT a.example:443 HTTP/1.1", "Host: a.example:443"]);
    assert_eq!(refusal(&connect), BadRequest::Method);
    assert_eq!(refusal(&head(&["TRACE / HTTP/1.1", "Host: h"])).status(), 405);
}

#[test]
fn connection_may_not_name_what_frames_the_message() {
    for name in ["Content-Length", "transfer-encoding", "close, HOST"] {
        let bytes = post(&["Content-Length: 3", &format!("Connection: {name}")]);
        assert_eq!(refused(&bytes), "connection-names", "{name}");
    }
    assert_eq!(refused(&get(&["Connection: a,b,c,d,e,f,g,h,i"])), "connection-names");
}

#[test]
fn lists_of_the_connection_have_tokens() {
    for bad in [
        "Connection: x mine",
        "Connection: close;x",
        "Connection: a, (b)",
        "Connection: \"close\"",
        "Connection: keep-alive, a@b",
        "TE: trailers, g zip",
        "TE: ;q=1",
        "Upgrade: web socket",
        "Upgrade: websocket/",
        "Upgrade: /13",
        "Upgrade: a/b/c",
        "Upgrade: h2c, \"x\"",
    ] {
        assert_eq!(refused(&get(&[bad])), "bad-option", "{bad}");
    }
    assert_eq!(refusal(&get(&["Connection: a b"])).status(), 400);
}

#[test]
fn a_head_has_bounds_with_statuses_of_their_own() {
    let limits = HeadLimits { bytes: 200, headers: 3, target: 20 };
    let status = |bytes: &[u8]| parse_request(bytes, &limits).unwrap_err().status();
    assert_eq!(status(&get(&[&format!("A: {}", "b".repeat(200))])), 431);
    assert_eq!(status(&get(&["A: 1", "B: 2", "C: 3"])), 431);
    assert_eq!(status(&head(&[&format!("GET /{} HTTP/1.1", "a".repeat(20)), "Host: h"])), 414);
    assert_eq!(status(format!("GET /{}", "a".repeat(20)).as_bytes()), 414);
    assert_eq!(status("A".repeat(33).as_bytes()), 400);
    assert!(parse_request(&get(&["A: 1", "B: 2"]), &limits).is_ok());
}

#[test]
fn a_head_of_exactly_the_limit_passes() {
    let bytes = get(&["A: b"]);
    let at = |bytes| HeadLimits { bytes, ..HeadLimits::default() };
    assert!(parse_request(&bytes, &at(bytes.len())).unwrap().is_some());
    assert_eq!(parse_request(&bytes, &at(bytes.len() - 1)), Err(BadRequest::HeadTooLong));
    assert_eq!(parse_request(&bytes[..9], &at(9)), Err(BadRequest::HeadTooLong));
}

#[test]
fn http_2_is_told_as_soon_as_it_is_certain() {
    let preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
    for end in 0..preface.len() {
        assert_eq!(parse_request(&preface[..end], &HeadLimits::default()), Ok(None));
    }
    assert_eq!(refusal(&[&preface[..], b"\0\0"].concat()), BadRequest::Preface);
    assert_eq!(line("PRI * HTTP/1.1"), "bad-target");
    assert_eq!(refusal(b"PRI * HTTP/2.0\r\n\r\nXX").status(), 505);
}

#[test]
fn tls_on_a_plain_port_is_refused_at_once() {
    assert_eq!(refused(b"\x16\x03\x01\x02"), "bad-method");
}
