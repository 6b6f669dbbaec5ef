//! Ends: of clients, of nodes, of their kept connections, of contexts and of the balancer itself.

use std::time::Duration;

use muster_loadtests::testkit::raw::{Arrived, field};
use muster_loadtests::testkit::{Balancer, Farm, Fault, Raw};

use super::super::support::{SOON, node};
use super::{GET, LARGE, OK, await_metric, bytes, connect_and_get, stage};

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
    balancer.process.inflict(Fault::Terminate).unwrap();
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
    let mut client = connect_and_get(&balancer).await;
    let (head, _) = client.message().await.unwrap();
    assert_eq!(field(&head, "connection"), None, "{head}");
    balancer.process.inflict(Fault::Terminate).unwrap();
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
