//! `muster-session-bench`: what a session costs, beside a plain map and beside Redis.

use std::time::Duration;

use clap::Parser;
use muster_loadtests::sessions::bench::{Plan, run};

/// Measures a counter whose sessions are kept in several ways, in turns
#[derive(Debug, Parser)]
#[command(name = "muster-session-bench", version)]
struct Options {
    /// What each request asks for
    #[arg(long, default_value = "fill=10&size=4096&touch=1")]
    query: String,
    /// Callers at once, each with a session of its own
    #[arg(long, value_delimiter = ',', default_value = "1,16")]
    callers: Vec<usize>,
    /// How long a turn takes
    #[arg(long, value_parser = humantime::parse_duration, default_value = "2s")]
    lasts: Duration,
    /// Turns; a figure is their median
    #[arg(long, default_value_t = 5)]
    turns: u32,
    /// Only rows whose name contains this
    #[arg(long)]
    only: Option<String>,
}

fn main() -> anyhow::Result<()> {
    let Options { query, callers, lasts, turns, only } = Options::parse();
    let plan = Plan { query, callers, lasts, turns, only };
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    println!("{}", runtime.block_on(run(&plan))?);
    Ok(())
}
