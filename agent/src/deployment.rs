//! A deployed context, as its owner holds it.

use std::sync::Arc;

use muster_protocol::names::ContextPath;
use tokio::time::{Instant, timeout_at};

use crate::agent::{Core, FAREWELL};
use crate::registrar::now;
use crate::session::Sessions;
use crate::status::{Drained, Status};
use crate::wanted::Want;

/// The handle of a deployed context. Dropping it changes nothing: the context stays until
/// [`undeploy`](Deployment::undeploy) or [`Agent::stop`](crate::Agent::stop).
#[derive(Debug)]
pub struct Deployment {
    core: Arc<Core>,
    context: ContextPath,
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

    /// Drains the context and removes it from every balancer: no new sessions, then no requests,
    /// then, when those in flight have ended or the stop-context timeout is over, nothing. Where it
    /// waits for [sessions](crate::Builder::session_draining) too, it does so first. A
    /// balancer that cannot be reached is not waited for; it is told when it is back.
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
