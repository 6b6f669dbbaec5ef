//! Operators' words enter here, their own and those that other balancers tell us of.
//!
//! A word lasts as long as what it was said of: it ends when a node takes its leave
//! (`REMOVE-APP /*`), or removes the context. A node that registers again, says ENABLE-APP, goes
//! down and comes back, or is killed and started at the same address has not taken its leave, and
//! the word stands.

use std::collections::BTreeMap;
use std::sync::Arc;

use muster_protocol::mcmp::{BalancerSettings, VirtualHost};
use muster_protocol::names::{Alias, BalancerName, ContextPath, Route};

use super::{Member, Registry};
use crate::Moment;
use crate::context::{ContextState, HostEntry};
use crate::drain::{Drain, End, MOST_HISTORY, Observed};
use crate::node::NodeId;
use crate::overrides::NodeOverride;
use crate::word::{About, Full, Key, Say, Stamp, Subject, UnixMs, Word, Words};

/// What operators hold down on one node.
#[derive(Debug, Default)]
pub(crate) struct Held {
    node: Option<(Stamp, ContextState)>,
    contexts: BTreeMap<(Alias, ContextPath), (Stamp, ContextState)>,
}

impl Registry {
    /// All words that stand.
    pub fn words(&self) -> &Words {
        &self.words
    }

    /// Drains under way, and those that are over whose word still stands.
    pub fn drains(&self) -> impl Iterator<Item = &Drain> {
        self.drains.values()
    }

    /// The drain of a node or a context.
    pub fn drain(&self, subject: &Subject) -> Option<&Drain> {
        self.drains.get(subject)
    }

    /// Drains that are over, the oldest first, [`MOST_HISTORY`] at most.
    pub fn drain_history(&self) -> impl Iterator<Item = &Drain> {
        self.history.iter()
    }

    /// Hears a word. Says whether it is news: of two words for one thing the later holds, whatever
    /// the order in which they come. `quiet_ms` is a drain's quiet time.
    ///
    /// # Errors
    /// [`Full`]; nothing has changed then.
    pub fn hear(
        &mut self,
        word: &Word,
        quiet_ms: u64,
        wall: UnixMs,
        now: Moment,
    ) -> Result<bool, Full> {
        if !self.words.take(word)? {
            return Ok(false);
        }
        match &word.about {
            About::State { subject, say } => {
                self.end_drains(subject, *say, wall);
                match say {
                    Say::Drain { .. } => drop(self.draining.insert(subject.clone())),
                    Say::Enable => self.enable(subject),
                    Say::Disable | Say::Stop | Say::Free => {}
                }
                self.begin_drains(quiet_ms, wall);
                self.hold(&subject.route, now);
            }
            About::Node { route, .. } => {
                if let Some(id) = self.id(route) {
                    self.override_node(id);
                    self.settle(id, now);
                    self.restand(id, now);
                }
            }
            About::Balancer { name, .. } => self.settle_settings(name, None, now),
        }
        self.publish();
        Ok(true)
    }

    /// Time passes for drains. Gives those that are at another point now.
    pub fn tick_drains(&mut self, quiet_ms: u64, wall: UnixMs, now: Moment) -> Vec<Drain> {
        self.begin_drains(quiet_ms, wall);
        let subjects: Vec<Subject> = self.drains.keys().cloned().collect();
        let mut changed = Vec::new();
        for subject in subjects {
            let observed = self.observed(&subject);
            let is_gone = observed.is_none();
            let Some(drain) = self.drains.get_mut(&subject) else { continue };
            if drain.observe(observed, wall) {
                changed.push(drain.clone());
            }
            if is_gone {
                self.drains.remove(&subject);
            }
        }
        for drain in &changed {
            if drain.is_over() {
                self.keep(drain.clone());
            }
            self.hold(&drain.subject.route, now);
        }
        self.publish();
        changed
    }

    /// Puts back what an earlier process knew: its words as they stand, and its drains where they
    /// were.
    pub fn resume(
        &mut self,
        words: Vec<Word>,
        drains: Vec<Drain>,
        history: Vec<Drain>,
        now: Moment,
    ) {
        for word in &words {
            let is_news = self.words.take(word).unwrap_or(false);
            if let (true, About::State { subject, say: Say::Drain { .. } }) = (is_news, &word.about)
            {
                self.draining.insert(subject.clone());
            }
        }
        let stands = |drain: &Drain| self.draining.contains(&drain.subject);
        let drains: Vec<Drain> = drains.into_iter().filter(stands).collect();
        self.drains.extend(drains.into_iter().map(|drain| (drain.subject.clone(), drain)));
        history.into_iter().for_each(|drain| self.keep(drain));
        let nodes: Vec<(NodeId, Route)> =
            self.members.iter().map(|(id, member)| (*id, member.config.route.clone())).collect();
        for (id, route) in nodes {
            self.override_node(id);
            self.hold(&route, now);
        }
        let names: Vec<BalancerName> = self.reported.keys().cloned().collect();
        names.iter().for_each(|name| self.settle_settings(name, None, now));
        self.publish();
    }

    /// A node or some of its contexts take their leave: what was said of them ends. The stamp is
    /// the same at every balancer that hears so, and later than what it ends.
    pub(super) fn farewell(&mut self, route: &Route, contexts: Option<&VirtualHost>) {
        let leaves = |subject: &Subject| match (contexts, &subject.context) {
            (None, _) => true,
            (Some(host), Some((alias, path))) => {
                host.aliases.contains(alias) && host.contexts.contains(path)
            }
            (Some(_), None) => false,
        };
        let ends = |(subject, say, stamp): (&Subject, Say, &Stamp)| {
            let is_over = matches!(say, Say::Free) || !leaves(subject);
            (!is_over).then(|| Word {
                stamp: Stamp { at_ms: stamp.at_ms + 1, heard_by: stamp.heard_by.clone() },
                by: "the node".into(),
                about: About::State { subject: subject.clone(), say: Say::Free },
            })
        };
        let ended: Vec<Word> = self.words.of(route).filter_map(ends).collect();
        for word in ended {
            // It takes the place of a word, so that there is room for it.
            let _ = self.words.take(&word);
            if let About::State { subject, .. } = &word.about {
                self.draining.remove(subject);
            }
        }
    }

    /// What operators hold down on a node, as it stands in the words.
    pub(super) fn held(&self, route: &Route) -> Held {
        let mut held = Held::default();
        for (subject, say, stamp) in self.words.of(route) {
            let has_drained = self.drains.get(subject).is_some_and(Drain::is_stopped);
            let ceiling = (stamp.clone(), say.ceiling(has_drained));
            match &subject.context {
                None => held.node = Some(ceiling),
                Some(context) => drop(held.contexts.insert(context.clone(), ceiling)),
            }
        }
        held
    }

    /// Lets the words for a node's properties hold.
    pub(super) fn override_node(&mut self, id: NodeId) {
        let route = self.members[&id].config.route.clone();
        let overrides = self.words.node(&route).cloned().unwrap_or_default();
        let member = self.member_mut(id);
        member.effective = match overrides.is_empty() {
            true => member.config.clone(),
            false => Arc::new(overrides.apply(&member.config)),
        };
        member.overrides = overrides;
    }

    /// The settings that hold for a balancer name: for its nodes other than `own` from here.
    pub(super) fn settle_settings(
        &mut self,
        name: &BalancerName,
        own: Option<NodeId>,
        now: Moment,
    ) {
        let Some(reported) = self.reported.get(name) else { return };
        let settings: BalancerSettings = match self.words.balancer(name) {
            Some(overrides) => overrides.apply(reported),
            None => (**reported).clone(),
        };
        if self.balancers.get(name).is_some_and(|known| **known == settings) {
            return;
        }
        self.balancers.insert(name.clone(), Arc::new(settings));
        let is_other = |(id, member): &(&NodeId, &Member)| {
            Some(**id) != own && member.config.balancer == *name
        };
        let others: Vec<NodeId> = self.members.iter().filter(is_other).map(|(id, _)| *id).collect();
        others.into_iter().for_each(|id| self.restand(id, now));
    }

    fn hold(&mut self, route: &Route, now: Moment) {
        let Some(id) = self.id(route) else { return };
        self.member_mut(id).held = self.held(route);
        self.refresh(id, now);
    }

    fn enable(&mut self, subject: &Subject) {
        let Some(id) = self.id(&subject.route) else { return };
        let hosts = &mut self.member_mut(id).hosts;
        match &subject.context {
            None => hosts.set_all(ContextState::Enabled),
            Some((alias, path)) => {
                let has = |host: &&HostEntry| {
                    host.aliases.contains(alias) && host.contexts.contains_key(path)
                };
                if hosts.iter().any(|host| has(&host)) {
                    let (aliases, contexts) = (vec![alias.clone()], vec![path.clone()]);
                    hosts.set(&VirtualHost { aliases, contexts }, ContextState::Enabled);
                }
            }
        }
    }

    /// A word for a node also ends the drains of its contexts.
    fn end_drains(&mut self, subject: &Subject, say: Say, wall: UnixMs) {
        let is_meant = |own: &Subject| {
            own == subject || (subject.context.is_none() && own.route == subject.route)
        };
        self.draining.retain(|own| !is_meant(own));
        let ended: Vec<Subject> = self.drains.keys().filter(|own| is_meant(own)).cloned().collect();
        for own in ended {
            let Some(mut drain) = self.drains.remove(&own) else { continue };
            if drain.is_over() {
                continue;
            }
            match say {
                Say::Stop => drain.stop(End::Stopped, wall),
                Say::Enable | Say::Disable | Say::Drain { .. } | Say::Free => {
                    drain.end(End::Cancelled, wall);
                }
            }
            match drain.is_over() {
                true => self.keep(drain),
                // Its last requests are still counted.
                false => drop(self.drains.insert(own, drain)),
            }
        }
    }

    /// Begins the drains that were ordered, of nodes that are here.
    fn begin_drains(&mut self, quiet_ms: u64, wall: UnixMs) {
        let is_new = |subject: &&Subject| {
            !self.drains.contains_key(*subject) && self.by_route.contains_key(&subject.route)
        };
        let new: Vec<Subject> = self.draining.iter().filter(is_new).cloned().collect();
        for subject in new {
            let Some(word) = self.words.get(&Key::State(subject.clone())) else { continue };
            let About::State { say: Say::Drain { deadline_ms, .. }, .. } = word.about else {
                continue;
            };
            let by = word.by.clone();
            let mut drain = Drain::begin(subject.clone(), by, deadline_ms, quiet_ms, wall);
            drain.look(self.observed(&subject).unwrap_or_default());
            self.drains.insert(subject, drain);
        }
    }

    pub(super) fn observed(&self, subject: &Subject) -> Option<Observed> {
        let member = &self.members[&self.id(&subject.route)?];
        let live = &member.live;
        let lost = live.lost();
        match &subject.context {
            None => Some(Observed {
                in_flight: live.in_flight().into(),
                sessions: member.bound_sessions.or(member.sessions),
                requests: live.elected(),
                lost,
            }),
            Some((_, path)) => {
                let slot = member.slots.get(path)?;
                Some(Observed {
                    in_flight: slot.in_flight().into(),
                    sessions: None,
                    requests: slot.requests(),
                    lost,
                })
            }
        }
    }

    fn keep(&mut self, drain: Drain) {
        self.history.push_back(drain);
        while self.history.len() > MOST_HISTORY {
            self.history.pop_front();
        }
    }
}

impl Held {
    /// The most that a context of this host may take: of the words for it and for its node, the
    /// later holds.
    pub(crate) fn ceiling(&self, aliases: &[Alias], path: &ContextPath) -> ContextState {
        let mut last = self.node.as_ref();
        if !self.contexts.is_empty() {
            for alias in aliases {
                let of_context = self.contexts.get(&(alias.clone(), path.clone()));
                last = last.max(of_context);
            }
        }
        last.map_or(ContextState::Enabled, |(_, ceiling)| *ceiling)
    }
}

impl Member {
    /// The load that holds.
    pub(crate) fn load(&self) -> Option<muster_protocol::mcmp::Load> {
        self.overrides.load(self.load)
    }

    /// What operators say of its properties.
    pub(crate) fn overrides(&self) -> &NodeOverride {
        &self.overrides
    }
}
