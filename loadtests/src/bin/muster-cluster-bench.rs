//! `muster-cluster-bench`: the figures of docs/performance.md, each by one command.

use std::net::TcpListener;
#[cfg(feature = "nats")]
use std::path::PathBuf;
use std::time::Duration;

use clap::{Parser, Subcommand};
use muster_loadtests::cluster::bench::failover::{self, Happens};
#[cfg(feature = "nats")]
use muster_loadtests::cluster::bench::nats;
use muster_loadtests::cluster::bench::{Table, VALUE, calm, echo, join, puts, queue};

/// Measures clusters of real processes, beside a TCP echo and Redis.
#[derive(Debug, Parser)]
#[command(name = "muster-cluster-bench", version)]
struct Options {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Writes of 1 KiB to two processes, and commits and reads, beside a TCP echo and Redis
    Puts {
        /// How long a turn measures
        #[arg(long, value_parser = humantime::parse_duration, default_value = "2s")]
        lasts: Duration,
        /// Turns; a figure is their median
        #[arg(long, default_value_t = 5)]
        turns: u32,
        /// Worker threads of a member
        #[arg(long, default_value_t = 2)]
        threads: usize,
    },
    /// One of three members dies by kill -9: until the others have a new view, and the longest time
    /// without a write
    Failover {
        /// How often
        #[arg(long, default_value_t = 20)]
        runs: u32,
    },
    /// One of three members freezes: the same
    Frozen {
        /// How often
        #[arg(long, default_value_t = 20)]
        runs: u32,
    },
    /// A newcomer to two members that are full: until it has its share, what is lost, and what
    /// memory the data takes
    Join {
        /// How many entries of 1 KiB
        #[arg(long, default_value_t = 100_000)]
        entries: u32,
    },
    /// Messages of 1 KiB through a queue of three members, beside NATS JetStream with three replicas
    Queue {
        /// How many messages a turn has
        #[arg(long, default_value_t = 200_000)]
        messages: u64,
        /// Turns; a figure is their median
        #[arg(long, default_value_t = 3)]
        turns: u32,
        /// The program nats-server to compare with
        #[cfg(feature = "nats")]
        #[arg(long)]
        nats: Option<PathBuf>,
    },
    /// Three members on a busy machine: fails when one is taken for dead
    Calm {
        /// How long
        #[arg(long, value_parser = humantime::parse_duration, default_value = "10m")]
        lasts: Duration,
        /// Busy threads
        #[arg(long, default_value_t = 16)]
        load: usize,
    },
    /// Answers the floor's requests
    #[command(hide = true)]
    ServeEcho,
}

fn serve_echo() -> anyhow::Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    println!("listening tcp={}", listener.local_addr()?);
    Ok(echo::serve(&listener)?)
}

async fn run(what: What) -> anyhow::Result<()> {
    match what {
        What::Puts { lasts, turns, threads } => {
            println!("{}", puts::run(lasts, turns, threads).await?);
        }
        What::Failover { runs } => println!("{}", failover::run(Happens::Killed, runs).await?),
        What::Frozen { runs } => println!("{}", failover::run(Happens::Frozen, runs).await?),
        What::Join { entries } => {
            let joined = join::run(entries, VALUE).await?;
            println!("{joined}");
            anyhow::ensure!(joined.lost == 0, "{} entries are lost", joined.lost);
        }
        What::Queue {
            messages,
            turns,
            #[cfg(feature = "nats")]
                nats: program,
        } => {
            let mut table = Table::default();
            // Ours is gone when the other begins: each has the machine.
            queue::run(&mut table, messages, VALUE, turns).await?;
            #[cfg(feature = "nats")]
            if let Some(program) = program {
                nats::run(&mut table, &program, (messages, VALUE, turns)).await?;
            }
            println!("{table}");
        }
        What::Calm { lasts, load } => {
            let views = calm::run(lasts, load).await?;
            println!("{lasts:?} with {load} busy threads: {views} views without somebody");
            anyhow::ensure!(views == 0, "a member was taken for dead");
        }
        What::ServeEcho => serve_echo()?,
    }
    Ok(())
}

fn main() -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(run(Options::parse().what))
}
