//! NATS JetStream: three servers, a stream in memory with three replicas, a pull consumer.

use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use async_nats::jetstream::consumer::{AckPolicy, PullConsumer, pull};
use async_nats::jetstream::stream::{Config, RetentionPolicy, StorageType};
use async_nats::jetstream::{self, Context};
use bytes::Bytes;
use futures_util::StreamExt as _;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use super::figure::{Latencies, Table};
use super::queue::{CALLERS, figure};
use crate::cluster::cpu;
use crate::testkit::ports::free_address;

const SERVERS: usize = 3;
const PRODUCERS: usize = 2;
const CONSUMERS: usize = 4;
/// Messages that a consumer asks for at a time.
const BATCH: usize = 256;
const STREAM: &str = "bench";
/// How long servers may take until they have a leader, and a turn until it is through.
const PATIENCE: Duration = Duration::from_secs(300);
const PAUSE: Duration = Duration::from_millis(100);

/// Three servers. Dropping them ends them.
#[derive(Debug)]
struct Servers {
    children: Vec<Child>,
    addresses: Vec<SocketAddr>,
}

impl Servers {
    fn start(program: &Path, folder: &Path) -> anyhow::Result<Servers> {
        let mut servers = Servers { children: Vec::new(), addresses: Vec::new() };
        let mut routes = Vec::new();
        for _ in 0..SERVERS {
            servers.addresses.push(free_address()?);
            routes.push(free_address()?);
        }
        let all =
            routes.iter().map(|route| format!("nats://{route}")).collect::<Vec<_>>().join(",");
        for (number, (client, route)) in servers.addresses.iter().zip(&routes).enumerate() {
            let name = format!("n{number}");
            let child = Command::new(program)
                .args(["-js", "-sd"])
                .arg(folder.join(&name))
                .args(["-a", "127.0.0.1", "-p", &client.port().to_string(), "-n", &name])
                .args(["--cluster_name", "bench", "--cluster", &format!("nats://{route}")])
                .args(["--routes", &all])
                .stdin(Stdio::null())
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .spawn()
                .with_context(|| program.display().to_string())?;
            servers.children.push(child);
        }
        Ok(servers)
    }

    /// The servers', and this process', which has the clients.
    fn pids(&self) -> Vec<u32> {
        self.children.iter().map(Child::id).chain([std::process::id()]).collect()
    }

    async fn client(&self, at: usize) -> anyhow::Result<Context> {
        let address = self.addresses[at % SERVERS];
        let began = Instant::now();
        loop {
            match async_nats::connect(format!("nats://{address}")).await {
                Ok(client) => return Ok(jetstream::new(client)),
                Err(error) if began.elapsed() > PATIENCE => return Err(error.into()),
                Err(_) => sleep(PAUSE).await,
            }
        }
    }
}

impl Drop for Servers {
    fn drop(&mut self) {
        for child in &mut self.children {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// Measures it, so many turns of so many messages, with the program `nats-server`.
///
/// # Errors
/// When something does not start or does not answer.
pub async fn run(
    table: &mut Table,
    program: &Path,
    (messages, size, turns): (u64, usize, u32),
) -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let servers = Servers::start(program, folder.path())?;
    let began = Instant::now();
    let context = servers.client(0).await?;
    let config = || Config {
        name: STREAM.into(),
        subjects: vec![STREAM.into()],
        retention: RetentionPolicy::WorkQueue,
        storage: StorageType::Memory,
        num_replicas: SERVERS,
        ..Config::default()
    };
    // Until the servers have found each other there is no room for three replicas.
    while let Err(error) = context.create_stream(config()).await {
        anyhow::ensure!(began.elapsed() < PATIENCE, "no stream: {error}");
        sleep(PAUSE).await;
    }
    turn(&servers, messages / 10, size, table, None).await?;
    for _ in 0..turns {
        turn(&servers, messages, size, table, Some("NATS JetStream, 3 replicas")).await?;
    }
    Ok(())
}

async fn turn(
    servers: &Servers,
    messages: u64,
    size: usize,
    table: &mut Table,
    row: Option<&str>,
) -> anyhow::Result<()> {
    let pids = servers.pids();
    let (used, began) = (cpu::used(&pids), Instant::now());
    let mut consumers = JoinSet::new();
    let handled = Arc::new(AtomicU64::new(0));
    for at in 0..CONSUMERS {
        let context = servers.client(at).await?;
        let (handled, all) = (handled.clone(), all(messages));
        consumers.spawn(async move { consume(&context, &handled, all).await });
    }
    let mut producers = JoinSet::new();
    for at in 0..PRODUCERS {
        let producer = servers.client(at).await?;
        for _ in 0..CALLERS {
            let (context, count) = (producer.clone(), all(messages) / (PRODUCERS * CALLERS) as u64);
            producers.spawn(async move { publish(&context, count, size).await });
        }
    }
    let mut latencies = Latencies::default();
    while let Some(published) = producers.join_next().await {
        latencies.merge(&published??);
    }
    timeout(PATIENCE, consumers.join_next()).await.context("not all were handled")?;
    let (took, used) = (began.elapsed(), cpu::used(&pids).saturating_sub(used));
    if let Some(row) = row {
        let published = latencies.figure(took, used);
        table.note(row, figure(published, latencies.count(), took, used));
    }
    Ok(())
}

/// Each caller publishes as many as the others.
fn all(messages: u64) -> u64 {
    let callers = (PRODUCERS * CALLERS) as u64;
    messages / callers * callers
}

async fn publish(context: &Context, count: u64, size: usize) -> anyhow::Result<Latencies> {
    let body = Bytes::from(vec![b'm'; size]);
    let mut latencies = Latencies::default();
    for _ in 0..count {
        let began = Instant::now();
        context.publish(STREAM, body.clone()).await?.await?;
        latencies.note(began.elapsed());
    }
    Ok(latencies)
}

/// Takes and acknowledges until all were handled.
async fn consume(context: &Context, handled: &AtomicU64, all: u64) -> anyhow::Result<()> {
    let config = pull::Config {
        durable_name: Some(STREAM.into()),
        ack_policy: AckPolicy::Explicit,
        max_ack_pending: i64::try_from(BATCH * CONSUMERS * 4)?,
        num_replicas: SERVERS,
        memory_storage: true,
        ..pull::Config::default()
    };
    let stream = context.get_stream(STREAM).await?;
    let consumer: PullConsumer = stream.get_or_create_consumer(STREAM, config).await?;
    let mut messages = consumer.stream().max_messages_per_batch(BATCH).messages().await?;
    while let Some(message) = messages.next().await {
        message?.ack().await.map_err(anyhow::Error::msg)?;
        if handled.fetch_add(1, Ordering::Relaxed) + 1 >= all {
            return Ok(());
        }
    }
    anyhow::bail!("the messages ended")
}
