//! For the measurement in `examples/channel_bench.rs`: two nodes in two processes, puts of 1 KiB from
//! one and from many callers, beside an echo of the same bytes in the same run. Not part of the
//! library.

mod echo;
mod puts;
mod usage;

use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use tokio::runtime::{Builder, Runtime};

use crate::node::{Node, NodeSettings};

/// Bytes of a value.
const VALUE: usize = 1024;
/// Before a measurement.
const WARM: Duration = Duration::from_millis(500);

/// One line of the table.
struct Measured {
    what: String,
    callers: usize,
    ops: u64,
    took: Duration,
    p50: Duration,
    p99: Duration,
    cpu: Duration,
}

impl Measured {
    fn print(&self) {
        let ops = self.ops.max(1) as f64;
        println!(
            "{:<24} {:>3} callers {:>9.0} ops/s  p50 {:>7.1} us  p99 {:>7.1} us  cpu {:>6.2} us/op",
            self.what,
            self.callers,
            ops / self.took.as_secs_f64(),
            self.p50.as_secs_f64() * 1e6,
            self.p99.as_secs_f64() * 1e6,
            self.cpu.as_secs_f64() * 1e6 / ops,
        );
    }
}

/// Runs it with the program's arguments.
///
/// # Errors
/// Says what did not work.
pub fn run(args: &[String]) -> Result<(), String> {
    let number = |name: &str, default: u64| {
        let at = args.iter().position(|arg| arg == name);
        at.and_then(|at| args.get(at + 1)?.parse().ok()).unwrap_or(default)
    };
    let workers = number("--workers", 1) as usize;
    let runtime = runtime(workers)?;
    if args.iter().any(|arg| arg == "--peer") {
        return runtime.block_on(peer());
    }
    let seconds = Duration::from_secs(number("--seconds", 3));
    let mut child = spawn_peer(workers)?;
    let measured = runtime.block_on(measure(&mut child, seconds, number("--callers", 32) as usize));
    // It ends when its input does.
    drop(child.stdin.take());
    let _ = child.wait();
    measured
}

fn runtime(workers: usize) -> Result<Runtime, String> {
    let built = if workers == 0 {
        Builder::new_current_thread().enable_all().build()
    } else {
        Builder::new_multi_thread().worker_threads(workers).enable_all().build()
    };
    built.map_err(|error| error.to_string())
}

fn settings(name: &str) -> NodeSettings {
    let mut settings = NodeSettings::new(name);
    settings.bind.set_port(0);
    settings
}

async fn peer() -> Result<(), String> {
    let node = Node::start(settings("peer")).await.map_err(|error| error.to_string())?;
    let echo = echo::serve().await.map_err(|error| error.to_string())?;
    println!("{} {echo}", node.address());
    let ended = tokio::task::spawn_blocking(|| {
        let mut line = String::new();
        std::io::stdin().read_line(&mut line)
    });
    let _ = ended.await;
    Ok(())
}

fn spawn_peer(workers: usize) -> Result<Child, String> {
    let program = std::env::current_exe().map_err(|error| error.to_string())?;
    Command::new(program)
        .args(["--peer", "--workers", &workers.to_string()])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .map_err(|error| error.to_string())
}

async fn measure(child: &mut Child, seconds: Duration, callers: usize) -> Result<(), String> {
    let output = child.stdout.take().ok_or("no output")?;
    let mut line = String::new();
    BufReader::new(output).read_line(&mut line).map_err(|error| error.to_string())?;
    let (address, echo) = line.trim().split_once(' ').ok_or("no addresses")?;
    let node = Node::start(settings("caller")).await.map_err(|error| error.to_string())?;
    node.found(address);
    let mut state = node.state();
    let settled = state.wait_for(|state| {
        // Not only settled: each is the primary of about half of the rows.
        state.view.as_ref().is_some_and(|view| {
            let rows = view.rows.len() as u16;
            let here = (0..rows).filter(|row| view.primary(*row) == Some(state.me)).count();
            view.members.len() == 2
                && view.is_settled()
                && (rows / 3..=rows - rows / 3).contains(&(here as u16))
        })
    });
    let view = settled.await.map_err(|error| error.to_string())?.view.clone().ok_or("no view")?;
    for callers in [1, callers] {
        echo::measure(echo, child.id(), callers, seconds).await?.print();
        for is_local in [true, false] {
            puts::measure(&node, &view, is_local, child.id(), callers, seconds).await.print();
        }
        let _ = std::io::stdout().flush();
    }
    Ok(())
}
