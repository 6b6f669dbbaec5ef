//! The listener of nodes (`[mcmp]`) and the bounds of what they may register.

use std::net::SocketAddr;
use std::time::Duration;

use muster_protocol::mcmp::MAX_BODY;

use super::listen::{addresses, loopback};
use super::reader::{Section, bytes, count, duration, flag};
use super::{DAY, KIB, MIB, SECOND};

/// `[mcmp]`.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Mcmp {
    /// Addresses, `ip:port`; port 0 takes a free one. Up to 64 of them; with none, nodes are
    /// static only. Default `["127.0.0.1:6666"]`.
    pub listen: Vec<SocketAddr>,
    /// Most bytes of a message's body, 1 KiB to 16 MiB. Default 64 KiB.
    #[serde(serialize_with = "super::show_bytes")]
    pub max_body_bytes: usize,
    /// Most connections at once, 1 to 1,000,000. Default 1,024.
    pub max_connections: usize,
    /// How long a node's connection may idle, 1 s to 1 day: longer than the nodes' status
    /// interval, which is 10 s. Default 60 s.
    #[serde(with = "humantime_serde")]
    pub idle_timeout: Duration,
    /// Most nodes, 1 to 1,000,000. Default 10,000.
    pub max_nodes: usize,
    /// Most contexts, counted on each virtual host of each node, 1 to 10,000,000.
    /// Default 100,000.
    pub max_contexts: usize,
    /// Whether a request's host must be an alias of the context's virtual host. Default false,
    /// as in Apache httpd.
    pub use_alias: bool,
}

// === impl Mcmp ===

impl Default for Mcmp {
    fn default() -> Self {
        Mcmp {
            listen: vec![loopback(6666)],
            max_body_bytes: MAX_BODY,
            max_connections: 1024,
            idle_timeout: Duration::from_secs(60),
            max_nodes: 10_000,
            max_contexts: 100_000,
            use_alias: false,
        }
    }
}

impl Mcmp {
    pub(super) fn read(section: &mut Section<'_, '_>) -> Mcmp {
        let default = Mcmp::default();
        Mcmp {
            listen: addresses(section, 0, default.listen),
            max_body_bytes: section.read(
                "max_body_bytes",
                default.max_body_bytes,
                bytes(KIB..=16 * MIB),
            ),
            max_connections: section.read(
                "max_connections",
                default.max_connections,
                count(1..=1_000_000),
            ),
            idle_timeout: section.read(
                "idle_timeout",
                default.idle_timeout,
                duration(SECOND..=DAY),
            ),
            max_nodes: section.read("max_nodes", default.max_nodes, count(1..=1_000_000)),
            max_contexts: section.read("max_contexts", default.max_contexts, count(1..=10_000_000)),
            use_alias: section.read("use_alias", default.use_alias, flag),
        }
    }
}
