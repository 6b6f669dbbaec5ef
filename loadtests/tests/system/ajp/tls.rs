//! What an AJP node is told of a client's TLS: what it would know had it made the handshake.

use muster_loadtests::testkit::ajp::Head;
use muster_loadtests::testkit::tls::{TlsClient, toml_path};
use muster_loadtests::testkit::{Authority, H2Client};

use super::pair::Pair;

/// A node behind a front that asks clients for certificates, and the clients' side.
async fn pair(own: &Authority) -> Pair {
    let files = own.certificate("shop", &["localhost"]).unwrap();
    Pair::join(&format!(
        "[tls]\nlisten = [\"127.0.0.1:0\"]\ncertificates = [{}]\nclient_ca = {}\n\
         client_auth = \"optional\"\n",
        files.toml(),
        toml_path(&own.file()),
    ))
    .await
}

async fn ask_http1(pair: &Pair, client: &TlsClient) {
    let to = pair.balancer.process.listening("https").unwrap();
    let mut raw = client.connect(to, "localhost").await.unwrap();
    raw.send("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n").await.unwrap();
    let (head, _) = raw.message().await.unwrap();
    assert!(head.starts_with("HTTP/1.1 200"), "{head}");
}

async fn ask_http2(pair: &Pair, client: &TlsClient) {
    let to = pair.balancer.process.listening("https").unwrap();
    let client = H2Client::tls(client, to, "localhost").await.unwrap();
    assert_eq!(client.get("/").await.unwrap().status, 200);
}

/// The facts are there; gives the client's certificate.
fn certificate(head: &Head) -> Option<String> {
    assert!(head.is_tls);
    assert_eq!(head.server_port, 443);
    let cipher = head.attribute("8").unwrap();
    assert!(cipher.starts_with("TLS_") && !cipher.contains("TLS13"), "{cipher}");
    assert!(["128", "256"].contains(&head.attribute("11").unwrap()));
    assert_eq!(head.attribute("AJP_SSL_PROTOCOL"), Some("TLSv1.3"));
    assert_eq!(head.header("x-forwarded-proto"), Some("https"));
    head.attribute("7").map(str::to_owned)
}

#[tokio::test(flavor = "multi_thread")]
async fn an_ajp_node_knows_the_tls_and_the_certificate_of_clients_of_either_version() {
    let own = Authority::new().unwrap();
    let pair = pair(&own).await;
    let shown = own.certificate("someone", &["someone.test"]).unwrap();
    ask_http1(&pair, &own.client(&["http/1.1"]).unwrap()).await;
    ask_http1(&pair, &own.client_with(&["http/1.1"], &shown).unwrap()).await;
    ask_http2(&pair, &own.client(&["h2"]).unwrap()).await;
    ask_http2(&pair, &own.client_with(&["h2"], &shown).unwrap()).await;
    let told: Vec<_> = pair.node.seen().iter().map(|seen| certificate(&seen.head)).collect();
    assert_eq!((&told[0], &told[2]), (&None, &None));
    let pem = told[1].as_deref().unwrap();
    assert!(pem.starts_with("-----BEGIN CERTIFICATE-----\n"), "{pem}");
    assert_eq!(told[3].as_deref(), Some(pem));
}
