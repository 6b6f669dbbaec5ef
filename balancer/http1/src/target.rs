//! The request target: a path with a query, a whole URL, or `*` (RFC 9112, 3.2).

use crate::host;
use crate::span::Span;

/// A target taken apart, as places in the head.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Target {
    /// Path and query, or `*`.
    pub(crate) origin: Span,
    /// The origin without its query.
    pub(crate) path: Span,
    /// The host and port that a whole URL names.
    pub(crate) authority: Option<Span>,
}

// === impl Target ===

impl Target {
    /// Takes the target at `whole` apart; `None` when it is none.
    ///
    /// Only visible ASCII passes, and no fragment: the path is matched as text, and a byte
    /// beyond ASCII has as many meanings as there are nodes. An URL with a query needs a path.
    #[inline]
    pub(crate) fn read(head: &[u8], whole: Span, is_options: bool) -> Option<Self> {
        let text = whole.of(head);
        let mut path = text.len();
        for (at, byte) in text.iter().enumerate() {
            match byte {
                b'?' if path == text.len() => path = at,
                b'#' | 0x80.. => return None,
                _ => {}
            }
        }
        let (start, end) = (whole.start(), whole.end());
        let path = start + path;
        match text.first() {
            Some(b'/') => {
                let (origin, path) = (whole, Span::new(start, path));
                Some(Self { origin, path, authority: None })
            }
            Some(b'*') if text.len() == 1 && is_options => {
                Some(Self { origin: whole, path: whole, authority: None })
            }
            _ => {
                let (authority_start, authority_end) = authority(text)?;
                let authority = Span::new(start + authority_start, start + authority_end);
                Self::of_url(head, authority, Span::new(authority.end(), end), path)
            }
        }
    }

    /// A whole URL, whose rest after the authority is `rest` and whose path ends at `path`.
    fn of_url(head: &[u8], authority: Span, rest: Span, path: usize) -> Option<Self> {
        // Without a path it asks for the root: the slash before the authority will do for one.
        let root = Span::new(authority.start() - 1, authority.start());
        let (origin, path) = match rest.of(head).first() {
            None => (root, root),
            Some(b'/') => (rest, Span::new(rest.start(), path)),
            Some(_) => return None,
        };
        Some(Self { origin, path, authority: Some(authority) })
    }
}

/// Where the authority of an `http` or `https` URL stands. User names are refused with the rest
/// that is no host.
fn authority(text: &[u8]) -> Option<(usize, usize)> {
    let scheme = ["http://", "https://"].into_iter().find(|scheme| {
        let start = text.get(..scheme.len());
        start.is_some_and(|start| start.eq_ignore_ascii_case(scheme.as_bytes()))
    })?;
    let start = scheme.len();
    let length = text[start..].iter().position(|byte| matches!(byte, b'/' | b'?'));
    let end = length.map_or(text.len(), |length| start + length);
    host::is_host(&text[start..end]).then_some((start, end))
}
