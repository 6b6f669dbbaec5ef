//! The header Forwarded (RFC 7239), as far as it is believed: `for`, `proto` and `host` of each
//! proxy's element, the last proxy's last.

use std::io::Write as _;
use std::net::{IpAddr, SocketAddr};

/// One proxy's element.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Element<'v> {
    /// As it stands.
    pub(super) whole: &'v [u8],
    /// Who the proxy was asked by; `None` where it does not say.
    pub(super) client: Option<IpAddr>,
    pub(super) proto: Option<&'v [u8]>,
    pub(super) host: Option<&'v [u8]>,
}

/// The elements of one value, as they stand.
pub(super) fn elements(value: &[u8]) -> impl Iterator<Item = Element<'_>> {
    split(value, b',').map(trim).filter(|element| !element.is_empty()).map(Element::of)
}

/// An element that says who asked us.
pub(super) fn write(client: IpAddr, out: &mut Vec<u8>) {
    // Writing to memory cannot fail.
    let _ = match client {
        IpAddr::V4(client) => write!(out, "for={client}"),
        IpAddr::V6(client) => write!(out, "for=\"[{client}]\""),
    };
}

/// An address as proxies write it: plain, in brackets, or with a port. A name that hides it,
/// `unknown` and everything else is none.
pub(super) fn address(text: &[u8]) -> Option<IpAddr> {
    let text = std::str::from_utf8(trim(text)).ok()?;
    let bare = text.strip_prefix('[').and_then(|inner| inner.strip_suffix(']')).unwrap_or(text);
    let with_port = || text.parse().ok().map(|socket: SocketAddr| socket.ip());
    bare.parse().ok().or_else(with_port).map(|address| address.to_canonical())
}

pub(super) fn trim(text: &[u8]) -> &[u8] {
    text.trim_ascii()
}

// === impl Element ===

impl<'v> Element<'v> {
    fn of(whole: &'v [u8]) -> Element<'v> {
        let mut element = Element { whole, ..Element::default() };
        for pair in split(whole, b';') {
            let Some(at) = pair.iter().position(|&byte| byte == b'=') else { continue };
            let (name, value) = (trim(&pair[..at]), unquoted(trim(&pair[at + 1..])));
            match name.to_ascii_lowercase().as_slice() {
                b"for" => element.client = address(value),
                b"proto" => element.proto = Some(value),
                b"host" => element.host = Some(value),
                _ => {}
            }
        }
        element
    }
}

/// A value with an escape in its quotes stays as it stands: no address and no host has one.
fn unquoted(value: &[u8]) -> &[u8] {
    match value {
        [b'"', inner @ .., b'"'] => inner,
        plain => plain,
    }
}

/// The parts between separators that stand outside of quotes.
fn split(text: &[u8], separator: u8) -> impl Iterator<Item = &[u8]> {
    let (mut is_quoted, mut is_escaped) = (false, false);
    text.split(move |&byte| {
        let was_escaped = std::mem::replace(&mut is_escaped, false);
        match byte {
            _ if was_escaped => false,
            b'\\' if is_quoted => {
                is_escaped = true;
                false
            }
            b'"' => {
                is_quoted = !is_quoted;
                false
            }
            _ => byte == separator && !is_quoted,
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(value: &str) -> Vec<(Option<String>, Option<&str>, Option<&str>)> {
        let text = |bytes| std::str::from_utf8(bytes).unwrap();
        let shown = |element: Element<'_>| element.client.map(|client| client.to_string());
        elements(value.as_bytes())
            .map(|it| (shown(it), it.proto.map(text), it.host.map(text)))
            .collect()
    }

    #[test]
    fn each_proxy_says_its_part() {
        let some = |text: &str| Some(text.to_owned());
        assert_eq!(
            all("for=192.0.2.43;proto=http, For=\"[2001:db8:cafe::17]:4711\" ; Host=\"a,b;c\""),
            [
                (some("192.0.2.43"), Some("http"), None),
                (some("2001:db8:cafe::17"), None, Some("a,b;c"))
            ]
        );
        assert_eq!(all("for=unknown, for=_hidden,,"), [(None, None, None), (None, None, None)]);
        assert_eq!(all("by=x;host=\"a\\\",b\""), [(None, None, Some("a\\\",b"))]);
        assert_eq!(all(""), []);
    }

    #[test]
    fn an_address_may_have_brackets_and_a_port() {
        for (text, expected) in [
            ("192.0.2.7", "192.0.2.7"),
            (" 192.0.2.7:80 ", "192.0.2.7"),
            ("2001:db8::7", "2001:db8::7"),
            ("[2001:db8::7]", "2001:db8::7"),
            ("[2001:db8::7]:80", "2001:db8::7"),
            ("::ffff:192.0.2.7", "192.0.2.7"),
        ] {
            assert_eq!(address(text.as_bytes()), Some(expected.parse().unwrap()), "{text}");
        }
        for text in ["", "unknown", "shop.example", "192.0.2.7.1", "192.0.2.7:x", "\u{e9}"] {
            assert_eq!(address(text.as_bytes()), None, "{text}");
        }
    }

    proptest::proptest! {
        #[test]
        fn any_bytes_are_read_in_elements_of_their_own(value: Vec<u8>) {
            let total: usize = elements(&value).map(|element| element.whole.len()).sum();
            proptest::prop_assert!(total <= value.len());
        }

        #[test]
        fn what_is_written_of_us_is_read_again(client: std::net::IpAddr) {
            let mut out = Vec::new();
            write(client, &mut out);
            let read: Vec<_> = elements(&out).map(|element| element.client).collect();
            proptest::prop_assert_eq!(read, [Some(client.to_canonical())]);
        }
    }
}
