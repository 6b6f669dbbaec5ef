//! TLS to balancers: they prove who they are, and this node does where it has a certificate.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::crypto::ring;
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::builder::Fault;

/// How balancers are spoken to over TLS. The files are read once, when the agent starts.
///
/// ```
/// use muster_agent::{Agent, BalancerTls};
/// let tls = BalancerTls::new("/etc/app/balancers-ca.pem")
///     .certificate("/etc/app/node1.pem", "/etc/app/node1.key");
/// let builder = Agent::builder().node_name("node1").balancer_tls(tls);
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use]
pub struct BalancerTls {
    ca: PathBuf,
    own: Option<(PathBuf, PathBuf)>,
    server_name: Option<String>,
}

/// Makes handshakes. Clones are the same one.
#[derive(Clone)]
pub(crate) struct Connector {
    config: Arc<ClientConfig>,
    name: Option<ServerName<'static>>,
}

// === impl BalancerTls ===

impl BalancerTls {
    /// A balancer must show a certificate of an authority in this PEM file, for the host that the
    /// balancer is named by.
    pub fn new(ca: impl Into<PathBuf>) -> BalancerTls {
        BalancerTls { ca: ca.into(), own: None, server_name: None }
    }

    /// PEM files of this node's own certificate with its issuers, and of its private key: for
    /// balancers that ask for one (mutual TLS).
    pub fn certificate(mut self, chain: impl Into<PathBuf>, key: impl Into<PathBuf>) -> Self {
        self.own = Some((chain.into(), key.into()));
        self
    }

    /// The name that a balancer's certificate must be for, in the place of its host.
    pub fn server_name(mut self, name: impl Into<String>) -> Self {
        self.server_name = Some(name.into());
        self
    }

    /// Reads the files.
    pub(crate) fn check(&self) -> Result<Connector, Fault> {
        let name = self.server_name.clone().map(ServerName::try_from).transpose();
        let name =
            name.map_err(|_| Fault::ServerName(self.server_name.clone().unwrap_or_default()))?;
        let mut roots = RootCertStore::empty();
        for certificate in certificates(&self.ca)? {
            roots.add(certificate).map_err(|error| bad(&self.ca, error))?;
        }
        let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(|error| bad(&self.ca, error))?
            .with_root_certificates(roots);
        let config = match &self.own {
            None => builder.with_no_client_auth(),
            Some((chain, key)) => {
                let own = PrivateKeyDer::from_pem_file(key).map_err(|error| bad(key, error))?;
                builder
                    .with_client_auth_cert(certificates(chain)?, own)
                    .map_err(|error| bad(chain, error))?
            }
        };
        Ok(Connector { config: Arc::new(config), name })
    }
}

fn certificates(file: &Path) -> Result<Vec<CertificateDer<'static>>, Fault> {
    let all = CertificateDer::pem_file_iter(file).and_then(Iterator::collect::<Result<Vec<_>, _>>);
    match all {
        Ok(all) if all.is_empty() => Err(bad(file, "it has no certificate")),
        Ok(all) => Ok(all),
        Err(error) => Err(bad(file, error)),
    }
}

fn bad(file: &Path, reason: impl fmt::Display) -> Fault {
    Fault::Tls { file: file.display().to_string(), reason: reason.to_string() }
}

// === impl Connector ===

impl Connector {
    pub(crate) async fn connect(
        &self,
        stream: TcpStream,
        host: &str,
    ) -> std::io::Result<TlsStream<TcpStream>> {
        let name = match &self.name {
            Some(name) => name.clone(),
            None => ServerName::try_from(host.to_owned()).map_err(std::io::Error::other)?,
        };
        TlsConnector::from(self.config.clone()).connect(name, stream).await
    }
}

impl fmt::Debug for Connector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connector").field("name", &self.name).finish_non_exhaustive()
    }
}
