//! What nodes answer, and what the client gets of it.

use muster_http1::{
    BadResponse, Connection, Framing, HeadLimits, Question, ResponseBody, ResponseChanges,
    ResponseHead, Version, parse_response, worth_parsing,
};

use super::words::{answer, bad_answer, head, text, told};

fn ok(lines: &[&str]) -> Vec<u8> {
    head(&[&["HTTP/1.1 200 OK"], lines].concat())
}

/// Read for a request of this kind.
fn asked(bytes: &[u8], question: Question) -> Result<ResponseHead, BadResponse> {
    parse_response(bytes, &HeadLimits::default(), question).map(Option::unwrap)
}

const HEAD: Question = Question { is_head: true, asks_upgrade: false };
const UPGRADE: Question = Question { is_head: false, asks_upgrade: true };

#[test]
fn an_answer_is_read_and_passed_on() {
    let bytes = ok(&["Content-Length: 3", "Set-Cookie: a=1"]);
    let response = answer(&bytes);
    assert_eq!((response.status, response.reason(&bytes)), (200, &b"OK"[..]));
    assert_eq!((response.version, response.length), (Version::Http11, bytes.len()));
    assert_eq!(response.body, ResponseBody::Length(3));
    assert!(response.keep_alive);
    assert_eq!(told(&bytes, &ResponseChanges::default()).as_bytes(), bytes);
}

#[test]
fn a_body_without_a_length_ends_with_the_connection() {
    let response = answer(&ok(&[]));
    assert_eq!((response.body, response.keep_alive), (ResponseBody::Close, false));
    let response = answer(&ok(&["Transfer-Encoding: chunked"]));
    assert_eq!((response.body, response.keep_alive), (ResponseBody::Chunked, true));
}

#[test]
fn head_and_not_modified_have_a_length_but_no_body() {
    let bytes = ok(&["Content-Length: 3"]);
    let response = asked(&bytes, HEAD).unwrap();
    assert_eq!((response.body, response.keep_alive), (ResponseBody::None, true));
    let unmodified = head(&["HTTP/1.1 304 Not Modified", "Content-Length: 3"]);
    assert_eq!(answer(&unmodified).body, ResponseBody::None);
    assert_eq!(told(&unmodified, &ResponseChanges::default()).as_bytes(), unmodified);
}

#[test]
fn an_answer_that_can_have_no_body_does_not_speak_of_one() {
    let bytes = head(&["HTTP/1.1 204 No Content", "Content-Length: 0"]);
    assert!(answer(&bytes).keep_alive);
    assert_eq!(told(&bytes, &ResponseChanges::default()), text(&["HTTP/1.1 204 No Content"]));
    for line in ["Content-Length: 5", "Transfer-Encoding: chunked"] {
        let bytes = head(&["HTTP/1.1 204 No Content", line]);
        assert_eq!((answer(&bytes).body, answer(&bytes).keep_alive), (ResponseBody::None, false));
        assert_eq!(told(&bytes, &ResponseChanges::default()), text(&["HTTP/1.1 204 No Content"]));
    }
}

#[test]
fn an_interim_answer_has_no_body() {
    let bytes = head(&["HTTP/1.1 103 Early Hints", "Link: </a>"]);
    assert_eq!(answer(&bytes).body, ResponseBody::None);
    assert_eq!(told(&bytes, &ResponseChanges::default()).as_bytes(), bytes);
}

#[test]
fn a_tunnel_opens_only_when_it_was_asked_for() {
    let good = ["HTTP/1.1 101 Switching Protocols", "Upgrade: websocket", "Connection: upgrade"];
    let bytes = head(&good);
    assert_eq!(bad_answer(&bytes), BadResponse::Unasked101);
    let response = asked(&bytes, UPGRADE).unwrap();
    assert_eq!((response.body, response.keep_alive), (ResponseBody::None, false));
    let mut out = Vec::new();
    let connection = Connection::Upgrade;
    response.write(&bytes, &ResponseChanges { connection, ..Default::default() }, &mut out);
    let expected = [good[0], "Connection: Upgrade", "Upgrade: websocket"];
    assert_eq!(String::from_utf8(out).unwrap(), text(&expected));
}

#[test]
fn a_tunnel_without_its_lines_does_not_open() {
    let first = "HTTP/1.1 101 Switching Protocols";
    let (upgrade, connection) = ("Upgrade: websocket", "Connection: upgrade");
    let bad = [
        head(&[first]),
        head(&[first, upgrade]),
        head(&[first, connection]),
        head(&[first, connection, upgrade, upgrade]),
        head(&[first, connection, upgrade, "Content-Length: 5"]),
        head(&["HTTP/1.0 101 Switching", connection, upgrade]),
    ];
    for bytes in bad {
        let verdict = asked(&bytes, UPGRADE);
        assert_eq!(verdict, Err(BadResponse::Unasked101), "{}", bytes.escape_ascii());
    }
}

#[test]
fn an_old_node_stays_only_when_it_says_so() {
    let old = |lines: &[&str]| answer(&head(&[&["HTTP/1.0 200 OK"], lines].concat()));
    assert!(!old(&["Content-Length: 3"]).keep_alive);
    assert!(old(&["Content-Length: 3", "Connection: keep-alive"]).keep_alive);
    assert!(!old(&["Connection: keep-alive"]).keep_alive);
    assert!(!answer(&ok(&["Content-Length: 3", "Connection: close"])).keep_alive);
}

#[test]
fn framing_with_two_readings_is_refused() {
    let word = |lines: &[&str]| bad_answer(&ok(lines)).word();
    let (length, chunked) = ("Content-Length: 3", "Transfer-Encoding: chunked");
    assert_eq!(word(&[length, chunked]), "length-and-transfer-encoding");
    assert_eq!(word(&[length, length]), "content-length");
    assert_eq!(word(&["Content-Length: 3, 3"]), "content-length");
    assert_eq!(word(&["Content-Length: -1"]), "content-length");
    assert_eq!(word(&["Transfer-Encoding: gzip, chunked"]), "transfer-encoding");
    assert_eq!(word(&[chunked, chunked]), "transfer-encoding");
    assert_eq!(word(&[length, "Connection: content-length"]), "connection-names");
    let old = head(&["HTTP/1.0 200 OK", chunked]);
    assert_eq!(bad_answer(&old).word(), "transfer-encoding");
}

#[test]
fn hostile_heads_are_refused() {
    let hostile: [(&[u8], &str); 16] = [
        (b"HTTP/1.1 200 OK\nA: b\r\n\r\n", "bare-lf"),
        (b"HTTP/1.1 200 OK\r\nA: b\n\r\n", "bare-lf"),
        (b"HTTP/1.1 200 OK\r\nA: b\r\n\n", "bare-lf"),
        (b"HTTP/1.1 200 OK\r\nA: b\rC: d\r\n\r\n", "bare-cr"),
        (b"HTTP/1.1 200 OK\r\nA: b\r\n c\r\n\r\n", "obs-fold"),
        (b"HTTP/1.1 200 OK\r\nA : b\r\n\r\n", "blank-before-colon"),
        (b"HTTP/1.1 200 OK\r\nA\r\n\r\n", "bad-header-name"),
        (b"HTTP/1.1 200 OK\r\nA: b\0\r\n\r\n", "bad-header-value"),
        (b"HTTP/1.1 200 O\0K\r\n\r\n", "status"),
        (b"HTTP/1.1 099 Low\r\n\r\n", "status"),
        (b"HTTP/1.1 600 High\r\n\r\n", "status"),
        (b"HTTP/1.1 20 Short\r\n\r\n", "status"),
        (b"HTTP/1.1  200 OK\r\n\r\n", "status"),
        (b"HTTP/2.0 200 OK\r\n\r\n", "version"),
        (b"<html>hello", "version"),
        (b"\r\nHTTP/1.1 200 OK\r\n\r\n", "leading-empty-line"),
    ];
    for (bytes, word) in hostile {
        assert_eq!(bad_answer(bytes).word(), word, "{}", bytes.escape_ascii());
    }
}

#[test]
fn a_head_without_end_is_bounded() {
    let limits = HeadLimits { bytes: 100, headers: 3, target: 0 };
    let verdict = |bytes: &[u8]| parse_response(bytes, &limits, Question::default());
    let long = ok(&[&format!("A: {}", "b".repeat(100))]);
    assert_eq!(verdict(&long), Err(BadResponse::HeadTooLong));
    assert_eq!(verdict(&ok(&["A: b"; 4])), Err(BadResponse::TooManyHeaders));
    assert_eq!(verdict(b"HTTP/1.1 200 OK\r\n"), Ok(None));
    assert!(worth_parsing(&long, 1, &limits));
}

#[test]
fn what_concerns_the_nodes_connection_ends_here() {
    let bytes = ok(&[
        "Connection: keep-alive, x-mine",
        "Keep-Alive: timeout=5",
        "X-Mine: 1",
        "Content-Length: 0",
        "Trailer: x",
        "Upgrade: h2c",
    ]);
    let expected = ["HTTP/1.1 200 OK", "Content-Length: 0"];
    assert_eq!(told(&bytes, &ResponseChanges::default()), text(&expected));
}

#[test]
fn the_body_can_be_framed_otherwise_for_the_client() {
    let framed = |lines: &[&str], framing| {
        told(&ok(lines), &ResponseChanges { framing, ..ResponseChanges::default() })
    };
    let (length, chunked) = ("Content-Length: 3", "Transfer-Encoding: chunked");
    assert_eq!(framed(&[], Framing::Chunked), text(&["HTTP/1.1 200 OK", chunked]));
    assert_eq!(framed(&[length], Framing::Chunked), text(&["HTTP/1.1 200 OK", chunked]));
    assert_eq!(framed(&[chunked], Framing::Chunked), text(&["HTTP/1.1 200 OK", chunked]));
    assert_eq!(framed(&[chunked, "A: b"], Framing::Close), text(&["HTTP/1.1 200 OK", "A: b"]));
    let odd = "Transfer-Encoding: Chunked";
    assert_eq!(framed(&[odd], Framing::Keep), text(&["HTTP/1.1 200 OK", chunked]));
}

#[test]
fn the_client_is_told_what_becomes_of_its_connection() {
    let bytes = ok(&["Content-Length: 0"]);
    let said = |connection, line| {
        let lines: [&[u8]; 1] = [b"Via: x\r\n"];
        let changes = ResponseChanges { connection, lines: &lines, ..ResponseChanges::default() };
        let expected = text(&["HTTP/1.1 200 OK", "Content-Length: 0", line, "Via: x"]);
        assert_eq!(told(&bytes, &changes), expected);
    };
    said(Connection::Close, "Connection: close");
    said(Connection::KeepAlive10, "Connection: keep-alive");
}

#[test]
fn the_status_line_is_http_11_with_the_nodes_reason() {
    let first = |line: &str| {
        let bytes = head(&[line, "Content-Length: 0"]);
        told(&bytes, &ResponseChanges::default()).lines().next().unwrap().to_owned()
    };
    assert_eq!(first("HTTP/1.0 404 Not here"), "HTTP/1.1 404 Not here");
    assert_eq!(first("HTTP/1.1 500"), "HTTP/1.1 500 ");
    assert_eq!(first("HTTP/1.1 500 "), "HTTP/1.1 500 ");
    assert_eq!(first("HTTP/1.1 200 Schön"), "HTTP/1.1 200 Schön");
}
