//! A copy's side of replication: it does as the primary of its epoch says, in order.

use super::fill::Filling;
use super::state::Content;
use super::{Grid, Out};
use crate::message::{AnswerWith, Answers, Begun, Message};
use crate::store::Effect;
use crate::watch::{Changes, Watched};
use muster_cluster::{Epoch, MemberId, Moment, RowId};
use std::sync::Arc;

impl Grid {
    /// The primary says what it had at the beginning of this epoch. A copy that has followed it
    /// through its reign goes on where it was; any other compares what it has, and is filled where
    /// that differs.
    pub(super) fn sync(&mut self, from: MemberId, row: RowId, told: &Begun, now: Moment) {
        let Some(epoch) = self.epoch() else { return };
        let Some((copy, store)) = self.copy_of(row, from.node) else { return };
        if copy.is_synced {
            return self.send(from.node, Message::Synced { epoch, row });
        }
        if copy.is_started {
            // It waits for its turn to be filled, or for writes: it is here.
            let message = copy.has_all(epoch, row);
            return self.send(from.node, message);
        }
        (copy.is_started, copy.heard) = (true, now);
        copy.floor = told.seq;
        let follows = copy.reign == Some(told.reign) && copy.applied >= told.base;
        if follows && !matches!(copy.content, Content::Unknown) {
            let message = copy.has_all(epoch, row);
            if let Content::Filling(filling) = &mut copy.content {
                filling.resume();
                self.stats.resumed += 1;
            }
            self.send(from.node, message);
        } else {
            copy.reign = Some(told.reign);
            copy.applied = told.seq;
            copy.unkept.clear();
            copy.content = if store.digest() == told.digest {
                Content::Whole
            } else {
                Content::Filling(Box::new(Filling::new(false, now)))
            };
        }
        self.go_on_filling(row, now);
        self.tell_synced(row, now);
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
        let (most_kept, follows) = (self.limits.most_log, self.rules.follows);
        let Self { rows, watched, out, shelves, .. } = self;
        let Some(state) = rows.get_mut(usize::from(row)) else { return };
        let super::Role::Copy(copy) = &mut state.role else { return };
        if !follows(copy.primary, from.node) || !copy.is_started {
            return;
        }
        let applied = copy.applied;
        let mut is_unread = false;
        let _ = shelves.have_missed();
        for (seq, item) in (first..).zip(items) {
            if seq != copy.applied + 1 {
                continue;
            }
            if let Some(effect) = item {
                match &mut copy.content {
                    Content::Unknown => return,
                    Content::Whole => {
                        if shelves.warm(row, &mut state.store, &effect.group, now).is_err() {
                            is_unread = true;
                            break;
                        }
                        if !watched.is_empty()
                            && watched.get(&effect.group.space) == Some(&Watched::All)
                        {
                            let changes = Changes::of(effect, &state.store, false);
                            out.extend(changes.map(Out::Changed));
                        }
                        // It is in memory: it cannot fail.
                        let _ = shelves.apply(row, &mut state.store, effect, now);
                    }
                    Content::Filling(filling) if filling.keeps() >= most_kept => break,
                    Content::Filling(filling) => {
                        let with = (row, &mut state.store, &mut *shelves);
                        if filling.effect(seq, effect, with, now).is_err() {
                            break;
                        }
                    }
                }
            }
            if shelves.have_missed() {
                copy.lacks(seq);
            }
            copy.applied = seq;
        }
        if copy.applied != applied {
            copy.heard = now;
        }
        if is_unread {
            // The primary has what the shelf does not give. Until it is here, the write is not taken.
            copy.content = Content::Filling(Box::new(Filling::new(true, now)));
            self.stats.refills += 1;
        }
        let is_synced = copy.is_synced;
        let is_filling = matches!(copy.content, Content::Filling(_));
        out.push_back(Out::Send { to: from.node, message: copy.has_all(epoch, row) });
        if is_unread {
            self.go_on_filling(row, now);
        }
        if is_filling || !is_synced {
            self.tell_synced(row, now);
        }
    }

    /// Answers that came with writes: they stand if this copy, the only other one, has those.
    pub(super) fn answered_with(
        &mut self,
        from: MemberId,
        row: RowId,
        answers: Answers,
        now: Moment,
    ) {
        for AnswerWith { attempt, life, point, reply } in answers {
            let Some((copy, _)) = self.copy_of(row, from.node) else { return };
            let has_it = copy.is_synced && copy.applied >= point;
            if has_it && life == self.me.incarnation {
                self.answered(Some(from), attempt, reply, now);
            }
        }
    }

    /// Tells the primary once this copy is as its own.
    pub(super) fn tell_synced(&mut self, row: RowId, now: Moment) {
        self.finish_filling(row, now);
        let Some(epoch) = self.epoch() else { return };
        let Some(super::RowState { role: super::Role::Copy(copy), .. }) =
            self.rows.get_mut(usize::from(row))
        else {
            return;
        };
        let is_here = copy.is_started && copy.applied >= copy.floor;
        if is_here && !copy.is_synced && matches!(copy.content, Content::Whole) {
            copy.is_synced = true;
            let primary = copy.primary;
            self.set_complete(row, true);
            self.stamp(row, now);
            self.send(primary, Message::Synced { epoch, row });
        }
    }

    /// The primary's digest after a write: where this copy differs it is filled again. It stays an
    /// owner meanwhile, and does all writes.
    pub(super) fn check(&mut self, from: MemberId, row: RowId, seq: u64, digest: u64, now: Moment) {
        let Some((copy, store)) = self.copy_of(row, from.node) else { return };
        let is_whole = copy.is_synced && matches!(copy.content, Content::Whole);
        if is_whole && copy.applied == seq && store.digest() != digest {
            copy.content = Content::Filling(Box::new(Filling::new(true, now)));
            self.stats.repairs += 1;
            self.go_on_filling(row, now);
        }
    }
}
