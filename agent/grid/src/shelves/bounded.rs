//! One bounded cache: which group was used when, and how one goes to the shelf.

use super::{Bounded, MOST_USES, REST, Shelving, Use};
use crate::life;
use crate::segment::{Bytes, Group};
use crate::shelf::{ShelfError, Shelved};
use crate::store::{Key, Store};
use muster_cluster::{Moment, RowId};
use std::collections::VecDeque;

impl Bounded {
    /// A group is used.
    pub(super) fn note(&mut self, row: RowId, store: &mut Store, group: &Group) {
        let tick = self.tick.wrapping_add(1);
        let Some(before) = store.used(group, tick) else { return };
        self.tick = tick;
        match self.uses.back_mut() {
            // It was the last that was used.
            Some(last) if last.tick == before && before == tick.wrapping_sub(1) => {
                last.tick = tick;
            }
            _ => self.uses.push_back(Use { tick, row, key: Key::of(group) }),
        }
    }

    pub(super) fn failed(
        &mut self,
        group: Option<&Bytes>,
        error: &ShelfError,
        told: &mut Vec<Shelved>,
        now: Moment,
    ) {
        self.stats.errors += 1;
        if now >= self.quiet_until {
            self.quiet_until = now + REST;
            let (space, group, error) = (self.space, group.cloned(), error.clone());
            told.push(Shelved::Failed { space, group, error });
        }
    }

    /// Whether a group must go to the shelf, and may.
    pub(crate) fn is_full(&self, now: Moment) -> bool {
        self.in_memory > self.memory.most_groups as u64 && now >= self.rests_until
    }

    pub(crate) fn uses(&mut self) -> &mut VecDeque<Use> {
        &mut self.uses
    }

    /// Whether more uses are remembered than needed.
    pub(crate) fn has_old_uses(&self) -> bool {
        self.uses.len() as u64 > 2 * self.in_memory + MOST_USES as u64
    }

    /// Says of which life of its row a store's records are, where the shelf keeps them and that is not
    /// said yet; and whether it lacks some of the row.
    pub(super) fn stamp(
        &mut self,
        row: RowId,
        store: &mut Store,
        shelving: &mut Shelving<'_>,
    ) -> Result<(), ShelfError> {
        if !self.memory.shelf.keeps() {
            return Ok(());
        }
        let number = store.number(shelving.stores);
        let before = self.stamped.get(&number).copied();
        let last = shelving.stamps.last(row, before.map(|(last, _)| last));
        let said = (last, self.journal.lacks_some(row));
        if before == Some(said) {
            return Ok(());
        }
        let stamp = shelving.stamps.of(row, store, last).lacking(said.1).encode()?;
        self.memory.shelf.mark(&life::stamp_key(number, self.space.cache), &stamp)?;
        self.stamped.insert(number, said);
        Ok(())
    }

    /// Moves a group to the shelf. False when the shelf failed: then it stays, and for a while nothing
    /// else is tried.
    pub(crate) fn passivate(
        &mut self,
        row: RowId,
        store: &mut Store,
        key: &Key,
        shelving: &mut Shelving<'_>,
        now: Moment,
    ) -> bool {
        let shelf = self.memory.shelf.clone();
        let stamped = self.stamp(row, store, shelving);
        match stamped.and_then(|()| store.passivate(key, &*shelf, shelving.stores, now)) {
            Ok(true) => {
                self.in_memory -= 1;
                self.stats.passivations += 1;
                if self.is_watched {
                    let group = Group::at(self.space.table, key.place, key.name.clone());
                    shelving.told.push(Shelved::Passivated(group));
                }
                true
            }
            Ok(false) => true,
            Err(error) => {
                self.rests_until = now + REST;
                self.failed(Some(&key.name), &error, shelving.told, now);
                false
            }
        }
    }
}
