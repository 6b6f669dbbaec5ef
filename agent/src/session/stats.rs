//! What an application's sessions have done on this member, in numbers.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use super::store::KeeperStats;
use crate::checkouts::Stood;
use crate::engine::MapError;

/// What an application's sessions have done on this member. All but [`SessionStats::active`] and
/// [`SessionStats::store_unsaved`] only rise.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct SessionStats {
    /// Sessions whose primary this member is: in the whole cluster each counts once.
    pub active: u64,
    /// Sessions that requests here have created.
    pub created: u64,
    /// Sessions that were ended by requests here.
    pub invalidated: u64,
    /// Sessions whose time was over while this member was their primary.
    pub expired: u64,
    /// Lifetimes of those that were ended or have expired, together.
    pub lifetimes: Duration,
    /// Sessions written.
    pub commits: u64,
    /// Commits whose answer was lost with an owner, and that were found to stand.
    pub found_again: u64,
    /// Commits refused because the session was taken over, and those of which nobody could tell.
    pub lost: u64,
    /// Sessions that were not written after their answer had left ([`Wait::Not`](super::Wait)).
    pub lost_after_answer: u64,
    /// Requests that waited for their session in vain.
    pub rejected: u64,
    /// Events that listeners were too slow for.
    pub dropped_events: u64,
    /// Sessions that the store has taken ([`Storing`](super::Storing)).
    pub store_saves: u64,
    /// Sessions that came back from the store.
    pub store_loads: u64,
    /// Sessions that went from memory to the store.
    pub store_passivations: u64,
    /// Calls that the store did not do.
    pub store_errors: u64,
    /// Sessions dropped because another cluster has written or ended them in the store.
    pub store_conflicts: u64,
    /// Sessions of which the store must still be told: how many there are.
    pub store_unsaved: u64,
}

impl SessionStats {
    /// How long a session lived on average; none before the first has ended.
    #[must_use]
    pub fn average_lifetime(&self) -> Option<Duration> {
        let ended = self.invalidated + self.expired;
        let whole = self.lifetimes.as_millis().checked_div(ended.into())?;
        Some(Duration::from_millis(u64::try_from(whole).unwrap_or(u64::MAX)))
    }
}

/// What is counted along the way.
#[derive(Debug, Default)]
pub(super) struct Counted {
    created: AtomicU64,
    invalidated: AtomicU64,
    expired: AtomicU64,
    lifetimes_ms: AtomicU64,
    commits: AtomicU64,
    found_again: AtomicU64,
    lost: AtomicU64,
    lost_after_answer: AtomicU64,
    rejected: AtomicU64,
}

fn one(counter: &AtomicU64) {
    counter.fetch_add(1, Ordering::Relaxed);
}

// === impl Counted ===

impl Counted {
    pub(super) fn created(&self) {
        one(&self.created);
    }

    pub(super) fn invalidated(&self, lifetime_ms: u64) {
        one(&self.invalidated);
        self.lifetimes_ms.fetch_add(lifetime_ms, Ordering::Relaxed);
    }

    pub(super) fn expired(&self, lifetime_ms: u64) {
        one(&self.expired);
        self.lifetimes_ms.fetch_add(lifetime_ms, Ordering::Relaxed);
    }

    /// How a write ended.
    pub(super) fn stood(&self, stood: &Result<Stood, MapError>) {
        match stood {
            Ok(Stood::Written) => one(&self.commits),
            Ok(Stood::Found) => {
                one(&self.commits);
                one(&self.found_again);
            }
            Err(MapError::Fenced | MapError::Unknown) => one(&self.lost),
            Err(_) => {}
        }
    }

    pub(super) fn lost_after_answer(&self) {
        one(&self.lost_after_answer);
    }

    pub(super) fn rejected(&self) {
        one(&self.rejected);
    }

    pub(super) fn stats(
        &self,
        active: u64,
        dropped_events: u64,
        store: KeeperStats,
    ) -> SessionStats {
        let load = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        SessionStats {
            active,
            created: load(&self.created),
            invalidated: load(&self.invalidated),
            expired: load(&self.expired),
            lifetimes: Duration::from_millis(load(&self.lifetimes_ms)),
            commits: load(&self.commits),
            found_again: load(&self.found_again),
            lost: load(&self.lost),
            lost_after_answer: load(&self.lost_after_answer),
            rejected: load(&self.rejected),
            dropped_events,
            store_saves: store.saves,
            store_loads: store.loads,
            store_passivations: store.passivated,
            store_errors: store.errors,
            store_conflicts: store.conflicts,
            store_unsaved: store.unsaved,
        }
    }
}
