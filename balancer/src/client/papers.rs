//! What both sides of an https connection to a management show each other.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::client::WebPkiServerVerifier;
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::{ClientConfig, RootCertStore};
use tokio_rustls::TlsConnector;

use super::CallError;
use crate::tls::{Named, TlsError, pair};

/// Whose certificates are believed, and which one is shown to those who ask for one.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Papers<'f> {
    /// PEM file of the authorities; none: those that the system knows.
    pub(crate) ca: Option<&'f Path>,
    /// PEM file of the own certificate, followed by those of its issuers.
    pub(crate) certificate: Option<&'f Path>,
    /// PEM file of its private key.
    pub(crate) key: Option<&'f Path>,
}

// === impl Papers ===

impl<'f> Papers<'f> {
    /// The authorities alone: no certificate is shown.
    pub(crate) fn believing(ca: Option<&'f PathBuf>) -> Papers<'f> {
        Papers { ca: ca.map(PathBuf::as_path), ..Papers::default() }
    }

    pub(super) fn connector(self) -> Result<TlsConnector, CallError> {
        let bad = |error: rustls::Error| CallError::Authorities(error.to_string());
        let roots = self.authorities().map_err(CallError::Authorities)?;
        let verifier =
            WebPkiServerVerifier::builder_with_provider(Arc::new(roots), crate::tls::provider())
                .build()
                .map_err(|error| CallError::Authorities(error.to_string()))?;
        let builder = ClientConfig::builder_with_provider(crate::tls::provider())
            .with_safe_default_protocol_versions()
            .map_err(bad)?
            .with_webpki_verifier(verifier);
        let config = match self.own().map_err(CallError::Certificate)? {
            Some(own) => builder.with_client_cert_resolver(Arc::new(SingleCertAndKey::from(own))),
            None => builder.with_no_client_auth(),
        };
        Ok(TlsConnector::from(Arc::new(config)))
    }

    fn authorities(self) -> Result<RootCertStore, String> {
        if let Some(file) = self.ca {
            return Named { key: "ca", file }.authorities().map_err(told);
        }
        let mut roots = RootCertStore::empty();
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        Ok(roots)
    }

    fn own(self) -> Result<Option<Arc<CertifiedKey>>, String> {
        match (self.certificate, self.key) {
            (None, None) => Ok(None),
            (Some(certificate), Some(key)) => {
                let certificate = Named { key: "certificate", file: certificate };
                pair(certificate, Named { key: "key", file: key }).map(Some).map_err(told)
            }
            _ => Err("a certificate and its key go together".to_owned()),
        }
    }
}

/// An error with what is behind it.
fn told(error: TlsError) -> String {
    format!("{:#}", anyhow::Error::new(error))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use http::{HeaderMap, Method};
    use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
    use rustls::ServerConfig;
    use rustls::server::WebPkiClientVerifier;
    use tempfile::TempDir;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpListener;
    use tokio_rustls::TlsAcceptor;

    use super::*;
    use crate::client::Caller;

    /// A folder with `ca.pem`, `own.pem` and `own.key`.
    fn world() -> TempDir {
        let folder = tempfile::tempdir().unwrap();
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new([]).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let root = params.self_signed(&key).unwrap();
        let authority = Issuer::new(params, key);
        let key = KeyPair::generate().unwrap();
        let own = CertificateParams::new(["127.0.0.1".to_owned()]).unwrap();
        let own = own.signed_by(&key, &authority).unwrap();
        let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text);
        write("ca.pem", &root.pem()).unwrap();
        write("own.pem", &own.pem()).unwrap();
        write("own.key", &key.serialize_pem()).unwrap();
        folder
    }

    /// Answers one request of whoever shows a certificate of the authority.
    async fn management(papers: Papers<'_>) -> u16 {
        let roots = Arc::new(papers.authorities().unwrap());
        let provider = crate::tls::provider();
        let verifier = WebPkiClientVerifier::builder_with_provider(roots, provider.clone());
        let own = SingleCertAndKey::from(papers.own().unwrap().unwrap());
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_client_cert_verifier(verifier.build().unwrap())
            .with_cert_resolver(Arc::new(own));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        tokio::spawn(async move {
            let (stream, _) = listener.accept().await.unwrap();
            let Ok(mut stream) = TlsAcceptor::from(Arc::new(config)).accept(stream).await else {
                return;
            };
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n") {
                head.push(stream.read_u8().await.unwrap());
            }
            stream.write_all(b"HTTP/1.1 204 No Content\r\n\r\n").await.unwrap();
            let _ = stream.shutdown().await;
        });
        port
    }

    async fn asked(port: u16, papers: Papers<'_>) -> Result<u16, CallError> {
        let url = format!("https://127.0.0.1:{port}");
        let caller = Caller::new(&url, papers, Duration::from_secs(60))?;
        let answer = caller.call(Method::GET, "/", HeaderMap::new(), Vec::new()).await?;
        Ok(answer.status.as_u16())
    }

    #[tokio::test]
    async fn a_management_that_asks_for_a_certificate_answers_who_shows_one() {
        let folder = world();
        let [ca, certificate, key] =
            ["ca.pem", "own.pem", "own.key"].map(|f| folder.path().join(f));
        let own = Papers { ca: Some(&ca), certificate: Some(&certificate), key: Some(&key) };
        assert_eq!(asked(management(own).await, own).await.unwrap(), 204);
        let refused = asked(management(own).await, Papers::believing(Some(&ca))).await;
        assert!(matches!(refused, Err(CallError::Connect { .. } | CallError::Answer { .. })));
    }

    #[test]
    fn papers_that_cannot_be_used_are_named() {
        let folder = world();
        let certificate = folder.path().join("own.pem");
        let said = |papers: Papers<'_>| papers.connector().err().unwrap().to_string();
        let half = Papers { certificate: Some(&certificate), ..Papers::default() };
        assert!(said(half).contains("a certificate and its key go together"), "{}", said(half));
        let no_key = Papers { key: Some(&certificate), ..half };
        assert!(said(no_key).contains("own.pem has no private key"), "{}", said(no_key));
    }
}
