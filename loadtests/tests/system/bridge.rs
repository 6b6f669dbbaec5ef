//! Clients of HTTP/2 before nodes of HTTP/1 and HTTPS: one engine speaks to the client, the other
//! to the node, and nothing is lost or made up between the two.

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, StatusCode};
use muster_loadtests::testkit::raw::Arrived;
use muster_loadtests::testkit::tls::toml_path;
use muster_loadtests::testkit::{
    Authority, Balancer, Farm, H2Client, RawNode, TlsNode, eventually,
};

use super::support::SOON;

/// A balancer with one node that says whatever a story wants, and a client.
async fn raw_stage(toml: &str) -> (Farm, Balancer, RawNode, H2Client) {
    let farm = Farm::new().unwrap();
    let balancer = farm.balancer(toml).await.unwrap();
    let node = RawNode::register("a", balancer.mcmp, &["/"]).await.unwrap();
    balancer.await_usable(&["a"], SOON).await.unwrap();
    let client = H2Client::plain(balancer.http).await.unwrap();
    (farm, balancer, node, client)
}

async fn answers(node: &mut RawNode, answer: &str) -> Arrived {
    let mut arrived = node.next().await.unwrap();
    arrived.raw.send(answer).await.unwrap();
    arrived
}

#[tokio::test(flavor = "multi_thread")]
async fn bodies_of_http_2_pass_a_node_of_https_on_one_connection() {
    let own = Authority::new().unwrap();
    let files = own.certificate("node", &["127.0.0.1"]).unwrap();
    let farm = Farm::new().unwrap();
    let toml = format!("threads = 1\n[upstream.tls]\nca = {}\n", toml_path(&own.file()));
    let balancer = farm.balancer(&toml).await.unwrap();
    let node = TlsNode::register("a", "127.0.0.1", balancer.mcmp, &files).await.unwrap();
    balancer.await_usable(&["a"], SOON).await.unwrap();
    let client = H2Client::plain(balancer.http).await.unwrap();
    let probes = node.handshakes();
    let mut asked = 0;
    for size in [0, 1, 8_192, 16_384, 65_537, 8 << 20] {
        let body: Vec<u8> = (0..size as u32).map(|n| (n.wrapping_mul(97) >> 5) as u8).collect();
        for has_length in [true, false] {
            let mut request = client.request("POST", "/");
            if has_length {
                request = request.header("content-length", size);
            }
            let told = client.ask(request, body.clone()).await.unwrap();
            assert_eq!((told.status, told.body.len()), (StatusCode::OK, size as usize));
            assert!(told.body == body, "{size}");
            assert_eq!(told.headers["x-told-proto"], "http");
            asked += 1;
        }
    }
    // Probes make handshakes too, some each second.
    let made = node.handshakes() - probes;
    assert!(made < asked, "{made} handshakes for {asked} requests");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_of_http_2_gets_nothing_from_a_node_that_proves_nothing() {
    let (own, other) = (Authority::new().unwrap(), Authority::new().unwrap());
    let files = other.certificate("node", &["127.0.0.1"]).unwrap();
    let farm = Farm::new().unwrap();
    let toml = format!("[upstream.tls]\nca = {}\n", toml_path(&own.file()));
    let balancer = farm.balancer(&toml).await.unwrap();
    let node = TlsNode::register("a", "127.0.0.1", balancer.mcmp, &files).await.unwrap();
    let client = H2Client::plain(balancer.http).await.unwrap();
    assert_eq!(client.get("/").await.unwrap().status, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(node.handshakes(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn trailers_end_at_the_bridge_in_either_direction() {
    let (_farm, _balancer, mut node, client) = raw_stage("").await;
    let mut call = client.open(client.request("POST", "/"), false).await.unwrap();
    call.send("abc", false).await.unwrap();
    let mut trailers = HeaderMap::new();
    trailers.insert("x-sum", HeaderValue::from_static("1"));
    call.sender.send_trailers(trailers).unwrap();
    let mut arrived = node.next().await.unwrap();
    let mut body = Vec::new();
    while !body.ends_with(b"0\r\n\r\n") {
        body.extend(arrived.raw.exactly(1).await.unwrap());
    }
    assert_eq!(String::from_utf8_lossy(&body), "3\r\nabc\r\n0\r\n\r\n");
    let told =
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nde\r\n0\r\nX-Sum: 2\r\n\r\n";
    arrived.raw.send(told).await.unwrap();
    assert_eq!(call.answered().await.unwrap().0, StatusCode::OK);
    assert_eq!(call.next().await.unwrap().unwrap(), "de");
    let rest = call.next().await.unwrap();
    assert!(rest.is_none_or(|rest| rest.is_empty()), "nothing follows but the end");
    assert!(call.trailers().await.unwrap().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_that_a_node_breaks_off_or_garbles_are_seen_as_such_and_the_next_is_whole() {
    let (_farm, balancer, mut node, client) = raw_stage("").await;
    let ask = || client.ask(client.request("GET", "/"), Bytes::new());
    for answer in [
        "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhel",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nhel\r\n",
    ] {
        let breaking_off = async { drop(answers(&mut node, answer).await) };
        let (told, ()) = tokio::join!(ask(), breaking_off);
        assert!(told.is_err(), "half an answer is no answer: {told:?}");
    }
    for answer in [
        "HTTP/1.1 200 OK\nContent-Length: 5\r\n\r\nhello",
        "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello",
    ] {
        let (told, _arrived) = tokio::join!(ask(), answers(&mut node, answer));
        assert_eq!(told.unwrap().status, StatusCode::BAD_GATEWAY, "{answer:?}");
    }
    let good = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello";
    let (told, _arrived) = tokio::join!(ask(), answers(&mut node, good));
    assert_eq!(told.unwrap().body, "hello");
    let logged = || async {
        let lines = balancer.process.output();
        let refused: Vec<_> = lines.lines().filter(|line| line.contains(" 502 ")).collect();
        let is_told = refused.len() == 2 && refused.iter().all(|l| l.ends_with(" a node-failed"));
        if is_told { Ok(()) } else { Err(lines) }
    };
    eventually("the log says why", SOON, logged).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_of_http_2_that_is_taken_back_ends_the_connection_to_its_node() {
    let (_farm, _balancer, mut node, client) = raw_stage("").await;
    let call = client.open(client.request("GET", "/"), true).await.unwrap();
    let mut arrived = node.next().await.unwrap();
    call.cancel();
    assert!(arrived.raw.has_ended().await.unwrap());
    let good = "HTTP/1.1 204 None\r\n\r\n";
    let (told, _arrived) = tokio::join!(client.get("/"), answers(&mut node, good));
    assert_eq!(told.unwrap().status, StatusCode::NO_CONTENT);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_is_gone_is_passed_by_for_posts_of_http_2() {
    let (_farm, balancer, node, client) = raw_stage("").await;
    let mut other = RawNode::register("b", balancer.mcmp, &["/"]).await.unwrap();
    balancer.await_usable(&["b"], SOON).await.unwrap();
    drop(node);
    let good = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
    for _ in 0..6 {
        let asked = client.ask(client.request("POST", "/"), Bytes::from_static(b"abc"));
        let (told, arrived) = tokio::join!(asked, answers(&mut other, good));
        assert_eq!(told.unwrap().status, StatusCode::OK);
        assert!(arrived.head.starts_with("POST / HTTP/1.1\r\n"), "{}", arrived.head);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_get_of_http_2_survives_that_its_node_closes_the_kept_connection_and_a_post_does_not() {
    let (_farm, _balancer, mut node, client) = raw_stage("threads = 1\n").await;
    let good = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";
    for method in ["GET", "POST"] {
        let asked = client.ask(client.request("GET", "/"), Bytes::new());
        let (told, mut kept) = tokio::join!(asked, answers(&mut node, good));
        assert_eq!(told.unwrap().status, StatusCode::OK);
        // The next request meets its end: it is read, and answered by a close.
        let asking = client.ask(client.request(method, "/"), Bytes::new());
        let closing = async {
            let head = kept.raw.head().await.unwrap();
            drop(kept);
            if method == "GET" {
                answers(&mut node, good).await;
            }
            head
        };
        let (told, head) = tokio::join!(asking, closing);
        assert!(head.starts_with(method), "{head}");
        let right = if method == "GET" { StatusCode::OK } else { StatusCode::BAD_GATEWAY };
        assert_eq!(told.unwrap().status, right, "{method}");
    }
    assert!(!node.has_next(), "the POST was not sent twice");
}
