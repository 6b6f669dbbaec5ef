//! What passes through the balancer, and how it looks on the other side.

use bytes::Bytes;
use http::Method;
use muster_loadtests::testkit::Farm;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::support::{node, quiet_machine, upgrade};

#[tokio::test(flavor = "multi_thread")]
async fn a_node_sees_who_asked_whom_and_how_and_no_client_can_lie_about_it() {
    let farm = Farm::new().unwrap();
    let balancer = farm.balancer("").await.unwrap();
    let node = node(&balancer, "a", 100).await;
    let lies = [
        ("host", "shop.example.com"),
        ("x-forwarded-for", "6.6.6.6"),
        ("x-forwarded-host", "evil.example.com"),
        ("x-forwarded-proto", "https"),
        ("x-forwarded-port", "666"),
        ("forwarded", "for=6.6.6.6;proto=https"),
    ];
    balancer.client().send(Method::GET, "/x", &lies, "").await.unwrap();
    let seen = node.seen();
    let headers = &seen[0].headers;
    let all =
        |name: &str| headers.get_all(name).iter().map(|v| v.to_str().unwrap()).collect::<Vec<_>>();
    assert_eq!(all("x-forwarded-for"), ["127.0.0.1"]);
    assert_eq!(all("x-forwarded-host"), ["shop.example.com"]);
    assert_eq!(all("x-forwarded-proto"), ["http"]);
    let text = format!("{headers:?}");
    for lie in ["6.6.6.6", "evil.example.com", "666"] {
        assert!(!text.contains(lie), "{lie} reached the node: {text}");
    }
    assert_eq!(all("host"), ["shop.example.com"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn headers_of_one_hop_stay_on_that_hop() {
    let farm = Farm::new().unwrap();
    let balancer = farm.balancer("").await.unwrap();
    let node = node(&balancer, "a", 100).await;
    let headers = [
        ("connection", "x-secret"),
        ("x-secret", "1"),
        ("keep-alive", "timeout=5"),
        ("te", "trailers"),
        ("proxy-authorization", "Basic eDp5"),
        ("x-kept", "2"),
    ];
    balancer.client().send(Method::GET, "/", &headers, "").await.unwrap();
    let seen = node.seen();
    assert_eq!(seen[0].headers["x-kept"], "2");
    for gone in ["x-secret", "keep-alive"] {
        assert!(!seen[0].headers.contains_key(gone), "{gone} reached the node");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn bodies_pass_whole_in_both_directions() {
    let farm = Farm::new().unwrap();
    let balancer = farm.balancer("").await.unwrap();
    let node = node(&balancer, "a", 100).await;
    let body = Bytes::from((0..3_000_000_u32).map(|n| n as u8).collect::<Vec<_>>());
    let mut client = balancer.client();
    for method in [Method::POST, Method::PUT] {
        let answer = client.send(method, "/up?x=%20y", &[], body.clone()).await.unwrap();
        assert_eq!(answer.status, 200);
    }
    for seen in node.seen() {
        assert_eq!(seen.uri, "/up?x=%20y");
        assert!(seen.body == body, "{} bytes arrived", seen.body.len());
    }
    assert_eq!((node.count(), client.opened()), (2, 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn of_300_upgraded_connections_whose_clients_speak_at_once_none_is_lost() {
    let _quiet = quiet_machine().await;
    let farm = Farm::new().unwrap();
    let balancer = farm.balancer("").await.unwrap();
    let _node = node(&balancer, "a", 100).await;
    let mut lost = 0;
    for _ in 0..300 {
        let (_, mut stream) = upgrade(&balancer).await;
        stream.write_all(b"x").await.unwrap();
        lost += u32::from(stream.read_u8().await.ok() != Some(b'x'));
    }
    assert_eq!(lost, 0, "upgraded connections that ended before the first byte");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upgraded_connection_carries_bytes_both_ways_until_it_is_closed() {
    let farm = Farm::new().unwrap();
    let balancer = farm.balancer("").await.unwrap();
    let node = node(&balancer, "a", 100).await;
    let (head, mut stream) = upgrade(&balancer).await;
    assert!(head.starts_with("HTTP/1.1 101"), "{head}");
    assert!(head.to_ascii_lowercase().contains("upgrade: websocket"), "{head}");
    assert_eq!(node.seen()[0].headers["upgrade"], "websocket");
    for length in [1, 125, 70_000] {
        let sent = vec![length as u8; length];
        let mut received = vec![0; length];
        let (mut read, mut write) = stream.split();
        let (sending, receiving) =
            tokio::join!(write.write_all(&sent), read.read_exact(&mut received));
        sending.unwrap_or_else(|e| panic!("{length}: {e}"));
        receiving.unwrap_or_else(|e| panic!("{length}: {e}"));
        assert!(sent == received, "the echo of {length} bytes differs");
    }
    stream.shutdown().await.unwrap();
    assert_eq!(stream.read(&mut [0]).await.unwrap(), 0);
}
