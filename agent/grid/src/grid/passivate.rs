//! What a member does not keep in memory: the groups that were used longest ago go to the shelf when
//! others need their room, never because they are idle.

use super::state::Role;
use super::{Grid, Out, RowState};
use crate::segment::{Group, Space};
use crate::shelf::{Memory, Shelf, ShelfError, ShelfStats};
use crate::shelves::Use;
use crate::store::Key;
use muster_cluster::{Moment, RowId};
use std::sync::Arc;

impl Grid {
    /// Bounds how many groups of a cache are in memory here. What is more goes to the shelf: the
    /// groups that were used longest ago and are not checked out. Whatever is asked of a group brings
    /// it back. Each member says this for itself. Once for each cache.
    pub fn set_memory(&mut self, space: Space, memory: Memory, now: Moment) {
        self.shelves.bound(space, memory);
        let Self { rows, shelves, .. } = self;
        for (row, state) in (0..).zip(rows) {
            let keys: Vec<Key> = state.store.keys(space.cache).cloned().collect();
            keys.iter().for_each(|key| shelves.count_in(row, &mut state.store, key));
            shelves.stamp(row, &mut state.store, now);
        }
        self.make_room(now);
    }

    /// Gives a cache a journal: all of it stays in memory, and each change is on the shelf of every
    /// owner before it counts. Where one shelf does not take it the answer is [`Reply::Unkept`]; what
    /// the shelf had stays there, and the group is put again until it is taken. Each member says this
    /// for itself. Once for each cache.
    ///
    /// [`Reply::Unkept`]: crate::Reply::Unkept
    pub fn set_journal(&mut self, space: Space, shelf: Arc<dyn Shelf>, now: Moment) {
        let memory = Memory { most_groups: usize::MAX, shelf, write_through: true };
        self.set_memory(space, memory, now);
        self.shelves.journal(space);
    }

    /// Groups of a cache of which the shelf does not have what is in memory; 0 for a cache without one.
    #[must_use]
    pub fn lacking(&self, space: Space) -> u64 {
        self.shelves.lacking(space.cache)
    }

    /// What shelves that are written through have not taken yet, or not in time, is put again.
    pub(super) fn put_again(&mut self, now: Moment) {
        if self.shelves.is_empty() {
            return;
        }
        for (row, group) in self.shelves.again(now) {
            let Self { rows, shelves, .. } = self;
            if let Some(state) = rows.get_mut(usize::from(row)) {
                shelves.put_again(row, &mut state.store, &group, now);
            }
        }
        let _ = self.shelves.have_missed();
        self.tell_shelved();
    }

    /// Whether it is told ([`Out::Shelved`]) which copies of a bounded cache go to the shelf and come
    /// back. That the shelf failed is always told.
    pub fn watch_memory(&mut self, space: Space, is_watched: bool) {
        self.shelves.watch(space, is_watched);
    }

    /// What is in memory and on the shelf of a bounded cache, and what has happened; none for others.
    #[must_use]
    pub fn shelf_stats(&self, space: Space) -> Option<ShelfStats> {
        let stats = self.shelves.stats(space.cache)?;
        Some(ShelfStats { on_shelf: self.count(space).0.on_shelf, ..stats })
    }

    /// Moves everything of the bounded caches to their shelves, for a member that ends: what a shelf
    /// keeps is then found there. What is brought back after that, or written, stays there as well.
    pub fn shelve_all(&mut self, now: Moment) {
        let Self { rows, shelves, .. } = self;
        shelves.keep_all();
        let (all, mut shelving) = shelves.each();
        for bounded in all {
            for Use { row, key, .. } in std::mem::take(bounded.uses()) {
                let Some(state) = rows.get_mut(usize::from(row)) else { continue };
                if !bounded.passivate(row, &mut state.store, &key, &mut shelving, now) {
                    break;
                }
            }
        }
        self.tell_shelved();
    }

    /// A row's records follow it to the view in force.
    pub(super) fn stamp(&mut self, row: RowId, now: Moment) {
        let Self { rows, shelves, .. } = self;
        if let Some(state) = rows.get_mut(usize::from(row)).filter(|_| !shelves.is_empty()) {
            shelves.stamp(row, &mut state.store, now);
        }
    }

    /// The group is in memory, and used.
    pub(super) fn warm(
        &mut self,
        row: RowId,
        group: &Group,
        now: Moment,
    ) -> Result<(), ShelfError> {
        if self.shelves.is_empty() {
            return Ok(());
        }
        let Self { rows, shelves, .. } = self;
        let Some(state) = rows.get_mut(usize::from(row)) else { return Ok(()) };
        shelves.warm(row, &mut state.store, group, now)
    }

    /// Moves what is too much to the shelf. After every event.
    pub fn make_room(&mut self, now: Moment) {
        if self.shelves.is_empty() {
            return;
        }
        let Self { rows, shelves, .. } = self;
        let (all, mut shelving) = shelves.each();
        for bounded in all {
            let mut left = bounded.uses().len();
            while bounded.is_full(now) && left > 0 {
                left -= 1;
                let Some(used) = bounded.uses().pop_front() else { break };
                let Some(state) = rows.get_mut(usize::from(used.row)) else { continue };
                if state.store.used_at(&used.key) != Some(used.tick) {
                    continue;
                }
                if is_checked_out(state, &used.key, now) {
                    bounded.uses().push_back(used);
                } else if !bounded.passivate(
                    used.row,
                    &mut state.store,
                    &used.key,
                    &mut shelving,
                    now,
                ) {
                    bounded.uses().push_front(used);
                }
            }
            if bounded.has_old_uses() {
                bounded.uses().retain(|used| {
                    let state = rows.get(usize::from(used.row));
                    state.and_then(|state| state.store.used_at(&used.key)) == Some(used.tick)
                });
            }
        }
        self.tell_shelved();
    }

    pub(super) fn tell_shelved(&mut self) {
        self.out.extend(self.shelves.told().into_iter().map(Out::Shelved));
    }
}

fn is_checked_out(state: &mut RowState, key: &Key, now: Moment) -> bool {
    match &mut state.role {
        Role::Primary(primary) => primary.locks.of(key.place, now).is_some(),
        Role::Copy(_) | Role::Nobody => false,
    }
}

#[cfg(test)]
mod journals;
#[cfg(test)]
mod tests;
