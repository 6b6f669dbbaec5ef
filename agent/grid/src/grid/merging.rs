//! A group of the other side of a split, at its primary.

use super::{Asker, Entries, Grid, Out};
use crate::batch::Reply;
use crate::segment::Group;
use crate::store::Puts;
use crate::watch::{Changes, Watched};
use muster_cluster::{Moment, RowId};

impl Grid {
    pub(super) fn merge(
        &mut self,
        asker: Asker,
        row: RowId,
        group: &Group,
        theirs: &Entries,
        token: u128,
        now: Moment,
    ) {
        self.expire(row, group, now);
        let policy = self.policies.get(&group.space.cache).copied().unwrap_or_default();
        let Some((_, store)) = self.primary_of(row) else { return };
        let mut overridden = 0;
        let mut puts = Puts::new();
        for (key, put) in theirs {
            let ours = store.entry(group, key);
            overridden += u64::from(ours.is_some_and(|ours| ours.value != put.value));
            if let Some(merged) = policy.merge(key, ours, put) {
                puts.push((key.clone(), Some(merged)));
            }
        }
        let changes_nothing = puts.is_empty() && token <= store.token(group);
        self.stats.merged += 1;
        self.stats.overridden += overridden;
        if changes_nothing {
            // It may be here from an attempt before, and nowhere else yet: whoever gives it forgets it.
            return self.confirm(asker, row, Reply::Released, now);
        }
        if self.watched.get(&group.space) == Some(&Watched::Merges) {
            let (group, rev) = (group.clone(), self.next_rev(row));
            let changes = Changes { group, rev, is_primary: true, entries: Vec::new() };
            self.out.push_back(Out::Changed(changes));
        }
        // The later of two holders wrote on one of the sides: the earlier stays fenced.
        self.change(asker, row, group, puts, token, now);
    }
}
