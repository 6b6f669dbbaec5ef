//! Advertise: the datagrams by which balancers tell nodes over multicast where they take messages.
//!
//! ```text
//! HTTP/1.0 200 OK                       403 Forbidden: it drains; 410 Gone: it has ended
//! Date: Sun, 29 Nov 2026 21:20:47 GMT
//! Sequence: 7                           rises with each datagram of a server
//! Digest: <32 hex>                      MD5(salt, Date, Sequence, Server): the old peers' form
//! Server: <uuid>                        another one at each start
//! X-Manager-Address: 127.0.0.1:6666     these four are missing in 410
//! X-Manager-Url: /<uuid>
//! X-Manager-Protocol: http
//! X-Manager-Host: 127.0.0.1
//! X-Digest-SHA256: <64 hex>             with a key: HMAC over every byte before this line
//! ```
//!
//! The lines end with CRLF, and a blank one is the last; some balancers leave it out. The salt is
//! MD5(key), or 16 zero bytes without one. The old digest covers neither the status nor the
//! address, so whoever heard one datagram can forge another: with a key, a receiver asks for the
//! new one (reference: MCMP, advertise).

mod digest;
mod parse;
mod verify;
mod write;

#[cfg(test)]
mod tests;

use std::fmt;
use std::net::SocketAddr;
use std::str::FromStr;
use std::time::SystemTime;

pub use digest::{Key, KeyError};
pub use parse::{Datagram, ParseError, parse};
pub use verify::{Refusal, Rules, Verifier};
pub use write::write;

/// The group and port that mod_cluster has always used.
pub const GROUP: SocketAddr =
    SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::new(224, 0, 1, 105)), 23364);

/// Most bytes of a datagram that are read: what fits into one Ethernet frame, and more than any
/// balancer sends.
pub const MAX_DATAGRAM: usize = 1472;

/// What a balancer says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Announcement {
    /// How it stands.
    pub phase: Phase,
    /// When it said so, in whole seconds.
    pub date: SystemTime,
    /// Rises with each datagram of a server.
    pub sequence: u64,
    /// Who says it.
    pub server: Server,
    /// Where it takes messages; `None` once it has ended.
    pub manager: Option<Manager>,
}

/// How a balancer stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// 200: it serves.
    Serving,
    /// 403: it drains.
    Draining,
    /// 410: it has ended.
    Gone,
}

/// Where a balancer takes messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Manager {
    /// Its address.
    pub address: SocketAddr,
    /// Whether it speaks TLS there.
    pub protocol: Protocol,
}

/// How messages go to a balancer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Protocol {
    /// In the clear.
    Http,
    /// Over TLS.
    Https,
}

/// The name by which a balancer tells its datagrams from others': 1 to 64 visible ASCII characters.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Server(String);

/// Why a text is no [`Server`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a server's name has 1 to 64 visible ASCII characters, which {0:?} has not")]
pub struct BadServer(String);

// === impl Phase ===

impl Phase {
    fn line(self) -> &'static str {
        match self {
            Phase::Serving => "HTTP/1.0 200 OK",
            Phase::Draining => "HTTP/1.0 403 Forbidden",
            Phase::Gone => "HTTP/1.0 410 Gone",
        }
    }

    fn from_code(code: &str) -> Option<Phase> {
        match code {
            "200" => Some(Phase::Serving),
            "403" => Some(Phase::Draining),
            "410" => Some(Phase::Gone),
            _ => None,
        }
    }
}

// === impl Protocol ===

impl Protocol {
    /// As it stands in the datagram.
    pub fn word(self) -> &'static str {
        match self {
            Protocol::Http => "http",
            Protocol::Https => "https",
        }
    }

    fn from_word(word: &str) -> Option<Protocol> {
        [Protocol::Http, Protocol::Https]
            .into_iter()
            .find(|protocol| protocol.word().eq_ignore_ascii_case(word))
    }
}

// === impl Server ===

impl Server {
    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// A name made of 128 bits that nobody else has, written as a UUID of version 4.
    ///
    /// ```
    /// let server = muster_protocol::advertise::Server::from_bits(0);
    /// assert_eq!(server.as_str(), "00000000-0000-4000-8000-000000000000");
    /// ```
    pub fn from_bits(bits: u128) -> Server {
        const VERSION: u128 = 0xf << 76;
        const VARIANT: u128 = 0x3 << 62;
        let bits = bits & !VERSION & !VARIANT | 4 << 76 | 2 << 62;
        let hex = format!("{bits:032x}");
        let parts = [&hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..]];
        Server(parts.join("-"))
    }
}

impl FromStr for Server {
    type Err = BadServer;

    fn from_str(text: &str) -> Result<Server, BadServer> {
        let is_good = (1..=64).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_graphic());
        is_good.then(|| Server(text.to_owned())).ok_or_else(|| BadServer(text.to_owned()))
    }
}

impl fmt::Display for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
