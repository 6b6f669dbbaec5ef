//! Host: a name or an address with an optional port, and nothing that a parser could cut
//! elsewhere (RFC 3986, 3.2.2).

use std::net::Ipv6Addr;

/// Whether this is a host with an optional port. The empty text is none.
#[inline]
pub(crate) fn is_host(text: &[u8]) -> bool {
    let name = text.iter().position(|byte| !is_name_byte(*byte)).unwrap_or(text.len());
    match (name, text.get(name)) {
        (1.., None) => true,
        (1.., Some(b':')) => is_port(&text[name + 1..]),
        _ => is_rare_host(text),
    }
}

/// The unreserved characters, which is what hosts are made of.
#[inline]
fn is_name_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_' | b'~')
}

/// An IPv6 address in brackets, or a name with percent-encoding or odd but lawful characters.
#[cold]
fn is_rare_host(text: &[u8]) -> bool {
    if let Some(rest) = text.strip_prefix(b"[") {
        let Some(end) = rest.iter().position(|byte| *byte == b']') else { return false };
        return is_ipv6(&rest[..end]) && is_rare_port(&rest[end + 1..]);
    }
    let end = text.iter().position(|byte| *byte == b':').unwrap_or(text.len());
    end > 0 && is_registered_name(&text[..end]) && is_rare_port(&text[end..])
}

fn is_ipv6(text: &[u8]) -> bool {
    std::str::from_utf8(text).is_ok_and(|text| text.parse::<Ipv6Addr>().is_ok())
}

fn is_registered_name(mut text: &[u8]) -> bool {
    loop {
        match text {
            [] => return true,
            [b'%', high, low, rest @ ..] if high.is_ascii_hexdigit() && low.is_ascii_hexdigit() => {
                text = rest;
            }
            [byte, rest @ ..] if is_name_byte(*byte) || b"!$&'()*+,;=".contains(byte) => {
                text = rest;
            }
            _ => return false,
        }
    }
}

/// Nothing, or a colon and a port.
fn is_rare_port(text: &[u8]) -> bool {
    text.is_empty() || text.strip_prefix(b":").is_some_and(is_port)
}

/// Whether two hosts are one, if `usual_port` is meant where none is named.
pub(crate) fn is_same(one: &[u8], other: &[u8], usual_port: u32) -> bool {
    let ((name, port), (other_name, other_port)) = (parts(one), parts(other));
    let meant = |port: &[u8]| if port.is_empty() { usual_port } else { number(port) };
    name.eq_ignore_ascii_case(other_name) && meant(port) == meant(other_port)
}

/// The name and the port, which may be empty.
fn parts(host: &[u8]) -> (&[u8], &[u8]) {
    match host.iter().rposition(|byte| matches!(byte, b':' | b']')) {
        Some(end) if host[end] == b':' => (&host[..end], &host[end + 1..]),
        _ => (host, &[]),
    }
}

/// At most 65535; an empty port is lawful, and means the scheme's.
#[inline]
fn is_port(text: &[u8]) -> bool {
    text.len() <= 5 && text.iter().all(u8::is_ascii_digit) && number(text) <= u32::from(u16::MAX)
}

/// The number that at most five digits are.
#[inline]
fn number(digits: &[u8]) -> u32 {
    digits.iter().fold(0, |number, digit| number * 10 + u32::from(digit - b'0'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_is_a_name_or_an_address_with_an_optional_port() {
        let good = [
            "shop",
            "shop.example",
            "shop.example:8080",
            "10.0.0.1:80",
            "[::1]",
            "[2001:db8::7]:443",
            "a_b",
            "a:",
            "a%20b",
            "a!b",
            "a:65535",
        ];
        for host in good {
            assert!(is_host(host.as_bytes()), "{host}");
        }
    }

    #[test]
    fn two_hosts_are_one_in_any_case_and_with_the_usual_port_or_without() {
        let same = |one: &str, other: &str| is_same(one.as_bytes(), other.as_bytes(), 80);
        for (one, other) in [
            ("shop", "SHOP"),
            ("shop:80", "shop"),
            ("shop:", "shop:0080"),
            ("shop:81", "Shop:81"),
            ("[::1]", "[::1]:80"),
            ("[::A]:81", "[::a]:81"),
        ] {
            assert!(same(one, other) && same(other, one), "{one} {other}");
        }
        for (one, other) in [
            ("shop", "shops"),
            ("shop:81", "shop"),
            ("shop:443", "shop"),
            ("shop.", "shop"),
            ("[::1]", "[::2]"),
            ("[::1]:81", "[::1]"),
        ] {
            assert!(!same(one, other) && !same(other, one), "{one} {other}");
        }
    }

    #[test]
    fn what_two_readers_could_cut_differently_is_no_host() {
        let bad = [
            "", ":80", "a b", "a/b", "a/../b", "user@a", "a?b", "a#b", "a:b", "a:65536", "a:-1",
            "a:80:80", "[::1", "::1", "[::g]", "[::1]x", "[::1]:x", "a%2", "a%zz", "a\\b", "a\"b",
            "a\x7f", "\u{e9}", "a\t", "[]", "[v1.x]", "a:000080",
        ];
        for host in bad {
            assert!(!is_host(host.as_bytes()), "{host}");
        }
    }
}
