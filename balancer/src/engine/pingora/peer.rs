//! How a node is connected to: plain or TLS, HTTP/1 or HTTP/2, and for how long.
//!
//! Pingora makes its own handshakes, so the files of `[upstream.tls]` are told to it in its own
//! terms. They have been read once before, with every fault named; what cannot be read now makes
//! connections to nodes of https and h2 fail, never pass unverified.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use muster_protocol::mcmp::{NodeConfig, Scheme};
use pingora_core::protocols::ALPN;
use pingora_core::protocols::tls::CaType;
use pingora_core::upstreams::peer::HttpPeer;
use pingora_core::utils::tls::{CertKey, WrappedX509, parse_x509};
use rustls_pki_types::pem::{Error as PemError, PemObject as _};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName};

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
    /// The request has a body that may take its time.
    pub(super) has_body: bool,
    /// How long the whole exchange may still take.
    pub(super) time_left: Duration,
}

/// What nodes of TLS are verified by, and what they are shown.
pub(super) struct Peers {
    edge: Arc<Edge>,
    verify: bool,
    authorities: Option<Arc<CaType>>,
    own: Option<Arc<CertKey>>,
}

// === impl Peers ===

impl Peers {
    pub(super) fn new(edge: Arc<Edge>, settings: &config::NodeTls) -> Peers {
        let authorities = settings.ca.as_deref().map(|file| {
            let found = certificates(file).map_err(|error| told("upstream.tls.ca", &error));
            // None at all make every handshake fail.
            wrapped(found.unwrap_or_default()).into()
        });
        let own = settings.certificate.as_deref().zip(settings.key.as_deref());
        let own = own.and_then(|(chain, key)| {
            pair(chain, key).map_err(|error| told("upstream.tls.certificate", &error)).ok()
        });
        Peers { edge, verify: settings.verify, authorities, own: own.map(Arc::new) }
    }

    /// The node of an attempt, as Pingora wants it; `None` where it can't be verified. One that
    /// speaks AJP is connected to over a bridge, which is the caller's to name.
    pub(super) fn peer(&self, target: &Target, wanted: Wanted) -> Option<Box<HttpPeer>> {
        let config = &target.node.config;
        let (is_tls, is_h2) = match config.address.scheme {
            Scheme::Http | Scheme::Ajp => (false, false),
            Scheme::Https => (true, false),
            Scheme::H2 => (true, true),
            Scheme::H2c => (false, true),
        };
        let name = if is_tls { self.server_name(config)? } else { String::new() };
        let mut peer = Box::new(HttpPeer::new(target.socket, is_tls, name));
        if is_tls {
            peer.client_cert_key = self.own.clone();
            peer.options.ca = self.authorities.clone();
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
        config.timeout.unwrap_or(self.edge.policy.read_timeout).max(LEAST_WAIT)
    }

    /// How long a connect may take.
    pub(super) fn connect_timeout(&self, config: &NodeConfig) -> Duration {
        shorter(self.edge.policy.connect_timeout, config.ping)
    }

    fn bound(&self, peer: &mut HttpPeer, config: &NodeConfig, wanted: Wanted, is_h2: bool) {
        let policy = &self.edge.policy;
        let connect = self.connect_timeout(config);
        let silence = self.silence(config).min(wanted.time_left).max(LEAST_WAIT);
        let options = &mut peer.options;
        options.connection_timeout = Some(connect);
        options.total_connection_timeout = Some(connect);
        options.idle_timeout = Some(shorter(policy.idle_timeout, config.ttl));
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

/// The balancer's bound, or the node's own if that is shorter; zero means that it has none.
fn shorter(bound: Duration, of_node: Duration) -> Duration {
    if of_node.is_zero() { bound } else { bound.min(of_node) }
}

/// Why a file cannot be used.
#[derive(Debug, thiserror::Error)]
enum BadFile {
    #[error(transparent)]
    Pem(#[from] PemError),
    #[error("it has a certificate or key that cannot be read")]
    Content,
}

fn told(key: &'static str, error: &BadFile) {
    tracing::error!(key, %error, "nodes of https and h2 cannot be connected to");
}

fn certificates(file: &Path) -> Result<Vec<Vec<u8>>, BadFile> {
    let found = CertificateDer::pem_file_iter(file)?.collect::<Result<Vec<_>, _>>()?;
    let is_good = |der: &CertificateDer<'_>| x509_parser::parse_x509_certificate(der).is_ok();
    match !found.is_empty() && found.iter().all(is_good) {
        true => Ok(found.into_iter().map(|der| der.to_vec()).collect()),
        false => Err(BadFile::Content),
    }
}

fn pair(chain: &Path, key: &Path) -> Result<CertKey, BadFile> {
    let certificates = certificates(chain)?;
    let key = PrivateKeyDer::from_pem_file(key)?.secret_der().to_vec();
    match PrivateKeyDer::try_from(key.as_slice()) {
        Ok(_) => Ok(CertKey::new(certificates, key)),
        Err(_) => Err(BadFile::Content),
    }
}

fn wrapped(certificates: Vec<Vec<u8>>) -> Vec<WrappedX509> {
    certificates.into_iter().map(|der| WrappedX509::new(der, parse_x509)).collect()
}
