//! PEM files: read whole, bounded, and each fault names the key of the configuration and the file.

use std::fs::File;
use std::io::Read as _;
use std::path::Path;
use std::sync::Arc;

use rustls::sign::CertifiedKey;
use rustls::{Error, InconsistentKeys, RootCertStore};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};

use super::{TlsError, provider};

/// Most bytes of a PEM file: all authorities of a system take less than one MiB.
const MAX_PEM: u64 = 4 * 1024 * 1024;

/// A file, and the key of the configuration that names it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Named<'f> {
    pub(crate) key: &'f str,
    pub(crate) file: &'f Path,
}

// === impl Named ===

impl Named<'_> {
    /// The certificates in the file, at least one.
    pub(super) fn certificates(self) -> Result<Vec<CertificateDer<'static>>, TlsError> {
        let pem = self.read()?;
        let all = CertificateDer::pem_slice_iter(&pem).collect::<Result<Vec<_>, _>>();
        match all {
            Ok(all) if all.is_empty() => Err(self.lacks("certificate")),
            Ok(all) => Ok(all),
            Err(error) => Err(self.pem(error)),
        }
    }

    /// The authorities in the file, at least one.
    pub(crate) fn authorities(self) -> Result<RootCertStore, TlsError> {
        let mut roots = RootCertStore::empty();
        for certificate in self.certificates()? {
            roots.add(certificate).map_err(|source| self.unusable(source))?;
        }
        Ok(roots)
    }

    /// The first private key in the file.
    fn private_key(self) -> Result<PrivateKeyDer<'static>, TlsError> {
        match PrivateKeyDer::from_pem_slice(&self.read()?) {
            Ok(key) => Ok(key),
            Err(rustls_pki_types::pem::Error::NoItemsFound) => {
                Err(self.lacks("private key (an encrypted one cannot be read)"))
            }
            Err(error) => Err(self.pem(error)),
        }
    }

    fn read(self) -> Result<Vec<u8>, TlsError> {
        let read = || -> std::io::Result<Vec<u8>> {
            let mut pem = Vec::new();
            File::open(self.file)?.take(MAX_PEM + 1).read_to_end(&mut pem)?;
            match pem.len() as u64 > MAX_PEM {
                true => Err(std::io::Error::other(format!("it has more than {MAX_PEM} bytes"))),
                false => Ok(pem),
            }
        };
        let (key, file) = self.texts();
        read().map_err(|source| TlsError::Read { key, file, source })
    }

    fn texts(self) -> (String, String) {
        (self.key.to_owned(), self.file.display().to_string())
    }

    fn lacks(self, wanted: &'static str) -> TlsError {
        let (key, file) = self.texts();
        TlsError::Lacks { key, file, wanted }
    }

    fn pem(self, error: rustls_pki_types::pem::Error) -> TlsError {
        let ((key, file), reason) = (self.texts(), error.to_string());
        TlsError::Pem { key, file, reason }
    }

    fn unusable(self, source: Error) -> TlsError {
        let (key, file) = self.texts();
        TlsError::Unusable { key, file, source }
    }
}

/// A certificate, its issuers, and its private key, which belong together.
pub(crate) fn pair(chain: Named<'_>, key: Named<'_>) -> Result<Arc<CertifiedKey>, TlsError> {
    let certificates = chain.certificates()?;
    let private = key.private_key()?;
    let private =
        provider().key_provider.load_private_key(private).map_err(|source| key.unusable(source))?;
    let pair = CertifiedKey::new(certificates, private);
    match pair.keys_match() {
        // A key of a kind that does not tell its public half cannot be compared.
        Ok(()) | Err(Error::InconsistentKeys(InconsistentKeys::Unknown)) => Ok(Arc::new(pair)),
        Err(Error::InconsistentKeys(_)) => {
            let ((key, file), (_, chain)) = (key.texts(), chain.texts());
            Err(TlsError::OtherKey { key, file, chain })
        }
        Err(source) => Err(chain.unusable(source)),
    }
}
