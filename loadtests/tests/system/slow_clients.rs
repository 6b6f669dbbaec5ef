//! Many clients that send slowly on purpose: they are cut, and honest ones hear nothing of it.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use muster_loadtests::testkit::wait::PAUSE;
use muster_loadtests::testkit::{Balancer, Farm};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::support::{node, quiet_machine};

/// Clients of each kind.
const CLIENTS: usize = 200;

/// A byte so often: soon enough for every bound on silence.
const DRIP: Duration = Duration::from_millis(200);

/// By when a slow client must be cut.
const CUT: Duration = Duration::from_secs(15);

const HEAD: &str = "GET /slow HTTP/1.1\r\nHost: x\r\nX-Slow: ";
const BODY: &str = "POST /slow HTTP/1.1\r\nHost: x\r\nContent-Length: 100000\r\n\r\n";
const CHUNK: &str = "POST /slow HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nffff\r\n";

#[tokio::test(flavor = "multi_thread")]
async fn slow_heads_and_slow_bodies_are_cut_and_honest_clients_served_meanwhile() {
    let _quiet = quiet_machine().await;
    let farm = Farm::new().unwrap();
    let short = "[http]\nheader_timeout = \"1s\"\nread_timeout = \"5s\"\nbody_grace = \"1s\"\n";
    let balancer = farm.balancer(short).await.unwrap();
    let node = node(&balancer, "a", 100).await;
    let mut slow = JoinSet::new();
    for client in 0..CLIENTS {
        slow.spawn(drip(balancer.http, HEAD));
        slow.spawn(drip(balancer.http, if client % 2 == 0 { BODY } else { CHUNK }));
    }
    let over = AtomicBool::new(false);
    let cut = async {
        let cut = slow.join_all().await.into_iter().filter(|was_cut| *was_cut).count();
        over.store(true, Ordering::Relaxed);
        cut
    };
    let (cut, (served, failed)) = tokio::join!(cut, ask_until(&over, &balancer));
    println!("{cut} of {} slow clients were cut; {served} honest requests served", 2 * CLIENTS);
    assert!(cut * 100 >= 2 * CLIENTS * 95, "only {cut} slow clients were cut");
    assert_eq!(failed, Vec::<String>::new(), "honest clients were harmed");
    assert!(served > 0);
    let reached = node.seen().iter().filter(|seen| seen.uri.path() == "/slow").count();
    assert_eq!(reached, 0, "a request that never was whole reached the node as one");
}

/// Sends the beginning, and then a byte now and then; whether it was cut in time.
async fn drip(to: std::net::SocketAddr, beginning: &str) -> bool {
    let Ok(stream) = TcpStream::connect(to).await else { return false };
    let (mut read, mut write) = stream.into_split();
    let dripping = async {
        write.write_all(beginning.as_bytes()).await?;
        loop {
            write.write_all(b"a").await?;
            tokio::time::sleep(DRIP).await;
        }
    };
    let mut said = Vec::new();
    let ended = async {
        // However the connection ends, by a close or a reset: it does.
        tokio::select! {
            ended = read.read_to_end(&mut said) => ended.map(|_| ()),
            failed = dripping => failed,
        }
    };
    // It was cut for being slow, and not refused for anything else.
    timeout(CUT, ended).await.is_ok() && (said.is_empty() || said.starts_with(b"HTTP/1.1 408 "))
}

/// Asks until it is told to stop, on a kept connection and on fresh ones; how many requests were
/// served, and how the others failed.
async fn ask_until(stop: &AtomicBool, balancer: &Balancer) -> (usize, Vec<String>) {
    let (mut served, mut failed) = (0, Vec::new());
    let mut kept = balancer.client();
    while !stop.load(Ordering::Relaxed) {
        for client in [&mut kept, &mut balancer.client()] {
            match client.get("/honest").await {
                Ok(answer) if answer.status == 200 => served += 1,
                Ok(answer) => failed.push(answer.status.to_string()),
                Err(failure) => failed.push(failure.to_string()),
            }
        }
        tokio::time::sleep(PAUSE).await;
    }
    (served, failed)
}
