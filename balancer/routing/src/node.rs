//! One node as requests see it: what it is, whether it may be used, and what it carries.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};

use muster_protocol::mcmp::{BalancerSettings, NodeConfig};

use crate::context::{ContextKey, ContextState};
use crate::registry::snapshot::{LiveShot, SlotShot};

/// One registration of a node. Never used twice while the balancer runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct NodeId(pub u32);

/// A node in a routing table. A change of the node makes a new value; [`Live`] stays.
#[derive(Debug)]
pub struct Node {
    /// Which registration this is.
    pub id: NodeId,
    /// Where it is; `None` where its host is a name, which has to be looked up.
    pub socket: Option<SocketAddr>,
    /// What the node said of itself.
    pub config: Arc<NodeConfig>,
    /// The settings of its balancer name.
    pub settings: Arc<BalancerSettings>,
    /// Whether requests may be sent to it.
    pub availability: Availability,
    /// Its contexts, by rising key.
    pub contexts: Arc<[Mounted]>,
    /// Its counters, shared by all values of this node.
    pub live: Arc<Live>,
}

/// A context of a node: what it is, which requests it takes, and those that it has.
pub type Mounted = (ContextKey, ContextState, Arc<Slot>);

/// Whether a node may be used, and with which share.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Availability {
    /// Its share among the usable nodes, 1 to 100, slow start included.
    Usable(u8),
    /// Only when no other node is.
    Standby,
    /// Not now: not checked yet, down, or in an error state.
    Unusable,
}

/// What requests count on a node. All counters are of this registration.
#[derive(Debug, Default)]
pub struct Live {
    elected: AtomicU64,
    in_flight: AtomicU32,
    read: AtomicU64,
    transferred: AtomicU64,
    answered: AtomicU64,
    failed: AtomicU64,
    lost: AtomicU64,
    is_left_out: AtomicBool,
}

/// One context of one node: its requests.
#[derive(Debug, Default)]
pub struct Slot {
    in_flight: AtomicU32,
    requests: AtomicU64,
    /// By the first digit of the status; 0 for no answer at all.
    answers: [AtomicU64; 6],
}

/// A request on its way: counted when made, taken back when dropped.
#[derive(Debug)]
pub struct InFlight {
    live: Arc<Live>,
    slot: Arc<Slot>,
}

// === impl Node ===

impl Node {
    /// The node's context of this key, if it has one.
    pub fn context(&self, key: &ContextKey) -> Option<(ContextState, &Arc<Slot>)> {
        let at = self.contexts.binary_search_by(|(own, ..)| own.cmp(key)).ok()?;
        let (_, state, slot) = &self.contexts[at];
        Some((*state, slot))
    }
}

// === impl Live ===

impl Live {
    /// Requests that were sent to the node.
    pub fn elected(&self) -> u64 {
        self.elected.load(Ordering::Relaxed)
    }

    /// Requests that are at the node now.
    pub fn in_flight(&self) -> u32 {
        self.in_flight.load(Ordering::Relaxed)
    }

    /// Whether the node carries as many requests as it may; 0 means that there is no such limit.
    pub fn is_full(&self, max_in_flight: u32) -> bool {
        max_in_flight > 0 && self.in_flight() >= max_in_flight
    }

    /// Bytes of request bodies that went to the node.
    pub fn transferred(&self) -> u64 {
        self.transferred.load(Ordering::Relaxed)
    }

    /// Bytes of answers that came from the node.
    pub fn read(&self) -> u64 {
        self.read.load(Ordering::Relaxed)
    }

    /// Requests that the node answered itself: see [`InFlight::answered`].
    pub fn answered(&self) -> u64 {
        self.answered.load(Ordering::Relaxed)
    }

    /// Requests that ended without an answer of the node.
    pub fn failed(&self) -> u64 {
        self.failed.load(Ordering::Relaxed)
    }

    /// Whether the node is left out because it answers no probe, or because it says that its
    /// cluster goes on without it: who waits for its answer may wait long.
    pub fn is_left_out(&self) -> bool {
        self.is_left_out.load(Ordering::Relaxed)
    }

    pub(crate) fn set_left_out(&self, is_left_out: bool) {
        self.is_left_out.store(is_left_out, Ordering::Relaxed);
    }

    /// A request failed here and cannot go elsewhere: its client got an error of ours, or a broken
    /// answer.
    pub fn lose(&self) {
        self.lost.fetch_add(1, Ordering::Relaxed);
    }

    /// What was counted, for a later process.
    pub(crate) fn shot(&self) -> LiveShot {
        let Live { elected, in_flight: _, read, transferred, answered, failed, lost, .. } = self;
        let of = |count: &AtomicU64| count.load(Ordering::Relaxed);
        LiveShot {
            elected: of(elected),
            read: of(read),
            transferred: of(transferred),
            answered: of(answered),
            failed: of(failed),
            lost: of(lost),
        }
    }

    /// Goes on counting where an earlier process ended.
    pub(crate) fn restored(shot: &LiveShot) -> Live {
        let LiveShot { elected, read, transferred, answered, failed, lost } = *shot;
        Live {
            elected: elected.into(),
            in_flight: AtomicU32::new(0),
            read: read.into(),
            transferred: transferred.into(),
            answered: answered.into(),
            failed: failed.into(),
            lost: lost.into(),
            is_left_out: AtomicBool::new(false),
        }
    }

    /// Requests that were lost: see [`Live::lose`].
    pub fn lost(&self) -> u64 {
        self.lost.load(Ordering::Relaxed)
    }
}

// === impl Slot ===

impl Slot {
    /// What was counted, for a later process.
    pub(crate) fn shot(&self) -> SlotShot {
        SlotShot { requests: self.requests(), answers: self.answers() }
    }

    /// Goes on counting where an earlier process ended.
    pub(crate) fn restored(shot: &SlotShot) -> Slot {
        let SlotShot { requests, answers } = *shot;
        let answers = answers.map(AtomicU64::new);
        Slot { in_flight: AtomicU32::new(0), requests: requests.into(), answers }
    }

    /// Requests of this context that are at the node now. A node that drains asks for it.
    pub fn in_flight(&self) -> u32 {
        self.in_flight.load(Ordering::Relaxed)
    }

    /// Requests of this context that were sent to the node.
    pub fn requests(&self) -> u64 {
        self.requests.load(Ordering::Relaxed)
    }

    /// Answers to clients by the first digit of the status; at 0 those that ended without one.
    pub fn answers(&self) -> [u64; 6] {
        self.answers.each_ref().map(|count| count.load(Ordering::Relaxed))
    }
}

// === impl InFlight ===

impl InFlight {
    pub(crate) fn start(live: &Arc<Live>, slot: &Arc<Slot>) -> InFlight {
        live.elected.fetch_add(1, Ordering::Relaxed);
        live.in_flight.fetch_add(1, Ordering::Relaxed);
        slot.requests.fetch_add(1, Ordering::Relaxed);
        slot.in_flight.fetch_add(1, Ordering::Relaxed);
        InFlight { live: live.clone(), slot: slot.clone() }
    }

    /// The head of the node's own answer has come; call it once. An answer that the balancer makes
    /// up does not count: it says nothing of the node.
    pub fn answered(&self) {
        self.live.answered.fetch_add(1, Ordering::Relaxed);
    }

    /// The request is over: so many bytes went to the node and came from it, and this status went
    /// to the client, if any.
    pub fn finish(self, sent: u64, received: u64, status: Option<u16>) {
        self.live.transferred.fetch_add(sent, Ordering::Relaxed);
        self.live.read.fetch_add(received, Ordering::Relaxed);
        let class = usize::from(status.unwrap_or(0) / 100).min(5);
        self.slot.answers[class].fetch_add(1, Ordering::Relaxed);
    }

    /// The attempt failed; the request may go on elsewhere.
    pub fn fail(self) {
        self.live.failed.fetch_add(1, Ordering::Relaxed);
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        self.live.in_flight.fetch_sub(1, Ordering::Relaxed);
        self.slot.in_flight.fetch_sub(1, Ordering::Relaxed);
    }
}
