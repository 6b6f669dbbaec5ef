//! Generated requests: valid, unusual and broken, the same for the same seed.
//!
//! A request is drafted by the grammar, and some are then broken in one or two places. The places
//! of the token are never touched, so that what arrives can be told apart.

use rand::rngs::SmallRng;
use rand::seq::IndexedRandom as _;
use rand::{Rng as _, SeedableRng as _};

use super::case::PLACE;
use super::vector::HOST;

/// A generated request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Generated {
    /// Its bytes, with places for the token.
    pub bytes: Vec<u8>,
    /// How many requests were drafted: two are pipelined.
    pub requests: usize,
}

/// A request before it is written: what is broken is broken here or in the bytes.
#[derive(Debug, Clone)]
struct Draft {
    first: String,
    lines: Vec<Vec<u8>>,
    /// The end of each line, the first one's first.
    ends: Vec<&'static str>,
    body: Vec<u8>,
}

const METHODS: &[&str] =
    &["GET", "GET", "GET", "POST", "POST", "PUT", "DELETE", "OPTIONS", "PATCH", "HEAD", "BREW"];

const TARGETS: &[&str] =
    &["", "a", "a/b?c=d", "?", "%20%c3%a9", "a;v=1", "a//b", "-._~!$&'()*+,;=:@", "x?a=b&c=%26?"];

/// Good lines, usual and not.
const LINES: &[&[u8]] = &[
    b"Accept: */*",
    b"User-Agent: made/1.0",
    b"Cookie: a=1; b=2",
    b"X-Empty:",
    b"X-Blanks: \t b \t",
    b"X-Latin: K\xf6ln",
    b"X-Twice: 1",
    b"x-twice: 2",
    b"!#$%&'*+-.^_`|~9: odd name",
    b"Accept-Encoding: gzip, br",
    b"X-Forwarded-For: 6.6.6.6",
    b"Forwarded: for=6.6.6.6",
    b"Keep-Alive: timeout=5",
    b"Authorization: Basic eDp5",
    b"X-Colons: a:b:c",
    b"If-None-Match: \"x\"",
    b"Range: bytes=0-1",
];

/// Lines that change where a request ends, or whether it is one.
const EVIL: &[&[u8]] = &[
    b"Content-Length: 0",
    b"Content-Length: 5",
    b"Content-Length: +5",
    b"Content-Length: 5, 5",
    b"Content-Length: 0x5",
    b"Content-Length:",
    b"Content-Length : 5",
    b"content-length: 99999999999999999999",
    b"Transfer-Encoding: chunked",
    b"Transfer-Encoding: identity",
    b"Transfer-Encoding: gzip, chunked",
    b"Transfer-Encoding: ,chunked",
    b"Transfer-Encoding: xchunked",
    b"Transfer-Encoding : chunked",
    b"Transfer-Encoding:\x0bchunked",
    b"Connection: content-length",
    b"Connection: transfer-encoding, host",
    b"Connection: x-twice, a b",
    b"Connection: \"close\"",
    b"Connection: ,,keep-alive,",
    b"TE: trailers, deflate;q=0.5",
    b"TE: (gzip)",
    b"Upgrade: h2c, websocket/13",
    b"Upgrade: web socket",
    b"X-Forwarded-: 6.6.6.6",
    b"Host: h.example",
    b"Host: a b",
    b"Host: a/../b",
    b"no colon",
    b": no name",
    b"a b: c",
    b" folded",
    b"\tfolded",
    b"X-Nul: a\0b",
    b"X-Cr: a\rb",
    b"X-Lf: a\nTransfer-Encoding: chunked",
    b"X-Del: \x7f",
];

/// Ends of a target that are none, or that some write otherwise.
const ODD: &[&str] =
    &["#", "\u{e9}", "\\", "a b", "\"", "<", ">", "`", "?`", "?\"", "?<", "^{|}", "?^{|}"];

/// Schemes with hosts, the one that is asked for and others.
const URLS: &[&str] = &[
    "http://h.example",
    "http://h.example",
    "HTTP://H.Example",
    "http://h.example:80",
    "https://h.example",
    "https://h.example:443",
    "http://h.example:443",
    "http://h.example:81",
    "http://other.example",
    "http://u@h.example",
    "http://[::1]",
];

/// Bytes that mean something to a reader of heads.
const TELLING: &[u8] = b"\r\n\0\t :;,\"/?#@+-0x9<>`\x0b\x7f\x80\xff";

// === generate ===

/// The request of this number in the run of this seed.
pub fn request(seed: u64, number: u64) -> Generated {
    let mut rng = SmallRng::seed_from_u64(seed ^ number.wrapping_mul(0x9e37_79b9_7f4a_7c15));
    let mut draft = draft(&mut rng);
    let breaks = match rng.random_range(0..100) {
        0..55 => 0,
        55..90 => 1,
        _ => 2,
    };
    let in_bytes = rng.random_range(0..=breaks);
    for _ in in_bytes..breaks {
        draft.spoil(&mut rng);
    }
    let mut bytes = draft.write();
    let mut requests = 1;
    if rng.random_ratio(1, 10) {
        bytes.extend(follower(&mut rng).write());
        requests = 2;
    }
    for _ in 0..in_bytes {
        spoil_bytes(&mut bytes, &mut rng);
    }
    Generated { bytes, requests }
}

fn draft(rng: &mut SmallRng) -> Draft {
    let method = pick(METHODS, rng);
    let version = if rng.random_ratio(1, 12) { "HTTP/1.0" } else { "HTTP/1.1" };
    let target = match rng.random_ratio(1, 20) {
        true => format!("{}/{PLACE}/{}", pick(URLS, rng), pick(TARGETS, rng)),
        false => format!("/{PLACE}/{}", pick(TARGETS, rng)),
    };
    let mut lines: Vec<Vec<u8>> = vec![format!("Host: {HOST}").into()];
    for _ in 0..rng.random_range(0..6) {
        lines.push(pick(LINES, rng).to_vec());
    }
    if rng.random_ratio(3, 4) {
        lines.push(b"Connection: close".to_vec());
    }
    let body = add_body(method, version, &mut lines, rng);
    let ends = vec!["\r\n"; lines.len() + 2];
    Draft { first: format!("{method} {target} {version}"), lines, ends, body }
}

/// A second request on the same connection, which closes it.
fn follower(rng: &mut SmallRng) -> Draft {
    let first = format!("GET /{PLACE}/second{} HTTP/1.1", rng.random_range(0..10));
    let lines = vec![format!("Host: {HOST}").into(), b"Connection: close".to_vec()];
    Draft { first, lines, ends: vec!["\r\n"; 4], body: Vec::new() }
}

fn add_body(method: &str, version: &str, lines: &mut Vec<Vec<u8>>, rng: &mut SmallRng) -> Vec<u8> {
    let usual = matches!(method, "POST" | "PUT" | "PATCH");
    if !usual && !rng.random_ratio(1, 8) {
        return Vec::new();
    }
    let length = *[0, 1, 5, 100, 5_000].choose(rng).unwrap_or(&5);
    let data: Vec<u8> = (0..length).map(|_| rng.random_range(b'a'..=b'z')).collect();
    let at = rng.random_range(0..=lines.len());
    if version == "HTTP/1.0" || rng.random_bool(0.5) {
        lines.insert(at, format!("Content-Length: {length}").into());
        return data;
    }
    lines.insert(at, b"Transfer-Encoding: chunked".to_vec());
    chunks(&data, rng)
}

fn chunks(data: &[u8], rng: &mut SmallRng) -> Vec<u8> {
    let mut body = Vec::new();
    let mut rest = data;
    while !rest.is_empty() {
        let (chunk, after) = rest.split_at(rng.random_range(1..=rest.len()));
        let size = chunk.len();
        let head = match rng.random_range(0..6) {
            0 => format!("{size:X}"),
            1 => format!("0{size:x}"),
            2 => format!("{size:x};a=b"),
            _ => format!("{size:x}"),
        };
        body.extend([head.as_bytes(), b"\r\n", chunk, b"\r\n"].concat());
        rest = after;
    }
    let end = pick(&["0\r\n\r\n", "0\r\n\r\n", "00\r\n\r\n", "0\r\nX-Sum: 7\r\n\r\n"], rng);
    body.extend(end.as_bytes());
    body
}

// === spoil ===

impl Draft {
    fn write(&self) -> Vec<u8> {
        let mut bytes = [self.first.as_bytes(), self.ends[0].as_bytes()].concat();
        for (line, end) in self.lines.iter().zip(&self.ends[1..]) {
            bytes.extend(line);
            bytes.extend(end.as_bytes());
        }
        bytes.extend(self.ends.last().copied().unwrap_or_default().as_bytes());
        bytes.extend(&self.body);
        bytes
    }

    /// Breaks the grammar in one place.
    fn spoil(&mut self, rng: &mut SmallRng) {
        let line = rng.random_range(0..self.lines.len().max(1));
        match rng.random_range(0..10) {
            0 => {
                let end = rng.random_range(0..self.ends.len());
                self.ends[end] = pick(&["\n", "\r", "\r\r\n", "\n\r", "\r\n "], rng);
            }
            1 if !self.lines.is_empty() => self.insert(self.lines[line].clone(), rng),
            2 if !self.lines.is_empty() => {
                self.lines.remove(line);
                self.ends.remove(1);
            }
            3 => {
                self.first =
                    self.first.replace("HTTP/1", pick(&["HTTP/2", "http/1", "HTTP /1"], rng))
            }
            4 => self.first = self.first.replace(' ', pick(&["  ", "\t", " \t"], rng)),
            5 => {
                let bad = pick(ODD, rng);
                self.first = self.first.replace(" HTTP", &format!("{bad} HTTP"));
            }
            _ => self.insert(pick(EVIL, rng).to_vec(), rng),
        }
    }

    fn insert(&mut self, line: Vec<u8>, rng: &mut SmallRng) {
        let at = rng.random_range(0..=self.lines.len());
        self.lines.insert(at, line);
        self.ends.insert(1, "\r\n");
    }
}

/// Changes one byte, takes one out, puts one in, or cuts the end off.
fn spoil_bytes(bytes: &mut Vec<u8>, rng: &mut SmallRng) {
    let free: Vec<usize> = (0..bytes.len()).filter(|&at| !is_place(bytes, at)).collect();
    let Some(&at) = free.choose(rng) else { return };
    let byte = *TELLING.choose(rng).unwrap_or(&0);
    match rng.random_range(0..8) {
        0..3 => bytes[at] = byte,
        3..5 => drop(bytes.remove(at)),
        5..7 => bytes.insert(at, byte),
        _ => {
            let place = bytes.windows(PLACE.len()).position(|w| w == PLACE.as_bytes());
            let least = place.unwrap_or(0) + PLACE.len();
            bytes.truncate(at.max(least));
        }
    }
}

/// Whether a byte belongs to a place for the token, or would part one if something came before.
fn is_place(bytes: &[u8], at: usize) -> bool {
    let length = PLACE.len();
    (at.saturating_sub(length - 1)..=at)
        .any(|from| bytes.get(from..from + length) == Some(PLACE.as_bytes()))
}

fn pick<'p, T: ?Sized>(of: &[&'p T], rng: &mut SmallRng) -> &'p T {
    of[rng.random_range(0..of.len())]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hostile::case;
    use crate::hostile::reading::{self, Reading};

    #[test]
    fn the_same_seed_gives_the_same_requests() {
        let all = |seed| (0..100).map(|n| request(seed, n)).collect::<Vec<_>>();
        assert_eq!(all(1), all(1));
        assert_ne!(all(1), all(2));
    }

    #[test]
    fn every_request_keeps_a_place_for_its_token() {
        for number in 0..20_000 {
            let Generated { bytes, .. } = request(3, number);
            assert!(!case::ids(&case::fill(&bytes, 9)).is_empty(), "{number}");
        }
    }

    #[test]
    fn many_are_good_and_many_are_not() {
        let is_good =
            |n: &u64| matches!(reading::request(&request(4, *n).bytes), Reading::Whole { .. });
        let good = (0..2_000).filter(is_good).count();
        assert!((1_000..1_700).contains(&good), "{good} of 2,000 are good");
    }
}
