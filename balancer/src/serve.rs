//! What the binary does with a balancer: signals, the first line, and the end.

use std::io::Write as _;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context as _;

use crate::config::Config;
use crate::handover::{Message, PLACE, Wire};
use crate::reload::Again;
use crate::running::Running;
use crate::shutdown::{self, Told};
use crate::start::{Balancer, Origin, Prepared};
use crate::{systemd, telemetry, upgrade};

/// How long the end waits for threads: one may hang in the system's look-up of a name. Longer than
/// the access log takes for its last lines.
const RUNTIME_GRACE: Duration = Duration::from_secs(2);

/// Threads for everything but traffic: MCMP, the manager, probes.
const SIDE_THREADS: usize = 2;

/// Carries traffic until SIGTERM or SIGINT, then drains; a second signal ends at once. SIGHUP reads
/// the configuration again, by `again`; SIGUSR2 starts the program again and lets it take over.
///
/// The first line on standard output says where it listens, once it does:
/// `listening http=ADDR https=ADDR mcmp=ADDR manager=ADDR pid=PID` (each key of an address once for
/// each of them).
///
/// # Errors
/// When a listener cannot be bound or the runtime not started.
pub fn serve(config: Config, again: Again) -> anyhow::Result<()> {
    telemetry::init(config.log.level);
    upgrade::remember_program();
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
    let running = match std::env::var_os(PLACE) {
        Some(place) => take_over(config, again, place.into()).await?,
        None => Balancer::start_again(config, again).await?,
    };
    announce(&running).context("cannot write to standard output")?;
    systemd::ready();
    let is_handed_over = loop {
        let told = tokio::select! {
            told = signals.next() => told,
            () = running.handed_over() => break true,
        };
        match told {
            Told::End => break false,
            // What came of it stands in the log. Signals are heard meanwhile.
            Told::Reload => drop(tokio::spawn({
                let reloader = running.reloader();
                async move { drop(reloader.reload().await) }
            })),
            Told::Upgrade => drop(tokio::spawn({
                let upgrader = running.upgrader();
                async move { drop(upgrader.upgrade().await) }
            })),
        }
    };
    if !is_handed_over {
        systemd::stopping();
    }
    let deadline = running.drain_timeout().await;
    tracing::info!(?deadline, "draining; a second signal ends at once");
    tokio::select! {
        _ = running.drain(deadline) => tracing::info!("drained"),
        _ = signals.end() => tracing::warn!("ended before the drain was over"),
    }
    Ok(())
}

/// Takes sockets and registry over from the process that started this one, and serves once that
/// one has said its last word.
async fn take_over(config: Config, again: Again, place: PathBuf) -> anyhow::Result<Running> {
    // The old process has a bound of its own, and kills whoever is over it.
    let within = config.state.upgrade_timeout + RUNTIME_GRACE;
    let task = tokio::task::spawn_blocking(move || {
        let stream = UnixStream::connect(&place)?;
        let mut wire = Wire::new(stream, within)?;
        let inherited = upgrade::take_sockets(&mut wire)?;
        Ok::<_, std::io::Error>((wire, inherited))
    });
    let (mut wire, inherited) = task.await?.context("cannot take the sockets over")?;
    let prepared = match Prepared::new(config, again, inherited) {
        Ok(prepared) => prepared,
        Err(error) => return Err(failed(wire, error.into()).await),
    };
    let task = tokio::task::spawn_blocking(move || {
        let taken = upgrade::take_registry(&mut wire);
        (wire, taken)
    });
    let (mut wire, taken) = task.await?;
    let (id, document) = taken.context("cannot take the registry over")?;
    let running = match prepared.set_up(Origin::Handed { id, document }).await {
        Ok(running) => running,
        Err(error) => return Err(failed(wire, error.into()).await),
    };
    let task = tokio::task::spawn_blocking(move || upgrade::await_go(&mut wire));
    task.await?.context("the old process has not let go")?;
    running.open().await?;
    Ok(running)
}

/// Tells the old process why it goes on.
async fn failed(mut wire: Wire, error: anyhow::Error) -> anyhow::Error {
    let reason = format!("{error:#}");
    let tell = move || wire.say(&Message::Failed { reason });
    let _ = tokio::task::spawn_blocking(tell).await;
    error
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
    line.push_str(&format!(" pid={}", std::process::id()));
    let mut out = std::io::stdout();
    writeln!(out, "{line}")?;
    out.flush()
}
