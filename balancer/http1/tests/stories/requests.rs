//! What is read out of a good head.

use muster_http1::{Class, HeadLimits, RequestBody, Version, parse_request, worth_parsing};

use super::words::{get, head, post, read};

#[test]
fn a_head_is_read_into_places() {
    let bytes = [post(&["Content-Length: 3", "Cookie: a=1"]), b"abc".to_vec()].concat();
    let request = read(&bytes);
    assert_eq!(&bytes[request.length..], b"abc");
    assert_eq!(request.method.text(&bytes), "POST");
    assert_eq!(request.target.text(&bytes), "/shop");
    assert_eq!(request.host.text(&bytes), "shop.example");
    assert_eq!(request.version, Version::Http11);
    assert_eq!(request.body, RequestBody::Length(3));
    assert_eq!(request.cookies[0].of(&bytes), b"a=1");
    assert!(request.keep_alive && !request.expects_continue && !request.has_forwarding());
}

#[test]
fn the_path_ends_before_the_first_question_mark() {
    let bytes = head(&["GET /a;x=1?b=/c?d HTTP/1.1", "Host: h"]);
    let request = read(&bytes);
    assert_eq!(request.origin.text(&bytes), "/a;x=1?b=/c?d");
    assert_eq!(request.path.text(&bytes), "/a;x=1");
}

#[test]
fn a_whole_url_gives_its_host() {
    let bytes = head(&["GET HTTP://a.example:81/x?y HTTP/1.1", "Host: A.example:81"]);
    let request = read(&bytes);
    assert_eq!(request.host.text(&bytes), "a.example:81");
    assert_eq!(request.origin(&bytes), b"/x?y");
    assert_eq!(request.path.text(&bytes), "/x");
    assert_eq!(request.target.text(&bytes), "HTTP://a.example:81/x?y");
}

#[test]
fn a_url_and_host_may_spell_one_host_in_two_ways() {
    for (url, host) in [
        ("http://a.example/", "A.Example"),
        ("http://a.example:80/", "a.example"),
        ("HTTPS://a.example/", "a.example:443"),
        ("https://a.example:/", "a.example:443"),
        ("http://[::1]/", "[::1]:80"),
    ] {
        let bytes = head(&[&format!("GET {url} HTTP/1.1"), &format!("Host: {host}")]);
        assert!(url.contains(read(&bytes).host.text(&bytes)), "{url} {host}");
    }
    let old = head(&["GET http://a.example/ HTTP/1.0", "Host:"]);
    assert_eq!(read(&old).host.text(&old), "a.example");
}

#[test]
fn a_list_of_the_connection_may_have_empty_elements_and_weights() {
    for line in [
        "Connection:",
        "Connection: , close,, x-a ,",
        "TE:",
        "TE: trailers, deflate;q=0.5 , gzip ; q=1",
        "Upgrade: h2c, websocket/13,",
    ] {
        read(&get(&[line]));
    }
}

#[test]
fn a_url_without_a_path_asks_for_the_root() {
    let bytes = head(&["GET https://a.example HTTP/1.1", "Host: a.example"]);
    assert_eq!(read(&bytes).origin(&bytes), b"/");
    assert_eq!(read(&bytes).path.text(&bytes), "/");
    let bytes = head(&["OPTIONS http://a.example HTTP/1.1", "Host: a.example"]);
    assert_eq!(read(&bytes).origin(&bytes), b"*");
}

#[test]
fn options_may_ask_the_server_itself() {
    let bytes = head(&["OPTIONS * HTTP/1.1", "Host: h"]);
    assert_eq!(read(&bytes).origin.text(&bytes), "*");
    assert_eq!(read(&bytes).path.text(&bytes), "*");
}

#[test]
fn a_client_of_http_10_stays_only_when_it_asks_to() {
    let bytes = |lines: &[&str]| head(&[&["GET / HTTP/1.0"], lines].concat());
    assert!(!read(&bytes(&[])).keep_alive);
    assert!(read(&bytes(&["Connection: Keep-Alive"])).keep_alive);
    assert!(!read(&bytes(&["Connection: keep-alive, close"])).keep_alive);
    assert_eq!(read(&bytes(&[])).version, Version::Http10);
    assert!(read(&bytes(&[])).host.is_empty() && read(&bytes(&["Host:"])).host.is_empty());
}

#[test]
fn close_wins_over_keep_alive() {
    assert!(read(&get(&["Connection: keep-alive"])).keep_alive);
    assert!(!read(&get(&["Connection: keep-alive ,\tCLOSE"])).keep_alive);
    assert!(!read(&get(&["Connection: close", "Connection: keep-alive"])).keep_alive);
}

#[test]
fn a_body_is_framed_by_one_line_or_not_at_all() {
    assert_eq!(read(&get(&[])).body, RequestBody::None);
    assert_eq!(read(&get(&["Content-Length: 0"])).body, RequestBody::Length(0));
    let most = "Content-Length: 999999999999999999";
    assert_eq!(read(&post(&[most])).body, RequestBody::Length(999_999_999_999_999_999));
    assert_eq!(read(&post(&["Transfer-Encoding: chunked"])).body, RequestBody::Chunked);
    assert_eq!(read(&post(&["TRANSFER-ENCODING:Chunked \t"])).body, RequestBody::Chunked);
}

#[test]
fn only_a_hundred_to_come_is_expected_and_only_in_http_11() {
    assert!(read(&post(&["Content-Length: 9", "Expect: 100-Continue"])).expects_continue);
    assert!(!read(&post(&["Content-Length: 9", "Expect: something"])).expects_continue);
    let old = head(&["POST / HTTP/1.0", "Content-Length: 9", "Expect: 100-continue"]);
    assert!(!read(&old).expects_continue);
}

#[test]
fn an_exact_upgrade_request_is_one() {
    let bytes = get(&["Connection: keep-alive, Upgrade", "Upgrade: websocket"]);
    assert_eq!(read(&bytes).upgrade.unwrap().text(&bytes), "websocket");
}

#[test]
fn anything_less_is_an_ordinary_request() {
    let asks = ["Connection: upgrade", "Upgrade: websocket"];
    let with = |line: &str| head(&[&[line, "Host: h"], &asks[..]].concat());
    let ordinary = [
        with("POST / HTTP/1.1"),
        with("GET / HTTP/1.0"),
        get(&[&asks[..], &["Content-Length: 0"]].concat()),
        get(&[&asks[..], &["Transfer-Encoding: chunked"]].concat()),
        get(&[&asks[..], &["Upgrade: websocket"]].concat()),
        get(&["Connection: upgrade", "Upgrade: h2c"]),
        get(&["Connection: upgrade", "Upgrade: a, b"]),
        get(&["Connection: upgrade", "Upgrade:"]),
        get(&["Connection: upgrade"]),
        get(&["Upgrade: websocket"]),
    ];
    for bytes in ordinary {
        assert_eq!(read(&bytes).upgrade, None, "{}", bytes.escape_ascii());
    }
}

#[test]
fn cookies_beyond_the_eighth_line_do_not_count_for_routing() {
    let lines: Vec<String> = (0..10).map(|n| format!("Cookie: c{n}=1")).collect();
    let bytes = get(&lines.iter().map(String::as_str).collect::<Vec<_>>());
    let request = read(&bytes);
    let cookies: Vec<_> = request.cookies.iter().map(|cookie| cookie.text(&bytes)).collect();
    assert_eq!(cookies, ["c0=1", "c1=1", "c2=1", "c3=1", "c4=1", "c5=1", "c6=1", "c7=1"]);
}

#[test]
fn each_line_is_told_with_what_it_is_for() {
    let bytes = get(&[
        "Connection: x-mine",
        "X-Forwarded-For: 10.0.0.1",
        "X-Mine: 1",
        "Cookie: a=1",
        "Transfer-Encoding: chunked",
        "Empty:",
    ]);
    let lines: Vec<_> =
        read(&bytes).headers(&bytes).map(|line| (line.name, line.value, line.class)).collect();
    let expected: [(&str, &[u8], Class); 7] = [
        ("Host", b"shop.example", Class::Host),
        ("Connection", b"x-mine", Class::Hop),
        ("X-Forwarded-For", b"10.0.0.1", Class::Forwarding),
        ("X-Mine", b"1", Class::Hop),
        ("Cookie", b"a=1", Class::Cookie),
        ("Transfer-Encoding", b"chunked", Class::Other),
        ("Empty", b"", Class::Other),
    ];
    assert_eq!(lines, expected);
    assert!(read(&bytes).has_forwarding());
}

#[test]
fn values_may_hold_what_is_not_ascii() {
    let mut bytes = get(&["X-Name: Jos@"]);
    let at = bytes.iter().position(|byte| *byte == b'@').unwrap();
    bytes[at] = 0xE9;
    let last = read(&bytes).headers(&bytes).last().unwrap().value.to_vec();
    assert_eq!(last, b"Jos\xE9");
}

#[test]
fn a_head_in_pieces_says_nothing_until_it_is_whole() {
    let bytes = post(&["Content-Length: 3", "Cookie: a=1"]);
    for end in 0..bytes.len() {
        assert_eq!(parse_request(&bytes[..end], &HeadLimits::default()), Ok(None), "{end}");
    }
}

#[test]
fn a_head_that_comes_byte_by_byte_is_parsed_once_a_line() {
    let (bytes, limits) = (post(&["Content-Length: 3", "Cookie: a=1"]), HeadLimits::default());
    let mut asked = 0;
    for end in 1..=bytes.len() {
        if worth_parsing(&bytes[..end], end - 1, &limits) {
            asked += 1;
            let is_whole = parse_request(&bytes[..end], &limits).unwrap().is_some();
            assert_eq!(is_whole, end == bytes.len());
        }
    }
    assert_eq!(asked, 1 + 5);
}
