//! The HTTP/1 engine, byte by byte: raw clients on one side, raw nodes on the other.

use std::time::Duration;

use muster_loadtests::testkit::raw::{Arrived, field};
use muster_loadtests::testkit::{Balancer, Client, Farm, Manner, Raw, RawNode, eventually};
use tokio::net::TcpStream;

use super::support::{SOON, node};

/// More than all buffers on the way hold.
const LARGE: usize = 8 << 20;

const GET: &str = "GET / HTTP/1.1\r\nHost: x\r\n\r\n";
const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

/// A balancer with one raw node, and a client.
async fn stage(toml: &str) -> (Farm, Balancer, RawNode, Raw<TcpStream>) {
    let farm = Farm::new().unwrap();
    let balancer = farm.balancer(toml).await.unwrap();
    let node = RawNode::register("a", balancer.mcmp, &["/"]).await.unwrap();
    balancer.await_usable(&["a"], SOON).await.unwrap();
    let client = Raw::connect(balancer.http).await.unwrap();
    (farm, balancer, node, client)
}

/// Bytes that do not repeat where buffers do.
fn bytes(length: usize) -> Vec<u8> {
    (0..length as u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 13) as u8).collect()
}

/// Waits until the metrics say that so many requests are at the node, or connections open.
async fn await_metric(balancer: &Balancer, name: &str, expected: u64) {
    let manager = balancer.manager;
    let what = format!("{name} is {expected}");
    let there = eventually(&what, SOON, || async move {
        let answer = Client::new(manager).get("/metrics").await.map_err(|e| e.to_string())?;
        let text = answer.text();
        let line = text.lines().find(|line| line.starts_with(name) && !line.starts_with('#'));
        let line = line.ok_or("no such metric")?;
        match line.rsplit(' ').next() == Some(&expected.to_string()) {
            true => Ok(()),
            false => Err(line.to_owned()),
        }
    });
    there.await.unwrap();
}

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
    let (mut reads, mut writes) = client.split();
    let uploading = tokio::spawn(async move {
        writes
            .send(format!("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: {LARGE}\r\n\r\n"))
            .await?;
        // All of it is offered; how much is taken is another matter.
        writes.send(bytes(LARGE)).await
    });
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
    let (mut reads, mut writes) = client.split();
    let uploading = tokio::spawn(async move {
        let head = format!("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: {LARGE}\r\n\r\n");
        writes.send(head).await?;
        writes.send(bytes(LARGE)).await
    });
    let Arrived { mut raw, .. } = node.next().await.unwrap();
    let answer = bytes(LARGE);
    raw.send(format!("HTTP/1.1 200 OK\r\nContent-Length: {LARGE}\r\n\r\n")).await.unwrap();
    // Half of the answer before a byte of the body is read, then the body, then the other half.
    raw.send(&answer[..LARGE / 2]).await.unwrap();
    assert!(raw.exactly(LARGE).await.unwrap() == answer, "the body differs at the node");
    raw.send(&answer[LARGE / 2..]).await.unwrap();
    let (head, body) = reads.message().await.unwrap();
    assert!(head.starts_with("HTTP/1.1 200"), "{head}");
    assert!(body == answer, "{} bytes came, or others", body.len());
    uploading.await.unwrap().unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upload_that_is_never_read_and_an_answer_as_large_both_end() {
    let (_farm, _balancer, mut node, client) = stage("").await;
    let (mut reads, mut writes) = client.split();
    let uploading = tokio::spawn(async move {
        let head = format!("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: {LARGE}\r\n\r\n");
        writes.send(head).await?;
        writes.send(bytes(LARGE)).await
    });
    let Arrived { mut raw, .. } = node.next().await.unwrap();
    let answer = bytes(LARGE);
    raw.send(format!("HTTP/1.1 200 OK\r\nContent-Length: {LARGE}\r\n\r\n")).await.unwrap();
    raw.send(&answer).await.unwrap();
    let (_, body) = reads.message().await.unwrap();
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
async fn a_client_that_leaves_while_the_node_is_awaited_frees_the_nodes_connection() {
    let (_farm, balancer, mut node, mut client) = stage("").await;
    client.send(GET).await.unwrap();
    let Arrived { mut raw, .. } = node.next().await.unwrap();
    await_metric(&balancer, "muster_node_in_flight{", 1).await;
    drop(client);
    assert!(raw.has_ended().await.unwrap_or(true), "the node's connection goes on");
    await_metric(&balancer, "muster_node_in_flight{", 0).await;
    await_metric(&balancer, "muster_connections", 0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_leaves_within_its_upload_is_no_whole_request() {
    let (_farm, balancer, mut node, mut client) = stage("").await;
    let head = "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n";
    client.send(head).await.unwrap();
    let Arrived { mut raw, .. } = node.next().await.unwrap();
    assert_eq!(raw.chunk().await.unwrap(), b"hello");
    drop(client);
    assert!(raw.chunk().await.is_err(), "the node must see that the body has no end");
    await_metric(&balancer, "muster_node_in_flight{", 0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_takes_nothing_costs_little_memory_and_is_cut() {
    let (_farm, balancer, mut node, _) = stage("[http]\nread_timeout = \"2s\"\n").await;
    let before = resident(&balancer);
    let mut clients = Vec::new();
    let mut writers = Vec::new();
    for _ in 0..20 {
        clients.push(connect_and_get(&balancer).await);
        let Arrived { mut raw, .. } = node.next().await.unwrap();
        writers.push(tokio::spawn(async move {
            let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", 8 * LARGE);
            raw.send(head).await?;
            raw.send(vec![b'x'; 8 * LARGE]).await
        }));
    }
    for writer in writers {
        let sent = tokio::time::timeout(SOON, writer).await.expect("the node is let go").unwrap();
        assert!(sent.is_err(), "64 MiB were taken from the node for a client that takes nothing");
    }
    let grown = resident(&balancer).saturating_sub(before);
    assert!(grown < 32 << 10, "20 slow clients cost {grown} KiB");
    await_metric(&balancer, "muster_node_in_flight{", 0).await;
}

/// KiB of memory that the balancer has.
fn resident(balancer: &Balancer) -> u64 {
    let status =
        std::fs::read_to_string(format!("/proc/{}/status", balancer.process.id())).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

async fn connect_and_get(balancer: &Balancer) -> Raw<TcpStream> {
    let mut client = Raw::connect(balancer.http).await.unwrap();
    client.send(GET).await.unwrap();
    client
}

#[tokio::test(flavor = "multi_thread")]
async fn either_side_of_a_websocket_may_end_its_half_first() {
    const UPGRADE: &str = "GET /ws HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\n\
                           Upgrade: websocket\r\n\r\nearly";
    const SWITCHED: &str = "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\n\
                            Upgrade: websocket\r\n\r\nfirst";
    let (_farm, balancer, mut node, _) = stage("").await;
    for client_first in [true, false] {
        let mut client = Raw::connect(balancer.http).await.unwrap();
        client.send(UPGRADE).await.unwrap();
        let Arrived { head, mut raw } = node.next().await.unwrap();
        assert_eq!(field(&head, "upgrade"), Some("websocket"));
        raw.send(SWITCHED).await.unwrap();
        assert!(client.head().await.unwrap().starts_with("HTTP/1.1 101"));
        assert_eq!(client.exactly(5).await.unwrap(), b"first");
        assert_eq!(raw.exactly(5).await.unwrap(), b"early");
        let (first, second) = match client_first {
            true => (&mut client, &mut raw),
            false => (&mut raw, &mut client),
        };
        first.end().await.unwrap();
        assert!(second.has_ended().await.unwrap());
        // The other half goes on.
        let data = bytes(500_000);
        let (sent, came) = tokio::join!(second.send(&data), first.exactly(data.len()));
        sent.unwrap();
        assert!(came.unwrap() == data, "bytes of the other half differ");
        second.end().await.unwrap();
        assert!(first.has_ended().await.unwrap());
    }
    await_metric(&balancer, "muster_node_in_flight{", 0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_get_survives_that_its_node_closes_the_kept_connection_and_a_post_is_not_sent_twice() {
    let (_farm, _balancer, mut node, mut client) = stage("").await;
    client.send(GET).await.unwrap();
    let Arrived { mut raw, .. } = node.next().await.unwrap();
    raw.send(OK).await.unwrap();
    client.message().await.unwrap();
    // It is kept, and closes when the next request is there.
    client.send(GET).await.unwrap();
    raw.head().await.unwrap();
    drop(raw);
    let Arrived { mut raw, .. } = node.next().await.unwrap();
    raw.send(OK).await.unwrap();
    assert_eq!(client.message().await.unwrap().1, b"ok");
    client.send("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\nhi").await.unwrap();
    raw.head().await.unwrap();
    drop(raw);
    let (head, _) = client.message().await.unwrap();
    assert!(head.starts_with("HTTP/1.1 502"), "{head}");
    assert!(!node.has_next(), "the POST was sent twice");
}

#[tokio::test(flavor = "multi_thread")]
async fn of_gets_whose_node_closes_connections_at_will_none_is_lost() {
    let (_farm, _balancer, mut node, mut client) = stage("").await;
    let serving = tokio::spawn(async move {
        while let Ok(Arrived { mut raw, .. }) = node.next().await {
            tokio::spawn(async move {
                raw.send(OK).await.unwrap();
                // The second is read and not answered; or the connection ends before it comes.
                let _ = tokio::time::timeout(Duration::from_millis(3), raw.head()).await;
            });
        }
    });
    for round in 0..300 {
        client.send(GET).await.unwrap();
        let (head, _) = client.message().await.unwrap();
        assert!(head.starts_with("HTTP/1.1 200"), "{round}: {head}");
        if round % 3 == 0 {
            tokio::time::sleep(Duration::from_millis(round % 5)).await;
        }
    }
    serving.abort();
}

/// The answer to a request whose node says this of its context before it answers 404.
async fn answer_after(command: &str) -> String {
    let (_farm, balancer, mut away, mut client) = stage("").await;
    client.send("GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").await.unwrap();
    let Arrived { mut raw, .. } = away.next().await.unwrap();
    let _other = node(&balancer, "b", 100).await;
    away.tell(balancer.mcmp, command, "/").await.unwrap();
    raw.send("HTTP/1.1 404 Not Found\r\nContent-Length: 4\r\n\r\nnone").await.unwrap();
    let (head, body) = client.message().await.unwrap();
    format!("{} {}", head.lines().next().unwrap(), String::from_utf8_lossy(&body).trim_end())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_404_of_a_context_that_was_stopped_meanwhile_goes_elsewhere() {
    assert_eq!(answer_after("STOP-APP").await, "HTTP/1.1 200 OK {\"node\":\"b\"}");
    assert_eq!(answer_after("REMOVE-APP").await, "HTTP/1.1 200 OK {\"node\":\"b\"}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_404_of_a_context_that_was_only_disabled_is_the_answer() {
    assert_eq!(answer_after("DISABLE-APP").await, "HTTP/1.1 404 Not Found none");
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

#[tokio::test(flavor = "multi_thread")]
async fn a_drain_finishes_what_is_under_way_and_closes_what_idles_on_four_threads() {
    let toml = "threads = 4\n";
    let (_farm, mut balancer, mut node, _) = stage(toml).await;
    let mut idle = Vec::new();
    let mut busy = Vec::new();
    for _ in 0..16 {
        idle.push(Raw::connect(balancer.http).await.unwrap());
        let client = connect_and_get(&balancer).await;
        busy.push((client, node.next().await.unwrap().raw));
    }
    balancer.process.inflict(muster_loadtests::testkit::Fault::Terminate).unwrap();
    // Once the idle ones are closed, the drain is well under way.
    for client in &mut idle {
        assert!(client.has_ended().await.unwrap(), "an idle connection is not closed in order");
    }
    for (client, raw) in &mut busy {
        raw.send(OK).await.unwrap();
        let (head, body) = client.message().await.unwrap();
        assert_eq!((field(&head, "connection"), &*body), (Some("close"), &b"ok"[..]), "{head}");
        assert!(client.has_ended().await.unwrap());
    }
    assert!(balancer.process.await_end(SOON).await.unwrap().success());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_kept_connection_hears_close_with_its_next_answer_while_the_balancer_drains() {
    let farm = Farm::new().unwrap();
    let mut balancer = farm.balancer("").await.unwrap();
    let node = node(&balancer, "a", 100).await;
    node.set_manner(Manner::Prompt);
    let mut client = connect_and_get(&balancer).await;
    let (head, _) = client.message().await.unwrap();
    assert_eq!(field(&head, "connection"), None, "{head}");
    balancer.process.inflict(muster_loadtests::testkit::Fault::Terminate).unwrap();
    let mut asked = 0;
    // The signal takes its time; each answer before it keeps the connection.
    loop {
        client.send(GET).await.unwrap();
        asked += 1;
        let (head, _) = client.message().await.unwrap();
        assert!(head.starts_with("HTTP/1.1 200"), "{head}");
        if field(&head, "connection") == Some("close") {
            break;
        }
    }
    assert!(client.has_ended().await.unwrap());
    assert_eq!(node.count(), asked + 1);
    assert!(balancer.process.await_end(SOON).await.unwrap().success());
}
