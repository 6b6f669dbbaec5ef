//! Groups, keys, and the row they are in. The hash is fixed (SipHash 1-3 with a key of zeros):
//! every member, version and machine must agree on it.

pub use crate::bytes::Bytes;
use muster_cluster::{RowId, View};
use serde::{Deserialize, Serialize};
use siphasher::sip::SipHasher13;
use std::fmt;
use std::hash::Hasher;

/// Which cache a group belongs to, and which table keeps it. Spaces of one table share its rows.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
pub struct Space {
    /// The table of the view: by default 0 is distributed, 1 replicated.
    pub table: u8,
    /// The cache, by the hash of its name. 0 is the cluster's own.
    pub cache: u32,
}

/// Entries that stay together: in one row, changed by one batch, guarded by one lock.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Group {
    /// Its cache.
    pub space: Space,
    /// Its name; at most 1 KiB.
    pub name: Bytes,
}

impl Group {
    /// A group of a cache.
    #[must_use]
    pub fn new(space: Space, name: &[u8]) -> Self {
        Self { space, name: name.into() }
    }

    /// The row that keeps it.
    #[must_use]
    pub fn row(&self, view: &View) -> RowId {
        let segments = view.segments.max(1);
        let segment = self.hash() % u64::from(segments);
        let table = u16::from(self.space.table).min(view.tables.len().max(1) as u16 - 1);
        table * segments + u16::try_from(segment).unwrap_or(0)
    }

    pub(crate) fn hash(&self) -> u64 {
        hash(&[&self.space.cache.to_le_bytes(), &self.name])
    }
}

impl fmt::Debug for Group {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", String::from_utf8_lossy(&self.name))
    }
}

/// The fixed hash of some parts; their lengths count.
#[must_use]
pub fn hash(parts: &[&[u8]]) -> u64 {
    let mut hasher = SipHasher13::new();
    for part in parts {
        hasher.write(&(part.len() as u64).to_le_bytes());
        hasher.write(part);
    }
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hash_is_the_same_on_every_machine_and_in_every_version() {
        assert_eq!(hash(&[b"counters", b"k1"]), 8_833_445_525_214_755_538);
        assert_ne!(hash(&[b"ab", b"c"]), hash(&[b"a", b"bc"]));
    }
}
