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
    is_https: bool,
}

// === impl Target ===

impl Target {
    /// Takes the target at `whole` apart; `None` when it is none.
    ///
    /// Only visible ASCII passes, and no fragment: the path is matched as text, and a byte
    /// beyond ASCII has as many meanings as there are nodes. Of the characters that no URL has
    /// (RFC 3986, 2) those are refused that every browser writes with a percent sign: quotes and
    /// angle brackets, and a backtick in a path. An URL with a query needs a path.
    #[inline]
    pub(crate) fn read(head: &[u8], whole: Span, is_options: bool) -> Option<Self> {
        let text = whole.of(head);
        let mut path = text.len();
        for (at, byte) in text.iter().enumerate() {
            match byte {
                b'?' if path == text.len() => path = at,
                b'`' if path == text.len() => return None,
                b'#' | b'"' | b'<' | b'>' | 0x80.. => return None,
                _ => {}
            }
        }
        let (start, end) = (whole.start(), whole.end());
        let path = start + path;
        match text.first() {
            Some(b'/') => {
                let (origin, path) = (whole, Span::new(start, path));
                Some(Self { origin, path, authority: None, is_https: false })
            }
            Some(b'*') if text.len() == 1 && is_options => {
                Some(Self { origin: whole, path: whole, authority: None, is_https: false })
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
        let scheme = &head[..authority.start()];
        let is_https = scheme.ends_with(b"s://") || scheme.ends_with(b"S://");
        Some(Self { origin, path, authority: Some(authority), is_https })
    }

    /// Whether this host, of a Host line, is the one that a whole URL names. A port that is the
    /// scheme's may be left out.
    #[inline]
    pub(crate) fn is_for(&self, head: &[u8], host: Span) -> bool {
        let usual_port = if self.is_https { 443 } else { 80 };
        self.authority.is_none_or(|own| host::is_same(own.of(head), host.of(head), usual_port))
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
