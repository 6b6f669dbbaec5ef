//! Clients of HTTP/2 before a node that speaks AJP: one engine speaks to the client, the other to
//! the node.

use bytes::Bytes;
use http::{Method, StatusCode};
use muster_loadtests::testkit::ajp::{AjpNode, Manner, frames};
use muster_loadtests::testkit::{H2Client, eventually};

use super::ask::{get, sequence};
use super::pair::{Pair, answer};
use crate::system::support::SOON;

#[tokio::test(flavor = "multi_thread")]
async fn a_client_of_http_2_is_served_by_an_ajp_node_that_is_told_who_asks() {
    let pair = Pair::join("").await;
    let client = H2Client::plain(pair.balancer.http).await.unwrap();
    let asked = client.request("PATCH", "/x%20y?a=1&b").header("x-forwarded-for", "6.6.6.6");
    let told = client.ask(asked.header("x-kept", "1"), Bytes::from_static(b"ab")).await.unwrap();
    assert_eq!((told.status, &told.body[..]), (StatusCode::OK, &b"ab"[..]));
    assert_eq!(told.headers["x-node"], "a");
    assert!(!told.headers.contains_key("connection"), "{:?}", told.headers);
    let seen = pair.node.seen().remove(0);
    let head = &seen.head;
    assert_eq!((head.method.as_str(), head.uri.as_str()), ("PATCH", "/x%20y"));
    assert_eq!((head.attribute("5"), head.attribute("6")), (Some("a=1&b"), Some("a")));
    assert_eq!((head.server_name.as_str(), head.server_port), ("localhost", 80));
    assert_eq!((head.remote_addr.as_str(), head.is_tls), ("127.0.0.1", false));
    assert_eq!(head.header("host"), Some("localhost"));
    assert_eq!(head.header("x-forwarded-for"), Some("127.0.0.1"));
    assert_eq!(head.header("x-forwarded-proto"), Some("http"));
    assert_eq!(head.header("x-kept"), Some("1"));
    assert_eq!(head.header("connection"), None);
    let port: u16 = head.attribute("AJP_REMOTE_PORT").unwrap().parse().unwrap();
    assert_ne!(port, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_trusted_proxy_of_http_2_says_whom_an_ajp_node_serves() {
    let pair = Pair::join("[http]\ntrusted_proxies = [\"127.0.0.1\"]\n").await;
    let client = H2Client::plain(pair.balancer.http).await.unwrap();
    let asked = client.request("GET", "/").header("x-forwarded-for", "192.0.2.7");
    client.ask(asked.header("x-forwarded-proto", "https"), "").await.unwrap();
    let head = pair.node.seen().remove(0).head;
    assert_eq!((head.remote_addr.as_str(), head.is_tls), ("192.0.2.7", true));
    assert_eq!(head.header("x-forwarded-for"), Some("192.0.2.7, 127.0.0.1"));
}

#[tokio::test(flavor = "multi_thread")]
async fn bodies_of_http_2_pass_an_ajp_node_with_and_without_a_length() {
    let pair = Pair::join("").await;
    let client = H2Client::plain(pair.balancer.http).await.unwrap();
    for size in [0, 1, 8_186, 8_187, 65_536, 8 << 20] {
        let body = sequence(size);
        for has_length in [true, false] {
            let mut asked = client.request("POST", "/");
            if has_length {
                asked = asked.header("content-length", size);
            }
            let echo = client.ask(asked, body.clone()).await.unwrap();
            assert!(echo.body == body, "{size}: {} bytes of {}", echo.body.len(), echo.status);
        }
    }
    for method in [Method::GET, Method::HEAD, Method::DELETE] {
        let told = client.ask(client.request(method.as_str(), "/"), "").await.unwrap();
        assert_eq!((told.status, told.body.len()), (StatusCode::OK, 0), "{method}");
    }
    assert_eq!(pair.node.connections(), 1, "the worker keeps the connection");
    get(pair.balancer.http, "/").await;
    assert_eq!(pair.node.connections(), 1, "and clients of HTTP/1 use the same");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_over_the_bridge_streams_while_its_request_comes() {
    let pair = Pair::join("").await;
    pair.node.set_manner(Manner::Duplex);
    let client = H2Client::plain(pair.balancer.http).await.unwrap();
    let mut call = client.open(client.request("POST", "/"), false).await.unwrap();
    call.send("first", false).await.unwrap();
    assert_eq!(call.answered().await.unwrap().0, StatusCode::OK);
    assert_eq!(call.next().await.unwrap().unwrap(), "first");
    call.send("second", true).await.unwrap();
    assert_eq!(call.next().await.unwrap().unwrap(), "second");
    let rest = call.next().await.unwrap();
    assert!(rest.is_none_or(|rest| rest.is_empty()), "nothing follows but the end");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_of_http_2_that_is_taken_back_takes_the_nodes_connection_along() {
    let pair = Pair::join("").await;
    pair.node.set_manner(Manner::Silent);
    let client = H2Client::plain(pair.balancer.http).await.unwrap();
    let call = client.open(client.request("GET", "/"), true).await.unwrap();
    let heard = || async { (pair.node.seen().len() == 1).then_some(()).ok_or("not heard") };
    eventually("the node hears it", SOON, heard).await.unwrap();
    call.cancel();
    let ended = || async {
        let open = pair.node.open();
        if open == 0 { Ok(()) } else { Err(format!("{open} open")) }
    };
    eventually("the connection to the node ends", SOON, ended).await.unwrap();
    pair.node.set_manner(Manner::Echo);
    assert_eq!(client.get("/").await.unwrap().status, StatusCode::OK);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_an_ajp_node_does_wrong_a_client_of_http_2_is_told_as_any_other() {
    let pair = Pair::join("[upstream]\nread_timeout = \"300ms\"\n").await;
    let client = H2Client::plain(pair.balancer.http).await.unwrap();
    pair.node.set_manner(Manner::Silent);
    assert_eq!(client.get("/").await.unwrap().status, StatusCode::GATEWAY_TIMEOUT);
    let two_lengths = answer(200, &[("Content-Length", "1"), ("Content-Length", "2")], &[b"x"]);
    pair.node.set_manner(Manner::Says(two_lengths));
    assert_eq!(client.get("/").await.unwrap().status, StatusCode::BAD_GATEWAY);
    let begun = [frames::answer_head(200, &[]), frames::chunk(b"half"), frames::chunk(b"")];
    pair.node.set_manner(Manner::SaysAndCloses(begun.concat()));
    assert!(client.get("/").await.is_err(), "half an answer is no answer");
    pair.node.set_manner(Manner::Says(answer(413, &[("Content-Length", "2")], &[b"no"])));
    let early = client.ask(client.request("POST", "/"), sequence(1 << 20)).await.unwrap();
    assert_eq!((early.status, &early.body[..]), (StatusCode::PAYLOAD_TOO_LARGE, &b"no"[..]));
    let before = pair.node.seen().len();
    let long = client.request("GET", "/").header("x-long", "a".repeat(8_400));
    let told = client.ask(long, "").await.unwrap();
    assert_eq!(told.status, StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE);
    assert_eq!(pair.node.seen().len(), before);
    pair.node.set_manner(Manner::Echo);
    assert_eq!(client.get("/").await.unwrap().status, StatusCode::OK);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_ajp_node_that_is_gone_is_passed_by_for_posts_of_http_2_too() {
    let pair = Pair::join("").await;
    let client = H2Client::plain(pair.balancer.http).await.unwrap();
    let other = AjpNode::register("b", pair.balancer.mcmp).await.unwrap();
    pair.balancer.await_usable(&["b"], SOON).await.unwrap();
    let Pair { balancer: _balancer, node, _farm } = pair;
    drop(node);
    for _ in 0..6 {
        let told = client.ask(client.request("POST", "/"), sequence(100)).await.unwrap();
        assert_eq!((told.status, told.body.len()), (StatusCode::OK, 100));
    }
    assert_eq!(other.seen().len(), 6);
}

#[tokio::test(flavor = "multi_thread")]
async fn with_the_other_engine_alone_ajp_nodes_are_served_over_the_bridge() {
    let pair = Pair::join("[http]\nengine = \"pingora\"\n").await;
    let (said, ended) = pair
        .say(b"POST /x HTTP/1.1\r\nHost: shop\r\nConnection: close\r\nContent-Length: 2\r\n\r\nab")
        .await;
    ended.unwrap();
    assert!(said.starts_with("HTTP/1.1 200") && said.ends_with("ab"), "{said}");
    let head = pair.node.seen().remove(0).head;
    assert_eq!((head.server_name.as_str(), head.header("host")), ("shop", Some("shop")));
}
