//! TLS: to clients, with a certificate for each name, and to nodes, verified.
//!
//! | module | idea |
//! |---|---|
//! | `front` | what clients meet: versions, certificates, tickets, and their reload |
//! | `certificate` | which certificate answers for which name |
//! | `facts` | what a finished handshake says, for nodes and their headers |
//! | `mcmp` | what nodes meet when they register, and who they are |
//! | `node` | how nodes are connected to, and how they prove who they are |
//! | `files` | PEM files, bounded, each fault with its key and file |
//! | `check` | all faults of the files at once |
//!
//! The cryptography is rustls with ring: TLS 1.2 and 1.3, authenticated encryption and forward
//! secrecy only. There is no older version and no weaker suite to turn on.

mod certificate;
mod check;
mod facts;
mod files;
mod front;
mod mcmp;
mod node;

use std::sync::Arc;

use rustls::SupportedProtocolVersion;
use rustls::crypto::{CryptoProvider, ring};
use rustls::version::{TLS12, TLS13};

pub use check::faults;
pub use facts::{ClientCertificate, TlsFacts};
pub(crate) use files::{Named, pair};
pub use front::TlsFront;
pub use mcmp::TlsMcmp;
pub use node::{BadServerName, NodeTls};

use crate::config::TlsVersion;

/// Why TLS cannot be served or spoken as configured. Each names the configuration's key, and the
/// file where there is one.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file that cannot be read, or has more than 4 MiB.
    #[error("{key}: cannot read {file}")]
    Read {
        /// The configuration's key.
        key: String,
        /// The file.
        file: String,
        /// Why.
        source: std::io::Error,
    },
    /// A file that is no PEM file.
    #[error("{key}: {file} is no good PEM file: {reason}")]
    Pem {
        /// The configuration's key.
        key: String,
        /// The file.
        file: String,
        /// What is wrong.
        reason: String,
    },
    /// A PEM file of something else; an encrypted private key is none.
    #[error("{key}: {file} has no {wanted}")]
    Lacks {
        /// The configuration's key.
        key: String,
        /// The file.
        file: String,
        /// What should be there.
        wanted: &'static str,
    },
    /// A certificate or a key that cannot be used.
    #[error("{key}: {file} cannot be used")]
    Unusable {
        /// The configuration's key.
        key: String,
        /// The file.
        file: String,
        /// Why.
        source: rustls::Error,
    },
    /// A private key of another certificate.
    #[error("{key}: {file} is not the key of the certificate in {chain}")]
    OtherKey {
        /// The configuration's key.
        key: String,
        /// The file of the private key.
        file: String,
        /// The file of the certificate.
        chain: String,
    },
    /// The listener has no certificate.
    #[error("tls.certificates: there is none")]
    NoCertificate,
    /// Authorities by which nobody can be verified.
    #[error("{key}: nobody can be verified by {file}: {reason}")]
    Authorities {
        /// The configuration's key.
        key: String,
        /// The file.
        file: String,
        /// What is wrong.
        reason: String,
    },
    /// The cryptography refuses: no randomness, no version in common with itself.
    #[error("TLS cannot be set up")]
    Setup(#[source] rustls::Error),
}

// === impl TlsError ===

impl TlsError {
    /// The same error of another section's key, where two sections have the same files.
    pub(crate) fn of_section(mut self, own: &str, other: &str) -> TlsError {
        match &mut self {
            TlsError::Read { key, .. }
            | TlsError::Pem { key, .. }
            | TlsError::Lacks { key, .. }
            | TlsError::Unusable { key, .. }
            | TlsError::OtherKey { key, .. }
            | TlsError::Authorities { key, .. } => {
                if let Some(rest) = key.strip_prefix(own) {
                    *key = format!("{other}{rest}");
                }
            }
            TlsError::NoCertificate | TlsError::Setup(_) => {}
        }
        self
    }
}

/// The one choice of cryptography, for both sides.
pub(crate) fn provider() -> Arc<CryptoProvider> {
    Arc::new(ring::default_provider())
}

fn versions(oldest: TlsVersion) -> &'static [&'static SupportedProtocolVersion] {
    static FROM_1_2: [&SupportedProtocolVersion; 2] = [&TLS13, &TLS12];
    static FROM_1_3: [&SupportedProtocolVersion; 1] = [&TLS13];
    match oldest {
        TlsVersion::V1_2 => &FROM_1_2,
        TlsVersion::V1_3 => &FROM_1_3,
    }
}

#[cfg(test)]
mod tests;
