//! The page as plain values: what the HTML shows and what the JSON of the state says.
//!
//! One [`Page`] is one moment of the balancer. Its JSON (through serde) has the same rows as the
//! HTML, with exact numbers where the HTML rounds.

use serde::Serialize;

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
    /// The nodes, by load-balancing group. [`Group::gather`] makes them.
    pub groups: Vec<Group>,
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
}

/// The nodes of one load-balancing group.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Group {
    /// The group's name (LBGroup); `None` for the nodes that named none.
    pub domain: Option<String>,
    /// Its nodes; never empty when made by [`Group::gather`].
    pub nodes: Vec<Node>,
}

/// One node with its counters.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Node {
    /// The node's name (JVMRoute).
    pub route: String,
    /// The balancer name that it registered for.
    pub balancer: String,
    /// Its load-balancing group (LBGroup), if it named one.
    pub domain: Option<String>,
    /// Where it answers, scheme first: `ajp://10.0.0.7:8009`.
    pub address: String,
    /// Whether it stands in the configuration file rather than having registered itself.
    pub is_static: bool,
    /// How it does, in one word.
    pub state: NodeState,
    /// Its load factor.
    pub load: Load,
    /// How often it was elected.
    pub elected: u64,
    /// Requests that are at the node now.
    pub requests_in_flight: u64,
    /// Bytes of answers, read from the node.
    pub bytes_read: u64,
    /// Bytes of requests, transferred to the node.
    pub bytes_transferred: u64,
    /// Seconds since its last STATUS; `None` while it sent none.
    pub seconds_since_status: Option<u64>,
    /// Its virtual hosts, in the order of registration.
    pub virtual_hosts: Vec<VirtualHost>,
}

/// How a node does: what an operator wants to know first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum NodeState {
    /// It takes its share.
    Up,
    /// It is probed and takes no traffic yet.
    Checking,
    /// It takes traffic only when no other node is left.
    Standby,
    /// It takes old sessions only: no context is enabled, some are disabled.
    Disabled,
    /// It takes nothing: all its contexts are stopped, or it has none.
    Stopped,
    /// It reported itself broken.
    Error,
    /// It does not answer.
    Down,
}

/// A set of aliases and the contexts on it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct VirtualHost {
    /// Host names.
    pub aliases: Vec<String>,
    /// Mounted applications.
    pub contexts: Vec<Context>,
}

/// A mounted application.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Context {
    /// Where it is mounted.
    pub path: String,
    /// What it takes.
    pub state: ContextState,
    /// Its requests that are at the node now.
    pub requests_in_flight: u64,
}

/// What a context takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum ContextState {
    /// All requests.
    Enabled,
    /// Old sessions only.
    Disabled,
    /// No requests.
    Stopped,
}

/// A load factor with its meaning, so that no reader has to know the numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Load {
    number: i32,
    meaning: &'static str,
}

// === impl Page ===

impl Page {
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

    /// Elections of all nodes.
    pub fn elected(&self) -> u64 {
        self.nodes().map(|node| node.elected).fold(0, u64::saturating_add)
    }
}

// === impl Group ===

impl Group {
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

// === impl Node ===

impl Node {
    /// How many contexts it has.
    pub fn context_count(&self) -> usize {
        self.virtual_hosts.iter().map(|host| host.contexts.len()).sum()
    }

    /// How many of its contexts are in a state.
    pub fn contexts_in(&self, state: ContextState) -> usize {
        self.virtual_hosts
            .iter()
            .flat_map(|host| &host.contexts)
            .filter(|context| context.state == state)
            .count()
    }
}

// === impl Load ===

impl Load {
    /// The load factor for a number of the wire; a number that the wire does not know is shown
    /// as it is, and said to be unknown.
    ///
    /// ```
    /// use muster_web_ui::page::Load;
    /// assert_eq!(Load::new(0).meaning(), "standby: used only when no other node is");
    /// ```
    pub fn new(number: i32) -> Load {
        let meaning = match number {
            100 => "free",
            67..=99 => "lightly loaded",
            34..=66 => "half loaded",
            11..=33 => "heavily loaded",
            2..=10 => "almost overloaded",
            1 => "overloaded",
            0 => "standby: used only when no other node is",
            -1 => "in an error state",
            -2 => "being probed",
            _ => "unknown",
        };
        Load { number, meaning }
    }

    /// 1 (overloaded) to 100 (free), 0 standby, -1 broken, -2 being probed.
    pub fn number(self) -> i32 {
        self.number
    }

    /// What the number says.
    pub fn meaning(self) -> &'static str {
        self.meaning
    }

    /// The part of the node that is free, in percent; 0 for all that is not 1 to 100.
    pub fn percent_free(self) -> i32 {
        if (1..=100).contains(&self.number) { self.number } else { 0 }
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

impl NodeState {
    /// The word of the page; also the name of its style.
    pub fn word(self) -> &'static str {
        match self {
            NodeState::Up => "up",
            NodeState::Checking => "checking",
            NodeState::Standby => "standby",
            NodeState::Disabled => "disabled",
            NodeState::Stopped => "stopped",
            NodeState::Error => "error",
            NodeState::Down => "down",
        }
    }
}

impl ContextState {
    /// The word of the page; also the name of its style.
    pub fn word(self) -> &'static str {
        match self {
            ContextState::Enabled => "enabled",
            ContextState::Disabled => "disabled",
            ContextState::Stopped => "stopped",
        }
    }
}

/// Pages to look at and to test with.
#[cfg(test)]
pub(crate) mod samples {
    use super::*;

    /// A node that is up, with one virtual host of contexts `/app0`, `/app1`, ...
    pub(crate) fn node(route: &str, domain: Option<&str>, contexts: usize) -> Node {
        let context = |n| Context {
            path: format!("/app{n}"),
            state: ContextState::Enabled,
            requests_in_flight: 0,
        };
        Node {
            route: route.to_owned(),
            balancer: "mycluster".to_owned(),
            domain: domain.map(str::to_owned),
            address: "http://127.0.0.1:8080".to_owned(),
            is_static: false,
            state: NodeState::Up,
            load: Load::new(100),
            elected: 12,
            requests_in_flight: 0,
            bytes_read: 3_400,
            bytes_transferred: 1_250_000,
            seconds_since_status: Some(3),
            virtual_hosts: vec![VirtualHost {
                aliases: vec!["localhost".to_owned()],
                contexts: (0..contexts).map(context).collect(),
            }],
        }
    }

    /// A page of these nodes.
    pub(crate) fn page(nodes: Vec<Node>) -> Page {
        Page {
            product: "muster".to_owned(),
            version: "0.1.0".to_owned(),
            state: BalancerState::Ready,
            uptime_seconds: 11_520,
            balancers: vec![Balancer {
                name: "mycluster".to_owned(),
                sticky_session: true,
                sticky_session_force: false,
                sticky_session_remove: false,
                cookie: "JSESSIONID".to_owned(),
                path: "jsessionid".to_owned(),
                wait_worker_seconds: 0.0,
                max_attempts: 1,
            }],
            groups: Group::gather(nodes),
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
