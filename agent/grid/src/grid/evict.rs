//! A member that is alone drops entries of a cache which nobody shares with it, without a word:
//! nothing has happened to them, but what they are a copy of has changed elsewhere.

use super::Grid;
use crate::segment::{Bytes, Group, Place, Space};
use crate::store::{Effect, Puts};
use muster_cluster::{Moment, RowId};

impl Grid {
    /// Drops entries of a group. Whoever has it checked out keeps the checkout.
    pub fn evict(&mut self, group: &Group, keys: &[Bytes], now: Moment) {
        let Some(view) = &self.view else { return };
        let (row, place) = (group.row(view), group.place());
        if self.warm(row, group, now).is_err() {
            // Nobody can say what is in it: all of it goes.
            return self.drop_between(row, (before(place), Some(place)), now);
        }
        let Some((_, store)) = self.primary_of(row) else { return };
        let present = keys.iter().filter(|key| store.entry(group, key).is_some());
        let puts: Puts = present.map(|key| (key.clone(), None)).collect();
        if puts.is_empty() {
            return;
        }
        let rev = self.next_rev(row);
        let effect = Effect { group: group.clone(), rev, token: 0, is_expiry: false, puts };
        let watched = self.watched.remove(&group.space);
        self.append(row, Some(effect), now);
        self.watched.extend(watched.map(|watched| (group.space, watched)));
    }

    /// Drops everything of a cache.
    pub fn evict_all(&mut self, space: Space, now: Moment) {
        let Some(view) = &self.view else { return };
        let [first, last] = [0, u64::MAX].map(|hash| Place { cache: space.cache, hash });
        for row in view.rows_of(space.table) {
            self.drop_between(row, (before(first), Some(last)), now);
        }
    }

    fn drop_between(&mut self, row: RowId, between: (Option<Place>, Option<Place>), now: Moment) {
        let Self { rows, shelves, .. } = self;
        let Some(state) = rows.get_mut(usize::from(row)) else { return };
        shelves.replace(row, &mut state.store, between, &[], now);
    }
}

/// The place right before one; none for the first.
fn before(place: Place) -> Option<Place> {
    match place {
        Place { cache: 0, hash: 0 } => None,
        Place { cache, hash: 0 } => Some(Place { cache: cache - 1, hash: u64::MAX }),
        Place { cache, hash } => Some(Place { cache, hash: hash - 1 }),
    }
}
