//! `muster-session-node`: the counter of the bench, with its sessions kept in one of several ways.

use std::net::SocketAddr;

use anyhow::Context as _;
use axum::serve::ListenerExt as _;
use clap::Parser;
use muster_loadtests::sessions::serve::{Kept, Server};
use tokio::net::TcpListener;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Serves /counter until it is killed
#[derive(Debug, Parser)]
#[command(name = "muster-session-node", version)]
struct Options {
    /// Where sessions are kept
    #[arg(long)]
    kept: Kept,
    /// Its name
    #[arg(long)]
    name: String,
    /// The port of its member
    #[arg(long, requires = "other")]
    port: Option<u16>,
    /// Where the other member is
    #[arg(long)]
    other: Option<SocketAddr>,
    /// Where Redis is
    #[arg(long)]
    redis: Option<SocketAddr>,
}

async fn run(options: Options) -> anyhow::Result<()> {
    let Options { kept, name, port, other, redis } = options;
    let server = Server { kept, member: port.zip(other), redis, name };
    let (router, cluster) = server.router().await?;
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    println!("listening http={}", listener.local_addr()?);
    let listener = listener.tap_io(|stream| {
        // A failure costs only time.
        let _ = stream.set_nodelay(true);
    });
    axum::serve(listener, router).await.context("the server ended")?;
    drop(cluster);
    Ok(())
}

fn main() -> anyhow::Result<()> {
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    runtime.block_on(run(Options::parse()))
}
