//! Mutual TLS for the management: the certificates of the cluster's own authority open it, as they
//! open the channel.

use std::fmt;
use std::path::Path;

use thiserror::Error;
use tokio_rustls::TlsAcceptor;

use crate::channel::{MutualTls, Security};

/// Who may ask, by certificates. The files are read once.
#[derive(Clone)]
pub struct Tls(TlsAcceptor);

/// A file that cannot be used, and why.
#[derive(Debug, Error)]
#[error("the management: {0}")]
pub struct BadTls(String);

// === impl Tls ===

impl Tls {
    /// PEM files of this node's certificate with its issuers, of its private key, and of the
    /// cluster's authority. Whoever has a certificate of that authority may ask.
    ///
    /// # Errors
    /// When a file cannot be read or used: it is named.
    pub fn new(
        certificate: impl AsRef<Path>,
        key: impl AsRef<Path>,
        authority: impl AsRef<Path>,
    ) -> Result<Tls, BadTls> {
        Tls::of(&MutualTls {
            certificate: certificate.as_ref().to_owned(),
            key: key.as_ref().to_owned(),
            ca: authority.as_ref().to_owned(),
        })
    }

    pub(crate) fn of(files: &MutualTls) -> Result<Tls, BadTls> {
        let security =
            Security::new(None, Some(files)).map_err(|error| BadTls(error.to_string()))?;
        let config = security.server();
        let config = config.ok_or_else(|| BadTls("mutual TLS gave no configuration".to_owned()))?;
        Ok(Tls(TlsAcceptor::from(config)))
    }

    pub(super) fn acceptor(&self) -> &TlsAcceptor {
        &self.0
    }
}

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Tls")
    }
}
