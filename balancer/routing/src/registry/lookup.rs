//! What an operator may mean, and how it stands: looked up without building all rows.

use std::fmt;
use std::sync::Arc;

use muster_protocol::cluster::PeerAddress;
use muster_protocol::mcmp::{Address, App, Command, Scope};
use muster_protocol::names::{Alias, BalancerName, ContextPath, Domain, Route};

use super::{Member, Registry};
use crate::cluster::Seated;
use crate::context::{ContextState, HostEntry};
use crate::node::NodeId;
use crate::word::Subject;

/// How many contexts take what, in words: `2 enabled, 1 stopped`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Tally {
    /// All requests.
    pub enabled: usize,
    /// Old sessions only.
    pub disabled: usize,
    /// None.
    pub stopped: usize,
}

/// How what a command is for stands, for those who write down what changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Standing {
    /// There is no such node.
    Unknown,
    /// A node that registered.
    Node {
        /// Where.
        address: Address,
        /// For whom.
        balancer: BalancerName,
        /// In which group.
        domain: Option<Domain>,
    },
    /// Contexts.
    Contexts(Tally),
}

impl Registry {
    /// Whether a node of this route is registered.
    pub fn has_node(&self, route: &Route) -> bool {
        self.by_route.contains_key(route)
    }

    /// A node's place in its cluster, as it said last.
    pub fn seat_of(&self, route: &Route) -> Option<&Arc<Seated>> {
        self.seated(self.id(route)?)
    }

    pub(crate) fn seated(&self, id: NodeId) -> Option<&Arc<Seated>> {
        self.clusters.of(id)
    }

    /// Where others of a node's cluster are, those that registered first, 64 at most.
    pub fn cluster_peers(&self, route: &Route) -> Vec<PeerAddress> {
        self.id(route).map(|id| self.clusters.peers(id)).unwrap_or_default()
    }

    /// All nodes with a place in a cluster.
    pub fn seats(&self) -> Vec<(Route, Arc<Seated>)> {
        let route = |id: NodeId| self.members.get(&id).map(|member| member.config.route.clone());
        let seats = self.clusters.all();
        seats.filter_map(|(id, seated)| Some((route(id)?, seated.clone()))).collect()
    }

    /// Whether the balancer name has nodes.
    pub fn has_balancer(&self, name: &BalancerName) -> bool {
        self.balancers.contains_key(name)
    }

    /// The nodes of a domain, or those without one, in the order in which they came.
    pub fn routes_in(&self, domain: Option<&Domain>) -> Vec<Route> {
        let members = self.members.values();
        let is_in = |member: &&Member| member.config.domain.as_ref() == domain;
        members.filter(is_in).map(|member| member.config.route.clone()).collect()
    }

    /// The context of a node on the virtual host that has all these aliases, by its first one.
    pub fn context(&self, route: &Route, aliases: &[Alias], path: &ContextPath) -> Option<Subject> {
        let member = &self.members[&self.id(route)?];
        let has = |host: &&HostEntry| {
            aliases.iter().all(|alias| host.aliases.contains(alias))
                && host.contexts.contains_key(path)
        };
        let host = member.hosts.iter().find(has)?;
        let alias = host.aliases.first()?.clone();
        Some(Subject { route: route.clone(), context: Some((alias, path.clone())) })
    }

    /// Which requests the contexts of a node, or one of them, take.
    pub fn tally(&self, subject: &Subject) -> Tally {
        let is_meant = |host: &HostEntry, path: &ContextPath| match &subject.context {
            None => true,
            Some((alias, own)) => own == path && host.aliases.contains(alias),
        };
        self.tally_of(&subject.route, is_meant)
    }

    /// Requests that are at a node, or at one of its contexts.
    pub fn in_flight(&self, subject: &Subject) -> u64 {
        self.observed(subject).map_or(0, |observed| observed.in_flight)
    }

    /// How what a command would change stands; `None` for commands that change nothing worth
    /// writing down.
    pub fn standing(&self, command: &Command) -> Option<Standing> {
        match command {
            Command::Config(config) => Some(self.node_standing(&config.route)),
            Command::App(App { route, scope: Scope::Node, verb }) => {
                let is_removal = ContextState::after(*verb).is_none();
                Some(match is_removal || !self.has_node(route) {
                    true => self.node_standing(route),
                    false => Standing::Contexts(self.tally(&Subject::node(route.clone()))),
                })
            }
            Command::App(App { route, scope: Scope::Contexts(message), .. }) => {
                let is_meant = |host: &HostEntry, path: &ContextPath| {
                    message.contexts.contains(path)
                        && message.aliases.iter().any(|alias| host.aliases.contains(alias))
                };
                Some(Standing::Contexts(self.tally_of(route, is_meant)))
            }
            Command::Status(_)
            | Command::Ping(_)
            | Command::Info
            | Command::Dump
            | Command::Version => None,
        }
    }

    fn node_standing(&self, route: &Route) -> Standing {
        let Some(id) = self.id(route) else { return Standing::Unknown };
        let config = &self.members[&id].config;
        Standing::Node {
            address: config.address.clone(),
            balancer: config.balancer.clone(),
            domain: config.domain.clone(),
        }
    }

    fn tally_of(
        &self,
        route: &Route,
        is_meant: impl Fn(&HostEntry, &ContextPath) -> bool,
    ) -> Tally {
        let mut tally = Tally::default();
        let Some(id) = self.id(route) else { return tally };
        let member = &self.members[&id];
        for host in member.hosts.iter() {
            for (path, own) in host.contexts.iter().filter(|(path, _)| is_meant(host, path)) {
                match (*own).min(member.held.ceiling(&host.aliases, path)) {
                    ContextState::Enabled => tally.enabled += 1,
                    ContextState::Disabled => tally.disabled += 1,
                    ContextState::Stopped => tally.stopped += 1,
                }
            }
        }
        tally
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let counts =
            [(self.enabled, "enabled"), (self.disabled, "disabled"), (self.stopped, "stopped")];
        let mut written = counts.iter().filter(|(count, _)| *count > 0);
        match written.next() {
            None => return f.write_str("no contexts"),
            Some((count, word)) => write!(f, "{count} {word}")?,
        }
        written.try_for_each(|(count, word)| write!(f, ", {count} {word}"))
    }
}

impl fmt::Display for Standing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Standing::Unknown => f.write_str("unknown"),
            Standing::Node { address, balancer, domain: None } => {
                write!(f, "{address} for {balancer}")
            }
            Standing::Node { address, balancer, domain: Some(domain) } => {
                write!(f, "{address} for {balancer} in {domain}")
            }
            Standing::Contexts(tally) => tally.fmt(f),
        }
    }
}
