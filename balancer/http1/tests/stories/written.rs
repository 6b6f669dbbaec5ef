//! What a node gets.

use muster_http1::{RequestChanges, TraceLines};

use super::words::{get, head, passed, post, text, written};

#[test]
fn a_plain_request_passes_as_it_came() {
    let bytes = post(&["Content-Length: 3", "X-A:  b ", "Cookie: a=1"]);
    assert_eq!(passed(&bytes).as_bytes(), bytes);
}

#[test]
fn what_concerns_the_clients_connection_ends_here() {
    let bytes = get(&[
        "Connection: keep-alive, x-mine, X-Other",
        "Keep-Alive: timeout=5",
        "x-mine: 1",
        "Accept: */*",
        "Proxy-Connection: keep-alive",
        "TE: trailers",
        "Trailer: x",
        "Upgrade: h2c",
        "HTTP2-Settings: AAMAAABk",
        "X-OTHER: 2",
        "X-Last: 3",
    ]);
    let expected = ["GET /shop HTTP/1.1", "Host: shop.example", "Accept: */*", "X-Last: 3"];
    assert_eq!(passed(&bytes), text(&expected));
}

#[test]
fn a_head_with_more_such_lines_than_are_remembered_is_written_alike() {
    let mut lines = vec!["Connection: x-mine"];
    lines.extend(["X-Forwarded-For: 10.0.0.1", "X-Mine: 1", "A: b"].repeat(12));
    let mut expected = vec!["GET /shop HTTP/1.1", "Host: shop.example"];
    expected.extend(["A: b"; 12]);
    assert_eq!(passed(&get(&lines)), text(&expected));
}

#[test]
fn a_named_cookie_ends_here_too() {
    let bytes = get(&["Cookie: a=1", "Connection: cookie"]);
    assert!(super::words::read(&bytes).cookies.is_empty());
    assert_eq!(passed(&bytes), text(&["GET /shop HTTP/1.1", "Host: shop.example"]));
}

#[test]
fn what_an_untrusted_client_says_of_others_is_left_out() {
    let bytes = get(&[
        "X-Forwarded-For: 10.0.0.1",
        "forwarded: for=x",
        "X-Forwarded-Ssl: on",
        "X-Forwarded-: x",
    ]);
    let own: [&[u8]; 1] = [b"X-Forwarded-For: 192.0.2.7\r\nX-Forwarded-Proto: http\r\n"];
    let changes = RequestChanges { lines: &own, ..RequestChanges::default() };
    let expected = [
        "GET /shop HTTP/1.1",
        "Host: shop.example",
        "X-Forwarded-For: 192.0.2.7",
        "X-Forwarded-Proto: http",
    ];
    assert_eq!(written(&bytes, &changes), text(&expected));
    let trusting = RequestChanges { keeps_forwarding: true, ..RequestChanges::default() };
    assert_eq!(written(&bytes, &trusting).as_bytes(), bytes);
}

#[test]
fn a_whole_url_becomes_a_path_and_its_host() {
    let bytes = head(&["GET http://a.example/x HTTP/1.1", "A: b", "Host: A.example:80", "C: d"]);
    let expected = ["GET /x HTTP/1.1", "Host: a.example", "A: b", "C: d"];
    assert_eq!(passed(&bytes), text(&expected));
    let bytes = head(&["OPTIONS http://a.example HTTP/1.1", "Host: a.example"]);
    assert_eq!(passed(&bytes), text(&["OPTIONS * HTTP/1.1", "Host: a.example"]));
}

#[test]
fn http_10_becomes_http_11() {
    let bytes = head(&["POST / HTTP/1.0", "Content-Length: 3", "Expect: 100-continue"]);
    assert_eq!(passed(&bytes), text(&["POST / HTTP/1.1", "Host: ", "Content-Length: 3"]));
    let changes = RequestChanges { host: Some(b"10.0.0.1:80"), ..RequestChanges::default() };
    let expected = ["POST / HTTP/1.1", "Host: 10.0.0.1:80", "Content-Length: 3"];
    assert_eq!(written(&bytes, &changes), text(&expected));
}

#[test]
fn target_host_and_cookies_can_be_replaced() {
    let bytes = get(&["Cookie: a=1; JSESSIONID=k.n1", "A: b", "Cookie: c=2"]);
    let changes = RequestChanges {
        target: Some(b"/else?x"),
        host: Some(b"n1"),
        cookies: Some(b"a=1; c=2"),
        ..RequestChanges::default()
    };
    let expected = ["GET /else?x HTTP/1.1", "Host: n1", "A: b", "Cookie: a=1; c=2"];
    assert_eq!(written(&bytes, &changes), text(&expected));
    let none = RequestChanges { cookies: Some(b""), ..RequestChanges::default() };
    let expected = ["GET /shop HTTP/1.1", "Host: shop.example", "A: b"];
    assert_eq!(written(&bytes, &none), text(&expected));
}

#[test]
fn the_lines_of_an_exact_upgrade_are_put_back() {
    let bytes = get(&["Connection: keep-alive, Upgrade", "Upgrade: websocket", "A: b"]);
    let expected = [
        "GET /shop HTTP/1.1",
        "Host: shop.example",
        "A: b",
        "Connection: Upgrade",
        "Upgrade: websocket",
    ];
    assert_eq!(passed(&bytes), text(&expected));
}

#[test]
fn an_odd_spelling_of_chunked_is_not_passed_on() {
    let bytes = post(&["transfer-encoding: CHUNKED", "A: b"]);
    let expected =
        ["POST /shop HTTP/1.1", "Host: shop.example", "A: b", "Transfer-Encoding: chunked"];
    assert_eq!(passed(&bytes), text(&expected));
}

#[test]
fn what_follows_the_head_is_not_written() {
    let bytes = [get(&[]), b"GET /next HTTP/1.1\r\n".to_vec()].concat();
    assert_eq!(passed(&bytes).as_bytes(), get(&[]));
}

#[test]
fn what_a_client_says_of_traces_stays_or_gives_way_to_another() {
    let bytes = get(&["Traceparent: 00-a", "A: b", "tracestate: c=d", "TraceState: e=f"]);
    let line: &[u8] = b"traceparent: 00-own\r\n";
    let lines = [line];
    let with = |trace, lines| {
        let changes = RequestChanges { trace, lines, ..RequestChanges::default() };
        written(&bytes, &changes)
    };
    let kept = String::from_utf8(bytes.clone()).unwrap();
    assert_eq!(with(TraceLines::Kept, &[]), kept);
    let state = ["GET /shop HTTP/1.1", "Host: shop.example", "A: b", "tracestate: c=d"];
    let continued = [&state[..], &["TraceState: e=f", "traceparent: 00-own"]].concat();
    assert_eq!(with(TraceLines::Continued, &lines), text(&continued));
    let begun = [&state[..3], &["traceparent: 00-own"]].concat();
    assert_eq!(with(TraceLines::Begun, &lines), text(&begun));
}

#[test]
fn of_several_traceparents_none_counts() {
    let parent = |lines: &[&str]| {
        let bytes = get(lines);
        super::words::read(&bytes).traceparent.map(|parent| parent.text(&bytes).to_owned())
    };
    assert_eq!(parent(&["A: b"]), None);
    assert_eq!(parent(&["traceparent: x"]).as_deref(), Some("x"));
    assert_eq!(parent(&["traceparent: x", "TRACEPARENT: x"]), None);
    assert_eq!(parent(&["Connection: traceparent", "traceparent: x"]), None);
}
