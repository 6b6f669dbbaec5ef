//! `muster-hostile`: plays the hostile suites through any proxy whose only node is this program.
//!
//! The proxy must send everything to the node's address, refuse bodies over a mebibyte, and give
//! up a silent node after a second and an exchange after three, for the suite to be fair.

use std::net::SocketAddr;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context as _;
use clap::{Parser, ValueEnum};
use muster_loadtests::hostile::backend::Backend;
use muster_loadtests::hostile::client::Front;
use muster_loadtests::hostile::differential::{Plan, compare};
use muster_loadtests::hostile::run::{Bounds, run_vectors};
use muster_loadtests::hostile::siege::run_answers;
use muster_loadtests::hostile::{answers, vectors};

/// Sends smuggling and conformance vectors, or gives hostile answers, and judges the proxy.
#[derive(Debug, Parser)]
#[command(name = "muster-hostile", version)]
struct Options {
    /// Where the proxy listens
    proxy: SocketAddr,
    /// Where the proxy's only node is; this program listens there
    node: SocketAddr,
    /// Which suite
    #[arg(value_enum, default_value_t = Suite::Vectors)]
    suite: Suite,
    /// Only the cases whose name contains this
    #[arg(long, value_name = "WORDS", default_value = "")]
    only: String,
    /// The proxy that `differential` compares with; it has the same node
    #[arg(long, value_name = "PROXY", required_if_eq("suite", "differential"))]
    other: Option<SocketAddr>,
    /// How many requests `differential` generates
    #[arg(long, default_value_t = 2_000)]
    count: u64,
    /// The seed of `differential`
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Clients of hostile answers speak HTTP/2, with prior knowledge
    #[arg(long)]
    http2: bool,
    /// How long a client of a hostile answer waits
    #[arg(long, value_parser = humantime::parse_duration, default_value = "8s")]
    within: Duration,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Suite {
    /// What clients send
    Vectors,
    /// What nodes answer
    Answers,
    /// Generated requests, through --other too, and what arrives compared
    Differential,
}

impl Options {
    fn front(&self) -> Front {
        if self.http2 { Front::Http2 } else { Front::Http1 }
    }
}

async fn run(options: &Options) -> anyhow::Result<bool> {
    let backend = Backend::bind(options.node).await?;
    let report = match options.suite {
        Suite::Vectors => {
            let mut vectors = vectors::all();
            vectors.retain(|vector| vector.name.contains(&options.only));
            run_vectors(options.proxy, &backend, &vectors, Bounds::default()).await
        }
        Suite::Answers => {
            let mut answers = answers::all();
            answers.retain(|answer| answer.name.contains(&options.only));
            run_answers(options.front(), options.proxy, &backend, &answers, options.within).await
        }
        Suite::Differential => {
            let other = options.other.context("--other names the other proxy")?;
            let plan = Plan::new(options.seed, options.count);
            let comparison = compare(options.proxy, other, &backend, plan).await;
            println!("seed {}\n{comparison}", options.seed);
            return Ok(comparison.is_alike());
        }
    };
    println!("{report}");
    Ok(report.failed() == 0)
}

fn main() -> anyhow::Result<ExitCode> {
    let options = Options::parse();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    match runtime.block_on(run(&options))? {
        true => Ok(ExitCode::SUCCESS),
        false => Ok(ExitCode::FAILURE),
    }
}
