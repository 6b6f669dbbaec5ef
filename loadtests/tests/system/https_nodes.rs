//! Nodes that are spoken to over TLS: who proves to be the node gets requests, nobody else.

use muster_loadtests::testkit::raw::field;
use muster_loadtests::testkit::tls::toml_path;
use muster_loadtests::testkit::{Authority, Balancer, Farm, Fault, Raw, TlsNode, eventually};

use super::support::SOON;

async fn post(balancer: &Balancer, body: &[u8]) -> (String, Vec<u8>) {
    let raw = Raw::connect(balancer.http).await.unwrap();
    let (mut reads, mut writes) = raw.split();
    let head = format!("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: {}\r\n\r\n", body.len());
    writes.send(head).await.unwrap();
    let (sent, answer) = tokio::join!(writes.send(body), reads.message());
    sent.unwrap();
    answer.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_proves_its_address_carries_bodies_both_ways_on_one_connection() {
    let own = Authority::new().unwrap();
    let files = own.certificate("node", &["127.0.0.1"]).unwrap();
    let farm = Farm::new().unwrap();
    let toml = format!("threads = 1\n[upstream.tls]\nca = {}\n", toml_path(&own.file()));
    let balancer = farm.balancer(&toml).await.unwrap();
    let node = TlsNode::register("a", "127.0.0.1", balancer.mcmp, &files).await.unwrap();
    balancer.await_usable(&["a"], SOON).await.unwrap();
    let probes = node.handshakes();
    for length in [0, 1, 16_383, 16_384, 65_537, 8 << 20] {
        let body: Vec<u8> = (0..length as u32).map(|n| (n.wrapping_mul(97) >> 5) as u8).collect();
        let (head, came) = post(&balancer, &body).await;
        assert!(head.starts_with("HTTP/1.1 200"), "{head}");
        assert_eq!(field(&head, "x-told-proto"), Some("http"));
        assert!(came == body, "{length}: {} bytes came, or others", came.len());
    }
    // Probes make handshakes too, some each second.
    let made = node.handshakes() - probes;
    assert!(made < 6, "{made} handshakes for 6 requests");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_of_another_authority_gets_no_request_and_the_log_says_why() {
    let (own, other) = (Authority::new().unwrap(), Authority::new().unwrap());
    let files = other.certificate("node", &["127.0.0.1"]).unwrap();
    let farm = Farm::new().unwrap();
    let toml = format!("[upstream.tls]\nca = {}\n", toml_path(&own.file()));
    let balancer = farm.balancer(&toml).await.unwrap();
    let node = TlsNode::register("a", "127.0.0.1", balancer.mcmp, &files).await.unwrap();
    assert!(!node.say_status(balancer.mcmp).await.unwrap(), "it is called good");
    assert!(!node.say_status(balancer.mcmp).await.unwrap(), "it is called good");
    let answer = balancer.client().get("/").await.unwrap();
    assert_eq!(answer.status, 503);
    let errors = balancer.process.errors();
    let told: Vec<_> = errors.lines().filter(|line| line.contains("no TLS with a node")).collect();
    assert_eq!(told.len(), 1, "{errors}");
    assert!(told[0].contains("UnknownIssuer"), "{}", told[0]);
    assert_eq!(node.handshakes(), 0);

    // The operator adds the authority: SIGHUP, and the node is there.
    let both = [std::fs::read(own.file()).unwrap(), std::fs::read(other.file()).unwrap()].concat();
    std::fs::write(own.file(), both).unwrap();
    balancer.process.inflict(Fault::HangUp).unwrap();
    let there = eventually("the node is good", SOON, || async {
        match node.say_status(balancer.mcmp).await {
            Ok(true) => Ok(()),
            other => Err(format!("{other:?}")),
        }
    });
    there.await.unwrap();
    balancer.await_served("/", SOON).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_for_another_host_is_no_proof_unless_that_name_is_configured() {
    let own = Authority::new().unwrap();
    let files = own.certificate("node", &["node.internal"]).unwrap();
    let farm = Farm::new().unwrap();
    let ca = format!("[upstream.tls]\nca = {}\n", toml_path(&own.file()));
    let cases = [
        (ca.clone(), false),
        (format!("{ca}server_name = \"node.internal\"\n"), true),
        ("[upstream.tls]\nverify = false\n".to_owned(), true),
    ];
    for (toml, is_good) in cases {
        let balancer = farm.balancer(&toml).await.unwrap();
        let node = TlsNode::register("a", "127.0.0.1", balancer.mcmp, &files).await.unwrap();
        assert_eq!(node.say_status(balancer.mcmp).await.unwrap(), is_good, "{toml}");
        let status = balancer.client().get("/").await.unwrap().status;
        assert_eq!(status, if is_good { 200 } else { 503 }, "{toml}");
    }
}
