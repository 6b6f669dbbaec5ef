//! Any bytes for the reader of answers. The kept ones (`__fuzz__`) were recorded from a Tomcat
//! 7.0.109, or once found a fault.
//!
//! Random bytes alone would all fall at the first two, so they are also packed into packets, and
//! written over an answer that is right. For a long run: `BOLERO_RANDOM_TEST_TIME_MS=600000 cargo
//! test -p muster-protocol --test ajp fuzz`.

use std::time::Duration;

use muster_protocol::ajp::{Body, Exchange, PacketSize};

use crate::server::{Told, chunk, end, framed, head, told, wish};

#[test]
fn answers() {
    let right = right();
    bolero::check!().with_test_time(Duration::from_millis(500)).for_each(|input: &[u8]| {
        hear(input);
        hear(&packed(input));
        hear(&overwritten(&right, input));
    });
}

fn right() -> Vec<u8> {
    let headers = [("Content-Length", &b"8"[..]), ("X-Node", b"a"), ("Connection", b"close")];
    let packets = [head(200, "OK", &headers), wish(9), chunk(b"hello"), chunk(b""), chunk(b"you")];
    [packets.concat(), end(true)].concat()
}

/// The input as packets: each takes its number and its length from the first bytes left.
fn packed(mut input: &[u8]) -> Vec<u8> {
    let mut packets = Vec::new();
    while let [number, length, rest @ ..] = input {
        let (content, rest) = rest.split_at(rest.len().min(usize::from(*length)));
        input = rest;
        packets.extend(match number % 8 {
            0 => head(200 + u16::from(*length), "", &[("X", content)]),
            1 => chunk(content),
            2 => wish(u16::from(*length)),
            code => framed(&[&[code], content].concat()),
        });
    }
    packets
}

/// The answer with bytes of the input at places that the input names.
fn overwritten(right: &[u8], input: &[u8]) -> Vec<u8> {
    let mut bytes = right.to_vec();
    for pair in input.chunks_exact(2).take(4) {
        let at = usize::from(pair[0]) % bytes.len();
        bytes[at] = pair[1];
    }
    bytes
}

/// Whatever comes, it tells the same in pieces, and nothing that an HTTP client must not see.
fn hear(bytes: &[u8]) {
    for (body, is_head) in [(Body::None, false), (Body::Unknown, true), (Body::Length(3), false)] {
        let exchange = || Exchange::new(body, is_head, PacketSize::default());
        let (mut whole, mut cut) = (exchange(), exchange());
        let heard = told(&mut whole, [bytes]);
        assert_eq!(told(&mut cut, bytes.chunks(3)), heard);
        assert!(!whole.is_reusable() || heard.last() == Some(&Told::End));
        check(&heard);
    }
}

fn check(heard: &[Told]) {
    let mut left = None;
    for event in heard {
        match event {
            Told::Head { status, message, length, is_bodiless, headers } => {
                assert!((100..=599).contains(status) && *status != 101);
                assert!(is_clean(message.as_bytes()) && headers.len() <= 100);
                assert!(headers.iter().all(|(n, v)| is_clean(n.as_bytes()) && is_clean(v)));
                left = if *is_bodiless { Some(0) } else { *length };
            }
            Told::Body(data) => {
                left = left.map(|left| left.checked_sub(data.len() as u64).unwrap());
            }
            Told::Wants(wish) => assert!((1..=8_186).contains(wish)),
            Told::End => assert!(matches!(left, None | Some(0))),
            Told::Flush | Told::Bad(_) => {}
        }
    }
}

fn is_clean(text: &[u8]) -> bool {
    !text.iter().any(|byte| b"\r\n\0".contains(byte))
}
