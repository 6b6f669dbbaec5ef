//! The entries of one row, their digest, and when they expire.

use crate::batch::{Entries, Put, Rev};
use crate::segment::{Bytes, Group, hash};
use muster_cluster::Moment;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;
use std::time::Duration;

/// One entry.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Entry {
    /// What was put.
    pub put: Put,
    /// When it was put.
    pub rev: Rev,
    /// When its time to live ends, by this member's clock.
    pub ends: Option<Moment>,
    /// When it has been idle for too long, by this member's clock.
    pub idle_ends: Option<Moment>,
}

impl Entry {
    fn new(put: Put, rev: Rev, now: Moment) -> Self {
        let (ends, idle_ends) = (
            put.ttl.map(|ttl| now.saturating_add(ttl)),
            put.idle.map(|idle| now.saturating_add(idle)),
        );
        Self { put, rev, ends, idle_ends }
    }

    fn deadline(&self) -> Option<Moment> {
        self.ends.into_iter().chain(self.idle_ends).min()
    }

    /// As it is sent to another member: with what is left of its time.
    fn sent(&self, now: Moment) -> Put {
        let ttl = self.ends.map(|ends| ends.saturating_sub(now));
        Put { ttl, ..self.put.clone() }
    }
}

/// What one batch did to one group: the primary decides it, the others do as they are told.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Effect {
    /// The group.
    pub group: Group,
    /// Its new revision.
    pub rev: Rev,
    /// New values, and removals.
    pub puts: Vec<(Bytes, Option<Put>)>,
}

/// A group as it is sent whole.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct WholeGroup {
    /// Its name.
    pub group: Group,
    /// Its revision.
    pub rev: Rev,
    /// Its entries.
    pub entries: Vec<(Bytes, Rev, Put)>,
}

#[derive(Clone, Debug, Default)]
struct Held {
    entries: BTreeMap<Bytes, Entry>,
    rev: Rev,
}

/// The entries of one row.
#[derive(Clone, Debug, Default)]
pub struct Store {
    groups: BTreeMap<Group, Held>,
    deadlines: BTreeSet<(Moment, Group, Bytes)>,
    digest: u64,
}

impl Store {
    /// A number that two copies share exactly when they have the same entries and revisions (but
    /// for one chance in 2^64). Deadlines do not count: they are by each member's own clock.
    #[must_use]
    pub fn digest(&self) -> u64 {
        self.digest
    }

    /// How many groups there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.groups.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.groups.is_empty()
    }

    /// The revision of a group; zero when there is none.
    #[must_use]
    pub fn rev(&self, group: &Group) -> Rev {
        self.groups.get(group).map_or(Rev::default(), |held| held.rev)
    }

    /// One entry.
    #[must_use]
    pub fn entry(&self, group: &Group, key: &[u8]) -> Option<&Entry> {
        self.groups.get(group)?.entries.get(key)
    }

    /// The entries of a group.
    #[must_use]
    pub fn entries(&self, group: &Group) -> Entries {
        let Some(held) = self.groups.get(group) else { return Entries::default() };
        let entries = (held.entries.iter())
            .map(|(key, entry)| (key.clone(), (entry.put.value.clone(), entry.rev)))
            .collect();
        Entries { entries, rev: held.rev }
    }

    /// All groups, in order.
    pub fn groups(&self) -> impl Iterator<Item = &Group> {
        self.groups.keys()
    }

    /// A group with its whole entries, as another member gets it.
    #[must_use]
    pub fn whole(&self, group: &Group, now: Moment) -> Option<WholeGroup> {
        let held = self.groups.get(group)?;
        let entries = (held.entries.iter())
            .map(|(key, entry)| (key.clone(), entry.rev, entry.sent(now)))
            .collect();
        Some(WholeGroup { group: group.clone(), rev: held.rev, entries })
    }

    /// Does what a batch did.
    pub fn apply(&mut self, effect: &Effect, now: Moment) {
        let mut held = self.take(&effect.group).unwrap_or_default();
        for (key, put) in &effect.puts {
            match put {
                Some(put) => {
                    held.entries.insert(key.clone(), Entry::new(put.clone(), effect.rev, now));
                }
                None => {
                    held.entries.remove(key);
                }
            }
        }
        held.rev = effect.rev;
        self.give(effect.group.clone(), held);
    }

    /// Makes the groups in (after, to] exactly these.
    pub fn replace(
        &mut self,
        after: Option<&Group>,
        to: Option<&Group>,
        groups: &[WholeGroup],
        now: Moment,
    ) {
        let range = (
            after.map_or(Bound::Unbounded, |group| Bound::Excluded(group.clone())),
            to.map_or(Bound::Unbounded, |group| Bound::Included(group.clone())),
        );
        let old: Vec<Group> = match (after, to) {
            (Some(after), Some(to)) if after >= to => Vec::new(),
            _ => self.groups.range(range).map(|(group, _)| group.clone()).collect(),
        };
        for group in old {
            self.take(&group);
        }
        for whole in groups {
            let entries = (whole.entries.iter())
                .map(|(key, rev, put)| (key.clone(), Entry::new(put.clone(), *rev, now)))
                .collect();
            self.take(&whole.group);
            self.give(whole.group.clone(), Held { entries, rev: whole.rev });
        }
    }

    /// Groups after one, in order.
    pub fn after(&self, group: Option<&Group>) -> impl Iterator<Item = &Group> + use<'_> {
        let from = group.map_or(Bound::Unbounded, |group| Bound::Excluded(group.clone()));
        self.groups.range((from, Bound::Unbounded)).map(|(group, _)| group)
    }

    /// The group was read: its entries are not idle.
    pub fn touch(&mut self, group: &Group, now: Moment) {
        let idle = |held: &Held| held.entries.values().any(|entry| entry.idle_ends.is_some());
        if self.groups.get(group).is_some_and(idle)
            && let Some(mut held) = self.take(group)
        {
            for entry in held.entries.values_mut() {
                entry.idle_ends = entry.put.idle.map(|idle| now.saturating_add(idle));
            }
            self.give(group.clone(), held);
        }
    }

    /// Keys of a group whose time is over.
    #[must_use]
    pub fn expired(&self, group: &Group, now: Moment) -> Vec<Bytes> {
        let entries = self.groups.get(group).into_iter().flat_map(|held| &held.entries);
        (entries.filter(|(_, entry)| entry.deadline().is_some_and(|ends| ends <= now)))
            .map(|(key, _)| key.clone())
            .collect()
    }

    /// A group that has entries whose time is over.
    #[must_use]
    pub fn first_expired(&self, now: Moment) -> Option<Group> {
        let (ends, group, _) = self.deadlines.first()?;
        (*ends <= now).then(|| group.clone())
    }

    /// The time left until the first entry expires.
    #[must_use]
    pub fn next_deadline(&self, now: Moment) -> Option<Duration> {
        self.deadlines.first().map(|(ends, ..)| ends.saturating_sub(now))
    }

    fn take(&mut self, group: &Group) -> Option<Held> {
        let held = self.groups.remove(group)?;
        self.digest = self.digest.wrapping_sub(digest(group, &held));
        for (key, entry) in &held.entries {
            if let Some(ends) = entry.deadline() {
                self.deadlines.remove(&(ends, group.clone(), key.clone()));
            }
        }
        Some(held)
    }

    fn give(&mut self, group: Group, held: Held) {
        if held.entries.is_empty() {
            return;
        }
        self.digest = self.digest.wrapping_add(digest(&group, &held));
        for (key, entry) in &held.entries {
            if let Some(ends) = entry.deadline() {
                self.deadlines.insert((ends, group.clone(), key.clone()));
            }
        }
        self.groups.insert(group, held);
    }
}

fn digest(group: &Group, held: &Held) -> u64 {
    let number = |n: u64| n.to_le_bytes();
    let mut sum = hash(&[
        &group.space.cache.to_le_bytes(),
        &group.name,
        &number(held.rev.epoch),
        &number(held.rev.seq),
    ]);
    for (key, entry) in &held.entries {
        sum = sum.wrapping_add(hash(&[
            &group.name,
            key,
            &entry.put.value,
            &number(entry.rev.epoch),
            &number(entry.rev.seq),
        ]));
    }
    sum
}
