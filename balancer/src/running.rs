//! A balancer that carries traffic, and its end.

use std::net::SocketAddr;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use muster_web_ui::page::BalancerState;
use tokio::sync::watch;
use tokio_util::sync::{CancellationToken, DropGuard};
use tokio_util::task::TaskTracker;

use crate::engine::Engines;
use crate::operate::Operators;
use crate::published::Published;
use crate::side::Side;
use crate::tls::{NodeTls, TlsError, TlsFront};

/// While it drains, how long clients that keep a connection are given to use it once more and
/// hear `Connection: close`, before connections without a request are closed.
const IDLE_GRACE: Duration = Duration::from_secs(1);

/// How long the listeners of nodes and operators may take to finish their last answers.
const SIDE_GRACE: Duration = Duration::from_secs(2);

/// A balancer that carries traffic.
pub struct Running {
    /// Where clients connect.
    pub http: Vec<SocketAddr>,
    /// Where clients connect with TLS.
    pub https: Vec<SocketAddr>,
    /// Where nodes register.
    pub mcmp: Vec<SocketAddr>,
    /// Where operators look.
    pub manager: Vec<SocketAddr>,
    pub(crate) published: Arc<Published>,
    pub(crate) operators: Arc<Operators>,
    /// TLS to clients, if there is any, and to nodes.
    pub(crate) front: Option<Arc<TlsFront>>,
    pub(crate) node_tls: Arc<NodeTls>,
    pub(crate) engines: Engines,
    pub(crate) phase: watch::Sender<BalancerState>,
    pub(crate) connections: TaskTracker,
    /// The loops of the public listeners.
    pub(crate) accepting: TaskTracker,
    /// Ends the public listeners.
    pub(crate) stop_public: CancellationToken,
    /// Ends the workers' threads, when it is dropped at the latest.
    pub(crate) end_workers: CancellationToken,
    pub(crate) _end_workers: DropGuard,
    pub(crate) workers: Vec<JoinHandle<()>>,
    /// Everything else.
    pub(crate) side: Side,
}

impl Running {
    /// The nodes as they stand.
    pub fn published(&self) -> &Arc<Published> {
        &self.published
    }

    /// Who does what operators ask for.
    pub fn operators(&self) -> &Arc<Operators> {
        &self.operators
    }

    /// Reads the files of certificates again, for the handshakes to come; connections that are
    /// there go on.
    ///
    /// # Errors
    /// What cannot be used, with its key and file. Of the listener and of the nodes each keeps what
    /// it had, where it is at fault.
    pub fn reload_certificates(&self) -> Result<(), Vec<TlsError>> {
        let front = self.front.as_ref().map_or(Ok(()), |front| front.reload());
        let faults: Vec<_> =
            [front, self.node_tls.reload()].into_iter().filter_map(Result::err).collect();
        if faults.is_empty() { Ok(()) } else { Err(faults) }
    }

    /// Ends in an order that loses nothing: `/readyz` says no, nobody new is accepted, answers
    /// say `Connection: close`, idle connections are closed, and requests in flight have until
    /// `deadline`. A connection that has only half a head when the idle ones go is as idle as they
    /// are, and closed with them.
    pub async fn drain(mut self, deadline: Duration) {
        let until = tokio::time::Instant::now() + deadline;
        self.phase.send_replace(BalancerState::Draining);
        self.engines.close_after_answers();
        self.stop_public.cancel();
        self.accepting.close();
        self.accepting.wait().await;
        self.connections.close();
        let grace = tokio::time::Instant::now() + IDLE_GRACE;
        let _ = tokio::time::timeout_at(grace.min(until), self.connections.wait()).await;
        self.engines.close_idle().await;
        if tokio::time::timeout_at(until, self.connections.wait()).await.is_err() {
            let left = self.connections.len();
            tracing::warn!(left, "the drain's deadline is over: connections are cut");
        }
        self.end_workers.cancel();
        let side = self.side;
        let ended = async {
            side.end().await;
            // The last lines of the access log are theirs.
            let workers = std::mem::take(&mut self.workers);
            let joined = move || workers.into_iter().map(JoinHandle::join).all(|end| end.is_ok());
            if !matches!(tokio::task::spawn_blocking(joined).await, Ok(true)) {
                tracing::error!("a worker's thread has ended by a defect");
            }
        };
        let _ = tokio::time::timeout(SIDE_GRACE, ended).await;
    }
}
