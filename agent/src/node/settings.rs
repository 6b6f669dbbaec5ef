//! What a node is told at its start.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use muster_cluster::Copies;
use muster_cluster::config::ConfigError;
use thiserror::Error;

use super::disk::DiskError;
use crate::channel::{MutualTls, Secret, SecureError};

/// Bytes of a cluster's name at most.
const MOST_NAME: usize = 128;

/// The settings of a node.
#[derive(Clone, Debug)]
pub(crate) struct NodeSettings {
    /// The cluster's name, 1..=128 bytes. Default: `muster`.
    pub(crate) cluster: String,
    /// The node's name, unique in the cluster, 1..=128 bytes.
    pub(crate) name: String,
    /// Where it listens; port 0 takes a free one. Default: 127.0.0.1:7700.
    pub(crate) bind: SocketAddr,
    /// `host:port` at which the others reach it. Default: where it listens.
    pub(crate) advertised: Option<String>,
    /// Where its identity and its promises are kept. Without one it is a new node at each start,
    /// and forgets what it promised.
    pub(crate) data_dir: Option<PathBuf>,
    /// The cluster's secret, at least 16 bytes.
    pub(crate) secret: Option<Secret>,
    /// Certificates of the cluster's own authority.
    pub(crate) tls: Option<MutualTls>,
    /// The cluster quorum that it founds a cluster with. Default: none.
    pub(crate) quorum: Option<u16>,
    /// Segments of each table of a cluster that it founds. Default: 256.
    pub(crate) segments: u16,
    /// Owners of an entry of a distributed cache in a cluster that it founds. Default: 2.
    pub(crate) owners: u8,
    /// Its share of the rows, 1..=1000. Default: 100.
    pub(crate) weight: u16,
    /// How long the failure detector needs. Default: 2 s.
    pub(crate) detection: Duration,
    /// Bounds and waits.
    pub(crate) limits: NodeLimits,
}

/// Bounds and waits of a node's channel.
#[derive(Clone, Debug)]
pub(crate) struct NodeLimits {
    /// Bytes of a frame at most. Default: 64 MiB.
    pub(crate) most_frame: usize,
    /// Bytes that may wait for one connection before frames are dropped. Default: 64 MiB.
    pub(crate) most_queued: usize,
    /// How long connecting and the first words may take. Default: 2 s.
    pub(crate) greeting: Duration,
    /// How long a redial after a close may take. Default: 250 ms.
    pub(crate) redial: Duration,
    /// How long a peer may take nothing before its connection is closed. Default: 10 s.
    pub(crate) stalled: Duration,
    /// Connections that have not said their first words, at most. Default: 64.
    pub(crate) most_greeting: usize,
    /// Peers at most. Default: 128.
    pub(crate) most_peers: usize,
    /// Bounds and waits of the grid.
    pub(crate) grid: muster_grid::Limits,
}

/// Why a node does not start.
#[derive(Debug, Error)]
pub(crate) enum NodeError {
    /// A setting is out of bounds.
    #[error("{field} has the bad value {value:?}: {why}")]
    BadValue {
        /// Which.
        field: &'static str,
        /// Its value.
        value: String,
        /// What would be right.
        why: String,
    },
    /// Everybody in the network could join.
    #[error(
        "bind {0} is no loopback address: set a cluster secret or mutual TLS, or bind to 127.0.0.1"
    )]
    Unprotected(SocketAddr),
    /// It cannot listen.
    #[error("the cluster's port {address} cannot be opened: {error}")]
    Bind {
        /// Where.
        address: SocketAddr,
        /// Why.
        #[source]
        error: std::io::Error,
    },
    /// Its protection.
    #[error(transparent)]
    Secure(#[from] SecureError),
    /// Its data directory.
    #[error(transparent)]
    Disk(#[from] DiskError),
    /// A setting of the core is out of bounds.
    #[error(transparent)]
    Core(#[from] ConfigError),
}

// === impl NodeSettings ===

impl NodeSettings {
    /// The defaults.
    pub(crate) fn new(name: &str) -> Self {
        Self {
            cluster: "muster".to_owned(),
            name: name.to_owned(),
            bind: SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 7700),
            advertised: None,
            data_dir: None,
            secret: None,
            tls: None,
            quorum: None,
            segments: 256,
            owners: 2,
            weight: 100,
            detection: Duration::from_secs(2),
            limits: NodeLimits::default(),
        }
    }

    /// Says what is out of bounds, as far as the core does not say it.
    ///
    /// # Errors
    /// Names the field and its value.
    pub(crate) fn check(&self) -> Result<(), NodeError> {
        let bad = |field, value: String, why: &str| NodeError::BadValue {
            field,
            value,
            why: why.to_owned(),
        };
        if self.cluster.is_empty() || self.cluster.len() > MOST_NAME {
            return Err(bad("cluster name", self.cluster.clone(), "1 to 128 bytes are possible"));
        }
        let ms = self.detection.as_millis();
        if !(200..=60_000).contains(&ms) {
            return Err(bad(
                "detection",
                format!("{:?}", self.detection),
                "200 ms to 60 s are possible",
            ));
        }
        if self.bind.ip().is_unspecified() && self.advertised.is_none() {
            let why = "say at which address the others reach this node";
            return Err(bad("advertised address", String::new(), why));
        }
        if !self.bind.ip().is_loopback() && !self.is_protected() {
            return Err(NodeError::Unprotected(self.bind));
        }
        Ok(())
    }

    fn is_protected(&self) -> bool {
        self.secret.is_some() || self.tls.is_some()
    }

    /// The tables of a cluster that it founds.
    pub(crate) fn tables(&self) -> Vec<Copies> {
        vec![Copies::Some(self.owners), Copies::Every]
    }
}

impl Default for NodeLimits {
    fn default() -> Self {
        Self {
            most_frame: 64 << 20,
            most_queued: 64 << 20,
            greeting: Duration::from_secs(2),
            redial: Duration::from_millis(250),
            stalled: Duration::from_secs(10),
            most_greeting: 64,
            most_peers: 128,
            grid: muster_grid::Limits::default(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(settings: &NodeSettings) -> String {
        settings.check().expect_err("it is wrong").to_string()
    }

    #[test]
    fn a_bind_that_strangers_reach_needs_a_secret_or_mutual_tls() {
        let mut settings = NodeSettings::new("a");
        settings.bind = "192.0.2.1:7700".parse().expect("an address");
        let expected = "bind 192.0.2.1:7700 is no loopback address: set a cluster secret or \
                        mutual TLS, or bind to 127.0.0.1";
        assert_eq!(error(&settings), expected);
        settings.secret = Some(Secret::new(b"sixteen bytes ok").expect("long enough"));
        assert!(settings.check().is_ok());
    }

    #[test]
    fn a_bad_setting_is_named_with_its_value() {
        let settings = NodeSettings { cluster: String::new(), ..NodeSettings::new("a") };
        assert_eq!(
            error(&settings),
            "cluster name has the bad value \"\": 1 to 128 bytes are possible"
        );
    }
}
