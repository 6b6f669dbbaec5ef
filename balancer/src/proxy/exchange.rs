//! One request on its way: what was tried, where it is, and how it ends.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use muster_protocol::names::ContextPath;

use muster_routing::node::Node;
use muster_routing::retry::Attempt;
use muster_routing::{How, InFlight, NodeId};

use super::Refused;
use crate::engine::bridge::Broken;
use crate::trace::Trace;

/// The state of a request between its head and its line in the access log.
#[derive(Debug)]
pub(crate) struct Exchange {
    pub(crate) started: Instant,
    /// Nodes that failed it.
    pub(crate) tried: Vec<NodeId>,
    /// Attempts after the first, but for a lost race.
    pub(crate) retries: u32,
    /// Attempts so far.
    pub(crate) attempts: u32,
    /// Whether it lost the race for a pooled connection.
    pub(crate) raced: bool,
    /// Where it goes now.
    pub(crate) target: Option<Target>,
    /// Counts it while it is at a node.
    pub(crate) in_flight: Option<InFlight>,
    /// Whether limits of rates have counted it.
    pub(crate) is_counted: bool,
    /// Whether the node has begun to answer.
    pub(crate) is_answered: bool,
    /// Why it gets an answer of our own.
    pub(crate) refused: Option<Refused>,
    /// Where the bridge says why it broke this attempt off, if it goes over one.
    pub(crate) broken: Option<Arc<Broken>>,
    /// Its trace, where traces are on.
    pub(crate) trace: Option<Box<Trace>>,
    /// What is noted only where somebody is told of it.
    pub(crate) detail: Option<Box<Detail>>,
}

/// What the log is told of a request in its long form, and traces are.
#[derive(Debug, Default)]
pub(crate) struct Detail {
    /// The context.
    pub(crate) context: Option<ContextPath>,
    /// When the last node was chosen, from the start on.
    pub(crate) chosen_after: Option<Duration>,
    /// When its answer began, in microseconds from the start on; 0 before.
    pub(crate) answered_after: AtomicU32,
}

/// A node, ready to be connected to.
#[derive(Debug, Clone)]
pub(crate) struct Target {
    /// The node as it stood when it was chosen.
    pub(crate) node: Arc<Node>,
    /// Where to connect.
    pub(crate) socket: SocketAddr,
    /// Why this node.
    pub(crate) how: How,
    /// Whether the session id is to be taken out.
    pub(crate) strip_session: bool,
    /// Whether the context allows retries of failed connects only.
    pub(crate) connect_only: bool,
}

/// How a request ended, for log and counters.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Ending<'r> {
    pub(crate) client: Option<IpAddr>,
    pub(crate) method: &'r str,
    pub(crate) target: &'r [u8],
    pub(crate) version: &'static str,
    pub(crate) status: Option<u16>,
    /// Bytes of the request's body.
    pub(crate) received: u64,
    /// Bytes of the answer's body.
    pub(crate) sent: u64,
}

impl Ending<'static> {
    /// The end of a request that could not be read. `is_told`: the client has heard so.
    pub(crate) fn unread(client: IpAddr, refused: Refused, is_told: bool) -> Ending<'static> {
        Ending {
            client: Some(client),
            method: "-",
            target: b"-",
            version: "-",
            status: is_told.then(|| refused.status()),
            received: 0,
            sent: 0,
        }
    }
}

impl Exchange {
    pub(crate) fn new() -> Exchange {
        Exchange {
            started: Instant::now(),
            tried: Vec::new(),
            retries: 0,
            attempts: 0,
            raced: false,
            target: None,
            in_flight: None,
            is_counted: false,
            is_answered: false,
            refused: None,
            broken: None,
            trace: None,
            detail: None,
        }
    }

    /// What is known of the attempt under way, where it fails; `None` without a node.
    pub(crate) fn attempt<'r>(&self, method: &'r str, replayable: bool) -> Option<Attempt<'r>> {
        let target = self.target.as_ref()?;
        Some(Attempt {
            method,
            replayable,
            retries: self.retries,
            max_retries: target.node.settings.max_attempts,
            raced: self.raced,
            connect_only: target.connect_only,
        })
    }

    /// The head of the node's own answer has come; to be noted once for each attempt.
    pub(crate) fn answered(&self) {
        if let Some(in_flight) = &self.in_flight {
            in_flight.answered();
        }
        if let Some(detail) = &self.detail {
            let micros = u32::try_from(self.started.elapsed().as_micros()).unwrap_or(u32::MAX);
            detail.answered_after.store(micros.max(1), Ordering::Relaxed);
        }
    }

    /// One word for the log: why this node, or why none.
    pub(crate) fn how(&self) -> &'static str {
        match (self.refused, &self.target) {
            (Some(refused), _) => refused.word(),
            (None, Some(target)) => word(target.how),
            (None, None) => "-",
        }
    }
}

/// One word for the log: why this node.
pub(crate) fn word(how: How) -> &'static str {
    match how {
        How::Owner => "owner",
        How::Elected => "elected",
        How::SameDomain => "domain",
        How::Failover => "failover",
        How::Standby => "standby",
        How::LastDisabled => "disabled",
    }
}

// === impl Detail ===

impl Detail {
    /// When the answer began, from the start on.
    pub(crate) fn answered_after(&self) -> Option<Duration> {
        let micros = self.answered_after.load(Ordering::Relaxed);
        (micros > 0).then(|| Duration::from_micros(micros.into()))
    }
}
