//! A child process: this program under another subcommand.

use std::net::SocketAddr;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use anyhow::{Context, bail};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, BufReader};
use tokio::process::{ChildStdin, ChildStdout, Command};
use tokio::time::timeout;

/// Until the child says where it listens.
const START: Duration = Duration::from_secs(20);
/// From the request to end until it is killed.
const END: Duration = Duration::from_secs(30);
/// Most bytes of the line that says where it listens.
const LINE_LIMIT: u64 = 4096;

/// A running child. Dropping it kills it.
#[derive(Debug)]
pub(super) struct Child {
    name: String,
    process: tokio::process::Child,
    pid: u32,
    stdin: Option<ChildStdin>,
    said: String,
    is_over: bool,
}

// === impl Child ===

impl Child {
    /// Starts this program with these arguments and waits until it says where it listens.
    pub(super) async fn start(name: &str, args: &[&str]) -> anyhow::Result<Child> {
        // The demo speaks for its children, unless somebody wants to hear them.
        let log = std::env::var("RUST_LOG").unwrap_or_else(|_| "warn".to_owned());
        let program = std::env::current_exe().context("this program cannot be found again")?;
        let mut process = Command::new(program)
            .args(args)
            .env("RUST_LOG", log)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            // Ctrl-C is for the demo, which ends its children in order.
            .process_group(0)
            .kill_on_drop(true)
            .spawn()
            .with_context(|| format!("{name} cannot be started"))?;
        let (stdin, stdout) = (process.stdin.take(), process.stdout.take());
        let pid = process.id().unwrap_or_default();
        let mut stdout = BufReader::new(stdout.context("a piped child has an output")?);
        let mut said = String::new();
        let mut line = (&mut stdout).take(LINE_LIMIT);
        match timeout(START, line.read_line(&mut said)).await {
            Ok(read) => read?,
            Err(_) => bail!("{name} does not say within {START:?} where it listens"),
        };
        if !said.starts_with("listening ") {
            bail!("{name} did not start: its own words stand above");
        }
        // It ends with the child, whose output it is.
        tokio::spawn(pass_on(stdout));
        Ok(Child { name: name.to_owned(), process, pid, stdin, said, is_over: false })
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    pub(super) fn pid(&self) -> u32 {
        self.pid
    }

    /// The address that it said under this key.
    pub(super) fn said(&self, key: &str) -> anyhow::Result<SocketAddr> {
        let pairs = self.said.split_ascii_whitespace().filter_map(|word| word.split_once('='));
        let mut values = pairs.filter(|(said, _)| *said == key).map(|(_, value)| value);
        let value = values.next().with_context(|| format!("{} does not say {key}", self.name))?;
        Ok(value.parse()?)
    }

    /// Returns once when it has ended, and never again.
    pub(super) async fn ended(&mut self) -> String {
        if self.is_over {
            std::future::pending::<()>().await;
        }
        let ended = self.process.wait().await;
        self.is_over = true;
        match ended {
            Ok(status) => status.to_string(),
            Err(error) => error.to_string(),
        }
    }

    /// What to say of a counter that has ended; `cluster` are the arguments by which it comes back to the
    /// other one.
    pub(super) fn obituary(&self, ended: &str, cluster: &str) -> String {
        let name = &self.name;
        let port = self.said("http").map_or(0, |address| address.port());
        format!(
            "Node {name} has ended ({ended}). Start it again, in another terminal:\n  \
             cargo run --release --bin counter -- --node-name {name} --port {port} {cluster}"
        )
    }

    /// Asks it to end: every child watches its standard input.
    pub(super) fn close_stdin(&mut self) {
        self.stdin = None;
    }

    /// Asks it to end, and kills it when it takes too long.
    pub(super) async fn end(&mut self) -> Option<ExitStatus> {
        self.close_stdin();
        match timeout(END, self.process.wait()).await {
            Ok(status) => status.ok(),
            Err(_) => {
                // It may have ended just now; either way it is gone afterwards.
                let _ = self.process.kill().await;
                None
            }
        }
    }
}

/// Shows what a child says after its first line: the balancer's access log. It is read even when
/// nobody wants to see it, for a full pipe would hold up the child.
async fn pass_on(mut output: BufReader<ChildStdout>) {
    if tokio::io::copy(&mut output, &mut tokio::io::stdout()).await.is_err() {
        let _ = tokio::io::copy(&mut output, &mut tokio::io::sink()).await;
    }
}
