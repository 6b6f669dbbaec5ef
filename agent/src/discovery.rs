//! Discovery: balancers that advertise themselves over multicast are followed, with no list of them
//! or beside one. What is heard is judged by `muster_protocol::advertise`, whom to follow by the
//! [`book`]; [`multicast`] is the shell with the socket.

mod book;
pub(crate) mod multicast;

use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};
use std::time::Duration;

use muster_protocol::advertise::{GROUP, Key, Protocol, Rules};

use crate::builder::Fault;

/// How balancers that advertise themselves are found and followed.
///
/// Without a [security key](Discovery::security_key) and a secret for messages, whoever can send to the group can name any
/// address as a balancer, and this node introduces itself there. Set a key wherever others share
/// the network.
///
/// ```
/// use muster_agent::{Agent, Discovery};
/// let discovery = Discovery::multicast().security_key("known to our balancers only");
/// let builder = Agent::builder().node_name("node1").discovery(discovery);
/// ```
#[derive(Debug, Clone)]
#[must_use]
pub struct Discovery {
    group: SocketAddrV4,
    interfaces: Vec<Ipv4Addr>,
    security_key: Option<SecretText>,
    accept_md5: bool,
    max_age: Duration,
    silence: Duration,
    most_balancers: usize,
}

/// Never shown.
#[derive(Clone)]
struct SecretText(String);

/// Checked settings.
#[derive(Debug, Clone)]
pub(crate) struct Multicast {
    pub(crate) group: SocketAddrV4,
    /// Where the group is joined; empty for loopback and whatever the system takes.
    pub(crate) interfaces: Vec<Ipv4Addr>,
    pub(crate) rules: Rules,
    /// What this agent speaks with balancers; it follows no others.
    pub(crate) protocol: Protocol,
    /// Without a datagram for so long, a balancer is no longer advertised.
    pub(crate) silence: Duration,
    pub(crate) most_balancers: usize,
}

// === impl Discovery ===

impl Discovery {
    /// The group of mod_cluster, 224.0.1.105:23364, on loopback and on the interface that the
    /// system takes for it; no key.
    pub fn multicast() -> Discovery {
        let SocketAddr::V4(group) = GROUP else { unreachable!("mod_cluster's group is IPv4") };
        Discovery {
            group,
            interfaces: Vec::new(),
            security_key: None,
            accept_md5: false,
            max_age: Duration::from_secs(30),
            silence: Duration::from_secs(35),
            most_balancers: 64,
        }
    }

    /// Another group and port: an IPv4 multicast address.
    pub fn group(mut self, group: SocketAddrV4) -> Self {
        self.group = group;
        self
    }

    /// Listens on the network interface with this address only. Call it once for each.
    pub fn interface(mut self, address: Ipv4Addr) -> Self {
        self.interfaces.push(address);
        self
    }

    /// What only this node and its balancers know, 1 to 255 bytes: nobody else is believed, and
    /// nothing that was recorded and sent again. A balancer must sign with HMAC-SHA256, as Muster
    /// does. By default one that is made of the [secret](crate::Builder::secret) for messages, as
    /// Muster's own default is.
    pub fn security_key(mut self, key: impl Into<String>) -> Self {
        self.security_key = Some(SecretText(key.into()));
        self
    }

    /// Whether the old digest (MD5) is enough with a key, for balancers that know no other, such
    /// as Apache httpd and Undertow; off by default. It does not cover the address: who hears one
    /// datagram can send another address in its name for as long as its [age](Self::max_age).
    pub fn accept_md5(mut self, is_on: bool) -> Self {
        self.accept_md5 = is_on;
        self
    }

    /// With a key, how far a datagram's date may be from this machine's clock; 30 s by default.
    pub fn max_age(mut self, age: Duration) -> Self {
        self.max_age = age;
        self
    }

    /// A balancer that has not been heard for so long, or said that it drains or ends, is left as
    /// soon as it answers no message either; 35 s by default. One that still answers is kept,
    /// however silent: a network may lose multicast alone.
    pub fn silence(mut self, silence: Duration) -> Self {
        self.silence = silence;
        self
    }

    /// Most balancers that are followed at once; 64 by default. Where there are more, one that
    /// answers no message makes room.
    pub fn most_balancers(mut self, balancers: usize) -> Self {
        self.most_balancers = balancers;
        self
    }

    /// With a key of its own or else with those that are `derived` from the secrets for messages.
    pub(crate) fn check(
        self,
        derived: Vec<Key>,
        protocol: Protocol,
    ) -> Result<Multicast, Vec<Fault>> {
        let mut faults = Vec::new();
        if !self.group.ip().is_multicast() || self.group.port() == 0 {
            faults.push(Fault::Group(self.group));
        }
        let zero = [("silence", self.silence), ("max_age", self.max_age)];
        let zero = zero.into_iter().filter(|(_, duration)| duration.is_zero());
        faults.extend(zero.map(|(name, _)| Fault::ZeroDuration(name)));
        if self.most_balancers == 0 {
            faults.push(Fault::NoBalancers);
        }
        let key = self.security_key.map(|key| Key::new(&key.0)).transpose();
        let key = key.map_err(|error| faults.push(Fault::SecurityKey(error))).unwrap_or_default();
        let (accept_md5, max_age) = (self.accept_md5, self.max_age);
        let keys = key.map_or(derived, |key| vec![key]);
        let rules = Rules { accept_md5, max_age, ..Rules::new(keys) };
        let (group, interfaces) = (self.group, self.interfaces);
        let (silence, most_balancers) = (self.silence, self.most_balancers);
        match faults.is_empty() {
            true => Ok(Multicast { group, interfaces, rules, protocol, silence, most_balancers }),
            false => Err(faults),
        }
    }
}

impl std::fmt::Debug for SecretText {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("********")
    }
}
