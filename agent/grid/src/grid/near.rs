//! What a member knows without asking anybody. Nothing here allocates, but for a look at a
//! shelf and groups that are asked for whole.

use super::Grid;
use super::state::Role;
use crate::segment::{Bytes, Group, Place, Space};
use crate::store::{Count, WholeGroup};
use muster_cluster::{Epoch, Moment, RowId};

impl Grid {
    /// One value of this member's own copy: none where it has no whole copy of the group,
    /// `Some(None)` where the copy has no such entry. It may be old, and it does not count as a use
    /// of an entry that goes when it is idle.
    #[must_use]
    pub fn peek(
        &self,
        space: Space,
        name: &[u8],
        key: &[u8],
        now: Moment,
    ) -> Option<Option<Bytes>> {
        let view = self.view.as_ref().filter(|view| view.epoch == self.promised)?;
        let place = Place::of(space, name);
        let row = self.rows.get(usize::from(place.row(space.table, view)))?;
        if !row.is_complete {
            return None;
        }
        let entry = row.store.peek(place, name, key, now);
        if entry.is_none() && row.store.is_cold(place) {
            // What cannot be read here is asked of the primary.
            return row.store.peek_cold(place, name, key, &self.shelves, now).ok();
        }
        Some(entry.map(|entry| entry.value.clone()))
    }

    /// Whether this member takes the reads and writes of a group of this name: its checkout costs
    /// no call then.
    #[must_use]
    pub fn is_primary(&self, space: Space, name: &[u8]) -> bool {
        let Some(view) = &self.view else { return false };
        let row = Place::of(space, name).row(space.table, view);
        let state = self.rows.get(usize::from(row));
        state.is_some_and(|state| matches!(state.role, Role::Primary(_)))
    }

    /// How many groups this member's copy of a row has, but for the row's own note of its life; none
    /// where it has no such row.
    #[must_use]
    pub fn groups(&self, row: RowId) -> Option<usize> {
        let store = self.store(row)?;
        let lives = self.shelves.stamps.lives();
        let has_life = self.view.as_ref().is_some_and(|view| lives.of(store, row, view).is_some());
        Some(store.len() - usize::from(has_life))
    }

    /// Since which epoch this member has led a row without a break; none where it does not.
    #[must_use]
    pub fn reign(&self, row: RowId) -> Option<Epoch> {
        match &self.rows.get(usize::from(row))?.role {
            Role::Primary(primary) => Some(primary.reign),
            Role::Copy(_) | Role::Nobody => None,
        }
    }

    /// The row of a group, by the view.
    #[must_use]
    pub fn row_of(&self, space: Space, name: &[u8]) -> Option<RowId> {
        self.view.as_ref().map(|view| Place::of(space, name).row(space.table, view))
    }

    /// Some groups of a cache in a row that this member leads since this epoch, whole, after a
    /// place: with what is left of their entries' times. The page ends with the group that brings it
    /// over [`crate::Limits::chunk`]; after the place that comes with it there is more. None where it
    /// does not lead the row, or a group cannot be read.
    #[must_use]
    pub fn page_led(
        &self,
        space: Space,
        row: RowId,
        reign: Epoch,
        after: Option<Place>,
        now: Moment,
    ) -> Option<(Vec<WholeGroup>, Option<Place>)> {
        if self.reign(row) != Some(reign) {
            return None;
        }
        let store = &self.rows.get(usize::from(row))?.store;
        let (mut groups, mut size) = (Vec::new(), 0);
        for whole in store.whole_in(space, after, &self.shelves, now) {
            let whole = whole.ok()?;
            let last = groups.last().map(|group: &WholeGroup| group.group.place());
            if size >= self.limits.chunk && last != Some(whole.group.place()) {
                return Some((groups, last));
            }
            size += whole
                .entries
                .iter()
                .map(|(key, _, put)| key.len() + put.value.len())
                .sum::<usize>();
            groups.push(whole);
        }
        Some((groups, None))
    }

    /// One group whole, where this member leads its row.
    #[must_use]
    pub fn whole_led(&self, group: &Group, now: Moment) -> Option<WholeGroup> {
        let row = self.row_of(group.space, &group.name)?;
        self.reign(row)?;
        self.rows.get(usize::from(row))?.store.whole(group, now)
    }

    /// What this member holds of a cache: in all its copies, and in those whose primary it is. A
    /// walk over the rows, not over the entries.
    #[must_use]
    pub fn count(&self, space: Space) -> (Count, Count) {
        let rows = self.view.as_ref().map_or(0..0, |view| view.rows_of(space.table));
        let (mut all, mut led) = (Count::default(), Count::default());
        for row in rows {
            let Some(state) = self.rows.get(usize::from(row)) else { continue };
            let count = state.store.count(space.cache);
            all = all.plus(count);
            if matches!(state.role, Role::Primary(_)) {
                led = led.plus(count);
            }
        }
        (all, led)
    }
}
