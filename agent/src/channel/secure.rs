//! What protects the channel: TLS 1.3, and the proof that both sides know the cluster's secret.
//!
//! With a secret, certificates prove nothing: each process makes its own and takes any. Both sides
//! prove the secret instead, by a MAC over a key that TLS exports from this very connection. So it is
//! never sent; a proof is worth nothing on another connection; and whoever sits in between has two
//! connections, whose keys differ. With mutual TLS, both sides' certificates must come from the
//! cluster's own authority, for whatever name: who has one is a member.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use hmac::{Hmac, KeyInit as _, Mac as _};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{Resumption, WebPkiServerVerifier};
use rustls::crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature};
use rustls::server::WebPkiClientVerifier;
use rustls::version::TLS13;
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, RootCertStore, ServerConfig,
    SignatureScheme,
};
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use sha2::Sha256;
use thiserror::Error;

/// What the exported key is for; part of the wire.
const EXPORTED: &[u8] = b"EXPORTER-muster-cluster-1";
/// Bytes of a secret at least: whoever is spoken to may try short ones out.
const LEAST_SECRET: usize = 16;

/// What all members of a cluster know and nobody else. It is never sent, and never shown.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Secret(Arc<[u8]>);

/// PEM files for mutual TLS. They are read once, when the node starts.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct MutualTls {
    /// This node's certificate, with its issuers: for clients and for servers.
    pub(crate) certificate: PathBuf,
    /// Its private key.
    pub(crate) key: PathBuf,
    /// The authority of the cluster: whoever has a certificate of it is a member.
    pub(crate) ca: PathBuf,
}

/// Why there is no protection.
#[derive(Debug, Error)]
pub(crate) enum SecureError {
    /// Too short a secret.
    #[error("the cluster secret has {0} bytes: at least {LEAST_SECRET} are needed")]
    Short(usize),
    /// A file.
    #[error("mutual TLS: {file}: {why}")]
    File {
        /// Which.
        file: PathBuf,
        /// Why.
        why: String,
    },
    /// The certificate of this process.
    #[error("no certificate can be made: {0}")]
    Own(String),
}

/// How connections are protected.
#[derive(Clone)]
pub(crate) struct Security {
    secret: Option<Secret>,
    tls: Option<(Arc<ClientConfig>, Arc<ServerConfig>)>,
}

/// Whose proof it is: the two sides' differ, so that none can be sent back.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Side {
    /// Who dialled.
    Dialler,
    /// Who accepted.
    Acceptor,
}

// === impl Secret ===

impl Secret {
    /// # Errors
    /// When it has fewer than 16 bytes.
    pub(crate) fn new(bytes: &[u8]) -> Result<Self, SecureError> {
        if bytes.len() < LEAST_SECRET {
            return Err(SecureError::Short(bytes.len()));
        }
        Ok(Self(bytes.into()))
    }

    /// For keys.
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.0
    }

    fn mac(&self, side: Side, exported: &[u8; 32]) -> Option<Hmac<Sha256>> {
        let mut mac = Hmac::<Sha256>::new_from_slice(&self.0).ok()?;
        mac.update(match side {
            Side::Dialler => b"muster cluster: dialler",
            Side::Acceptor => b"muster cluster: acceptor",
        });
        mac.update(exported);
        Some(mac)
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret")
    }
}

// === impl Security ===

impl Security {
    /// What a node is told of.
    ///
    /// # Errors
    /// When a file cannot be used.
    pub(crate) fn new(
        secret: Option<Secret>,
        mutual: Option<&MutualTls>,
    ) -> Result<Self, SecureError> {
        let provider = Arc::new(ring::default_provider());
        let tls = match (&secret, mutual) {
            (_, Some(files)) => Some(mutual_tls(files, &provider)?),
            (Some(_), None) => Some(own_tls(&provider)?),
            (None, None) => None,
        };
        Ok(Self { secret, tls })
    }

    /// For those who dial.
    pub(crate) fn client(&self) -> Option<Arc<ClientConfig>> {
        self.tls.as_ref().map(|(client, _)| client.clone())
    }

    /// For those who accept.
    pub(crate) fn server(&self) -> Option<Arc<ServerConfig>> {
        self.tls.as_ref().map(|(_, server)| server.clone())
    }

    /// A side's proof on the connection that gave this key; none without a secret.
    pub(crate) fn proof(&self, side: Side, exported: &[u8; 32]) -> Option<[u8; 32]> {
        let mac = self.secret.as_ref()?.mac(side, exported)?;
        Some(mac.finalize().into_bytes().into())
    }

    /// Whether a side's proof holds; always without a secret.
    pub(crate) fn holds(&self, side: Side, exported: &[u8; 32], proof: Option<[u8; 32]>) -> bool {
        let Some(secret) = &self.secret else { return true };
        let (Some(mac), Some(proof)) = (secret.mac(side, exported), proof) else { return false };
        mac.verify_slice(&proof).is_ok()
    }
}

impl fmt::Debug for Security {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Security")
            .field("secret", &self.secret)
            .field("tls", &self.tls.is_some())
            .finish()
    }
}

/// The key of a connection that proofs are made with.
///
/// # Errors
/// Before the handshake is over.
pub(crate) fn exported<D>(
    connection: &rustls::ConnectionCommon<D>,
) -> Result<[u8; 32], rustls::Error> {
    connection.export_keying_material([0; 32], EXPORTED, None)
}

type Configs = (Arc<ClientConfig>, Arc<ServerConfig>);

/// TLS with a certificate that this process makes for itself.
fn own_tls(provider: &Arc<CryptoProvider>) -> Result<Configs, SecureError> {
    let own = |error: &dyn fmt::Display| SecureError::Own(error.to_string());
    let made =
        rcgen::generate_simple_self_signed(vec!["muster".to_owned()]).map_err(|e| own(&e))?;
    let key = PrivateKeyDer::try_from(made.signing_key.serialize_der()).map_err(|e| own(&e))?;
    let server = ServerConfig::builder_with_provider(provider.clone())
        .with_protocol_versions(&[&TLS13])
        .map_err(|e| own(&e))?
        .with_no_client_auth()
        .with_single_cert(vec![made.cert.der().clone()], key)
        .map_err(|e| own(&e))?;
    let client = ClientConfig::builder_with_provider(provider.clone())
        .with_protocol_versions(&[&TLS13])
        .map_err(|e| own(&e))?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Judge {
            authority: None,
            provider: provider.clone(),
        }))
        .with_no_client_auth();
    Ok(without_sessions(client, server))
}

/// TLS with certificates of the cluster's authority.
fn mutual_tls(files: &MutualTls, provider: &Arc<CryptoProvider>) -> Result<Configs, SecureError> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates(&files.ca)? {
        roots.add(certificate).map_err(|error| bad(&files.ca, error))?;
    }
    let roots = Arc::new(roots);
    let chain = certificates(&files.certificate)?;
    let key = || PrivateKeyDer::from_pem_file(&files.key).map_err(|error| bad(&files.key, error));
    let of_client = WebPkiClientVerifier::builder_with_provider(roots.clone(), provider.clone())
        .build()
        .map_err(|error| bad(&files.ca, error))?;
    let of_server = WebPkiServerVerifier::builder_with_provider(roots, provider.clone())
        .build()
        .map_err(|error| bad(&files.ca, error))?;
    let server = ServerConfig::builder_with_provider(provider.clone())
        .with_protocol_versions(&[&TLS13])
        .map_err(|error| bad(&files.certificate, error))?
        .with_client_cert_verifier(of_client)
        .with_single_cert(chain.clone(), key()?)
        .map_err(|error| bad(&files.certificate, error))?;
    let client = ClientConfig::builder_with_provider(provider.clone())
        .with_protocol_versions(&[&TLS13])
        .map_err(|error| bad(&files.certificate, error))?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Judge {
            authority: Some(of_server),
            provider: provider.clone(),
        }))
        .with_client_auth_cert(chain, key()?)
        .map_err(|error| bad(&files.certificate, error))?;
    Ok(without_sessions(client, server))
}

/// Connections last: nothing is resumed.
fn without_sessions(mut client: ClientConfig, mut server: ServerConfig) -> Configs {
    client.resumption = Resumption::disabled();
    server.send_tls13_tickets = 0;
    (Arc::new(client), Arc::new(server))
}

fn certificates(file: &Path) -> Result<Vec<CertificateDer<'static>>, SecureError> {
    let all = CertificateDer::pem_file_iter(file).and_then(Iterator::collect::<Result<Vec<_>, _>>);
    match all {
        Ok(all) if all.is_empty() => Err(bad(file, "it has no certificate")),
        Ok(all) => Ok(all),
        Err(error) => Err(bad(file, error)),
    }
}

fn bad(file: &Path, why: impl fmt::Display) -> SecureError {
    SecureError::File { file: file.to_owned(), why: why.to_string() }
}

/// Judges the certificates of those who accept. With an authority it takes its certificates, for
/// whatever name: members are dialled by addresses that discovery finds. Without one it takes any:
/// the secret is proven afterwards, on the same connection.
#[derive(Debug)]
struct Judge {
    authority: Option<Arc<WebPkiServerVerifier>>,
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for Judge {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let Some(authority) = &self.authority else { return Ok(ServerCertVerified::assertion()) };
        let verified = authority.verify_server_cert(
            end_entity,
            intermediates,
            server_name,
            ocsp_response,
            now,
        );
        match verified {
            // The name is looked at last, when the chain has been found good.
            Err(rustls::Error::InvalidCertificate(
                CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
            )) => Ok(ServerCertVerified::assertion()),
            verified => verified,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let all = &self.provider.signature_verification_algorithms;
        verify_tls12_signature(message, cert, dss, all)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let all = &self.provider.signature_verification_algorithms;
        verify_tls13_signature(message, cert, dss, all)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_proof_holds_for_one_side_of_one_connection_and_one_secret() {
        let security = |secret: &[u8]| Security {
            secret: Some(Secret::new(secret).expect("long enough")),
            tls: None,
        };
        let (ours, theirs) =
            (security(b"a secret of the cluster"), security(b"another secret here"));
        let proof = ours.proof(Side::Dialler, &[1; 32]);
        assert!(ours.holds(Side::Dialler, &[1; 32], proof));
        assert!(!ours.holds(Side::Acceptor, &[1; 32], proof), "sent back");
        assert!(!ours.holds(Side::Dialler, &[2; 32], proof), "sent again elsewhere");
        assert!(!theirs.holds(Side::Dialler, &[1; 32], proof), "another secret");
        assert!(!ours.holds(Side::Dialler, &[1; 32], None), "no proof");
    }

    #[test]
    fn a_short_secret_is_refused_and_none_is_ever_shown() {
        let short = Secret::new(b"short").expect_err("too short").to_string();
        assert_eq!(short, "the cluster secret has 5 bytes: at least 16 are needed");
        let secret = Secret::new(b"sixteen bytes ok").expect("long enough");
        assert_eq!(format!("{secret:?}"), "Secret");
    }
}
