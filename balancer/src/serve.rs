//! What the binary does with a balancer: signals, the first line, and the end.

use std::io::Write as _;
use std::time::Duration;

use anyhow::Context as _;

use crate::config::Config;
use crate::reload::Again;
use crate::running::Running;
use crate::shutdown::{self, Told};
use crate::start::Balancer;
use crate::telemetry;

/// How long the end waits for threads: one may hang in the system's look-up of a name. Longer than
/// the access log takes for its last lines.
const RUNTIME_GRACE: Duration = Duration::from_secs(2);

/// Threads for everything but traffic: MCMP, the manager, probes.
const SIDE_THREADS: usize = 2;

/// Carries traffic until SIGTERM or SIGINT, then drains; a second signal ends at once. SIGHUP reads
/// the configuration again, by `again`.
///
/// The first line on standard output says where it listens, once it does:
/// `listening http=ADDR https=ADDR mcmp=ADDR manager=ADDR` (each key once for each of its addresses).
///
/// # Errors
/// When a listener cannot be bound or the runtime not started.
pub fn serve(config: Config, again: Again) -> anyhow::Result<()> {
    telemetry::init(config.log.level);
    raise_file_limit(&config);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(SIDE_THREADS)
        .enable_all()
        .build()
        .context("cannot start the runtime")?;
    let ended = runtime.block_on(carry(config, again));
    runtime.shutdown_timeout(RUNTIME_GRACE);
    ended
}

async fn carry(config: Config, again: Again) -> anyhow::Result<()> {
    let mut signals = shutdown::Signals::listen().context("cannot listen for signals")?;
    let running = Balancer::start_again(config, again).await?;
    announce(&running).context("cannot write to standard output")?;
    while signals.next().await == Told::Reload {
        // What came of it stands in the log.
        let _ = running.reloader().reload().await;
    }
    let deadline = running.drain_timeout().await;
    tracing::info!(?deadline, "draining; a second signal ends at once");
    tokio::select! {
        _ = running.drain(deadline) => tracing::info!("drained"),
        _ = signals.end() => tracing::warn!("ended before the drain was over"),
    }
    Ok(())
}

/// Each connection is a file. The usual soft limit of 1,024 is for programs of another kind, and
/// a process may raise it to its hard limit.
fn raise_file_limit(config: &Config) {
    match rlimit::increase_nofile_limit(u64::MAX) {
        Ok(limit) => check_file_limit(config, limit),
        Err(error) => tracing::warn!(%error, "cannot raise the limit of open files"),
    }
}

/// Who is over the limit learns it now, and not when clients are turned away.
fn check_file_limit(config: &Config, limit: u64) {
    let (clients, idle) = (config.http.max_connections, config.upstream.idle_connections);
    match (clients + idle) as u64 > limit {
        true => tracing::warn!(
            limit,
            http.max_connections = clients,
            upstream.idle_connections = idle,
            "the connections may need more files than this process may open"
        ),
        false => tracing::debug!(limit, "most open files"),
    }
}

fn announce(running: &Running) -> std::io::Result<()> {
    let named = [
        ("http", &running.http),
        ("https", &running.https),
        ("mcmp", &running.mcmp),
        ("manager", &running.manager),
    ];
    let mut line = String::from("listening");
    for (name, addresses) in named {
        for address in addresses {
            line.push_str(&format!(" {name}={address}"));
        }
    }
    let mut out = std::io::stdout();
    writeln!(out, "{line}")?;
    out.flush()
}
