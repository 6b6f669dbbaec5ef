//! The page as plain values: what the HTML shows and what the JSON of the state says.
//!
//! One [`Page`] is one moment of the balancer. Its JSON (through serde) has the same rows as the
//! HTML, with exact numbers where the HTML rounds.

mod cluster;
mod coverage;
mod drain;
mod event;
mod jobs;
mod load;
mod node;
mod queues;
#[cfg(test)]
pub(crate) mod samples;
mod series;
mod settings;

use serde::Serialize;

pub use cluster::{
    Cache, CacheMember, Change, Cluster, ClusterWarning, Deployment, DeploymentMember, Member,
    MemberState, Singleton, SingletonChange, SingletonMember,
};
pub use coverage::{Coverage, Place};
pub use drain::{Drain, PastDrain};
pub use event::{Event, Level};
pub use jobs::{Firing, Job, OpenFiring};
pub use load::Load;
pub use node::{Context, ContextState, Node, NodeState, Property, VirtualHost};
pub use queues::{Consumers, Queue};
pub use series::{Pace, Series, Window};
pub use settings::{KnownSetting, Setting, SettingChange, Settings};

/// Most disagreements with a peer that are shown one by one.
const MOST_DISAGREEMENTS: usize = 20;

/// Everything that the manager shows at one moment.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Page {
    /// The product's name, such as `muster`.
    pub product: String,
    /// Its version, such as `0.1.0`.
    pub version: String,
    /// What the balancer as a whole is doing.
    pub state: BalancerState,
    /// Seconds since its start.
    pub uptime_seconds: u64,
    /// The balancer names with their settings.
    pub balancers: Vec<Balancer>,
    /// Whether a request's host must be one of a context's aliases.
    pub by_alias: bool,
    /// What goes through, all nodes together.
    pub pace: Pace,
    /// Clients' connections that are open.
    pub connections: u64,
    /// Requests that wait for a node.
    pub waiting: u64,
    /// Drains that go on.
    pub drains: Vec<Drain>,
    /// Drains that are over, the latest first.
    pub past_drains: Vec<PastDrain>,
    /// Other balancers that share our operators' verbs.
    pub peers: Vec<Peer>,
    /// Clusters of back ends.
    pub clusters: Vec<Cluster>,
    /// The nodes, by load-balancing group. [`Group::gather`] makes them.
    pub groups: Vec<Group>,
}

/// Another balancer that shares our operators' verbs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Peer {
    /// Its name or address.
    pub name: String,
    /// Whether it answers.
    pub answers: bool,
    /// Why it does not.
    pub why_not: Option<String>,
    /// Seconds since it last did; `None` while it never did.
    pub seconds_since_answer: Option<u64>,
    /// In what it disagrees with us, each in a line.
    pub disagreements: Vec<String>,
}

/// What the balancer as a whole is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum BalancerState {
    /// The listeners are not up yet.
    Starting,
    /// Requests are taken.
    Ready,
    /// No new connections; requests in flight finish.
    Draining,
}

/// A balancer name and what holds for all its nodes.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Balancer {
    /// The name that nodes register for.
    pub name: String,
    /// Whether sessions stay with their node.
    pub sticky_session: bool,
    /// Whether a session whose node is gone gets 503 rather than another node.
    pub sticky_session_force: bool,
    /// Whether the session id is stripped when a request leaves its node's group.
    pub sticky_session_remove: bool,
    /// The session cookie's name.
    pub cookie: String,
    /// The session path parameter's name.
    pub path: String,
    /// With no usable node, seconds that a request waits for one.
    pub wait_worker_seconds: f64,
    /// Retries after the first try.
    pub max_attempts: u32,
    /// What an operator may set instead of what nodes report.
    pub properties: Vec<Property>,
}

/// The nodes of one load-balancing group.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Group {
    /// The group's name (LBGroup); `None` for the nodes that named none.
    pub domain: Option<String>,
    /// Its nodes; never empty when made by [`Group::gather`].
    pub nodes: Vec<Node>,
}

// === impl Page ===

impl Page {
    /// A page of a balancer that has just started: no nodes, no traffic.
    pub fn empty(product: &str, version: &str) -> Page {
        Page {
            product: product.to_owned(),
            version: version.to_owned(),
            state: BalancerState::Starting,
            uptime_seconds: 0,
            balancers: Vec::new(),
            by_alias: false,
            pace: Pace::default(),
            connections: 0,
            waiting: 0,
            drains: Vec::new(),
            past_drains: Vec::new(),
            peers: Vec::new(),
            clusters: Vec::new(),
            groups: Vec::new(),
        }
    }

    /// `muster/0.1.0`, as the wire's VERSION writes it.
    pub fn release(&self) -> String {
        format!("{}/{}", self.product, self.version)
    }

    /// All nodes, group by group.
    pub fn nodes(&self) -> impl Iterator<Item = &Node> {
        self.groups.iter().flat_map(|group| &group.nodes)
    }

    /// How many contexts all nodes have together.
    pub fn context_count(&self) -> usize {
        self.nodes().map(Node::context_count).sum()
    }

    /// Nodes that can take a new session now.
    pub fn nodes_up(&self) -> usize {
        self.nodes().filter(|node| node.state == NodeState::Up).count()
    }

    /// Requests at all nodes now.
    pub fn requests_in_flight(&self) -> u64 {
        self.nodes().map(|node| node.requests_in_flight).fold(0, u64::saturating_add)
    }

    /// How many nodes are in a state.
    pub fn nodes_in(&self, state: NodeState) -> usize {
        self.nodes().filter(|node| node.state == state).count()
    }

    /// The node of that name.
    pub fn node(&self, route: &str) -> Option<&Node> {
        self.nodes().find(|node| node.route == route)
    }

    /// Sessions on all nodes that report them; `None` where none does.
    pub fn sessions(&self) -> Option<u64> {
        self.nodes().filter_map(|node| node.sessions).reduce(u64::saturating_add)
    }

    /// Elections of all nodes.
    pub fn elected(&self) -> u64 {
        self.nodes().map(|node| node.elected).fold(0, u64::saturating_add)
    }
}

// === impl Peer ===

impl Peer {
    /// The first disagreements, and how many there are beside them.
    pub(crate) fn first_disagreements(&self) -> (&[String], usize) {
        let shown = self.disagreements.len().min(MOST_DISAGREEMENTS);
        (&self.disagreements[..shown], self.disagreements.len() - shown)
    }
}

// === impl Group ===

impl Group {
    /// Requests at its nodes now.
    pub fn requests_in_flight(&self) -> u64 {
        self.nodes.iter().map(|node| node.requests_in_flight).fold(0, u64::saturating_add)
    }

    /// Requests per second of its nodes.
    pub fn requests_per_second(&self) -> f64 {
        self.nodes.iter().map(|node| node.pace.requests_per_second).sum()
    }

    /// The nodes by group: named groups by name, then the nodes without one; the order of the
    /// nodes within a group stays.
    pub fn gather(nodes: impl IntoIterator<Item = Node>) -> Vec<Group> {
        let mut named = std::collections::BTreeMap::<String, Vec<Node>>::new();
        let mut rest = Vec::new();
        for node in nodes {
            match node.domain.clone() {
                Some(domain) => named.entry(domain).or_default().push(node),
                None => rest.push(node),
            }
        }
        let mut groups: Vec<Group> = named
            .into_iter()
            .map(|(domain, nodes)| Group { domain: Some(domain), nodes })
            .collect();
        if !rest.is_empty() {
            groups.push(Group { domain: None, nodes: rest });
        }
        groups
    }
}

// === impl the states ===

impl BalancerState {
    /// The word of the page.
    pub fn word(self) -> &'static str {
        match self {
            BalancerState::Starting => "starting",
            BalancerState::Ready => "ready",
            BalancerState::Draining => "draining",
        }
    }

    /// What the word means for a client.
    pub fn meaning(self) -> &'static str {
        match self {
            BalancerState::Starting => "the listeners are not up yet",
            BalancerState::Ready => "requests are taken",
            BalancerState::Draining => "no new connections; requests in flight finish",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::samples::{node, page};
    use super::*;

    #[test]
    fn nodes_are_grouped_by_domain_and_those_without_one_come_last() {
        let groups = Group::gather([
            node("x", None, 0),
            node("b", Some("right"), 0),
            node("a", Some("left"), 0),
            node("c", Some("right"), 0),
        ]);
        let seen: Vec<(Option<&str>, Vec<&str>)> = groups
            .iter()
            .map(|g| (g.domain.as_deref(), g.nodes.iter().map(|n| n.route.as_str()).collect()))
            .collect();
        assert_eq!(
            seen,
            [(Some("left"), vec!["a"]), (Some("right"), vec!["b", "c"]), (None, vec!["x"])]
        );
    }

    #[test]
    fn every_load_factor_has_a_meaning() {
        for number in -2..=100 {
            assert_ne!(Load::new(number).meaning(), "unknown", "{number}");
        }
        assert_eq!(Load::new(1).meaning(), "overloaded");
        assert_eq!(Load::new(100).meaning(), "free");
        assert_eq!(Load::new(-1).meaning(), "in an error state");
        assert_eq!(Load::new(-2).percent_free(), 0);
    }

    #[test]
    fn the_totals_count_all_groups() {
        let mut down = node("b", None, 3);
        down.state = NodeState::Down;
        down.requests_in_flight = 4;
        let page = page(vec![node("a", Some("left"), 2), down]);
        assert_eq!((page.nodes().count(), page.nodes_up(), page.context_count()), (2, 1, 5));
        assert_eq!((page.requests_in_flight(), page.elected()), (4, 24));
    }
}
