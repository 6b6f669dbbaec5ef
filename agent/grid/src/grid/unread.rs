//! A primary whose shelf does not give a group asks those for it who have the same.

use super::state::{Content, Role};
use super::{Grid, RowState};
use crate::message::Message;
use crate::segment::Place;
use crate::store::WholeGroup;
use muster_cluster::{Epoch, MemberId, Moment, NodeId, RowId};
use std::collections::BTreeMap;
use std::time::Duration;

/// A group is asked for once in this time.
const AGAIN: Duration = Duration::from_millis(500);
/// Groups that are asked for at the same time.
const MOST_WANTS: usize = 1_024;

/// What was asked for, and when.
#[derive(Default)]
pub(super) struct Wants(BTreeMap<(RowId, Place), Moment>);

impl Grid {
    /// Asks the other owners for a group that this row's primary cannot read.
    pub(super) fn want(&mut self, row: RowId, place: Place, now: Moment) {
        let Some(epoch) = self.epoch() else { return };
        let Wants(wants) = &mut self.wants;
        if wants.get(&(row, place)).is_some_and(|asked| now < *asked + AGAIN) {
            return;
        }
        if wants.len() >= MOST_WANTS {
            wants.retain(|_, asked| now < *asked + AGAIN);
        }
        if wants.len() >= MOST_WANTS {
            return;
        }
        wants.insert((row, place), now);
        let Some((primary, _)) = self.primary_of(row) else { return };
        let owners = primary.peers.iter().filter(|peer| peer.is_owner && peer.is_synced);
        let owners: Vec<NodeId> = owners.map(|peer| peer.node).collect();
        for node in owners {
            self.send(node, Message::Want { epoch, row, place });
        }
    }

    /// The primary asks for a group.
    pub(super) fn wanted(
        &mut self,
        from: MemberId,
        epoch: Epoch,
        row: RowId,
        place: Place,
        now: Moment,
    ) {
        let table = self.table_of(row);
        let Some(RowState { role: Role::Copy(copy), store, .. }) = self.rows.get(usize::from(row))
        else {
            return;
        };
        if copy.primary != from.node || !matches!(copy.content, Content::Whole) {
            return;
        }
        match store.whole_at(table, place, &self.shelves, now) {
            Some(Ok(whole)) => {
                self.send(from.node, Message::Have { epoch, row, whole: Box::new(whole) });
            }
            Some(Err((cache, error))) => self.shelves.failed(cache, &error, now),
            None => {}
        }
    }

    /// Another owner has it: it is in memory again, if it is the very same.
    pub(super) fn regain(&mut self, from: MemberId, row: RowId, whole: &WholeGroup, now: Moment) {
        let Self { rows, shelves, .. } = self;
        let Some(RowState { role: Role::Primary(primary), store, .. }) =
            rows.get_mut(usize::from(row))
        else {
            return;
        };
        if primary.peer(from.node).is_some_and(|peer| peer.is_owner)
            && shelves.regain(row, store, whole, now)
        {
            self.stats.regained += 1;
            self.wants.0.remove(&(row, whole.group.place()));
        }
    }
}
