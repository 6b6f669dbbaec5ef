//! Networks whose word is taken: of trusted proxies, and of those that speak the PROXY protocol.
//!
//! An address is in a network whichever way it came: what an IPv6 socket calls `::ffff:10.0.0.1`
//! is 10.0.0.1.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use ipnet::{IpNet, Ipv6Net};

/// Networks, in the order of the configuration. The default is none.
///
/// Looking through them takes a few nanoseconds for each; who asks for every request of a
/// connection asks once and remembers.
///
/// ```
/// use muster_balancer::trusted::Networks;
/// let inside = Networks::parse(&["10.0.0.0/8", "fd00::/8"]).unwrap();
/// assert!(inside.contains("10.1.2.3".parse().unwrap()));
/// assert!(inside.contains("::ffff:10.1.2.3".parse().unwrap()));
/// assert!(!inside.contains("192.0.2.1".parse().unwrap()));
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Default, serde::Serialize)]
#[serde(transparent)]
pub struct Networks(Vec<Network>);

/// One network, such as `10.0.0.0/8`; a single address is a network of one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(transparent)]
pub struct Network(IpNet);

/// A text that is no network.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadNetwork {
    /// Neither a network nor an address.
    #[error("{0:?} is no network (\"10.0.0.0/8\") and no address")]
    Text(String),
    /// It names a host within the network, which may be a slip of the pen.
    #[error("{given} has bits beyond its prefix; the network is {meant}")]
    Host {
        /// As it was given.
        given: IpNet,
        /// The whole network.
        meant: IpNet,
    },
}

// === impl Networks ===

impl Networks {
    /// No network at all.
    pub const NONE: Networks = Networks(Vec::new());

    /// Reads each text.
    ///
    /// # Errors
    /// The first that is no network.
    pub fn parse(texts: &[&str]) -> Result<Networks, BadNetwork> {
        texts.iter().map(|text| text.parse()).collect::<Result<_, _>>().map(Networks)
    }

    /// Whether any of them has the address.
    pub fn contains(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        self.0.iter().any(|network| network.0.contains(&address))
    }

    /// Whether one of them has every address of its kind.
    pub fn have_everybody(&self) -> bool {
        self.0.iter().any(|network| network.0.prefix_len() == 0)
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl From<Vec<Network>> for Networks {
    fn from(networks: Vec<Network>) -> Self {
        Networks(networks)
    }
}

// === impl Network ===

impl FromStr for Network {
    type Err = BadNetwork;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let network = match text.parse() {
            Ok(address) => IpNet::from(IpAddr::to_canonical(&address)),
            Err(_) => text.parse().map_err(|_| BadNetwork::Text(text.to_owned()))?,
        };
        match network.trunc() == network {
            true => Ok(Network(canonical(network))),
            false => Err(BadNetwork::Host { given: network, meant: network.trunc() }),
        }
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// `::ffff:10.0.0.0/104` is 10.0.0.0/8: addresses are compared in their short form.
fn canonical(network: IpNet) -> IpNet {
    let IpNet::V6(v6) = network else { return network };
    let (address, prefix) = (IpAddr::V6(v6.addr()).to_canonical(), v6.prefix_len());
    match address {
        IpAddr::V4(_) => prefix
            .checked_sub(MAPPED)
            .and_then(|prefix| IpNet::new(address, prefix).ok())
            .unwrap_or(network),
        IpAddr::V6(_) => network,
    }
}

/// Bits before the IPv4 address in an IPv6 address that holds one.
const MAPPED: u8 = 96;

/// Whose address this is, for counting: an IPv4 address is a client's, while a client of IPv6
/// usually has a whole /64 to choose from.
pub fn client_of(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(v4) => IpAddr::V4(v4),
        IpAddr::V6(v6) => {
            let network = Ipv6Net::new(v6, 64).expect("64 is not above 128");
            IpAddr::V6(network.network())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn an_address_is_a_network_of_one() {
        let one = Networks::parse(&["192.0.2.1", "::1"]).unwrap();
        assert!(one.contains(ip("192.0.2.1")) && one.contains(ip("::1")));
        assert!(!one.contains(ip("192.0.2.2")) && !one.contains(ip("::2")));
    }

    #[test]
    fn a_mapped_address_is_the_address_it_maps() {
        for network in ["10.0.0.0/8", "::ffff:10.0.0.0/104"] {
            let inside = Networks::parse(&[network]).unwrap();
            assert!(inside.contains(ip("10.9.9.9")), "{network}");
            assert!(inside.contains(ip("::ffff:10.9.9.9")), "{network}");
            assert!(!inside.contains(ip("11.0.0.1")), "{network}");
        }
        assert!(Networks::parse(&["::ffff:10.0.0.1"]).unwrap().contains(ip("10.0.0.1")));
    }

    #[test]
    fn a_network_with_a_host_in_it_is_named_with_what_was_meant() {
        let error = Networks::parse(&["10.0.0.1/8"]).unwrap_err();
        assert_eq!(
            error.to_string(),
            "10.0.0.1/8 has bits beyond its prefix; the network is 10.0.0.0/8"
        );
        assert!(matches!(Networks::parse(&["10.0.0.0/33"]), Err(BadNetwork::Text(_))));
        assert!(matches!(Networks::parse(&["localhost"]), Err(BadNetwork::Text(_))));
    }

    #[test]
    fn a_client_of_ipv6_is_its_whole_64() {
        assert_eq!(client_of(ip("2001:db8:1:2:3:4:5:6")), ip("2001:db8:1:2::"));
        assert_eq!(client_of(ip("::ffff:192.0.2.7")), ip("192.0.2.7"));
        assert_eq!(client_of(ip("192.0.2.7")), ip("192.0.2.7"));
    }
}
