//! How a node is connected to: plain or TLS, HTTP/1 or HTTP/2, and for how long.
//!
//! Pingora makes its own handshakes, so what `[upstream.tls]` names is told to it in its own terms
//! (`proof`).

mod proof;

use std::sync::Arc;
use std::time::Duration;

use muster_protocol::mcmp::{NodeConfig, Scheme};
use pingora_core::protocols::ALPN;
use pingora_core::upstreams::peer::HttpPeer;
use rustls_pki_types::ServerName;

use self::proof::Proofs;
use super::upgrade::UpgradeConnect;
use crate::config;
use crate::proxy::Edge;
use crate::proxy::exchange::Target;

/// Pingora takes a bound of nothing for none at all.
pub(super) const LEAST_WAIT: Duration = Duration::from_millis(1);

/// Requests at once on one HTTP/2 connection to a node; more take another connection.
const MAX_STREAMS: usize = 100;

/// Bytes of one answer that a node may send ahead.
const STREAM_WINDOW: u32 = 256 * 1024;

/// The same for a whole connection: all streams together, so that none can hold up the others.
const CONNECTION_WINDOW: u32 = STREAM_WINDOW * MAX_STREAMS as u32;

/// What a connection is wanted for.
#[derive(Debug, Clone, Copy)]
pub(super) struct Wanted {
    /// A request that may become a tunnel of HTTP/1.
    pub(super) is_upgrade: bool,
    /// The session itself watches how long the node is silent.
    pub(super) is_watched: bool,
    /// It is spoken to over the bridge, whose other end speaks TLS where the node does.
    pub(super) is_bridged: bool,
    /// The request has a body that may take its time.
    pub(super) has_body: bool,
    /// How long the whole exchange may still take.
    pub(super) time_left: Duration,
}

/// Tells Pingora of nodes.
pub(super) struct Peers {
    edge: Arc<Edge>,
    verify: bool,
    proofs: Proofs,
}

// === impl Peers ===

impl Peers {
    pub(super) fn new(edge: Arc<Edge>, settings: &config::NodeTls) -> Peers {
        let proofs = Proofs::new(&edge.node_tls, settings);
        Peers { edge, verify: settings.verify, proofs }
    }

    /// The node of an attempt, as Pingora wants it; `None` where it can't be verified. The bridge is
    /// the caller's to name.
    pub(super) fn peer(&self, target: &Target, wanted: Wanted) -> Option<Box<HttpPeer>> {
        let config = &target.node.config;
        let (is_tls, is_h2) = match config.address.scheme {
            _ if wanted.is_bridged => (false, false),
            Scheme::Http | Scheme::Ajp => (false, false),
            Scheme::Https => (true, false),
            Scheme::H2 => (true, true),
            Scheme::H2c => (false, true),
        };
        let name = if is_tls { self.server_name(config)? } else { String::new() };
        let mut peer = Box::new(HttpPeer::new(target.socket, is_tls, name));
        if is_tls {
            let proof = self.proofs.current(&self.edge.node_tls);
            peer.client_cert_key = proof.own.clone();
            peer.options.ca = proof.authorities.clone();
            peer.options.verify_cert = self.verify;
            peer.options.verify_hostname = self.verify;
        }
        if is_h2 {
            peer.options.alpn = ALPN::H2;
            peer.options.max_h2_streams = MAX_STREAMS;
            peer.options.h2_stream_window_size = Some(STREAM_WINDOW);
            peer.options.h2_connection_window_size = Some(CONNECTION_WINDOW);
        }
        self.bound(&mut peer, config, wanted, is_h2);
        Some(peer)
    }

    /// How long the node may be silent.
    pub(super) fn silence(&self, config: &NodeConfig) -> Duration {
        self.edge.policy.node_silence(config).max(LEAST_WAIT)
    }

    fn bound(&self, peer: &mut HttpPeer, config: &NodeConfig, wanted: Wanted, is_h2: bool) {
        let policy = &self.edge.policy;
        let connect = policy.connect_within(config);
        let silence = self.silence(config).min(wanted.time_left).max(LEAST_WAIT);
        let options = &mut peer.options;
        options.connection_timeout = Some(connect);
        options.total_connection_timeout = Some(connect);
        options.idle_timeout = Some(policy.keep_within(config));
        options.write_timeout = Some(silence);
        options.read_timeout = Some(match wanted {
            Wanted { is_upgrade: true, .. } => policy.tunnel_timeout,
            Wanted { is_watched: true, .. } => policy.tunnel_timeout.max(silence),
            // Over HTTP/2 the time runs from the request's head on, its body included.
            Wanted { has_body: true, time_left, .. } if is_h2 => time_left.max(LEAST_WAIT),
            Wanted { .. } => silence,
        });
        if wanted.is_upgrade && !peer.is_tls() {
            let connect = UpgradeConnect { connect, answer: silence };
            peer.options.custom_l4 = Some(Arc::new(connect));
        }
    }

    /// What the node's certificate must be for, and what is asked for (SNI). `None` where the
    /// node's host can stand in no certificate; the log says so.
    fn server_name(&self, config: &NodeConfig) -> Option<String> {
        match self.edge.node_tls.server_name(&config.address) {
            Ok(ServerName::IpAddress(address)) => Some(std::net::IpAddr::from(address).to_string()),
            Ok(ServerName::DnsName(name)) => Some(name.as_ref().to_owned()),
            Ok(_) => None,
            Err(error) => {
                tracing::warn!(route = %config.route, %error, "a node cannot be verified");
                None
            }
        }
    }
}
