//! A balancer that carries traffic, and its end.

use std::net::SocketAddr;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use muster_web_ui::page::BalancerState;
use tokio::time::{Instant, timeout, timeout_at};

use crate::life::Life;
use crate::operate::Operators;
use crate::published::Published;
use crate::reload::Reloader;
use crate::upgrade::Upgrader;
use crate::worker::Worker;

/// While it drains, how long clients that keep a connection are given to use it once more and
/// hear `Connection: close`, before connections without a request are closed.
const IDLE_GRACE: Duration = Duration::from_secs(1);

/// How long the listeners of nodes and operators may take to finish their last answers.
const SIDE_GRACE: Duration = Duration::from_secs(2);

/// A balancer that carries traffic.
pub struct Running {
    /// Where clients connect, as of the start.
    pub http: Vec<SocketAddr>,
    /// Where clients connect with TLS.
    pub https: Vec<SocketAddr>,
    /// Where nodes register.
    pub mcmp: Vec<SocketAddr>,
    /// Where operators look.
    pub manager: Vec<SocketAddr>,
    pub(crate) life: Arc<Life>,
}

impl Running {
    /// The nodes as they stand.
    pub fn published(&self) -> &Arc<Published> {
        &self.life.published
    }

    /// Who does what operators ask for.
    pub fn operators(&self) -> &Arc<Operators> {
        &self.life.operators
    }

    /// Reads the configuration again when asked to.
    pub fn reloader(&self) -> Reloader {
        self.life.reloader()
    }

    /// Lets a new process take over when asked to.
    pub fn upgrader(&self) -> Upgrader {
        self.life.upgrader()
    }

    /// Waits until a new process has taken over; what is left here is to be drained then.
    pub async fn handed_over(&self) {
        self.life.handed_over.cancelled().await;
    }

    /// How long requests in flight may take at the end, as the configuration says now.
    pub async fn drain_timeout(&self) -> Duration {
        self.life.state.lock().await.config.drain_timeout
    }

    /// Ends in an order that loses nothing: `/readyz` says no, nobody new is accepted, answers
    /// say `Connection: close`, idle connections are closed, and requests in flight have until
    /// `deadline`. A connection that has only half a head when the idle ones go is as idle as they
    /// are, and closed with them.
    pub async fn drain(self, deadline: Duration) {
        let until = Instant::now() + deadline;
        let Life { phase, engines, connections, end_workers, state, .. } = &*self.life;
        phase.send_replace(BalancerState::Draining);
        engines.close_after_answers();
        let (closed, side, workers) = {
            let mut state = state.lock().await;
            let public = std::mem::take(&mut state.public);
            let closed: Vec<_> = public.into_iter().map(|public| public.close()).collect();
            (closed, state.side.take(), std::mem::take(&mut state.workers))
        };
        for accepting in closed {
            accepting.wait().await;
        }
        connections.close();
        let grace = Instant::now() + IDLE_GRACE;
        let _ = timeout_at(grace.min(until), connections.wait()).await;
        engines.close_idle().await;
        if timeout_at(until, connections.wait()).await.is_err() {
            let left = connections.len();
            tracing::warn!(left, "the drain's deadline is over: connections are cut");
        }
        end_workers.cancel();
        let ended = async {
            if let Some(side) = side {
                side.end().await;
            }
            end_of(workers).await;
        };
        let _ = timeout(SIDE_GRACE, ended).await;
        state.lock().await.access = None;
    }
}

/// The last lines of the access log are theirs.
async fn end_of(workers: Vec<Worker>) {
    let threads: Vec<_> = workers.into_iter().map(|worker| worker.thread).collect();
    let joined = move || threads.into_iter().map(JoinHandle::join).all(|end| end.is_ok());
    if !matches!(tokio::task::spawn_blocking(joined).await, Ok(true)) {
        tracing::error!("a worker's thread has ended by a defect");
    }
}
