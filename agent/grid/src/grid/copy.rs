//! A copy's side of replication: it does as the primary of its epoch says, in order.

use super::{Grid, fill::Filling};
use crate::message::Message;
use crate::store::Effect;
use muster_cluster::{Epoch, MemberId, Moment, RowId};
use std::sync::Arc;

impl Grid {
    /// The primary says what it had at the beginning of this epoch.
    pub(super) fn sync(&mut self, from: MemberId, row: RowId, digest: u64, now: Moment) {
        let Some(epoch) = self.view.as_ref().map(|view| view.epoch) else { return };
        let Some((copy, store)) = self.copy_of(row).filter(|(c, _)| c.primary == from.node) else {
            return;
        };
        if copy.is_synced {
            return self.send(from.node, Message::Synced { epoch, row });
        }
        if copy.is_started {
            return;
        }
        copy.is_started = true;
        if store.digest() == digest {
            copy.is_synced = true;
            self.set_complete(row, true);
            return self.send(from.node, Message::Synced { epoch, row });
        }
        copy.filling = Some(Filling::new(false, now));
        self.send(from.node, Message::Pull { epoch, row, after: None });
    }

    /// Writes of the primary. Those that do not follow on what is here are left to be sent again.
    pub(super) fn append_here(
        &mut self,
        from: MemberId,
        epoch: Epoch,
        row: RowId,
        first: u64,
        items: &[Option<Arc<Effect>>],
        now: Moment,
    ) {
        let Some((copy, store)) = self.copy_of(row) else { return };
        if !copy.is_started {
            return;
        }
        for (seq, item) in (first..).zip(items) {
            if seq != copy.applied + 1 {
                continue;
            }
            copy.applied = seq;
            let Some(effect) = item else { continue };
            match &mut copy.filling {
                None => store.apply(effect, now),
                Some(filling) => filling.effect(seq, effect, store, now),
            }
        }
        let upto = copy.applied;
        self.finish_filling(row);
        self.send(from.node, Message::Appended { epoch, row, upto });
    }

    /// The primary's digest after a write: where this copy differs it is filled again. It stays an
    /// owner meanwhile, and does all writes.
    pub(super) fn check(&mut self, from: MemberId, row: RowId, seq: u64, digest: u64, now: Moment) {
        let Some(epoch) = self.view.as_ref().map(|view| view.epoch) else { return };
        let Some((copy, store)) = self.copy_of(row).filter(|(c, _)| c.primary == from.node) else {
            return;
        };
        if !copy.is_synced || copy.applied != seq || copy.filling.is_some() {
            return;
        }
        if store.digest() != digest {
            copy.filling = Some(Filling::new(true, now));
            self.stats.repairs += 1;
            self.send(from.node, Message::Pull { epoch, row, after: None });
        }
    }
}
