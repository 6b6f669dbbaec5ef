//! A balancer and two back ends to try; see `demo --help`.

use std::ffi::OsString;
use std::process::ExitCode;

use clap::Parser;
use muster_examples::{counter, demo, ending};
use rustix::process::{Signal, getpid, kill_process};
use tracing_subscriber::EnvFilter;

fn main() -> ExitCode {
    let args: Vec<OsString> = std::env::args_os().collect();
    match args.get(1).and_then(|arg| arg.to_str()) {
        Some("balancer") => balancer(&args[2..]),
        Some("counter") => {
            log();
            answer(block_on(counter::run(counter::Options::parse_from(&args[1..]))))
        }
        _ => answer(block_on(demo::run(demo::Options::parse()))),
    }
}

/// `muster run` in this process, with an end that comes with that of standard input.
fn balancer(args: &[OsString]) -> ExitCode {
    std::thread::spawn(|| {
        ending::wait_for_end_of_stdin();
        // The balancer drains at SIGTERM. It cannot fail: the process is this one.
        let _ = kill_process(getpid(), Signal::TERM);
    });
    let command = ["muster", "run"].map(OsString::from);
    muster_balancer::cli::run(
        command.into_iter().chain(args.iter().cloned()),
        muster_balancer::serve,
    )
}

fn block_on(future: impl Future<Output = anyhow::Result<()>>) -> anyhow::Result<()> {
    tokio::runtime::Runtime::new()?.block_on(future)
}

fn answer(result: anyhow::Result<()>) -> ExitCode {
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error:#}");
            ExitCode::FAILURE
        }
    }
}

/// A counter in the demo says only what is wrong: the demo speaks for it.
fn log() {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("warn"));
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).init();
}
