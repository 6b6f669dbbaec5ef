//! The lives of rows: a row that begins empty begins another life, and every owner puts the same
//! entry into it, which says with which view that was. It goes where the row goes, so whoever comes
//! back with records of a row knows whether the row has lived on without them.

use crate::batch::{Entries, Put, Rev};
use crate::segment::{Bytes, Group, Place, Space};
use crate::shelf::ShelfError;
use crate::store::{Effect, RecordKey, Store};
use muster_cluster::{Epoch, MemberId, NodeId, RowId, View};
use serde::{Deserialize, Serialize};
use smallvec::smallvec;

/// The cache of the cluster's own entries.
const CACHE: u32 = 0;
/// The one key of the group.
const KEY: &[u8] = b"life";
/// Names begin with it: no text does, so that no lease has such a name.
const MARK: u8 = 0xff;
/// The highest bit of a store's number: a stamp, and no group's record.
const STAMP: u64 = 1 << 63;

/// Where each row of a table keeps its life.
#[derive(Clone, Debug, Default)]
pub struct Lives {
    /// The group's name, by the segment.
    names: Vec<Bytes>,
}

/// Of which life of a row some records are, and how far they follow it.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Stamp {
    /// The row.
    pub row: RowId,
    /// With which view it began empty; none where that is not known.
    pub born: Option<Epoch>,
    /// The counter of the last view in which this member had all of it; 0: it never had.
    pub last: u64,
    /// Who else kept it then.
    pub others: Vec<NodeId>,
}

/// What is to be done with records that a process has found.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Fate {
    /// Nobody has what they say: they are given.
    Given,
    /// The row has lived on without them, or another's records follow it further.
    Stale,
    /// Another has given those of the row already: what has gone since must not come back.
    Late,
}

// === impl Lives ===

impl Lives {
    /// For tables of so many segments.
    #[must_use]
    pub fn new(segments: u16) -> Self {
        let segments = usize::from(segments.max(1));
        let mut names = vec![None; segments];
        let mut left = segments;
        for number in 0_u32.. {
            let mut name = [MARK, 0, 0, 0, 0];
            name[1..].copy_from_slice(&number.to_le_bytes());
            let hash = Place::of(Space { table: 0, cache: CACHE }, &name).hash;
            let place = &mut names[(hash % segments as u64) as usize];
            if place.is_none() {
                *place = Some(Bytes::from(&name[..]));
                left -= 1;
            }
            if left == 0 {
                break;
            }
        }
        Self { names: names.into_iter().flatten().collect() }
    }

    pub(crate) fn are_for(&self, segments: u16) -> bool {
        self.names.len() == usize::from(segments.max(1))
    }

    /// The group of a row's life.
    #[must_use]
    pub fn group(&self, table: u8, row: RowId) -> Option<Group> {
        let segment = usize::from(row) % self.names.len().max(1);
        let space = Space { table, cache: CACHE };
        Some(Group::named(space, self.names.get(segment)?.clone()))
    }

    /// A row begins empty, with a view.
    pub(crate) fn begin(&self, store: &mut Store, row: RowId, view: &View) {
        let Some(group) = self.group(view.table_of(row), row) else { return };
        let rev = Rev { epoch: view.epoch.counter, seq: 0 };
        let puts = smallvec![(KEY.into(), Some(put(view.epoch)))];
        let effect = Effect { group, rev, token: 0, is_expiry: false, puts };
        store.apply(&effect, muster_cluster::Moment::ZERO);
    }

    /// With which view the row began that a store is of.
    pub(crate) fn of(&self, store: &Store, row: RowId, view: &View) -> Option<Epoch> {
        let group = self.group(view.table_of(row), row)?;
        store.entry(&group, KEY).and_then(|entry| read(&entry.value))
    }
}

/// Whether a group is a row's life, which is nobody's data.
#[must_use]
pub fn is_life(group: &Group) -> bool {
    group.space.cache == CACHE && group.name.first() == Some(&MARK)
}

/// With which view a row began: what a read of its life's group gave.
#[must_use]
pub fn born(entries: &Entries) -> Option<Epoch> {
    entries.entries.get(KEY).and_then(|(value, _)| read(value))
}

fn put(epoch: Epoch) -> Put {
    let mut bytes = Vec::with_capacity(40);
    bytes.extend(epoch.counter.to_le_bytes());
    bytes.extend(epoch.join.to_le_bytes());
    bytes.extend(epoch.by.node.0.to_le_bytes());
    bytes.extend(epoch.by.incarnation.to_le_bytes());
    Put::new(&bytes)
}

fn read(value: &[u8]) -> Option<Epoch> {
    let (counter, value) = value.split_first_chunk::<8>()?;
    let (join, value) = value.split_first_chunk::<8>()?;
    let (node, value) = value.split_first_chunk::<16>()?;
    let by = MemberId {
        node: NodeId(u128::from_le_bytes(*node)),
        incarnation: u64::from_le_bytes(value.try_into().ok()?),
    };
    let (counter, join) = (u64::from_le_bytes(*counter), u64::from_le_bytes(*join));
    Some(Epoch { counter, join, by })
}

// === impl Stamp ===

/// The version of a stamp's bytes.
const VERSION: u8 = 1;
/// Among those who kept a row: its records lack some of it. No node is called so.
const LACKS: NodeId = NodeId(0);

impl Stamp {
    /// The same of records that lack some of what its member had, as the shelf has not taken it, or not.
    #[must_use]
    pub fn lacking(mut self, lacks: bool) -> Self {
        self.others.retain(|node| *node != LACKS);
        self.others.extend(lacks.then_some(LACKS));
        self
    }

    /// Whether its records lack some of what its member had: then others' count beside them.
    #[must_use]
    pub fn lacks(&self) -> bool {
        self.others.contains(&LACKS)
    }

    /// Who else kept the row.
    pub fn kept_by(&self) -> impl Iterator<Item = NodeId> {
        self.others.iter().copied().filter(|node| *node != LACKS)
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
    /// When they are no stamp of this version.
    pub fn decode(bytes: &[u8]) -> Result<Self, ShelfError> {
        let unreadable = |why: String| ShelfError(format!("a stamp cannot be read: {why}"));
        match bytes.split_first() {
            Some((&VERSION, stamp)) => {
                postcard::from_bytes(stamp).map_err(|error| unreadable(error.to_string()))
            }
            _ => Err(unreadable("it is of another version".to_owned())),
        }
    }

    /// What is to be done with the records that it is the stamp of: the row's life now, the stamps of
    /// other members, and whether each has given its records.
    #[must_use]
    pub fn fate(&self, now: Option<Epoch>, others: &[(Self, bool)]) -> Fate {
        if self.last == 0 || self.born == now {
            return Fate::Stale;
        }
        let is_same = |o: &Self| (o.row, o.born) == (self.row, self.born) && !o.lacks();
        let same = || others.iter().filter(|(other, _)| is_same(other));
        if same().any(|(other, _)| other.last > self.last) {
            return Fate::Stale;
        }
        let is_late = same().any(|(other, has_given)| *has_given && other.last == self.last);
        if is_late { Fate::Late } else { Fate::Given }
    }
}

/// The name of a stamp on the shelf: of a store's records of one cache.
pub(crate) fn stamp_key(store: u64, cache: u32) -> RecordKey {
    let mut key = [0; 20];
    key[..8].copy_from_slice(&(store | STAMP).to_be_bytes());
    key[8..12].copy_from_slice(&cache.to_be_bytes());
    key
}

/// What a name on a shelf names: the store's number, the cache, and whether it is a stamp. None for a
/// name that no member gave.
#[must_use]
pub fn named(key: &[u8]) -> Option<(u64, u32, bool)> {
    let key: &RecordKey = key.try_into().ok()?;
    let store = u64::from_be_bytes(*key.first_chunk()?);
    let cache = u32::from_be_bytes(*key[8..].first_chunk()?);
    Some((store & !STAMP, cache, store & STAMP != 0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn epoch(counter: u64, node: u128) -> Epoch {
        let by = MemberId { node: NodeId(node), incarnation: 3 };
        Epoch { counter, join: 2, by }
    }

    fn stamp(born: u64, last: u64) -> Stamp {
        Stamp { row: 7, born: Some(epoch(born, 1)), last, others: vec![NodeId(9)] }
    }

    #[test]
    fn each_row_of_each_table_has_a_place_for_its_life() {
        for segments in [1, 3, 256, 4096] {
            let lives = Lives::new(segments);
            for row in 0..segments {
                let group = lives.group(0, row).unwrap();
                assert_eq!(group.place().hash % u64::from(segments), u64::from(row));
                assert!(is_life(&group));
            }
        }
    }

    #[test]
    fn a_row_that_lived_on_makes_what_was_kept_of_it_stale() {
        let kept = stamp(1, 5);
        assert_eq!(kept.fate(Some(epoch(1, 1)), &[]), Fate::Stale);
        // It has begun empty since, with a view of a later or of another cluster.
        assert_eq!(kept.fate(Some(epoch(9, 1)), &[]), Fate::Given);
        assert_eq!(kept.fate(Some(epoch(1, 2)), &[]), Fate::Given);
        assert_eq!(kept.fate(None, &[]), Fate::Given);
        assert_eq!(stamp(1, 0).fate(Some(epoch(9, 1)), &[]), Fate::Stale);
    }

    #[test]
    fn of_two_that_kept_one_life_the_one_that_followed_it_further_counts() {
        let now = Some(epoch(20, 1));
        assert_eq!(stamp(1, 5).fate(now, &[(stamp(1, 9), false)]), Fate::Stale);
        assert_eq!(stamp(1, 9).fate(now, &[(stamp(1, 5), true)]), Fate::Given);
        assert_eq!(stamp(1, 9).fate(now, &[(stamp(1, 9), false)]), Fate::Given);
        assert_eq!(stamp(1, 9).fate(now, &[(stamp(1, 9), true)]), Fate::Late);
        // Another life of the row, and another row, say nothing of this one.
        let other_row = Stamp { row: 8, ..stamp(1, 9) };
        assert_eq!(stamp(1, 5).fate(now, &[(stamp(6, 9), true), (other_row, true)]), Fate::Given);
    }

    #[test]
    fn records_that_lack_some_make_no_others_stale_or_late() {
        let now = Some(epoch(20, 1));
        let lacking = stamp(1, 9).lacking(true);
        assert_eq!(stamp(1, 5).fate(now, &[(lacking.clone(), true)]), Fate::Given);
        assert_eq!(stamp(1, 9).fate(now, &[(lacking.clone(), true)]), Fate::Given);
        // They count as they are themselves.
        assert_eq!(lacking.fate(now, &[(stamp(1, 10), false)]), Fate::Stale);
        assert_eq!(lacking.fate(now, &[(stamp(1, 5), true)]), Fate::Given);
        assert_eq!(lacking.kept_by().collect::<Vec<_>>(), [NodeId(9)]);
        assert_eq!(lacking.lacking(false), stamp(1, 9));
    }

    proptest! {
        #[test]
        fn of_those_who_kept_a_life_somebody_gives_it(lasts in prop::collection::vec(1u64..5, 1..6)) {
            let now = Some(epoch(20, 1));
            let others: Vec<_> = lasts.iter().map(|last| (stamp(1, *last), false)).collect();
            prop_assert!(others.iter().any(|(one, _)| one.fate(now, &others) == Fate::Given));
        }

        #[test]
        fn any_bytes_are_a_stamp_or_an_error(bytes: Vec<u8>) {
            let _ = Stamp::decode(&bytes);
            let _ = read(&bytes);
            let _ = named(&bytes);
        }

        #[test]
        fn a_stamp_is_read_as_it_was_written(counter: u64, node: u128, last: u64) {
            let stamp = Stamp { born: Some(epoch(counter, node)), last, ..stamp(1, 1) };
            prop_assert_eq!(Stamp::decode(&stamp.encode().unwrap()).unwrap(), stamp);
            let put = put(epoch(counter, node));
            prop_assert_eq!(read(&put.value), Some(epoch(counter, node)));
        }
    }

    #[test]
    fn a_stamp_s_name_is_told_from_a_record_s() {
        assert_eq!(named(&stamp_key(4, 9)), Some((4, 9, true)));
        let mut record = stamp_key(4, 9);
        record[0] = 0;
        assert_eq!(named(&record), Some((4, 9, false)));
        assert_eq!(named(b"else"), None);
    }
}
