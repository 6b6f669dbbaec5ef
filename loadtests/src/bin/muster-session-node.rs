//! `muster-session-node`: the counter of the bench, with its sessions kept in one of several ways.

use std::net::SocketAddr;
use std::path::PathBuf;

use anyhow::Context as _;
use axum::serve::ListenerExt as _;
use clap::Parser;
use muster_loadtests::sessions::serve::{Bound, Kept, Server};
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};

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
    /// Where another member is
    #[arg(long)]
    other: Vec<SocketAddr>,
    /// Sessions in memory at most
    #[arg(long, requires = "store")]
    max_active: Option<usize>,
    /// The file for the other sessions, kept beyond the process's end
    #[arg(long)]
    store: Option<PathBuf>,
    /// Write every commit to the store at once
    #[arg(long, requires = "store")]
    write_through: bool,
    /// Where the member keeps what it must not forget
    #[arg(long)]
    data_dir: Option<PathBuf>,
    /// Where Redis is
    #[arg(long)]
    redis: Option<SocketAddr>,
    /// A store in which every commit is saved too: postgres://... or redis://...
    #[arg(long)]
    shared: Option<String>,
}

async fn run(options: Options) -> anyhow::Result<()> {
    let Options { kept, name, port, other, redis, data_dir, write_through, shared, .. } = options;
    let bound = options.max_active.zip(options.store);
    let bound = bound.map(|(most, store)| Bound { most, store, write_through });
    let member = port.map(|port| (port, other));
    let server = Server { kept, member, bound, data_dir, redis, shared, name };
    let mut ending = signal(SignalKind::terminate())?;
    let (router, cluster) = server.router().await?;
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    println!("listening http={}", listener.local_addr()?);
    let listener = listener.tap_io(|stream| {
        // A failure costs only time.
        let _ = stream.set_nodelay(true);
    });
    tokio::select! {
        ended = axum::serve(listener, router) => ended.context("the server ended")?,
        _ = ending.recv() => {}
    }
    if let Some(cluster) = cluster {
        cluster.leave().await;
    }
    Ok(())
}

fn main() -> anyhow::Result<()> {
    tracing_subscriber::fmt().with_writer(std::io::stderr).with_ansi(false).init();
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    runtime.block_on(run(Options::parse()))
}
