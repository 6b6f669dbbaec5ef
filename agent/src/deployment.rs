//! A deployed context, as its owner holds it.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use muster_protocol::names::ContextPath;
use parking_lot::Mutex;
use tokio::time::{Instant, timeout_at};

use crate::agent::{Core, FAREWELL};
use crate::registrar::now;
use crate::session::Sessions;
use crate::status::{ContextState, Drained, Status};
use crate::wanted::Want;

/// The handle of a deployed context. Dropping it changes nothing: the context stays until
/// [`undeploy`](Deployment::undeploy) or [`Agent::stop`](crate::Agent::stop).
#[derive(Debug)]
pub struct Deployment {
    core: Arc<Core>,
    context: ContextPath,
}

/// Something that ends with a context: a daemon, a job, a listener.
#[async_trait]
pub trait Part: Send + Sync + 'static {
    /// Ends it, within a bound of its own.
    async fn stop(&self);
}

/// What ends with which context.
#[derive(Default)]
pub(crate) struct Parts(Mutex<BTreeMap<ContextPath, Vec<Box<dyn Part>>>>);

// === impl Parts ===

impl Parts {
    /// Ends what belongs to a context, or to all: the last one that was attached first.
    pub(crate) async fn stop(&self, context: Option<&ContextPath>) {
        let parts: Vec<Box<dyn Part>> = {
            let mut all = self.0.lock();
            match context {
                Some(context) => all.remove(context).unwrap_or_default(),
                None => std::mem::take(&mut *all).into_values().flatten().collect(),
            }
        };
        for part in parts.iter().rev() {
            part.stop().await;
        }
    }
}

impl fmt::Debug for Parts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.lock().keys()).finish()
    }
}

// === impl Deployment ===

impl Deployment {
    pub(crate) fn new(core: Arc<Core>, context: ContextPath) -> Deployment {
        Deployment { core, context }
    }

    /// Where the application is mounted.
    pub fn context(&self) -> &ContextPath {
        &self.context
    }

    /// The application's sessions are these: their cookie gets the context's path, this node's route
    /// and the names that balancers are told, and balancers are told how many there are.
    pub fn serves(&self, sessions: &Sessions) {
        sessions.placed(self.core.place.at(Some(self.context.clone())));
        self.core.deployed.put(self.context.clone(), sessions.clone());
    }

    /// All requests come.
    pub fn enable(&self) {
        self.want(Want::Enabled);
    }

    /// Only requests of old sessions come.
    pub fn disable(&self) {
        self.want(Want::Disabled);
    }

    /// No requests come: another node serves it.
    pub fn standby(&self) {
        self.want(Want::Standby);
    }

    /// Returns when no balancer has requests under way here, or so long after: what is under way then
    /// goes on.
    pub(crate) async fn stood_by(&self, within: Duration) {
        let mut status = self.core.status.subscribe();
        let is_idle = |status: &Status| {
            let mut registered = status.balancers.iter().filter(|balancer| balancer.answers);
            registered.all(|balancer| {
                let told = balancer.contexts.get(&self.context);
                told.is_none_or(|told| *told == ContextState::Stopped { requests: 0 })
            })
        };
        let _ = timeout_at(Instant::now() + within, status.wait_for(is_idle)).await;
    }

    /// Ends with the context: [`undeploy`](Deployment::undeploy) stops it, and so does
    /// [`Agent::stop`](crate::Agent::stop), when the requests are drained; what was attached last is
    /// stopped first.
    pub fn attach(&self, part: impl Part) {
        let mut all = self.core.parts.0.lock();
        all.entry(self.context.clone()).or_default().push(Box::new(part));
    }

    /// Another handle of the same context.
    pub(crate) fn handle(&self) -> Deployment {
        Deployment::new(Arc::clone(&self.core), self.context.clone())
    }

    /// It was not deployed after all: no balancer needs to hear of it.
    pub(crate) fn forget(self) {
        self.want(Want::Gone { by: now() });
        self.core.wanted.send_modify(|wanted| {
            wanted.contexts.remove(&self.context);
        });
    }

    /// Drains the context and removes it from every balancer: no new sessions, then no requests,
    /// then, when those in flight have ended or the stop-context timeout is over, nothing. Where it
    /// waits for [sessions](crate::Builder::session_draining) too, it does so first. A
    /// balancer that cannot be reached is not waited for; it is told when it is back. What is
    /// [attached](Deployment::attach) is stopped after that, each part within its own bound.
    pub async fn undeploy(self) -> Drained {
        let sessions_left = self.core.drain_sessions(Some(&self.context)).await;
        let by = now() + self.core.stop_context_timeout;
        self.want(Want::Gone { by });
        let mut status = self.core.status.subscribe();
        let all_gone = status.wait_for(|status| self.is_gone(status));
        // The agent may have been dropped in the meantime: then nobody is left who could answer.
        let _ = tokio::select! {
            gone = timeout_at(Instant::from_std(by) + FAREWELL, all_gone) => gone.map(|_| ()),
            () = self.core.wanted.closed() => Ok(()),
        };
        let drained =
            Drained::sum(&self.core.status.borrow().balancers, |path| *path == self.context);
        self.core.wanted.send_modify(|wanted| {
            wanted.contexts.remove(&self.context);
        });
        self.core.deployed.remove(&self.context);
        self.core.parts.stop(Some(&self.context)).await;
        Drained { sessions_left, ..drained }
    }

    fn want(&self, want: Want) {
        self.core.wanted.send_if_modified(|wanted| match wanted.contexts.get_mut(&self.context) {
            Some(before) if *before != want => {
                *before = want;
                true
            }
            Some(_) | None => false,
        });
    }

    fn is_gone(&self, status: &Status) -> bool {
        let is_wanted = self.core.wanted.borrow().contexts.contains_key(&self.context);
        !is_wanted
            || status.balancers.iter().all(|balancer| {
                balancer.contexts.get(&self.context).is_some_and(|context| context.is_gone())
            })
    }
}
