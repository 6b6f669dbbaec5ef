//! From the registry to the table: what a change of one node touches, and no more.

use std::collections::BTreeMap;
use std::sync::Arc;

use muster_protocol::mcmp::Address;

use super::{Member, Registry};
use crate::Moment;
use crate::context::{ContextKey, ContextState};
use crate::elect::Candidate;
use crate::load::availability;
use crate::node::{Availability, Node, NodeId};
use crate::table::{Entry, Placement, map};

impl Registry {
    /// Brings the table up to what is known of this node.
    pub(super) fn refresh(&mut self, id: NodeId, now: Moment) {
        let keys = self.members[&id].hosts.keys(self.table.use_alias);
        let node = Arc::new(self.node_of(id, &keys, now));
        let member = self.member_mut(id);
        member.slots = slots_of(&node);
        let before = member.node.replace(node.clone());

        let mut touched: Vec<ContextKey> = keys.keys().cloned().collect();
        for (key, ..) in before.iter().flat_map(|node| &node.contexts) {
            if !keys.contains_key(key) {
                self.unindex(key, id);
                touched.push(key.clone());
            }
        }
        for (key, state) in keys {
            self.index.entry(key).or_default().insert(id, state);
        }
        self.table.nodes.insert_mut(node.config.route.clone(), node);
        self.version += 1;
        touched.iter().for_each(|key| self.rebuild(key));
    }

    /// Forgets a node; its domain is remembered for the sessions that it leaves behind.
    pub(super) fn remove(&mut self, id: NodeId) {
        let Some(member) = self.members.remove(&id) else { return };
        let Address { host, port, .. } = member.config.address.clone();
        let route = member.config.route.clone();
        self.by_route.remove(&route);
        self.by_address.remove(&(host, port));
        self.contexts -= member.hosts.context_count();
        self.table.nodes.remove_mut(&route);
        self.version += 1;
        if !self.members.values().any(|other| other.config.balancer == member.config.balancer) {
            self.balancers.remove(&member.config.balancer);
        }
        for (key, ..) in member.node.iter().flat_map(|node| &node.contexts) {
            self.unindex(key, id);
            self.rebuild(key);
        }
        self.remember(&member);
    }

    pub(super) fn member_mut(&mut self, id: NodeId) -> &mut Member {
        self.members.get_mut(&id).expect("ids come from the registry's own maps")
    }

    fn node_of(&self, id: NodeId, keys: &BTreeMap<ContextKey, ContextState>, now: Moment) -> Node {
        let member = &self.members[&id];
        let slot = |key: &ContextKey| member.slots.get(&key.path).cloned().unwrap_or_default();
        let mut slots = BTreeMap::new();
        let mut slot_of =
            |key: &ContextKey| slots.entry(key.path.clone()).or_insert_with(|| slot(key)).clone();
        let settings = self.balancers.get(&member.config.balancer);
        Node {
            id,
            config: member.config.clone(),
            settings: settings.cloned().unwrap_or_default(),
            availability: member.availability(now),
            contexts: keys.iter().map(|(key, state)| (key.clone(), *state, slot_of(key))).collect(),
            live: member.live.clone(),
        }
    }

    fn unindex(&mut self, key: &ContextKey, id: NodeId) {
        if let Some(nodes) = self.index.get_mut(key) {
            nodes.remove(&id);
            if nodes.is_empty() {
                self.index.remove(key);
            }
        }
    }

    fn rebuild(&mut self, key: &ContextKey) {
        let placements: Vec<Placement> = self.placements(key);
        let contexts = match &key.alias {
            None => Some(&self.table.paths),
            Some(alias) => self.table.hosts.get(alias),
        };
        let before = contexts.and_then(|contexts| contexts.get(&key.path)).cloned();
        let entry = (!placements.is_empty())
            .then(|| Arc::new(Entry::build(key, &placements, before.as_deref())));
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

    fn placements(&self, key: &ContextKey) -> Vec<Placement> {
        let nodes = self.index.get(key).into_iter().flatten();
        let place = |(id, state): (&NodeId, &ContextState)| {
            let node = self.members[id].node.clone()?;
            let (_, slot) = node.context(key)?;
            let slot = slot.clone();
            Some(Placement { candidate: Candidate { node, slot }, state: *state })
        };
        nodes.filter_map(place).collect()
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
            true => availability(self.load, self.warming, now),
            false => Availability::Unusable,
        }
    }
}

fn slots_of(node: &Node) -> BTreeMap<muster_protocol::names::ContextPath, Arc<crate::node::Slot>> {
    node.contexts.iter().map(|(key, _, slot)| (key.path.clone(), slot.clone())).collect()
}
