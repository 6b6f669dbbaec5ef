//! `muster-member`: a member of a cluster that does what a test asks it over a Unix socket.

use std::net::{SocketAddr, SocketAddrV4};
use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context as _;
use clap::Parser;
use muster_agent::Cluster;
use muster_agent::engine::{MapSpec, Mode};
use muster_agent::finding::Multicast;
use muster_loadtests::cluster::serve::{Served, serve, tell_views};
use muster_loadtests::cluster::{JobWork, QueueWork, Single, job, queue, single, singleton};

/// The allocator that the balancer has too: a value of 1 KiB is just beyond what glibc's is quick at.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

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
    multicast: Option<SocketAddrV4>,
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
    /// A singleton to offer
    #[arg(long, requires = "runs")]
    singleton: Option<String>,
    /// Which candidate runs it, by age
    #[arg(long, default_value_t = 0, allow_negative_numbers = true)]
    position: i32,
    /// Who is preferred
    #[arg(long = "prefer")]
    prefers: Vec<String>,
    /// How many candidates there must be
    #[arg(long)]
    policy_quorum: Option<u16>,
    /// Where it is noted when the singleton ran
    #[arg(long)]
    runs: Option<PathBuf>,
    /// A job to do
    #[arg(long, requires = "firings")]
    job: Option<String>,
    /// How often it fires, in milliseconds
    #[arg(long, default_value_t = 200)]
    every_ms: u64,
    /// Where it is noted when the job ran
    #[arg(long)]
    firings: Option<PathBuf>,
    /// A queue to work with
    #[arg(long)]
    queue: Option<String>,
    /// How many messages it publishes, in all of its lives
    #[arg(long, default_value_t = 0)]
    publishes: u64,
    /// How many a second, 0 for as fast as it goes
    #[arg(long, default_value_t = 0)]
    rate: u64,
    /// How many consumers it has
    #[arg(long, default_value_t = 0)]
    consumers: usize,
    /// The bytes of a message
    #[arg(long, default_value_t = 1024)]
    size: usize,
    /// Where it is noted what was published and handled
    #[arg(long)]
    parcels: Option<PathBuf>,
    /// The queue's own journal, with which it outlives a restart of all members
    #[arg(long)]
    kept: Option<PathBuf>,
    /// Worker threads
    #[arg(long, default_value_t = 2)]
    threads: usize,
}

impl Options {
    /// The cluster; alone where no channel is named.
    async fn join(&self) -> anyhow::Result<Cluster> {
        let builder = Cluster::builder(&self.name);
        let Some(channel) = self.channel else { return Ok(builder.local()) };
        let mut builder = builder.bind(channel.ip()).port(channel.port()).data_dir(&self.data);
        // Several members of a test share a machine.
        builder = builder.manage_port(0);
        builder = match self.multicast {
            Some(group) => builder.multicast(Multicast::default().group(group)),
            None => builder.members(self.peers.iter().map(SocketAddr::to_string)),
        };
        if let Some(file) = &self.secret_file {
            builder = builder.secret_file(file);
        }
        if let Some(quorum) = self.quorum {
            builder = builder.quorum(quorum);
        }
        Ok(builder.join().await?)
    }

    async fn run(self) -> anyhow::Result<()> {
        let _ = std::fs::remove_file(&self.socket);
        let cluster = self.join().await?;
        let engine = cluster.engine().clone();
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
        if let (Some(name), Some(runs)) = (&self.singleton, &self.runs) {
            let (name, prefers) = (name.clone(), self.prefers.clone());
            let (position, quorum) = (self.position, self.policy_quorum);
            let single = Single { name, position, prefers, quorum };
            single::offer(&cluster, &single, map.clone(), runs)?;
        }
        let doing = match (&self.job, &self.firings) {
            (Some(name), Some(firings)) => {
                let work = JobWork { name: name.clone(), every_ms: self.every_ms };
                Some(job::offer(&cluster, &work, map.clone(), firings)?)
            }
            _ => None,
        };
        let working = self.queue.as_ref().map(|name| {
            let (publishes, rate) = (self.publishes, self.rate);
            let (consumers, size) = (self.consumers, self.size);
            let work = QueueWork {
                name: name.clone(),
                publishes,
                rate,
                consumers,
                size,
                has_journal: self.parcels.is_some(),
                is_kept: self.kept.is_some(),
            };
            let (parcels, kept) = (self.parcels.as_deref(), self.kept.as_deref());
            queue::offer(&cluster, &self.name, &work, parcels, kept)
        });
        let working = working.transpose()?;
        let mut served = Served::new(engine, map).of(&cluster);
        if let Some(working) = &working {
            served = served.counting(working.handled.clone());
        }
        println!("listening socket={}", self.socket.display());
        serve(served, &self.socket).await.context("the socket")?;
        cluster.leave().await;
        drop(doing);
        Ok(())
    }
}

fn main() -> anyhow::Result<()> {
    let options = Options::parse();
    tracing_subscriber::fmt().with_writer(std::io::stderr).with_ansi(false).init();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(options.threads)
        .enable_all()
        .build()?;
    runtime.block_on(options.run())
}
