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
        let Some((_, store)) = self.primary_of(row) else { return };
        let (mut groups, mut size, mut is_last) = (Vec::new(), 0, true);
        let mut last = None;
        let all = store.page(space.cache, after, now);
        // What only remembers a token, or is over, is nothing to see.
        let seen = all.filter(|(.., entries)| is_its_table && !entries.entries.is_empty());
        for (place, name, entries) in seen {
            // Groups of one place come together: the next page begins after it.
            if (groups.len() >= most || size >= chunk) && last != Some(place) {
                is_last = false;
                break;
            }
            last = Some(place);
            size += name.len() + size_of(&entries);
            groups.push((name, entries));
        }
        self.confirm(asker, row, Reply::Groups { groups, is_last }, now);
    }
}

fn size_of(entries: &Entries) -> usize {
    entries.entries.iter().map(|(key, (value, _))| key.len() + value.len() + 32).sum()
}
