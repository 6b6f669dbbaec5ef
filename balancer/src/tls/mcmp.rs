//! TLS of the listener of nodes: its certificate, and those of nodes.

use std::io::{Error, ErrorKind};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use rustls::ServerConfig;
use rustls::server::danger::ClientCertVerifier;
use rustls::server::{NoClientAuth, WebPkiClientVerifier};
use rustls::sign::SingleCertAndKey;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use x509_parser::prelude::{FromDer as _, X509Certificate};

use muster_routing::owner::MAX_NAME;

use super::files::{Named, pair};
use super::{TlsError, TlsFacts, provider, versions};
use crate::config::{McmpTls, TlsVersion};

/// TLS as nodes meet it when they register. A reload makes another one.
#[derive(Debug)]
pub struct TlsMcmp {
    handshake_timeout: Duration,
    config: Arc<ServerConfig>,
}

// === impl TlsMcmp ===

impl TlsMcmp {
    /// Reads all files that the configuration names; `None` where it names no certificate.
    ///
    /// # Errors
    /// The first file that cannot be used, with its key.
    pub fn load(settings: &McmpTls) -> Result<Option<TlsMcmp>, TlsError> {
        let Some(config) = server_config(settings)? else { return Ok(None) };
        let handshake_timeout = settings.handshake_timeout;
        Ok(Some(TlsMcmp { handshake_timeout, config: Arc::new(config) }))
    }

    /// Makes the handshake, within its bound, and says whom the node's certificate is for.
    ///
    /// # Errors
    /// What the handshake failed of; the node has been told. `TimedOut` where it took too long.
    pub async fn accept<S>(&self, stream: S) -> std::io::Result<(TlsStream<S>, Option<String>)>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let handshake = TlsAcceptor::from(self.config.clone()).accept(stream);
        let stream = match tokio::time::timeout(self.handshake_timeout, handshake).await {
            Ok(accepted) => accepted?,
            Err(_) => return Err(Error::new(ErrorKind::TimedOut, "the handshake took too long")),
        };
        let facts = TlsFacts::of(stream.get_ref().1);
        let certificate = facts.and_then(|facts| facts.client_certificate);
        let subject = certificate.and_then(|certificate| subject(certificate.der()));
        Ok((stream, subject))
    }
}

/// The subject of a certificate that was verified: its one name, that a new one of it has too. One
/// without a subject, or with an endless one, is known by its number.
fn subject(der: &[u8]) -> Option<String> {
    let (_, certificate) = X509Certificate::from_der(der).ok()?;
    let subject = certificate.subject().to_string();
    Some(match (1..=MAX_NAME).contains(&subject.len()) {
        true => subject,
        false => format!("serial {}", certificate.raw_serial_as_string()),
    })
}

fn server_config(settings: &McmpTls) -> Result<Option<ServerConfig>, TlsError> {
    let (Some(chain), Some(key)) = (&settings.certificate, &settings.key) else { return Ok(None) };
    let own = own(chain, key)?;
    let config = ServerConfig::builder_with_provider(provider())
        .with_protocol_versions(versions(TlsVersion::V1_2))
        .map_err(TlsError::Setup)?
        .with_client_cert_verifier(verifier(settings)?)
        .with_cert_resolver(Arc::new(own));
    Ok(Some(config))
}

fn own(chain: &Path, key: &Path) -> Result<SingleCertAndKey, TlsError> {
    let chain = Named { key: "mcmp.tls.certificate", file: chain };
    Ok(SingleCertAndKey::from(pair(chain, Named { key: "mcmp.tls.key", file: key })?))
}

fn verifier(settings: &McmpTls) -> Result<Arc<dyn ClientCertVerifier>, TlsError> {
    let Some(file) = &settings.client_ca else { return Ok(Arc::new(NoClientAuth)) };
    let named = Named { key: "mcmp.tls.client_ca", file };
    let roots = Arc::new(named.authorities()?);
    let builder = WebPkiClientVerifier::builder_with_provider(roots, provider());
    let built = match settings.required {
        true => builder.build(),
        false => builder.allow_unauthenticated().build(),
    };
    built.map_err(|error| TlsError::Authorities {
        key: named.key.to_owned(),
        file: file.display().to_string(),
        reason: error.to_string(),
    })
}

/// Every fault of its files.
pub(super) fn faults(settings: &McmpTls) -> Vec<TlsError> {
    let own = settings.certificate.as_ref().zip(settings.key.as_ref());
    let own = own.and_then(|(chain, key)| self::own(chain, key).err());
    [own, verifier(settings).err()].into_iter().flatten().collect()
}
