//! Chunks, strictly: CRLF only, hexadecimal sizes without sign or blank, bounded extensions and
//! trailers, both left out (RFC 9112, 7.1).

use super::{Keep, Taken};
use crate::fault;

/// The longest line before a chunk: its size and extensions.
const MAX_LINE: u32 = 256;

/// The most digits of a size.
const MAX_DIGITS: u32 = 16;

/// The most bytes of all trailers together.
const MAX_TRAILERS: u32 = 8 * 1024;

/// A body that is not well formed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadChunk {
    /// A size that is empty, not hexadecimal, has more than 16 digits or more than 63 bits.
    #[error("a chunk has no size of 1 to 16 hexadecimal digits and at most 63 bits")]
    Size,
    /// A control character in an extension.
    #[error("a chunk's extension has a control character")]
    Extension,
    /// More than 256 bytes before a chunk.
    #[error("a chunk's line is longer than 256 bytes")]
    LineTooLong,
    /// A line feed without its carriage return, or the other way round.
    #[error("a line of the chunked body does not end with CRLF")]
    LineEnd,
    /// A chunk's data is not followed by a line end.
    #[error("a chunk is longer than its size says")]
    DataEnd,
    /// A trailer that is no header line.
    #[error("a trailer is no header line")]
    Trailer,
    /// More than 8 KiB of trailers.
    #[error("the trailers are longer than 8 KiB")]
    TrailersTooLong,
    /// The stream ended before the body.
    #[error("the stream ended before the body")]
    Premature,
}

/// Where in the chunks the next byte stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    /// In the size, so many digits of which have come.
    Size {
        digits: u32,
        size: u64,
    },
    /// In the extension of a chunk whose line has had so many bytes.
    Extension {
        line: u32,
        size: u64,
    },
    /// Before the line feed that ends the size's line.
    SizeEnd {
        size: u64,
    },
    /// In the data, so many bytes of which are left.
    Data {
        left: u64,
    },
    /// Before the carriage return after the data.
    DataEnd,
    /// Before the line feed after the data.
    DataLf,
    /// At the start of a trailer or of the last line.
    Trailer,
    /// In a trailer's name.
    TrailerName,
    /// In a trailer's value.
    TrailerValue,
    /// Before the line feed of a trailer.
    TrailerEnd,
    /// Before the last line feed of all.
    LastLf,
    Done,
}

/// Reads a body in chunks.
#[derive(Clone, Debug)]
pub(super) struct Chunks {
    place: Place,
    keep: Keep,
    /// Bytes of trailers so far.
    trailers: u32,
}

// === impl Chunks ===

impl Chunks {
    pub(super) fn new(keep: Keep) -> Self {
        Self { place: Place::Size { digits: 0, size: 0 }, keep, trailers: 0 }
    }

    pub(super) fn is_done(&self) -> bool {
        self.place == Place::Done
    }

    /// See [`BodyReader::take`](super::BodyReader::take).
    pub(super) fn take(&mut self, bytes: &mut [u8], data: &mut u64) -> Result<Taken, BadChunk> {
        let mut taken = Taken::default();
        while taken.consumed < bytes.len() && self.place != Place::Done {
            let rest = &bytes[taken.consumed..];
            let (count, is_kept) = match self.place {
                Place::Data { left } => {
                    let count = usize::try_from(left).unwrap_or(usize::MAX).min(rest.len());
                    *data = data.saturating_add(count as u64);
                    self.place = match left - count as u64 {
                        0 => Place::DataEnd,
                        left => Place::Data { left },
                    };
                    (count, true)
                }
                place => {
                    let (next, is_kept) = self.step(place, rest[0])?;
                    self.place = next;
                    (1, is_kept && self.keep == Keep::Framing)
                }
            };
            if is_kept {
                if taken.kept != taken.consumed {
                    bytes.copy_within(taken.consumed..taken.consumed + count, taken.kept);
                }
                taken.kept += count;
            }
            taken.consumed += count;
        }
        Ok(taken)
    }

    /// One byte of framing: what comes after it, and whether it is passed on with the chunks.
    fn step(&mut self, place: Place, byte: u8) -> Result<(Place, bool), BadChunk> {
        let kept = |place| Ok((place, true));
        match (place, byte) {
            (Place::Size { digits, size }, _) => self::size(digits, size, byte),
            (Place::Extension { size, .. }, b'\r') => kept(Place::SizeEnd { size }),
            (Place::Extension { line, size }, _) => extension(line, size, byte),
            (Place::SizeEnd { size: 0 }, b'\n') => kept(Place::Trailer),
            (Place::SizeEnd { size }, b'\n') => kept(Place::Data { left: size }),
            (Place::DataEnd, b'\r') => kept(Place::DataLf),
            (Place::DataLf, b'\n') => kept(Place::Size { digits: 0, size: 0 }),
            (Place::Trailer, b'\r') => kept(Place::LastLf),
            (Place::LastLf, b'\n') => kept(Place::Done),
            (Place::DataEnd | Place::DataLf, _) => Err(BadChunk::DataEnd),
            (Place::SizeEnd { .. } | Place::LastLf | Place::TrailerEnd, 0..=b'\t' | 11..) => {
                Err(BadChunk::LineEnd)
            }
            (Place::Trailer | Place::TrailerName | Place::TrailerValue | Place::TrailerEnd, _) => {
                Ok((self.trailer(place, byte)?, false))
            }
            // Both are handled before a step is asked for.
            (Place::Data { .. } | Place::Done, _) => kept(place),
        }
    }

    /// One byte of a trailer, which is checked and dropped.
    fn trailer(&mut self, place: Place, byte: u8) -> Result<Place, BadChunk> {
        self.trailers += 1;
        if self.trailers > MAX_TRAILERS {
            return Err(BadChunk::TrailersTooLong);
        }
        match (place, byte) {
            (Place::TrailerEnd, b'\n') => Ok(Place::Trailer),
            (Place::TrailerValue, b'\r') => Ok(Place::TrailerEnd),
            (Place::TrailerValue, b'\n') => Err(BadChunk::LineEnd),
            (Place::TrailerValue, byte) if !fault::is_control(byte) => Ok(Place::TrailerValue),
            (Place::TrailerName, b':') => Ok(Place::TrailerValue),
            (Place::Trailer | Place::TrailerName, byte) if fault::is_token(byte) => {
                Ok(Place::TrailerName)
            }
            _ => Err(BadChunk::Trailer),
        }
    }
}

/// One byte of a size, or the first after it.
fn size(digits: u32, size: u64, byte: u8) -> Result<(Place, bool), BadChunk> {
    if let Some(digit) = char::from(byte).to_digit(16) {
        // A node that counts with a sign would read a size of 64 bits as less than nothing.
        let is_bad = digits == MAX_DIGITS || size >> (63 - 4) != 0;
        let place = Place::Size { digits: digits + 1, size: size << 4 | u64::from(digit) };
        return if is_bad { Err(BadChunk::Size) } else { Ok((place, true)) };
    }
    match byte {
        _ if digits == 0 => Err(BadChunk::Size),
        b'\r' => Ok((Place::SizeEnd { size }, true)),
        b';' => Ok((Place::Extension { line: digits + 1, size }, false)),
        b'\n' => Err(BadChunk::LineEnd),
        _ => Err(BadChunk::Size),
    }
}

/// One byte of an extension, which is dropped.
fn extension(line: u32, size: u64, byte: u8) -> Result<(Place, bool), BadChunk> {
    match byte {
        b'\n' => Err(BadChunk::LineEnd),
        byte if fault::is_control(byte) => Err(BadChunk::Extension),
        _ if line >= MAX_LINE => Err(BadChunk::LineTooLong),
        _ => Ok((Place::Extension { line: line + 1, size }, false)),
    }
}
