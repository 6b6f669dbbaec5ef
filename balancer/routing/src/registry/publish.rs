//! From the registry to the table: what a change touches, once, and no more.

use std::collections::BTreeMap;
use std::sync::Arc;

use muster_protocol::mcmp::Address;
use muster_protocol::names::ContextPath;

use super::{Member, Registry};
use crate::Moment;
use crate::context::{ContextKey, HostEntry};
use crate::elect::Candidate;
use crate::load::availability;
use crate::node::{Availability, Mounted, Node, NodeId, Slot};
use crate::table::{Entry, Placement, map};

/// Most contexts of a node that are gone and still have requests whose slots are kept.
const MOST_LEFT: usize = 1000;

impl Registry {
    /// Notes a node anew with its contexts. [`Registry::publish`] ends each change.
    pub(super) fn refresh(&mut self, id: NodeId, now: Moment) {
        let use_alias = self.table.use_alias;
        let contexts = self.member_mut(id).mount(use_alias);
        self.place(id, contexts, now);
    }

    /// Notes how a node stands, and its settings; its contexts are those that it had.
    pub(super) fn restand(&mut self, id: NodeId, now: Moment) {
        let node = self.members[&id].node.as_ref();
        let contexts = node.map(|node| node.contexts.clone()).unwrap_or_default();
        self.place(id, contexts, now);
    }

    /// Builds each entry that was touched since the last time, once: a change of a thousand nodes
    /// of one context costs one entry.
    pub(super) fn publish(&mut self) {
        for key in std::mem::take(&mut self.touched) {
            self.rebuild(&key);
        }
    }

    /// Forgets a node; its domain is remembered for the sessions that it leaves behind.
    pub(super) fn remove(&mut self, id: NodeId) {
        let Some(member) = self.members.remove(&id) else { return };
        let Address { host, port, .. } = member.config.address.clone();
        let route = member.config.route.clone();
        self.by_route.remove(&route);
        self.by_address.remove(&(host, port));
        self.clusters.remove(id);
        self.contexts -= member.hosts.key_count(self.table.use_alias);
        self.table.nodes.remove_mut(&route);
        self.version += 1;
        if !self.members.values().any(|other| other.config.balancer == member.config.balancer) {
            self.balancers.remove(&member.config.balancer);
            self.reported.remove(&member.config.balancer);
        }
        for (key, ..) in member.node.iter().flat_map(|node| node.contexts.iter()) {
            self.unindex(key, id);
        }
        self.remember(&member);
    }

    pub(super) fn member_mut(&mut self, id: NodeId) -> &mut Member {
        self.members.get_mut(&id).expect("ids come from the registry's own maps")
    }

    fn place(&mut self, id: NodeId, contexts: Arc<[Mounted]>, now: Moment) {
        let member = self.members.get_mut(&id).expect("ids come from the registry's own maps");
        let settings = self.balancers.get(&member.config.balancer);
        let node = Arc::new(Node {
            id,
            socket: member.config.address.socket(),
            config: member.effective.clone(),
            settings: settings.cloned().unwrap_or_default(),
            availability: member.availability(now),
            contexts,
            live: member.live.clone(),
        });
        let before = member.node.replace(node.clone());
        self.table.nodes.insert_mut(node.config.route.clone(), node.clone());
        self.version += 1;
        for (key, ..) in before.iter().flat_map(|before| before.contexts.iter()) {
            if node.context(key).is_none() {
                self.unindex(key, id);
            }
        }
        for (key, state, slot) in node.contexts.iter() {
            let candidate = Candidate { node: node.clone(), slot: slot.clone() };
            self.put(key, Placement { candidate, state: *state });
        }
    }

    fn put(&mut self, key: &ContextKey, placement: Placement) {
        let entry = self.entry(key);
        let nodes = self.index.get(key);
        let before = nodes.and_then(|nodes| nodes.get(&placement.candidate.node.id));
        let is_idle = placement.is_idle() && before.is_none_or(Placement::is_idle);
        let settings = &placement.candidate.node.settings;
        let is_known = match before {
            Some(before) => Arc::ptr_eq(&before.candidate.node.settings, settings),
            None => entry.is_some_and(|entry| entry.has_settings(settings)),
        };
        // An entry shows of an idle node its settings only.
        if !(is_idle && is_known) {
            self.touch(key);
        }
        let nodes = match self.index.get_mut(key) {
            Some(nodes) => nodes,
            None => self.index.entry(key.clone()).or_default(),
        };
        nodes.insert(placement.candidate.node.id, placement);
    }

    fn unindex(&mut self, key: &ContextKey, id: NodeId) {
        if let Some(nodes) = self.index.get_mut(key) {
            nodes.remove(&id);
            if nodes.is_empty() {
                self.index.remove(key);
            }
        }
        self.touch(key);
    }

    fn touch(&mut self, key: &ContextKey) {
        if !self.touched.contains(key) {
            self.touched.insert(key.clone());
        }
    }

    fn entry(&self, key: &ContextKey) -> Option<&Arc<Entry>> {
        let contexts = match &key.alias {
            None => &self.table.paths,
            Some(alias) => self.table.hosts.get(alias)?,
        };
        contexts.get(&key.path)
    }

    fn rebuild(&mut self, key: &ContextKey) {
        self.rebuilds += 1;
        let before = self.entry(key).cloned();
        let nodes = self.index.get(key);
        let entry =
            nodes.map(|nodes| Arc::new(Entry::build(key, nodes.values(), before.as_deref())));
        let change = |contexts: &mut crate::table::Map<_, _>| match entry {
            Some(entry) => contexts.insert_mut(key.path.clone(), entry),
            None => drop(contexts.remove_mut(&key.path)),
        };
        match &key.alias {
            None => change(&mut self.table.paths),
            Some(alias) => {
                let mut contexts = self.table.hosts.get(alias).cloned().unwrap_or_else(map);
                change(&mut contexts);
                match contexts.is_empty() {
                    true => drop(self.table.hosts.remove_mut(alias)),
                    false => self.table.hosts.insert_mut(alias.clone(), contexts),
                }
            }
        }
    }

    fn remember(&mut self, member: &Member) {
        let Some(domain) = member.config.domain.clone() else { return };
        let route = member.config.route.clone();
        if !self.table.gone.contains_key(&route) {
            self.gone.push_back(route.clone());
        }
        self.table.gone.insert_mut(route, domain);
        while self.gone.len() > self.limits.gone {
            if let Some(oldest) = self.gone.pop_front() {
                self.table.gone.remove_mut(&oldest);
            }
        }
    }
}

impl Member {
    /// What requests may use it for now.
    pub(crate) fn availability(&self, now: Moment) -> Availability {
        match self.health.is_usable() {
            true => availability(self.load(), self.warming, now),
            false => Availability::Unusable,
        }
    }

    /// Its contexts with their slots. A slot outlives its context while it has requests, for the
    /// context may come back and be drained.
    fn mount(&mut self, use_alias: bool) -> Arc<[Mounted]> {
        let mut slots: BTreeMap<ContextPath, Arc<Slot>> = BTreeMap::new();
        let mut slot_of = |path: &ContextPath| match slots.get(path) {
            Some(slot) => slot.clone(),
            None => {
                let slot = self.slots.get(path).cloned().unwrap_or_default();
                slots.insert(path.clone(), slot.clone());
                slot
            }
        };
        let held = &self.held;
        let ceiling = |host: &HostEntry, path: &ContextPath| held.ceiling(&host.aliases, path);
        let keys = self.hosts.keys(use_alias, ceiling).into_iter();
        let contexts = keys.map(|(key, state)| {
            let slot = slot_of(&key.path);
            (key, state, slot)
        });
        let contexts = contexts.collect();
        let before = std::mem::replace(&mut self.slots, slots);
        let mut left = MOST_LEFT;
        for (path, slot) in before {
            if left > 0 && slot.in_flight() > 0 && !self.slots.contains_key(&path) {
                self.slots.insert(path, slot);
                left -= 1;
            }
        }
        contexts
    }
}
