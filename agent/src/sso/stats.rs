//! What has been done with identities, in numbers.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::engine::Map;

/// What this member has done with the identities of one single sign-on, in numbers that only rise,
/// and how many there are. How they are kept (reads, calls to other members, checkouts, commits) is
/// told by the numbers of the map `sso/NAME`.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct SsoStats {
    /// Logins here.
    pub created: u64,
    /// Identities that ended here: by a logout, with their last session, with their last
    /// application.
    pub ended: u64,
    /// Identities whose primary this member was and for which nobody asked for too long.
    pub expired: u64,
    /// Requests here that asked for their identity and had one.
    pub uses: u64,
    /// Identities whose primary this member is: summed over all members, all there are.
    pub active: u64,
    /// Identities of which this member keeps a copy.
    pub copies: u64,
}

/// What is counted as it happens.
pub(super) struct Tally {
    map: Arc<dyn Map>,
    created: AtomicU64,
    ended: AtomicU64,
    uses: AtomicU64,
}

// === impl Tally ===

impl Tally {
    pub(super) fn new(map: &Arc<dyn Map>) -> Self {
        let [created, ended, uses] = Default::default();
        Self { map: map.clone(), created, ended, uses }
    }

    pub(super) fn created(&self) {
        self.created.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn ended(&self) {
        self.ended.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn used(&self) {
        self.uses.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn stats(&self) -> SsoStats {
        let load = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let map = self.map.stats();
        SsoStats {
            created: load(&self.created),
            ended: load(&self.ended),
            expired: map.expired,
            uses: load(&self.uses),
            active: map.primary_entries,
            copies: map.entries,
        }
    }
}
