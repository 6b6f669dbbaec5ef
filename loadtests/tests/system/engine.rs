//! The HTTP/1 engine, byte by byte: raw clients on one side, raw nodes on the other.

mod bodies;
mod ends;
mod odd;

use muster_loadtests::testkit::{Balancer, Client, Farm, Raw, RawNode, eventually};
use tokio::net::TcpStream;

use super::support::SOON;

/// More than all buffers on the way hold.
pub(crate) const LARGE: usize = 8 << 20;

pub(crate) const GET: &str = "GET / HTTP/1.1\r\nHost: x\r\n\r\n";
pub(crate) const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

/// A balancer with one raw node, and a client.
pub(crate) async fn stage(toml: &str) -> (Farm, Balancer, RawNode, Raw<TcpStream>) {
    let farm = Farm::new().unwrap();
    let balancer = farm.balancer(toml).await.unwrap();
    let node = RawNode::register("a", balancer.mcmp, &["/"]).await.unwrap();
    balancer.await_usable(&["a"], SOON).await.unwrap();
    let client = Raw::connect(balancer.http).await.unwrap();
    (farm, balancer, node, client)
}

/// Bytes that do not repeat where buffers do.
pub(crate) fn bytes(length: usize) -> Vec<u8> {
    (0..length as u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 13) as u8).collect()
}

/// Waits until the metrics say that so many requests are at the node, or connections open.
pub(crate) async fn await_metric(balancer: &Balancer, name: &str, expected: u64) {
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

pub(crate) async fn connect_and_get(balancer: &Balancer) -> Raw<TcpStream> {
    let mut client = Raw::connect(balancer.http).await.unwrap();
    client.send(GET).await.unwrap();
    client
}
