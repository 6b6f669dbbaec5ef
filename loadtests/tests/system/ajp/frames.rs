//! A node of our own over the frames of AJP: what no Tomcat does on demand.

use std::time::Duration;

use bytes::Bytes;
use http::{Method, StatusCode};
use muster_loadtests::testkit::ajp::{AjpNode, Manner, frames};
use muster_loadtests::testkit::eventually;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::ask::{Upload, ask, get, send, sequence};
use super::pair::{Pair, answer};
use crate::system::support::{SOON, head};

#[tokio::test(flavor = "multi_thread")]
async fn an_ajp_node_is_told_the_request_with_its_secret_and_who_asked() {
    let pair = Pair::join("[upstream.ajp]\nsecret = \"sesame\"\n").await;
    let mut stream = pair.connect().await;
    let text = "PATCH /x%20y?a=1&b HTTP/1.1\r\nHost: shop.example:8080\r\nX-Two: 1\r\nX-Two: 2\r\n\
                Connection: x-gone\r\nX-Gone: 1\r\nX-Forwarded-For: 6.6.6.6\r\n\
                Expect: 100-continue\r\nContent-Length: 2\r\n\r\nab";
    stream.write_all(text.as_bytes()).await.unwrap();
    head(&mut stream).await;
    assert!(head(&mut stream).await.starts_with("HTTP/1.1 200"));
    let seen = pair.node.seen().remove(0);
    let told = &seen.head;
    assert_eq!((told.method.as_str(), told.uri.as_str()), ("PATCH", "/x%20y"));
    assert_eq!(told.attribute("5"), Some("a=1&b"));
    assert_eq!((told.attribute("12"), told.attribute("6")), (Some("sesame"), Some("a")));
    assert_eq!((told.server_name.as_str(), told.server_port), ("shop.example", 8080));
    assert_eq!((told.remote_addr.as_str(), told.is_tls), ("127.0.0.1", false));
    let port = stream.local_addr().unwrap().port().to_string();
    assert_eq!(told.attribute("AJP_REMOTE_PORT"), Some(port.as_str()));
    assert_eq!(told.header("host"), Some("shop.example:8080"));
    assert_eq!(told.header("x-forwarded-for"), Some("127.0.0.1"));
    assert_eq!(told.header("content-length"), Some("2"));
    let two = told.headers.iter().filter(|(name, _)| name == "X-Two");
    assert_eq!(two.map(|(_, value)| value.as_str()).collect::<Vec<_>>(), ["1", "2"]);
    for gone in ["x-gone", "expect", "connection"] {
        assert_eq!(told.header(gone), None, "{gone}");
    }
    assert_eq!(seen.body, b"ab");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_trusted_proxy_in_front_says_whom_an_ajp_node_serves_and_whether_over_tls() {
    let pair = Pair::join("[http]\ntrusted_proxies = [\"127.0.0.1\"]\n").await;
    let text = "GET / HTTP/1.1\r\nHost: shop.example\r\nConnection: close\r\n\
                X-Forwarded-For: 192.0.2.7\r\nX-Forwarded-Proto: https\r\n\r\n";
    let (said, _) = pair.say(text.as_bytes()).await;
    assert!(said.starts_with("HTTP/1.1 200"), "{said}");
    let told = pair.node.seen().remove(0).head;
    assert_eq!((told.remote_addr.as_str(), told.is_tls), ("192.0.2.7", true));
    assert_eq!((told.server_name.as_str(), told.server_port), ("shop.example", 443));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_head_too_long_for_a_packet_is_431_and_the_node_hears_nothing_of_it() {
    for (toml, longest) in [("", 7_000), ("[upstream.ajp]\nmax_packet_size = \"16KiB\"\n", 15_000)]
    {
        let pair = Pair::join(toml).await;
        for (length, status) in [(longest, "200"), (longest + 1_400, "431"), (longest, "200")] {
            let filling = "a".repeat(length);
            let text = format!(
                "GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\nX-Long: {filling}\r\n\r\n"
            );
            let (said, ended) = pair.say(text.as_bytes()).await;
            assert!(said.starts_with(&format!("HTTP/1.1 {status}")), "{length}: {said}");
            ended.unwrap();
        }
        assert_eq!(pair.node.seen().len(), 2);
        assert_eq!(pair.node.connections(), 1, "the unused connection is used again");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn bodies_of_all_sizes_pass_an_ajp_node_over_one_connection() {
    let pair = Pair::join("").await;
    let to = pair.balancer.http;
    for manner in [Manner::Echo, Manner::Duplex] {
        pair.node.set_manner(manner.clone());
        for size in [0, 1, 8_185, 8_186, 8_187, 65_536, 8 << 20] {
            let body = sequence(size);
            for upload in [Upload::Length(body.clone()), Upload::Chunked(body.clone())] {
                let echo = ask(to, Method::POST, "/", upload).await;
                assert!(echo.body == body, "{manner:?} {size}: {} bytes", echo.body.len());
            }
        }
    }
    assert_eq!(pair.node.connections(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_comes_before_the_upload_is_whole_and_the_connection_ends_in_order() {
    let pair = Pair::join("").await;
    pair.node.set_manner(Manner::Says(answer(413, &[("Content-Length", "2")], &[b"no"])));
    let mut stream = pair.connect().await;
    let text = format!("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: {}\r\n\r\n", 4 << 20);
    stream.write_all(text.as_bytes()).await.unwrap();
    stream.write_all(&sequence(1 << 20)).await.unwrap();
    let told = head(&mut stream).await;
    assert!(told.starts_with("HTTP/1.1 413") && told.contains("Content-Length: 2"), "{told}");
    // Who still sends is heard out, so that no reset takes the answer away.
    stream.write_all(&sequence(1 << 20)).await.unwrap();
    let mut rest = Vec::new();
    tokio::time::timeout(SOON, stream.read_to_end(&mut rest)).await.unwrap().unwrap();
    assert_eq!(rest, b"no");
    drop(stream);
    // An unread upload leaves a connection on which the node waits for nothing.
    pair.node.set_manner(Manner::Echo);
    assert_eq!(get(pair.balancer.http, "/").await.status, StatusCode::OK);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_large_upload_that_is_never_read_gets_its_large_answer() {
    let pair = Pair::join("").await;
    let body = sequence(8 << 20);
    let parts: Vec<&[u8]> = body.chunks(8184).collect();
    pair.node.set_manner(Manner::Says(answer(200, &[], &parts)));
    let told = ask(pair.balancer.http, Method::POST, "/", Upload::Length(body.clone())).await;
    assert!(told.body == body, "{} bytes", told.body.len());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_closes_amid_its_answer_gives_a_cut_and_never_a_whole() {
    let pair = Pair::join("").await;
    let flushed = |headers: &[(&str, &str)]| {
        [frames::answer_head(200, headers), frames::chunk(b"half"), frames::chunk(b"")].concat()
    };
    pair.node.set_manner(Manner::SaysAndCloses(flushed(&[("Content-Length", "100")])));
    let (said, _) = pair.say(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n").await;
    assert!(said.starts_with("HTTP/1.1 200") && said.ends_with("half"), "{said}");
    pair.node.set_manner(Manner::SaysAndCloses(flushed(&[])));
    let (said, _) = pair.say(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n").await;
    assert!(said.ends_with("4\r\nhalf\r\n"), "{said}");
    // An end in order would pass for the end of the body.
    let (said, ended) = pair.say(b"GET / HTTP/1.0\r\n\r\n").await;
    assert!(said.ends_with("half") && ended.is_err(), "{said} {ended:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_breaks_off_before_the_client_heard_of_it_is_asked_for_again() {
    let pair = Pair::join("").await;
    let begun = [frames::answer_head(200, &[]), frames::chunk(b"half")].concat();
    pair.node.set_manner(Manner::SaysAndCloses(begun));
    let other = AjpNode::register("b", pair.balancer.mcmp).await.unwrap();
    pair.balancer.await_usable(&["b"], SOON).await.unwrap();
    for _ in 0..4 {
        let told = get(pair.balancer.http, "/").await;
        assert_eq!((told.status, told.node().as_deref()), (StatusCode::OK, Some("b")));
    }
    let failed = pair.node.seen().len();
    assert!(failed > 0 && other.seen().len() == 4, "{failed}");
    let mut posts = Vec::new();
    for _ in 0..4 {
        let upload = Upload::Length(Bytes::from_static(b"x"));
        posts.push(ask(pair.balancer.http, Method::POST, "/", upload).await.status.as_u16());
    }
    let heard = pair.node.seen().len() - failed + other.seen().len() - 4;
    assert_eq!(heard, 4, "each POST reached one node");
    assert!(posts.contains(&502), "{posts:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_breaks_the_rules_is_502_and_its_connection_is_not_used_again() {
    let pair = Pair::join("").await;
    let bad_header = answer(200, &[("X-Bad", "a\r\nSet-Cookie: evil=1")], &[]);
    let two_lengths = answer(200, &[("Content-Length", "1"), ("Content-Length", "2")], &[b"x"]);
    let too_long = answer(200, &[("Content-Length", "3")], &[b"abcdef"]);
    let too_short = answer(200, &[("Content-Length", "9")], &[b"abcdef"]);
    let body_first = [frames::chunk(b"x"), frames::end(true)].concat();
    let unasked_upgrade = answer(101, &[], &[]);
    let garbage = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n".to_vec();
    for bad in [bad_header, two_lengths, too_long, too_short, body_first, unasked_upgrade, garbage]
    {
        pair.node.set_manner(Manner::Says(bad.clone()));
        let told = get(pair.balancer.http, "/").await;
        assert_eq!(told.status, StatusCode::BAD_GATEWAY, "{}", String::from_utf8_lossy(&bad));
        assert!(!told.headers.contains_key("set-cookie"));
        pair.node.set_manner(Manner::Echo);
        assert_eq!(get(pair.balancer.http, "/").await.status, StatusCode::OK);
    }
    let late = [answer(200, &[], &[b"x"]), answer(200, &[], &[b"smuggled"])].concat();
    pair.node.set_manner(Manner::Says(late));
    assert_eq!(get(pair.balancer.http, "/").await.text(), "x");
    pair.node.set_manner(Manner::Echo);
    assert_eq!(get(pair.balancer.http, "/").await.text(), "");
}

#[tokio::test(flavor = "multi_thread")]
async fn pipelined_requests_get_their_answers_in_order_over_ajp() {
    let pair = Pair::join("").await;
    let post = |body: &str| {
        let length = body.len();
        format!("POST /{body} HTTP/1.1\r\nHost: x\r\nContent-Length: {length}\r\n\r\n{body}")
    };
    let chunked = "POST /c HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n\
                   3\r\nccc\r\n0\r\n\r\n";
    let last = "GET /d HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
    let all = post("a") + &post("bb") + chunked + last;
    let (said, ended) = pair.say(all.as_bytes()).await;
    ended.unwrap();
    let bodies: Vec<&str> =
        said.split("HTTP/1.1 200").filter_map(|one| one.split("\r\n\r\n").nth(1)).collect();
    assert_eq!(bodies, ["a", "bb", "ccc", ""], "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_of_http_1_0_gets_no_chunks_from_an_ajp_node() {
    let pair = Pair::join("").await;
    pair.node.set_manner(Manner::Says(answer(200, &[], &[b"one ", b"two"])));
    let (said, ended) = pair.say(b"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n").await;
    ended.unwrap();
    assert!(said.ends_with("\r\n\r\none two") && !said.contains("chunked"), "{said}");
    let told = pair.node.seen().remove(0).head;
    assert_eq!(told.header("host"), None);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_has_no_body_gets_none_whatever_an_ajp_node_sends() {
    let pair = Pair::join("").await;
    let said = answer(200, &[("Content-Length", "3")], &[b"abc"]);
    pair.node.set_manner(Manner::Says(said));
    let told = ask(pair.balancer.http, Method::HEAD, "/", Upload::None).await;
    assert_eq!((told.header("content-length"), told.body.len()), (Some("3"), 0));
    for status in [204, 304] {
        pair.node.set_manner(Manner::Says(answer(status, &[("Content-Length", "0")], &[b"abc"])));
        let told = get(pair.balancer.http, "/").await;
        assert_eq!((told.status.as_u16(), told.header("content-length")), (status, None));
        assert!(told.body.is_empty());
    }
    pair.node.set_manner(Manner::Echo);
    assert_eq!(get(pair.balancer.http, "/").await.status, StatusCode::OK);
    assert_eq!(pair.node.connections(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_node_does_not_flush_is_told_all_the_same_after_a_moment() {
    let pair = Pair::join("").await;
    // A head, half a body, and nothing more.
    let begun = [frames::answer_head(200, &[]), frames::chunk(b"half")].concat();
    pair.node.set_manner(Manner::Says(begun));
    let mut stream = pair.connect().await;
    stream.write_all(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
    assert!(head(&mut stream).await.starts_with("HTTP/1.1 200"));
    let mut half = [0; 9];
    tokio::time::timeout(SOON, stream.read_exact(&mut half)).await.unwrap().unwrap();
    assert_eq!(&half, b"4\r\nhalf\r\n");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_leaves_takes_the_connection_to_its_ajp_node_along() {
    let pair = Pair::join("").await;
    pair.node.set_manner(Manner::Silent);
    let mut stream = pair.connect().await;
    stream.write_all(b"GET /gone HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
    let heard = || async { (pair.node.seen().len() == 1).then_some(()).ok_or("not heard") };
    eventually("the node hears it", SOON, heard).await.unwrap();
    drop(stream);
    let ended = || async {
        let open = pair.node.open();
        if open == 0 { Ok(()) } else { Err(format!("{open} open")) }
    };
    eventually("the connection to the node ends", SOON, ended).await.unwrap();
    pair.node.set_manner(Manner::Echo);
    assert_eq!(get(pair.balancer.http, "/").await.status, StatusCode::OK);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_silent_ajp_node_is_504_and_an_upload_that_it_waits_for_is_not_its_silence() {
    let pair = Pair::join("[upstream]\nread_timeout = \"300ms\"\n").await;
    pair.node.set_manner(Manner::Silent);
    assert_eq!(get(pair.balancer.http, "/").await.status, StatusCode::GATEWAY_TIMEOUT);
    pair.node.set_manner(Manner::Duplex);
    let mut stream = pair.connect().await;
    let text = "POST / HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 4\r\n\r\nab";
    stream.write_all(text.as_bytes()).await.unwrap();
    // The silence is the story; how long it is beyond the bound does not matter.
    tokio::time::sleep(Duration::from_secs(1)).await;
    stream.write_all(b"cd").await.unwrap();
    let mut said = String::new();
    tokio::time::timeout(SOON, stream.read_to_string(&mut said)).await.unwrap().unwrap();
    assert!(said.starts_with("HTTP/1.1 200") && said.contains("cd"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_that_was_idle_is_asked_before_it_is_used() {
    let pair = Pair::join("").await;
    let to = pair.balancer.http;
    for _ in 0..5 {
        assert_eq!(get(to, "/").await.status, StatusCode::OK);
    }
    let connection = pair.node.seen()[0].connection;
    assert_eq!((pair.node.pings(connection), pair.node.connections()), (1, 1));
    // The bound is a second; how much longer it was idle does not matter.
    tokio::time::sleep(Duration::from_millis(1500)).await;
    assert_eq!(get(to, "/").await.status, StatusCode::OK);
    assert_eq!((pair.node.pings(connection), pair.node.connections()), (2, 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn leave_to_send_is_given_once_and_only_where_it_was_asked_for() {
    let pair = Pair::join("").await;
    pair.node.set_manner(Manner::Says(answer(403, &[], &[b"no"])));
    let text = b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\
                 Expect: 100-continue\r\n\r\n";
    let mut stream = pair.connect().await;
    stream.write_all(text).await.unwrap();
    // The node never asked for the body, so nobody asks the client.
    assert!(head(&mut stream).await.starts_with("HTTP/1.1 403"));
    pair.node.set_manner(Manner::Echo);
    let post =
        send(pair.balancer.http, Method::POST, "/", Upload::Chunked(Bytes::from_static(b"x")));
    assert_eq!(post.await.status(), StatusCode::OK);
}
