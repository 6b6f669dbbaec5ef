//! A journal: a cache whose every change is on the shelf of every owner before it counts. What the shelf
//! does not take is noted, told to whoever waits for it, and tried again.

use super::{REST, Shelves};
use crate::segment::{Bytes, Group, Place, Space};
use crate::store::Store;
use muster_cluster::{Moment, RowId};
use std::collections::BTreeMap;

/// Groups that are tried again in one go.
const MOST_AGAIN: usize = 64;

/// What is noted of a cache's shelf.
#[derive(Debug, Default)]
pub(super) struct Journal {
    /// Whether the cache has a journal.
    pub(super) is_one: bool,
    /// Groups of which the shelf does not have what is in memory.
    lacking: BTreeMap<(RowId, Place), Bytes>,
    again_at: Moment,
}

impl Journal {
    /// A group was put, or its record was removed with it. Whether a journal has missed that.
    pub(super) fn note(&mut self, row: RowId, group: &Group, is_kept: bool) -> bool {
        let at = (row, group.place());
        if is_kept {
            if !self.lacking.is_empty() {
                self.lacking.remove(&at);
            }
        } else if self.is_one {
            self.lacking.insert(at, group.name.clone());
        }
        self.is_one && !is_kept
    }

    /// Whether something of a row is not on the shelf.
    pub(super) fn lacks_some(&self, row: RowId) -> bool {
        let first = Place { cache: 0, hash: 0 };
        let mut rest = self.lacking.range((row, first)..);
        rest.next().is_some_and(|((of, _), _)| *of == row)
    }

    /// A group is not on the shelf yet.
    pub(super) fn lacks(&mut self, row: RowId, place: Place, name: Bytes) {
        self.lacking.insert((row, place), name);
    }
}

impl Shelves {
    /// Makes a bounded cache's shelf its journal.
    pub(crate) fn journal(&mut self, space: Space) {
        if let Some(bounded) = self.all.iter_mut().find(|b| b.space.cache == space.cache) {
            bounded.journal.is_one = true;
        }
    }

    /// Whether a cache has a journal.
    pub(crate) fn has_journal(&self, cache: u32) -> bool {
        self.all.iter().any(|bounded| bounded.space.cache == cache && bounded.journal.is_one)
    }

    /// Whether a journal has missed something since this was asked last.
    pub(crate) fn have_missed(&mut self) -> bool {
        std::mem::take(&mut self.missed)
    }

    /// Groups of a cache that are not on its shelf as they are.
    pub(crate) fn lacking(&self, cache: u32) -> u64 {
        let bounded = self.all.iter().find(|bounded| bounded.space.cache == cache);
        bounded.map_or(0, |bounded| bounded.journal.lacking.len() as u64)
    }

    /// Groups that are to be put again, with their rows: some at a time, and after a failure not at once.
    pub(crate) fn again(&self, now: Moment) -> Vec<(RowId, Group)> {
        let mut again = Vec::new();
        for bounded in &self.all {
            let (journal, table) = (&bounded.journal, bounded.space.table);
            if now < journal.again_at {
                continue;
            }
            let some = journal.lacking.iter().take(MOST_AGAIN);
            again.extend(
                some.map(|((row, place), name)| (*row, Group::at(table, *place, name.clone()))),
            );
        }
        again
    }

    /// Puts one again. What is not kept there any more is not missed.
    pub(crate) fn put_again(&mut self, row: RowId, store: &mut Store, group: &Group, now: Moment) {
        let Some(mut with) = self.with(group.space.cache) else { return };
        let before = with.bounded.stats.errors;
        if store.is_cold(group.place()) {
            // It went there meanwhile, as it is.
            with.bounded.journal.note(row, group, true);
        } else {
            with.write_through(row, store, group, now);
        }
        if !with.bounded.journal.is_one {
            with.bounded.journal.lacking.remove(&(row, group.place()));
        }
        if with.bounded.stats.errors > before {
            with.bounded.journal.again_at = now + REST;
        }
    }
}
