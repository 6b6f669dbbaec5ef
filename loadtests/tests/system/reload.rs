//! A reload: what the file says now holds for everybody, and nobody is harmed on the way.

use std::time::Duration;

use muster_loadtests::generator;
use muster_loadtests::scenario::End;
use muster_loadtests::testkit::{Balancer, Client, Farm, Raw, eventually};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::support::{SOON, gets, node, quiet_machine, rounds, upgrade};

const GET: &str = "GET / HTTP/1.1\r\nHost: x\r\n\r\n";

/// Waits until the log has told that so many configurations were read, good or bad.
async fn read_again(balancer: &Balancer, times: usize) {
    let read = eventually("the reload is done", SOON, || async {
        let log = balancer.process.errors();
        let good = log.matches("the configuration was read again").count();
        let bad = log.matches("the old configuration stays").count();
        if good + bad >= times { Ok(()) } else { Err(log) }
    });
    read.await.unwrap();
}

async fn echoes(stream: &mut TcpStream, what: &[u8]) {
    stream.write_all(what).await.unwrap();
    let mut back = vec![0; what.len()];
    let echo = stream.read_exact(&mut back);
    tokio::time::timeout(SOON, echo).await.expect("an echo comes").unwrap();
    assert_eq!(back, what);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reload_holds_for_connections_that_were_there_before() {
    let farm = Farm::new().unwrap();
    let balancer = farm.balancer("").await.unwrap();
    let _node = node(&balancer, "a", 100).await;
    let (head, mut socket) = upgrade(&balancer).await;
    assert!(head.starts_with("HTTP/1.1 101"), "{head}");
    let mut kept = Raw::connect(balancer.http).await.unwrap();
    let post = "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 8\r\n\r\n12345678";
    kept.send(post).await.unwrap();
    assert!(kept.message().await.unwrap().0.starts_with("HTTP/1.1 200"));

    balancer.reload("[http]\nbody_limit = 7\n").unwrap();
    read_again(&balancer, 1).await;
    kept.send(GET).await.unwrap();
    assert!(kept.message().await.unwrap().0.starts_with("HTTP/1.1 200"));
    kept.send(post).await.unwrap();
    assert!(kept.message().await.unwrap().0.starts_with("HTTP/1.1 413"));
    echoes(&mut socket, b"still here").await;
    let log = balancer.process.errors();
    assert!(log.contains("http.body_limit"), "{log}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_with_a_fault_changes_nothing_and_every_fault_is_told() {
    let farm = Farm::new().unwrap();
    let balancer = farm.balancer("").await.unwrap();
    let _node = node(&balancer, "a", 100).await;
    balancer.reload("[http]\nbody_limit = 1\nidle_timeout = 5\n[mcmp]\nmax_nodes = 0\n").unwrap();
    // One line for each.
    read_again(&balancer, 2).await;
    let log = balancer.process.errors();
    assert!(log.contains("http.idle_timeout") && log.contains("mcmp.max_nodes"), "{log}");
    let mut client = Raw::connect(balancer.http).await.unwrap();
    client.send("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n12").await.unwrap();
    assert!(client.message().await.unwrap().0.starts_with("HTTP/1.1 200"));
}

#[tokio::test(flavor = "multi_thread")]
async fn static_nodes_come_and_go_with_the_file_and_others_stay() {
    let farm = Farm::new().unwrap();
    let balancer = farm.balancer("").await.unwrap();
    let _a = node(&balancer, "a", 100).await;
    let b = muster_loadtests::testkit::Node::start("b").await.unwrap();
    let with =
        format!("[[node]]\nroute = \"b\"\nurl = \"http://{}\"\ncontexts = [\"/b\"]\n", b.address);
    balancer.reload(&with).unwrap();
    balancer.await_served("/b", SOON).await.unwrap();
    balancer.await_usable(&["a", "b"], SOON).await.unwrap();
    // A node that registered itself is in the way of the next one.
    balancer
        .reload(&format!("{with}[[node]]\nroute = \"a\"\nurl = \"http://127.0.0.1:1\"\n"))
        .unwrap();
    read_again(&balancer, 2).await;
    assert!(balancer.process.errors().contains("node a: "), "{}", balancer.process.errors());
    balancer.await_usable(&["a", "b"], SOON).await.unwrap();
    balancer.reload("").unwrap();
    balancer.await_gone("b", SOON).await.unwrap();
    balancer.await_usable(&["a"], SOON).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn addresses_come_and_go_with_the_file() {
    let own = muster_loadtests::testkit::Authority::new().unwrap();
    let files = own.certificate("shop", &["shop.test"]).unwrap();
    let farm = Farm::new().unwrap();
    let balancer = farm.balancer("").await.unwrap();
    let _node = node(&balancer, "a", 100).await;
    let https = muster_loadtests::testkit::ports::free_address().unwrap();
    let with = format!("[tls]\nlisten = [\"{https}\"]\ncertificates = [{}]\n", files.toml());
    balancer.reload(&with).unwrap();
    read_again(&balancer, 1).await;
    let client = own.client(&[]).unwrap();
    let mut secure = client.connect(https, "shop.test").await.unwrap();
    secure.send(GET).await.unwrap();
    assert!(secure.message().await.unwrap().0.starts_with("HTTP/1.1 200"));

    balancer.reload("").unwrap();
    let refused = eventually("nobody listens there", SOON, || async {
        TcpStream::connect(https).await.err().ok_or("somebody does")
    });
    refused.await.unwrap();
    // Who was there goes on.
    secure.send(GET).await.unwrap();
    assert!(secure.message().await.unwrap().0.starts_with("HTTP/1.1 200"));
    let answer = Client::new(balancer.http).get("/").await.unwrap();
    assert!(answer.status.is_success());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_access_log_is_opened_again() {
    let farm = Farm::new().unwrap();
    let file = farm.folder().join("access.log");
    let toml = format!("[log]\naccess = \"{}\"\n", file.display());
    let balancer = farm.balancer(&toml).await.unwrap();
    let _node = node(&balancer, "a", 100).await;
    let mut client = Client::new(balancer.http);
    client.get("/first").await.unwrap();
    let rotated = farm.folder().join("access.log.1");
    std::fs::rename(&file, &rotated).unwrap();
    balancer.reload(&toml).unwrap();
    read_again(&balancer, 1).await;
    let has = async |file: &std::path::Path, what: &str| {
        let seen = eventually(what, SOON, || async {
            let text = std::fs::read_to_string(file).unwrap_or_default();
            if text.contains(what) { Ok(()) } else { Err(text) }
        });
        seen.await.unwrap();
    };
    has(&rotated, "GET /first").await;
    // A thread that is late may still write a line of that moment to the old file.
    let seen = eventually("GET /second", SOON, || async {
        Client::new(balancer.http).get("/second").await.unwrap();
        let text = std::fs::read_to_string(&file).unwrap_or_default();
        if text.contains("GET /second") { Ok(()) } else { Err(text) }
    });
    seen.await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn reloads_under_load_cost_no_request() {
    let _quiet = quiet_machine().await;
    let farm = Farm::new().unwrap();
    let balancer = farm.balancer("").await.unwrap();
    let _nodes = (node(&balancer, "a", 100).await, node(&balancer, "b", 100).await);
    let (_, mut socket) = upgrade(&balancer).await;
    let load = gets(&balancer, "/", 16, End::After(Duration::from_secs(600)));
    let reloads = rounds(5) as usize;
    let outcome = generator::run_until(load, async {
        for number in 1..=reloads {
            let toml = format!("[http]\nidle_timeout = \"{}s\"\n", 60 + number);
            balancer.reload(&toml).unwrap();
            read_again(&balancer, number).await;
            echoes(&mut socket, b"ping").await;
        }
    });
    let record = outcome.await.record;
    eprintln!("{reloads} reloads: {} good, failed {:?}", record.ok, record.failures);
    assert_eq!(record.failed(), 0, "{:?}", record.failures);
    assert!(record.ok > 0);
}
