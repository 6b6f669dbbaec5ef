//! What is known of a session beside its attributes: one small entry that every commit writes.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

/// What is known of a session. Times are by the wall clock of who wrote it, in ms since 1970.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(crate) struct Metadata {
    /// When it was created.
    pub(crate) created_ms: u64,
    /// When its last request began.
    pub(crate) accessed_ms: u64,
    /// It ends when no request came for so long; never without.
    pub(crate) max_inactive: Option<Duration>,
    /// Chance, different in each commit: by it a commit whose answer was lost is found again.
    pub(crate) commit: u64,
}

impl Metadata {
    pub(crate) fn new(now_ms: u64, max_inactive: Option<Duration>) -> Self {
        Self { created_ms: now_ms, accessed_ms: now_ms, max_inactive, commit: 0 }
    }

    pub(crate) fn created(&self) -> SystemTime {
        UNIX_EPOCH + Duration::from_millis(self.created_ms)
    }

    /// When it ends if no request comes; never without.
    pub(crate) fn ends(&self) -> Option<SystemTime> {
        self.accessed().checked_add(self.max_inactive?)
    }

    pub(crate) fn accessed(&self) -> SystemTime {
        UNIX_EPOCH + Duration::from_millis(self.accessed_ms)
    }
}

/// The wall clock.
pub(crate) fn now_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}
