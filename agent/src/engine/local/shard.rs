//! A part of a map in memory: entries, checkouts and who waits for them, as a function of what is
//! asked and when. Nothing here waits or reads a clock.
//!
//! | file | idea |
//! |---|---|
//! | `held` | a group, and one of its entries |
//! | `line` | who has a group, and who waits for it |
//! | `change` | what a batch does to a group |
//! | `size` | what a batch may not exceed |

mod change;
mod held;
mod line;
mod size;
#[cfg(test)]
mod tests;

use std::collections::{BTreeSet, HashMap};
use std::time::Duration;

use muster_grid::batch::Entries;
use muster_grid::{Bytes, Fence, Rev, Watched};
use tokio::sync::oneshot;
use tokio::time::Instant;

use crate::engine::map::{Batch, Change, Checkout, Ending, Kind, MapError};
use held::Held;
pub(super) use held::later;
use line::Waiter;
pub(super) use size::check_size;

/// A part of a map.
#[derive(Default)]
pub(super) struct Shard {
    groups: HashMap<Bytes, Held, foldhash::fast::RandomState>,
    deadlines: BTreeSet<(Instant, Bytes, Timer)>,
    seq: u64,
    fences: u64,
    /// What happened, to be told by the shell before it lets go of the shard.
    pub(super) told: Vec<Change>,
    /// What anybody wants to be told; none: nothing.
    pub(super) watched: Option<Watched>,
    pub(super) counts: Counts,
}

/// What a shard holds and has done.
#[derive(Clone, Copy, Default)]
pub(super) struct Counts {
    /// Groups that have an entry.
    pub(super) groups: u64,
    pub(super) entries: u64,
    pub(super) bytes: u64,
    pub(super) puts: u64,
    pub(super) removes: u64,
    pub(super) expired: u64,
    pub(super) rollbacks: u64,
}

/// What comes to its end.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Timer {
    Entry(Bytes),
    Hold,
}

/// An answer, or where it will come.
pub(super) enum Answer<T> {
    Now(T),
    Later(oneshot::Receiver<T>),
}

// === impl Shard ===

impl Shard {
    /// The entries of a group. Reading keeps them from being idle.
    pub(super) fn entries(&mut self, group: &[u8], now: Instant) -> Entries {
        self.settle(group, now);
        self.touch(group, now);
        self.groups.get(group).map(|held| held.snapshot(now)).unwrap_or_default()
    }

    /// One value, unless its time is over. It changes nothing.
    pub(super) fn peek(&self, group: &[u8], key: &[u8]) -> Option<Bytes> {
        let held = self.groups.get(group)?;
        let entry = held.entry(key)?;
        // The clock is read only where it counts.
        let expires = held.entries.iter().any(|(_, entry)| entry.deadline().is_some());
        let now = expires.then(Instant::now);
        let is_over = now.is_some_and(|now| entry.is_over(now) || held.has_ended(now));
        (!is_over).then(|| entry.value.clone())
    }

    /// Writes, or waits for the end of the group's checkout to write.
    pub(super) fn write(&mut self, batch: Batch, now: Instant) -> Answer<Result<Rev, MapError>> {
        self.settle(&batch.group, now);
        if !self.is_locked(&batch.group) {
            return Answer::Now(self.apply(batch, now));
        }
        let (sender, receiver) = oneshot::channel();
        match self.wait(&batch.group.clone(), Waiter::Write(batch, sender)) {
            Ok(()) => Answer::Later(receiver),
            Err(busy) => Answer::Now(Err(busy)),
        }
    }

    /// Gives the group's checkout, or waits for it.
    pub(super) fn checkout(
        &mut self,
        group: &Bytes,
        hold: Duration,
        may_wait: bool,
        now: Instant,
    ) -> Result<Answer<Checkout>, MapError> {
        self.settle(group, now);
        if !self.is_locked(group) {
            return Ok(Answer::Now(self.give(group, hold, now)));
        }
        if !may_wait {
            return Err(MapError::Locked);
        }
        let (sender, receiver) = oneshot::channel();
        self.wait(group, Waiter::Checkout(hold, sender))?;
        Ok(Answer::Later(receiver))
    }

    /// Writes under a checkout.
    pub(super) fn commit(
        &mut self,
        batch: Batch,
        fence: Fence,
        ending: Ending,
        now: Instant,
    ) -> Result<Rev, MapError> {
        self.settle(&batch.group, now);
        if !self.has(&batch.group, fence) {
            return Err(MapError::Fenced);
        }
        let group = batch.group.clone();
        let rev = self.apply(batch, now)?;
        if ending == Ending::Release {
            self.unlock(&group, now);
        }
        Ok(rev)
    }

    /// Ends a checkout without changes.
    pub(super) fn release(
        &mut self,
        group: &[u8],
        fence: Fence,
        now: Instant,
    ) -> Result<(), MapError> {
        self.settle(group, now);
        if !self.has(group, fence) {
            return Err(MapError::Fenced);
        }
        self.counts.rollbacks += 1;
        self.unlock(group, now);
        Ok(())
    }

    /// Groups that have entries, by name, after one: at most so many, and whether there are more.
    pub(super) fn after(
        &mut self,
        after: Option<&[u8]>,
        most: usize,
        now: Instant,
    ) -> (Vec<(Bytes, Entries)>, bool) {
        self.expire(now);
        let is_after = |name: &Bytes| after.is_none_or(|after| name[..] > *after);
        let mut names: Vec<&Bytes> = (self.groups.iter())
            .filter(|(name, held)| is_after(name) && held.has_live(now))
            .map(|(name, _)| name)
            .collect();
        names.sort_unstable();
        let more = names.len() > most;
        let page = names.into_iter().take(most);
        (page.map(|name| (name.clone(), self.groups[name].snapshot(now))).collect(), more)
    }

    /// Drops entries that another process has changed. Nobody is told: nothing happened to them.
    pub(super) fn evict(&mut self, group: &[u8], keys: &[Bytes], now: Instant) {
        self.settle(group, now);
        let (name, rev) = (Bytes::from(group), self.next_rev());
        let watched = self.watched.take();
        for key in keys {
            self.remove(&name, key, rev, Kind::Removed);
        }
        self.watched = watched;
        self.forget(group);
    }

    /// Drops everything in the same way.
    pub(super) fn evict_all(&mut self, now: Instant) {
        let keys = |held: &Held| held.entries.iter().map(|(key, _)| key.clone()).collect();
        let all: Vec<(Bytes, Vec<Bytes>)> =
            self.groups.iter().map(|(group, held)| (group.clone(), keys(held))).collect();
        for (group, keys) in all {
            self.evict(&group, &keys, now);
        }
    }

    /// Does what is due; when the next thing is.
    pub(super) fn expire(&mut self, now: Instant) -> Option<Instant> {
        while let Some((ends, group, _)) = self.deadlines.first() {
            if *ends > now {
                return Some(*ends);
            }
            self.settle(&group.clone(), now);
        }
        None
    }

    /// When the next thing is due.
    pub(super) fn next(&self) -> Option<Instant> {
        self.deadlines.first().map(|(ends, ..)| *ends)
    }

    /// Ends of a group what is over: its checkout, and entries unless it is checked out.
    fn settle(&mut self, group: &[u8], now: Instant) {
        let Some(held) = self.groups.get(group) else { return };
        match held.lock {
            Some((_, ends)) if ends <= now => {
                self.counts.rollbacks += 1;
                self.unlock(group, now);
            }
            // Whoever works with it keeps it. What is over goes when the checkout ends.
            Some(_) => self.postpone(group, now),
            None => {
                self.end_entries(group, now);
                self.forget(group);
            }
        }
    }

    fn end_entries(&mut self, group: &[u8], now: Instant) {
        let over = self.groups.get(group).map(|held| held.over(now)).unwrap_or_default();
        if over.is_empty() {
            return;
        }
        self.counts.expired += over.len() as u64;
        let (rev, name) = (self.next_rev(), Bytes::from(group));
        for key in over {
            self.remove(&name, &key, rev, Kind::Expired);
        }
    }

    /// What is over waits for the end of the checkout, and for no time.
    fn postpone(&mut self, group: &[u8], now: Instant) {
        let Self { groups, deadlines, .. } = self;
        for (key, entry) in groups.get(group).map(|held| &held.entries).into_iter().flatten() {
            if let Some(ends) = entry.deadline().filter(|ends| *ends <= now) {
                deadlines.remove(&(ends, Bytes::from(group), Timer::Entry(key.clone())));
            }
        }
    }

    fn touch(&mut self, group: &[u8], now: Instant) {
        let Some(held) = self.groups.get_mut(group) else { return };
        for (key, entry) in &mut held.entries {
            let Some((idle, _)) = entry.idle else { continue };
            let before = entry.deadline();
            if before.is_some_and(|ends| ends <= now) {
                continue;
            }
            entry.idle = Some((idle, later(now, idle)));
            let after = entry.deadline();
            if before != after {
                let timer = |at: Instant| (at, Bytes::from(group), Timer::Entry(key.clone()));
                self.deadlines.extend(after.map(timer));
                before.map(timer).inspect(|old| _ = self.deadlines.remove(old));
            }
        }
    }
}
