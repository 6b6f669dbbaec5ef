//! One connection to a peer, after its first words.

use std::sync::atomic::{AtomicU64, Ordering};

use muster_cluster::{MemberId, NodeId};

use super::hello::Lane;
use super::outgoing::Outgoing;

/// One connection to a peer.
#[derive(Debug)]
pub(crate) struct Conn {
    /// What it is for.
    pub(crate) lane: Lane,
    /// The node at its other end.
    pub(crate) peer: NodeId,
    /// Which process that is.
    pub(crate) boot: u64,
    /// The version in which both sides write.
    pub(crate) version: u8,
    /// Whether the one of both with the lower id dialled it. Where there are two connections for a
    /// lane, both sides send on that one.
    pub(crate) is_preferred: bool,
    /// What goes out on it.
    pub(crate) out: Outgoing,
    /// Reads that gave something: whoever was read from is alive.
    pub(crate) reads: AtomicU64,
    /// The life of the peer that speaks on it.
    incarnation: AtomicU64,
}

impl Conn {
    pub(crate) fn new(
        lane: Lane,
        (peer, boot): (MemberId, u64),
        version: u8,
        preferred: bool,
        out: Outgoing,
    ) -> Self {
        Self {
            lane,
            peer: peer.node,
            boot,
            version,
            is_preferred: preferred,
            out,
            reads: AtomicU64::new(0),
            incarnation: AtomicU64::new(peer.incarnation),
        }
    }

    /// Who speaks on it now.
    pub(crate) fn life(&self) -> MemberId {
        MemberId { node: self.peer, incarnation: self.incarnation.load(Ordering::Acquire) }
    }

    /// The peer has begun a new life: frames from now on are that one's.
    pub(crate) fn renewed(&self, incarnation: u64) {
        self.incarnation.fetch_max(incarnation, Ordering::AcqRel);
    }
}
