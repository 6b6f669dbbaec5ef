//! What the agent knows of its balancers, as values to show.

use std::collections::BTreeMap;
use std::fmt;

use muster_protocol::mcmp::Load;
use muster_protocol::names::ContextPath;

/// The agent and its balancers at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Status {
    /// The load factor last computed.
    pub load: Load,
    /// Each balancer: those of the builder in its order, then those that were found.
    pub balancers: Vec<BalancerStatus>,
    /// What was heard of balancers that advertise; `None` until something was.
    pub discovery: Option<DiscoveryStatus>,
}

/// What discovery has heard.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DiscoveryStatus {
    /// Datagrams that were believed.
    pub heard: u64,
    /// Datagrams that were not, or could not be read.
    pub refused: u64,
    /// Why the last one was not.
    pub last_refusal: Option<String>,
}

/// How this node knows of a balancer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// The builder named it.
    Configured,
    /// It advertised itself.
    Advertised,
}

/// One balancer, as this node sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BalancerStatus {
    /// `host:port`, as configured or advertised.
    pub address: String,
    /// How this node knows of it.
    pub origin: Origin,
    /// Whether it answered the last message, with whatever answer.
    pub answers: bool,
    /// How the node stands with it.
    pub state: BalancerState,
    /// How each context stands with it.
    pub contexts: BTreeMap<ContextPath, ContextState>,
}

/// How the node stands with a balancer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BalancerState {
    /// Messages are on their way: INFO, CONFIG, ENABLE-APP, the first STATUS.
    Registering,
    /// Registered, and the balancer reaches this node.
    Registered {
        /// The balancer's own id: another one means that it was started again.
        id: u64,
    },
    /// Registered, but the balancer says (NOTOK) that it cannot reach this node.
    Unreachable,
    /// The last try failed; the next one comes by itself.
    Waiting {
        /// Why.
        reason: String,
    },
    /// The balancer calls a message malformed (SYNTAX). It is left alone until
    /// [`refresh`](crate::Agent::refresh) or a change of the contexts.
    Refused {
        /// What the balancer said.
        reason: String,
    },
    /// The node has said good-bye.
    Left,
}

/// How a context stands with a balancer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ContextState {
    /// The balancer has not been told yet.
    Untold,
    /// All requests.
    Enabled,
    /// Old sessions only.
    Disabled,
    /// No requests; those in flight finish.
    Stopped {
        /// What the balancer counted last.
        requests: u64,
    },
    /// Forgotten by the balancer.
    Removed {
        /// Requests that were still in flight when the time was up.
        requests_left: u64,
    },
    /// To be removed, but the balancer could not be told; it will be when it is back.
    Unreached,
}

/// How a drain ended, over all balancers.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[must_use]
pub struct Drained {
    /// Requests still in flight when the stop-context timeout was over.
    pub requests_left: u64,
    /// Balancers that could not be told in time.
    pub unreached: usize,
    /// Sessions that were waited for, and were still there when the stop-context timeout was over.
    pub sessions_left: u64,
}

// === impl Status ===

impl Status {
    /// Whether every balancer knows the node and its contexts and reaches it; false while there
    /// is none, because none was found yet.
    pub fn is_registered(&self) -> bool {
        !self.balancers.is_empty() && self.balancers.iter().all(BalancerStatus::is_registered)
    }
}

// === impl BalancerStatus ===

impl BalancerStatus {
    /// Whether this balancer knows the node and its contexts and reaches it.
    pub fn is_registered(&self) -> bool {
        matches!(self.state, BalancerState::Registered { .. })
            && self.contexts.values().all(|context| *context != ContextState::Untold)
    }
}

// === impl BalancerState ===

impl fmt::Display for BalancerState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            BalancerState::Registering => f.write_str("registering"),
            BalancerState::Registered { .. } => f.write_str("registered"),
            BalancerState::Unreachable => f.write_str("the balancer cannot reach this node"),
            BalancerState::Waiting { reason } => write!(f, "waiting to try again: {reason}"),
            BalancerState::Refused { reason } => write!(f, "refused: {reason}"),
            BalancerState::Left => f.write_str("left"),
        }
    }
}

// === impl ContextState ===

impl ContextState {
    /// Whether there is nothing more to do for a context that should go.
    pub(crate) fn is_gone(self) -> bool {
        matches!(self, ContextState::Removed { .. } | ContextState::Unreached)
    }
}

// === impl Drained ===

impl Drained {
    /// Whether every balancer was told, and neither a request nor a session was cut off.
    pub fn is_complete(self) -> bool {
        self == Drained::default()
    }

    /// What these balancers say of contexts that should be gone; one that has not come to an end
    /// counts as unreached.
    pub(crate) fn sum<'a>(
        balancers: impl IntoIterator<Item = &'a BalancerStatus>,
        is_concerned: impl Fn(&ContextPath) -> bool,
    ) -> Drained {
        let mut drained = Drained::default();
        for balancer in balancers {
            let mut is_told = true;
            for (_, context) in balancer.contexts.iter().filter(|(path, _)| is_concerned(path)) {
                match context {
                    ContextState::Removed { requests_left } => {
                        drained.requests_left += requests_left;
                    }
                    _ => is_told = false,
                }
            }
            drained.unreached += usize::from(!is_told);
        }
        drained
    }
}
