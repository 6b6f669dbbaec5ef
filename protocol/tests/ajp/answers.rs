//! What a node answers, and what the balancer hears of it.

use muster_protocol::ajp::{Body, Exchange, PacketSize};
use proptest::prelude::*;

use crate::server::{Told, chunk, end, head, told, wish};

fn get() -> Exchange {
    Exchange::new(Body::None, false, PacketSize::default())
}

fn heard(exchange: &mut Exchange, packets: &[Vec<u8>]) -> Vec<Told> {
    told(exchange, [&packets.concat()[..]])
}

fn told_head(status: u16, length: Option<u64>, is_bodiless: bool) -> Told {
    let message = String::new();
    Told::Head { status, message, length, is_bodiless, headers: Vec::new() }
}

#[test]
fn an_answer_is_a_head_a_body_and_an_end() {
    let headers = [("Content-Type", &b"text/plain"[..]), ("Set-Cookie", b"a=1"), ("X-N", b" v\t")];
    let packets = [head(200, "OK", &headers), chunk(b"hel"), chunk(b""), chunk(b"lo"), end(true)];
    let mut exchange = get();
    let heard = heard(&mut exchange, &packets);
    let headers = [("Content-Type", "text/plain"), ("Set-Cookie", "a=1"), ("X-N", "v")];
    let head = Told::Head {
        status: 200,
        message: "OK".to_owned(),
        length: None,
        is_bodiless: false,
        headers: headers.map(|(n, v)| (n.to_owned(), v.into())).into(),
    };
    let expected =
        [head, Told::Body(b"hel".into()), Told::Flush, Told::Body(b"lo".into()), Told::End];
    assert_eq!(heard, expected);
    assert!(exchange.is_reusable());
}

#[test]
fn a_body_is_passed_on_before_its_packet_is_whole() {
    let mut exchange = get();
    let bytes = [head(200, "", &[]), chunk(b"hello")].concat();
    let cut = bytes.len() - 4;
    let heard = told(&mut exchange, [&bytes[..cut]]);
    assert_eq!(heard[1..], [Told::Body(b"he".into())]);
}

#[test]
fn what_ends_at_this_hop_is_dropped_and_what_is_sent_twice_stays_twice() {
    let headers = [
        ("Set-Cookie", &b"a=1"[..]),
        ("Connection", b"close, X-Hop"),
        ("keep-alive", b"timeout=5"),
        ("Transfer-Encoding", b"chunked"),
        ("Upgrade", b"h2c"),
        ("Trailer", b"x"),
        ("X-Hop", b"1"),
        ("set-cookie", b"b=2"),
        ("Content-Length", b"0"),
    ];
    let heard = heard(&mut get(), &[head(200, "", &headers)]);
    let Told::Head { headers, length, .. } = &heard[0] else { panic!("{heard:?}") };
    assert_eq!(*length, Some(0));
    let expected = [("Set-Cookie", "a=1"), ("set-cookie", "b=2")];
    assert_eq!(*headers, expected.map(|(n, v)| (n.to_owned(), v.into())));
}

#[test]
fn a_phrase_that_says_nothing_or_cannot_be_sent_is_none() {
    for (phrase, message) in [("Fine", "Fine"), ("200", ""), ("a\r\nb: c", ""), ("é", "é")] {
        let heard = heard(&mut get(), &[head(200, phrase, &[])]);
        let Told::Head { message: found, .. } = &heard[0] else { panic!("{heard:?}") };
        assert_eq!(found, message, "{phrase:?}");
    }
}

#[test]
fn the_body_of_a_head_request_is_not_passed_on() {
    let mut exchange = Exchange::new(Body::None, true, PacketSize::default());
    let length = [("Content-Length", &b"9"[..])];
    let packets = [head(200, "", &length), chunk(b"hello"), chunk(b""), end(true)];
    assert_eq!(heard(&mut exchange, &packets), [told_head(200, Some(9), true), Told::End]);
    assert!(exchange.is_reusable());
}

#[test]
fn answers_without_a_body_lose_the_length_that_tomcat_gives_them() {
    for (status, said, length) in
        [(204, b"0", None), (204, b"5", None), (304, b"0", None), (304, b"5", Some(5))]
    {
        let mut exchange = get();
        let packets = [head(status, "", &[("Content-Length", said)]), chunk(b"x"), end(true)];
        assert_eq!(heard(&mut exchange, &packets), [told_head(status, length, true), Told::End]);
        assert!(exchange.is_reusable());
    }
}

#[test]
fn interim_heads_come_before_the_final_one() {
    let early = head(103, "", &[("Content-Length", b"3")]);
    let packets = [head(100, "", &[]), early, head(200, "", &[]), end(true)];
    let expected = [
        told_head(100, None, true),
        told_head(103, None, true),
        told_head(200, None, false),
        Told::End,
    ];
    assert_eq!(heard(&mut get(), &packets), expected);
}

#[test]
fn a_node_may_ask_for_the_body_before_amid_and_after_its_head() {
    let mut exchange = Exchange::new(Body::Unknown, false, PacketSize::default());
    let packets = [wish(10), head(200, "", &[]), wish(9_000), chunk(b"x"), wish(1), end(true)];
    let expected = [
        Told::Wants(10),
        told_head(200, None, false),
        Told::Wants(8_186),
        Told::Body(b"x".into()),
        Told::Wants(1),
        Told::End,
    ];
    assert_eq!(heard(&mut exchange, &packets), expected);
    assert!(exchange.is_reusable());
}

#[test]
fn a_connection_is_reused_only_when_the_node_says_so_and_is_owed_nothing() {
    let answer = |last: Vec<u8>| [head(200, "", &[]), last].concat();
    let is_reusable_after = |body, bytes: Vec<u8>| {
        let mut exchange = Exchange::new(body, false, PacketSize::default());
        let mut rest = &bytes[..];
        while !rest.is_empty() {
            rest = &rest[exchange.receive(rest).unwrap().consumed..];
        }
        assert_eq!((exchange.wants(), exchange.send(b"x", true, &mut Vec::new())), (0, 0));
        exchange.is_reusable()
    };
    assert!(is_reusable_after(Body::None, answer(end(true))));
    assert!(!is_reusable_after(Body::None, answer(end(false))));
    assert!(!is_reusable_after(Body::None, answer(b"AB\0\x01\x05".to_vec())));
    // The node waits for the first packet, which never came.
    assert!(!is_reusable_after(Body::Length(5), answer(end(true))));
    assert!(!is_reusable_after(Body::Unknown, answer([wish(5), end(true)].concat())));
    assert!(is_reusable_after(Body::Unknown, answer(end(true))));
}

#[test]
fn an_exchange_that_is_not_over_is_not_reusable() {
    let mut exchange = get();
    assert!(!exchange.is_reusable());
    heard(&mut exchange, &[head(200, "", &[]), chunk(b"x")]);
    assert!(!exchange.is_reusable());
}

// === Properties ===

/// One packet, or a few, after the head.
fn part() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        4 => proptest::collection::vec(any::<u8>(), 0..300).prop_map(|data| chunk(&data)),
        1 => (1..=u16::MAX).prop_map(wish),
    ]
}

fn answer() -> impl Strategy<Value = Vec<u8>> {
    let header = ("[A-Za-z-]{1,10}", "[ -~]{0,30}")
        .prop_filter("lengths are for stories", |(name, _)| !name.starts_with("Content-L"));
    let headers = proptest::collection::vec(header, 0..8);
    let status = prop_oneof![Just(200), Just(304), Just(404)];
    let parts = proptest::collection::vec(part(), 0..12);
    (status, headers, parts).prop_map(|(status, headers, parts)| {
        let headers: Vec<_> = headers.iter().map(|(n, v)| (n.as_str(), v.as_bytes())).collect();
        [head(status, "x", &headers), parts.concat(), end(true)].concat()
    })
}

/// The bytes in pieces that end at these places.
fn pieces<'b>(bytes: &'b [u8], cuts: &[prop::sample::Index]) -> Vec<&'b [u8]> {
    let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut.index(bytes.len())).collect();
    cuts.extend([0, bytes.len()]);
    cuts.sort_unstable();
    cuts.windows(2).map(|pair| &bytes[pair[0]..pair[1]]).collect()
}

proptest! {
    #[test]
    fn however_an_answer_is_cut_it_tells_the_same(
        answer in answer(),
        cuts in proptest::collection::vec(any::<prop::sample::Index>(), 0..40),
        is_head in any::<bool>(),
    ) {
        let exchange = || Exchange::new(Body::None, is_head, PacketSize::default());
        let (mut whole, mut cut, mut by_bytes) = (exchange(), exchange(), exchange());
        let expected = told(&mut whole, [&answer[..]]);
        prop_assert_eq!(expected.last(), Some(&Told::End));
        prop_assert_eq!(&told(&mut cut, pieces(&answer, &cuts)), &expected);
        prop_assert_eq!(&told(&mut by_bytes, answer.chunks(1)), &expected);
        prop_assert!(whole.is_reusable() && cut.is_reusable() && by_bytes.is_reusable());
    }
}
