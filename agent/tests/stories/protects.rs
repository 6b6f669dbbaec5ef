//! The management behind mutual TLS.

#![allow(clippy::unwrap_used, reason = "tests fail by panicking")]

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use muster_agent::engine::local::Local;
use muster_agent::manage::{self, Settings, Tls};
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use rustls::crypto::ring;
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use crate::soon;

/// An authority, and certificates of it.
fn certificates(home: &Path, authority: &str, names: &[&str]) {
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::new(vec![authority.to_owned()]).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let ca = params.self_signed(&key).unwrap();
    std::fs::write(home.join(format!("{authority}.pem")), ca.pem()).unwrap();
    let issuer = Issuer::new(params, key);
    for name in names {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(vec![(*name).to_owned()]).unwrap();
        let certificate = params.signed_by(&key, &issuer).unwrap();
        std::fs::write(home.join(format!("{name}.pem")), certificate.pem()).unwrap();
        std::fs::write(home.join(format!("{name}.key")), key.serialize_pem()).unwrap();
    }
}

/// Who asks: nobody in particular, or with a certificate.
fn client(home: &Path, name: Option<&str>) -> TlsConnector {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(home.join("ours.pem")).unwrap()).unwrap();
    let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots);
    let config = match name {
        None => builder.with_no_client_auth(),
        Some(name) => {
            let file = |end: &str| home.join(format!("{name}.{end}"));
            let chain = vec![CertificateDer::from_pem_file(file("pem")).unwrap()];
            let key = PrivateKeyDer::from_pem_file(file("key")).unwrap();
            builder.with_client_auth_cert(chain, key).unwrap()
        }
    };
    TlsConnector::from(Arc::new(config))
}

async fn ask(address: SocketAddr, client: TlsConnector, request: &str) -> std::io::Result<String> {
    let stream = TcpStream::connect(address).await?;
    let mut stream = client.connect(ServerName::try_from("one").unwrap(), stream).await?;
    let head = "Host: one\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
    stream.write_all(format!("{request} HTTP/1.1\r\n{head}").as_bytes()).await?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await?;
    Ok(answer)
}

#[tokio::test]
async fn with_mutual_tls_who_has_a_certificate_of_the_cluster_is_answered_and_nobody_else() {
    let home = tempfile::tempdir().unwrap();
    let path = |name: &str| home.path().join(name);
    certificates(home.path(), "ours", &["one", "operator"]);
    certificates(home.path(), "theirs", &["stranger"]);
    let tls = Tls::new(path("one.pem"), path("one.key"), path("ours.pem")).unwrap();
    let bind = SocketAddr::from(([127, 0, 0, 1], 0));
    let settings = Settings { bind, tls: Some(tls), ..Settings::new("shop") };
    let engine = Arc::new(Local::new("one"));
    let management = manage::start(settings, engine, None).await.unwrap();
    let address = management.address();
    assert_eq!(management.url(), format!("https://{address}"));
    let get = "GET /v1/cluster";
    let good = ask(address, client(home.path(), Some("operator")), get);
    let good = soon("an answer", good).await.unwrap();
    assert!(good.starts_with("HTTP/1.1 200") && good.contains("\"shop\""), "{good}");
    // A verb still says that it is JSON: the certificate may be in somebody's browser.
    let form = "POST /v1/cluster/caches/c/clear";
    let form = soon("an answer", ask(address, client(home.path(), Some("operator")), form)).await;
    assert!(form.unwrap().starts_with("HTTP/1.1 415"));
    for stranger in [None, Some("stranger")] {
        let asked = ask(address, client(home.path(), stranger), get);
        let refused = soon("an end", asked).await;
        assert!(refused.is_err(), "{stranger:?}: {refused:?}");
    }
    let mut plain = TcpStream::connect(address).await.unwrap();
    plain.write_all(b"GET /v1/cluster HTTP/1.1\r\nHost: localhost\r\n\r\n").await.unwrap();
    let mut answer = Vec::new();
    // The end may come as a reset.
    let _ = soon("an end", plain.read_to_end(&mut answer)).await;
    assert!(!answer.starts_with(b"HTTP"), "{answer:?}");
    management.stop().await;
}

#[test]
fn a_file_that_cannot_be_used_is_named() {
    let bad = Tls::new("/nowhere/one.pem", "/nowhere/one.key", "/nowhere/ca.pem").unwrap_err();
    assert!(bad.to_string().contains("/nowhere/ca.pem"), "{bad}");
}
