//! A member as foca knows it.

use muster_cluster::{MemberId, NodeId};
use serde::{Deserialize, Serialize};

/// A life, and how often foca had it down without being right: foca never takes a verdict back,
/// so whoever is falsely down comes back under another name. Nobody but foca learns of that.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(crate) struct Identity {
    node: u128,
    incarnation: u64,
    renewal: u32,
}

impl Identity {
    pub(crate) fn new(life: MemberId) -> Self {
        Self { node: life.node.0, incarnation: life.incarnation, renewal: 0 }
    }

    /// The life.
    pub(crate) fn life(&self) -> MemberId {
        MemberId { node: NodeId(self.node), incarnation: self.incarnation }
    }
}

impl foca::Identity for Identity {
    type Addr = u128;

    fn renew(&self) -> Option<Self> {
        Some(Self { renewal: self.renewal.wrapping_add(1), ..*self })
    }

    fn addr(&self) -> u128 {
        self.node
    }

    fn win_addr_conflict(&self, other: &Self) -> bool {
        (self.incarnation, self.renewal) > (other.incarnation, other.renewal)
    }
}
