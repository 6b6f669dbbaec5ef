//! A binary upgrade: the old process starts the new one, hands it all listening sockets and the
//! registry, and drains what it still carries while the new one serves.
//!
//! Nothing is lost on the way. Connections wait in the backlogs, which are the same before and
//! after. Nodes and operators are not heard from just before the registry is written down until
//! the new process hears them, so nothing is applied to a registry that nobody will read. Until
//! the last word the old process can go on as if nothing had happened, and does where the new one
//! fails or takes too long.

use std::ffi::OsString;
use std::net::SocketAddr;
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::sync::{Arc, OnceLock, Weak};
use std::time::Duration;

use tokio::net::UnixListener;
use tokio::process::{Child, Command};

use crate::handover::{FORMAT, Listed, Message, PLACE, Wire};
use crate::life::{Life, State};
use crate::listeners::Inherited;
use crate::systemd;

/// How long nodes and operators may take to be told what came of what they have asked, before
/// their connections are cut; longer than a probe, which a message may wait for.
const REST: Duration = Duration::from_secs(3);

/// The program and its arguments as they were at the start: the file may be another one by now,
/// and that is the point.
static PROGRAM: OnceLock<(PathBuf, Vec<OsString>)> = OnceLock::new();

/// Why there was no upgrade. The old process goes on.
#[derive(Debug, thiserror::Error)]
pub enum UpgradeError {
    /// The balancer ends, or another upgrade has been done.
    #[error("the balancer is ending")]
    Ending,
    /// It was not started as a program of its own.
    #[error("the balancer does not know its program")]
    NoProgram,
    /// The new process cannot be started or spoken to.
    #[error("the new process cannot be started or spoken to")]
    System(#[from] std::io::Error),
    /// It ended instead.
    #[error("the new process ended with {0}: its log says why")]
    Ended(std::process::ExitStatus),
    /// Somebody else came instead.
    #[error("somebody else than the new process came: process {0}")]
    Stranger(i32),
    /// It took too long.
    #[error("the new process was not ready within {0:?} (state.upgrade_timeout)")]
    TooLate(Duration),
    /// It cannot take over.
    #[error("the new process cannot take over: {0}")]
    Failed(String),
}

/// Upgrades the balancer that it came from. Keep and clone it at will.
#[derive(Clone)]
pub struct Upgrader(pub(crate) Weak<Life>);

/// Remembers the program, to be called before its file may be replaced.
pub(crate) fn remember_program() {
    if let Ok(program) = std::env::current_exe() {
        let _ = PROGRAM.set((program, std::env::args_os().skip(1).collect()));
    }
}

/// Asks a running balancer for an upgrade.
///
/// # Errors
/// When there is no such process, or it is somebody else's.
pub(crate) fn ask(pid: u32) -> std::io::Result<()> {
    let pid = i32::try_from(pid).ok().and_then(rustix::process::Pid::from_raw);
    let pid = pid.ok_or(std::io::ErrorKind::InvalidInput)?;
    Ok(rustix::process::kill_process(pid, rustix::process::Signal::USR2)?)
}

// === impl Upgrader ===

impl Upgrader {
    /// Starts the program again, as its file is now, and lets it take over; gives its process id.
    /// The balancer that it came from drains and ends then. To be called within its runtime; goes
    /// on to its end though nobody may wait for it any more, and an operator's connection has no
    /// more than a few seconds to wait on.
    ///
    /// # Errors
    /// An [`UpgradeError`]; the balancer goes on as it was then.
    pub async fn upgrade(&self) -> Result<u32, UpgradeError> {
        let life = self.0.upgrade().ok_or(UpgradeError::Ending)?;
        let upgrading = tokio::spawn(async move { life.upgrade().await });
        let upgraded = upgrading
            .await
            .unwrap_or_else(|error| Err(UpgradeError::System(std::io::Error::other(error))));
        match &upgraded {
            Ok(pid) => tracing::info!(pid, "a new process has taken over"),
            Err(error) => {
                let source = std::error::Error::source(error);
                let source = source.map(|source| source.to_string());
                tracing::error!(%error, source, "no upgrade: this process goes on");
            }
        }
        upgraded
    }
}

impl std::fmt::Debug for Upgrader {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Upgrader")
    }
}

// === impl Life ===

impl Life {
    async fn upgrade(self: &Arc<Self>) -> Result<u32, UpgradeError> {
        let mut state = self.state.lock().await;
        if state.side.is_none() || self.handed_over.is_cancelled() {
            return Err(UpgradeError::Ending);
        }
        let within = state.config.state.upgrade_timeout;
        // A folder that only we can enter.
        let folder = private_folder()?;
        let place = folder.path().join("upgrade.sock");
        let listener = UnixListener::bind(&place)?;
        std::fs::set_permissions(&place, std::fs::Permissions::from_mode(0o600))?;
        let (program, arguments) = PROGRAM.get().ok_or(UpgradeError::NoProgram)?;
        let mut child = Command::new(program)
            .args(arguments)
            .env(PLACE, &place)
            // It names this process.
            .env_remove("WATCHDOG_PID")
            .spawn()?;
        let pid = child.id().unwrap_or_default();
        match self.hand_over(&mut state, &mut child, listener, within).await {
            Ok(()) => {
                self.handed_over.cancel();
                Ok(pid)
            }
            Err(error) => {
                let error = match child.try_wait() {
                    Ok(Some(status)) => UpgradeError::Ended(status),
                    _ => error,
                };
                // Gone for certain before anybody is heard here again.
                let _ = child.kill().await;
                systemd::main_process(std::process::id());
                let ground = self.ground(&state);
                if let Some(side) = &mut state.side {
                    side.go_on(&ground);
                }
                Err(error)
            }
        }
    }

    async fn hand_over(
        self: &Arc<Self>,
        state: &mut State,
        child: &mut Child,
        listener: UnixListener,
        within: Duration,
    ) -> Result<(), UpgradeError> {
        let stream = tokio::select! {
            accepted = listener.accept() => accepted?.0.into_std()?,
            ended = child.wait() => return Err(UpgradeError::Ended(ended?)),
            () = tokio::time::sleep(within) => return Err(UpgradeError::TooLate(within)),
        };
        let peer = rustix::net::sockopt::socket_peercred(&stream).map_err(std::io::Error::from)?;
        let is_ours = peer.uid == rustix::process::geteuid();
        if !is_ours || Some(peer.pid.as_raw_nonzero().get()) != child.id().map(|id| id as i32) {
            return Err(UpgradeError::Stranger(peer.pid.as_raw_nonzero().get()));
        }
        let wire = Wire::new(stream, within)?;
        let late = |error: std::io::Error| match error.kind() {
            std::io::ErrorKind::TimedOut => UpgradeError::TooLate(within),
            _ => UpgradeError::Failed(error.to_string()),
        };
        let sockets = sockets(state)?;
        let wire = blocking(move || offer(wire, sockets)).await.map_err(late)?;

        if let Some(side) = &mut state.side {
            side.rest(state.config.health.probe_timeout + REST).await;
        }
        let document = self.published.change(|registry, now| registry.snapshot(now)).write();
        let id = self.published.id();
        let mut wire = blocking(move || give(wire, id, &document)).await.map_err(late)?;
        // Before the last word, so that it can say itself that it is ready.
        systemd::main_process(child.id().unwrap_or_default());
        blocking(move || wire.say(&Message::Go)).await.map_err(late)
    }
}

fn private_folder() -> std::io::Result<tempfile::TempDir> {
    let mut builder = tempfile::Builder::new();
    builder.prefix("muster-").permissions(std::fs::Permissions::from_mode(0o700));
    match std::env::var_os("RUNTIME_DIRECTORY").filter(|folder| !folder.is_empty()) {
        Some(folder) => builder.tempdir_in(folder),
        None => builder.tempdir(),
    }
}

async fn blocking<T: Send + 'static>(
    task: impl FnOnce() -> std::io::Result<T> + Send + 'static,
) -> std::io::Result<T> {
    tokio::task::spawn_blocking(task)
        .await
        .unwrap_or_else(|error| Err(std::io::Error::other(error)))
}

type Sockets = Vec<(SocketAddr, Vec<OwnedFd>)>;

fn sockets(state: &State) -> std::io::Result<Sockets> {
    let copy = |socket: &std::net::TcpListener| socket.try_clone().map(OwnedFd::from);
    let copies = |sockets: &[std::net::TcpListener]| -> std::io::Result<Vec<OwnedFd>> {
        sockets.iter().map(copy).collect()
    };
    let public = state.public.iter().map(|public| Ok((public.wanted, copies(public.sockets())?)));
    let own = state
        .mcmp
        .iter()
        .chain(&state.manager)
        .map(|own| Ok((own.wanted, vec![own.socket.as_fd().try_clone_to_owned()?])));
    public.chain(own).collect()
}

fn offer(mut wire: Wire, sockets: Sockets) -> std::io::Result<Wire> {
    match wire.hear()? {
        Message::Hello { format: FORMAT, .. } => {}
        Message::Hello { format, by } => {
            let reason = format!("{by} speaks format {format} of upgrades, and this one {FORMAT}");
            wire.say(&Message::Failed { reason: reason.clone() })?;
            return Err(std::io::Error::other(reason));
        }
        other => return Err(unexpected(&other)),
    }
    let listed = sockets.iter().map(|(wanted, own)| Listed { wanted: *wanted, count: own.len() });
    wire.say(&Message::Sockets { listeners: listed.collect() })?;
    let all: Vec<OwnedFd> = sockets.into_iter().flat_map(|(_, own)| own).collect();
    wire.send_sockets(&all)?;
    match wire.hear()? {
        Message::Prepared => Ok(wire),
        other => Err(unexpected(&other)),
    }
}

fn give(mut wire: Wire, id: u64, document: &[u8]) -> std::io::Result<Wire> {
    wire.say(&Message::Registry { id })?;
    wire.send(document)?;
    match wire.hear()? {
        Message::Ready => Ok(wire),
        other => Err(unexpected(&other)),
    }
}

/// What the new process hears first: the sockets.
pub(crate) fn take_sockets(wire: &mut Wire) -> std::io::Result<Inherited> {
    wire.say(&Message::Hello { format: FORMAT, by: crate::PRODUCT.to_owned() })?;
    let listed = match wire.hear()? {
        Message::Sockets { listeners } => listeners,
        other => return Err(unexpected(&other)),
    };
    let count = listed.iter().map(|listed| listed.count).fold(0, usize::saturating_add);
    let mut sockets = wire.receive_sockets(count)?.into_iter();
    let take = |Listed { wanted, count }| (wanted, sockets.by_ref().take(count).collect());
    Ok(Inherited(listed.into_iter().map(take).collect()))
}

/// What it hears next: the registry's document, and the id that nodes know.
pub(crate) fn take_registry(wire: &mut Wire) -> std::io::Result<(u64, Vec<u8>)> {
    wire.say(&Message::Prepared)?;
    match wire.hear()? {
        Message::Registry { id } => Ok((id, wire.receive()?)),
        other => Err(unexpected(&other)),
    }
}

/// The new process is ready, and waits for the last word.
pub(crate) fn await_go(wire: &mut Wire) -> std::io::Result<()> {
    wire.say(&Message::Ready)?;
    match wire.hear() {
        Ok(Message::Go) => Ok(()),
        Ok(other) => Err(unexpected(&other)),
        // The old one kills us where it goes on: as it did not, it has died.
        Err(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => {
            tracing::warn!("the old process has gone without a word");
            Ok(())
        }
        Err(error) => Err(error),
    }
}

fn unexpected(message: &Message) -> std::io::Error {
    std::io::Error::new(std::io::ErrorKind::InvalidData, format!("unexpected: {message:?}"))
}
