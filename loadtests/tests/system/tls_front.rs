//! TLS to clients: versions, names, reload, client certificates, protocols, and what is cut.

use std::net::SocketAddr;

use muster_loadtests::testkit::raw::field;
use muster_loadtests::testkit::tls::{Files, TlsClient, toml_path};
use muster_loadtests::testkit::{Authority, Balancer, Farm, Fault, Raw, eventually};
use rustls_pki_types::CertificateDer;

use super::support::{SOON, node};

const GET: &str = "GET / HTTP/1.1\r\nHost: shop.test\r\n\r\n";

/// `[tls]` with these certificates and more keys.
fn tls(certificates: &[&Files], more: &str) -> String {
    let certificates: Vec<_> = certificates.iter().map(|files| files.toml()).collect();
    let certificates = certificates.join(", ");
    format!("[tls]\nlisten = [\"127.0.0.1:0\"]\ncertificates = [{certificates}]\n{more}")
}

fn https(balancer: &Balancer) -> SocketAddr {
    balancer.process.listening("https").unwrap()
}

/// The certificate that a client of this name gets, with an answer over the connection.
async fn served(client: &TlsClient, at: SocketAddr, name: &str) -> CertificateDer<'static> {
    let mut raw = client.connect(at, name).await.unwrap();
    raw.send(GET).await.unwrap();
    let (head, body) = raw.message().await.unwrap();
    assert!(head.starts_with("HTTP/1.1 200"), "{head}");
    assert_eq!(body, b"{\"node\":\"a\"}\n");
    raw.shown().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn each_name_gets_its_certificate_in_either_version() {
    let own = Authority::new().unwrap();
    // The unknown name is in the first, so that a client that looks closely takes it.
    let first = own.certificate("first", &["first.test", "unknown.test"]).unwrap();
    let second = own.certificate("second", &["second.test"]).unwrap();
    let wild = own.certificate("wild", &["*.wild.test"]).unwrap();
    let farm = Farm::new().unwrap();
    let balancer = farm.balancer(&tls(&[&first, &second, &wild], "")).await.unwrap();
    let node = node(&balancer, "a", 100).await;
    let cases = [
        ("first.test", &first),
        ("second.test", &second),
        ("SECOND.test", &second),
        ("any.wild.test", &wild),
        ("unknown.test", &first),
    ];
    for client in [own.client(&[]).unwrap(), own.old_client(&[]).unwrap()] {
        for (name, expected) in cases {
            let shown = served(&client, https(&balancer), name).await;
            assert_eq!(shown, expected.der().unwrap(), "{name}");
        }
    }
    for seen in node.seen() {
        assert_eq!(seen.headers["x-forwarded-proto"], "https");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_oldest_version_is_the_configured_one() {
    let own = Authority::new().unwrap();
    let files = own.certificate("shop", &["shop.test"]).unwrap();
    let farm = Farm::new().unwrap();
    let balancer = farm.balancer(&tls(&[&files], "min_version = \"1.3\"\n")).await.unwrap();
    let _node = node(&balancer, "a", 100).await;
    served(&own.client(&[]).unwrap(), https(&balancer), "shop.test").await;
    let old = own.old_client(&[]).unwrap().connect(https(&balancer), "shop.test").await;
    assert!(old.unwrap_err().to_string().contains("ProtocolVersion"));
}

#[tokio::test(flavor = "multi_thread")]
async fn sighup_brings_the_new_certificate_and_connections_go_on() {
    let own = Authority::new().unwrap();
    let before = own.certificate("shop", &["shop.test"]).unwrap();
    let first = before.der().unwrap();
    let farm = Farm::new().unwrap();
    let balancer = farm.balancer(&tls(&[&before], "")).await.unwrap();
    let node = node(&balancer, "a", 100).await;
    let client = own.client(&[]).unwrap();
    let mut kept = client.connect(https(&balancer), "shop.test").await.unwrap();
    kept.send(GET).await.unwrap();
    kept.message().await.unwrap();

    // A key that is not the certificate's: the old pair stays, and the log says why.
    let key = std::fs::read(&before.key).unwrap();
    let other = own.certificate("other", &["shop.test"]).unwrap();
    std::fs::copy(&other.key, &before.key).unwrap();
    balancer.process.inflict(Fault::HangUp).unwrap();
    let told = eventually("the fault is logged", SOON, || async {
        let errors = balancer.process.errors();
        let line = errors.lines().find(|line| line.contains("the old configuration stays"));
        line.map(str::to_owned).ok_or(errors.clone())
    });
    let told = told.await.unwrap();
    assert!(told.contains("tls.certificates[0].key") && told.contains("shop.key"), "{told}");
    assert_eq!(served(&client, https(&balancer), "shop.test").await, first);

    std::fs::write(&before.key, key).unwrap();
    let after = own.certificate("shop", &["shop.test"]).unwrap().der().unwrap();
    assert_ne!(first, after);
    balancer.process.inflict(Fault::HangUp).unwrap();
    let renewed = eventually("the new certificate is shown", SOON, || async {
        let shown = client.connect(https(&balancer), "shop.test").await;
        match shown.map_err(|error| error.to_string())?.shown() == Some(after.clone()) {
            true => Ok(()),
            false => Err("the old one".to_owned()),
        }
    });
    renewed.await.unwrap();
    kept.send(GET).await.unwrap();
    assert!(kept.message().await.unwrap().0.starts_with("HTTP/1.1 200"));
    assert_eq!(kept.shown(), Some(first));
    assert_eq!(node.count(), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn clients_show_a_certificate_where_they_are_asked() {
    let own = Authority::new().unwrap();
    let stranger = Authority::new().unwrap();
    let files = own.certificate("shop", &["shop.test"]).unwrap();
    let good = own.certificate("client", &["client.test"]).unwrap();
    let bad = stranger.certificate("client", &["client.test"]).unwrap();
    let farm = Farm::new().unwrap();
    let ca = format!("client_ca = {}\n", toml_path(&own.file()));
    let cases = [
        ("client_auth = \"none\"\n".to_owned(), [true, true, true]),
        (format!("client_auth = \"optional\"\n{ca}"), [true, true, false]),
        (format!("client_auth = \"required\"\n{ca}"), [false, true, false]),
    ];
    for (more, expected) in cases {
        let balancer = farm.balancer(&tls(&[&files], &more)).await.unwrap();
        let _node = node(&balancer, "a", 100).await;
        let clients = [
            own.client(&[]).unwrap(),
            own.client_with(&[], &good).unwrap(),
            own.client_with(&[], &bad).unwrap(),
        ];
        for (number, (client, is_served)) in clients.iter().zip(expected).enumerate() {
            let asked = async {
                // In TLS 1.3 a client is done before it hears that it is refused.
                let mut raw = client.connect(https(&balancer), "shop.test").await?;
                raw.send(GET).await?;
                raw.message().await
            };
            let answer = asked.await;
            assert_eq!(answer.is_ok(), is_served, "{more} client {number}: {answer:?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_handshake_that_does_not_come_is_cut_and_so_is_what_is_no_tls() {
    let own = Authority::new().unwrap();
    let files = own.certificate("shop", &["shop.test"]).unwrap();
    let farm = Farm::new().unwrap();
    let balancer = farm.balancer(&tls(&[&files], "handshake_timeout = \"300ms\"\n")).await.unwrap();
    let _node = node(&balancer, "a", 100).await;
    for beginning in [&b""[..], b"\x16\x03\x01\x02\x00\x01", GET.as_bytes()] {
        let mut raw = Raw::connect(https(&balancer)).await.unwrap();
        raw.send(beginning).await.unwrap();
        let said = raw.rest().await;
        assert!(!said.starts_with(b"HTTP/"), "{}", String::from_utf8_lossy(&said));
    }
    served(&own.client(&[]).unwrap(), https(&balancer), "shop.test").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_protocol_is_the_balancers_choice_among_the_clients() {
    let own = Authority::new().unwrap();
    let files = own.certificate("shop", &["shop.test"]).unwrap();
    let farm = Farm::new().unwrap();
    let balancer = farm.balancer(&tls(&[&files], "")).await.unwrap();
    let cases: [(&[&str], Option<&str>); 4] = [
        (&["http/1.1", "h2"], Some("h2")),
        (&["http/1.1"], Some("http/1.1")),
        (&["h2"], Some("h2")),
        (&[], None),
    ];
    for (offered, expected) in cases {
        let client = own.client(offered).unwrap();
        let raw = client.connect(https(&balancer), "shop.test").await.unwrap();
        assert_eq!(raw.protocol().as_deref(), expected, "{offered:?}");
    }
    let unknown = own.client(&["spdy/3"]).unwrap();
    assert!(unknown.connect(https(&balancer), "shop.test").await.is_err());
}

#[tokio::test(flavor = "multi_thread")]
async fn large_bodies_pass_whole_over_tls_and_the_connection_is_kept() {
    const LENGTH: usize = 8 << 20;
    let own = Authority::new().unwrap();
    let files = own.certificate("shop", &["shop.test"]).unwrap();
    let farm = Farm::new().unwrap();
    let balancer = farm.balancer(&tls(&[&files], "")).await.unwrap();
    let node = node(&balancer, "a", 100).await;
    node.set_manner(muster_loadtests::testkit::Manner::Chunks(512));
    let chunks = muster_loadtests::testkit::node::CHUNK.repeat(512);
    let body: Vec<u8> = (0..LENGTH as u32).map(|n| (n.wrapping_mul(31) >> 7) as u8).collect();
    let head = format!("POST /up HTTP/1.1\r\nHost: shop.test\r\nContent-Length: {LENGTH}\r\n\r\n");
    for client in [own.client(&[]).unwrap(), own.old_client(&[]).unwrap()] {
        let raw = client.connect(https(&balancer), "shop.test").await.unwrap();
        let (mut reads, mut writes) = raw.split();
        for _ in 0..2 {
            writes.send(&head).await.unwrap();
            let (sent, answer) = tokio::join!(writes.send(&body), reads.message());
            sent.unwrap();
            let (head, came) = answer.unwrap();
            assert_eq!(field(&head, "connection"), None, "{head}");
            assert!(came == chunks, "{} bytes came, or others", came.len());
        }
    }
    assert_eq!(node.count(), 4);
    assert!(node.seen().iter().all(|seen| seen.body == body), "a body differs at the node");
}
