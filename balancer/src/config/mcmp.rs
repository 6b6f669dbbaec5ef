//! The listener of nodes (`[mcmp]`): its bounds, and who may register what.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use muster_protocol::mcmp::MAX_BODY;
use muster_protocol::signature::{BadSecret, Secret};

use super::listen::{addresses, loopback};
use super::reader::{Section, bytes, count, duration, flag, text};
use super::tls::{file, show_path};
use super::trust::networks;
use super::{DAY, KIB, MIB, SECOND};
use crate::trusted::Networks;

/// Most secrets that are accepted beside the one that signs.
const MAX_OLD_SECRETS: usize = 8;

/// `[mcmp]`.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Mcmp {
    /// Addresses, `ip:port`; port 0 takes a free one. Up to 64 of them; with none, nodes are
    /// static only. An address that is not loopback needs `allow`, and a secret or mutual TLS.
    /// Default `["127.0.0.1:6666"]`.
    pub listen: Vec<SocketAddr>,
    /// Networks of nodes, up to 1,000; nobody else is heard. Default none: everybody is who
    /// reaches a loopback address.
    #[serde(skip_serializing_if = "Networks::is_empty")]
    pub allow: Networks,
    /// Networks of addresses that any node may register beside its own, up to 1,000: those of
    /// nodes behind address translation, or of several machines that one agent speaks for.
    /// Link-local, metadata, multicast and unspecified addresses are never registered, nor our
    /// own ports. Default none.
    #[serde(skip_serializing_if = "Networks::is_empty")]
    pub allow_addresses: Networks,
    /// Networks from which messages are taken without signature though there is a secret, up to
    /// 1,000: those of mod_cluster workers, which know none. A client certificate does as well.
    /// Default none.
    #[serde(skip_serializing_if = "Networks::is_empty")]
    pub allow_unsigned: Networks,
    /// What our agents sign with, 16 to 255 bytes; never shown. Default none.
    #[serde(serialize_with = "show_secret", skip_serializing_if = "Option::is_none")]
    pub secret: Option<Secret>,
    /// File with the secret, in the place of `secret`: one a line, the first one signs, the others
    /// are accepted too. Default none.
    #[serde(serialize_with = "show_path", skip_serializing_if = "Option::is_none")]
    pub secret_file: Option<PathBuf>,
    /// Secrets that are accepted besides while agents change to the new one, up to 8. Default none.
    #[serde(serialize_with = "show_secrets", skip_serializing_if = "Vec::is_empty")]
    pub old_secrets: Vec<Secret>,
    /// How far the clock of a node that signs may be from ours, 1 s to 1 hour. Default 30 s.
    #[serde(with = "humantime_serde")]
    pub max_clock_skew: Duration,
    /// How many signed messages are remembered, so that none is taken twice, 1,000 to 10,000,000.
    /// When so many come within twice `max_clock_skew`, further ones are refused.
    /// Default 100,000: 10,000 nodes that report every 10 s make 60,000.
    pub nonce_cache: usize,
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
    /// TLS of this listener.
    #[serde(skip_serializing_if = "McmpTls::is_off")]
    pub tls: McmpTls,
}

/// `[mcmp.tls]`: TLS of the listener of nodes. It is on where there is a certificate.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct McmpTls {
    /// PEM file of the listener's certificate, followed by those of its issuers. Default none.
    #[serde(serialize_with = "show_path", skip_serializing_if = "Option::is_none")]
    pub certificate: Option<PathBuf>,
    /// PEM file of its private key, not encrypted; mandatory with `certificate`.
    #[serde(serialize_with = "show_path", skip_serializing_if = "Option::is_none")]
    pub key: Option<PathBuf>,
    /// PEM file of the authorities of nodes. Default none: nodes are asked for no certificate.
    #[serde(serialize_with = "show_path", skip_serializing_if = "Option::is_none")]
    pub client_ca: Option<PathBuf>,
    /// Whether a node without a certificate of `client_ca` is refused. Default true.
    pub required: bool,
    /// How long a handshake may take, 1 ms to 1 day. Default 10 s.
    #[serde(with = "humantime_serde")]
    pub handshake_timeout: Duration,
}

// === impl Mcmp ===

impl Default for Mcmp {
    fn default() -> Self {
        Mcmp {
            listen: vec![loopback(6666)],
            allow: Networks::NONE,
            allow_addresses: Networks::NONE,
            allow_unsigned: Networks::NONE,
            secret: None,
            secret_file: None,
            old_secrets: Vec::new(),
            max_clock_skew: Duration::from_secs(30),
            nonce_cache: 100_000,
            max_body_bytes: MAX_BODY,
            max_connections: 1024,
            idle_timeout: Duration::from_secs(60),
            max_nodes: 10_000,
            max_contexts: 100_000,
            use_alias: false,
            tls: McmpTls::default(),
        }
    }
}

impl Mcmp {
    pub(super) fn read(section: &mut Section<'_, '_>) -> Mcmp {
        let default = Mcmp::default();
        let mcmp = Mcmp {
            listen: addresses(section, 0, default.listen),
            allow: networks(section, "allow"),
            allow_addresses: networks(section, "allow_addresses"),
            allow_unsigned: networks(section, "allow_unsigned"),
            secret: section.maybe("secret", |value| secret(text(value)?)),
            secret_file: section.maybe("secret_file", file),
            old_secrets: section.list("old_secrets", Vec::new(), 0..=MAX_OLD_SECRETS, secret),
            max_clock_skew: section.read(
                "max_clock_skew",
                default.max_clock_skew,
                duration(SECOND..=3600 * SECOND),
            ),
            nonce_cache: section.read(
                "nonce_cache",
                default.nonce_cache,
                count(1_000..=10_000_000),
            ),
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
            tls: section.section("tls", McmpTls::read),
        };
        mcmp.check(section);
        mcmp
    }

    fn check(&self, section: &mut Section<'_, '_>) {
        if section.has("secret") && section.has("secret_file") {
            section.fault("secret_file", "there is mcmp.secret already: one of them");
        }
        let has_secret = section.has("secret") || section.has("secret_file");
        for key in ["old_secrets", "allow_unsigned"] {
            if section.has(key) && !has_secret {
                section.fault(key, "it has no use without mcmp.secret or mcmp.secret_file");
            }
        }
    }

    /// Whether messages must be signed.
    pub fn has_secret(&self) -> bool {
        self.secret.is_some() || self.secret_file.is_some()
    }

    /// Whether there are files to read, which may be others at a reload.
    pub fn has_files(&self) -> bool {
        self.secret_file.is_some() || !self.tls.is_off()
    }

    /// What is missing for an address that others than this machine reach, and the place of the
    /// first such address; `None` where nothing is.
    pub fn unlocked(&self) -> Option<(usize, String)> {
        let is_open = |address: &SocketAddr| !address.ip().to_canonical().is_loopback();
        let at = self.listen.iter().position(is_open)?;
        let mut missing = Vec::new();
        if self.allow.is_empty() {
            missing.push("mcmp.allow (the networks of nodes)");
        }
        if !self.has_secret() && !self.tls.is_mutual() {
            missing.push(
                "mcmp.secret or mcmp.secret_file, or mutual TLS (mcmp.tls with certificate, key, \
                 client_ca and required = true)",
            );
        }
        if self.allow_unsigned.have_everybody() {
            return Some((at, "mcmp.allow_unsigned names everybody: name networks".to_owned()));
        }
        (!missing.is_empty()).then(|| {
            let address = self.listen[at];
            let missing = missing.join("; ");
            (at, format!("{address} is no loopback address, so it needs a lock: missing {missing}"))
        })
    }
}

// === impl McmpTls ===

impl Default for McmpTls {
    fn default() -> Self {
        McmpTls {
            certificate: None,
            key: None,
            client_ca: None,
            required: true,
            handshake_timeout: Duration::from_secs(10),
        }
    }
}

impl McmpTls {
    fn read(section: &mut Section<'_, '_>) -> McmpTls {
        let default = McmpTls::default();
        let tls = McmpTls {
            certificate: section.maybe("certificate", file),
            key: section.maybe("key", file),
            client_ca: section.maybe("client_ca", file),
            required: section.read("required", default.required, flag),
            handshake_timeout: section.read(
                "handshake_timeout",
                default.handshake_timeout,
                duration(SECOND / 1000..=DAY),
            ),
        };
        check_certificates(section, "it is missing: mcmp.tls.client_ca asks for TLS");
        tls
    }

    /// Whether the listener speaks plain HTTP.
    pub fn is_off(&self) -> bool {
        self.certificate.is_none()
    }

    /// Whether each node must prove who it is.
    pub fn is_mutual(&self) -> bool {
        self.certificate.is_some() && self.client_ca.is_some() && self.required
    }
}

/// What goes together in a section of TLS settings: certificate and key, and both with a client CA.
pub(super) fn check_certificates(section: &mut Section<'_, '_>, no_tls: &str) {
    if check_pair(section) && section.has("client_ca") && !section.has("certificate") {
        section.fault("certificate", no_tls);
    }
}

/// Whether a certificate has its key.
pub(super) fn check_pair(section: &mut Section<'_, '_>) -> bool {
    let is_whole = section.has("certificate") == section.has("key");
    if !is_whole {
        let missing = if section.has("key") { "certificate" } else { "key" };
        section.fault(missing, "it is missing: certificate and key go together");
    }
    is_whole
}

// === secrets ===

fn secret(text: &str) -> Result<Secret, String> {
    text.parse().map_err(|error: BadSecret| error.to_string())
}

/// As long as a secret, so that what is shown can be read again.
const MASK: &str = "****************";

pub(super) fn show_secret<S: serde::Serializer>(
    _: &Option<Secret>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(MASK)
}

fn show_secrets<S: serde::Serializer>(all: &[Secret], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(all.iter().map(|_| MASK))
}
