//! A page of a cache's groups in one row.

use super::{Asker, Grid};
use crate::batch::{Entries, Reply};
use crate::segment::{Bytes, Place, Space};
use muster_cluster::{Moment, RowId};

impl Grid {
    /// Confirmed like a read: it sees what was acknowledged before.
    pub(super) fn scan(
        &mut self,
        asker: Asker,
        row: RowId,
        space: Space,
        after: Option<&Bytes>,
        most: u32,
        now: Moment,
    ) {
        self.expire_due(row, now);
        let chunk = self.limits.chunk;
        let most = usize::try_from(most).unwrap_or(usize::MAX).max(1);
        let is_its_table = self.table_of(row) == space.table;
        let after = after.map(|name| Place::of(space, name));
        let Self { rows, shelves, .. } = self;
        let Some(state) = rows.get(usize::from(row)) else { return };
        let (mut groups, mut size, mut is_last) = (Vec::new(), 0, true);
        let (mut last, mut unread) = (None, None);
        let all = state.store.page(space.cache, after, shelves, now);
        for found in all.take_while(|_| is_its_table) {
            let (place, name, entries) = match found {
                Ok(found) => found,
                Err(error) => {
                    unread = Some(error);
                    break;
                }
            };
            // What only remembers a token, or is over, is nothing to see.
            if entries.entries.is_empty() {
                continue;
            }
            // Groups of one place come together: the next page begins after it.
            if (groups.len() >= most || size >= chunk) && last != Some(place) {
                is_last = false;
                break;
            }
            last = Some(place);
            size += name.len() + size_of(&entries);
            groups.push((name, entries));
        }
        if let Some((cache, error)) = unread {
            // A page without it would say that it is not there.
            self.shelves.failed(cache, &error, now);
            return self.answer(asker, Reply::Retry, now);
        }
        self.confirm(asker, row, Reply::Groups { groups, is_last }, now);
    }
}

fn size_of(entries: &Entries) -> usize {
    entries.entries.iter().map(|(key, (value, _))| key.len() + value.len() + 32).sum()
}
