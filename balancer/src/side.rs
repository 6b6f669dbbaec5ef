//! What works beside the traffic: MCMP, the manager, probes and whatever else keeps a balancer
//! company.
//!
//! A part says for which changes of the configuration it starts anew; then it is told to stop, and
//! begins again on the same sockets with what the configuration says now. Nothing needs to change
//! within a part that runs. Each task is told to stop by a token, and all are waited for.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use muster_web_ui::page::BalancerState;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::config::Config;
use crate::manager::Memory;
use crate::metrics::Metrics;
use crate::operate::Operators;
use crate::published::Published;
use crate::reload::Reloader;
use crate::upgrade::Upgrader;
use crate::worker::Orders;

/// What a part stands on. Everything but the configuration and the sockets stays the same for as
/// long as the balancer runs.
#[derive(Clone)]
pub(crate) struct Ground {
    pub(crate) config: Arc<Config>,
    pub(crate) published: Arc<Published>,
    pub(crate) operators: Arc<Operators>,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) phase: watch::Receiver<BalancerState>,
    /// What the page remembers, whatever is read again.
    pub(crate) memory: Arc<Memory>,
    /// When the balancer started.
    pub(crate) started: Instant,
    /// Reads the configuration again.
    pub(crate) reloader: Reloader,
    /// Lets a new process take over.
    #[allow(dead_code, reason = "for parts through which an operator asks for it")]
    pub(crate) upgrader: Upgrader,
    /// The threads that carry traffic.
    pub(crate) workers: Vec<Orders>,
    /// All addresses that we listen on.
    pub(crate) listeners: Vec<SocketAddr>,
    /// The listeners of nodes.
    pub(crate) mcmp: Vec<Arc<TcpListener>>,
    /// The listeners of operators.
    pub(crate) manager: Vec<Arc<TcpListener>>,
}

/// A part beside the traffic.
pub(crate) struct Part {
    /// For the log.
    pub(crate) name: &'static str,
    /// Whether it starts anew where the configuration changes from the first to the second.
    pub(crate) is_concerned: fn(&Config, &Config) -> bool,
    /// What of it can't be used, of files that the configuration names: asked before a change.
    pub(crate) check: fn(&Config) -> Result<(), String>,
    /// What becomes of it while the registry is handed over to a new process.
    pub(crate) rest: Rest,
    /// Starts its tasks.
    pub(crate) start: fn(&Ground, &mut Tasks),
}

/// What becomes of a part while the registry is handed over to a new process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Rest {
    /// It goes on, for as long as this process has traffic.
    Not,
    /// It changes the registry or writes it down: it ends what it is at, and begins again only
    /// where the new process fails.
    Ends,
    /// The same, but without a last word.
    Cut,
}

/// The tasks of a part. When they are dropped they are told to stop, and cut.
#[derive(Debug)]
pub(crate) struct Tasks {
    stop: CancellationToken,
    _stop: DropGuard,
    tasks: JoinSet<()>,
}

/// All that works beside the traffic.
#[derive(Default)]
pub(crate) struct Side {
    running: Vec<(&'static Part, Option<Tasks>)>,
    /// Parts that have been told to stop and may still be at it.
    ending: JoinSet<()>,
}

// === impl Tasks ===

impl Default for Tasks {
    fn default() -> Self {
        let stop = CancellationToken::new();
        Tasks { _stop: stop.clone().drop_guard(), stop, tasks: JoinSet::new() }
    }
}

impl Tasks {
    /// Runs a task until its end, which it comes to soon after its token says so.
    pub(crate) fn spawn<F>(&mut self, task: impl FnOnce(CancellationToken) -> F)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        self.tasks.spawn(task(self.stop.child_token()));
    }

    async fn end(mut self) {
        self.stop.cancel();
        while self.tasks.join_next().await.is_some() {}
    }
}

// === impl Side ===

impl Side {
    /// Starts each of these parts. To be called within a runtime.
    pub(crate) fn start(&mut self, parts: &'static [Part], ground: &Ground) {
        let start = |part: &'static Part| (part, Some(part.tasks(ground)));
        self.running.extend(parts.iter().map(start));
    }

    /// Keeps these tasks too, until the end.
    pub(crate) fn adopt(&mut self, tasks: Tasks) {
        static ADOPTED: Part = Part {
            name: "adopted",
            is_concerned: |_, _| false,
            check: |_| Ok(()),
            rest: Rest::Not,
            start: |_, _| {},
        };
        self.running.push((&ADOPTED, Some(tasks)));
    }

    /// Starts those parts anew that this change concerns; gives their names.
    pub(crate) fn change(&mut self, old: &Config, ground: &Ground) -> Vec<&'static str> {
        while self.ending.try_join_next().is_some() {}
        let mut changed = Vec::new();
        for (part, tasks) in &mut self.running {
            if (part.is_concerned)(old, &ground.config) {
                if let Some(old) = tasks.replace(part.tasks(ground)) {
                    self.ending.spawn(old.end());
                }
                changed.push(part.name);
            }
        }
        changed
    }

    /// Stops the parts that change the registry, and waits `within` for what they are at; what is
    /// left then is cut.
    pub(crate) async fn rest(&mut self, within: Duration) {
        let mut resting = Vec::new();
        for (part, tasks) in &mut self.running {
            match part.rest {
                Rest::Not => continue,
                Rest::Ends => resting.extend(tasks.take().map(Tasks::end)),
                Rest::Cut => drop(tasks.take()),
            }
        }
        let mut resting: JoinSet<()> = resting.into_iter().collect();
        resting.spawn(drain(std::mem::take(&mut self.ending)));
        let ended = async { while resting.join_next().await.is_some() {} };
        if tokio::time::timeout(within, ended).await.is_err() {
            tracing::warn!(?within, "what was told or asked by then is cut off");
            resting.shutdown().await;
        }
    }

    /// Lets them go on.
    pub(crate) fn go_on(&mut self, ground: &Ground) {
        for (part, tasks) in &mut self.running {
            if tasks.is_none() {
                *tasks = Some(part.tasks(ground));
            }
        }
    }

    /// Tells all of them to stop, and waits until they have.
    pub(crate) async fn end(mut self) {
        for (_, tasks) in self.running {
            if let Some(tasks) = tasks {
                self.ending.spawn(tasks.end());
            }
        }
        drain(self.ending).await;
    }
}

async fn drain(mut tasks: JoinSet<()>) {
    while tasks.join_next().await.is_some() {}
}

// === impl Part ===

impl Part {
    fn tasks(&self, ground: &Ground) -> Tasks {
        let mut tasks = Tasks::default();
        (self.start)(ground, &mut tasks);
        tasks
    }
}
