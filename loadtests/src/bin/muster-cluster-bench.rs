//! `muster-cluster-bench`: the figures of docs/performance.md, each by one command.

use std::net::TcpListener;
use std::time::Duration;

use clap::{Parser, Subcommand};
use muster_loadtests::cluster::bench::figure::measured;
use muster_loadtests::cluster::bench::redis::Redis;
use muster_loadtests::cluster::bench::{Table, echo};
use muster_loadtests::testkit::process::{Process, Spec};

/// Measures clusters of real processes, beside a TCP echo and Redis.
#[derive(Debug, Parser)]
#[command(name = "muster-cluster-bench", version)]
struct Options {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Writes of 1 KiB to two processes, at 1 and 32 callers
    Puts {
        /// How long a turn measures
        #[arg(long, value_parser = humantime::parse_duration, default_value = "2s")]
        lasts: Duration,
        /// Turns; a figure is their median
        #[arg(long, default_value_t = 5)]
        turns: u32,
    },
    /// Answers the floor's requests
    #[command(hide = true)]
    ServeEcho,
}

/// How callers share connections to Redis: connections, and callers on each.
const SHARINGS: [(usize, usize); 5] = [(1, 1), (1, 32), (2, 16), (8, 4), (32, 1)];

async fn puts(lasts: Duration, turns: u32) -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let spec = Spec {
        name: "echo".into(),
        program: std::env::current_exe()?,
        arguments: vec!["serve-echo".into()],
        folder: folder.path().to_owned(),
    };
    let server = Process::start(spec).await?;
    let address = server.listening("tcp").ok_or(anyhow::anyhow!("the echo has no address"))?;
    let redis = Redis::start(folder.path())?;
    let own = std::process::id();
    let mut table = Table::default();
    for _ in 0..turns {
        for callers in [1, 32] {
            let figure = measured(&[own, server.id()], || echo::ask(address, callers, lasts))?;
            table.note(&format!("TCP echo, callers: {callers}"), figure);
        }
        let mut pids = redis.pids();
        pids.push(own);
        for (connections, callers) in SHARINGS {
            let all = connections * callers;
            let row = format!("Redis, callers: {all}, connections: {connections}");
            let figure = measured(&pids, || redis.set(connections, callers, lasts))?;
            table.note(&row, figure);
        }
    }
    println!("{table}");
    Ok(())
}

fn serve_echo() -> anyhow::Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    println!("listening tcp={}", listener.local_addr()?);
    Ok(echo::serve(&listener)?)
}

fn main() -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    match Options::parse().what {
        What::Puts { lasts, turns } => runtime.block_on(puts(lasts, turns)),
        What::ServeEcho => serve_echo(),
    }
}
