//! The sessions of the contexts: how many a node has, and for which of them its end waits.

use std::collections::BTreeMap;
use std::sync::Arc;

use muster_protocol::cluster::{MEMBERS_HEADER, Members};
use muster_protocol::names::ContextPath;
use parking_lot::RwLock;
use tokio::sync::watch;

use crate::engine::{Engine, View};
use crate::load::SessionGauge;
use crate::session::Sessions;

/// How many sessions the node has.
const SESSIONS: &str = "X-Muster-Sessions";
/// How many of them a drain waits for, where that is another number.
const BOUND_SESSIONS: &str = "X-Muster-Bound-Sessions";

/// Whether a context that goes waits for its sessions to end, as long as it would wait for its
/// requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum SessionDraining {
    /// Where they end with the node. Distributable sessions do not: other members have them.
    #[default]
    Default,
    /// Always.
    Always,
    /// Never.
    Never,
}

/// What an agent knows of its contexts' sessions. Clones share it.
#[derive(Debug, Clone, Default)]
pub(crate) struct Deployed {
    draining: SessionDraining,
    gauge: Option<SessionGauge>,
    contexts: Arc<RwLock<BTreeMap<ContextPath, Sessions>>>,
    changed: watch::Sender<()>,
}

// === impl Deployed ===

impl Deployed {
    /// With the number that the application tells itself, if it does.
    pub(crate) fn new(draining: SessionDraining, gauge: Option<SessionGauge>) -> Self {
        Self { draining, gauge, contexts: Arc::default(), changed: watch::Sender::default() }
    }

    pub(crate) fn put(&self, context: ContextPath, sessions: Sessions) {
        self.contexts.write().insert(context, sessions);
        self.changed.send_replace(());
    }

    pub(crate) fn remove(&self, context: &ContextPath) {
        self.contexts.write().remove(context);
        self.changed.send_replace(());
    }

    /// Wakes when contexts have other sessions.
    pub(crate) fn changes(&self) -> watch::Receiver<()> {
        self.changed.subscribe()
    }

    /// The views of the clusters that keep sessions.
    pub(crate) fn views(&self) -> Vec<watch::Receiver<Arc<View>>> {
        self.engines().iter().map(|engine| engine.group().watch()).collect()
    }

    /// Whether each of these clusters sees enough members for its data to be written.
    pub(crate) fn is_able(&self) -> bool {
        self.engines().iter().all(|engine| engine.group().view().is_quorate)
    }

    fn engines(&self) -> Vec<Arc<dyn Engine>> {
        let mut engines: Vec<Arc<dyn Engine>> = Vec::new();
        for sessions in self.contexts.read().values().filter(|sessions| sessions.is_distributable())
        {
            let engine = sessions.engine();
            if !engines.iter().any(|known| Arc::ptr_eq(known, engine)) {
                engines.push(Arc::clone(engine));
            }
        }
        engines
    }

    /// Whom the member sees that keeps the sessions, while it sees enough.
    fn members(&self) -> Option<Members> {
        let engine = self.engines().into_iter().next()?;
        let (me, view) = (engine.group().local(), engine.group().view());
        // One process without a cluster has no address.
        if me.address.is_empty() || !view.is_quorate {
            return None;
        }
        let others = view.members.iter().filter(|member| member.id.node != me.id.node);
        Members::new(me.id.node.0, others.map(|member| member.id.node.0))
    }

    /// Sessions for which a drain waits: of this context, or of all of them.
    pub(crate) fn bound(&self, context: Option<&ContextPath>) -> u64 {
        self.sum(|path, sessions| {
            context.is_none_or(|context| context == path) && self.waits_for(sessions)
        })
    }

    fn waits_for(&self, sessions: &Sessions) -> bool {
        match self.draining {
            SessionDraining::Default => !sessions.is_distributable(),
            SessionDraining::Always => true,
            SessionDraining::Never => false,
        }
    }

    /// One application may serve several contexts: its sessions count once.
    fn sum(&self, is_meant: impl Fn(&ContextPath, &Sessions) -> bool) -> u64 {
        let mut counted: Vec<Sessions> = Vec::new();
        for (path, sessions) in &*self.contexts.read() {
            if !counted.contains(sessions) && is_meant(path, sessions) {
                counted.push(sessions.clone());
            }
        }
        counted.iter().map(Sessions::active).sum()
    }

    /// What a STATUS says of sessions, and of the cluster that keeps them; nothing where nobody knows
    /// of any.
    pub(crate) fn headers(&self) -> Vec<(&'static str, String)> {
        let members = self.members().map(|members| (MEMBERS_HEADER, members.to_string()));
        self.counts().into_iter().chain(members).collect()
    }

    fn counts(&self) -> Vec<(&'static str, String)> {
        let has_contexts = !self.contexts.read().is_empty();
        let all = match &self.gauge {
            Some(gauge) => gauge.get(),
            None if has_contexts => self.sum(|_, _| true),
            None => return Vec::new(),
        };
        let mut headers = vec![(SESSIONS, all.to_string())];
        let bound = if has_contexts { self.bound(None) } else { all };
        if bound != all {
            headers.push((BOUND_SESSIONS, bound.to_string()));
        }
        headers
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Cluster;

    async fn shop(is_distributable: bool, count: usize) -> Sessions {
        let cluster = Cluster::builder("node1").local();
        let sessions = Sessions::builder("shop").cluster(&cluster);
        let sessions = sessions.distributable(is_distributable).start().unwrap();
        for _ in 0..count {
            let request = sessions.request(None);
            request.session().await.unwrap().create().unwrap();
            request.finish().await.unwrap();
        }
        sessions
    }

    fn context(path: &str) -> ContextPath {
        path.parse().unwrap()
    }

    fn said(deployed: &Deployed) -> String {
        let headers = deployed.headers();
        headers.iter().map(|(name, value)| format!("{name}: {value}\n")).collect()
    }

    #[tokio::test]
    async fn a_drain_waits_for_the_sessions_that_the_policy_names() {
        let (alone, shared) = (shop(false, 2).await, shop(true, 3).await);
        let bound = |draining| {
            let deployed = Deployed::new(draining, None);
            deployed.put(context("/alone"), alone.clone());
            deployed.put(context("/shared"), shared.clone());
            let of = |path| deployed.bound(Some(&context(path)));
            (of("/alone"), of("/shared"), deployed.bound(None), said(&deployed))
        };
        let told = |bound| format!("X-Muster-Sessions: 5\nX-Muster-Bound-Sessions: {bound}\n");
        assert_eq!(bound(SessionDraining::Default), (2, 0, 2, told(2)));
        assert_eq!(bound(SessionDraining::Never), (0, 0, 0, told(0)));
        let all = "X-Muster-Sessions: 5\n".to_owned();
        assert_eq!(bound(SessionDraining::Always), (2, 3, 5, all));
    }

    #[tokio::test]
    async fn an_application_in_two_contexts_counts_once_and_a_gauge_speaks_for_all() {
        let sessions = shop(false, 2).await;
        let deployed = Deployed::default();
        assert_eq!(said(&deployed), "");
        deployed.put(context("/a"), sessions.clone());
        deployed.put(context("/b"), sessions.clone());
        assert_eq!(said(&deployed), "X-Muster-Sessions: 2\n");
        deployed.remove(&context("/a"));
        assert_eq!(deployed.bound(None), 2);
        let gauge = SessionGauge::default();
        gauge.set(9);
        let deployed = Deployed::new(SessionDraining::Default, Some(gauge));
        assert_eq!(said(&deployed), "X-Muster-Sessions: 9\n");
    }
}
