//! Odd moments: awkward lengths, messages in single bytes, half-told answers, repeated bodies.

use std::time::Duration;

use muster_loadtests::testkit::raw::{Arrived, field};
use muster_loadtests::testkit::{Authority, Balancer, Farm, Raw};
use tokio::net::TcpStream;

use super::super::support::{SOON, node};
use super::{GET, LARGE, OK, await_metric, bytes, connect_and_get, stage};

/// What a client's first buffer holds, of head and body together.
const BUFFER: usize = 16 * 1024;

fn put(path: &str, length: usize) -> String {
    format!("PUT {path} HTTP/1.1\r\nHost: x\r\nContent-Length: {length}\r\n\r\n")
}

#[tokio::test(flavor = "multi_thread")]
async fn bodies_of_every_awkward_length_arrive_whole_however_they_are_framed() {
    let farm = Farm::new().unwrap();
    let balancer = farm.balancer("threads = 1\n").await.unwrap();
    let node = node(&balancer, "a", 100).await;
    let mut client = Raw::connect(balancer.http).await.unwrap();
    let around = |at: usize| at - 12..at + 12;
    let head = put("/", BUFFER).len();
    let lengths = [around(BUFFER - head), around(BUFFER), around(4 * BUFFER), around(5 * BUFFER)];
    let lengths: Vec<usize> = lengths.into_iter().flatten().collect();
    for &length in &lengths {
        let body = bytes(length);
        client.send([put("/", length).as_bytes(), &body].concat()).await.unwrap();
        assert_eq!(client.message().await.unwrap().1, b"{\"node\":\"a\"}\n", "{length}");
        let head = "PUT / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n";
        let size = format!("{length:x}\r\n");
        let parts = [head.as_bytes(), size.as_bytes(), &body, b"\r\n0\r\n\r\n"];
        client.send(parts.concat()).await.unwrap();
        assert_eq!(client.message().await.unwrap().1, b"{\"node\":\"a\"}\n", "{length}");
    }
    let seen = node.seen();
    assert_eq!(seen.len(), 2 * lengths.len());
    for (pair, length) in seen.chunks(2).zip(lengths) {
        assert!(pair.iter().all(|seen| seen.body == bytes(length)), "{length}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn messages_that_come_byte_by_byte_are_the_same_messages() {
    let (_farm, _balancer, mut node, mut client) = stage("").await;
    let request = "PUT /slow HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n\
                   3;x=y\r\nabc\r\n2\r\nde\r\n0\r\nT: u\r\n\r\n";
    for byte in request.bytes() {
        client.send([byte]).await.unwrap();
        tokio::task::yield_now().await;
    }
    let Arrived { head, mut raw } = node.next().await.unwrap();
    assert!(head.starts_with("PUT /slow "), "{head}");
    let mut body = Vec::new();
    loop {
        match raw.chunk().await.unwrap() {
            data if data.is_empty() => break,
            data => body.extend(data),
        }
    }
    assert_eq!(body, b"abcde");
    let answer = "HTTP/1.1 103 Early Hints\r\nA: b\r\n\r\nHTTP/1.1 200 OK\r\n\
                  Transfer-Encoding: chunked\r\n\r\n3\r\nfgh\r\n2\r\nij\r\n0\r\n\r\n";
    for byte in answer.bytes() {
        raw.send([byte]).await.unwrap();
        tokio::task::yield_now().await;
    }
    assert!(client.head().await.unwrap().starts_with("HTTP/1.1 103"));
    assert_eq!(client.message().await.unwrap().1, b"fghij");
    client.send(GET).await.unwrap();
    assert!(raw.head().await.unwrap().starts_with("GET / "), "the node's connection is kept");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_long_head_that_is_sent_ahead_of_its_turn_is_read_whole() {
    let (_farm, _balancer, mut node, mut client) = stage("").await;
    let long = "y".repeat(6_000);
    let ahead: String = (0..5).map(|n| format!("X-{n}: {long}\r\n")).collect();
    let ahead = format!("GET /ahead HTTP/1.1\r\nHost: x\r\n{ahead}\r\n");
    client.send([GET, &ahead].concat()).await.unwrap();
    let Arrived { mut raw, .. } = node.next().await.unwrap();
    raw.send(OK).await.unwrap();
    assert_eq!(client.message().await.unwrap().1, b"ok");
    let head = raw.head().await.unwrap();
    assert!(head.starts_with("GET /ahead "), "{}", &head[..20]);
    assert_eq!(field(&head, "x-4").map(str::len), Some(6_000));
    raw.send(OK).await.unwrap();
    assert_eq!(client.message().await.unwrap().1, b"ok");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_short_body_is_told_again_whole_when_the_kept_connection_has_died() {
    let (_farm, _balancer, mut node, mut client) = stage("").await;
    client.send(GET).await.unwrap();
    let Arrived { mut raw, .. } = node.next().await.unwrap();
    raw.send(OK).await.unwrap();
    client.message().await.unwrap();
    let body = bytes(12_000);
    let chunked = [
        &b"PUT /2 HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n2ee0\r\n"[..],
        &body,
        b"\r\n0\r\n\r\n",
    ];
    for (path, request) in
        [("/1", [put("/1", body.len()).as_bytes(), &body].concat()), ("/2", chunked.concat())]
    {
        client.send([&request, GET.as_bytes()].concat()).await.unwrap();
        // It is read, and nothing is answered.
        assert!(raw.message().await.unwrap().0.starts_with(&format!("PUT {path} ")));
        drop(raw);
        let Arrived { head, raw: mut fresh } = node.next().await.unwrap();
        assert!(head.starts_with(&format!("PUT {path} ")), "{head}");
        match field(&head, "content-length") {
            Some(_) => assert!(fresh.exactly(body.len()).await.unwrap() == body),
            None => {
                assert!(fresh.chunk().await.unwrap() == body);
                assert_eq!(fresh.chunk().await.unwrap(), b"");
            }
        }
        fresh.send(OK).await.unwrap();
        assert_eq!(client.message().await.unwrap().1, b"ok");
        // What was sent ahead of the answer is the next request.
        assert!(fresh.head().await.unwrap().starts_with("GET / "));
        fresh.send(OK).await.unwrap();
        assert_eq!(client.message().await.unwrap().1, b"ok");
        raw = fresh;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_long_body_cannot_be_told_again_and_its_client_hears_so() {
    let (_farm, balancer, mut node, mut client) = stage("").await;
    client.send(GET).await.unwrap();
    let Arrived { mut raw, .. } = node.next().await.unwrap();
    raw.send(OK).await.unwrap();
    client.message().await.unwrap();
    let body = bytes(200_000);
    client.send([put("/", body.len()).as_bytes(), &body[..150_000]].concat()).await.unwrap();
    raw.head().await.unwrap();
    raw.exactly(150_000).await.unwrap();
    drop(raw);
    let (head, _) = client.message().await.unwrap();
    assert!(head.starts_with("HTTP/1.1 502"), "{head}");
    assert_eq!(field(&head, "connection"), Some("close"));
    assert!(!node.has_next());
    await_metric(&balancer, "muster_node_in_flight{", 0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_endless_row_of_interim_answers_is_ended() {
    let (_farm, balancer, mut node, mut client) = stage("").await;
    client.send(GET).await.unwrap();
    let Arrived { mut raw, .. } = node.next().await.unwrap();
    let flooding =
        tokio::spawn(
            async move { while raw.send("HTTP/1.1 102 Processing\r\n\r\n").await.is_ok() {} },
        );
    let last = loop {
        match client.head().await.unwrap() {
            head if head.starts_with("HTTP/1.1 102") => {}
            head => break head,
        }
    };
    assert!(last.starts_with("HTTP/1.1 502"), "{last}");
    tokio::time::timeout(SOON, flooding).await.expect("the node is let go").unwrap();
    await_metric(&balancer, "muster_node_in_flight{", 0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_follows_an_interim_answer_that_was_told_by_half() {
    let (_farm, balancer, mut node, client) = stage("[http]\nread_timeout = \"10s\"\n").await;
    // So small a window that a long interim answer stops in its middle.
    drop(client);
    let socket = tokio::net::TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(2048).unwrap();
    let stream = socket.connect(balancer.http).await.unwrap();
    let mut client = Raw::new(stream);
    client.send(GET).await.unwrap();
    let Arrived { mut raw, .. } = node.next().await.unwrap();
    let link = format!("Link: <{}>\r\n", "l".repeat(300));
    let hints = format!("HTTP/1.1 103 Early Hints\r\n{}\r\n", link.repeat(90));
    // As many as are passed on, and more than the sockets hold.
    for _ in 0..16 {
        raw.send(&hints).await.unwrap();
    }
    drop(raw);
    let said = client.rest().await;
    let said = String::from_utf8_lossy(&said);
    for part in said.split_inclusive("\r\n\r\n") {
        let is_whole = part == hints || part.starts_with("HTTP/1.1 502") || part.starts_with("502");
        let is_cut = hints.starts_with(part);
        assert!(is_whole || is_cut, "a head with another in it: {}", &part[part.len() - 200..]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_that_trickles_in_is_cut_though_the_answer_flows_meanwhile() {
    let toml = "[http]\nbody_grace = \"500ms\"\nmin_body_rate = \"100 KiB\"\n";
    let (_farm, balancer, mut node, client) = stage(toml).await;
    let (mut reads, mut writes) = client.split();
    writes.send(put("/", 1_000_000)).await.unwrap();
    let Arrived { mut raw, .. } = node.next().await.unwrap();
    let flowing = tokio::spawn(async move {
        raw.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n").await?;
        loop {
            raw.send("1\r\nx\r\n").await?;
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    });
    let dripping = tokio::spawn(async move {
        while writes.send("b").await.is_ok() {
            tokio::time::sleep(Duration::from_millis(300)).await;
        }
    });
    tokio::time::timeout(SOON, reads.rest()).await.expect("the client is cut");
    dripping.abort();
    let ended: std::io::Result<()> =
        tokio::time::timeout(SOON, flowing).await.expect("the node is let go").unwrap();
    assert!(ended.is_err());
    await_metric(&balancer, "muster_node_in_flight{", 0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tls_client_that_takes_nothing_is_cut_and_one_that_is_slow_gets_all() {
    let own = Authority::new().unwrap();
    let files = own.certificate("shop", &["shop.test"]).unwrap();
    let toml = format!(
        "[http]\nread_timeout = \"1s\"\n[tls]\nlisten = [\"127.0.0.1:0\"]\ncertificates = [{}]\n",
        files.toml()
    );
    let (_farm, balancer, mut node, _) = stage(&toml).await;
    let https = balancer.process.listening("https").unwrap();
    let tls = own.client(&[]).unwrap();
    for takes in [false, true] {
        let mut client = tls.connect(https, "shop.test").await.unwrap();
        client.send(GET).await.unwrap();
        let Arrived { mut raw, .. } = node.next().await.unwrap();
        let telling = tokio::spawn(async move {
            raw.send(format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", 2 * LARGE)).await?;
            raw.send(vec![b'x'; 2 * LARGE]).await
        });
        if takes {
            assert!(client.head().await.unwrap().starts_with("HTTP/1.1 200"));
            for _ in 0..32 {
                client.exactly(2 * LARGE / 32).await.unwrap();
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        }
        let told = tokio::time::timeout(SOON, telling).await.expect("the node is let go").unwrap();
        assert_eq!(told.is_ok(), takes, "{told:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn many_clients_that_come_and_go_at_any_moment_leave_nothing_behind() {
    let farm = Farm::new().unwrap();
    let balancer = farm.balancer("").await.unwrap();
    let node = node(&balancer, "a", 100).await;
    node.set_manner(muster_loadtests::testkit::Manner::Chunks(64));
    let request = [put("/", 40_000).as_bytes(), &bytes(40_000), GET.as_bytes()].concat();
    let mut leaving = tokio::task::JoinSet::new();
    for cut in (0..request.len()).step_by(200) {
        let mut client: Raw<TcpStream> = Raw::connect(balancer.http).await.unwrap();
        let request = request[..cut].to_vec();
        leaving.spawn(async move {
            // Some leave in order, some with an answer unread, some in its middle.
            let _ = client.send(request).await;
            match cut % 3 {
                0 => drop(client.end().await),
                1 => drop(client.exactly(100 * (cut % 7)).await),
                _ => {}
            }
        });
    }
    while leaving.join_next().await.is_some() {}
    await_metric(&balancer, "muster_node_in_flight{", 0).await;
    await_metric(&balancer, "muster_connections", 0).await;
    assert!(served(&balancer).await);
}

async fn served(balancer: &Balancer) -> bool {
    let mut client = connect_and_get(balancer).await;
    client.message().await.is_ok_and(|(head, _)| head.starts_with("HTTP/1.1 200"))
}
