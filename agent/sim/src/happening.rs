//! What may happen next.

use muster_cluster::{MemberId, NodeId};
use std::sync::Arc;

/// Something that happens. `slot` is a machine, `boot` the process that it was meant for.
#[derive(Debug)]
pub enum Happening {
    /// A packet arrives.
    Packet(Box<Packet>),
    /// A member's timer.
    Tick {
        /// Where.
        slot: usize,
        /// For whom.
        boot: u32,
    },
    /// A connection is seen to be closed.
    Closed {
        /// Where.
        slot: usize,
        /// By whom.
        boot: u32,
        /// Whose.
        id: MemberId,
    },
    /// There is a connection again after a cut.
    Linked {
        /// Where.
        slot: usize,
        /// For whom.
        boot: u32,
        /// With whom.
        node: NodeId,
    },
    /// A redial ends.
    Redial {
        /// Where.
        slot: usize,
        /// By whom.
        boot: u32,
        /// Who was dialled.
        id: MemberId,
    },
    /// A member starts.
    Start {
        /// Where.
        slot: usize,
    },
    /// The next fault.
    Fault,
    /// All members end at once, and start again.
    Blackout,
    /// A cut ends.
    Heal,
    /// A client goes on.
    Client {
        /// Which.
        client: usize,
    },
    /// Producers and consumers of a queue go on, and time passes for its station.
    Queue {
        /// Where.
        slot: usize,
        /// For whom.
        boot: u32,
    },
    /// A queue's frame arrives.
    Said(Box<Said>),
    /// A browser goes on.
    Browser {
        /// Which.
        browser: usize,
    },
    /// A browser's request goes on at its member.
    Visit {
        /// Which.
        visit: u64,
    },
}

/// A queue's frame under way. Stations speak over streams: none comes twice, those of one to another
/// come in order.
#[derive(Debug)]
pub struct Said {
    pub(crate) slot: usize,
    pub(crate) boot: u32,
    pub(crate) from: NodeId,
    pub(crate) from_slot: usize,
    pub(crate) bytes: Vec<u8>,
}

/// Something under way.
#[derive(Debug)]
pub struct Packet {
    pub(crate) slot: usize,
    pub(crate) boot: u32,
    pub(crate) from: MemberId,
    pub(crate) from_slot: usize,
    /// The message as bytes; none: a ping of the failure detector.
    pub(crate) frame: Option<Arc<[u8]>>,
}
