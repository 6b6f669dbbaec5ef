//! Groups, and the row they are in. The hash is fixed (SipHash 1-3 with a key of zeros): every
//! member, version and machine must agree on it.

pub use crate::bytes::Bytes;
use muster_cluster::{RowId, View};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
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

/// Where a group stands among the groups of its table: its cache first, then the fixed hash of its
/// name. Chunks of a transfer and pages of a scan come in this order.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
pub struct Place {
    /// The cache.
    pub cache: u32,
    /// The fixed hash of cache and name.
    pub hash: u64,
}

impl Place {
    /// The place of a name.
    #[must_use]
    pub fn of(space: Space, name: &[u8]) -> Self {
        let hash = hash(&[&space.cache.to_le_bytes(), name]);
        Self { cache: space.cache, hash }
    }

    /// The row that keeps it.
    #[must_use]
    pub fn row(self, table: u8, view: &View) -> RowId {
        let segments = view.segments.max(1);
        let segment = self.hash % u64::from(segments);
        let table = u16::from(table).min(view.tables.len().max(1) as u16 - 1);
        table * segments + u16::try_from(segment).unwrap_or(0)
    }

    /// The place right after it; none after the last.
    #[must_use]
    pub fn next(self) -> Option<Self> {
        match (self.hash.checked_add(1), self.cache.checked_add(1)) {
            (Some(hash), _) => Some(Self { hash, ..self }),
            (None, Some(cache)) => Some(Self { cache, hash: 0 }),
            (None, None) => None,
        }
    }
}

/// Entries that stay together: in one row, changed by one batch, guarded by one lock.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Group {
    /// Its cache.
    pub space: Space,
    /// Its name; at most 1 KiB.
    pub name: Bytes,
    /// A function of the two, kept because everything that is asked of a group needs it.
    hash: u64,
}

impl Group {
    /// A group of a cache.
    #[must_use]
    pub fn new(space: Space, name: &[u8]) -> Self {
        Self::named(space, name.into())
    }

    /// A group of a cache, whose name is shared.
    #[must_use]
    pub fn named(space: Space, name: Bytes) -> Self {
        let hash = Place::of(space, &name).hash;
        Self { space, name, hash }
    }

    /// A group whose place is known already.
    pub(crate) fn at(table: u8, place: Place, name: Bytes) -> Self {
        Self { space: Space { table, cache: place.cache }, name, hash: place.hash }
    }

    /// Where it stands.
    #[must_use]
    pub fn place(&self) -> Place {
        Place { cache: self.space.cache, hash: self.hash }
    }

    /// The row that keeps it.
    #[must_use]
    pub fn row(&self, view: &View) -> RowId {
        self.place().row(self.space.table, view)
    }
}

impl fmt::Debug for Group {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", String::from_utf8_lossy(&self.name))
    }
}

impl Serialize for Group {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        (self.space, &self.name).serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Group {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let (space, name) = Deserialize::deserialize(deserializer)?;
        Ok(Self::named(space, name))
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

    #[test]
    fn places_follow_on_each_other_over_all_caches() {
        let last = Place { cache: 4, hash: u64::MAX };
        assert_eq!(last.next(), Some(Place { cache: 5, hash: 0 }));
        assert_eq!(Place { cache: u32::MAX, hash: u64::MAX }.next(), None);
    }
}
