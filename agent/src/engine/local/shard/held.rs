//! A group, and one of its entries.

use std::collections::VecDeque;
use std::time::Duration;

use muster_grid::batch::Entries;
use muster_grid::{Bytes, Fence, Put, Rev};
use tokio::time::Instant;

use super::line::Waiter;
use crate::engine::leases::Token;

/// A group: its entries by key, its checkout, and who waits for that.
#[derive(Default)]
pub(super) struct Held {
    pub(super) entries: Vec<(Bytes, Entry)>,
    pub(super) rev: Rev,
    pub(super) token: Option<Token>,
    pub(super) lock: Option<(Fence, Instant)>,
    pub(super) waiting: VecDeque<Waiter>,
}

pub(super) struct Entry {
    pub(super) value: Bytes,
    pub(super) rev: Rev,
    pub(super) ends: Option<Instant>,
    pub(super) idle: Option<(Duration, Instant)>,
    pub(super) ends_group: bool,
}

// === impl Held ===

impl Held {
    pub(super) fn find(&self, key: &[u8]) -> Result<usize, usize> {
        self.entries.binary_search_by(|(present, _)| present[..].cmp(key))
    }

    pub(super) fn entry(&self, key: &[u8]) -> Option<&Entry> {
        self.find(key).ok().map(|at| &self.entries[at].1)
    }

    /// What is there, but for what is over, which whoever has the group still keeps.
    pub(super) fn snapshot(&self, now: Instant) -> Entries {
        let has_ended = self.has_ended(now);
        let entries = (self.entries.iter())
            .filter(|(_, entry)| !has_ended && !entry.is_over(now))
            .map(|(key, entry)| (key.clone(), (entry.value.clone(), entry.rev)))
            .collect();
        Entries { entries, rev: self.rev }
    }

    /// Whether an entry is over by which the group lives.
    pub(super) fn has_ended(&self, now: Instant) -> bool {
        self.entries.iter().any(|(_, entry)| entry.ends_group && entry.is_over(now))
    }

    /// Keys of what is over: all, where an entry is over by which the group lives.
    pub(super) fn over(&self, now: Instant) -> Vec<Bytes> {
        let has_ended = self.has_ended(now);
        let over = self.entries.iter().filter(|(_, entry)| has_ended || entry.is_over(now));
        over.map(|(key, _)| key.clone()).collect()
    }

    pub(super) fn has_live(&self, now: Instant) -> bool {
        !self.has_ended(now) && self.entries.iter().any(|(_, entry)| !entry.is_over(now))
    }

    /// A token is remembered for good: a holder that was frozen may wake at any time.
    pub(super) fn is_needed(&self) -> bool {
        !self.entries.is_empty()
            || self.token.is_some()
            || self.lock.is_some()
            || !self.waiting.is_empty()
    }
}

// === impl Entry ===

impl Entry {
    pub(super) fn new(put: Put, rev: Rev, now: Instant) -> Self {
        let idle = put.idle.map(|idle| (idle, later(now, idle)));
        let (ends, ends_group) = (put.ttl.map(|ttl| later(now, ttl)), put.ends_group);
        Self { value: put.value, rev, ends, idle, ends_group }
    }

    pub(super) fn is_over(&self, now: Instant) -> bool {
        self.deadline().is_some_and(|ends| ends <= now)
    }

    pub(super) fn deadline(&self) -> Option<Instant> {
        self.ends.into_iter().chain(self.idle.map(|(_, ends)| ends)).min()
    }
}

/// A time that no clock reaches is as good as far away.
pub(in crate::engine::local) fn later(now: Instant, by: Duration) -> Instant {
    const FAR: Duration = Duration::from_secs(100 * 365 * 86_400);
    now + by.min(FAR)
}
