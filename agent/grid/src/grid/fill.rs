//! Filling a copy: it pulls the primary's groups chunk by chunk, while writes go on.
//!
//! A chunk says after which write it was made. A write to a group that a chunk has covered is done
//! if it is later than the chunk. A write to a group that is still to come is kept until the chunk
//! is there: it may have been made before. So at every moment each group is exactly as the primary
//! had it after some write.

use super::state::{Content, CopyRow, Role};
use super::{Grid, RowState};
use crate::message::{Chunk, Message};
use crate::segment::Place;
use crate::shelf::ShelfError;
use crate::shelves::Shelves;
use crate::store::{Effect, Store, WholeGroup};
use muster_cluster::{MemberId, Moment, RowId};
use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;

/// How far a copy is.
pub(super) struct Filling {
    /// All up to here is covered.
    after: Option<Place>,
    is_done: bool,
    /// Ends of the ranges covered, and as of which write each.
    covered: Vec<(Option<Place>, u64)>,
    /// Writes to groups still to come, since the chunk was asked for that is under way.
    kept: Vec<(u64, Arc<Effect>)>,
    /// The next chunk was asked for, and when last.
    is_asked: bool,
    asked_at: Moment,
    /// It repairs an owner's copy, which does all writes at once as well.
    is_repair: bool,
}

/// Which rows are being filled now, and which wait for their turn.
#[derive(Default)]
pub(super) struct Fills {
    active: BTreeSet<RowId>,
    waiting: VecDeque<RowId>,
}

impl Fills {
    /// A view has come: each primary speaks of its rows anew.
    pub(super) fn clear(&mut self) {
        self.active.clear();
        self.waiting.clear();
    }
}

impl Filling {
    pub(super) fn new(is_repair: bool, now: Moment) -> Self {
        Self {
            after: None,
            is_done: false,
            covered: Vec::new(),
            kept: Vec::new(),
            is_asked: false,
            asked_at: now,
            is_repair,
        }
    }

    /// In a later view: the chunk that was under way is not taken any more.
    pub(super) fn resume(&mut self) {
        self.kept.clear();
        self.is_asked = false;
    }

    /// How many writes are kept.
    pub(super) fn keeps(&self) -> usize {
        self.kept.len()
    }

    /// A write comes while the copy is being filled. One whose group cannot be read from the shelf is
    /// not taken: a chunk brings the group.
    pub(super) fn effect(
        &mut self,
        seq: u64,
        effect: &Arc<Effect>,
        (row, store, shelves): (RowId, &mut Store, &mut Shelves),
        now: Moment,
    ) -> Result<(), ShelfError> {
        let mut apply = || shelves.apply(row, store, effect, now);
        let place = effect.group.place();
        let covers = |to: &Option<Place>| to.is_none_or(|to| place <= to);
        // The ends rise.
        let at = self.covered.partition_point(|(to, _)| !covers(to));
        match self.covered.get(at) {
            Some((_, as_of)) if seq > *as_of => apply(),
            Some(_) => Ok(()),
            None => {
                if self.is_repair {
                    apply()?;
                }
                // Before the chunk is asked for, the write is in it anyway.
                if self.is_asked {
                    self.kept.push((seq, effect.clone()));
                }
                Ok(())
            }
        }
    }

    fn chunk(
        &mut self,
        chunk: &Chunk,
        (row, store, shelves): (RowId, &mut Store, &mut Shelves),
        now: Moment,
    ) {
        let Chunk { after, to, as_of, ref groups } = *chunk;
        shelves.replace(row, store, (after, to), groups, now);
        for (seq, effect) in std::mem::take(&mut self.kept) {
            let is_here = to.is_none_or(|to| effect.group.place() <= to);
            if is_here && seq > as_of {
                let _ = shelves.apply(row, store, &effect, now);
            }
            // The others are in the next chunk, which is made only after it was asked for.
        }
        self.is_done = to.is_none();
        self.covered.push((to, as_of));
        self.after = to;
        self.is_asked = false;
    }

    fn is_whole(&self, applied: u64) -> bool {
        self.is_done && self.covered.iter().all(|(_, as_of)| applied >= *as_of)
    }
}

impl Grid {
    /// A copy asks for the groups after a place.
    pub(super) fn pull(&mut self, from: MemberId, row: RowId, after: Option<Place>, now: Moment) {
        let (most, table) = (self.limits.chunk, self.table_of(row));
        let Some(epoch) = self.epoch() else { return };
        let Self { rows, shelves, .. } = self;
        let Some(RowState { role: Role::Primary(primary), store, .. }) =
            rows.get_mut(usize::from(row))
        else {
            return;
        };
        let as_of = primary.last;
        let Some(peer) = primary.peer(from.node) else { return };
        peer.progress_at = now;
        let (mut size, mut groups, mut to) = (0, Vec::<WholeGroup>::new(), None);
        let mut unread = None;
        for whole in store.whole_after(table, after, shelves, now) {
            let whole = match whole {
                Ok(whole) => whole,
                Err((cache, error)) => {
                    unread = Some((cache, error));
                    break;
                }
            };
            let place = whole.group.place();
            let last = groups.last().map(|last| last.group.place());
            // Groups of one place stay together.
            if size >= most && last != Some(place) {
                to = last;
                break;
            }
            size += size_of_group(&whole);
            groups.push(whole);
        }
        if let Some((cache, error)) = unread {
            // A chunk without it would say that it is not there. It is asked for again.
            return self.shelves.failed(cache, &error, now);
        }
        let chunk = Box::new(Chunk { after, to, as_of, groups });
        self.send(from.node, Message::Chunk { epoch, row, chunk });
    }

    pub(super) fn chunk(&mut self, from: MemberId, row: RowId, chunk: &Chunk, now: Moment) {
        let Self { rows, shelves, .. } = self;
        let Some(RowState { role: Role::Copy(copy), store, .. }) = rows.get_mut(usize::from(row))
        else {
            return;
        };
        if copy.primary != from.node {
            return;
        }
        let Content::Filling(filling) = &mut copy.content else { return };
        let is_on_the_way = chunk.to.is_none_or(|to| chunk.after.is_none_or(|after| to > after));
        if !copy.is_started || filling.is_done || filling.after != chunk.after || !is_on_the_way {
            return;
        }
        filling.chunk(chunk, (row, store, shelves), now);
        if !filling.is_done {
            self.ask_for_chunk(row, now);
        }
        self.tell_synced(row, now);
    }

    /// Goes on with a row, or lets it wait for its turn.
    pub(super) fn go_on_filling(&mut self, row: RowId, now: Moment) {
        let Some(RowState { role: Role::Copy(copy), .. }) = self.rows.get(usize::from(row)) else {
            return;
        };
        let CopyRow { content: Content::Filling(filling), .. } = &**copy else { return };
        if filling.is_done || self.fills.active.contains(&row) {
            return;
        }
        if self.fills.active.len() >= self.limits.most_filling {
            if !self.fills.waiting.contains(&row) {
                self.fills.waiting.push_back(row);
            }
            return;
        }
        self.fills.active.insert(row);
        self.active.insert(row);
        self.ask_for_chunk(row, now);
    }

    fn ask_for_chunk(&mut self, row: RowId, now: Moment) {
        let Some(epoch) = self.epoch() else { return };
        let Some(RowState { role: Role::Copy(copy), .. }) = self.rows.get_mut(usize::from(row))
        else {
            return;
        };
        let Content::Filling(filling) = &mut copy.content else { return };
        (filling.is_asked, filling.asked_at) = (true, now);
        let (primary, after) = (copy.primary, filling.after);
        self.send(primary, Message::Pull { epoch, row, after });
    }

    /// A copy is whole when all chunks are there and every write that they contain has come.
    pub(super) fn finish_filling(&mut self, row: RowId, now: Moment) {
        let Some(RowState { role: Role::Copy(copy), .. }) = self.rows.get_mut(usize::from(row))
        else {
            return;
        };
        let Content::Filling(filling) = &copy.content else { return };
        if filling.is_done {
            self.fills.active.remove(&row);
        }
        if filling.is_whole(copy.applied) {
            if !filling.is_repair {
                self.stats.transfers += 1;
            }
            copy.content = Content::Whole;
        }
        while self.fills.active.len() < self.limits.most_filling {
            let Some(next) = self.fills.waiting.pop_front() else { return };
            self.go_on_filling(next, now);
        }
    }

    /// A chunk that does not come is asked for again. Whether the row still waits for one.
    pub(super) fn tick_copy(&mut self, row: RowId, now: Moment) -> bool {
        let resend = self.limits.resend;
        if !self.fills.active.contains(&row) {
            return false;
        }
        let Some(RowState { role: Role::Copy(copy), .. }) = self.rows.get(usize::from(row)) else {
            return false;
        };
        let Content::Filling(filling) = &copy.content else { return false };
        if now >= filling.asked_at + resend {
            self.ask_for_chunk(row, now);
        }
        true
    }
}

fn size_of_group(group: &WholeGroup) -> usize {
    group.entries.iter().map(|(key, _, put)| key.len() + put.value.len() + 32).sum::<usize>()
        + group.group.name.len()
}
