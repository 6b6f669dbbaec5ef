//! TLS to clients (`[tls]`) and to nodes (`[upstream.tls]`).

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Serializer;
use toml::de::DeValue;

use super::listen::addresses;
use super::reader::{Section, count, duration, flag, text};
use super::{DAY, SECOND};

/// Most certificates of the listener.
const MAX_CERTIFICATES: usize = 10_000;

/// `[tls]`: the public listener with TLS. The bounds of `[http]` hold for it too.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Tls {
    /// Addresses, `ip:port`; port 0 takes a free one. Up to 64 of them; with none nobody is served
    /// over TLS. Default none.
    pub listen: Vec<SocketAddr>,
    /// The oldest version that is spoken, `"1.2"` or `"1.3"`. Default `"1.2"`.
    pub min_version: TlsVersion,
    /// Protocols that are offered, the preferred one first, each `"h2"` or `"http/1.1"`; 1 or 2 of
    /// them. Default `["h2", "http/1.1"]`.
    pub alpn: Vec<Alpn>,
    /// How long a handshake may take, 1 ms to 1 day. Default 10 s.
    #[serde(with = "humantime_serde")]
    pub handshake_timeout: Duration,
    /// Whether clients show a certificate of `client_ca`: `"none"` (they are not asked),
    /// `"optional"` or `"required"`. Default `"none"`.
    pub client_auth: ClientAuth,
    /// PEM file of the authorities of clients; mandatory unless `client_auth` is `"none"`.
    #[serde(serialize_with = "show_path", skip_serializing_if = "Option::is_none")]
    pub client_ca: Option<PathBuf>,
    /// Whether clients may take a session up again with a ticket, which the balancer seals and does
    /// not keep. Default true.
    pub session_tickets: bool,
    /// Most sessions that are kept for clients of TLS 1.2 that know no tickets, 0 to 1,000,000.
    /// Default 1,024.
    pub session_cache: usize,
    /// Certificates with their keys, 1 to 10,000 where there are addresses. A client gets the one
    /// for the name that it asks for; who asks for an unknown name, or for none, gets the first.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub certificates: Vec<CertificateFiles>,
}

/// `[[tls.certificates]]`, or `certificates = [{ chain = "..", key = ".." }]`.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct CertificateFiles {
    /// PEM file of the certificate, followed by those of its issuers. It answers for the names
    /// within it (subjectAltName), wildcards included. Mandatory.
    #[serde(serialize_with = "show_file")]
    pub chain: PathBuf,
    /// PEM file of its private key, not encrypted. Mandatory.
    #[serde(serialize_with = "show_file")]
    pub key: PathBuf,
}

/// The oldest version of TLS that is spoken; none is older than 1.2.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize)]
pub enum TlsVersion {
    /// TLS 1.2, with authenticated encryption and forward secrecy only.
    #[default]
    #[serde(rename = "1.2")]
    V1_2,
    /// TLS 1.3.
    #[serde(rename = "1.3")]
    V1_3,
}

/// A protocol within TLS.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
pub enum Alpn {
    /// HTTP/2.
    #[serde(rename = "h2")]
    H2,
    /// HTTP/1.1.
    #[serde(rename = "http/1.1")]
    Http1,
}

/// Whether clients show a certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum ClientAuth {
    /// They are not asked.
    #[default]
    None,
    /// They are asked, and served without; a bad one is refused.
    Optional,
    /// They are refused without.
    Required,
}

/// `[upstream.tls]`: how nodes of the schemes https and h2 are spoken to.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct NodeTls {
    /// Whether a node must show a certificate of a known authority, for its own host. Without it
    /// anybody on the way can pass for a node. Default true.
    pub verify: bool,
    /// PEM file of the authorities of nodes. Default: those that the system trusts.
    #[serde(serialize_with = "show_path", skip_serializing_if = "Option::is_none")]
    pub ca: Option<PathBuf>,
    /// PEM file of our own certificate, for nodes that ask for one. Default none.
    #[serde(serialize_with = "show_path", skip_serializing_if = "Option::is_none")]
    pub certificate: Option<PathBuf>,
    /// PEM file of its private key; mandatory with `certificate`, and only with it.
    #[serde(serialize_with = "show_path", skip_serializing_if = "Option::is_none")]
    pub key: Option<PathBuf>,
    /// The name that certificates of nodes must be for, and that is asked for (SNI), in the place
    /// of a node's host; for nodes that register by address with certificates without it.
    /// Default: each node's host, where an address must stand in the certificate as such.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub server_name: Option<String>,
}

// === impl Tls ===

impl Default for Tls {
    fn default() -> Self {
        Tls {
            listen: Vec::new(),
            min_version: TlsVersion::default(),
            alpn: vec![Alpn::H2, Alpn::Http1],
            handshake_timeout: Duration::from_secs(10),
            client_auth: ClientAuth::default(),
            client_ca: None,
            session_tickets: true,
            session_cache: 1024,
            certificates: Vec::new(),
        }
    }
}

impl Tls {
    pub(super) fn read(section: &mut Section<'_, '_>) -> Tls {
        let default = Tls::default();
        let tls = Tls {
            listen: addresses(section, 0, default.listen),
            min_version: section.read("min_version", default.min_version, TlsVersion::read),
            alpn: section.list("alpn", default.alpn, 1..=2, Alpn::read),
            handshake_timeout: section.read(
                "handshake_timeout",
                default.handshake_timeout,
                duration(SECOND / 1000..=DAY),
            ),
            client_auth: section.read("client_auth", default.client_auth, ClientAuth::read),
            client_ca: section.maybe("client_ca", file),
            session_tickets: section.read("session_tickets", default.session_tickets, flag),
            session_cache: section.read(
                "session_cache",
                default.session_cache,
                count(0..=1_000_000),
            ),
            certificates: section.tables("certificates", MAX_CERTIFICATES, CertificateFiles::read),
        };
        tls.check(section);
        tls
    }

    fn check(&self, section: &mut Section<'_, '_>) {
        if self.alpn.len() == 2 && self.alpn[0] == self.alpn[1] {
            section.fault("alpn", format!("{:?} is named twice", self.alpn[0].word()));
        }
        // A certificate that was at fault has been named already.
        if !self.listen.is_empty() && self.certificates.is_empty() && !section.has("certificates") {
            section.fault("certificates", "tls.listen needs at least one");
        }
        match (self.client_auth, &self.client_ca) {
            (ClientAuth::None, Some(_)) => {
                section.fault("client_ca", "it has no use while tls.client_auth is \"none\"");
            }
            (ClientAuth::Optional | ClientAuth::Required, None) if !section.has("client_ca") => {
                section.fault("client_ca", "it is missing: tls.client_auth asks for it");
            }
            _ => {}
        }
    }
}

// === impl CertificateFiles ===

impl CertificateFiles {
    fn read(section: &mut Section<'_, '_>) -> Option<CertificateFiles> {
        let chain = section.mandatory("chain", file);
        let key = section.mandatory("key", file);
        Some(CertificateFiles { chain: chain?, key: key? })
    }
}

// === impl TlsVersion ===

impl TlsVersion {
    fn read(value: &DeValue<'_>) -> Result<TlsVersion, String> {
        match text(value)? {
            "1.2" => Ok(TlsVersion::V1_2),
            "1.3" => Ok(TlsVersion::V1_3),
            other => Err(format!("{other:?} is none of 1.2, 1.3")),
        }
    }
}

// === impl Alpn ===

impl Alpn {
    fn read(text: &str) -> Result<Alpn, String> {
        match text {
            "h2" => Ok(Alpn::H2),
            "http/1.1" => Ok(Alpn::Http1),
            other => Err(format!("{other:?} is none of h2, http/1.1")),
        }
    }

    /// As it stands in the handshake.
    pub fn word(self) -> &'static str {
        match self {
            Alpn::H2 => "h2",
            Alpn::Http1 => "http/1.1",
        }
    }
}

// === impl ClientAuth ===

impl ClientAuth {
    fn read(value: &DeValue<'_>) -> Result<ClientAuth, String> {
        match text(value)? {
            "none" => Ok(ClientAuth::None),
            "optional" => Ok(ClientAuth::Optional),
            "required" => Ok(ClientAuth::Required),
            other => Err(format!("{other:?} is none of none, optional, required")),
        }
    }
}

// === impl NodeTls ===

impl Default for NodeTls {
    fn default() -> Self {
        NodeTls { verify: true, ca: None, certificate: None, key: None, server_name: None }
    }
}

impl NodeTls {
    pub(super) fn read(section: &mut Section<'_, '_>) -> NodeTls {
        let tls = NodeTls {
            verify: section.read("verify", true, flag),
            ca: section.maybe("ca", file),
            certificate: section.maybe("certificate", file),
            key: section.maybe("key", file),
            server_name: section.maybe("server_name", server_name),
        };
        if section.has("certificate") != section.has("key") {
            let missing = if section.has("key") { "certificate" } else { "key" };
            section.fault(missing, "it is missing: certificate and key go together");
        }
        tls
    }
}

// === files and names ===

pub(super) fn file(value: &DeValue<'_>) -> Result<PathBuf, String> {
    match text(value)? {
        "" => Err("it can't be empty".to_owned()),
        path => Ok(path.into()),
    }
}

fn server_name(value: &DeValue<'_>) -> Result<String, String> {
    let name = text(value)?;
    let read = rustls_pki_types::ServerName::try_from(name);
    read.map_err(|_| format!("{name:?} is no host name and no address"))?;
    Ok(name.to_owned())
}

fn show_file<S: Serializer>(path: &Path, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&path.to_string_lossy())
}

pub(super) fn show_path<S: Serializer>(
    path: &Option<PathBuf>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    match path {
        Some(path) => show_file(path, serializer),
        None => serializer.serialize_none(),
    }
}
