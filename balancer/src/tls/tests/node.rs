//! How nodes prove who they are.

use muster_protocol::mcmp::{Address, Scheme};
use rustls_pki_types::ServerName;

use super::world::{Met, World};
use crate::config;
use crate::config::tls::CertificateFiles;
use crate::config::{Alpn, ClientAuth};
use crate::tls::{NodeTls, TlsError, TlsFacts, TlsFront};

fn address(host: &str) -> Address {
    Address { scheme: Scheme::Https, host: host.parse().unwrap(), port: 8443 }
}

/// We connect to a node there, which has that certificate.
async fn connect(
    node: &TlsFront,
    tls: &NodeTls,
    host: &str,
    alpn: Alpn,
) -> Result<Met, std::io::Error> {
    let (near, far) = tokio::io::duplex(64 * 1024);
    let host = address(host);
    let (server, client) = tokio::join!(node.accept(near), tls.handshake(far, &host, alpn));
    let client = client?;
    Ok(Met { server: server?, client })
}

fn trusting(world: &World) -> config::NodeTls {
    config::NodeTls { ca: Some(world.path("ca.pem")), ..config::NodeTls::default() }
}

fn node(world: &World, hosts: &[&str]) -> TlsFront {
    TlsFront::load(&world.tls(vec![world.certificate("node", hosts)])).unwrap()
}

#[tokio::test]
async fn a_node_proves_the_host_that_it_registered_by() {
    let world = World::new();
    let tls = NodeTls::load(&trusting(&world)).unwrap();
    for (certified, host, is_good) in [
        ("node.internal", "node.internal", true),
        ("*.nodes.internal", "a.nodes.internal", true),
        ("10.0.0.7", "10.0.0.7", true),
        ("fd00::7", "[fd00::7]", true),
        ("node.internal", "other.internal", false),
        ("node.internal", "10.0.0.7", false),
        ("10.0.0.8", "10.0.0.7", false),
    ] {
        let met = connect(&node(&world, &[certified]), &tls, host, Alpn::Http1).await;
        assert_eq!(met.is_ok(), is_good, "{certified} at {host}: {:?}", met.err());
    }
}

#[tokio::test]
async fn a_name_of_the_configuration_takes_the_place_of_every_nodes_host() {
    let world = World::new();
    let named = Some("nodes.internal".to_owned());
    let tls = NodeTls::load(&config::NodeTls { server_name: named, ..trusting(&world) }).unwrap();
    let by_name = node(&world, &["nodes.internal"]);
    let met = connect(&by_name, &tls, "10.0.0.7", Alpn::Http1).await.unwrap();
    let facts = TlsFacts::of(met.server.get_ref().1).unwrap();
    assert_eq!(facts.sni.as_deref(), Some("nodes.internal"));
    let by_address = node(&world, &["10.0.0.7"]);
    assert!(connect(&by_address, &tls, "10.0.0.7", Alpn::Http1).await.is_err());
}

#[tokio::test]
async fn a_node_of_another_authority_is_refused_unless_nobody_looks() {
    let (world, stranger) = (World::new(), World::new());
    let foreign = node(&stranger, &["node.internal"]);
    let tls = NodeTls::load(&trusting(&world)).unwrap();
    let error = connect(&foreign, &tls, "node.internal", Alpn::Http1).await.err().unwrap();
    assert!(error.to_string().contains("UnknownIssuer"), "{error}");
    let open = config::NodeTls { verify: false, ..config::NodeTls::default() };
    let open = NodeTls::load(&open).unwrap();
    assert!(connect(&foreign, &open, "10.0.0.7", Alpn::Http1).await.is_ok());
}

#[tokio::test]
async fn the_caller_chooses_the_protocol() {
    let world = World::new();
    let tls = NodeTls::load(&trusting(&world)).unwrap();
    let node = node(&world, &["node.internal"]);
    for alpn in [Alpn::H2, Alpn::Http1] {
        let met = connect(&node, &tls, "node.internal", alpn).await.unwrap();
        assert_eq!(met.client.get_ref().1.alpn_protocol(), Some(alpn.word().as_bytes()));
    }
}

#[tokio::test]
async fn a_node_that_asks_for_our_certificate_gets_it_and_a_reload_brings_the_next() {
    let world = World::new();
    let CertificateFiles { chain, key } = world.certificate("own", &["balancer.internal"]);
    let mut settings = world.tls(vec![world.certificate("node", &["node.internal"])]);
    settings.client_auth = ClientAuth::Required;
    settings.client_ca = Some(world.path("ca.pem"));
    let node = TlsFront::load(&settings).unwrap();
    let without = NodeTls::load(&trusting(&world)).unwrap();
    assert!(connect(&node, &without, "node.internal", Alpn::Http1).await.is_err());
    let own = config::NodeTls { certificate: Some(chain), key: Some(key), ..trusting(&world) };
    let with = NodeTls::load(&own).unwrap();
    let shown = async || {
        let met = connect(&node, &with, "node.internal", Alpn::Http1).await.unwrap();
        TlsFacts::of(met.server.get_ref().1).unwrap().client_certificate.unwrap()
    };
    let first = shown().await;
    world.certificate("own", &["balancer.internal"]);
    with.replace(NodeTls::load(&own).unwrap());
    assert_ne!(shown().await, first);
    world.write("own.key", "");
    assert!(matches!(NodeTls::load(&own), Err(TlsError::Lacks { .. })));
}

#[test]
fn a_bad_file_is_named_with_its_key() {
    let world = World::new();
    let none = config::NodeTls { ca: Some(world.path("none.pem")), ..config::NodeTls::default() };
    let error = NodeTls::load(&none).unwrap_err().to_string();
    assert!(error.starts_with("upstream.tls.ca: cannot read "), "{error}");
}

#[test]
fn without_authorities_of_its_own_the_systems_are_taken() {
    let tls = NodeTls::load(&config::NodeTls::default()).unwrap();
    let name = tls.server_name(&address("[::1]")).unwrap();
    assert!(matches!(name, ServerName::IpAddress(_)));
    assert_eq!(tls.server_name(&address("node.internal")).unwrap().to_str(), "node.internal");
}
