//! `muster-member`: a member of a cluster that does what a test asks it over a Unix socket.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use clap::Parser;
use muster_agent::engine::{Engine, MapSpec, Mode};
use muster_loadtests::cluster::serve::{Served, serve, tell_views};
use muster_loadtests::cluster::singleton;

/// How long an operation tries before it says so: less than the test waits for the answer.
const DEADLINE: Duration = Duration::from_secs(3);

/// Joins a cluster and serves a test.
#[derive(Debug, Parser)]
#[command(name = "muster-member", version)]
struct Options {
    /// Its name
    #[arg(long)]
    name: String,
    /// Where it answers the test
    #[arg(long)]
    socket: PathBuf,
    /// What outlives the process
    #[arg(long)]
    data: PathBuf,
    /// Where the channel listens; without it the member is alone
    #[arg(long)]
    channel: Option<SocketAddr>,
    /// Where another may listen
    #[arg(long = "peer")]
    peers: Vec<SocketAddr>,
    /// The multicast group in which members find each other
    #[arg(long)]
    multicast: Option<SocketAddr>,
    /// The file with the cluster's secret
    #[arg(long)]
    secret_file: Option<PathBuf>,
    /// The cluster quorum
    #[arg(long)]
    quorum: Option<u16>,
    /// A lease to campaign for over and over
    #[arg(long, requires = "journal")]
    lease: Option<String>,
    /// Where it is noted when the lease was held
    #[arg(long)]
    journal: Option<PathBuf>,
    /// Worker threads
    #[arg(long, default_value_t = 2)]
    threads: usize,
}

impl Options {
    async fn engine(&self) -> anyhow::Result<Arc<dyn Engine>> {
        Ok(Arc::new(muster_agent::engine::Local::new(&self.name)))
    }

    async fn run(self) -> anyhow::Result<()> {
        let _ = std::fs::remove_file(&self.socket);
        let engine = self.engine().await?;
        let mut spec = MapSpec::new("proof", Mode::Distributed);
        spec.deadline = DEADLINE;
        let map = engine.map(spec)?;
        tokio::spawn(tell_views(engine.clone()));
        if let (Some(lease), Some(journal)) = (self.lease.clone(), self.journal.clone()) {
            let leases = engine.leases();
            tokio::spawn(async move {
                if let Err(error) = singleton::campaign(leases, lease, &journal).await {
                    eprintln!("the journal: {error}");
                }
            });
        }
        println!("listening socket={}", self.socket.display());
        serve(Served::new(engine, map), &self.socket).await.context("the socket")
    }
}

fn main() -> anyhow::Result<()> {
    let options = Options::parse();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(options.threads)
        .enable_all()
        .build()?;
    runtime.block_on(options.run())
}
