//! A timer that fires on one member of a cluster: on `node1` whenever it is there. With `--clustered` it
//! is one member of a cluster of processes.

use std::time::Duration;

use async_trait::async_trait;
use clap::Parser;
use muster_agent::Cluster;
use muster_agent::singleton::{Failure, Policy, Service, Singleton, Term};
use muster_examples::cluster::members;
use muster_examples::clustered::Node;
use muster_examples::ending::Ending;
use tokio::sync::mpsc;

/// The timer's name in the cluster.
const NAME: &str = "quickstart.ha.singleton.timer";
/// Longer than an answer takes on a busy machine.
const WAIT: Duration = Duration::from_secs(30);

/// A timer that fires on one member of a cluster
#[derive(Parser)]
struct Options {
    #[command(flatten)]
    node: Node,
    /// How often the timer fires, in milliseconds
    #[arg(long, value_name = "MS", default_value_t = 10_000,
        value_parser = clap::value_parser!(u64).range(1..))]
    every: u64,
}

/// The service: one of it is started in the whole cluster.
struct HaTimerService {
    every: Duration,
    fired: mpsc::Sender<String>,
}

#[async_trait]
impl Service for HaTimerService {
    async fn start(&self, term: Term) -> Result<(), Failure> {
        term.publish(&format!("HaTimerService is started at {}", term.node()))?;
        let mut timer = tokio::time::interval(self.every);
        while term.is_active() {
            tokio::select! {
                _ = timer.tick() => {}
                () = term.stopped() => break,
            }
            // Whoever does not listen any more has ended.
            let _ = self.fired.send(format!("HASingleton timer @{}", term.node())).await;
        }
        Ok(())
    }
}

/// Installs the service as a clustered singleton.
fn activate(
    member: &Cluster,
    every: Duration,
    fired: mpsc::Sender<String>,
) -> anyhow::Result<Singleton> {
    let policy = Policy::oldest().prefer("node1");
    Ok(Singleton::builder(NAME).policy(policy).serve(member, HaTimerService { every, fired })?)
}

/// What the provider has published. Nobody's answer is no answer: then it is asked again.
async fn asked(member: &Cluster) -> anyhow::Result<String> {
    let answer = async {
        loop {
            if let Some(value) = member.provided(NAME).await? {
                return anyhow::Ok(value);
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(WAIT, answer).await?
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let Options { node, every } = Options::parse();
    let (every, (fired, mut fires)) = (Duration::from_millis(every), mpsc::channel(1));
    if node.clustered {
        return one_of_many(&node, every, fired, fires).await;
    }
    let members = members(3).await?;
    let every = every.min(Duration::from_millis(50));
    // Who offers it first knows of nobody else who does, and runs it.
    activate(&members[0], every, fired.clone())?;
    println!("{}", fires.recv().await.unwrap_or_default());
    for member in &members[1..] {
        activate(member, every, fired.clone())?;
    }
    println!("node3 asks: {}", asked(&members[2]).await?);
    members[0].leave().await;
    println!("node1 has left");
    // What it fired last may be on its way still.
    let mut next = fires.recv().await.unwrap_or_default();
    while next.ends_with("node1") {
        next = fires.recv().await.unwrap_or_default();
    }
    println!("{next}");
    members[2].leave().await;
    members[1].leave().await;
    Ok(())
}

/// One process of a cluster, until it is asked to end.
async fn one_of_many(
    node: &Node,
    every: Duration,
    fired: mpsc::Sender<String>,
    mut fires: mpsc::Receiver<String>,
) -> anyhow::Result<()> {
    let mut ending = Ending::new(false)?;
    let member = node.join().await?;
    println!("member {} at {}", member.me().name, member.me().address);
    activate(&member, every, fired)?;
    loop {
        tokio::select! {
            Some(fire) = fires.recv() => println!("{fire}"),
            _ = ending.asked() => break,
        }
    }
    member.leave().await;
    Ok(())
}
