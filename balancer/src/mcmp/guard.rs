//! Which addresses a node may register: its own, and those that the configuration allows.
//!
//! Whoever registers an address makes the balancer connect to it. So nobody registers what only the
//! balancer reaches: its own listeners, the metadata service of a cloud, a neighbour of its link.

use std::fmt;
use std::future::Future;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use muster_protocol::mcmp::Address;

use crate::trusted::Networks;

/// Services that tell secrets to whoever connects from inside of a cloud, beside 169.254.169.254.
const METADATA: [IpAddr; 4] = [
    IpAddr::V4(Ipv4Addr::new(100, 100, 100, 200)),
    IpAddr::V4(Ipv4Addr::new(168, 63, 129, 16)),
    IpAddr::V4(Ipv4Addr::new(192, 0, 0, 192)),
    IpAddr::V6(Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254)),
];

/// How long the look-up of a node's name may take.
const LOOK_UP: Duration = Duration::from_secs(2);

/// Why an address is not registered.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum BadAddress {
    /// Of a kind that no node has.
    #[error("{host} is {kind}: no node registers it")]
    Kind {
        /// As it was sent.
        host: String,
        /// What it is.
        kind: &'static str,
    },
    /// One of our own listeners.
    #[error("{0} is a listener of this balancer")]
    Ours(SocketAddr),
    /// Neither the node's own nor an allowed one.
    #[error("{address} is not the address of this node, {from}, and not in mcmp.allow_addresses")]
    Foreign {
        /// Where it leads.
        address: IpAddr,
        /// Where the node is.
        from: IpAddr,
    },
    /// A name that leads nowhere now.
    #[error("the host name {0} leads nowhere")]
    Nowhere(String),
}

type Found = Pin<Box<dyn Future<Output = std::io::Result<Vec<SocketAddr>>> + Send>>;
type LookUp = dyn Fn(String, u16) -> Found + Send + Sync;

/// What a node may register. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Guard {
    allowed: Networks,
    own: Arc<[SocketAddr]>,
    look_up: Arc<LookUp>,
    is_local: fn(IpAddr) -> bool,
}

impl fmt::Debug for Guard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Guard").field("allowed", &self.allowed).field("own", &self.own).finish()
    }
}

// === impl Guard ===

impl Guard {
    /// `own` are our listeners, as they are bound.
    pub(crate) fn new(allowed: Networks, own: Vec<SocketAddr>) -> Guard {
        let look_up = |host: String, port: u16| -> Found {
            Box::pin(async move { Ok(tokio::net::lookup_host((host, port)).await?.collect()) })
        };
        Guard { allowed, own: own.into(), look_up: Arc::new(look_up), is_local }
    }

    /// Where the address leads, once every address that its name leads to may be registered by who
    /// is at `from`. Gives the one to connect to where it is a name: no other was checked.
    ///
    /// # Errors
    /// A [`BadAddress`].
    pub(crate) async fn check(
        &self,
        address: &Address,
        from: IpAddr,
    ) -> Result<Option<SocketAddr>, BadAddress> {
        if let Some(socket) = address.socket() {
            return self.check_one(socket, from).map(|()| None);
        }
        let host = address.bare_host();
        if host.contains('%') {
            let host = host.to_owned();
            return Err(BadAddress::Kind { host, kind: "an address within one link" });
        }
        let nowhere = || BadAddress::Nowhere(host.to_owned());
        let looked_up = (self.look_up)(host.to_owned(), address.port);
        let found = tokio::time::timeout(LOOK_UP, looked_up).await.map_err(|_| nowhere())?;
        let found = found.map_err(|_| nowhere())?;
        found.iter().try_for_each(|socket| self.check_one(*socket, from))?;
        // An IPv4 address first: a node that listens on 0.0.0.0 does not hear ::1.
        found.into_iter().min_by_key(SocketAddr::is_ipv6).map(Some).ok_or_else(nowhere)
    }

    fn check_one(&self, socket: SocketAddr, from: IpAddr) -> Result<(), BadAddress> {
        let (address, from) = (plain(socket.ip()), from.to_canonical());
        if let Some(kind) = never(address) {
            return Err(BadAddress::Kind { host: socket.ip().to_string(), kind });
        }
        if self.is_ours(SocketAddr::new(address, socket.port())) {
            return Err(BadAddress::Ours(socket));
        }
        let is_own = address == from
            // Who comes by loopback is on this machine, and so are all addresses of it.
            || (from.is_loopback() && (self.is_local)(address));
        match is_own || self.allowed.contains(address) {
            true => Ok(()),
            false => Err(BadAddress::Foreign { address, from }),
        }
    }

    fn is_ours(&self, socket: SocketAddr) -> bool {
        let leads_to = |own: &SocketAddr| {
            let ip = plain(own.ip());
            let is_everywhere = own.ip().is_unspecified() && (self.is_local)(socket.ip());
            own.port() == socket.port() && (ip == socket.ip() || is_everywhere)
        };
        self.own.iter().any(leads_to)
    }
}

/// Whether an address is of this machine: only such a one can be bound.
fn is_local(address: IpAddr) -> bool {
    address.is_loopback() || UdpSocket::bind((address, 0)).is_ok()
}

/// An IPv4 address in whichever of its IPv6 forms: mapped, compatible, of a translator (64:ff9b::/96)
/// or of 6to4 (2002::/16).
fn plain(address: IpAddr) -> IpAddr {
    let IpAddr::V6(v6) = address.to_canonical() else { return address.to_canonical() };
    let v4 =
        |high: u16, low: u16| IpAddr::V4(Ipv4Addr::from(u32::from(high) << 16 | u32::from(low)));
    match v6.segments() {
        [0, 0, 0, 0, 0, 0, 0, 0 | 1] => address,
        [0, 0, 0, 0, 0, 0, high, low] | [0x64, 0xff9b, 0, 0, 0, 0, high, low] => v4(high, low),
        [0x2002, high, low, ..] => v4(high, low),
        _ => address,
    }
}

/// What no node registers, whatever is allowed.
fn never(address: IpAddr) -> Option<&'static str> {
    let is_link_local = match address {
        IpAddr::V4(v4) => v4.is_link_local(),
        IpAddr::V6(v6) => v6.is_unicast_link_local(),
    };
    let is_nobody = match address {
        // 0.0.0.0/8 is this machine to Linux.
        IpAddr::V4(v4) => v4.octets()[0] == 0 || v4.octets()[0] >= 240,
        IpAddr::V6(v6) => v6.is_unspecified(),
    };
    match address {
        _ if is_link_local => Some("a link-local address"),
        _ if address.is_multicast() => Some("a multicast address"),
        _ if is_nobody => Some("no address of a machine"),
        _ if METADATA.contains(&address) => Some("the metadata service of a cloud"),
        _ => None,
    }
}

#[cfg(test)]
impl Guard {
    /// A guard for whom names lead where `leads` says.
    pub(crate) fn with_names(self, leads: fn(&str) -> &'static [&'static str]) -> Guard {
        let look_up = move |host: String, port: u16| -> Found {
            let found = leads(&host).iter().map(|ip| SocketAddr::new(ip.parse().unwrap(), port));
            let found = found.collect();
            Box::pin(async move { Ok(found) })
        };
        Guard { look_up: Arc::new(look_up), ..self }
    }
}

#[cfg(test)]
mod tests {
    use muster_protocol::mcmp::Scheme;

    use super::*;

    fn guard() -> Guard {
        let own = ["10.0.0.1:6666", "0.0.0.0:8000", "127.0.0.1:6667", "[::]:8443"];
        let own = own.map(|address| address.parse().unwrap()).into();
        let guard = Guard::new(Networks::parse(&["10.9.0.0/16", "169.254.0.0/16"]).unwrap(), own);
        let is_local = |ip: IpAddr| ip.is_loopback() || ip == IpAddr::from([10, 0, 0, 1]);
        let guard = Guard { is_local, ..guard };
        guard.with_names(|name| match name {
            "node.example" => &["10.0.0.7"],
            "two.example" => &["fd00::7", "10.0.0.7"],
            "metadata.example" => &["169.254.169.254"],
            "both.example" => &["10.0.0.7", "169.254.169.254"],
            "ours.example" => &["10.0.0.1"],
            _ => &[],
        })
    }

    async fn check(host: &str, port: u16, from: &str) -> Result<Option<SocketAddr>, String> {
        let address = Address { scheme: Scheme::Http, host: host.parse().unwrap(), port };
        let checked = guard().check(&address, from.parse().unwrap()).await;
        checked.map_err(|error| error.to_string())
    }

    #[tokio::test]
    async fn a_node_registers_its_own_address_or_an_allowed_one() {
        for (host, from) in [
            ("10.0.0.7", "10.0.0.7"),
            ("10.0.0.7", "::ffff:10.0.0.7"),
            ("[::ffff:10.0.0.7]", "10.0.0.7"),
            ("[fd00::7]", "fd00::7"),
            ("10.9.1.2", "10.0.0.7"),
            ("127.0.0.1", "127.0.0.1"),
            ("127.0.0.2", "127.0.0.1"),
            ("[::1]", "127.0.0.1"),
            ("10.0.0.1", "127.0.0.1"),
        ] {
            assert_eq!(check(host, 80, from).await, Ok(None), "{host} {from}");
        }
        for (host, from) in [
            ("10.0.0.8", "10.0.0.7"),
            ("10.0.0.8", "127.0.0.1"),
            ("127.0.0.1", "10.0.0.7"),
            ("[::1]", "10.0.0.7"),
            ("[::ffff:127.0.0.1]", "10.0.0.7"),
            ("[::7f00:1]", "10.0.0.7"),
            ("[64:ff9b::7f00:1]", "10.0.0.7"),
            ("10.0.0.1", "10.0.0.7"),
        ] {
            let refused = check(host, 80, from).await.unwrap_err();
            assert!(refused.contains("not the address of this node"), "{host} {from}: {refused}");
        }
    }

    #[tokio::test]
    async fn some_addresses_are_never_registered_not_even_by_themselves_or_when_allowed() {
        for (host, kind) in [
            ("169.254.169.254", "link-local"),
            ("[::ffff:169.254.169.254]", "link-local"),
            ("[64:ff9b::a9fe:a9fe]", "link-local"),
            ("[2002:a9fe:a9fe::1]", "link-local"),
            ("[fe80::1]", "link-local"),
            ("[fe80::1%eth0]", "within one link"),
            ("100.100.100.200", "metadata"),
            ("168.63.129.16", "metadata"),
            ("[fd00:ec2::254]", "metadata"),
            ("224.0.1.105", "multicast"),
            ("[ff02::1]", "multicast"),
            ("0.0.0.0", "no address of a machine"),
            ("0.1.2.3", "no address of a machine"),
            ("[::]", "no address of a machine"),
            ("255.255.255.255", "no address of a machine"),
        ] {
            for from in ["127.0.0.1", "10.0.0.7"] {
                let refused = check(host, 80, from).await.unwrap_err();
                assert!(refused.contains(kind), "{host}: {refused}");
            }
        }
        let itself = check("169.254.169.254", 80, "169.254.169.254").await;
        assert!(itself.unwrap_err().contains("link-local"));
    }

    #[tokio::test]
    async fn our_own_listeners_are_no_nodes() {
        for (host, port) in [
            ("127.0.0.1", 6667),
            ("127.0.0.1", 8000),
            ("[::ffff:127.0.0.1]", 8000),
            ("127.0.0.9", 8000),
            ("10.0.0.1", 6666),
            ("10.0.0.1", 8000),
            ("[::1]", 8443),
            ("127.0.0.1", 8443),
        ] {
            let refused = check(host, port, "127.0.0.1").await.unwrap_err();
            assert!(refused.contains("a listener of this balancer"), "{host} {port}: {refused}");
        }
        assert_eq!(check("127.0.0.1", 6666, "127.0.0.1").await, Ok(None), "that is 10.0.0.1's");
        assert_eq!(check("10.0.0.7", 8000, "10.0.0.7").await, Ok(None), "another machine's");
        let ours = check("ours.example", 6666, "127.0.0.1").await.unwrap_err();
        assert!(ours.contains("a listener of this balancer"), "{ours}");
    }

    #[tokio::test]
    async fn every_address_of_a_name_is_checked_and_one_of_them_is_used() {
        let socket = Ok(Some("10.0.0.7:80".parse().unwrap()));
        assert_eq!(check("node.example", 80, "10.0.0.7").await, socket);
        let two = check("two.example", 80, "10.0.0.7").await.unwrap_err();
        assert!(two.contains("fd00::7 is not the address of this node"), "{two}");
        for name in ["metadata.example", "both.example"] {
            let refused = check(name, 80, "10.0.0.7").await.unwrap_err();
            assert!(refused.contains("link-local"), "{name}: {refused}");
        }
        let nowhere = check("nowhere.example", 80, "10.0.0.7").await.unwrap_err();
        assert_eq!(nowhere, "the host name nowhere.example leads nowhere");
    }

    #[test]
    fn an_address_of_this_machine_is_one_that_can_be_bound() {
        assert!(is_local([127, 0, 0, 1].into()));
        assert!(!is_local([192, 0, 2, 1].into()));
    }
}
