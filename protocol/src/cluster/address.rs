//! Where a member's channel listens: a host and a port.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::names::NodeHost;

/// `host:port`, with an IPv6 address in brackets; the port is not 0.
///
/// ```
/// use muster_protocol::cluster::PeerAddress;
/// let address: PeerAddress = "[0:0::1]:7700".parse()?;
/// assert_eq!(address.to_string(), "[::1]:7700");
/// assert!("nowhere".parse::<PeerAddress>().is_err());
/// # Ok::<(), muster_protocol::cluster::BadPeerAddress>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PeerAddress {
    /// A name or an address.
    pub host: NodeHost,
    /// The port.
    pub port: u16,
}

/// A text that is no address of a member.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no address of a member: it is host:port")]
pub struct BadPeerAddress(pub String);

// === impl PeerAddress ===

impl PeerAddress {
    /// Most bytes of its text.
    pub const MOST: usize = NodeHost::LIMIT + ":65535".len();
}

impl FromStr for PeerAddress {
    type Err = BadPeerAddress;

    fn from_str(text: &str) -> Result<PeerAddress, BadPeerAddress> {
        let read = || {
            let (host, port) = text.rsplit_once(':')?;
            let digits = port.bytes().all(|byte| byte.is_ascii_digit());
            let port = port.parse().ok().filter(|port| digits && *port != 0)?;
            Some(PeerAddress { host: host.parse().ok()?, port })
        };
        read().ok_or_else(|| BadPeerAddress(text.chars().take(Self::MOST).collect()))
    }
}

impl fmt::Display for PeerAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.host, self.port)
    }
}

impl Serialize for PeerAddress {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for PeerAddress {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        String::deserialize(from)?.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_read_as_it_is_shown() {
        for text in ["10.0.0.1:7700", "[::1]:1", "node.example:65535"] {
            assert_eq!(text.parse::<PeerAddress>().unwrap().to_string(), text);
        }
        for bad in ["", "a", ":1", "a:0", "a:+1", "a:65536", "::1:1", "a b:1", "http://a:1"] {
            assert_eq!(bad.parse::<PeerAddress>(), Err(BadPeerAddress(bad.to_owned())), "{bad}");
        }
    }
}
