//! What signals say: SIGTERM and SIGINT drain, a second one ends at once, SIGHUP reads the
//! configuration again, SIGUSR2 lets a new process take over.

use tokio::signal::unix::{Signal, SignalKind, signal};

/// The signals that the balancer hears.
pub(crate) struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hangup: Signal,
    second_user: Signal,
}

/// What a signal asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Told {
    /// To end.
    End,
    /// To read the configuration again.
    Reload,
    /// To let a new process take over.
    Upgrade,
}

impl Signals {
    /// Listens from now on.
    pub(crate) fn listen() -> std::io::Result<Signals> {
        Ok(Signals {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            hangup: signal(SignalKind::hangup())?,
            second_user: signal(SignalKind::user_defined2())?,
        })
    }

    /// Waits for the next one.
    pub(crate) async fn next(&mut self) -> Told {
        tokio::select! {
            _ = self.terminate.recv() => Told::End,
            _ = self.interrupt.recv() => Told::End,
            _ = self.hangup.recv() => Told::Reload,
            _ = self.second_user.recv() => Told::Upgrade,
        }
    }

    /// Waits for one that asks to end; there is no use in another then.
    pub(crate) async fn end(&mut self) {
        while self.next().await != Told::End {}
    }
}
