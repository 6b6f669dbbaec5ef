//! The entries of one row, their digest, and when they expire.

mod cold;
mod count;
mod entry;
mod key;
mod shelving;

pub use cold::{Record, RecordEntry, RecordKey};
pub use count::Count;
pub use entry::Entry;
pub(crate) use key::Key;

use crate::batch::{Entries, Put, Rev};
use crate::segment::{Bytes, Group, Place, Space};
use crate::shelf::ShelfError;
use crate::shelves::Shelves;
use cold::{Cold, Stub};
use count::Counts;
use entry::Held;
use key::Named;
use muster_cluster::Moment;
use serde::{Deserialize, Serialize};
use smallvec::SmallVec;
use std::collections::{BTreeMap, BTreeSet};

/// New values, and removals; mostly one.
pub type Puts = SmallVec<[(Bytes, Option<Put>); 1]>;

/// What one batch did to one group: the primary decides it, the others do as they are told.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Effect {
    /// The group.
    pub group: Group,
    /// Its new revision.
    pub rev: Rev,
    /// The token that it was written with; 0 for none. The group remembers the highest.
    pub token: u128,
    /// The entries' time was over: nobody removed them.
    pub is_expiry: bool,
    /// New values, and removals.
    pub puts: Puts,
}

/// A group as it is sent whole.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct WholeGroup {
    /// Its name.
    pub group: Group,
    /// Its revision.
    pub rev: Rev,
    /// The highest token it was written with; 0 for none.
    pub token: u128,
    /// Its entries.
    pub entries: Vec<(Bytes, Rev, Put)>,
}

/// What of which cache could not be read from its shelf.
pub type Unread = (u32, ShelfError);

/// The entries of one row. Those of groups whose values are on a shelf are found there: what is said
/// of one group here is about those in memory, what is said of all counts both.
#[derive(Clone, Debug, Default)]
pub struct Store {
    groups: BTreeMap<Key, Held>,
    /// For the rows that ever put something on a shelf.
    cold: Option<Box<Cold>>,
    deadlines: BTreeSet<(Moment, Key)>,
    counts: Counts,
    digest: u64,
}

impl Store {
    /// A number that two copies share exactly when they have the same entries, revisions and tokens
    /// (but for one chance in 2^64). Deadlines do not count: they are by each member's own clock.
    #[must_use]
    pub fn digest(&self) -> u64 {
        self.digest
    }

    /// How many groups there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.groups.len() + self.cold.as_ref().map_or(0, |cold| cold.len())
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// What there is of one cache.
    #[must_use]
    pub fn count(&self, cache: u32) -> Count {
        self.counts.of(cache)
    }

    /// The revision of a group; zero when there is none.
    #[must_use]
    pub fn rev(&self, group: &Group) -> Rev {
        self.held(group).map_or(Rev::default(), |held| held.rev)
    }

    /// The highest token that a group was written with; 0 for none.
    #[must_use]
    pub fn token(&self, group: &Group) -> u128 {
        self.held(group).map_or(0, |held| held.token)
    }

    /// One entry.
    #[must_use]
    pub fn entry(&self, group: &Group, key: &[u8]) -> Option<&Entry> {
        self.held(group)?.get(key)
    }

    /// One entry, by borrowed names, unless its time is over.
    #[must_use]
    pub fn peek(&self, place: Place, name: &[u8], key: &[u8], now: Moment) -> Option<&Entry> {
        self.groups.get(&(place, name) as &dyn Named)?.get_at(key, now)
    }

    /// The entries of a group.
    #[must_use]
    pub fn entries(&self, group: &Group) -> Entries {
        self.held(group).map_or_else(Entries::default, |held| held.entries(None))
    }

    /// The entries of a group, but for what is over.
    #[must_use]
    pub fn entries_at(&self, group: &Group, now: Moment) -> Entries {
        self.held(group).map_or_else(Entries::default, |held| held.entries(Some(now)))
    }

    fn held(&self, group: &Group) -> Option<&Held> {
        self.groups.get(group as &dyn Named)
    }

    /// All groups whole, in order, as another member gets them. Those after a place where one is
    /// given.
    /// What cannot be read from its shelf is an error in its place.
    pub fn whole_after<'s>(
        &'s self,
        table: u8,
        after: Option<Place>,
        shelves: &'s Shelves,
        now: Moment,
    ) -> impl Iterator<Item = Result<WholeGroup, Unread>> + use<'s> {
        self.from(begin(after)).map(move |found| self.whole_of(table, found, shelves, now))
    }

    /// The groups of one cache whole, in order: those after a place where one is given. What another
    /// cache has on its shelf is not read.
    pub fn whole_in<'s>(
        &'s self,
        space: Space,
        after: Option<Place>,
        shelves: &'s Shelves,
        now: Moment,
    ) -> impl Iterator<Item = Result<WholeGroup, Unread>> + use<'s> {
        let Space { table, cache } = space;
        let from = after.map_or(Some(Place { cache, hash: 0 }), Place::next);
        let its = self.from(from).take_while(move |found| found.place().cache == cache);
        its.map(move |found| self.whole_of(table, found, shelves, now))
    }

    fn whole_of(
        &self,
        table: u8,
        found: Found<'_>,
        shelves: &Shelves,
        now: Moment,
    ) -> Result<WholeGroup, Unread> {
        match found {
            Found::Hot(key, held) => Ok(held.whole(table, key, now)),
            Found::Cold(place, stub) => {
                let (key, held) = self.look(place, stub, shelves).map_err(|e| (place.cache, e))?;
                Ok(held.whole(table, &key, now))
            }
        }
    }

    /// The group of a place whole; none where there is none.
    pub(crate) fn whole_at(
        &self,
        table: u8,
        place: Place,
        shelves: &Shelves,
        now: Moment,
    ) -> Option<Result<WholeGroup, Unread>> {
        let found = self.from(Some(place)).next().filter(|found| found.place() == place)?;
        Some(self.whole_of(table, found, shelves, now))
    }

    /// One group whole, if it is in memory.
    pub(crate) fn whole(&self, group: &Group, now: Moment) -> Option<WholeGroup> {
        let (key, held) = self.groups.get_key_value(group as &dyn Named)?;
        Some(held.whole(group.space.table, key, now))
    }

    /// Those groups whole that are in memory.
    pub(crate) fn whole_in_memory(
        &self,
        table: u8,
        now: Moment,
    ) -> impl Iterator<Item = WholeGroup> + use<'_> {
        self.groups.iter().map(move |(key, held)| held.whole(table, key, now))
    }

    /// Names and entries of a cache's groups after a place, in order, but for what is over. What
    /// cannot be read from its shelf is an error in its place.
    pub fn page<'s>(
        &'s self,
        cache: u32,
        after: Option<Place>,
        shelves: &'s Shelves,
        now: Moment,
    ) -> impl Iterator<Item = Result<(Place, Bytes, Entries), Unread>> + use<'s> {
        let from = after.map_or(Some(Place { cache, hash: 0 }), Place::next);
        (self.from(from).take_while(move |found| found.place().cache == cache)).map(move |found| {
            match found {
                Found::Hot(key, held) => Ok((key.place, key.name.clone(), held.entries(Some(now)))),
                Found::Cold(place, stub) => {
                    let (key, held) =
                        self.look(place, stub, shelves).map_err(|e| (place.cache, e))?;
                    Ok((place, key.name, held.entries(Some(now))))
                }
            }
        })
    }

    /// From a place on, in order; none: nothing is left.
    fn from(&self, from: Option<Place>) -> impl Iterator<Item = Found<'_>> + use<'_> {
        let begin = from.map(|place| Key { place, name: Bytes::default() });
        let mut hot = (begin.into_iter())
            .flat_map(|begin| self.groups.range(begin..))
            .map(|(key, held)| Found::Hot(key, held))
            .peekable();
        let cold = from.and_then(|from| Some(self.cold.as_ref()?.from(from)));
        let mut cold =
            cold.into_iter().flatten().map(|(place, stub)| Found::Cold(place, stub)).peekable();
        std::iter::from_fn(move || match (hot.peek(), cold.peek()) {
            (Some(one), Some(other)) if other.place() < one.place() => cold.next(),
            (Some(_), _) => hot.next(),
            (None, _) => cold.next(),
        })
    }

    /// Does what a batch did.
    pub fn apply(&mut self, effect: &Effect, now: Moment) {
        let place = effect.group.place();
        let count = self.counts.of_mut(place.cache);
        let mut digest = self.digest;
        let name = &effect.group as &dyn Named;
        let held = match self.groups.get_mut(name) {
            Some(held) => {
                digest = digest.wrapping_sub(held.own_sum(place));
                held
            }
            None => {
                count.groups += 1;
                self.groups.entry(Key::of(&effect.group)).or_default()
            }
        };
        for (key, put) in &effect.puts {
            let old = match put {
                Some(put) => {
                    let entry = Entry::new(place, key, put, effect.rev, now);
                    digest = digest.wrapping_add(entry.sum);
                    count.add(entry.size(key));
                    held.put(key, entry)
                }
                None => held.remove(key),
            };
            if let Some(old) = old {
                digest = digest.wrapping_sub(old.sum);
                count.subtract(old.size(key));
            }
        }
        held.rev = effect.rev;
        held.token = held.token.max(effect.token);
        held.is_shelved = false;
        let expires = |put: &Option<Put>| put.as_ref().is_some_and(Put::expires);
        let may_expire = held.due.is_some() || effect.puts.iter().any(|(_, put)| expires(put));
        let due = if may_expire { held.first_deadline() } else { None };
        let was_due = std::mem::replace(&mut held.due, due);
        if held.is_forgotten() {
            count.groups -= 1;
            self.groups.remove(name);
        } else {
            digest = digest.wrapping_add(held.own_sum(place));
        }
        self.digest = digest;
        if was_due != due {
            self.move_deadline(Key::of(&effect.group), was_due, due);
        }
    }

    fn move_deadline(&mut self, key: Key, old: Option<Moment>, new: Option<Moment>) {
        if let Some(old) = old {
            self.deadlines.remove(&(old, key.clone()));
        }
        if let Some(new) = new {
            self.deadlines.insert((new, key));
        }
    }

    /// Makes the groups in (after, to] exactly these. The records of those that were there come
    /// back: nobody needs them any more.
    pub(crate) fn replace(
        &mut self,
        after: Option<Place>,
        to: Option<Place>,
        groups: &[WholeGroup],
        now: Moment,
    ) -> Vec<(u32, RecordKey)> {
        let (mut hot, mut cold) = (Vec::new(), Vec::new());
        let is_in = |found: &Found<'_>| to.is_none_or(|to| found.place() <= to);
        for found in self.from(begin(after)).take_while(is_in) {
            match found {
                Found::Hot(key, _) => hot.push(key.clone()),
                Found::Cold(place, _) => cold.push(place),
            }
        }
        let places = hot.iter().map(|key| key.place).chain(cold.iter().copied());
        let records = places.filter_map(|place| Some((place.cache, self.record_key(place)?)));
        let records = records.collect();
        hot.iter().for_each(|key| self.remove(key));
        cold.iter().for_each(|place| self.drop_cold(*place));
        for whole in groups {
            self.insert(whole, now);
        }
        records
    }

    fn remove(&mut self, key: &Key) {
        let Some(held) = self.groups.remove(key) else { return };
        self.digest = self.digest.wrapping_sub(held.sum(key.place));
        let count = self.counts.of_mut(key.place.cache);
        count.groups -= 1;
        count.entries -= held.entries.len() as u64;
        count.bytes -= held.size();
        self.move_deadline(key.clone(), held.due, None);
    }

    fn insert(&mut self, whole: &WholeGroup, now: Moment) {
        let key = Key::of(&whole.group);
        self.remove(&key);
        let held = Held::of(whole, now);
        if held.is_forgotten() {
            return;
        }
        self.digest = self.digest.wrapping_add(held.sum(key.place));
        let count = self.counts.of_mut(key.place.cache);
        count.groups += 1;
        count.entries += held.entries.len() as u64;
        count.bytes += held.size();
        self.move_deadline(key.clone(), None, held.due);
        self.groups.insert(key, held);
    }

    /// The group was read: its entries are not idle.
    pub fn touch(&mut self, group: &Group, now: Moment) {
        if self.deadlines.is_empty() {
            return;
        }
        let Some(held) = self.groups.get_mut(group as &dyn Named) else { return };
        if held.touch(now) {
            held.is_shelved = false;
            let due = held.first_deadline();
            let old = std::mem::replace(&mut held.due, due);
            self.move_deadline(Key::of(group), old, due);
        }
    }

    /// Keys of a group that go because time is over: its own, or that of the entry by which the
    /// group lives.
    #[must_use]
    pub fn expired(&self, group: &Group, now: Moment) -> Vec<Bytes> {
        if self.deadlines.is_empty() {
            return Vec::new();
        }
        let held = self.held(group).filter(|held| held.due.is_some_and(|due| due <= now));
        held.map(|held| held.over(now)).unwrap_or_default()
    }

    /// Groups that have entries whose time is over, the earliest first.
    pub fn due(&self, table: u8, now: Moment) -> impl Iterator<Item = Group> + use<'_> {
        (self.deadlines.iter().take_while(move |(ends, _)| *ends <= now))
            .map(move |(_, key)| Group::at(table, key.place, key.name.clone()))
    }

    /// Whether anything in it will expire.
    #[must_use]
    pub fn has_deadlines(&self) -> bool {
        !self.deadlines.is_empty() || self.cold.as_ref().is_some_and(|cold| cold.has_deadlines())
    }
}

/// A group of a row, in memory or on the shelf.
enum Found<'s> {
    Hot(&'s Key, &'s Held),
    Cold(Place, &'s Stub),
}

impl Found<'_> {
    fn place(&self) -> Place {
        match self {
            Self::Hot(key, _) => key.place,
            Self::Cold(place, _) => *place,
        }
    }
}

/// The first place after one; none when nothing can come after it.
fn begin(after: Option<Place>) -> Option<Place> {
    after.map_or(Some(Place { cache: 0, hash: 0 }), Place::next)
}

#[cfg(test)]
mod tests;
