//! Nodes that break the protocol, or would have clients of HTTP misled.

use muster_protocol::ajp::{BadAnswer, Body, Exchange, MAX_ANSWER_PACKET, PacketSize};
use proptest::prelude::*;

use crate::server::{Told, chunk, end, framed, head, string, told, wish};

/// Why this answer to a GET is refused; its first byte may come late.
fn refused(packets: &[&[u8]]) -> BadAnswer {
    let bytes = packets.concat();
    let exchange = || Exchange::new(Body::None, false, PacketSize::default());
    let (mut whole, mut by_bytes) = (exchange(), exchange());
    let heard = told(&mut whole, [&bytes[..]]);
    assert_eq!(told(&mut by_bytes, bytes.chunks(1)).last(), heard.last());
    assert!(!whole.is_reusable() && whole.receive(b"A").is_err() && whole.wants() == 0);
    match heard.last() {
        Some(Told::Bad(bad)) => bad.clone(),
        other => panic!("{other:?}"),
    }
}

fn ok() -> Vec<u8> {
    head(200, "", &[])
}

fn with(name: &str, value: &[u8]) -> Vec<u8> {
    head(200, "", &[(name, value)])
}

#[test]
fn what_is_no_packet_of_an_answer_is_refused() {
    assert_eq!(refused(&[b"HTTP/1.1 200"]), BadAnswer::Magic(b'H'));
    assert_eq!(refused(&[b"AB\0\0"]), BadAnswer::Packet("an empty packet"));
    assert_eq!(refused(&[&framed(&[9])]), BadAnswer::UnknownPacket(9));
    assert_eq!(refused(&[&framed(&[2, 2])]), BadAnswer::UnknownPacket(2));
    assert_eq!(refused(&[&ok(), b"AC"]), BadAnswer::Magic(b'C'));
    assert_eq!(refused(&[b"\x12\x34"]), BadAnswer::Magic(0x12));
}

#[test]
fn lengths_that_disagree_are_refused() {
    let bad = |packet: &[u8]| refused(&[&ok(), packet]);
    assert_eq!(bad(&framed(&[3, 0, 5, b'x'])), BadAnswer::Packet("SEND_BODY_CHUNK"));
    assert_eq!(bad(&framed(&[3, 0, 1, b'x', 0, 0])), BadAnswer::Packet("SEND_BODY_CHUNK"));
    assert_eq!(bad(&framed(&[5, 1, 1])), BadAnswer::Packet("END_RESPONSE"));
    assert_eq!(bad(&framed(&[6, 1])), BadAnswer::Packet("GET_BODY_CHUNK"));
    assert_eq!(bad(&framed(&[6, 0, 1, 1])), BadAnswer::Packet("GET_BODY_CHUNK"));
    let short = |content: &[u8]| refused(&[&framed(content)]);
    assert_eq!(short(b"\x04\0\xC8"), BadAnswer::Packet("SEND_HEADERS"));
    assert_eq!(short(b"\x04\0\xC8\0\0\0\0\x01"), BadAnswer::Packet("SEND_HEADERS"));
    assert_eq!(short(b"\x04\0\xC8\0\0\0\0\0more"), BadAnswer::Packet("SEND_HEADERS"));
    assert_eq!(short(b"\x04\0\xC8\0\0\0\0\x01\xA0\x63\0\0\0"), BadAnswer::Packet("SEND_HEADERS"));
}

#[test]
fn packets_out_of_order_are_refused() {
    assert_eq!(refused(&[&ok(), &ok()]), BadAnswer::SecondHead);
    assert_eq!(refused(&[&chunk(b"x")]), BadAnswer::BeforeHead("a body"));
    assert_eq!(refused(&[&end(true)]), BadAnswer::BeforeHead("the end"));
    assert_eq!(refused(&[&head(100, "", &[]), &end(true)]), BadAnswer::BeforeHead("the end"));
    assert_eq!(refused(&[&ok(), &end(true), &ok()]), BadAnswer::AfterEnd);
    assert_eq!(refused(&[&head(100, "", &[]).repeat(11)]), BadAnswer::TooManyInterim(10));
}

#[test]
fn a_status_that_no_answer_has_is_refused() {
    for status in [0, 99, 101, 600, u16::MAX] {
        assert_eq!(refused(&[&head(status, "", &[])]), BadAnswer::Status(status));
    }
}

#[test]
fn a_header_that_would_end_its_line_is_refused() {
    for value in [&b"a\r\nSet-Cookie: b"[..], b"a\n", b"\ra", b"a\0b", b"a\x7F", b"\x01"] {
        assert!(matches!(refused(&[&with("X", value)]), BadAnswer::HeaderValue { .. }));
    }
    for name in ["", "a b", "a:", "a\r\nb", "a\0", "Ä", "x "] {
        assert!(matches!(refused(&[&with(name, b"")]), BadAnswer::HeaderName(_)), "{name:?}");
    }
    let null = [b"\x04\0\xC8\0\0\0\0\x01\xFF\xFF", &string(b"v")[..]].concat();
    assert_eq!(refused(&[&framed(&null)]), BadAnswer::HeaderName(String::new()));
}

#[test]
fn several_or_odd_lengths_are_refused() {
    for value in [&b"+5"[..], b"-1", b"5, 5", b"0x5", b"", b"5 5", b"99999999999999999999", b"\xB2"]
    {
        let refused = refused(&[&with("Content-Length", value)]);
        assert!(matches!(refused, BadAnswer::Length(_)), "{refused:?}");
    }
    let twice = head(200, "", &[("Content-Length", b"5"), ("content-length", b"5")]);
    assert_eq!(refused(&[&twice]), BadAnswer::SeveralLengths);
}

#[test]
fn more_headers_than_the_limit_are_refused() {
    let many = |count| head(200, "", &vec![("X", &b"v"[..]); count]);
    assert_eq!(refused(&[&many(101)]), BadAnswer::TooManyHeaders { count: 101 });
    assert_eq!(refused(&[&many(100), &ok()]), BadAnswer::SecondHead);
}

#[test]
fn a_body_unlike_its_length_is_refused() {
    let five = with("Content-Length", b"5");
    assert_eq!(refused(&[&five, &chunk(b"hello"), &chunk(b"!")]), BadAnswer::BodyTooLong(1));
    assert_eq!(refused(&[&five, &chunk(b"hello, node")]), BadAnswer::BodyTooLong(6));
    assert_eq!(refused(&[&five, &chunk(b"hell"), &end(true)]), BadAnswer::BodyTooShort(1));
    assert_eq!(refused(&[&with("Content-Length", b"0"), &chunk(b"x")]), BadAnswer::BodyTooLong(1));
}

#[test]
fn wishes_that_no_node_has_are_refused() {
    assert_eq!(refused(&[&wish(0)]), BadAnswer::Wish(0));
    let mut exchange = Exchange::new(Body::Length(5), false, PacketSize::default());
    assert_eq!(exchange.receive(&wish(10)), Err(BadAnswer::Wish(10)));
}

#[test]
fn the_largest_head_is_read() {
    let rest = head(200, "", &[("X", b"")]).len();
    let value = vec![b'x'; MAX_ANSWER_PACKET - rest];
    let bytes = with("X", &value);
    assert_eq!(bytes.len(), MAX_ANSWER_PACKET);
    let mut exchange = Exchange::new(Body::None, false, PacketSize::default());
    assert!(matches!(&told(&mut exchange, bytes.chunks(9_999))[..], [Told::Head { .. }]));
}

#[test]
fn an_error_shows_only_the_start_of_what_a_node_sent() {
    let refused = refused(&[&with(&"é".repeat(5_000), b"")]);
    assert!(refused.to_string().len() < 100, "{refused}");
}

proptest! {
    #[test]
    fn no_head_lets_a_line_end_through(
        name in proptest::collection::vec(any::<u8>(), 0..6),
        value in proptest::collection::vec(any::<u8>(), 0..6),
        phrase in "[ -~\r\n\0]{0,6}",
    ) {
        let name = String::from_utf8_lossy(&name);
        let bytes = head(200, &phrase, &[(&name, &value)]);
        let mut exchange = Exchange::new(Body::None, false, PacketSize::default());
        let is_clean = |text: &[u8]| !text.iter().any(|byte| b"\r\n\0".contains(byte));
        for event in told(&mut exchange, [&bytes[..]]) {
            let Told::Head { message, headers, .. } = event else { continue };
            prop_assert!(is_clean(message.as_bytes()));
            prop_assert!(headers.iter().all(|(n, v)| is_clean(n.as_bytes()) && is_clean(v)));
        }
    }
}
