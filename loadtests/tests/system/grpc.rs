//! gRPC through the balancer: HTTP/2 on both sides, plain and with TLS on either.

use std::time::Duration;

use bytes::Bytes;
use http::StatusCode;
use muster_loadtests::testkit::tls::{Files, toml_path};
use muster_loadtests::testkit::{
    Authority, Balancer, Client, Farm, Fault, H2Client, H2Node, H2NodeOptions, eventually,
};

use super::support::SOON;

/// A balancer, the files of a node's certificate, and a client of each kind.
struct Stage {
    _farm: Farm,
    balancer: Balancer,
    own: Authority,
    files: Files,
}

impl Stage {
    async fn new(toml: &str) -> Stage {
        let own = Authority::new().unwrap();
        let files = own.certificate("own", &["localhost", "127.0.0.1"]).unwrap();
        let farm = Farm::new().unwrap();
        let (certificates, ca) = (files.toml(), toml_path(&own.file()));
        let (chain, key) = (toml_path(&files.chain), toml_path(&files.key));
        let tls = format!(
            "[tls]\nlisten = [\"127.0.0.1:0\"]\ncertificates = [{certificates}]\n\
             [upstream.tls]\nca = {ca}\ncertificate = {chain}\nkey = {key}\n{toml}"
        );
        let balancer = farm.balancer(&tls).await.unwrap();
        Stage { _farm: farm, balancer, own, files }
    }

    /// A node that takes traffic.
    async fn node(&self, is_tls: bool, options: H2NodeOptions) -> H2Node {
        let tls = is_tls.then(|| self.files.clone());
        let options = H2NodeOptions { tls, ..options };
        let node = H2Node::register("g", self.balancer.mcmp, &options).await.unwrap();
        self.balancer.await_usable(&["g"], SOON).await.unwrap();
        node
    }

    async fn clients(&self) -> [H2Client; 2] {
        let https = self.balancer.process.listening("https").unwrap();
        let secure = self.own.client(&["h2"]).unwrap();
        [
            H2Client::plain(self.balancer.http).await.unwrap(),
            H2Client::tls(&secure, https, "localhost").await.unwrap(),
        ]
    }
}

fn call(client: &H2Client, path: &str) -> http::request::Builder {
    let request = client.request("POST", path).header("content-type", "application/grpc");
    request.header("te", "trailers").header("grpc-timeout", "30S")
}

/// All four kinds of calls from each client to one node.
async fn all_kinds(is_tls: bool) {
    let stage = Stage::new("").await;
    let node = stage.node(is_tls, H2NodeOptions::default()).await;
    let clients = stage.clients().await;
    for client in &clients {
        let message = Bytes::from(vec![7; 100_000]);
        let unary = client.ask(call(client, "/s/unary"), message.clone()).await.unwrap();
        assert!(unary.status == StatusCode::OK && unary.body == message);
        assert_eq!(unary.trailers["grpc-status"], "0");

        let down = client.ask(call(client, "/s/stream"), "one").await.unwrap();
        assert_eq!(
            (&*down.body, &down.trailers["grpc-status"]),
            (&b"01234"[..], &"0".parse().unwrap())
        );

        let mut up = client.open(call(client, "/s/collect"), false).await.unwrap();
        for _ in 0..50 {
            up.send(vec![1; 10_000], false).await.unwrap();
        }
        up.send("", true).await.unwrap();
        up.answered().await.unwrap();
        assert_eq!(up.next().await.unwrap().unwrap(), "500000");
        assert_eq!(
            (up.next().await.unwrap(), &up.trailers().await.unwrap()["grpc-status"]),
            (None, &"0".parse().unwrap())
        );

        // Each message is answered before the next one is sent.
        let mut both = client.open(call(client, "/s/echo"), false).await.unwrap();
        both.send("0", false).await.unwrap();
        both.answered().await.unwrap();
        for number in 0..20 {
            assert_eq!(both.next().await.unwrap().unwrap(), number.to_string());
            both.send((number + 1).to_string(), false).await.unwrap();
        }
        assert_eq!(both.next().await.unwrap().unwrap(), "20");
        both.send("", true).await.unwrap();
        assert_eq!(both.next().await.unwrap(), None);
        assert_eq!(both.trailers().await.unwrap()["grpc-status"], "0");

        let failed = client.ask(call(client, "/s/fail"), "x").await.unwrap();
        assert_eq!((failed.body.len(), &failed.headers["grpc-status"]), (0, &"5".parse().unwrap()));
    }
    let scheme = if is_tls { "https" } else { "http" };
    for (arrived, proto) in node.arrived().iter().zip([["http"; 5], ["https"; 5]].concat()) {
        assert_eq!(arrived.uri.scheme_str(), Some(scheme));
        assert_eq!(arrived.uri.authority().unwrap(), "localhost");
        let value = |name: &str| arrived.headers[name].to_str().unwrap().to_owned();
        assert_eq!((value("te").as_str(), value("grpc-timeout").as_str()), ("trailers", "30S"));
        assert_eq!(
            (value("x-forwarded-proto").as_str(), value("x-forwarded-for").as_str()),
            (proto, "127.0.0.1")
        );
        assert!(!arrived.headers.contains_key("host"), "{arrived:?}");
    }
    assert_eq!(node.arrived().len(), 10);
    // Pooled by thread or shared, but not one for each call.
    assert!(node.connections() <= 4, "{}", node.connections());
}

#[tokio::test(flavor = "multi_thread")]
async fn calls_of_all_kinds_pass_to_plain_nodes() {
    all_kinds(false).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn calls_of_all_kinds_pass_to_nodes_with_tls() {
    all_kinds(true).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn many_calls_at_once_share_few_connections() {
    let stage = Stage::new("").await;
    let node = stage.node(false, H2NodeOptions::default()).await;
    let [client, _] = stage.clients().await;
    // Who comes when there is no connection yet makes one.
    client.ask(call(&client, "/s/unary"), "x").await.unwrap();
    let calls = (0..90).map(|_| async {
        let answer = client.ask(call(&client, "/s/stream"), "x").await.unwrap();
        assert_eq!(
            (&*answer.body, &answer.trailers["grpc-status"]),
            (&b"01234"[..], &"0".parse().unwrap())
        );
    });
    futures_util::future::join_all(calls).await;
    assert!(node.connections() <= 90 / 2, "{}", node.connections());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_that_is_taken_back_is_taken_back_from_its_node() {
    let stage = Stage::new("").await;
    let node = stage.node(false, H2NodeOptions::default()).await;
    for (count, client) in (1..).zip(&stage.clients().await) {
        let mut hanging = client.open(call(client, "/s/hang"), false).await.unwrap();
        hanging.send("x", true).await.unwrap();
        let arrived = eventually("the call arrives", SOON, || async {
            if node.arrived().len() == count { Ok(()) } else { Err(node.arrived().len()) }
        });
        arrived.await.unwrap();
        hanging.cancel();
        let gone = eventually("the node hears it", SOON, || async {
            if node.cancelled() == count as u64 { Ok(()) } else { Err(node.cancelled()) }
        });
        gone.await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_that_is_alive_outlives_the_bounds_of_an_exchange() {
    // Each part comes later than a node of HTTP/1 may be silent, and all later than an exchange
    // may take.
    let stage = Stage::new("[upstream]\nread_timeout = \"300ms\"\ntotal_timeout = \"1s\"\n[http]\nread_timeout = \"300ms\"\nbody_grace = \"300ms\"\n").await;
    let pause = Some(Duration::from_millis(500));
    let node = stage.node(false, H2NodeOptions { pause, ..H2NodeOptions::default() }).await;
    let [client, _] = stage.clients().await;
    let answer = client.ask(call(&client, "/s/stream"), "x").await.unwrap();
    assert_eq!(
        (&*answer.body, &answer.trailers["grpc-status"]),
        (&b"01234"[..], &"0".parse().unwrap())
    );
    // What is no gRPC has its bounds.
    let plain = client.ask(client.request("POST", "/s/stream"), "x").await;
    assert!(plain.is_err(), "{plain:?}");
    let plain = client.ask(client.request("POST", "/s/hang"), "x").await.unwrap();
    assert_eq!(plain.status, StatusCode::GATEWAY_TIMEOUT);
    assert_eq!(node.arrived().len(), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tunnel_of_which_both_ends_are_silent_has_an_end() {
    let stage = Stage::new("[upstream]\ntunnel_timeout = \"1s\"\n").await;
    let node = stage.node(false, H2NodeOptions::default()).await;
    let [client, _] = stage.clients().await;
    let mut silent = client.open(call(&client, "/s/echo"), false).await.unwrap();
    silent.send("x", false).await.unwrap();
    silent.answered().await.unwrap();
    assert_eq!(silent.next().await.unwrap().unwrap(), "x");
    assert!(silent.next().await.is_err(), "it is cut");
    assert_eq!(node.arrived().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_upload_to_a_node_of_http_2_is_no_silence_of_the_node() {
    let stage = Stage::new("[upstream]\nread_timeout = \"500ms\"\n").await;
    let _node = stage.node(false, H2NodeOptions::default()).await;
    let [client, _] = stage.clients().await;
    let mut up = client.open(client.request("POST", "/s/collect"), false).await.unwrap();
    for _ in 0..10 {
        // The pace of the client is what is tested.
        tokio::time::sleep(Duration::from_millis(150)).await;
        up.send(vec![1; 1_000], false).await.unwrap();
    }
    up.send("", true).await.unwrap();
    assert_eq!(up.answered().await.unwrap().0, StatusCode::OK);
    assert_eq!(up.next().await.unwrap().unwrap(), "10000");
}

#[tokio::test(flavor = "multi_thread")]
async fn clients_of_http_1_reach_nodes_of_http_2() {
    for is_tls in [false, true] {
        let stage = Stage::new("").await;
        let node = stage.node(is_tls, H2NodeOptions::default()).await;
        let mut client = Client::new(stage.balancer.http);
        for _ in 0..3 {
            let answer = client.get("/x?y=1").await.unwrap();
            assert_eq!((answer.status, &*answer.body), (StatusCode::OK, &b"ok"[..]));
        }
        let body = vec![b'z'; 1 << 20];
        let answer = client.send(http::Method::POST, "/s/unary", &[], body.clone()).await.unwrap();
        assert!(answer.status == StatusCode::OK && answer.body == body);
        let arrived = node.arrived();
        assert_eq!(arrived[0].uri.path_and_query().unwrap(), "/x?y=1");
        assert_eq!(arrived[0].headers["x-forwarded-for"], "127.0.0.1");
        for name in ["connection", "host", "transfer-encoding"] {
            assert!(!arrived[3].headers.contains_key(name), "{arrived:?}");
        }
        assert_eq!((client.opened(), node.connections()), (1, 1));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_of_another_authority_gets_no_call() {
    let stage = Stage::new("").await;
    let other = Authority::new().unwrap();
    let tls = Some(other.certificate("other", &["127.0.0.1"]).unwrap());
    let options = H2NodeOptions { tls, ..H2NodeOptions::default() };
    let node = H2Node::register("g", stage.balancer.mcmp, &options).await.unwrap();
    let [client, _] = stage.clients().await;
    let answer = client.ask(call(&client, "/s/unary"), "x").await.unwrap();
    assert!(matches!(answer.status.as_u16(), 502 | 503), "{answer:?}");
    assert_eq!(node.arrived().len(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_asks_who_we_are_is_shown_our_certificate() {
    let stage = Stage::new("").await;
    let client_ca = Some(stage.own.file());
    let node = stage.node(true, H2NodeOptions { client_ca, ..H2NodeOptions::default() }).await;
    let [client, _] = stage.clients().await;
    assert_eq!(client.ask(call(&client, "/s/unary"), "x").await.unwrap().body, "x");
    assert_eq!(node.arrived().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reload_brings_another_authority_of_nodes() {
    let stage = Stage::new("").await;
    let other = Authority::new().unwrap();
    let tls = Some(other.certificate("other", &["127.0.0.1"]).unwrap());
    let options = H2NodeOptions { tls, ..H2NodeOptions::default() };
    let node = H2Node::register("g", stage.balancer.mcmp, &options).await.unwrap();
    let [client, _] = stage.clients().await;
    assert_eq!(client.ask(call(&client, "/s/unary"), "x").await.unwrap().status, 503);
    std::fs::copy(other.file(), stage.own.file()).unwrap();
    stage.balancer.process.inflict(Fault::HangUp).unwrap();
    let served = eventually("the node is served", SOON, || async {
        // It was called bad, and has to say again that it is good.
        node.say_status(stage.balancer.mcmp).await.unwrap();
        let answer = client.ask(call(&client, "/s/unary"), "x").await.unwrap();
        if answer.status == 200 { Ok(()) } else { Err(answer.status) }
    });
    served.await.unwrap();
}
