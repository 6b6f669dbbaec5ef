//! What a node or an operator may ask of a balancer, as checked values.

use std::fmt;
use std::net::SocketAddr;
use std::time::Duration;

use crate::names::{Alias, BalancerName, ContextPath, Domain, NodeHost, Route, StickyName};

/// One MCMP message. All values are checked; nothing here came unread from a socket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// A node says who it is and where it answers.
    Config(Box<NodeConfig>),
    /// A verb for some contexts of a node, or for all of them.
    App(App),
    /// A node reports its load.
    Status(Status),
    /// Is the balancer there, or a node, or an address?
    Ping(Ping),
    /// The nodes with their counters.
    Info,
    /// The configuration of balancers, nodes, hosts and contexts.
    Dump,
    /// The product and the protocol.
    Version,
}

/// What happens to a context.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Verb {
    /// All requests.
    Enable,
    /// Old sessions only.
    Disable,
    /// No requests; those in flight finish.
    Stop,
    /// Forget it.
    Remove,
}

impl Verb {
    /// The wire's method.
    pub fn method(self) -> &'static str {
        match self {
            Verb::Enable => "ENABLE-APP",
            Verb::Disable => "DISABLE-APP",
            Verb::Stop => "STOP-APP",
            Verb::Remove => "REMOVE-APP",
        }
    }
}

/// ENABLE-APP, DISABLE-APP, STOP-APP or REMOVE-APP.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct App {
    /// What happens.
    pub verb: Verb,
    /// The node.
    pub route: Route,
    /// To which of its contexts.
    pub scope: Scope,
}

/// The contexts that a verb is for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Scope {
    /// Every context of the node (the uri ends in `/*`).
    Node,
    /// These contexts of the virtual host with these aliases; neither list is empty.
    Contexts(VirtualHost),
}

/// A virtual host as a message names it: aliases of one host, and contexts on it.
/// Neither list is empty.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VirtualHost {
    /// Names of the one virtual host.
    pub aliases: Vec<Alias>,
    /// Applications on it.
    pub contexts: Vec<ContextPath>,
}

/// STATUS.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Status {
    /// The node; a message without one is answered NOTOK, as the 1.3 wire does.
    pub route: Option<Route>,
    /// What the node says of itself.
    pub load: Load,
}

/// A load factor as reported.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Load {
    /// 1 (overloaded) to 100 (free): the node's share.
    Usable(u8),
    /// 0: used only when no other node is.
    Standby,
    /// -1: the node is in an error state.
    Broken,
    /// Absent or -2: look whether the node answers, and change nothing else.
    ProbeOnly,
}

impl Load {
    /// The load for a number of the wire, or `None` where the number is none.
    ///
    /// ```
    /// use muster_protocol::mcmp::Load;
    /// assert_eq!(Load::from_number(60), Some(Load::Usable(60)));
    /// assert_eq!(Load::from_number(101), None);
    /// ```
    pub fn from_number(number: i64) -> Option<Load> {
        match number {
            1..=100 => Some(Load::Usable(number as u8)),
            0 => Some(Load::Standby),
            -1 => Some(Load::Broken),
            -2 => Some(Load::ProbeOnly),
            _ => None,
        }
    }

    /// The number that stands for it on the wire.
    pub fn number(self) -> i32 {
        match self {
            Load::Usable(factor) => i32::from(factor),
            Load::Standby => 0,
            Load::Broken => -1,
            Load::ProbeOnly => -2,
        }
    }
}

/// PING.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ping {
    /// Is the balancer there?
    Balancer,
    /// Does this node answer?
    Node(Route),
    /// Does this address answer? Only addresses of registered nodes are ever asked.
    Address {
        /// How to speak; `None` where the wire named a scheme that no node can have.
        scheme: Option<Scheme>,
        /// Where.
        host: NodeHost,
        /// At which port.
        port: u16,
    },
}

/// How the balancer speaks to a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Scheme {
    /// AJP13, mod_cluster's classic and default.
    Ajp,
    /// HTTP/1.1. The wire's `ws` means the same.
    Http,
    /// HTTP/1.1 over TLS. The wire's `wss` means the same.
    Https,
    /// HTTP/2 over TLS.
    H2,
    /// HTTP/2 in the clear.
    H2c,
}

impl Scheme {
    /// The scheme that the wire's word means, in any case.
    pub fn from_word(word: &str) -> Option<Scheme> {
        match word.to_ascii_lowercase().as_str() {
            "ajp" => Some(Scheme::Ajp),
            "http" | "ws" => Some(Scheme::Http),
            "https" | "wss" => Some(Scheme::Https),
            "h2" => Some(Scheme::H2),
            "h2c" => Some(Scheme::H2c),
            _ => None,
        }
    }

    /// The wire's word.
    pub fn word(self) -> &'static str {
        match self {
            Scheme::Ajp => "ajp",
            Scheme::Http => "http",
            Scheme::Https => "https",
            Scheme::H2 => "h2",
            Scheme::H2c => "h2c",
        }
    }
}

impl fmt::Display for Scheme {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

/// Where a node answers.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Address {
    /// How to speak.
    pub scheme: Scheme,
    /// Where.
    pub host: NodeHost,
    /// At which port; never 0.
    pub port: u16,
}

impl Address {
    /// The host without the brackets in which an IPv6 address stands.
    pub fn bare_host(&self) -> &str {
        let host = self.host.as_str();
        host.strip_prefix('[').and_then(|inner| inner.strip_suffix(']')).unwrap_or(host)
    }

    /// Where it leads without looking anything up; `None` where the host is a name. An IPv6
    /// address with a zone is one.
    pub fn socket(&self) -> Option<SocketAddr> {
        Some(SocketAddr::new(self.bare_host().parse().ok()?, self.port))
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}:{}", self.scheme, self.host, self.port)
    }
}

/// CONFIG: a node, and the settings of the balancer name that it registers for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeConfig {
    /// The node's name.
    pub route: Route,
    /// The group that it registers for.
    pub balancer: BalancerName,
    /// Settings of that group: the last CONFIG wins.
    pub settings: BalancerSettings,
    /// The failover group, if any.
    pub domain: Option<Domain>,
    /// Where the node answers.
    pub address: Address,
    /// `Reversed`: kept and shown, without effect.
    pub reversed: bool,
    /// When to flush what the node sends.
    pub flush_packets: FlushPackets,
    /// How long to gather before a flush.
    pub flush_wait: Duration,
    /// Bound of a probe, of a connect, and of the wait for 100-continue.
    pub ping: Duration,
    /// Most idle connections that are kept; `None` for the balancer's own bound.
    pub smax: Option<u32>,
    /// How long an idle connection is kept.
    pub ttl: Duration,
    /// Bound of the node's silence; `None` for the balancer's own.
    pub timeout: Option<Duration>,
    /// Contexts that are created stopped together with the node.
    pub virtual_host: Option<VirtualHost>,
}

/// `flushpackets`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize)]
pub enum FlushPackets {
    /// Never early.
    Off,
    /// After each packet.
    On,
    /// When `flushwait` passes without more.
    Auto,
}

impl FlushPackets {
    /// What the wire's word means, in any case.
    pub fn from_word(word: &str) -> Option<FlushPackets> {
        match word.to_ascii_lowercase().as_str() {
            "off" => Some(FlushPackets::Off),
            "on" => Some(FlushPackets::On),
            "auto" => Some(FlushPackets::Auto),
            _ => None,
        }
    }

    /// The wire's word.
    pub fn word(self) -> &'static str {
        match self {
            FlushPackets::Off => "Off",
            FlushPackets::On => "On",
            FlushPackets::Auto => "Auto",
        }
    }

    /// The number that stands for it in DUMP.
    pub fn number(self) -> u8 {
        match self {
            FlushPackets::Off => 0,
            FlushPackets::On => 1,
            FlushPackets::Auto => 2,
        }
    }
}

/// What holds for all nodes of one balancer name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BalancerSettings {
    /// Whether sessions stay with their node.
    pub sticky: bool,
    /// Whether a session whose node is gone gets 503 instead of another node outside the domain.
    pub sticky_force: bool,
    /// Whether the session id is stripped when a request leaves the domain of its node.
    pub sticky_remove: bool,
    /// The session cookie.
    pub cookie: StickyName,
    /// The session path parameter.
    pub path: StickyName,
    /// With no usable node, how long a request waits for one.
    pub wait_worker: Duration,
    /// Retries after the first try.
    pub max_attempts: u32,
}

impl Default for BalancerSettings {
    /// The wire's defaults (reference: CONFIG table).
    fn default() -> Self {
        BalancerSettings {
            sticky: true,
            sticky_force: true,
            sticky_remove: false,
            cookie: "JSESSIONID".parse().expect("the default cookie name is good"),
            path: "jsessionid".parse().expect("the default path parameter is good"),
            wait_worker: Duration::ZERO,
            max_attempts: 1,
        }
    }
}

impl NodeConfig {
    /// A node at an address, with the wire's defaults for everything else.
    pub fn new(route: Route, address: Address) -> NodeConfig {
        NodeConfig {
            route,
            balancer: "mycluster".parse().expect("the default balancer name is good"),
            settings: BalancerSettings::default(),
            domain: None,
            address,
            reversed: false,
            flush_packets: FlushPackets::Off,
            flush_wait: Duration::from_millis(10),
            ping: Duration::from_secs(10),
            smax: None,
            ttl: Duration::from_secs(60),
            timeout: None,
            virtual_host: None,
        }
    }
}
