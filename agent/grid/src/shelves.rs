//! The caches of a member whose memory is bounded: what of them is in memory, what was used longest
//! ago, and what their shelves have done.

mod bounded;
mod journal;

use crate::life;
use crate::segment::{Bytes, Group, Place, Space};
use crate::shelf::{Memory, Shelf, ShelfError, ShelfStats, Shelved};
use crate::stamps::Stamps;
use crate::store::{Effect, Key, RecordKey, Store, WholeGroup};
use journal::Journal;
use muster_cluster::{Moment, RowId};
use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

/// After an error nothing is put for so long, and no other is told.
const REST: Duration = Duration::from_secs(1);
/// Records of rows that went are removed so many at a time.
const MOST_REMOVED: usize = 512;
/// Uses that are remembered, beyond two of each group in memory.
const MOST_USES: usize = 1024;

/// The bounded caches of a member.
#[derive(Debug, Default)]
pub struct Shelves {
    all: Vec<Bounded>,
    /// The number of the last store that put a record: no two share one.
    stores: u64,
    /// Records of stores that went.
    waste: VecDeque<(u32, RecordKey)>,
    told: Vec<Shelved>,
    /// A journal has not taken something since it was asked last.
    missed: bool,
    pub(crate) stamps: Stamps,
}

/// One bounded cache.
#[derive(Debug)]
pub(crate) struct Bounded {
    space: Space,
    memory: Memory,
    in_memory: u64,
    tick: u32,
    /// Uses in their order. One that is not the last of its group counts no more.
    uses: VecDeque<Use>,
    /// Nothing is put before, and no failure told.
    rests_until: Moment,
    quiet_until: Moment,
    is_watched: bool,
    /// How far the stamps say that records follow their rows, and whether some lack, by the stores' numbers.
    stamped: BTreeMap<u64, (u64, bool)>,
    journal: Journal,
    stats: ShelfStats,
}

/// A use of a group: when, and where the group is.
pub(crate) struct Use {
    pub(crate) tick: u32,
    pub(crate) row: RowId,
    pub(crate) key: Key,
}

impl std::fmt::Debug for Use {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.tick)
    }
}

/// What a cache's copies are changed with.
struct With<'s> {
    bounded: &'s mut Bounded,
    shelving: Shelving<'s>,
}

/// What putting on a shelf needs beside the cache.
pub(crate) struct Shelving<'s> {
    stores: &'s mut u64,
    told: &'s mut Vec<Shelved>,
    missed: &'s mut bool,
    stamps: &'s Stamps,
}

// === impl Shelves ===

impl Shelves {
    pub(crate) fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    /// Bounds a cache.
    pub(crate) fn bound(&mut self, space: Space, memory: Memory) {
        self.all.retain(|bounded| bounded.space.cache != space.cache);
        // No store has the number of one that left records there.
        let left = memory.shelf.left().into_iter().filter_map(|key| Some(life::named(&key)?.0));
        self.stores = left.fold(self.stores, u64::max);
        self.all.push(Bounded {
            space,
            memory,
            in_memory: 0,
            tick: 0,
            uses: VecDeque::new(),
            rests_until: Moment::ZERO,
            quiet_until: Moment::ZERO,
            is_watched: false,
            stamped: BTreeMap::new(),
            journal: Journal::default(),
            stats: ShelfStats::default(),
        });
    }

    pub(crate) fn watch(&mut self, space: Space, is_watched: bool) {
        if let Some(With { bounded, .. }) = self.with(space.cache) {
            bounded.is_watched = is_watched;
        }
    }

    /// The shelf of a cache, if it has one.
    pub(crate) fn shelf(&self, cache: u32) -> Option<&dyn Shelf> {
        let bounded = self.all.iter().find(|bounded| bounded.space.cache == cache);
        bounded.map(|bounded| &*bounded.memory.shelf)
    }

    /// What has happened to a cache here; what is on its shelf is counted by its stores.
    pub(crate) fn stats(&self, cache: u32) -> Option<ShelfStats> {
        let bounded = self.all.iter().find(|bounded| bounded.space.cache == cache)?;
        Some(ShelfStats { in_memory: bounded.in_memory, ..bounded.stats })
    }

    /// What is to be told.
    pub(crate) fn told(&mut self) -> Vec<Shelved> {
        std::mem::take(&mut self.told)
    }

    /// The bounded caches, and what passivation needs beside them.
    pub(crate) fn each(&mut self) -> (&mut Vec<Bounded>, Shelving<'_>) {
        let Self { all, stores, told, missed, stamps, .. } = self;
        (all, Shelving { stores, told, missed, stamps })
    }

    /// A row's records follow it to the view in force. That is said of a row without records too: whoever
    /// comes back with some sees that the row has lived on without them.
    pub(crate) fn stamp(&mut self, row: RowId, store: &mut Store, now: Moment) {
        let (all, mut shelving) = self.each();
        let table = shelving.stamps.table_of(row);
        let has_some = store.numbered().is_some() || shelving.stamps.last(row, None) > 0;
        for bounded in all.iter_mut().filter(|b| has_some && Some(b.space.table) == table) {
            if let Err(error) = bounded.stamp(row, store, &mut shelving) {
                bounded.failed(None, &error, shelving.told, now);
            }
        }
    }

    /// The member ends: from now on what is put on a shelf that keeps it stays there.
    pub(crate) fn keep_all(&mut self) {
        for bounded in &mut self.all {
            bounded.memory.write_through |= bounded.memory.shelf.keeps();
        }
    }

    fn with(&mut self, cache: u32) -> Option<With<'_>> {
        let (all, shelving) = self.each();
        let bounded = all.iter_mut().find(|bounded| bounded.space.cache == cache)?;
        Some(With { bounded, shelving })
    }

    /// A group of a row that is there already counts as in memory.
    pub(crate) fn count_in(&mut self, row: RowId, store: &mut Store, key: &Key) {
        if let Some(With { bounded, .. }) = self.with(key.place.cache) {
            bounded.in_memory += 1;
            bounded.note(row, store, &Group::at(bounded.space.table, key.place, key.name.clone()));
            if bounded.memory.write_through {
                // Written before this member had the shelf.
                bounded.journal.lacks(row, key.place, key.name.clone());
            }
        }
    }

    /// Brings a group into memory if it is on the shelf: it is used.
    ///
    /// # Errors
    /// When it cannot be read. It stays on the shelf.
    pub(crate) fn warm(
        &mut self,
        row: RowId,
        store: &mut Store,
        group: &Group,
        now: Moment,
    ) -> Result<(), ShelfError> {
        let with = self.with(group.space.cache);
        with.map_or(Ok(()), |mut with| with.warm(row, store, group, now))
    }

    /// Does what a batch did.
    ///
    /// # Errors
    /// When the group is on the shelf and cannot be read: nothing is done then.
    pub(crate) fn apply(
        &mut self,
        row: RowId,
        store: &mut Store,
        effect: &Effect,
        now: Moment,
    ) -> Result<(), ShelfError> {
        let Some(mut with) = self.with(effect.group.space.cache) else {
            store.apply(effect, now);
            return Ok(());
        };
        with.apply(row, store, effect, now)
    }

    /// Makes the groups of a row in (after, to] exactly these.
    pub(crate) fn replace(
        &mut self,
        row: RowId,
        store: &mut Store,
        (after, to): (Option<Place>, Option<Place>),
        groups: &[WholeGroup],
        now: Moment,
    ) {
        if self.is_empty() {
            store.replace(after, to, groups, now);
            return;
        }
        let before: Vec<u64> = self.counted(store);
        let records = store.replace(after, to, groups, now);
        let counted = self.counted(store);
        for (bounded, (before, now)) in self.all.iter_mut().zip(before.iter().zip(counted)) {
            bounded.in_memory = (bounded.in_memory + now).saturating_sub(*before);
        }
        for (cache, record) in records {
            if let Some(mut with) = self.with(cache) {
                with.remove(&record, None, now);
            }
        }
        for whole in groups {
            if let Some(mut with) = self.with(whole.group.space.cache) {
                with.bounded.note(row, store, &whole.group);
                with.write_through(row, store, &whole.group, now);
            }
        }
    }

    fn counted(&self, store: &Store) -> Vec<u64> {
        self.all.iter().map(|bounded| store.in_memory(bounded.space.cache)).collect()
    }

    /// A row's data is not kept any more. Its records go some at a time, those of groups that are
    /// still to be given to others only where `is_kept` is false.
    pub(crate) fn forget(&mut self, store: &Store, is_kept: bool) {
        for bounded in &mut self.all {
            let cache = bounded.space.cache;
            bounded.in_memory = bounded.in_memory.saturating_sub(store.in_memory(cache));
            // The stamp first: what nothing is said of is taken for what it is.
            if let Some(number) = store.numbered().filter(|n| bounded.stamped.remove(n).is_some()) {
                self.waste.push_back((cache, life::stamp_key(number, cache)));
            }
            if bounded.memory.write_through {
                let records = store.keys(cache).filter_map(|key| store.record_key(key.place));
                self.waste.extend(records.map(|record| (cache, record)));
            }
        }
        if !is_kept && !self.all.is_empty() {
            let record = |place: Place| Some((place.cache, store.record_key(place)?));
            self.waste.extend(store.cold_places().filter_map(record));
        }
    }

    /// Removes some records of rows that went.
    pub(crate) fn remove_waste(&mut self, now: Moment) {
        for _ in 0..MOST_REMOVED {
            let Some((cache, record)) = self.waste.pop_front() else { return };
            if let Some(mut with) = self.with(cache) {
                with.remove(&record, None, now);
            }
        }
    }

    /// A record of a row that went, which is then removed.
    pub(crate) fn take(
        &mut self,
        cache: u32,
        record: &RecordKey,
        now: Moment,
    ) -> Result<Vec<u8>, ShelfError> {
        let Some(mut with) = self.with(cache) else { return Err(ShelfError("no shelf".into())) };
        let missing = || ShelfError("a record is missing".to_owned());
        let found = with.bounded.memory.shelf.get(record).and_then(|r| r.ok_or_else(missing));
        match found {
            Ok(found) => {
                with.remove(record, None, now);
                Ok(found)
            }
            Err(error) => {
                with.bounded.failed(None, &error, with.shelving.told, now);
                Err(error)
            }
        }
    }

    /// Brings what is over back into memory, where it expires like anything else.
    /// Where that could not be read.
    pub(crate) fn wake_due(
        &mut self,
        row: RowId,
        store: &mut Store,
        most: usize,
        now: Moment,
    ) -> Vec<Place> {
        let mut unread = Vec::new();
        for place in store.cold_due(now, most) {
            let Some(mut with) = self.with(place.cache) else { continue };
            if with.activate(row, store, place, now).is_err() {
                store.due_again(place, now + REST);
                unread.push(place);
            }
        }
        unread
    }

    /// Takes a group that the shelf does not give from another member, if it is what was put there.
    pub(crate) fn regain(
        &mut self,
        row: RowId,
        store: &mut Store,
        whole: &WholeGroup,
        now: Moment,
    ) -> bool {
        let place = whole.group.place();
        let Some(mut with) = self.with(place.cache) else { return false };
        if !store.regain(whole, now) {
            return false;
        }
        with.bounded.in_memory += 1;
        with.bounded.note(row, store, &whole.group);
        if let Some(record) = store.record_key(place) {
            with.remove(&record, Some(&whole.group.name), now);
        }
        with.write_through(row, store, &whole.group, now);
        true
    }

    /// Something that is on a shelf could not be read.
    pub(crate) fn failed(&mut self, cache: u32, error: &ShelfError, now: Moment) {
        if let Some(With { bounded, shelving }) = self.with(cache) {
            bounded.failed(None, error, shelving.told, now);
        }
    }
}

// === impl With ===

impl With<'_> {
    fn warm(
        &mut self,
        row: RowId,
        store: &mut Store,
        group: &Group,
        now: Moment,
    ) -> Result<(), ShelfError> {
        if store.is_cold(group.place()) && !store.has(group) {
            self.activate(row, store, group.place(), now)?;
        }
        self.bounded.note(row, store, group);
        Ok(())
    }

    fn activate(
        &mut self,
        row: RowId,
        store: &mut Store,
        place: Place,
        now: Moment,
    ) -> Result<(), ShelfError> {
        let Self { bounded, shelving } = self;
        let (shelf, is_kept) = (bounded.memory.shelf.clone(), bounded.memory.write_through);
        let name = match store.activate(place, &*shelf, is_kept) {
            Ok(Some(name)) => name,
            Ok(None) => return Ok(()),
            Err(error) => {
                bounded.failed(None, &error, shelving.told, now);
                return Err(error);
            }
        };
        let group = Group::at(bounded.space.table, place, name);
        bounded.in_memory += 1;
        bounded.stats.activations += 1;
        bounded.note(row, store, &group);
        if bounded.is_watched {
            shelving.told.push(Shelved::Activated(group));
        }
        if !is_kept && let Some(record) = store.record_key(place) {
            self.remove(&record, None, now);
        }
        Ok(())
    }

    fn apply(
        &mut self,
        row: RowId,
        store: &mut Store,
        effect: &Effect,
        now: Moment,
    ) -> Result<(), ShelfError> {
        self.warm(row, store, &effect.group, now)?;
        let cache = effect.group.space.cache;
        let before = store.in_memory(cache);
        store.apply(effect, now);
        let bounded = &mut *self.bounded;
        bounded.in_memory = (bounded.in_memory + store.in_memory(cache)).saturating_sub(before);
        bounded.note(row, store, &effect.group);
        self.write_through(row, store, &effect.group, now);
        Ok(())
    }

    /// What cannot be put stays in memory, and an older record goes where that is possible; but for a
    /// journal's, which has what was acknowledged.
    fn write_through(&mut self, row: RowId, store: &mut Store, group: &Group, now: Moment) {
        if !self.bounded.memory.write_through {
            return;
        }
        let shelf = self.bounded.memory.shelf.clone();
        let is_there = store.has(group);
        let stamped = self.bounded.stamp(row, store, &mut self.shelving);
        let stores = &mut *self.shelving.stores;
        let written = stamped.and_then(|()| store.write_through(group, &*shelf, stores, now));
        if let Err(error) = &written {
            self.bounded.failed(Some(&group.name), error, self.shelving.told, now);
        }
        let is_stale = written.is_err() && !self.bounded.journal.is_one;
        let mut is_kept = written.is_ok();
        if (!is_there || is_stale)
            && let Some(record) = store.record_key(group.place())
        {
            is_kept &= self.remove(&record, Some(&group.name), now);
        }
        let lacked_some = self.bounded.journal.lacks_some(row);
        if self.bounded.journal.note(row, group, is_kept) {
            *self.shelving.missed = true;
        }
        if self.bounded.journal.lacks_some(row) != lacked_some {
            // How far the records follow their row has changed. Where that cannot be said, it is later.
            let _ = self.bounded.stamp(row, store, &mut self.shelving);
        }
    }

    /// Whether it could be.
    fn remove(&mut self, record: &RecordKey, group: Option<&Bytes>, now: Moment) -> bool {
        let removed = self.bounded.memory.shelf.remove(record);
        if let Err(error) = &removed {
            self.bounded.failed(group, error, self.shelving.told, now);
        }
        removed.is_ok()
    }
}
