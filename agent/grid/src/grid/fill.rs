//! Filling a copy: it pulls the primary's groups chunk by chunk, while writes go on.
//!
//! A chunk says after which write it was made. A write to a group that a chunk has covered is done
//! if it is later than the chunk. A write to a group that is still to come is kept until the chunk
//! is there: it may have been made before. So at every moment each group is exactly as the primary
//! had it after some write.

use super::{Grid, Role};
use crate::message::Message;
use crate::segment::Group;
use crate::store::{Effect, Store, WholeGroup};
use muster_cluster::{MemberId, Moment, RowId};
use std::sync::Arc;

/// The groups of (after, to], as they were after one write.
pub(super) struct Chunk {
    pub(super) after: Option<Group>,
    pub(super) to: Option<Group>,
    pub(super) as_of: u64,
    pub(super) groups: Arc<Vec<WholeGroup>>,
}

/// How far a copy is.
pub(super) struct Filling {
    /// All up to here is covered.
    after: Option<Group>,
    is_done: bool,
    /// Ends of the ranges covered, and as of which write each.
    covered: Vec<(Option<Group>, u64)>,
    /// Writes to groups still to come, since the chunk was asked for that is under way.
    kept: Vec<(u64, Arc<Effect>)>,
    asked_at: Moment,
    /// It repairs an owner's copy, which does all writes at once as well.
    is_repair: bool,
}

impl Filling {
    pub(super) fn new(is_repair: bool, now: Moment) -> Self {
        Self {
            after: None,
            is_done: false,
            covered: Vec::new(),
            kept: Vec::new(),
            asked_at: now,
            is_repair,
        }
    }

    /// A write comes while the copy is being filled.
    pub(super) fn effect(
        &mut self,
        seq: u64,
        effect: &Arc<Effect>,
        store: &mut Store,
        now: Moment,
    ) {
        let covers = |to: &Option<Group>| to.as_ref().is_none_or(|to| effect.group <= *to);
        match self.covered.iter().find(|(to, _)| covers(to)) {
            Some((_, as_of)) if seq > *as_of => store.apply(effect, now),
            Some(_) => {}
            None => {
                self.kept.push((seq, effect.clone()));
                if self.is_repair {
                    store.apply(effect, now);
                }
            }
        }
    }

    fn chunk(&mut self, chunk: Chunk, store: &mut Store, now: Moment) {
        let Chunk { after, to, as_of, groups } = chunk;
        store.replace(after.as_ref(), to.as_ref(), &groups, now);
        for (seq, effect) in std::mem::take(&mut self.kept) {
            let is_here = to.as_ref().is_none_or(|to| effect.group <= *to);
            if is_here && seq > as_of {
                store.apply(&effect, now);
            }
            // The others are in the next chunk, which is made only after it was asked for.
        }
        self.is_done = to.is_none();
        self.covered.push((to.clone(), as_of));
        self.after = to;
        self.asked_at = now;
    }

    fn is_whole(&self, applied: u64) -> bool {
        self.is_done && self.covered.iter().all(|(_, as_of)| applied >= *as_of)
    }
}

impl Grid {
    /// A copy asks for the groups after one.
    pub(super) fn pull(&mut self, from: MemberId, row: RowId, after: Option<Group>, now: Moment) {
        let most = self.limits.chunk;
        let Some(epoch) = self.view.as_ref().map(|view| view.epoch) else { return };
        let Some((primary, store)) = self.primary_of(row) else { return };
        let Some(peer) = primary.peers.iter_mut().find(|peer| peer.node == from.node) else {
            return;
        };
        peer.progress_at = now;
        let as_of = primary.last;
        let (mut size, mut groups, mut to) = (0, Vec::new(), None);
        for group in store.after(after.as_ref()) {
            if size >= most {
                to = groups.last().map(|whole: &WholeGroup| whole.group.clone());
                break;
            }
            groups.extend(store.whole(group, now));
            size += groups.last().map_or(0, size_of_group);
        }
        let groups = Arc::new(groups);
        self.send(from.node, Message::Chunk { epoch, row, after, to, as_of, groups });
    }

    pub(super) fn chunk(&mut self, from: MemberId, row: RowId, chunk: Chunk, now: Moment) {
        let Some(epoch) = self.view.as_ref().map(|view| view.epoch) else { return };
        let Some((copy, store)) = self.copy_of(row).filter(|(c, _)| c.primary == from.node) else {
            return;
        };
        let Some(filling) = &mut copy.filling else { return };
        if filling.is_done || filling.after != chunk.after {
            return;
        }
        filling.chunk(chunk, store, now);
        if !filling.is_done {
            let after = filling.after.clone();
            self.send(from.node, Message::Pull { epoch, row, after });
        }
        self.finish_filling(row);
    }

    /// A copy is whole when all chunks are there and every write that they contain has come.
    pub(super) fn finish_filling(&mut self, row: RowId) {
        let Some(epoch) = self.view.as_ref().map(|view| view.epoch) else { return };
        let Some((copy, _)) = self.copy_of(row) else { return };
        if !copy.filling.as_ref().is_some_and(|filling| filling.is_whole(copy.applied)) {
            return;
        }
        let was_repair = copy.filling.take().is_some_and(|filling| filling.is_repair);
        copy.is_synced = true;
        let primary = copy.primary;
        if !was_repair {
            self.stats.transfers += 1;
        }
        self.set_complete(row, true);
        self.send(primary, Message::Synced { epoch, row });
    }

    /// A chunk that does not come is asked for again.
    pub(super) fn tick_copy(&mut self, row: RowId, now: Moment) {
        let resend = self.limits.resend;
        let Some(epoch) = self.view.as_ref().map(|view| view.epoch) else { return };
        let Role::Copy(copy) = &mut self.rows[usize::from(row)].role else { return };
        let primary = copy.primary;
        let Some(filling) = &mut copy.filling else { return };
        if !filling.is_done && now >= filling.asked_at + resend {
            filling.asked_at = now;
            let after = filling.after.clone();
            self.send(primary, Message::Pull { epoch, row, after });
        }
    }
}

fn size_of_group(group: &WholeGroup) -> usize {
    group.entries.iter().map(|(key, _, put)| key.len() + put.value.len() + 32).sum::<usize>()
        + group.group.name.len()
}
