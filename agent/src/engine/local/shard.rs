//! A part of a map in memory: entries, checkouts and who waits for them, as a function of what is
//! asked and when. Nothing here waits or reads a clock.

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::time::Duration;

use muster_grid::batch::{Entries, TooLarge};
use muster_grid::{Bytes, Expect, Fence, Op, Put, Rev, Watched};
use tokio::sync::oneshot;
use tokio::time::Instant;

use crate::engine::leases::Token;
use crate::engine::map::{Batch, Change, Checkout, Ending, Kind, MapError};

/// Callers that wait for one group, at most.
const MOST_WAITING: usize = 4096;
/// A name or key at most.
const MOST_NAME: usize = 1024;
/// Operations of a batch at most.
const MOST_OPS: usize = 1024;
/// A value at most.
const MOST_VALUE: usize = 8 << 20;
/// Bytes of a batch's keys and values together at most, as in the embedded engine.
const MOST_BATCH: usize = 32 << 20;

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

/// A group: its entries by key, its checkout, and who waits for that.
#[derive(Default)]
struct Held {
    entries: Vec<(Bytes, Entry)>,
    rev: Rev,
    token: Option<Token>,
    lock: Option<(Fence, Instant)>,
    waiting: VecDeque<Waiter>,
}

struct Entry {
    value: Bytes,
    rev: Rev,
    ends: Option<Instant>,
    idle: Option<(Duration, Instant)>,
    ends_group: bool,
}

/// A caller that waits for a group.
enum Waiter {
    Write(Batch, oneshot::Sender<Result<Rev, MapError>>),
    Checkout(Duration, oneshot::Sender<Checkout>),
}

/// An answer, or where it will come.
pub(super) enum Answer<T> {
    Now(T),
    Later(oneshot::Receiver<T>),
}

// === impl Held ===

impl Held {
    fn find(&self, key: &[u8]) -> Result<usize, usize> {
        self.entries.binary_search_by(|(present, _)| present[..].cmp(key))
    }

    fn entry(&self, key: &[u8]) -> Option<&Entry> {
        self.find(key).ok().map(|at| &self.entries[at].1)
    }

    /// What is there, but for what is over, which whoever has the group still keeps.
    fn snapshot(&self, now: Instant) -> Entries {
        let has_ended = self.has_ended(now);
        let entries = (self.entries.iter())
            .filter(|(_, entry)| !has_ended && !entry.is_over(now))
            .map(|(key, entry)| (key.clone(), (entry.value.clone(), entry.rev)))
            .collect();
        Entries { entries, rev: self.rev }
    }

    /// Whether an entry is over by which the group lives.
    fn has_ended(&self, now: Instant) -> bool {
        self.entries.iter().any(|(_, entry)| entry.ends_group && entry.is_over(now))
    }

    /// Keys of what is over: all, where an entry is over by which the group lives.
    fn over(&self, now: Instant) -> Vec<Bytes> {
        let has_ended = self.has_ended(now);
        let over = self.entries.iter().filter(|(_, entry)| has_ended || entry.is_over(now));
        over.map(|(key, _)| key.clone()).collect()
    }

    fn has_live(&self, now: Instant) -> bool {
        !self.has_ended(now) && self.entries.iter().any(|(_, entry)| !entry.is_over(now))
    }

    /// A token is remembered for good: a holder that was frozen may wake at any time.
    fn is_needed(&self) -> bool {
        !self.entries.is_empty()
            || self.token.is_some()
            || self.lock.is_some()
            || !self.waiting.is_empty()
    }
}

// === impl Entry ===

impl Entry {
    fn new(put: Put, rev: Rev, now: Instant) -> Self {
        let idle = put.idle.map(|idle| (idle, later(now, idle)));
        let (ends, ends_group) = (put.ttl.map(|ttl| later(now, ttl)), put.ends_group);
        Self { value: put.value, rev, ends, idle, ends_group }
    }

    fn is_over(&self, now: Instant) -> bool {
        self.deadline().is_some_and(|ends| ends <= now)
    }

    fn deadline(&self) -> Option<Instant> {
        self.ends.into_iter().chain(self.idle.map(|(_, ends)| ends)).min()
    }
}

/// A time that no clock reaches is as good as far away.
pub(super) fn later(now: Instant, by: Duration) -> Instant {
    const FAR: Duration = Duration::from_secs(100 * 365 * 86_400);
    now + by.min(FAR)
}

/// Says what of a batch is too large.
pub(super) fn check_size(batch: &Batch) -> Result<(), MapError> {
    let too_large = |what: TooLarge| Err(MapError::TooLarge(what.to_string()));
    if batch.group.len() > MOST_NAME {
        return too_large(TooLarge::Name(batch.group.len()));
    }
    if batch.ops.len() > MOST_OPS {
        return too_large(TooLarge::Ops(batch.ops.len()));
    }
    let mut all = 0_usize;
    for op in &batch.ops {
        if op.key.len() > MOST_NAME {
            return too_large(TooLarge::Name(op.key.len()));
        }
        let size = op.put.as_ref().map_or(0, |put| put.value.len());
        if size > MOST_VALUE {
            return too_large(TooLarge::Value(size, MOST_VALUE));
        }
        all += op.key.len() + size;
    }
    if all > MOST_BATCH {
        return too_large(TooLarge::Batch(all, MOST_BATCH));
    }
    Ok(())
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

    fn is_locked(&self, group: &[u8]) -> bool {
        self.groups.get(group).is_some_and(|held| held.lock.is_some())
    }

    fn has(&self, group: &[u8], fence: Fence) -> bool {
        let lock = self.groups.get(group).and_then(|held| held.lock);
        lock.is_some_and(|(present, _)| present == fence)
    }

    fn wait(&mut self, group: &Bytes, waiter: Waiter) -> Result<(), MapError> {
        let held = self.groups.entry(group.clone()).or_default();
        if held.waiting.len() >= MOST_WAITING {
            held.waiting.retain(|waiter| !waiter.is_gone());
        }
        if held.waiting.len() >= MOST_WAITING {
            return Err(MapError::Busy);
        }
        held.waiting.push_back(waiter);
        Ok(())
    }

    fn give(&mut self, group: &Bytes, hold: Duration, now: Instant) -> Checkout {
        self.touch(group, now);
        self.fences += 1;
        let fence = Fence { epoch: 1, number: self.fences };
        let ends = later(now, hold);
        let held = self.groups.entry(group.clone()).or_default();
        held.lock = Some((fence, ends));
        let entries = held.snapshot(now);
        self.deadlines.insert((ends, group.clone(), Timer::Hold));
        Checkout { group: group.clone(), entries, fence }
    }

    /// Ends the group's checkout, and gives the group to the first who still waits for it.
    fn unlock(&mut self, group: &[u8], now: Instant) {
        let name = Bytes::from(group);
        let Some(held) = self.groups.get_mut(group) else { return };
        if let Some((_, ends)) = held.lock.take() {
            self.deadlines.remove(&(ends, name.clone(), Timer::Hold));
        }
        self.end_entries(group, now);
        while let Some(held) = self.groups.get_mut(group)
            && let Some(waiter) = held.waiting.pop_front()
        {
            match waiter {
                Waiter::Write(batch, answer) if !answer.is_closed() => {
                    let written = self.apply(batch, now);
                    // It has happened, whether or not its caller still wants to know.
                    let _ = answer.send(written);
                }
                Waiter::Checkout(hold, answer) if !answer.is_closed() => {
                    let checkout = self.give(&name, hold, now);
                    let fence = checkout.fence;
                    if answer.send(checkout).is_ok() {
                        return;
                    }
                    self.take_back(&name, fence);
                }
                Waiter::Write(..) | Waiter::Checkout(..) => {}
            }
        }
        self.forget(group);
    }

    fn take_back(&mut self, group: &Bytes, fence: Fence) {
        let Some(held) = self.groups.get_mut(group) else { return };
        if let Some((_, ends)) = held.lock.take_if(|(present, _)| *present == fence) {
            self.deadlines.remove(&(ends, group.clone(), Timer::Hold));
        }
    }

    /// Check first, change after.
    fn apply(&mut self, batch: Batch, now: Instant) -> Result<Rev, MapError> {
        let held = self.groups.entry(batch.group.clone()).or_default();
        if let (Some(seen), Some(token)) = (held.token, batch.token)
            && token < seen
        {
            return Err(MapError::Fenced);
        }
        let conflict = batch.ops.iter().position(|op| !is_as_expected(held, op));
        if let Some(at) = conflict {
            self.forget(&batch.group);
            return Err(MapError::Conflict { at });
        }
        held.token = held.token.max(batch.token);
        let rev = self.next_rev();
        for op in batch.ops {
            match op.put {
                Some(put) => self.put(&batch.group, op.key, put, rev, now),
                None if self.remove(&batch.group, &op.key, rev, Kind::Removed) => {
                    self.counts.removes += 1;
                }
                None => {}
            }
        }
        if let Some(held) = self.groups.get_mut(&batch.group) {
            held.rev = rev;
        }
        self.forget(&batch.group);
        Ok(rev)
    }

    fn put(&mut self, group: &Bytes, key: Bytes, put: Put, rev: Rev, now: Instant) {
        let value = put.value.clone();
        let entry = Entry::new(put, rev, now);
        let ends = entry.deadline();
        self.counts.puts += 1;
        self.counts.bytes += (key.len() + value.len()) as u64;
        let held = self.groups.entry(group.clone()).or_default();
        let kind = match held.find(&key) {
            Ok(at) => {
                let old = std::mem::replace(&mut held.entries[at].1, entry);
                self.counts.bytes -= (key.len() + old.value.len()) as u64;
                self.stop(group, &key, old.deadline());
                Kind::Changed(value)
            }
            Err(at) => {
                self.counts.groups += u64::from(held.entries.is_empty());
                held.entries.insert(at, (key.clone(), entry));
                self.counts.entries += 1;
                Kind::Created(value)
            }
        };
        if let Some(ends) = ends {
            self.deadlines.insert((ends, group.clone(), Timer::Entry(key.clone())));
        }
        self.tell(group, key, kind, rev);
    }

    fn remove(&mut self, group: &Bytes, key: &Bytes, rev: Rev, kind: fn(Bytes) -> Kind) -> bool {
        let Some(held) = self.groups.get_mut(group) else { return false };
        let Ok(at) = held.find(key) else { return false };
        let (key, old) = held.entries.remove(at);
        held.rev = rev;
        self.counts.groups -= u64::from(held.entries.is_empty());
        self.counts.entries -= 1;
        self.counts.bytes -= (key.len() + old.value.len()) as u64;
        self.stop(group, &key, old.deadline());
        self.tell(group, key, kind(old.value), rev);
        true
    }

    fn stop(&mut self, group: &Bytes, key: &Bytes, deadline: Option<Instant>) {
        if let Some(ends) = deadline {
            self.deadlines.remove(&(ends, group.clone(), Timer::Entry(key.clone())));
        }
    }

    fn tell(&mut self, group: &Bytes, key: Bytes, kind: Kind, rev: Rev) {
        let is_told = match self.watched {
            Some(Watched::All) => true,
            Some(Watched::Ends) => matches!(kind, Kind::Expired(_)),
            None => false,
        };
        if is_told {
            self.told.push(Change { group: group.clone(), key, kind, rev });
        }
    }

    fn forget(&mut self, group: &[u8]) {
        if self.groups.get(group).is_some_and(|held| !held.is_needed()) {
            self.groups.remove(group);
        }
    }

    fn next_rev(&mut self) -> Rev {
        self.seq += 1;
        Rev { epoch: 1, seq: self.seq }
    }
}

fn is_as_expected(held: &Held, op: &Op) -> bool {
    let present = held.entry(&op.key).map(|entry| entry.rev);
    match op.expect {
        Expect::Any => true,
        Expect::Absent => present.is_none(),
        Expect::Rev(rev) => present == Some(rev),
    }
}

// === impl Waiter ===

impl Waiter {
    fn is_gone(&self) -> bool {
        match self {
            Self::Write(_, answer) => answer.is_closed(),
            Self::Checkout(_, answer) => answer.is_closed(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn put(shard: &mut Shard, group: &[u8], put: Put, now: Instant) {
        let op = Op { key: b"k"[..].into(), expect: Expect::Any, put: Some(put) };
        assert!(matches!(shard.write(Batch::new(group, vec![op]), now), Answer::Now(Ok(_))));
    }

    #[test]
    fn reading_keeps_an_entry_from_being_idle_but_not_from_its_end() {
        let (mut shard, now) = (Shard::default(), Instant::now());
        let value = Put { idle: Some(2 * SECOND), ttl: Some(4 * SECOND), ..Put::new(b"v") };
        put(&mut shard, b"read", value.clone(), now);
        put(&mut shard, b"idle", value, now);
        for second in 1..4 {
            assert_eq!(shard.entries(b"read", now + SECOND * second).entries.len(), 1);
        }
        assert_eq!(shard.expire(now + 3 * SECOND), Some(now + 4 * SECOND));
        assert_eq!(shard.counts.expired, 1);
        assert_eq!(shard.expire(now + 4 * SECOND), None);
        assert_eq!((shard.counts.expired, shard.counts.entries, shard.counts.bytes), (2, 0, 0));
        assert!(shard.groups.is_empty() && shard.deadlines.is_empty());
    }

    #[test]
    fn a_group_that_is_checked_out_is_over_only_when_its_checkout_is() {
        let (mut shard, now) = (Shard::default(), Instant::now());
        let group = Bytes::from(&b"g"[..]);
        let value = Put { ttl: Some(SECOND), ends_group: true, ..Put::new(b"v") };
        put(&mut shard, b"g", value, now);
        let checkout = shard.checkout(&group, 3 * SECOND, true, now);
        assert!(matches!(checkout, Ok(Answer::Now(_))));
        assert_eq!(shard.expire(now + 2 * SECOND), Some(now + 3 * SECOND));
        assert_eq!(shard.entries(b"g", now + 2 * SECOND).entries.len(), 0);
        assert_eq!((shard.counts.expired, shard.counts.entries), (0, 1));
        assert_eq!(shard.expire(now + 3 * SECOND), None);
        assert_eq!((shard.counts.expired, shard.counts.entries), (1, 0));
        assert!(shard.groups.is_empty() && shard.deadlines.is_empty());
    }

    #[test]
    fn who_stopped_waiting_gets_neither_the_checkout_nor_its_write() {
        let (mut shard, now) = (Shard::default(), Instant::now());
        let group = Bytes::from(&b"g"[..]);
        let Ok(Answer::Now(first)) = shard.checkout(&group, SECOND, true, now) else {
            panic!("nobody has it");
        };
        let Ok(Answer::Later(gone)) = shard.checkout(&group, SECOND, true, now) else {
            panic!("the first has it");
        };
        let op = Op { key: b"k"[..].into(), expect: Expect::Any, put: Some(Put::new(b"v")) };
        let Answer::Later(no_write) = shard.write(Batch::new(b"g", vec![op]), now) else {
            panic!("the first has it");
        };
        let Ok(Answer::Later(mut last)) = shard.checkout(&group, SECOND, true, now) else {
            panic!("the first has it");
        };
        drop((gone, no_write));
        shard.release(b"g", first.fence, now).unwrap();
        let last = last.try_recv().unwrap();
        assert!(last.fence > first.fence && last.entries.entries.is_empty());
        shard.release(b"g", last.fence, now).unwrap();
        assert!(shard.groups.is_empty() && shard.deadlines.is_empty());
    }
}
