//! Names of things that must not be confused: a node, one life of it, an attempt at a view.

use serde::de::{Error, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::fmt;

/// Time since the start of this process, by its own clock. Only differences count, and only
/// within one process.
pub type Moment = std::time::Duration;

/// A node: the UUID that stands in its data directory. It outlives the process.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct NodeId(pub u128);

/// One life of a node. A restart, and a return after a false drop, begin a new one: what was said
/// of an earlier life holds for that life alone.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
pub struct MemberId {
    /// The node.
    pub node: NodeId,
    /// Which of its lives: it only rises, and stands on disk before it is used.
    pub incarnation: u64,
}

/// An attempt at a view. Unique, and ordered: the counter first, then the proposer.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
pub struct Epoch {
    /// Rises with every attempt; no two views of one line share it.
    pub counter: u64,
    /// The proposer's join number.
    pub join: u64,
    /// The proposer. Two sides of a split may have given one join number twice.
    pub by: MemberId,
}

/// Sixteen bytes as they are: most are random, and would only grow as numbers.
impl Serialize for NodeId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(&self.0.to_le_bytes())
    }
}

impl<'de> Deserialize<'de> for NodeId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Sixteen;

        impl Visitor<'_> for Sixteen {
            type Value = NodeId;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("sixteen bytes")
            }

            fn visit_bytes<E: Error>(self, bytes: &[u8]) -> Result<NodeId, E> {
                let sixteen =
                    bytes.try_into().map_err(|_| E::invalid_length(bytes.len(), &self))?;
                Ok(NodeId(u128::from_le_bytes(sixteen)))
            }
        }

        deserializer.deserialize_bytes(Sixteen)
    }
}

impl fmt::Debug for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0 < 1 << 32 { write!(f, "n{}", self.0) } else { write!(f, "n{:032x}", self.0) }
    }
}

impl fmt::Display for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}

impl fmt::Debug for MemberId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}.{}", self.node, self.incarnation)
    }
}

impl fmt::Display for MemberId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}

impl fmt::Debug for Epoch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "e{}/{}", self.counter, self.by.node)
    }
}

impl fmt::Display for Epoch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}
