//! Bodies both ways: in order, early, late, unread, at once, and what follows them.

use std::io;

use muster_loadtests::testkit::raw::{Arrived, Raw, field};
use tokio::io::ReadHalf;
use tokio::net::TcpStream;
use tokio::task::JoinHandle;

use super::super::support::SOON;
use super::{GET, LARGE, OK, await_metric, bytes, connect_and_get, stage};

#[tokio::test(flavor = "multi_thread")]
async fn requests_sent_at_once_are_answered_in_their_order_bodies_and_all() {
    let (_farm, _balancer, mut node, mut client) = stage("").await;
    let mut all = Vec::new();
    for count in 0..20 {
        let body = "b".repeat(count * 100);
        let length = body.len();
        let head = format!("PUT /{count} HTTP/1.1\r\nHost: x\r\nContent-Length: {length}\r\n\r\n");
        all.extend_from_slice((head + &body).as_bytes());
    }
    client.send(&all).await.unwrap();
    let Arrived { head, mut raw } = node.next().await.unwrap();
    let mut next = Some(head);
    for count in 0..20 {
        let head = match next.take() {
            Some(head) => head,
            None => raw.head().await.unwrap(),
        };
        assert!(head.starts_with(&format!("PUT /{count} ")), "{head}");
        assert_eq!(raw.exactly(count * 100).await.unwrap(), vec![b'b'; count * 100]);
        let answer = format!("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{count:02}");
        raw.send(answer).await.unwrap();
        let (_, body) = client.message().await.unwrap();
        assert_eq!(body, format!("{count:02}").as_bytes());
    }
    assert!(!node.has_next(), "one connection to the node was enough");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_comes_before_the_body_was_read_reaches_the_client_and_ends_the_upload() {
    let (_farm, balancer, mut node, client) = stage("").await;
    let (mut reads, uploading) = upload(client);
    let Arrived { mut raw, .. } = node.next().await.unwrap();
    let refusal =
        "HTTP/1.1 413 Content Too Large\r\nContent-Length: 4\r\nConnection: close\r\n\r\nmuch";
    raw.send(refusal).await.unwrap();
    drop(raw);
    let (head, body) = reads.message().await.unwrap();
    assert!(head.starts_with("HTTP/1.1 413"), "{head}");
    assert_eq!(body, b"much");
    // However the rest of the upload fares: it ends.
    let _ = tokio::time::timeout(SOON, uploading).await.expect("the upload ends").unwrap();
    await_metric(&balancer, "muster_node_in_flight{", 0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upload_that_its_node_does_not_read_does_not_stop_the_answer() {
    let (_farm, _balancer, mut node, client) = stage("").await;
    let (mut reads, uploading) = upload(client);
    let reading = tokio::spawn(async move { reads.message().await });
    let Arrived { mut raw, .. } = node.next().await.unwrap();
    let answer = bytes(LARGE);
    raw.send(format!("HTTP/1.1 200 OK\r\nContent-Length: {LARGE}\r\n\r\n")).await.unwrap();
    // Half of the answer before a byte of the body is read, then the body, then the other half.
    raw.send(&answer[..LARGE / 2]).await.unwrap();
    assert!(raw.exactly(LARGE).await.unwrap() == answer, "the body differs at the node");
    raw.send(&answer[LARGE / 2..]).await.unwrap();
    let (head, body) = reading.await.unwrap().unwrap();
    assert!(head.starts_with("HTTP/1.1 200"), "{head}");
    assert!(body == answer, "{} bytes came, or others", body.len());
    uploading.await.unwrap().unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upload_that_is_never_read_and_an_answer_as_large_both_end() {
    let (_farm, _balancer, mut node, client) = stage("").await;
    let (mut reads, uploading) = upload(client);
    let reading = tokio::spawn(async move { reads.message().await });
    let Arrived { mut raw, .. } = node.next().await.unwrap();
    let answer = bytes(LARGE);
    raw.send(format!("HTTP/1.1 200 OK\r\nContent-Length: {LARGE}\r\n\r\n")).await.unwrap();
    raw.send(&answer).await.unwrap();
    let (_, body) = reading.await.unwrap().unwrap();
    assert!(body == answer, "{} bytes came, or others", body.len());
    // The balancer took the rest of the upload, so that its client could finish and read.
    uploading.await.unwrap().unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn chunks_pass_both_ways_at_once_as_they_come() {
    let (_farm, _balancer, mut node, mut client) = stage("").await;
    let head = "POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n";
    client.send(head).await.unwrap();
    let Arrived { mut raw, .. } = node.next().await.unwrap();
    raw.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n").await.unwrap();
    let head = client.head().await.unwrap();
    assert_eq!(field(&head, "transfer-encoding"), Some("chunked"));
    for length in [1, 2, 1000, 30_000, 70_000, 3, 200_000] {
        let data = bytes(length);
        let framed = [format!("{length:x};x=y\r\n").as_bytes(), &data, b"\r\n"].concat();
        let (sent, seen) = tokio::join!(client.send(&framed), raw.chunk());
        sent.unwrap();
        assert!(seen.unwrap() == data, "{length}");
        let framed = [format!("{length:x}\r\n").as_bytes(), &data, b"\r\n"].concat();
        let (sent, seen) = tokio::join!(raw.send(&framed), client.chunk());
        sent.unwrap();
        assert!(seen.unwrap() == data, "{length}");
    }
    client.send("0\r\nX-Trailer: dropped\r\n\r\n").await.unwrap();
    assert_eq!(raw.chunk().await.unwrap(), b"");
    raw.send("0\r\n\r\n").await.unwrap();
    assert_eq!(client.chunk().await.unwrap(), b"");
    // Both connections go on.
    client.send(GET).await.unwrap();
    assert!(raw.head().await.unwrap().starts_with("GET / "));
    raw.send(OK).await.unwrap();
    assert_eq!(client.message().await.unwrap().1, b"ok");
}

#[tokio::test(flavor = "multi_thread")]
async fn interim_answers_pass_before_and_during_an_upload() {
    let (_farm, _balancer, mut node, mut client) = stage("").await;
    let head =
        "PUT / HTTP/1.1\r\nHost: x\r\nContent-Length: 100000\r\nExpect: 100-continue\r\n\r\n";
    client.send(head).await.unwrap();
    let Arrived { head, mut raw } = node.next().await.unwrap();
    assert_eq!(field(&head, "expect"), Some("100-continue"));
    raw.send("HTTP/1.1 103 Early Hints\r\nLink: </a.css>\r\n\r\n").await.unwrap();
    let hints = client.head().await.unwrap();
    assert!(hints.starts_with("HTTP/1.1 103"), "{hints}");
    assert_eq!(field(&hints, "link"), Some("</a.css>"));
    raw.send("HTTP/1.1 100 Continue\r\n\r\n").await.unwrap();
    assert!(client.head().await.unwrap().starts_with("HTTP/1.1 100"));
    let body = bytes(100_000);
    client.send(&body[..50_000]).await.unwrap();
    assert!(raw.exactly(50_000).await.unwrap() == body[..50_000]);
    raw.send("HTTP/1.1 102 Processing\r\n\r\n").await.unwrap();
    assert!(client.head().await.unwrap().starts_with("HTTP/1.1 102"));
    client.send(&body[50_000..]).await.unwrap();
    assert!(raw.exactly(50_000).await.unwrap() == body[50_000..]);
    raw.send(OK).await.unwrap();
    assert_eq!(client.message().await.unwrap().1, b"ok");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_old_client_gets_the_data_of_chunks_and_the_end_of_the_connection() {
    // One thread, so that both clients find the same kept connection.
    let (_farm, balancer, mut node, mut client) = stage("threads = 1\n").await;
    client.send("GET /old HTTP/1.0\r\nConnection: keep-alive\r\n\r\n").await.unwrap();
    let Arrived { mut raw, .. } = node.next().await.unwrap();
    let interim = "HTTP/1.1 103 Early Hints\r\n\r\n";
    let chunks =
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n3\r\ndef\r\n0\r\n\r\n";
    raw.send([interim, chunks].concat()).await.unwrap();
    let head = client.head().await.unwrap();
    assert!(head.starts_with("HTTP/1.1 200"), "{head}");
    assert_eq!(field(&head, "transfer-encoding"), None);
    assert_eq!(client.rest().await, b"abcdef");
    // What is over for the client is not for the node's connection.
    let mut other = connect_and_get(&balancer).await;
    assert!(raw.head().await.unwrap().starts_with("GET / "));
    raw.send(OK).await.unwrap();
    assert_eq!(other.message().await.unwrap().1, b"ok");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_answers_until_it_closes_becomes_chunks_and_its_client_stays() {
    let (_farm, _balancer, mut node, mut client) = stage("").await;
    client.send(GET).await.unwrap();
    let Arrived { mut raw, .. } = node.next().await.unwrap();
    raw.send("HTTP/1.1 200 OK\r\n\r\nall that ").await.unwrap();
    let head = client.head().await.unwrap();
    assert_eq!(field(&head, "transfer-encoding"), Some("chunked"));
    assert_eq!(client.chunk().await.unwrap(), b"all that ");
    raw.send(bytes(100_000)).await.unwrap();
    drop(raw);
    let mut came = Vec::new();
    loop {
        match client.chunk().await.unwrap() {
            data if data.is_empty() => break,
            data => came.extend(data),
        }
    }
    assert!(came == bytes(100_000), "{} bytes came, or others", came.len());
    client.send(GET).await.unwrap();
    let Arrived { mut raw, .. } = node.next().await.unwrap();
    raw.send(OK).await.unwrap();
    assert_eq!(client.message().await.unwrap().1, b"ok");
}

#[tokio::test(flavor = "multi_thread")]
async fn bodiless_answers_leave_nothing_to_wait_for() {
    let (_farm, _balancer, mut node, mut client) = stage("").await;
    client.send("HEAD / HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
    let Arrived { mut raw, .. } = node.next().await.unwrap();
    raw.send("HTTP/1.1 200 OK\r\nContent-Length: 9000\r\n\r\n").await.unwrap();
    assert_eq!(field(&client.head().await.unwrap(), "content-length"), Some("9000"));
    for status in ["204 No Content", "304 Not Modified"] {
        client.send(GET).await.unwrap();
        raw.head().await.unwrap();
        raw.send(format!("HTTP/1.1 {status}\r\n\r\n")).await.unwrap();
        let head = client.head().await.unwrap();
        assert!(head.contains(status) && field(&head, "transfer-encoding").is_none(), "{head}");
    }
    // A body where none may be: it must not pass for the next answer.
    client.send("HEAD / HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
    raw.head().await.unwrap();
    raw.send(
        "HTTP/1.1 200 OK\r\nContent-Length: 38\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
    )
    .await
    .unwrap();
    client.head().await.unwrap();
    client.send(GET).await.unwrap();
    let Arrived { mut raw, .. } = node.next().await.unwrap();
    raw.send(OK).await.unwrap();
    assert_eq!(client.message().await.unwrap().1, b"ok");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_follows_a_large_body_on_the_connection_is_the_next_request() {
    let (_farm, _balancer, mut node, client) = stage("").await;
    let (mut reads, mut writes) = client.split();
    let body = bytes(300_000);
    let head = format!("PUT /1 HTTP/1.1\r\nHost: x\r\nContent-Length: {}\r\n\r\n", body.len());
    let next = "PUT /2 HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n";
    let chunk = format!("{:x}\r\n", body.len());
    let last = "\r\n0\r\n\r\nGET /3 HTTP/1.1\r\nHost: x\r\n\r\n";
    let all = [head.as_bytes(), &body, next.as_bytes(), chunk.as_bytes(), &body, last.as_bytes()];
    let all = all.concat();
    let sending = tokio::spawn(async move { writes.send(all).await.map(|()| writes) });
    let Arrived { head, mut raw } = node.next().await.unwrap();
    assert!(head.starts_with("PUT /1 "), "{head}");
    assert!(raw.exactly(body.len()).await.unwrap() == body);
    raw.send(OK).await.unwrap();
    assert_eq!(reads.message().await.unwrap().1, b"ok");
    let (head, second) = raw.message().await.unwrap();
    assert!(head.starts_with("PUT /2 ") && second == body, "{head}");
    raw.send(OK).await.unwrap();
    assert_eq!(reads.message().await.unwrap().1, b"ok");
    let head = raw.head().await.unwrap();
    assert!(head.starts_with("GET /3 "), "{head}");
    raw.send(OK).await.unwrap();
    assert_eq!(reads.message().await.unwrap().1, b"ok");
    sending.await.unwrap().unwrap();
}

// === Helpers ===

/// Offers the node a large body; how much of it is taken is another matter.
fn upload(client: Raw<TcpStream>) -> (Raw<ReadHalf<TcpStream>>, JoinHandle<io::Result<()>>) {
    let (reads, mut writes) = client.split();
    let uploading = tokio::spawn(async move {
        let head = format!("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: {LARGE}\r\n\r\n");
        writes.send(head).await?;
        writes.send(bytes(LARGE)).await
    });
    (reads, uploading)
}
