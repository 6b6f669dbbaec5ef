//! The PROXY protocol, versions 1 and 2: who the client is, told by a load balancer in front
//! before the connection's first byte.
//!
//! [`read`] is pure: bytes in, a [`Header`] out; [`receive`] takes one from a socket. Whom to ask for it is the configuration's business
//! (`http.proxy_protocol_from`): from there it is required, from anybody else it is not
//! understood, for whoever may send it can say that it is anybody.
//!
//! ```
//! use muster_balancer::proxy_protocol::read;
//! let header = read(b"PROXY TCP4 192.0.2.7 198.51.100.1 51234 443\r\nGET / HTTP/1.1\r\n");
//! let header = header.unwrap().unwrap();
//! assert_eq!(header.consumed, 45);
//! assert_eq!(header.source, Some("192.0.2.7:51234".parse().unwrap()));
//! assert_eq!(read(b"PROXY TCP4 192.0.2"), Ok(None));
//! assert!(read(b"GET / HTTP/1.1\r\n").is_err());
//! ```

mod receive;

use std::net::{IpAddr, SocketAddr};

use ppp::{v1, v2};

pub use receive::receive;

/// Most bytes of a version 1 header, by its specification.
pub const MAX_V1: usize = 107;

/// Most bytes of a version 2 header that is taken. The specification allows 64 KiB; the values
/// that load balancers attach take some hundred.
pub const MAX_V2: usize = 4 * 1024;

const START_V1: &[u8] = b"PROXY ";

/// The part of a version 2 header that tells the length of the rest.
const FIXED_V2: usize = 16;

/// The value of version 2 that tells of TLS, and the bit in it that says the client used it.
const TLS: u8 = 0x20;
const CLIENT_USED_TLS: u8 = 0x01;

/// What the load balancer said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    /// Bytes that the header took; what follows is the client's.
    pub consumed: usize,
    /// The client. `None` where the load balancer speaks for itself (LOCAL, as in its health
    /// checks) or does not know (UNKNOWN, a Unix socket): the connection's own address counts.
    pub source: Option<SocketAddr>,
    /// Where the client connected; with `source` only.
    pub destination: Option<SocketAddr>,
    /// Whether the client came to the load balancer over TLS; only version 2 can say so.
    pub is_tls: bool,
}

/// Bytes that are no header. The connection is to be closed without an answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Bad {
    /// They begin otherwise.
    #[error("the connection does not begin with a PROXY protocol header")]
    Missing,
    /// It has more bytes than are taken.
    #[error("the PROXY protocol header has more than {0} bytes")]
    TooLong(usize),
    /// It begins as one and goes on otherwise.
    #[error("the PROXY protocol header is malformed: {0}")]
    Malformed(String),
}

/// Reads a header from what has come so far; `None` when more is needed. A connection never has
/// to be read beyond [`MAX_V2`] bytes for a verdict.
///
/// # Errors
/// As soon as the bytes can become no header any more.
pub fn read(bytes: &[u8]) -> Result<Option<Header>, Bad> {
    if begins(bytes, START_V1) {
        return read_v1(bytes);
    }
    if begins(bytes, v2::PROTOCOL_PREFIX) {
        return read_v2(bytes);
    }
    Err(Bad::Missing)
}

/// Whether the bytes begin so, as far as they go.
fn begins(bytes: &[u8], start: &[u8]) -> bool {
    let len = bytes.len().min(start.len());
    bytes[..len] == start[..len]
}

// === version 1 ===

fn read_v1(bytes: &[u8]) -> Result<Option<Header>, Bad> {
    let start = &bytes[..bytes.len().min(MAX_V1)];
    let Some(end) = start.windows(2).position(|two| two == b"\r\n") else {
        return match bytes.len() < MAX_V1 {
            true => Ok(None),
            false => Err(Bad::TooLong(MAX_V1)),
        };
    };
    let consumed = end + 2;
    let line = std::str::from_utf8(&bytes[..consumed]).map_err(malformed)?;
    // The parser takes a sign before a port for a part of it.
    if line.contains('+') {
        return Err(Bad::Malformed("a port has a sign".to_owned()));
    }
    let parsed = v1::Header::try_from(line).map_err(malformed)?;
    let ends = match parsed.addresses {
        v1::Addresses::Tcp4(ends) => Some(of_v4(&ends)),
        v1::Addresses::Tcp6(ends) => Some(of_v6(&ends)),
        v1::Addresses::Unknown => None,
    };
    Ok(Some(header(consumed, ends, false)))
}

// === version 2 ===

fn read_v2(bytes: &[u8]) -> Result<Option<Header>, Bad> {
    let Some([.., high, low]) = bytes.first_chunk::<FIXED_V2>() else { return Ok(None) };
    let consumed = FIXED_V2 + usize::from(u16::from_be_bytes([*high, *low]));
    if consumed > MAX_V2 {
        return Err(Bad::TooLong(MAX_V2));
    }
    let whole = &bytes[..bytes.len().min(consumed)];
    let parsed = match v2::Header::try_from(whole) {
        Ok(parsed) => parsed,
        Err(v2::ParseError::Incomplete(_) | v2::ParseError::Partial(..)) => return Ok(None),
        Err(error) => return Err(malformed(error)),
    };
    // Its addresses and values are to be ignored, so they may be anything.
    if parsed.command == v2::Command::Local {
        return Ok(Some(header(consumed, None, false)));
    }
    let is_tls = used_tls(&parsed)?;
    let ends = match (parsed.protocol, parsed.addresses) {
        (v2::Protocol::Stream, v2::Addresses::IPv4(ends)) => Some(of_v4(&ends)),
        (v2::Protocol::Stream, v2::Addresses::IPv6(ends)) => Some(of_v6(&ends)),
        // Nothing that could be the client of this connection.
        _ => None,
    };
    Ok(Some(header(consumed, ends, is_tls)))
}

fn used_tls(parsed: &v2::Header<'_>) -> Result<bool, Bad> {
    let mut is_tls = false;
    for value in parsed.tlvs() {
        let value = value.map_err(malformed)?;
        let flags = value.value.first().copied().unwrap_or_default();
        is_tls |= value.kind == TLS && flags & CLIENT_USED_TLS != 0;
    }
    Ok(is_tls)
}

// === both ===

type Ends = (SocketAddr, SocketAddr);

fn of_v4(ends: &v2::IPv4) -> Ends {
    let end = |ip, port| SocketAddr::new(IpAddr::V4(ip), port);
    (
        end(ends.source_address, ends.source_port),
        end(ends.destination_address, ends.destination_port),
    )
}

fn of_v6(ends: &v2::IPv6) -> Ends {
    let end = |ip, port| SocketAddr::new(IpAddr::V6(ip), port);
    (
        end(ends.source_address, ends.source_port),
        end(ends.destination_address, ends.destination_port),
    )
}

fn header(consumed: usize, ends: Option<Ends>, is_tls: bool) -> Header {
    let (source, destination) = ends.unzip();
    Header { consumed, source, destination, is_tls }
}

fn malformed(error: impl ToString) -> Bad {
    Bad::Malformed(error.to_string())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const V2_START: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";

    fn v2(command: u8, family: u8, rest: &[u8]) -> Vec<u8> {
        let length = u16::try_from(rest.len()).unwrap().to_be_bytes();
        [V2_START, &[0x20 | command, family], &length, rest].concat()
    }

    fn source(bytes: &[u8]) -> Option<String> {
        read(bytes).unwrap().unwrap().source.map(|source| source.to_string())
    }

    #[test]
    fn a_load_balancer_names_its_client_in_either_version() {
        let four = b"PROXY TCP4 192.0.2.7 198.51.100.1 51234 443\r\n";
        assert_eq!(source(four).as_deref(), Some("192.0.2.7:51234"));
        let six = b"PROXY TCP6 2001:db8::7 2001:db8::1 51234 443\r\n";
        assert_eq!(source(six).as_deref(), Some("[2001:db8::7]:51234"));
        let ends = [192, 0, 2, 7, 198, 51, 100, 1, 0xc8, 0x22, 0x01, 0xbb];
        let binary = v2(1, 0x11, &ends);
        let header = read(&binary).unwrap().unwrap();
        assert_eq!(source(&binary).as_deref(), Some("192.0.2.7:51234"));
        assert_eq!(header.destination, Some("198.51.100.1:443".parse().unwrap()));
        assert!(!header.is_tls);
    }

    #[test]
    fn what_follows_the_header_is_left_to_the_client() {
        let mut bytes = b"PROXY UNKNOWN ffff::1 ffff::2 1 2\r\n".to_vec();
        let length = bytes.len();
        bytes.extend_from_slice(b"GET / HTTP/1.1\r\n\r\n");
        assert_eq!(read(&bytes).unwrap().unwrap().consumed, length);
        let mut bytes = v2(0, 0, &[]);
        bytes.extend_from_slice(b"\r\n\r\n");
        assert_eq!(read(&bytes).unwrap().unwrap().consumed, 16);
    }

    #[test]
    fn who_speaks_for_itself_or_does_not_know_keeps_the_connections_address() {
        assert_eq!(source(b"PROXY UNKNOWN\r\n"), None);
        let ends = [192, 0, 2, 7, 198, 51, 100, 1, 0xc8, 0x22, 0x01, 0xbb];
        // LOCAL, even with addresses and with values that are cut off.
        assert_eq!(source(&v2(0, 0x11, &ends)), None);
        assert_eq!(source(&v2(0, 0x00, &[0x20, 0xff, 0xff])), None);
        // Unspecified, a datagram, and a Unix socket.
        assert_eq!(source(&v2(1, 0x00, &[])), None);
        assert_eq!(source(&v2(1, 0x12, &ends)), None);
        assert_eq!(source(&v2(1, 0x31, &[0; 216])), None);
    }

    #[test]
    fn version_2_tells_whether_the_client_used_tls() {
        let ends = [192, 0, 2, 7, 198, 51, 100, 1, 0xc8, 0x22, 0x01, 0xbb];
        let with = |values: &[u8]| read(&v2(1, 0x11, &[&ends, values].concat()));
        let is_tls = |values| with(values).unwrap().unwrap().is_tls;
        assert!(is_tls(&[0x20, 0, 5, 0x01, 0, 0, 0, 0]));
        assert!(!is_tls(&[0x20, 0, 5, 0x00, 0, 0, 0, 0]));
        assert!(!is_tls(&[0x20, 0, 0]));
        assert!(is_tls(&[0x02, 0, 1, b'a', 0x20, 0, 5, 0x07, 0, 0, 0, 0]));
        assert!(matches!(with(&[0x20, 0, 9, 1]), Err(Bad::Malformed(_))));
    }

    #[test]
    fn what_is_no_header_is_named() {
        assert_eq!(read(b"GET / HTTP/1.1\r\n"), Err(Bad::Missing));
        assert_eq!(read(b"PROXYTCP4"), Err(Bad::Missing));
        assert_eq!(read(b"\r\n\r\nGET"), Err(Bad::Missing));
        for line in [
            "PROXY TCP4 192.0.2.7 198.51.100.1 51234\r\n",
            "PROXY TCP4 192.0.2.7 198.51.100.1 51234 443 1\r\n",
            "PROXY TCP4 192.0.2.256 198.51.100.1 51234 443\r\n",
            "PROXY TCP4 2001:db8::7 2001:db8::1 51234 443\r\n",
            "PROXY TCP4 192.0.2.7 198.51.100.1 051234 443\r\n",
            "PROXY TCP4 192.0.2.7 198.51.100.1 +51234 443\r\n",
            "PROXY TCP4 192.0.2.7 198.51.100.1 65536 443\r\n",
            "PROXY TCP4  192.0.2.7 198.51.100.1 51234 443\r\n",
            "PROXY UDP4 192.0.2.7 198.51.100.1 51234 443\r\n",
            "PROXY tcp4 192.0.2.7 198.51.100.1 51234 443\r\n",
        ] {
            assert!(matches!(read(line.as_bytes()), Err(Bad::Malformed(_))), "{line}");
        }
        for bytes in [v2(2, 0x11, &[0; 12]), v2(1, 0x41, &[0; 12]), v2(1, 0x11, &[0; 11])] {
            assert!(matches!(read(&bytes), Err(Bad::Malformed(_))), "{bytes:x?}");
        }
    }

    #[test]
    fn a_header_without_end_is_cut_at_its_bound() {
        let long = [START_V1, &[b'x'; 200]].concat();
        assert_eq!(read(&long[..MAX_V1 - 1]), Ok(None));
        assert_eq!(read(&long[..MAX_V1]), Err(Bad::TooLong(MAX_V1)));
        assert_eq!(read(&v2(1, 0x11, &vec![0; MAX_V2])[..FIXED_V2]), Err(Bad::TooLong(MAX_V2)));
        let most = v2(0, 0, &vec![0; MAX_V2 - FIXED_V2]);
        assert_eq!(read(&most).unwrap().unwrap().consumed, MAX_V2);
    }

    fn address() -> impl Strategy<Value = (IpAddr, IpAddr)> {
        let four = any::<([u8; 4], [u8; 4])>().prop_map(|(a, b)| (a.into(), b.into()));
        let six = any::<([u8; 16], [u8; 16])>().prop_map(|(a, b)| (a.into(), b.into()));
        prop_oneof![four, six]
    }

    /// As a load balancer writes it.
    fn written(version: u8, from: SocketAddr, to: SocketAddr) -> Vec<u8> {
        if version == 1 {
            let family = if from.is_ipv4() { "TCP4" } else { "TCP6" };
            let (source, target) = (from.ip(), to.ip());
            let (here, there) = (from.port(), to.port());
            return format!("PROXY {family} {source} {target} {here} {there}\r\n").into_bytes();
        }
        let octets = |ip: IpAddr| match ip {
            IpAddr::V4(ip) => ip.octets().to_vec(),
            IpAddr::V6(ip) => ip.octets().to_vec(),
        };
        let mut ends = octets(from.ip());
        ends.extend(octets(to.ip()));
        ends.extend(from.port().to_be_bytes());
        ends.extend(to.port().to_be_bytes());
        v2(1, if from.is_ipv4() { 0x11 } else { 0x21 }, &ends)
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_byte_by_byte_or_at_once(
            (from, to) in address(), ports in any::<(u16, u16)>(), version in 1u8..=2,
            body in proptest::collection::vec(any::<u8>(), 0..40),
        ) {
            let (from, to) = (SocketAddr::new(from, ports.0), SocketAddr::new(to, ports.1));
            let header = written(version, from, to);
            for length in 0..header.len() {
                prop_assert_eq!(read(&header[..length]), Ok(None));
            }
            let whole = [&header[..], &body].concat();
            let read = read(&whole).unwrap().unwrap();
            prop_assert_eq!(read.consumed, header.len());
            prop_assert_eq!((read.source, read.destination), (Some(from), Some(to)));
        }

        #[test]
        fn a_verdict_stands_whatever_follows(
            version in 1u8..=2, bytes in proptest::collection::vec(any::<u8>(), 0..60),
            more in proptest::collection::vec(any::<u8>(), 0..10),
        ) {
            let start = if version == 1 { START_V1 } else { V2_START };
            let short = [start, &bytes].concat();
            let long = [&short[..], &more].concat();
            match read(&short) {
                Ok(Some(header)) => prop_assert_eq!(read(&long), Ok(Some(header))),
                Err(_) => prop_assert!(read(&long).is_err()),
                Ok(None) => prop_assert!(short.len() < MAX_V2),
            }
        }
    }
}
