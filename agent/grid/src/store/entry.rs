//! One entry, and one group of them as a row holds it.

use super::WholeGroup;
use super::key::Key;
use crate::batch::{Entries, Put, Rev};
use crate::segment::{Bytes, Group, Place};
use muster_cluster::Moment;
use std::time::Duration;
use xxhash_rust::xxh3::{xxh3_64, xxh3_64_with_seed};

/// One entry.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Entry {
    /// The value.
    pub value: Bytes,
    /// When it was put.
    pub rev: Rev,
    /// The writer's wall clock in ms.
    pub stamp: u64,
    /// Its part of the row's digest.
    pub(super) sum: u64,
    /// For the few that expire.
    time: Option<Box<Time>>,
}

/// When an entry goes, by this member's clock.
#[derive(Clone, PartialEq, Eq, Debug)]
struct Time {
    ends_group: bool,
    ttl: Option<Duration>,
    idle: Option<Duration>,
    ends: Option<Moment>,
    idle_ends: Option<Moment>,
}

impl Entry {
    /// An entry as it is put now.
    #[must_use]
    pub fn new(place: Place, key: &[u8], put: &Put, rev: Rev, now: Moment) -> Self {
        let time = put.expires().then(|| {
            let at = |after: Option<Duration>| after.map(|after| now.saturating_add(after));
            let (ends, idle_ends) = (at(put.ttl), at(put.idle));
            let Put { ttl, idle, ends_group, .. } = *put;
            Box::new(Time { ends_group, ttl, idle, ends, idle_ends })
        });
        let sum = entry_sum(place, key, &put.value, rev);
        Self { value: put.value.clone(), rev, stamp: put.stamp, sum, time }
    }

    /// An entry that was put earlier, and goes as it was known then.
    pub(super) fn timed(
        place: Place,
        key: &[u8],
        put: &Put,
        rev: Rev,
        ends: Option<Moment>,
        idle_ends: Option<Moment>,
    ) -> Self {
        let mut entry = Self::new(place, key, put, rev, Moment::ZERO);
        if let Some(time) = &mut entry.time {
            (time.ends, time.idle_ends) = (ends, idle_ends);
        }
        entry
    }

    /// When its time is over, and when it is idle.
    pub(super) fn ends(&self) -> (Option<Moment>, Option<Moment>) {
        self.time.as_ref().map_or((None, None), |time| (time.ends, time.idle_ends))
    }

    /// When it goes, if it does.
    #[must_use]
    pub fn deadline(&self) -> Option<Moment> {
        self.time.as_ref().and_then(|time| time.ends.into_iter().chain(time.idle_ends).min())
    }

    /// Whether its time is over.
    #[must_use]
    pub fn is_over(&self, now: Moment) -> bool {
        self.time.is_some() && self.deadline().is_some_and(|ends| ends <= now)
    }

    /// Whether its group goes with it when its time is over.
    pub(super) fn ends_group(&self) -> bool {
        self.time.as_ref().is_some_and(|time| time.ends_group)
    }

    /// As it was put.
    #[must_use]
    pub fn put(&self) -> Put {
        let put = Put { stamp: self.stamp, ..Put::of(self.value.clone()) };
        match self.time.as_deref() {
            Some(&Time { ends_group, ttl, idle, .. }) => Put { ends_group, ttl, idle, ..put },
            None => put,
        }
    }

    /// As it is sent to another member: with what is left of its time.
    pub(super) fn sent(&self, now: Moment) -> Put {
        let ends = self.time.as_ref().and_then(|time| time.ends);
        Put { ttl: ends.map(|ends| ends.saturating_sub(now)), ..self.put() }
    }

    fn is_touched_by_reads(&self) -> bool {
        self.time.as_ref().is_some_and(|time| time.idle.is_some())
    }

    fn touch(&mut self, now: Moment) {
        if let Some(time) = &mut self.time {
            time.idle_ends = time.idle.map(|idle| now.saturating_add(idle));
        }
    }

    pub(super) fn size(&self, key: &[u8]) -> u64 {
        (key.len() + self.value.len()) as u64
    }
}

/// A group as a row holds it. Groups are small: their entries are a sorted list.
#[derive(Clone, Debug, Default)]
pub(super) struct Held {
    pub(super) entries: Vec<(Bytes, Entry)>,
    pub(super) rev: Rev,
    /// The highest token it was written with; 0 for none.
    pub(super) token: u128,
    /// The earliest deadline of its entries, as it stands among the row's.
    pub(super) due: Option<Moment>,
    /// When it was used last, where its cache is bounded: a number that rises.
    pub(super) used: u32,
    /// A record on the shelf is as it is.
    pub(super) is_shelved: bool,
}

impl Held {
    /// A group that another member sent.
    pub(super) fn of(whole: &WholeGroup, now: Moment) -> Self {
        let place = whole.group.place();
        let mut held = Self { rev: whole.rev, token: whole.token, ..Self::default() };
        held.entries.reserve_exact(whole.entries.len());
        for (name, rev, put) in &whole.entries {
            held.put(name, Entry::new(place, name, put, *rev, now));
        }
        held.due = held.first_deadline();
        held
    }

    fn find(&self, key: &[u8]) -> Result<usize, usize> {
        self.entries.binary_search_by(|(present, _)| (**present).cmp(key))
    }

    pub(super) fn get(&self, key: &[u8]) -> Option<&Entry> {
        self.find(key).ok().map(|at| &self.entries[at].1)
    }

    /// Puts an entry in; what was there comes back.
    pub(super) fn put(&mut self, key: &Bytes, entry: Entry) -> Option<Entry> {
        match self.find(key) {
            Ok(at) => Some(std::mem::replace(&mut self.entries[at].1, entry)),
            Err(at) => {
                if self.entries.is_empty() {
                    // Most groups have one entry: no room for more.
                    self.entries.reserve_exact(1);
                }
                self.entries.insert(at, (key.clone(), entry));
                None
            }
        }
    }

    pub(super) fn remove(&mut self, key: &[u8]) -> Option<Entry> {
        let at = self.find(key).ok()?;
        Some(self.entries.remove(at).1)
    }

    pub(super) fn first_deadline(&self) -> Option<Moment> {
        self.entries.iter().filter_map(|(_, entry)| entry.deadline()).min()
    }

    /// Whether a read has moved a deadline. What is over stays over.
    pub(super) fn touch(&mut self, now: Moment) -> bool {
        let mut moved = false;
        for (_, entry) in &mut self.entries {
            if entry.is_touched_by_reads() && !entry.is_over(now) {
                entry.touch(now);
                moved = true;
            }
        }
        moved
    }

    /// Keys of what is over: all, where an entry is over by which the group lives.
    pub(super) fn over(&self, now: Moment) -> Vec<Bytes> {
        let has_ended = self.has_ended(now);
        let over = self.entries.iter().filter(|(_, entry)| has_ended || entry.is_over(now));
        over.map(|(key, _)| key.clone()).collect()
    }

    /// Whether an entry is over by which the group lives.
    fn has_ended(&self, now: Moment) -> bool {
        let ends = |entry: &Entry| entry.ends_group() && entry.is_over(now);
        self.due.is_some_and(|due| due <= now) && self.entries.iter().any(|(_, e)| ends(e))
    }

    /// One entry, unless its time is over.
    pub(super) fn get_at(&self, key: &[u8], now: Moment) -> Option<&Entry> {
        self.get(key).filter(|entry| !entry.is_over(now) && !self.has_ended(now))
    }

    /// Nothing is left that anybody could ask for.
    pub(super) fn is_forgotten(&self) -> bool {
        self.entries.is_empty() && self.token == 0
    }

    /// What is there, but for what is over.
    pub(super) fn entries(&self, now: Option<Moment>) -> Entries {
        let mut entries = Entries { rev: self.rev, ..Entries::default() };
        if now.is_some_and(|now| self.has_ended(now)) {
            return entries;
        }
        for (key, entry) in &self.entries {
            if now.is_none_or(|now| !entry.is_over(now)) {
                entries.entries.insert(key.clone(), (entry.value.clone(), entry.rev));
            }
        }
        entries
    }

    /// As another member gets it.
    pub(super) fn whole(&self, table: u8, key: &Key, now: Moment) -> WholeGroup {
        let entries = (self.entries.iter())
            .map(|(key, entry)| (key.clone(), entry.rev, entry.sent(now)))
            .collect();
        let group = Group::at(table, key.place, key.name.clone());
        WholeGroup { group, rev: self.rev, token: self.token, entries }
    }

    /// Bytes of its keys and values.
    pub(super) fn size(&self) -> u64 {
        self.entries.iter().map(|(key, entry)| entry.size(key)).sum()
    }

    /// The group's whole part of the row's digest.
    pub(super) fn sum(&self, place: Place) -> u64 {
        let entries = self.entries.iter().map(|(_, entry)| entry.sum);
        entries.fold(self.own_sum(place), u64::wrapping_add)
    }

    /// That of its revision and token.
    pub(super) fn own_sum(&self, place: Place) -> u64 {
        let mut bytes = [0; 40];
        bytes[..8].copy_from_slice(&place.hash.to_le_bytes());
        bytes[8..16].copy_from_slice(&self.rev.epoch.to_le_bytes());
        bytes[16..24].copy_from_slice(&self.rev.seq.to_le_bytes());
        bytes[24..].copy_from_slice(&self.token.to_le_bytes());
        xxh3_64_with_seed(&bytes, place.cache.into())
    }
}

/// The value counts as well as the revision: beyond a forced quorum two sides may have used one
/// revision twice. XXH3 is a specification, so all machines and versions agree, and it reads a
/// value ten times as fast as SipHash; nobody gains by making two copies of his own data collide.
fn entry_sum(place: Place, key: &[u8], value: &[u8], rev: Rev) -> u64 {
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&place.hash.to_le_bytes());
    bytes[8..16].copy_from_slice(&rev.epoch.to_le_bytes());
    bytes[16..24].copy_from_slice(&rev.seq.to_le_bytes());
    bytes[24..].copy_from_slice(&xxh3_64(value).to_le_bytes());
    xxh3_64_with_seed(key, xxh3_64_with_seed(&bytes, place.cache.into()))
}
