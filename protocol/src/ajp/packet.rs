//! What all packets are made of: numbers, strings, and how long a packet may be.
//!
//! A packet is two bytes that say who sent it, its length in two bytes, and so many bytes.
//! Numbers are big-endian; a string is its length, its bytes, and a zero. (reference: AJP13,
//! point 1)

use std::io::Write as _;

use super::codes::{NAME_IS_CODED, NULL, answer_header};

/// Bytes of a packet before its content.
pub(super) const HEADER: usize = 4;

/// Most bytes that a packet from a node has, whichever size was agreed: what a read buffer must
/// be able to hold, though only heads need to be there as a whole.
pub const MAX_ANSWER_PACKET: usize = HEADER + u16::MAX as usize;

/// Most bytes of a packet to a node. It is `max_packet_size` or `packetSize` in a node's own
/// configuration, and never larger here than there.
///
/// ```
/// use muster_protocol::ajp::PacketSize;
/// assert_eq!(PacketSize::default().bytes(), 8_192);
/// assert!(PacketSize::new(100).is_err());
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PacketSize(usize);

/// A packet size that AJP does not have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "an AJP packet can't have {bytes} bytes at most, the limits are {} and {}",
    PacketSize::MIN,
    PacketSize::MAX
)]
pub struct BadPacketSize {
    /// The size that was asked for.
    pub bytes: usize,
}

// === impl PacketSize ===

impl PacketSize {
    /// What every node takes, and the default.
    pub const MIN: usize = 8_192;
    /// The most that any node can be told to take.
    pub const MAX: usize = 65_536;

    /// A size of so many bytes, between [`PacketSize::MIN`] and [`PacketSize::MAX`].
    pub fn new(bytes: usize) -> Result<PacketSize, BadPacketSize> {
        match bytes {
            PacketSize::MIN..=PacketSize::MAX => Ok(PacketSize(bytes)),
            _ => Err(BadPacketSize { bytes }),
        }
    }

    /// Most bytes of a whole packet.
    pub fn bytes(self) -> usize {
        self.0
    }

    /// Most bytes of body that a packet carries: the header and their number take the rest.
    pub(super) fn data(self) -> u16 {
        u16::try_from(self.0 - HEADER - 2).expect("it is at most 65,536 - 6")
    }
}

impl Default for PacketSize {
    fn default() -> Self {
        PacketSize(PacketSize::MIN)
    }
}

// === Writing ===

pub(super) fn put_number(out: &mut Vec<u8>, number: u16) {
    out.extend_from_slice(&number.to_be_bytes());
}

/// One that is too long for its two bytes makes its packet longer than any may be, so whoever
/// measures the packet refuses it.
pub(super) fn put_string(out: &mut Vec<u8>, text: &[u8]) {
    put_number(out, u16::try_from(text.len()).unwrap_or(NULL));
    out.extend_from_slice(text);
    out.push(0);
}

/// The number as a string of digits.
pub(super) fn put_decimal(out: &mut Vec<u8>, number: u64) {
    let start = out.len();
    put_number(out, 0);
    write!(out, "{number}").expect("a vector takes whatever is written");
    let length = u16::try_from(out.len() - start - 2).expect("a number has at most 20 digits");
    out[start..start + 2].copy_from_slice(&length.to_be_bytes());
    out.push(0);
}

// === Reading ===

/// What is left of a packet. `None` from its functions: the packet is too short, or wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Reader<'b>(pub(super) &'b [u8]);

impl<'b> Reader<'b> {
    pub(super) fn is_empty(self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn byte(&mut self) -> Option<u8> {
        let (&byte, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(byte)
    }

    pub(super) fn number(&mut self) -> Option<u16> {
        let (&number, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(u16::from_be_bytes(number))
    }

    /// A string; one that is null is empty.
    pub(super) fn string(&mut self) -> Option<&'b [u8]> {
        let length = self.number()?;
        if length == NULL {
            return Some(&[]);
        }
        let (text, rest) = self.0.split_at_checked(usize::from(length))?;
        self.0 = rest.strip_prefix(&[0])?;
        Some(text)
    }

    /// The name of an answer's header: a number or a string.
    pub(super) fn header_name(&mut self) -> Option<&'b [u8]> {
        match self.0 {
            [NAME_IS_CODED, code, rest @ ..] => {
                self.0 = rest;
                answer_header(*code).map(str::as_bytes)
            }
            _ => self.string(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_string_must_end_in_zero() {
        assert_eq!(Reader(b"\0\x02ab\0").string(), Some(&b"ab"[..]));
        assert_eq!(Reader(b"\xff\xff").string(), Some(&b""[..]));
        assert_eq!(Reader(b"\0\x02abc").string(), None);
        assert_eq!(Reader(b"\0\x02ab").string(), None);
        assert_eq!(Reader(b"\0").string(), None);
    }

    #[test]
    fn a_number_that_stands_for_no_header_is_no_name() {
        assert_eq!(Reader(b"\xa0\x03").header_name(), Some(&b"Content-Length"[..]));
        assert_eq!(Reader(b"\xa0\x0c").header_name(), None);
        assert_eq!(Reader(b"\0\x01x\0").header_name(), Some(&b"x"[..]));
    }

    #[test]
    fn the_largest_packet_leaves_room_for_its_header() {
        assert_eq!(PacketSize::default().data(), 8_186);
        assert_eq!(PacketSize::new(65_536).map(PacketSize::data), Ok(65_530));
        assert_eq!(PacketSize::new(65_537), Err(BadPacketSize { bytes: 65_537 }));
        assert_eq!(
            PacketSize::new(8_191).unwrap_err().to_string(),
            "an AJP packet can't have 8191 bytes at most, the limits are 8192 and 65536"
        );
    }
}
