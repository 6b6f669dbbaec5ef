//! What the stories share.

use std::time::Duration;

use muster_loadtests::scenario::{End, Scenario};
use muster_loadtests::testkit::{Balancer, Node, NodeOptions};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::{Mutex, MutexGuard};

/// How long a story waits for what should be there in a moment.
pub(crate) const SOON: Duration = Duration::from_secs(10);

/// As many requests as 16 connections get answered within the moment in which a Tomcat has unmapped
/// its context and not yet said so: 2 to 29 were seen.
#[cfg(feature = "system")]
pub(crate) const UNMAPPED: u64 = 80;

static LOAD: Mutex<()> = Mutex::const_new(());

/// Held by stories that send much: one at a time, so that none judges another's load.
pub(crate) async fn quiet_machine() -> MutexGuard<'static, ()> {
    LOAD.lock().await
}

/// How many rounds a story of chance takes: a few here, `MUSTER_ROUNDS` in a long run.
pub(crate) fn rounds(few: u32) -> u32 {
    std::env::var("MUSTER_ROUNDS").ok().and_then(|rounds| rounds.parse().ok()).unwrap_or(few)
}

/// The seed of a story of chance: `MUSTER_SEED`, or another one each time. It is printed, so that what
/// was found can be seen again.
pub(crate) fn seed() -> u64 {
    let seed = std::env::var("MUSTER_SEED").ok().and_then(|seed| seed.parse().ok());
    let seed = seed.unwrap_or_else(rand::random);
    eprintln!("seed {seed}");
    seed
}

/// A node with a load, a context `/` and nothing else of note.
pub(crate) async fn node(balancer: &Balancer, route: &str, load: i32) -> Node {
    node_with(balancer, route, NodeOptions { load, ..NodeOptions::default() }).await
}

/// A registered node that takes traffic.
pub(crate) async fn node_with(balancer: &Balancer, route: &str, options: NodeOptions) -> Node {
    let node = Node::register(route, balancer.mcmp, &options).await.unwrap();
    if options.load > 0 {
        balancer.await_usable(&[route], SOON).await.unwrap();
    }
    node
}

/// Closed-loop GETs of a path.
pub(crate) fn gets(balancer: &Balancer, path: &str, connections: usize, end: End) -> Scenario {
    let mut scenario = Scenario::get(&format!("http://{}{path}", balancer.http)).unwrap();
    (scenario.connections, scenario.end) = (connections, end);
    scenario.check().unwrap()
}

/// Sends the upgrade, reads the head of the answer, gives back the open connection.
pub(crate) async fn upgrade(balancer: &Balancer) -> (String, TcpStream) {
    let mut stream = TcpStream::connect(balancer.http).await.unwrap();
    let request = "GET /ws HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
                   Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
    stream.write_all(request.as_bytes()).await.unwrap();
    (head(&mut stream).await, stream)
}

/// Reads the head of an answer, with the empty line that ends it.
pub(crate) async fn head(stream: &mut TcpStream) -> String {
    let mut head = Vec::new();
    let reading = async {
        while !head.ends_with(b"\r\n\r\n") {
            head.push(stream.read_u8().await.unwrap());
        }
    };
    tokio::time::timeout(SOON, reading).await.expect("an answer comes");
    String::from_utf8(head).unwrap()
}
