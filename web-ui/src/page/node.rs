//! A node with its virtual hosts and contexts.

use serde::Serialize;

use super::load::Load;
use super::series::Pace;

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
    /// Who registered it, by what was proven; of a static node nobody.
    pub owner: Option<String>,
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
    /// Requests that ended without an answer.
    pub failed: u64,
    /// Sessions that live on it; `None` where nobody reports them.
    pub sessions: Option<u64>,
    /// What was counted of it in the window of the page.
    pub pace: Pace,
    /// What it said of itself beside its address, with what an operator set instead.
    pub properties: Vec<Property>,
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
    /// It takes old sessions only, until the last of them has gone.
    Draining,
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
    /// Its requests so far.
    pub requests: u64,
    /// Those of them that failed: answers of 5xx, and no answer at all.
    pub errors: u64,
}

/// A property of a node or a balancer name: reported, and perhaps overridden by an operator.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Property {
    /// Its name, as MCMP has it.
    pub name: String,
    /// What the node said.
    pub reported: String,
    /// What an operator set, and what holds then.
    pub overridden: Option<String>,
}

/// What a context takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum ContextState {
    /// All requests.
    Enabled,
    /// Old sessions only.
    Disabled,
    /// No requests.
    Stopped,
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

// === impl Property ===

impl Property {
    /// Whether it is one of yes and no.
    pub(crate) fn is_flag(&self) -> bool {
        matches!(self.reported.as_str(), "true" | "false")
    }
}

// === impl the states ===

impl NodeState {
    /// All of them, the worst first: the order in which an operator wants to see nodes.
    pub const ALL: [NodeState; 8] = [
        NodeState::Down,
        NodeState::Error,
        NodeState::Checking,
        NodeState::Draining,
        NodeState::Disabled,
        NodeState::Stopped,
        NodeState::Standby,
        NodeState::Up,
    ];

    /// What it means for requests, in a line.
    pub fn meaning(self) -> &'static str {
        match self {
            NodeState::Up => "takes its share of the requests",
            NodeState::Checking => "is asked whether it is there, and takes nothing yet",
            NodeState::Standby => "is used only when no other node is left",
            NodeState::Disabled => "takes requests of its own sessions, and no new ones",
            NodeState::Draining => "takes requests of its own sessions until they are gone",
            NodeState::Stopped => "takes no requests",
            NodeState::Error => "says of itself that it is broken, and takes nothing",
            NodeState::Down => "does not answer, and takes nothing",
        }
    }

    /// Whether it takes requests of new sessions.
    pub fn takes_new(self) -> bool {
        matches!(self, NodeState::Up | NodeState::Standby)
    }

    /// Whether it takes any request at all.
    pub fn is_alive(self) -> bool {
        !matches!(self, NodeState::Checking | NodeState::Error | NodeState::Down)
    }

    /// Whether an operator should look at it.
    pub fn is_trouble(self) -> bool {
        matches!(self, NodeState::Error | NodeState::Down)
    }

    /// The word of the page; also the name of its style.
    pub fn word(self) -> &'static str {
        match self {
            NodeState::Up => "up",
            NodeState::Checking => "checking",
            NodeState::Standby => "standby",
            NodeState::Disabled => "disabled",
            NodeState::Draining => "draining",
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
