//! What a balancer consists of while it runs, for those who change it: a reload, an upgrade, the
//! end. They take turns: each holds the state for as long as it works.

use std::sync::Arc;
use std::time::Instant;

use muster_web_ui::page::BalancerState;
use tokio::sync::{Mutex, Semaphore, watch};
use tokio_util::sync::{CancellationToken, DropGuard};
use tokio_util::task::TaskTracker;

use crate::access_log::AccessLog;
use crate::config::Config;
use crate::engine::Engines;
use crate::listeners::{Own, Public};
use crate::manager::Memory;
use crate::metrics::Metrics;
use crate::operate::Operators;
use crate::published::Published;
use crate::reload::{Again, Reloader};
use crate::side::{Ground, Side};
use crate::tls::NodeTls;
use crate::upgrade::Upgrader;
use crate::worker::Worker;

/// A balancer that runs.
pub(crate) struct Life {
    pub(crate) published: Arc<Published>,
    pub(crate) operators: Arc<Operators>,
    pub(crate) node_tls: Arc<NodeTls>,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) engines: Engines,
    pub(crate) phase: watch::Sender<BalancerState>,
    /// The open connections.
    pub(crate) connections: TaskTracker,
    /// One for each connection that may be open.
    pub(crate) permits: Arc<Semaphore>,
    /// Ends the workers' threads, when it is dropped at the latest.
    pub(crate) end_workers: CancellationToken,
    pub(crate) _end_workers: DropGuard,
    /// What the page remembers, whatever is read again.
    pub(crate) memory: Arc<Memory>,
    pub(crate) started: Instant,
    /// Reads the configuration again.
    pub(crate) again: Again,
    /// A new process has taken over.
    pub(crate) handed_over: CancellationToken,
    pub(crate) state: Mutex<State>,
}

/// What changes while it runs.
pub(crate) struct State {
    pub(crate) config: Arc<Config>,
    pub(crate) public: Vec<Public>,
    pub(crate) mcmp: Vec<Own>,
    pub(crate) manager: Vec<Own>,
    pub(crate) workers: Vec<Worker>,
    /// Everything else; `None` once the end has begun.
    pub(crate) side: Option<Side>,
    /// The access log, from when it was first wanted: its last lines are to be written at the end,
    /// and not when a request happens to be the last that knows it.
    pub(crate) access: Option<Arc<AccessLog>>,
}

impl Life {
    /// What the parts beside the traffic stand on now.
    pub(crate) fn ground(self: &Arc<Self>, state: &State) -> Ground {
        let sockets = |own: &[Own]| own.iter().map(|own| own.socket.clone()).collect();
        let public = state.public.iter().map(|public| public.own);
        let own = state.mcmp.iter().chain(&state.manager).map(|own| own.own);
        Ground {
            config: state.config.clone(),
            published: self.published.clone(),
            operators: self.operators.clone(),
            metrics: self.metrics.clone(),
            phase: self.phase.subscribe(),
            memory: self.memory.clone(),
            started: self.started,
            reloader: self.reloader(),
            upgrader: self.upgrader(),
            workers: state.workers.iter().map(|worker| worker.orders.clone()).collect(),
            listeners: public.chain(own).collect(),
            mcmp: sockets(&state.mcmp),
            manager: sockets(&state.manager),
        }
    }

    /// Reads the configuration again when asked to.
    pub(crate) fn reloader(self: &Arc<Self>) -> Reloader {
        Reloader(Arc::downgrade(self))
    }

    /// Lets a new process take over when asked to.
    pub(crate) fn upgrader(self: &Arc<Self>) -> Upgrader {
        Upgrader(Arc::downgrade(self))
    }

    /// Lets that many connections be open instead of so many. Those that are too many stay until
    /// they end by themselves, and nobody new comes in before.
    pub(crate) fn resize(&self, before: usize, after: usize) {
        if after >= before {
            return self.permits.add_permits(after - before);
        }
        let (permits, surplus) = (self.permits.clone(), before - after);
        let taken = permits.forget_permits(surplus);
        let left = u32::try_from(surplus - taken).unwrap_or(u32::MAX);
        if left > 0 {
            tokio::spawn(async move {
                if let Ok(permits) = permits.acquire_many_owned(left).await {
                    permits.forget();
                }
            });
        }
    }
}
