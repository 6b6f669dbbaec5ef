//! Fuzz targets: heads and bodies in chunks. The kept corpus lies in `__fuzz__`, one folder for
//! each target, and is tried first. `BOLERO_RANDOM_TEST_TIME_MS` makes a run longer.
//!
//! Noise alone never gets far into a parser, so each input is tried as it is, and as a list of
//! edits of something good.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a finding ends the run")]

use std::time::Duration;

use muster_http1::{BodyReader, HeadLimits, Keep};

#[path = "properties/agree.rs"]
mod agree;
#[path = "properties/naive.rs"]
mod naive;

const REQUESTS: [&[u8]; 3] = [
    b"GET /shop?x=1 HTTP/1.1\r\nHost: a.example:80\r\nCookie: a=1\r\nConnection: keep-alive\r\n\r\n",
    b"POST http://b.example/ HTTP/1.1\r\nHost: b.example:80\r\nTransfer-Encoding: chunked\r\nX-A: b\r\n\r\n",
    b"GET / HTTP/1.1\r\nhost: c\r\nConnection: upgrade, x-a\r\nUpgrade: websocket\r\nX-A: 1\r\n\r\n",
];

const ANSWERS: [&[u8]; 3] = [
    b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\nConnection: close, x-a\r\nX-A: 1\r\n\r\n",
    b"HTTP/1.1 101 Switching\r\nUpgrade: websocket\r\nConnection: upgrade\r\n\r\n",
    b"HTTP/1.0 404 \r\nTransfer-Encoding: chunked\r\nKeep-Alive: 5\r\n\r\n",
];

const BODIES: [&[u8]; 2] = [
    b"3;a=b\r\nabc\r\n00A\r\n0123456789\r\n0\r\nX-Sum: 1\r\nY:\r\n\r\n",
    b"1\r\na\r\n1\r\nb\r\n0\r\n\r\n",
];

/// What an edit puts in.
const PARTS: [&[u8]; 22] = [
    b"\r\n",
    b"\n",
    b"\r",
    b"\r\n\r\n",
    b" ",
    b"\t",
    b":",
    b";",
    b",",
    b"\0",
    b"0",
    b"F",
    b"?",
    b"#",
    b"\"",
    b"`",
    b"/",
    b"\xE9",
    b"Content-Length: 3\r\n",
    b"Transfer-Encoding: chunked\r\n",
    b"Connection: host\r\n",
    b"Host: d\r\n",
];

/// Something good, with three bytes of input for each edit: where, how many bytes go, and what
/// comes in their place.
fn edited(goods: &[&[u8]], input: &[u8]) -> Vec<u8> {
    let Some((first, edits)) = input.split_first() else { return Vec::new() };
    let mut bytes = goods[usize::from(*first) % goods.len()].to_vec();
    for edit in edits.as_chunks::<3>().0.iter().take(4) {
        let [place, gone, part] = edit.map(usize::from);
        let place = place % (bytes.len() + 1);
        let end = (place + gone % 4).min(bytes.len());
        bytes.splice(place..end, PARTS[part % PARTS.len()].iter().copied());
    }
    bytes
}

/// Tries each input as it is and as edits.
fn both(goods: &[&[u8]], input: &[u8], mut check: impl FnMut(&[u8])) {
    check(input);
    check(&edited(goods, input));
}

/// Some places to split at, all over the bytes.
fn places(length: usize) -> impl Iterator<Item = usize> + Clone {
    (0..length).step_by(1 + length / 16)
}

#[test]
fn request_heads_agree_with_every_reader() {
    bolero::check!().with_test_time(Duration::from_millis(500)).for_each(|input: &[u8]| {
        both(&REQUESTS, input, |bytes| {
            agree::can_be_written(bytes);
            agree::request_agrees(bytes);
            agree::is_judged_alike(bytes, places(bytes.len()), &HeadLimits::default());
        });
    });
}

#[test]
fn answer_heads_agree_with_every_reader() {
    bolero::check!().with_test_time(Duration::from_millis(500)).for_each(|input: &[u8]| {
        both(&ANSWERS, input, |bytes| {
            agree::can_be_written(bytes);
            agree::answer_agrees(bytes);
            agree::is_judged_alike(bytes, places(bytes.len()), &HeadLimits::default());
        });
    });
}

#[test]
fn bodies_in_chunks_agree_with_every_reader() {
    bolero::check!().with_test_time(Duration::from_millis(500)).for_each(|input: &[u8]| {
        let sizes: Vec<usize> = input.iter().map(|byte| 1 + usize::from(byte % 7)).collect();
        both(&BODIES, input, |bytes| {
            for keep in [Keep::Framing, Keep::Data] {
                agree::is_read_alike(&BodyReader::chunked(keep), bytes, &sizes);
            }
            let ours = agree::read(BodyReader::chunked(Keep::Data), bytes, &[]);
            let ours = ours.verdict.is_ok().then_some((ours.kept, ours.consumed));
            assert_eq!(ours, naive::decode(bytes));
        });
    });
}
