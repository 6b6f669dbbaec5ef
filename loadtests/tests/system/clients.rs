//! Clients that are slow, silent, old, in a hurry or odd: none holds the balancer, none is harmed.

use std::time::Duration;

use muster_loadtests::testkit::node::CHUNK;
use muster_loadtests::testkit::{Balancer, Client, Farm, Manner, eventually};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::support::{SOON, head, node, upgrade};

/// A whole request that lets the connection stay open.
const REQUEST: &[u8] = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n";

/// An answer that no socket buffer holds, in chunks.
const HUGE: usize = 4096;

#[tokio::test(flavor = "multi_thread")]
async fn a_kept_connection_is_closed_when_it_idles_after_a_request() {
    let farm = Farm::new().unwrap();
    let balancer = farm.balancer("[http]\nidle_timeout = \"1s\"\n").await.unwrap();
    let node = node(&balancer, "a", 100).await;
    let mut stream = connect(&balancer).await;
    for count in 1..=2 {
        stream.write_all(REQUEST).await.unwrap();
        let head = head(&mut stream).await;
        assert!(head.starts_with("HTTP/1.1 200"), "{head}");
        assert_eq!(node.count(), count);
        let body = "{\"node\":\"a\"}\n";
        let mut read = vec![0; body.len()];
        stream.read_exact(&mut read).await.unwrap();
        assert_eq!(read, body.as_bytes());
    }
    assert_eq!(rest(&mut stream).await, "");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_head_that_trickles_in_is_cut_though_each_byte_comes_soon() {
    let farm = Farm::new().unwrap();
    let balancer = farm.balancer("[http]\nheader_timeout = \"300ms\"\n").await.unwrap();
    let node = node(&balancer, "a", 100).await;
    let (mut read, mut write) = connect(&balancer).await.into_split();
    let trickle = async {
        write.write_all(b"GET / HTTP/1.1\r\nHost: x\r\nX-Long: ").await?;
        loop {
            write.write_all(b"a").await?;
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    let mut said = Vec::new();
    let cut = async {
        tokio::select! {
            ended = read.read_to_end(&mut said) => ended.map(|_| ()),
            failed = trickle => failed,
        }
    };
    // However the connection ended, by a close or a reset: it did.
    let _ = timeout(SOON, cut).await.expect("the head is cut");
    assert!(!said.starts_with(b"HTTP/1.1 2"), "{}", String::from_utf8_lossy(&said));
    assert_eq!(node.count(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_its_client_does_not_take_is_given_up() {
    let farm = Farm::new().unwrap();
    let balancer = farm.balancer("[http]\nread_timeout = \"300ms\"\n").await.unwrap();
    let node = node(&balancer, "a", 100).await;
    node.set_manner(Manner::Chunks(HUGE));
    let mut stream = connect(&balancer).await;
    stream.write_all(REQUEST).await.unwrap();
    let head = head(&mut stream).await;
    assert!(head.starts_with("HTTP/1.1 200"), "{head}");
    let given_up = eventually("nothing is in flight", SOON, || in_flight(&balancer, 0));
    given_up.await.unwrap();
    let mut rest = Vec::new();
    // A reset is as good an end as a close.
    let _ = timeout(SOON, stream.read_to_end(&mut rest)).await.expect("the connection ends");
    assert!(rest.len() < HUGE * CHUNK.len(), "the whole answer was taken: {}", rest.len());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_is_slower_than_the_total_timeout_is_504() {
    let farm = Farm::new().unwrap();
    let balancer = farm.balancer("[upstream]\ntotal_timeout = \"500ms\"\n").await.unwrap();
    let node = node(&balancer, "a", 100).await;
    node.set_manner(Manner::Late(Duration::from_secs(60)));
    let answer = balancer.client().get("/").await.unwrap();
    assert_eq!((answer.status.as_u16(), node.count()), (504, 1));
    eventually("nothing is in flight", SOON, || in_flight(&balancer, 0)).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_http_1_0_client_gets_no_chunks_and_its_node_a_host() {
    let farm = Farm::new().unwrap();
    let balancer = farm.balancer("").await.unwrap();
    let node = node(&balancer, "a", 100).await;
    node.set_manner(Manner::Chunks(2));
    let mut stream = connect(&balancer).await;
    stream.write_all(b"GET /old HTTP/1.0\r\n\r\n").await.unwrap();
    let head = head(&mut stream).await;
    assert!(head.contains(" 200 "), "{head}");
    assert!(!head.to_ascii_lowercase().contains("transfer-encoding"), "{head}");
    let body = rest(&mut stream).await;
    assert!(body.as_bytes() == CHUNK.repeat(2), "{} bytes came", body.len());
    let seen = node.seen();
    assert_eq!((seen[0].uri.path(), seen.len()), ("/old", 1));
    assert_eq!(seen[0].headers["host"], node.address.to_string());
}

#[tokio::test(flavor = "multi_thread")]
async fn two_pipelined_requests_get_two_answers_in_their_order() {
    let farm = Farm::new().unwrap();
    let balancer = farm.balancer("").await.unwrap();
    let nodes = [node(&balancer, "a", 100).await, node(&balancer, "b", 100).await];
    let request = |owner: &str, more: &str| {
        format!("GET / HTTP/1.1\r\nHost: x\r\nCookie: JSESSIONID=k7.{owner}\r\n{more}\r\n")
    };
    for [first, second] in [["a", "b"], ["b", "a"]] {
        let mut stream = connect(&balancer).await;
        let both = request(first, "") + &request(second, "Connection: close\r\n");
        stream.write_all(both.as_bytes()).await.unwrap();
        let answers = rest(&mut stream).await;
        let told: Vec<&str> = answers.lines().filter(|line| line.contains("{\"node\"")).collect();
        let expected = [first, second].map(|owner| format!("{{\"node\":\"{owner}\"}}"));
        assert_eq!(told, expected, "{answers}");
        assert_eq!(answers.matches("HTTP/1.1 200").count(), 2, "{answers}");
    }
    assert_eq!(nodes.map(|node| node.count()), [2, 2]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_head_over_its_bound_is_431() {
    let farm = Farm::new().unwrap();
    let balancer = farm.balancer("").await.unwrap();
    let node = node(&balancer, "a", 100).await;
    for (bytes, status) in [(30_000, "200"), (40_000, "431")] {
        let mut stream = connect(&balancer).await;
        stream.write_all(&long_head(bytes)).await.unwrap();
        let head = head(&mut stream).await;
        assert!(head.starts_with(&format!("HTTP/1.1 {status}")), "{bytes}: {head}");
    }
    assert_eq!(node.count(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_head_far_over_its_bound_is_cut_before_it_is_whole() {
    let farm = Farm::new().unwrap();
    let balancer = farm.balancer("[http]\nheader_timeout = \"1h\"\n").await.unwrap();
    let node = node(&balancer, "a", 100).await;
    let mut stream = connect(&balancer).await;
    let mut unfinished = long_head(900_000);
    unfinished.truncate(900_000);
    let mut said = Vec::new();
    let cut = async {
        stream.write_all(&unfinished).await?;
        stream.read_to_end(&mut said).await
    };
    // The cut may come while the head is still being sent.
    let _ = timeout(SOON, cut).await.expect("the head is cut");
    assert!(!said.starts_with(b"HTTP/1.1 2"), "{}", String::from_utf8_lossy(&said));
    assert_eq!(node.count(), 0);
    assert_eq!(balancer.client().get("/").await.unwrap().status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_stays_with_its_node_beside_a_cookie_that_is_not_ascii() {
    let farm = Farm::new().unwrap();
    let balancer = farm.balancer("").await.unwrap();
    let nodes = [node(&balancer, "a", 100).await, node(&balancer, "b", 100).await];
    for owner in ["a", "b", "b", "a", "a", "b"] {
        let mut request = b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\nCookie: ".to_vec();
        request.extend(b"city=K\xf6ln; ");
        request.extend(format!("JSESSIONID=k7.{owner}\r\n\r\n").as_bytes());
        let mut stream = connect(&balancer).await;
        stream.write_all(&request).await.unwrap();
        let answer = rest(&mut stream).await;
        assert!(answer.contains(&format!("{{\"node\":\"{owner}\"}}")), "{owner}: {answer}");
    }
    for seen in nodes.iter().flat_map(|node| node.seen()) {
        let cookie = seen.headers["cookie"].as_bytes();
        assert!(cookie.starts_with(b"city=K\xf6ln; "), "the node got {cookie:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tunnel_may_be_silent_for_longer_than_a_request() {
    let farm = Farm::new().unwrap();
    let short = "[http]\nread_timeout = \"300ms\"\n[upstream]\nread_timeout = \"300ms\"\n\
                 total_timeout = \"300ms\"\n";
    let balancer = farm.balancer(short).await.unwrap();
    let _node = node(&balancer, "a", 100).await;
    let (head, mut stream) = upgrade(&balancer).await;
    assert!(head.starts_with("HTTP/1.1 101"), "{head}");
    for _ in 0..2 {
        // The silence is the story; how long it is beyond the bounds does not matter.
        tokio::time::sleep(Duration::from_secs(1)).await;
        stream.write_all(b"ping").await.unwrap();
        let mut echo = [0; 4];
        timeout(SOON, stream.read_exact(&mut echo)).await.unwrap().unwrap();
        assert_eq!(&echo, b"ping");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tunnel_that_is_silent_beyond_its_own_bound_is_closed() {
    let farm = Farm::new().unwrap();
    let balancer = farm.balancer("[upstream]\ntunnel_timeout = \"300ms\"\n").await.unwrap();
    let _node = node(&balancer, "a", 100).await;
    let (head, mut stream) = upgrade(&balancer).await;
    assert!(head.starts_with("HTTP/1.1 101"), "{head}");
    assert_eq!(rest(&mut stream).await, "");
}

// === Helpers ===

async fn connect(balancer: &Balancer) -> TcpStream {
    TcpStream::connect(balancer.http).await.unwrap()
}

/// Reads until the other side closes.
async fn rest(stream: &mut TcpStream) -> String {
    let mut read = Vec::new();
    let reading = stream.read_to_end(&mut read);
    timeout(SOON, reading).await.expect("the connection is closed").unwrap();
    String::from_utf8(read).unwrap()
}

/// A request with one long header, of so many bytes and some.
fn long_head(bytes: usize) -> Vec<u8> {
    let filling = "a".repeat(bytes);
    format!("GET / HTTP/1.1\r\nHost: x\r\nX-Long: {filling}\r\n\r\n").into_bytes()
}

/// `Ok` when the metrics say that so many requests are at the only node.
async fn in_flight(balancer: &Balancer, expected: u64) -> Result<(), String> {
    let answer = Client::new(balancer.manager).get("/metrics").await.map_err(|e| e.to_string())?;
    let text = answer.text();
    let line = text.lines().find(|line| line.starts_with("muster_node_in_flight{"));
    let line = line.ok_or("no such metric")?;
    match line.rsplit(' ').next() == Some(&expected.to_string()) {
        true => Ok(()),
        false => Err(line.to_owned()),
    }
}
