//! How nodes of the schemes https and h2 are connected to, and how they prove who they are.
//!
//! A node's certificate must be of a known authority and for the node's host as it registered. A
//! host that is an address must stand in the certificate as an address. `upstream.tls.server_name`
//! names what stands in the nodes' certificates where that is something else.
//!
//! The known authorities are the system's (rustls-native-certs, kept by rustls' own makers): who
//! runs nodes adds an authority of their own there, and its updates come with the system.

use std::fmt;
use std::sync::Arc;

use arc_swap::ArcSwap;
use muster_protocol::mcmp::Address;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{Resumption, WantsClientCert};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::sign::SingleCertAndKey;
use rustls::{
    ClientConfig, ConfigBuilder, DigitallySignedStruct, Error, RootCertStore, SignatureScheme,
};
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::files::{Named, pair};
use super::front::wire;
use super::{TlsError, provider, versions};
use crate::config;
use crate::config::{Alpn, TlsVersion};

/// Most sessions of nodes that are kept to be taken up again.
const MAX_SESSIONS: usize = 4_096;

/// TLS to nodes. Share it; it is replaced within by a reload.
#[derive(Debug)]
pub struct NodeTls {
    current: ArcSwap<Connectors>,
}

/// A host that no certificate can be for.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is neither a host name nor an address: upstream.tls.server_name can name another")]
pub struct BadServerName(String);

#[derive(Debug)]
struct Connectors {
    named: Option<ServerName<'static>>,
    http1: Arc<ClientConfig>,
    h2: Arc<ClientConfig>,
}

// === impl NodeTls ===

impl NodeTls {
    /// Reads all files that the configuration names, or the system's authorities.
    ///
    /// # Errors
    /// The first file that cannot be used, with its key. A system without authorities is no error:
    /// nodes of https then fail to connect, and the log says why now.
    pub fn load(settings: &config::NodeTls) -> Result<NodeTls, TlsError> {
        Ok(NodeTls { current: ArcSwap::from_pointee(Connectors::load(settings)?) })
    }

    /// Takes over what another one has read, for the connections to come.
    pub fn replace(&self, other: NodeTls) {
        self.current.store(other.current.into_inner());
    }

    /// What the next connection uses, offering one protocol.
    pub fn connector(&self, alpn: Alpn) -> Arc<ClientConfig> {
        let current = self.current.load();
        match alpn {
            Alpn::Http1 => current.http1.clone(),
            Alpn::H2 => current.h2.clone(),
        }
    }

    /// What the certificate of the node there must be for.
    ///
    /// # Errors
    /// A host with characters that no certificate holds.
    pub fn server_name(&self, address: &Address) -> Result<ServerName<'static>, BadServerName> {
        if let Some(named) = &self.current.load().named {
            return Ok(named.clone());
        }
        let bad = |_| BadServerName(address.host.as_str().to_owned());
        ServerName::try_from(address.bare_host().to_owned()).map_err(bad)
    }

    /// Makes the handshake with the node there, which takes as long as the node lets it: the
    /// caller bounds it.
    ///
    /// # Errors
    /// What it failed of; the source is a [`rustls::Error`] where the node did not prove who it
    /// is. `InvalidInput` for a bad host.
    pub async fn handshake<S>(
        &self,
        stream: S,
        address: &Address,
        alpn: Alpn,
    ) -> std::io::Result<TlsStream<S>>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let bad = |error| std::io::Error::new(std::io::ErrorKind::InvalidInput, error);
        let name = self.server_name(address).map_err(bad)?;
        TlsConnector::from(self.connector(alpn)).connect(name, stream).await
    }
}

// === impl Connectors ===

impl Connectors {
    fn load(settings: &config::NodeTls) -> Result<Connectors, TlsError> {
        let named = settings.server_name.clone().map(ServerName::try_from).transpose();
        let named = named.map_err(|_| TlsError::Authorities {
            key: "upstream.tls.server_name".to_owned(),
            file: settings.server_name.clone().unwrap_or_default(),
            reason: "it is no host name and no address".to_owned(),
        })?;
        let builder = ClientConfig::builder_with_provider(provider())
            .with_protocol_versions(versions(TlsVersion::V1_2))
            .map_err(TlsError::Setup)?;
        let builder = match settings.verify {
            true => builder.with_root_certificates(authorities(settings)?),
            false => {
                tracing::warn!("upstream.tls.verify is false: anybody can pass for a node");
                let anyone = Arc::new(Anyone(provider()));
                builder.dangerous().with_custom_certificate_verifier(anyone)
            }
        };
        let mut config = with_own_certificate(builder, settings)?;
        config.resumption = Resumption::in_memory_sessions(MAX_SESSIONS);
        let offering = |alpn| {
            let mut config = config.clone();
            config.alpn_protocols = vec![wire(alpn)];
            Arc::new(config)
        };
        Ok(Connectors { named, http1: offering(Alpn::Http1), h2: offering(Alpn::H2) })
    }
}

pub(super) fn authorities(settings: &config::NodeTls) -> Result<RootCertStore, TlsError> {
    if let Some(file) = &settings.ca {
        return Named { key: "upstream.tls.ca", file }.authorities();
    }
    let found = rustls_native_certs::load_native_certs();
    for error in &found.errors {
        tracing::debug!(%error, "some of the system's authorities cannot be read");
    }
    let mut roots = RootCertStore::empty();
    let (good, bad) = roots.add_parsable_certificates(found.certs);
    match good {
        0 => tracing::info!("the system trusts no authority: https nodes need upstream.tls.ca"),
        _ => tracing::debug!(good, bad, "authorities of the system"),
    }
    Ok(roots)
}

fn with_own_certificate(
    builder: ConfigBuilder<ClientConfig, WantsClientCert>,
    settings: &config::NodeTls,
) -> Result<ClientConfig, TlsError> {
    let (Some(chain), Some(key)) = (&settings.certificate, &settings.key) else {
        return Ok(builder.with_no_client_auth());
    };
    let own = pair(
        Named { key: "upstream.tls.certificate", file: chain },
        Named { key: "upstream.tls.key", file: key },
    )?;
    Ok(builder.with_client_cert_resolver(Arc::new(SingleCertAndKey::from(own))))
}

// === whoever answers ===

/// Takes any certificate, as `upstream.tls.verify = false` asks for. The node still has to hold
/// the certificate's key.
struct Anyone(Arc<CryptoProvider>);

impl fmt::Debug for Anyone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Anyone")
    }
}

impl ServerCertVerifier for Anyone {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let known = &self.0.signature_verification_algorithms;
        verify_tls12_signature(message, certificate, signed, known)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let known = &self.0.signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signed, known)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
