//! A balancer and one AJP node of our own behind it.

use muster_loadtests::testkit::ajp::{AjpNode, frames};
use muster_loadtests::testkit::{Balancer, Farm};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::system::support::SOON;

/// A balancer with one AJP node that takes traffic.
pub(super) struct Pair {
    pub(super) balancer: Balancer,
    pub(super) node: AjpNode,
    // Last: the balancer lives in its folder.
    pub(super) _farm: Farm,
}

impl Pair {
    /// On one thread, so that there is one pool of connections.
    pub(super) async fn join(toml: &str) -> Pair {
        let farm = Farm::new().unwrap();
        let balancer = farm.balancer(&format!("threads = 1\n{toml}")).await.unwrap();
        let node = AjpNode::register("a", balancer.mcmp).await.unwrap();
        balancer.await_usable(&["a"], SOON).await.unwrap();
        Pair { balancer, node, _farm: farm }
    }

    /// A connection of a client.
    pub(super) async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.balancer.http).await.unwrap()
    }

    /// Sends a request as it stands, and reads until the connection ends, in order or not.
    pub(super) async fn say(&self, text: &[u8]) -> (String, std::io::Result<()>) {
        let mut stream = self.connect().await;
        stream.write_all(text).await.unwrap();
        let mut said = Vec::new();
        let reading = tokio::time::timeout(SOON, stream.read_to_end(&mut said));
        let ended = reading.await.expect("the connection ends").map(|_| ());
        (String::from_utf8_lossy(&said).into_owned(), ended)
    }
}

/// A whole answer in frames.
pub(super) fn answer(status: u16, headers: &[(&str, &str)], body: &[&[u8]]) -> Vec<u8> {
    let mut frames = frames::answer_head(status, headers);
    body.iter().for_each(|part| frames.extend(frames::chunk(part)));
    frames.extend(frames::end(true));
    frames
}
