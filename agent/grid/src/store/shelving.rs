//! Groups go to the shelf and come back. Digest and counts are the same before and after.

use super::cold::{Cold, Record, RecordKey, Stub};
use super::entry::Held;
use super::key::{Key, Named};
use super::{Store, WholeGroup};
use crate::segment::{Bytes, Group, Place};
use crate::shelf::{Shelf, ShelfError};
use crate::shelves::Shelves;
use muster_cluster::Moment;

impl Store {
    /// Groups of a cache whose values are in memory.
    #[must_use]
    pub fn in_memory(&self, cache: u32) -> u64 {
        let count = self.count(cache);
        count.groups - count.on_shelf
    }

    /// Whether a group of this place is on the shelf.
    #[must_use]
    pub fn is_cold(&self, place: Place) -> bool {
        self.cold.as_ref().is_some_and(|cold| cold.has(place))
    }

    pub(crate) fn has(&self, group: &Group) -> bool {
        self.groups.contains_key(group as &dyn Named)
    }

    /// The groups of a cache that are in memory.
    pub(crate) fn keys(&self, cache: u32) -> impl Iterator<Item = &Key> + use<'_> {
        self.groups.keys().filter(move |key| key.place.cache == cache)
    }

    /// The places of what is on the shelf.
    pub(crate) fn cold_places(&self) -> impl Iterator<Item = Place> + use<'_> {
        self.cold.iter().flat_map(|cold| cold.places())
    }

    /// The record of a place, if this store ever put one.
    pub(crate) fn record_key(&self, place: Place) -> Option<RecordKey> {
        self.cold.as_ref().map(|cold| cold.key(place))
    }

    /// The number of this store among all that put records, which it gets now if it has none.
    pub(crate) fn number(&mut self, last: &mut u64) -> u64 {
        self.cold(last).id()
    }

    /// The number of this store, if it ever put a record.
    pub(crate) fn numbered(&self) -> Option<u64> {
        self.cold.as_ref().map(|cold| cold.id())
    }

    /// A group in memory is used. When it was the last time; none when it is not in memory.
    pub(crate) fn used(&mut self, group: &Group, tick: u32) -> Option<u32> {
        let held = self.groups.get_mut(group as &dyn Named)?;
        Some(std::mem::replace(&mut held.used, tick))
    }

    /// When a group in memory was used last.
    pub(crate) fn used_at(&self, key: &Key) -> Option<u32> {
        self.groups.get(key as &dyn Named).map(|held| held.used)
    }

    fn cold(&mut self, id: &mut u64) -> &mut Cold {
        self.cold.get_or_insert_with(|| {
            *id += 1;
            Box::new(Cold::new(*id))
        })
    }

    /// Puts what a group is on the shelf, and keeps it in memory. On an error its record may be an
    /// earlier one.
    pub(crate) fn write_through(
        &mut self,
        group: &Group,
        shelf: &dyn Shelf,
        id: &mut u64,
        now: Moment,
    ) -> Result<(), ShelfError> {
        let record = self.cold(id).key(group.place());
        let Some(held) = self.groups.get_mut(group as &dyn Named) else { return Ok(()) };
        shelf.put(&record, &Record::of(&Key::of(group), held, now).encode()?)?;
        held.is_shelved = true;
        Ok(())
    }

    /// Moves a group's values to the shelf. False where it stays: it is not in memory, too large for
    /// a stub, or another group has its place. On an error it stays as well.
    pub(crate) fn passivate(
        &mut self,
        key: &Key,
        shelf: &dyn Shelf,
        id: &mut u64,
        now: Moment,
    ) -> Result<bool, ShelfError> {
        if self.is_cold(key.place) {
            return Ok(false);
        }
        let record = self.cold(id).key(key.place);
        let Some(held) = self.groups.get(key as &dyn Named) else { return Ok(false) };
        if held.size() >= u32::MAX.into() {
            return Ok(false);
        }
        if !held.is_shelved {
            shelf.put(&record, &Record::of(key, held, now).encode()?)?;
        }
        let (stub, due) = (Stub::of(held, key.place), held.due);
        self.groups.remove(key as &dyn Named);
        self.move_deadline(key.clone(), due, None);
        self.cold(id).insert(key.place, stub);
        self.counts.of_mut(key.place.cache).on_shelf += 1;
        Ok(true)
    }

    /// The group that is on the shelf, for a look.
    pub(super) fn look(
        &self,
        place: Place,
        stub: &Stub,
        shelves: &Shelves,
    ) -> Result<(Key, Held), ShelfError> {
        let shelf = shelves.shelf(place.cache).ok_or_else(|| ShelfError("no shelf".to_owned()))?;
        self.fetch(place, stub, shelf)
    }

    /// What is read is what was put: its sum says so.
    fn fetch(
        &self,
        place: Place,
        stub: &Stub,
        shelf: &dyn Shelf,
    ) -> Result<(Key, Held), ShelfError> {
        let Some(cold) = &self.cold else { return Err(ShelfError("nothing was put".to_owned())) };
        let bytes = shelf.get(&cold.key(place))?;
        let bytes = bytes.ok_or_else(|| ShelfError("a record is missing".to_owned()))?;
        let record = Record::decode(&bytes)?;
        let held = record.held(place);
        if held.sum(place) != stub.sum {
            return Err(ShelfError("a record is not what was put".to_owned()));
        }
        Ok((Key { place, name: record.name }, held))
    }

    /// One value that is on the shelf, by borrowed names; none where no group of that name is there.
    pub(crate) fn peek_cold(
        &self,
        place: Place,
        name: &[u8],
        key: &[u8],
        shelves: &Shelves,
        now: Moment,
    ) -> Result<Option<Bytes>, ShelfError> {
        let Some(stub) = self.cold.as_ref().and_then(|cold| cold.get(place)) else {
            return Ok(None);
        };
        let (of, held) = self.look(place, stub, shelves)?;
        let entry = held.get_at(key, now).filter(|_| *of.name == *name);
        Ok(entry.map(|entry| entry.value.clone()))
    }

    /// Brings the group of a place back into memory; its name. On an error it stays where it is.
    pub(crate) fn activate(
        &mut self,
        place: Place,
        shelf: &dyn Shelf,
        is_kept: bool,
    ) -> Result<Option<Bytes>, ShelfError> {
        let Some(stub) = self.cold.as_ref().and_then(|cold| cold.get(place)).copied() else {
            return Ok(None);
        };
        let (key, mut held) = self.fetch(place, &stub, shelf)?;
        if let Some(cold) = &mut self.cold {
            cold.remove(place);
        }
        self.counts.of_mut(place.cache).on_shelf -= 1;
        held.is_shelved = is_kept;
        self.move_deadline(key.clone(), None, held.due);
        let name = key.name.clone();
        self.groups.insert(key, held);
        Ok(Some(name))
    }

    /// Takes a group that the shelf does not give from another member. False where it is not what was
    /// put there, or nothing was.
    pub(crate) fn regain(&mut self, whole: &WholeGroup, now: Moment) -> bool {
        let place = whole.group.place();
        let Some(stub) = self.cold.as_ref().and_then(|cold| cold.get(place)) else { return false };
        if Held::of(whole, now).sum(place) != stub.sum {
            return false;
        }
        self.drop_cold(place);
        self.insert(whole, now);
        true
    }

    /// Places on the shelf where something is over.
    pub(crate) fn cold_due(&mut self, now: Moment, most: usize) -> Vec<Place> {
        self.cold.as_mut().map(|cold| cold.due(now, most)).unwrap_or_default()
    }

    /// What could not be read when it was due is looked at again.
    pub(crate) fn due_again(&mut self, place: Place, at: Moment) {
        if let Some(cold) = &mut self.cold {
            cold.due_again(place, at);
        }
    }

    /// Forgets a group that is on the shelf.
    pub(super) fn drop_cold(&mut self, place: Place) {
        let stub = self.cold.as_mut().and_then(|cold| cold.remove(place));
        let Some(stub) = stub else { return };
        self.digest = self.digest.wrapping_sub(stub.sum);
        let count = self.counts.of_mut(place.cache);
        count.groups -= 1;
        count.on_shelf -= 1;
        count.entries -= u64::from(stub.entries);
        count.bytes -= u64::from(stub.bytes);
    }
}
