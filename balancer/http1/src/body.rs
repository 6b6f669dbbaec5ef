//! A body as it arrives: how much of each buffer belongs to it, and how much may be passed on.
//!
//! Nothing is copied but over what is left out, in place. A body in chunks can be passed on in
//! its chunks, without extensions and trailers, or as its data alone.

mod chunk;

use crate::request::RequestBody;
use crate::response::ResponseBody;

pub use chunk::BadChunk;
use chunk::Chunks;

/// The end of a body in chunks, without trailers.
pub const LAST_CHUNK: &[u8] = b"0\r\n\r\n";

/// A body with more to come than this is large.
const LARGE: u64 = 16 * 1024;

/// Follows one body to its end.
///
/// ```
/// # use muster_http1::{BodyReader, Keep};
/// let (mut body, mut buffer) = (BodyReader::chunked(Keep::Data), *b"3;x=y\r\nabc\r\n0\r\n\r\nGET");
/// let taken = body.take(&mut buffer)?;
/// assert_eq!((&buffer[..taken.kept], &buffer[taken.consumed..]), (&b"abc"[..], &b"GET"[..]));
/// # Ok::<(), muster_http1::BadChunk>(())
/// ```
#[derive(Clone, Debug)]
pub struct BodyReader {
    form: Form,
    data: u64,
}

#[derive(Clone, Debug)]
enum Form {
    /// So many bytes are left.
    Length(u64),
    Chunked(Chunks),
    UntilClose,
}

/// What of a body in chunks is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Keep {
    /// The chunks as they are, but without extensions and trailers.
    Framing,
    /// The data alone, for clients of HTTP/1.0 and for AJP.
    Data,
}

/// What became of a buffer's bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Taken {
    /// How many of them belong to the body.
    pub consumed: usize,
    /// How many bytes at the buffer's start are to be passed on.
    pub kept: usize,
}

// === impl BodyReader ===

impl BodyReader {
    /// No body: it is done.
    pub fn none() -> Self {
        Self::length(0)
    }

    /// So many bytes.
    pub fn length(length: u64) -> Self {
        Self { form: Form::Length(length), data: 0 }
    }

    /// Chunks up to the last.
    pub fn chunked(keep: Keep) -> Self {
        Self { form: Form::Chunked(Chunks::new(keep)), data: 0 }
    }

    /// All that comes. It is never done: its end is the stream's.
    pub fn until_close() -> Self {
        Self { form: Form::UntilClose, data: 0 }
    }

    /// As a request's head says.
    pub fn of_request(body: &RequestBody, keep: Keep) -> Self {
        match body {
            RequestBody::None => Self::none(),
            RequestBody::Length(length) => Self::length(*length),
            RequestBody::Chunked => Self::chunked(keep),
        }
    }

    /// As an answer's head says.
    pub fn of_response(body: &ResponseBody, keep: Keep) -> Self {
        match body {
            ResponseBody::None => Self::none(),
            ResponseBody::Length(length) => Self::length(*length),
            ResponseBody::Chunked => Self::chunked(keep),
            ResponseBody::Close => Self::until_close(),
        }
    }

    /// Takes what of `bytes` belongs to the body, and moves what is to be passed on to their
    /// start. What follows the body's end stays where it is, from `consumed` on: the buffer
    /// between `kept` and `consumed` holds nothing of use.
    ///
    /// # Errors
    /// The body is not well formed. What was passed on before is all that can be: the message
    /// cannot be finished, and the connection is of no more use.
    #[inline]
    pub fn take(&mut self, bytes: &mut [u8]) -> Result<Taken, BadChunk> {
        let taken = match &mut self.form {
            Form::Length(left) => {
                let taken = usize::try_from(*left).unwrap_or(usize::MAX).min(bytes.len());
                *left -= taken as u64;
                taken
            }
            Form::UntilClose => bytes.len(),
            Form::Chunked(chunks) => return chunks.take(bytes, &mut self.data),
        };
        self.data += taken as u64;
        Ok(Taken { consumed: taken, kept: taken })
    }

    /// Whether the body is whole.
    #[inline]
    pub fn is_done(&self) -> bool {
        match &self.form {
            Form::Length(left) => *left == 0,
            Form::Chunked(chunks) => chunks.is_done(),
            Form::UntilClose => false,
        }
    }

    /// The stream has ended.
    ///
    /// # Errors
    /// [`BadChunk::Premature`] when more was promised.
    pub fn end(&self) -> Result<(), BadChunk> {
        match &self.form {
            Form::UntilClose => Ok(()),
            Form::Length(_) | Form::Chunked(_) if self.is_done() => Ok(()),
            Form::Length(_) | Form::Chunked(_) => Err(BadChunk::Premature),
        }
    }

    /// Bytes of data so far, without what frames them.
    pub fn data(&self) -> u64 {
        self.data
    }

    /// How many bytes are to come, where the head has said so.
    pub fn left(&self) -> Option<u64> {
        match &self.form {
            Form::Length(left) => Some(*left),
            Form::Chunked(_) | Form::UntilClose => None,
        }
    }

    /// Whether more than 16 KiB are to come, or nobody knows how many.
    pub fn is_large(&self) -> bool {
        match &self.form {
            Form::Length(left) => *left > LARGE,
            Form::Chunked(chunks) => !chunks.is_done(),
            Form::UntilClose => true,
        }
    }
}

/// Writes the line before a chunk of `length` bytes, which must not be 0. The chunk's data and a
/// CRLF follow it.
pub fn write_chunk_head(length: usize, out: &mut Vec<u8>) {
    let digits = (usize::BITS - length.leading_zeros()).div_ceil(4).max(1);
    for place in (0..digits).rev() {
        let digit = (length >> (place * 4)) & 0xF;
        out.push(b"0123456789abcdef"[digit]);
    }
    out.extend_from_slice(b"\r\n");
}
