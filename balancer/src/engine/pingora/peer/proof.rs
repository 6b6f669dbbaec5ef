//! What nodes of https and h2 are verified by, and what they are shown, as Pingora wants it.
//!
//! The files have been read once before, by [`NodeTls`], with every fault named; they are read
//! again when it has read them again. What cannot be read then makes connections to such nodes
//! fail, never pass unverified.

use std::path::Path;
use std::sync::Arc;

use arc_swap::ArcSwap;
use pingora_core::protocols::tls::CaType;
use pingora_core::utils::tls::{CertKey, WrappedX509, parse_x509};
use rustls::ClientConfig;
use rustls_pki_types::pem::{Error as PemError, PemObject as _};
use rustls_pki_types::{CertificateDer, PrivateKeyDer};

use crate::config;
use crate::config::Alpn;
use crate::tls::NodeTls;

/// The proof that is asked for and given now.
pub(super) struct Proofs {
    settings: config::NodeTls,
    current: ArcSwap<Proof>,
}

/// One reading of the files.
pub(super) struct Proof {
    /// Who is known; `None` for those whom the system trusts.
    pub(super) authorities: Option<Arc<CaType>>,
    /// Our own certificate and its key.
    pub(super) own: Option<Arc<CertKey>>,
    /// What our own engine made of the same files: another one when they have been read again.
    reading: Arc<ClientConfig>,
}

/// Why a file cannot be used.
#[derive(Debug, thiserror::Error)]
enum BadFile {
    #[error(transparent)]
    Pem(#[from] PemError),
    #[error("it has a certificate or key that cannot be read, or none")]
    Content,
}

// === impl Proofs ===

impl Proofs {
    pub(super) fn new(node_tls: &NodeTls, settings: &config::NodeTls) -> Proofs {
        let first = Proof::read(settings, node_tls.connector(Alpn::H2));
        Proofs { settings: settings.clone(), current: ArcSwap::from_pointee(first) }
    }

    /// The proof of the last reload.
    pub(super) fn current(&self, node_tls: &NodeTls) -> Arc<Proof> {
        let reading = node_tls.connector(Alpn::H2);
        let known = self.current.load_full();
        if Arc::ptr_eq(&known.reading, &reading) {
            return known;
        }
        let proof = Arc::new(Proof::read(&self.settings, reading));
        self.current.store(proof.clone());
        proof
    }
}

// === impl Proof ===

impl Proof {
    fn read(settings: &config::NodeTls, reading: Arc<ClientConfig>) -> Proof {
        let authorities = settings.ca.as_deref().map(|file| {
            let found = certificates(file).map_err(|error| told("upstream.tls.ca", &error));
            // None at all make every handshake fail.
            wrapped(found.unwrap_or_default()).into()
        });
        let own = settings.certificate.as_deref().zip(settings.key.as_deref());
        let own = own.and_then(|(chain, key)| {
            pair(chain, key).map_err(|error| told("upstream.tls.certificate", &error)).ok()
        });
        Proof { authorities, own: own.map(Arc::new), reading }
    }
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
