//! Groups whose values are on the shelf: what stays of each in memory, and its record.

use super::entry::{Entry, Held};
use super::key::Key;
use crate::batch::{Put, Rev};
use crate::segment::{Bytes, Place};
use crate::shelf::ShelfError;
use muster_cluster::Moment;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::time::Duration;

/// The name of a record: of the store, which no other has, and of the group's place in it.
pub type RecordKey = [u8; 20];

/// A place in 12 bytes, in the order of places: with the stub that makes 52 bytes a group.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
struct Spot([u32; 3]);

impl From<Place> for Spot {
    fn from(place: Place) -> Self {
        Self([place.cache, (place.hash >> 32) as u32, place.hash as u32])
    }
}

impl From<Spot> for Place {
    fn from(Spot([cache, high, low]): Spot) -> Self {
        Self { cache, hash: u64::from(high) << 32 | u64::from(low) }
    }
}

/// What stays of a group in memory. Its name, keys and token are in its record.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Stub {
    pub(super) rev: Rev,
    /// Its whole part of the row's digest.
    pub(super) sum: u64,
    /// When something in it is over, in ms, rounded up; the last number for never.
    due: u64,
    pub(super) bytes: u32,
    pub(super) entries: u32,
}

const NEVER: u64 = u64::MAX;

impl Stub {
    pub(super) fn of(held: &Held, place: Place) -> Self {
        let narrow = |number: usize| u32::try_from(number).unwrap_or(u32::MAX);
        Self {
            rev: held.rev,
            sum: held.sum(place),
            due: held.due.map_or(NEVER, up_to_ms),
            bytes: u32::try_from(held.size()).unwrap_or(u32::MAX),
            entries: narrow(held.entries.len()),
        }
    }
}

fn up_to_ms(moment: Moment) -> u64 {
    u64::try_from(moment.as_nanos().div_ceil(1_000_000)).unwrap_or(NEVER)
}

/// The groups of a row that are on the shelf.
#[derive(Clone, Debug)]
pub(super) struct Cold {
    /// This store's number among all that ever put a record.
    id: u64,
    stubs: BTreeMap<Spot, Stub>,
    /// Nothing is over before.
    due: u64,
}

impl Cold {
    pub(super) fn new(id: u64) -> Self {
        Self { id, stubs: BTreeMap::new(), due: NEVER }
    }

    /// This store's number.
    pub(super) fn id(&self) -> u64 {
        self.id
    }

    pub(super) fn key(&self, place: Place) -> RecordKey {
        let mut key = [0; 20];
        key[..8].copy_from_slice(&self.id.to_be_bytes());
        key[8..12].copy_from_slice(&place.cache.to_be_bytes());
        key[12..].copy_from_slice(&place.hash.to_be_bytes());
        key
    }

    pub(super) fn has(&self, place: Place) -> bool {
        self.stubs.contains_key(&place.into())
    }

    pub(super) fn get(&self, place: Place) -> Option<&Stub> {
        self.stubs.get(&place.into())
    }

    pub(super) fn insert(&mut self, place: Place, stub: Stub) {
        self.due = self.due.min(stub.due);
        self.stubs.insert(place.into(), stub);
    }

    pub(super) fn remove(&mut self, place: Place) -> Option<Stub> {
        self.stubs.remove(&place.into())
    }

    pub(super) fn len(&self) -> usize {
        self.stubs.len()
    }

    pub(super) fn places(&self) -> impl Iterator<Item = Place> + use<'_> {
        self.stubs.keys().map(|spot| (*spot).into())
    }

    /// Those from a place on, in order.
    pub(super) fn from(&self, from: Place) -> impl Iterator<Item = (Place, &Stub)> + use<'_> {
        self.stubs.range(Spot::from(from)..).map(|(spot, stub)| ((*spot).into(), stub))
    }

    /// Whether anything in it will be over at some time.
    pub(super) fn has_deadlines(&self) -> bool {
        self.due != NEVER
    }

    /// Places where something is over: at most so many. All stubs are looked at only when the first of
    /// them may be due.
    pub(super) fn due(&mut self, now: Moment, most: usize) -> Vec<Place> {
        let now = u64::try_from(now.as_millis()).unwrap_or(NEVER);
        if self.due > now {
            return Vec::new();
        }
        let mut due = Vec::new();
        self.due = NEVER;
        for (spot, stub) in &self.stubs {
            if stub.due <= now && due.len() < most {
                due.push((*spot).into());
            } else {
                self.due = self.due.min(stub.due);
            }
        }
        due
    }

    /// What could not be read when it was due is looked at again.
    pub(super) fn due_again(&mut self, place: Place, at: Moment) {
        if let Some(stub) = self.stubs.get_mut(&place.into()) {
            stub.due = up_to_ms(at);
            self.due = self.due.min(stub.due);
        }
    }
}

/// A group on the shelf.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Record {
    /// Its name.
    pub name: Bytes,
    /// Its revision.
    pub rev: Rev,
    /// The highest token it was written with; 0 for none.
    pub token: u128,
    /// When it was put there, by this member's clock.
    pub written: Moment,
    /// Its entries.
    pub entries: Vec<RecordEntry>,
}

/// An entry of a group on the shelf.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct RecordEntry {
    /// Its key.
    pub key: Bytes,
    /// Its revision.
    pub rev: Rev,
    /// As it was put.
    pub put: Put,
    /// When it goes, by the clock of the member that wrote the record.
    pub ends: Option<Moment>,
    /// When it goes if it is not read.
    pub idle_ends: Option<Moment>,
}

/// The version of a record's bytes.
const VERSION: u8 = 1;

impl Record {
    pub(super) fn of(key: &Key, held: &Held, now: Moment) -> Self {
        let entries = (held.entries.iter())
            .map(|(key, entry)| {
                let (ends, idle_ends) = entry.ends();
                RecordEntry { key: key.clone(), rev: entry.rev, put: entry.put(), ends, idle_ends }
            })
            .collect();
        let (name, rev, token) = (key.name.clone(), held.rev, held.token);
        Self { name, rev, token, written: now, entries }
    }

    /// As bytes.
    ///
    /// # Errors
    /// None in practice: memory is the only limit.
    pub fn encode(&self) -> Result<Vec<u8>, ShelfError> {
        postcard::to_extend(self, vec![VERSION]).map_err(|error| ShelfError(error.to_string()))
    }

    /// From bytes.
    ///
    /// # Errors
    /// When they are not a record of this version.
    pub fn decode(bytes: &[u8]) -> Result<Self, ShelfError> {
        let unreadable = |why: String| ShelfError(format!("a record cannot be read: {why}"));
        match bytes.split_first() {
            Some((&VERSION, record)) => {
                postcard::from_bytes(record).map_err(|error| unreadable(error.to_string()))
            }
            Some((version, _)) => Err(unreadable(format!("its version is {version}"))),
            None => Err(unreadable("it is empty".to_owned())),
        }
    }

    /// What is left of the group so long after it was put: its entries, each with what is left of its
    /// time. Empty where that is over for all of it.
    #[must_use]
    pub fn after(&self, age: Duration) -> Vec<(Bytes, Put)> {
        let now = self.written.saturating_add(age);
        let first = |entry: &RecordEntry| entry.ends.into_iter().chain(entry.idle_ends).min();
        let is_over = |entry: &RecordEntry| first(entry).is_some_and(|ends| ends <= now);
        if self.entries.iter().any(|entry| entry.put.ends_group && is_over(entry)) {
            return Vec::new();
        }
        let left = self.entries.iter().filter(|entry| !is_over(entry));
        left.map(|entry| {
            let ttl = entry.ends.map(|ends| ends.saturating_sub(now));
            (entry.key.clone(), Put { ttl, ..entry.put.clone() })
        })
        .collect()
    }

    /// The group as a row holds it.
    pub(super) fn held(&self, place: Place) -> Held {
        let mut held = Held { rev: self.rev, token: self.token, ..Held::default() };
        held.entries.reserve_exact(self.entries.len());
        for RecordEntry { key, rev, put, ends, idle_ends } in &self.entries {
            held.put(key, Entry::timed(place, key, put, *rev, *ends, *idle_ends));
        }
        held.due = held.first_deadline();
        held
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_stays_of_a_group_in_memory_is_52_bytes() {
        assert_eq!((size_of::<Spot>(), size_of::<Stub>()), (12, 40));
    }

    #[test]
    fn spots_are_in_the_order_of_their_places() {
        let mut rng = fastrand::Rng::with_seed(1);
        let mut place = || Place { cache: rng.u32(0..3), hash: rng.u64(..) };
        for _ in 0..1_000 {
            let (one, other) = (place(), place());
            assert_eq!(one.cmp(&other), Spot::from(one).cmp(&other.into()));
            assert_eq!(Place::from(Spot::from(one)), one);
        }
    }

    #[test]
    fn bytes_that_are_no_record_are_refused() {
        assert!(Record::decode(&[]).is_err() && Record::decode(&[2, 0]).is_err());
        assert!(Record::decode(&[VERSION, 9]).is_err());
    }
}
