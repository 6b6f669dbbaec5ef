//! Which certificate answers for which name: the exact name, else a wildcard for it, else the
//! first certificate of the configuration.
//!
//! Several certificates may be for one name, an ECDSA and an RSA one for example: a client gets the
//! first whose key it can verify.

use std::borrow::Cow;
use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use rustls::SignatureScheme;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::{FromDer as _, X509Certificate};

use super::TlsError;
use super::files::{Named, pair};
use crate::config::tls::CertificateFiles;

type ByName = HashMap<String, Vec<Arc<CertifiedKey>>>;

/// The listener's certificates by name.
pub(super) struct Certificates {
    first: Arc<CertifiedKey>,
    exact: ByName,
    /// `*.shop.example` stands under `shop.example`.
    wildcard: ByName,
}

/// What a certificate says of itself.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Facts {
    /// Host names, lower-cased.
    names: Vec<String>,
    /// In seconds of the Unix epoch.
    not_before: i64,
    not_after: i64,
}

// === impl Certificates ===

impl Certificates {
    /// Reads all files. What is expired or for no name is logged, and served all the same: an old
    /// certificate is better than none.
    pub(super) fn load(files: &[CertificateFiles]) -> Result<Certificates, TlsError> {
        let mut all = Vec::new();
        for (at, files) in files.iter().enumerate() {
            let (pair, facts) = read_pair(at, files)?;
            all.push((pair, facts.names));
        }
        let first = all.first().ok_or(TlsError::NoCertificate)?.0.clone();
        let mut certificates =
            Certificates { first, exact: ByName::new(), wildcard: ByName::new() };
        for (pair, names) in all {
            names.iter().for_each(|name| certificates.add(name, &pair));
        }
        Ok(certificates)
    }

    fn add(&mut self, name: &str, pair: &Arc<CertifiedKey>) {
        let (names, name) = match name.strip_prefix("*.") {
            Some(parent) => (&mut self.wildcard, parent),
            None => (&mut self.exact, name),
        };
        names.entry(name.to_owned()).or_default().push(pair.clone());
    }

    /// The certificate for a name, by a client that can verify such signatures.
    pub(super) fn choose(
        &self,
        name: Option<&str>,
        schemes: &[SignatureScheme],
    ) -> &Arc<CertifiedKey> {
        let Some(pairs) = name.and_then(|name| self.named(&lower(name))) else {
            return &self.first;
        };
        let fits = |pair: &&Arc<CertifiedKey>| pair.key.choose_scheme(schemes).is_some();
        pairs.iter().find(fits).or(pairs.first()).unwrap_or(&self.first)
    }

    fn named(&self, name: &str) -> Option<&Vec<Arc<CertifiedKey>>> {
        let by_parent = || self.wildcard.get(name.split_once('.')?.1);
        self.exact.get(name).or_else(by_parent)
    }
}

impl ResolvesServerCert for Certificates {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.choose(hello.server_name(), hello.signature_schemes()).clone())
    }
}

impl fmt::Debug for Certificates {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = self.exact.keys().chain(self.wildcard.keys());
        f.debug_tuple("Certificates").field(&names.collect::<Vec<_>>()).finish()
    }
}

/// The certificate and its key at that place of the configuration.
pub(super) fn read_pair(
    at: usize,
    CertificateFiles { chain, key }: &CertificateFiles,
) -> Result<(Arc<CertifiedKey>, Facts), TlsError> {
    let (chain_key, key_key) =
        (format!("tls.certificates[{at}].chain"), format!("tls.certificates[{at}].key"));
    let chain = Named { key: &chain_key, file: chain };
    let pair = pair(chain, Named { key: &key_key, file: key })?;
    let facts = Facts::of(chain, &pair)?;
    facts.warn(chain, at == 0);
    Ok((pair, facts))
}

// === impl Facts ===

impl Facts {
    fn of(chain: Named<'_>, pair: &CertifiedKey) -> Result<Facts, TlsError> {
        let fault = |reason: String| TlsError::Pem {
            key: chain.key.to_owned(),
            file: chain.file.display().to_string(),
            reason,
        };
        let der = pair.cert.first().ok_or_else(|| fault("it is empty".to_owned()))?;
        let (_, parsed) =
            X509Certificate::from_der(der).map_err(|error| fault(error.to_string()))?;
        let alternatives =
            parsed.subject_alternative_name().map_err(|error| fault(error.to_string()))?;
        let general = alternatives.iter().flat_map(|names| &names.value.general_names);
        let name = |name: &GeneralName<'_>| match name {
            GeneralName::DNSName(name) => Some(name.to_ascii_lowercase()),
            _ => None,
        };
        Ok(Facts {
            names: general.filter_map(name).collect(),
            not_before: parsed.validity().not_before.timestamp(),
            not_after: parsed.validity().not_after.timestamp(),
        })
    }

    fn warn(&self, Named { key, file }: Named<'_>, is_first: bool) {
        let file = file.display();
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        let now = i64::try_from(now).unwrap_or(i64::MAX);
        if now > self.not_after {
            tracing::warn!(key, %file, "the certificate is expired: clients will refuse it");
        }
        if now < self.not_before {
            tracing::warn!(key, %file, "the certificate is not valid yet: clients will refuse it");
        }
        if self.names.is_empty() && !is_first {
            tracing::warn!(key, %file, "the certificate is for no host name: nobody will get it");
        }
    }
}

fn lower(name: &str) -> Cow<'_, str> {
    match name.bytes().any(|byte| byte.is_ascii_uppercase()) {
        true => Cow::Owned(name.to_ascii_lowercase()),
        false => Cow::Borrowed(name),
    }
}
