//! The request's body on its way to the node: sent when the node asks, never more than it asked
//! for. (reference: AJP13, point 6)

use super::codes::TO_NODE;
use super::packet::{PacketSize, put_number};

/// Bytes of a request's body, as far as its head tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Body {
    /// There is none.
    None,
    /// So many.
    Length(u64),
    /// Its end will tell: it came chunked, or over HTTP/2 without a length.
    Unknown,
}

/// What is sent, what may be, and what the node waits for.
#[derive(Debug)]
pub(super) struct Upload {
    /// Bytes still to come, where that is known.
    left: Option<u64>,
    /// Bytes that the node takes now; 0 while it has not asked.
    wish: u16,
    /// Most bytes of one packet.
    most: u16,
    is_ended: bool,
    /// It ended before its length was reached: the node can't be told, so it waits in vain.
    is_short: bool,
}

// === impl Upload ===

impl Upload {
    pub(super) fn new(body: Body, size: PacketSize) -> Upload {
        let left = match body {
            Body::None => Some(0),
            Body::Length(length) => Some(length),
            Body::Unknown => None,
        };
        let most = size.data();
        // With a length, the first packet goes unasked.
        let wish = left.map_or(0, |left| u16::try_from(left).map_or(most, |left| left.min(most)));
        Upload { left, wish, most, is_ended: left == Some(0), is_short: false }
    }

    pub(super) fn wish(&self) -> usize {
        usize::from(self.wish)
    }

    /// Whether no packet is owed to the node.
    pub(super) fn is_clean(&self) -> bool {
        self.wish == 0 && !self.is_short
    }

    /// The node asks for at most `wish` bytes; `None` when it may not.
    pub(super) fn ask(&mut self, wish: u16) -> Option<usize> {
        if self.wish != 0 || wish == 0 {
            return None;
        }
        self.wish = wish.min(self.most);
        Some(self.wish())
    }

    /// Packs what the node takes now, and the end when it is reached and asked for.
    pub(super) fn send(&mut self, data: &[u8], is_end: bool, out: &mut Vec<u8>) -> usize {
        if self.is_short {
            return 0;
        }
        let taken = &data[..self.takes(data.len())];
        if !taken.is_empty() {
            put_data(taken, out);
            self.wish = 0;
        }
        self.left = self.left.map(|left| left - taken.len() as u64);
        self.is_ended |= self.left == Some(0) || is_end && taken.len() == data.len();
        self.is_short = self.is_ended && self.left.is_some_and(|left| left > 0);
        if self.is_ended && !self.is_short && self.wish != 0 {
            // The empty packet: there is no more.
            put_header(0, out);
            self.wish = 0;
        }
        taken.len()
    }

    /// How many of so many bytes the node takes now.
    fn takes(&self, offered: usize) -> usize {
        if self.is_ended {
            return 0;
        }
        let most = self.left.map_or(u64::MAX, |left| left).min(u64::from(self.wish));
        usize::try_from(most).map_or(offered, |most| most.min(offered))
    }
}

fn put_data(data: &[u8], out: &mut Vec<u8>) {
    let length = u16::try_from(data.len()).expect("a wish is at most 65,530");
    put_header(length + 2, out);
    put_number(out, length);
    out.extend_from_slice(data);
}

fn put_header(length: u16, out: &mut Vec<u8>) {
    out.extend_from_slice(&TO_NODE);
    put_number(out, length);
}

#[cfg(test)]
mod tests {
    use super::*;

    const END: [u8; 4] = [0x12, 0x34, 0, 0];

    fn upload(body: Body) -> Upload {
        Upload::new(body, PacketSize::default())
    }

    /// What a `send` takes and writes.
    fn sent(upload: &mut Upload, data: &[u8], is_end: bool) -> (usize, Vec<u8>) {
        let mut out = Vec::new();
        (upload.send(data, is_end, &mut out), out)
    }

    #[test]
    fn with_a_length_the_first_packet_goes_unasked() {
        let mut upload = upload(Body::Length(10_000));
        let data = vec![7; 10_000];
        let (taken, out) = sent(&mut upload, &data, true);
        assert_eq!((taken, &out[..6]), (8_186, &[0x12, 0x34, 0x1F, 0xFC, 0x1F, 0xFA][..]));
        assert_eq!(out.len(), 8_192);
        assert_eq!(sent(&mut upload, &data[taken..], true), (0, vec![]));
        assert_eq!(upload.ask(8_186), Some(8_186));
        assert_eq!(sent(&mut upload, &data[taken..], true).0, 10_000 - 8_186);
        assert!(upload.is_clean());
    }

    #[test]
    fn the_end_is_told_only_when_the_node_asks() {
        let mut upload = upload(Body::Unknown);
        assert_eq!(upload.wish(), 0);
        assert_eq!(sent(&mut upload, b"ab", false), (0, vec![]));
        upload.ask(100);
        assert_eq!(sent(&mut upload, b"", false), (0, vec![]));
        assert_eq!(sent(&mut upload, b"ab", true), (2, b"\x12\x34\0\x04\0\x02ab".to_vec()));
        assert_eq!(sent(&mut upload, b"", true), (0, vec![]));
        upload.ask(100);
        assert_eq!(sent(&mut upload, b"", false), (0, END.to_vec()));
        assert!(upload.is_clean());
    }

    #[test]
    fn a_node_that_asks_for_a_body_that_is_none_is_told_its_end() {
        for body in [Body::None, Body::Length(0)] {
            let mut upload = upload(body);
            assert_eq!(upload.wish(), 0);
            assert_eq!(upload.ask(8_186), Some(8_186));
            assert_eq!(sent(&mut upload, b"smuggled", false), (0, END.to_vec()));
        }
    }

    #[test]
    fn a_body_that_ends_before_its_length_is_never_told_as_whole() {
        let mut upload = upload(Body::Length(5));
        assert_eq!(sent(&mut upload, b"ab", true).0, 2);
        upload.ask(8_186);
        assert_eq!(sent(&mut upload, b"", true), (0, vec![]));
        assert!(!upload.is_clean());
    }

    #[test]
    fn a_body_longer_than_its_length_ends_at_its_length() {
        let mut upload = upload(Body::Length(2));
        assert_eq!(sent(&mut upload, b"abGET", true).0, 2);
        upload.ask(8_186);
        assert_eq!(sent(&mut upload, b"GET", true), (0, END.to_vec()));
    }

    #[test]
    fn a_second_wish_and_one_for_nothing_are_refused() {
        let mut upload = upload(Body::Unknown);
        assert_eq!(upload.ask(0), None);
        assert_eq!(upload.ask(u16::MAX), Some(8_186));
        assert_eq!(upload.ask(1), None);
    }
}
