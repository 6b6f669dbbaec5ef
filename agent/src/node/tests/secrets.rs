//! Clusters with a secret, or with certificates of their own authority.

use std::path::Path;

use muster_grid::Reply;
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};

use super::{get, put, refusals::until_refusals, see, settings};
use crate::node::{MutualTls, Node, NodeSettings, Secret};

fn with_secret(name: &str, secret: &str) -> NodeSettings {
    let secret = Secret::new(secret.as_bytes()).expect("long enough");
    NodeSettings { secret: Some(secret), ..settings(name) }
}

async fn start(settings: NodeSettings) -> Node {
    Node::start(settings).await.expect("it starts")
}

async fn agree(one: &Node, two: &Node) {
    two.found(one.address());
    see(one, &["one", "two"]).await;
    see(two, &["one", "two"]).await;
    // More than fits in one record, one buffer and one read.
    let value: Vec<u8> = (0..3_000_000u32).map(|n| (n % 251) as u8).collect();
    assert!(matches!(put(one, "large", &value).await, Reply::Written(_)));
    assert_eq!(get(two, "large").await, Some(value));
    for key in 0..50 {
        assert!(matches!(put(two, &format!("k{key}"), b"small").await, Reply::Written(_)));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn members_that_know_the_secret_agree_and_one_with_another_secret_is_told_once() {
    let one = start(with_secret("one", "the secret of the cluster")).await;
    let two = start(with_secret("two", "the secret of the cluster")).await;
    agree(&one, &two).await;
    let stranger = start(with_secret("stranger", "the secret of another one")).await;
    stranger.found(one.address());
    until_refusals(&one, 3).await;
    until_refusals(&stranger, 3).await;
    let wrong = "the cluster secret of the other side is another one, or it has none";
    assert_eq!(one.shared.told.reasons(), [wrong]);
    assert_eq!(stranger.shared.told.reasons(), [format!("refused by the other side: {wrong}")]);
    see(&stranger, &["stranger"]).await;
    see(&one, &["one", "two"]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_process_without_the_secret_is_not_linked() {
    let one = start(with_secret("one", "the secret of the cluster")).await;
    let stranger = start(settings("stranger")).await;
    stranger.found(one.address());
    one.found(stranger.address());
    until_refusals(&stranger, 3).await;
    see(&stranger, &["stranger"]).await;
    see(&one, &["one"]).await;
    assert_eq!(one.stats().links, 0);
}

/// An authority, and a certificate of it for a name that is nobody's.
fn certificates(home: &Path, authority: &str, names: &[&str]) {
    let key = KeyPair::generate().expect("a key");
    let mut params = CertificateParams::new(vec![authority.to_owned()]).expect("a name");
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let ca = params.self_signed(&key).expect("a certificate");
    let file = |name: &str| home.join(name);
    std::fs::write(file(&format!("{authority}.pem")), ca.pem()).expect("a file");
    let issuer = Issuer::new(params, key);
    for name in names {
        let key = KeyPair::generate().expect("a key");
        let params = CertificateParams::new(vec![(*name).to_owned()]).expect("a name");
        let certificate = params.signed_by(&key, &issuer).expect("a certificate");
        std::fs::write(file(&format!("{name}.pem")), certificate.pem()).expect("a file");
        std::fs::write(file(&format!("{name}.key")), key.serialize_pem()).expect("a file");
    }
}

fn with_certificate(home: &Path, authority: &str, name: &str) -> NodeSettings {
    let tls = MutualTls {
        certificate: home.join(format!("{name}.pem")),
        key: home.join(format!("{name}.key")),
        ca: home.join(format!("{authority}.pem")),
    };
    NodeSettings { tls: Some(tls), ..settings(name) }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn members_with_certificates_of_one_authority_agree_and_one_of_another_is_not_linked() {
    let home = tempfile::tempdir().expect("a directory");
    certificates(home.path(), "ours", &["one", "two"]);
    certificates(home.path(), "theirs", &["stranger"]);
    let one = start(with_certificate(home.path(), "ours", "one")).await;
    let two = start(with_certificate(home.path(), "ours", "two")).await;
    agree(&one, &two).await;
    let stranger = start(with_certificate(home.path(), "theirs", "stranger")).await;
    stranger.found(one.address());
    one.found(stranger.address());
    until_refusals(&one, 2).await;
    until_refusals(&stranger, 2).await;
    see(&stranger, &["stranger"]).await;
    see(&one, &["one", "two"]).await;
}

#[tokio::test]
async fn a_certificate_that_cannot_be_read_is_named() {
    let home = tempfile::tempdir().expect("a directory");
    let error = Node::start(with_certificate(home.path(), "ours", "one")).await;
    let error = error.map(|_| ()).expect_err("there is no such file").to_string();
    assert!(error.contains("ours.pem"), "{error}");
}
