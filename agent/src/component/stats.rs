//! What has been done with the components of one kind, in numbers.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::engine::MapStats;

/// What this member has done with the components of one kind, in numbers that only rise, and how
/// many there are. How they are kept (reads, calls to other members, checkouts, commits) is told by
/// the numbers of the map `bean/NAME`.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct ComponentStats {
    /// Components created here.
    pub created: u64,
    /// Components removed here.
    pub removed: u64,
    /// Components whose primary this member was and that were idle for too long.
    pub expired: u64,
    /// Calls that were committed here.
    pub calls: u64,
    /// Components whose primary this member is: summed over all members, all there are.
    pub active: u64,
    /// Components of which this member keeps a copy.
    pub copies: u64,
}

/// What is counted as it happens.
#[derive(Debug, Default)]
pub(super) struct Counts {
    pub(super) created: AtomicU64,
    pub(super) removed: AtomicU64,
    pub(super) calls: AtomicU64,
}

// === impl Counts ===

impl Counts {
    pub(super) fn with(&self, map: MapStats) -> ComponentStats {
        let load = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        ComponentStats {
            created: load(&self.created),
            removed: load(&self.removed),
            expired: map.expired,
            calls: load(&self.calls),
            active: map.primary_entries,
            copies: map.entries,
        }
    }
}
