//! A place in a head: offsets instead of a borrowed slice, so that it can outlive a borrow.

/// A range of bytes of the head it was parsed from.
///
/// Asked about another head it gives nothing, or that head's bytes: it never panics.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Span {
    start: u32,
    end: u32,
}

// === impl Span ===

impl Span {
    /// The bytes; none when the head is too short to have them.
    #[inline]
    pub fn of(self, head: &[u8]) -> &[u8] {
        head.get(self.start as usize..self.end as usize).unwrap_or_default()
    }

    /// The bytes as text; `""` when they are none.
    #[inline]
    pub fn text(self, head: &[u8]) -> &str {
        std::str::from_utf8(self.of(head)).unwrap_or_default()
    }

    /// How many bytes it has.
    #[inline]
    pub fn len(self) -> usize {
        self.end.saturating_sub(self.start) as usize
    }

    /// Whether it has none.
    #[inline]
    pub fn is_empty(self) -> bool {
        self.start >= self.end
    }

    /// From the one offset up to the other.
    ///
    /// A head has at most [`MAX_HEAD_BYTES`](crate::MAX_HEAD_BYTES), so its offsets fit.
    #[inline]
    pub(crate) fn new(start: usize, end: usize) -> Self {
        debug_assert!(start <= end && end <= crate::MAX_HEAD_BYTES);
        Self { start: start as u32, end: end as u32 }
    }

    /// The place of `part`, which was cut from `head`.
    #[inline]
    pub(crate) fn within(head: &[u8], part: &[u8]) -> Self {
        let start = offset(head, part);
        Self::new(start, start + part.len())
    }

    pub(crate) fn start(self) -> usize {
        self.start as usize
    }

    pub(crate) fn end(self) -> usize {
        self.end as usize
    }
}

/// Where in `head` the slice begins that was cut from it.
#[inline]
pub(crate) fn offset(head: &[u8], part: &[u8]) -> usize {
    let offset = (part.as_ptr() as usize).wrapping_sub(head.as_ptr() as usize);
    debug_assert!(offset + part.len() <= head.len());
    offset
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_span_gives_the_bytes_it_was_made_from() {
        let head = b"GET /shop HTTP/1.1";
        let span = Span::within(head, &head[4..9]);
        assert_eq!((span.of(head), span.text(head), span.len()), (&b"/shop"[..], "/shop", 5));
        assert!(Span::default().is_empty() && !span.is_empty());
    }

    #[test]
    fn a_span_of_another_head_gives_nothing() {
        assert_eq!(Span::new(4, 9).of(b"GET"), b"");
        // Half a character is no text.
        assert_eq!(Span::new(0, 1).text(&[0xC3, 0xA9]), "");
    }
}
