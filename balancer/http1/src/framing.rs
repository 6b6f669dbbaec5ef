//! Where a message ends: Content-Length and Transfer-Encoding, of which one at most may speak.

use crate::fault::Syntax;

/// More digits than this do not fit a file, and end in somebody's overflow.
const MAX_DIGITS: usize = 18;

/// What the header lines say of the body so far.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Framing {
    pub(crate) length: Option<u64>,
    pub(crate) is_chunked: bool,
    /// Chunked, but not spelt `chunked`: the node gets the plain spelling.
    pub(crate) is_odd: bool,
}

// === impl Framing ===

impl Framing {
    /// Takes a Content-Length line. A second one is refused even if it is equal to the first.
    #[inline]
    pub(crate) fn see_length(&mut self, value: &[u8]) -> Result<(), Syntax> {
        if self.length.is_some() || value.is_empty() || value.len() > MAX_DIGITS {
            return Err(Syntax::ContentLength);
        }
        let mut length = 0;
        for byte in value {
            if !byte.is_ascii_digit() {
                return Err(Syntax::ContentLength);
            }
            length = length * 10 + u64::from(byte - b'0');
        }
        self.length = Some(length);
        Ok(())
    }

    /// Takes a Transfer-Encoding line.
    #[inline]
    pub(crate) fn see_encoding(&mut self, value: &[u8]) -> Result<(), Syntax> {
        if self.is_chunked || !value.eq_ignore_ascii_case(b"chunked") {
            return Err(Syntax::TransferEncoding);
        }
        self.is_chunked = true;
        self.is_odd = value != b"chunked";
        Ok(())
    }

    /// Whether both lines together have one reading.
    #[inline]
    pub(crate) fn check(&self, is_http10: bool) -> Result<(), Syntax> {
        match (self.is_chunked, self.length) {
            (true, Some(_)) => Err(Syntax::LengthAndTransferEncoding),
            (true, None) if is_http10 => Err(Syntax::TransferEncoding),
            (true | false, _) => Ok(()),
        }
    }
}
