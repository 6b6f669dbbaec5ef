//! The routing table: what a request needs, in one value that never changes.
//!
//! A change of the registry makes a new table that shares all it did not touch (persistent maps),
//! so that a command costs what it changes and not what there is.

use std::collections::HashMap;
use std::sync::Arc;

use foldhash::fast::RandomState;
use muster_protocol::mcmp::BalancerSettings;
use muster_protocol::names::{Alias, BalancerName, ContextPath, Domain, Route};
use rpds::HashTrieMapSync;

use crate::context::{ContextKey, ContextState};
use crate::elect::{Candidate, Pool};
use crate::node::{Availability, Node};

/// Candidates with their shares, by rising node id.
type Shares<'p> = Vec<(u8, &'p Candidate)>;

pub(crate) type Map<K, V> = HashTrieMapSync<K, V, RandomState>;

/// Who serves what. Load it once per attempt: a decision sees one world.
#[derive(Debug, Clone)]
pub struct RoutingTable {
    /// Contexts of any host; empty when host names count.
    pub(crate) paths: Map<ContextPath, Arc<Entry>>,
    /// Contexts by host name; empty when they do not.
    pub(crate) hosts: Map<Alias, Map<ContextPath, Arc<Entry>>>,
    /// All nodes.
    pub(crate) nodes: Map<Route, Arc<Node>>,
    /// The domains of nodes that are gone.
    pub(crate) gone: Map<Route, Domain>,
    /// Whether a request's host must be one of the aliases.
    pub(crate) use_alias: bool,
}

/// A context with everyone who serves it.
#[derive(Debug)]
pub struct Entry {
    /// What it is.
    pub key: ContextKey,
    /// Settings of the balancer names of its nodes, each once, by rising name.
    pub settings: Vec<Arc<BalancerSettings>>,
    /// Nodes that take any request.
    pub usable: Pool,
    /// The same by domain.
    pub domains: HashMap<Domain, Pool, RandomState>,
    /// Nodes for when there is no usable one.
    pub standby: Pool,
    /// Nodes that take old sessions only, for sessions of others once nobody else is left.
    pub disabled: Pool,
}

/// One node of a context.
#[derive(Debug)]
pub(crate) struct Placement {
    pub(crate) candidate: Candidate,
    pub(crate) state: ContextState,
}

// === impl RoutingTable ===

impl RoutingTable {
    /// A table without nodes.
    pub fn new(use_alias: bool) -> RoutingTable {
        RoutingTable { paths: map(), hosts: map(), nodes: map(), gone: map(), use_alias }
    }

    /// The context with the longest path that the request's path begins with, up to a `/`, a `;`
    /// or the end. `path` has no query.
    pub fn entry(&self, host: &str, path: &str) -> Option<&Entry> {
        let contexts = match self.use_alias {
            false => &self.paths,
            true => self.hosts.get(host_name(host).as_ref())?,
        };
        prefixes(path).find_map(|prefix| contexts.get(prefix)).map(|entry| &**entry)
    }

    /// The node of this route.
    pub fn node(&self, route: &str) -> Option<&Arc<Node>> {
        self.nodes.get(route)
    }

    /// All nodes, in no order.
    pub fn nodes(&self) -> impl Iterator<Item = &Arc<Node>> {
        self.nodes.values()
    }

    /// Bounds what elections remember: see [`Pool::close_window`].
    pub fn close_window(&self) {
        let by_host = self.hosts.values().flat_map(|contexts| contexts.values());
        for entry in self.paths.values().chain(by_host) {
            entry.usable.close_window();
            entry.standby.close_window();
            entry.disabled.close_window();
            entry.domains.values().for_each(Pool::close_window);
        }
    }
}

/// An empty map.
pub(crate) fn map<K: Eq + std::hash::Hash, V>() -> Map<K, V> {
    Map::new_with_hasher_and_ptr_kind(RandomState::default())
}

/// What the path may be mounted under, longest first. No context is as long as
/// [`ContextPath::LIMIT`], so a path costs at most that many looks however long it is.
fn prefixes(path: &str) -> impl Iterator<Item = &str> {
    let bytes = path.as_bytes();
    let end = bytes.len().min(ContextPath::LIMIT);
    let is_end = move |at: &usize| matches!(bytes.get(*at), None | Some(b'/' | b';'));
    let root = path.starts_with('/').then_some("/");
    (1..=end).rev().filter(is_end).filter_map(|at| path.get(..at)).chain(root)
}

/// A Host header's name: lower-cased, without the port.
fn host_name(host: &str) -> std::borrow::Cow<'_, str> {
    let name = match host.rfind(':') {
        Some(at) if !host[at..].contains(']') => &host[..at],
        _ => host,
    };
    match name.bytes().any(|b| b.is_ascii_uppercase()) {
        true => name.to_ascii_lowercase().into(),
        false => name.into(),
    }
}

// === impl Entry ===

impl Entry {
    /// An entry of these nodes, by rising id, whose elections go on where `before` is.
    pub(crate) fn build<'p>(
        key: &ContextKey,
        placements: impl Iterator<Item = &'p Placement>,
        before: Option<&Entry>,
    ) -> Entry {
        let mut settings: Vec<(&BalancerName, &Arc<BalancerSettings>)> = Vec::new();
        let mut domains: HashMap<&Domain, Shares<'p>, RandomState> = HashMap::default();
        let [mut usable, mut standby, mut disabled] = [const { Shares::new() }; 3];
        for placement in placements {
            let node = &placement.candidate.node;
            let name = &node.config.balancer;
            if settings.last().is_none_or(|(last, _)| *last != name)
                && let Err(at) = settings.binary_search_by_key(&name, |(own, _)| own)
            {
                settings.insert(at, (name, &node.settings));
            }
            match (placement.state, node.availability) {
                (ContextState::Enabled, Availability::Usable(share)) => {
                    usable.push((share, &placement.candidate));
                    if let Some(domain) = &node.config.domain {
                        domains.entry(domain).or_default().push((share, &placement.candidate));
                    }
                }
                (ContextState::Enabled, Availability::Standby) => {
                    standby.push((1, &placement.candidate));
                }
                (ContextState::Disabled, Availability::Usable(share)) => {
                    disabled.push((share, &placement.candidate));
                }
                (ContextState::Disabled, Availability::Standby)
                | (ContextState::Stopped, _)
                | (_, Availability::Unusable) => {}
            }
        }
        let build_domain = |(domain, shares): (&Domain, Shares<'p>)| {
            let pool = Pool::build(shares, before.and_then(|entry| entry.domains.get(domain)));
            (domain.clone(), pool)
        };
        Entry {
            key: key.clone(),
            settings: settings.into_iter().map(|(_, settings)| settings.clone()).collect(),
            domains: domains.into_iter().map(build_domain).collect(),
            usable: Pool::build(usable, before.map(|entry| &entry.usable)),
            standby: Pool::build(standby, before.map(|entry| &entry.standby)),
            disabled: Pool::build(disabled, before.map(|entry| &entry.disabled)),
        }
    }

    /// Whether it shows these very settings.
    pub(crate) fn has_settings(&self, settings: &Arc<BalancerSettings>) -> bool {
        self.settings.iter().any(|own| Arc::ptr_eq(own, settings))
    }
}

// === impl Placement ===

impl Placement {
    /// Whether no request can go there as it stands.
    pub(crate) fn is_idle(&self) -> bool {
        let is_stopped = self.state == ContextState::Stopped;
        is_stopped || self.candidate.node.availability == Availability::Unusable
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_context_ends_at_a_slash_a_semicolon_or_the_end() {
        let of = |path| prefixes(path).collect::<Vec<&str>>();
        assert_eq!(of("/shop/cart;id=1"), ["/shop/cart;id=1", "/shop/cart", "/shop", "/"]);
        assert_eq!(of("/shop"), ["/shop", "/"]);
        assert_eq!(of("/"), ["/", "/"]);
        assert_eq!(of("*"), ["*"]);
        assert!(of("").is_empty());
    }

    #[test]
    fn a_long_path_costs_no_more_looks_than_a_context_can_be_long() {
        let path = "/".repeat(8000);
        assert_eq!(prefixes(&path).count(), ContextPath::LIMIT + 1);
        assert!(prefixes("/ä/ö").eq(["/ä/ö", "/ä", "/"]));
    }

    #[test]
    fn a_host_has_no_port_and_no_case() {
        assert_eq!(host_name("Example.com:8080"), "example.com");
        assert_eq!(host_name("[::1]:80"), "[::1]");
        assert_eq!(host_name("[::1]"), "[::1]");
    }
}
