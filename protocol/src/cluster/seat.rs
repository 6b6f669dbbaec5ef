//! What a member tells a balancer of its cluster with CONFIG and STATUS, and what our balancer
//! answers. Both travel in headers, which old balancers ignore.
//!
//! ```text
//! X-Muster-Cluster: shop 0000000000000000000000000000002a 10.0.0.1:7700
//! X-Muster-Management: http://10.0.0.1:7790
//!
//! X-Muster-Peers: 10.0.0.2:7700, 10.0.0.3:7700
//! ```

use std::fmt;
use std::str::FromStr;

use super::{ClusterName, PeerAddress};
use crate::mcmp::{Address, Scheme};

/// The header with the cluster's name, the node's id and the member's address.
pub const CLUSTER_HEADER: &str = "X-Muster-Cluster";

/// The header with the address of the member's management.
pub const MANAGEMENT_HEADER: &str = "X-Muster-Management";

/// The header with the other members' addresses.
pub const PEERS_HEADER: &str = "X-Muster-Peers";

/// Most addresses in an answer.
pub const MAX_PEERS: usize = 64;

/// A member's place in its cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seat {
    /// The cluster.
    pub cluster: ClusterName,
    /// The node's id.
    pub node: u128,
    /// Where its channel listens.
    pub address: PeerAddress,
}

/// A text that is no [`Seat`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("it is not of the form CLUSTER NODE HOST:PORT")]
pub struct BadSeat;

// === impl Seat ===

impl FromStr for Seat {
    type Err = BadSeat;

    fn from_str(text: &str) -> Result<Seat, BadSeat> {
        let read = || {
            let mut words = text.split(' ');
            let (cluster, node) = (words.next()?.parse().ok()?, words.next()?);
            let address = words.next()?.parse().ok()?;
            let is_node = node.len() == 32 && node.bytes().all(|b| b.is_ascii_hexdigit());
            let node = u128::from_str_radix(node, 16).ok().filter(|_| is_node)?;
            words.next().is_none().then_some(Seat { cluster, node, address })
        };
        read().ok_or(BadSeat)
    }
}

impl fmt::Display for Seat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {:032x} {}", self.cluster, self.node, self.address)
    }
}

/// The value of [`PEERS_HEADER`]: at most [`MAX_PEERS`] of them.
#[must_use]
pub fn write_peers<'a>(peers: impl IntoIterator<Item = &'a PeerAddress>) -> String {
    let texts = peers.into_iter().take(MAX_PEERS).map(ToString::to_string);
    texts.collect::<Vec<_>>().join(", ")
}

/// The addresses in the value of [`PEERS_HEADER`]: at most [`MAX_PEERS`]; what is none is left out.
#[must_use]
pub fn read_peers(value: &str) -> Vec<PeerAddress> {
    let texts = value.split(',').take(MAX_PEERS);
    texts.filter_map(|text| text.trim().parse().ok()).collect()
}

/// Where a member's management answers: the value of [`MANAGEMENT_HEADER`], which is
/// `http://host:port` or `https://host:port`.
#[must_use]
pub fn read_management(value: &str) -> Option<Address> {
    let (scheme, rest) = value.split_once("://")?;
    let scheme = match scheme {
        "http" => Scheme::Http,
        "https" => Scheme::Https,
        _ => return None,
    };
    let PeerAddress { host, port } = rest.parse().ok()?;
    Some(Address { scheme, host, port })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_seat_is_read_as_it_is_written() {
        let text = "shop 0000000000000000000000000000002a 10.0.0.1:7700";
        let seat: Seat = text.parse().unwrap();
        assert_eq!((seat.node, seat.to_string().as_str()), (42, text));
        for bad in [
            "",
            "shop",
            "shop 2a 10.0.0.1:7700",
            "shop +000000000000000000000000000002a 10.0.0.1:7700",
            "shop 0000000000000000000000000000002a 10.0.0.1",
            "shop 0000000000000000000000000000002a 10.0.0.1:7700 more",
            "sh<p 0000000000000000000000000000002a 10.0.0.1:7700",
        ] {
            assert_eq!(bad.parse::<Seat>(), Err(BadSeat), "{bad}");
        }
    }

    #[test]
    fn peers_are_bounded_and_what_is_none_is_left_out() {
        let peers: Vec<PeerAddress> =
            (1..=100).map(|port| format!("a:{port}").parse().unwrap()).collect();
        let read = read_peers(&write_peers(&peers));
        assert_eq!(read, peers[..MAX_PEERS]);
        assert_eq!(read_peers("a:1,, b ,c:0,d:2").len(), 2);
        assert_eq!(read_peers(""), []);
    }

    #[test]
    fn a_management_has_a_scheme_a_host_and_a_port() {
        for good in ["http://10.0.0.1:7790", "https://[::1]:7790"] {
            assert_eq!(read_management(good).unwrap().to_string(), good);
        }
        for bad in ["", "10.0.0.1:7790", "ajp://a:1", "http://a:1/x", "http://a", "http://u@a:1"] {
            assert_eq!(read_management(bad), None, "{bad}");
        }
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic(text in any::<String>()) {
            let _ = read_management(&text);
            let _ = text.parse::<Seat>();
            prop_assert!(read_peers(&text).len() <= MAX_PEERS);
        }
    }
}
