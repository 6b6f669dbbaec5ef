//! What has been done with the components of one kind, in numbers.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::engine::Map;

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
    /// Copies that went to the store.
    pub passivated: u64,
    /// Copies that came back from it.
    pub activated: u64,
}

/// What is counted as it happens, of all that this process has of a kind.
pub(crate) struct Tally {
    map: Arc<dyn Map>,
    created: AtomicU64,
    removed: AtomicU64,
    calls: AtomicU64,
}

// === impl Tally ===

impl Tally {
    pub(super) fn new(map: &Arc<dyn Map>) -> Self {
        let [created, removed, calls] = Default::default();
        Self { map: map.clone(), created, removed, calls }
    }

    pub(super) fn created(&self) {
        self.created.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn removed(&self) {
        self.removed.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn called(&self) {
        self.calls.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn stats(&self) -> ComponentStats {
        let load = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let map = self.map.stats();
        ComponentStats {
            created: load(&self.created),
            removed: load(&self.removed),
            expired: map.expired,
            calls: load(&self.calls),
            active: map.primary_entries,
            copies: map.entries,
            passivated: map.passivations,
            activated: map.activations,
        }
    }
}
