//! What a home writes, and what follows once it stands. Changes of one group of messages go one
//! write after the other: what comes meanwhile goes together with the next.

use super::super::{Answer, FencedBy, Number};
use super::{AGAIN, Asked, Home, LEASE, Out};
use crate::batch::{Batch, Op, Reply, Request};
use crate::segment::{Bytes, Group};
use muster_cluster::Moment;
use smallvec::SmallVec;
use std::collections::VecDeque;

/// Operations of one write at most, with room for those of one change more.
const MOST_OPS: usize = 900;

/// Something asked of the grid.
pub(super) struct Write {
    /// None: only whether this member is still the primary.
    pub(super) batch: Option<Batch>,
    pub(super) asked: Moment,
    pub(super) what: What,
}

/// What it is about.
pub(super) enum What {
    /// With the tokens that they raise.
    Publish(Vec<(Asked, Number)>, Vec<FencedBy>),
    Change(Bytes, Vec<Then>),
    Confirm,
}

/// What follows once a change stands.
#[derive(Clone, Copy, Debug)]
pub(super) enum Then {
    Nothing,
    /// It may be given.
    Recorded(Number),
    /// It is done.
    Left(Number),
    /// It is a dead letter.
    Buried(Number),
    /// A part of a task.
    Part(u64, Number),
    /// A journal has not taken it, and it is removed.
    Refused(Number),
    /// Journals have what an earlier home was asked to publish, or not.
    Kept(Asked),
}

/// Changes of one group of messages that wait for their turn.
pub(super) struct Changes {
    group: Group,
    todo: VecDeque<(SmallVec<[Op; 2]>, Then)>,
    is_busy: bool,
}

impl Home {
    /// Changes something of a group of messages.
    pub(super) fn change(
        &mut self,
        block: Option<Group>,
        ops: impl IntoIterator<Item = Op>,
        then: Then,
    ) {
        // Whatever may be changed has been written, and so has its group.
        let Some(group) = block else { return };
        let name = group.name.clone();
        let changes = (self.changes.entry(name.clone())).or_insert_with(|| Changes {
            group,
            todo: VecDeque::new(),
            is_busy: false,
        });
        if changes.todo.is_empty() && !changes.is_busy {
            self.dirty.push_back(name);
        }
        changes.todo.push_back((ops.into_iter().collect(), then));
    }

    /// Writes what waits.
    pub(super) fn write(&mut self, now: Moment) {
        if self.is_over {
            return;
        }
        while let Some(at) = self.again.iter().position(|(at, _)| *at <= now) {
            let (_, write) = self.again.swap_remove(at);
            self.ask_grid(Write { asked: now, ..write });
        }
        self.write_publications(now);
        while let Some(name) = self.dirty.pop_front() {
            let Some(changes) = self.changes.get_mut(&name) else { continue };
            changes.is_busy = true;
            let (mut ops, mut thens) = (Vec::new(), Vec::new());
            while ops.len() < MOST_OPS
                && let Some((more, then)) = changes.todo.pop_front()
            {
                ops.extend(more);
                thens.push(then);
            }
            let batch = Some(Batch::new(changes.group.clone(), ops));
            self.ask_grid(Write { batch, asked: now, what: What::Change(name, thens) });
        }
    }

    pub(super) fn ask_grid(&mut self, write: Write) {
        self.numbers += 1;
        let request = match &write.batch {
            Some(batch) => Request::Write(batch.clone()),
            None => Request::Get(Group::new(self.space, b"")),
        };
        self.writes.insert(self.numbers, write);
        self.out.push_back(Out::Led(self.numbers, request));
    }

    /// Who waits to hear whether journals have what an earlier home was asked to publish.
    pub(super) fn waits_for_journals(&self) -> Vec<Asked> {
        let again = self.again.iter().map(|(_, write)| write);
        let writes = self.writes.values().chain(&self.failed).chain(again);
        let written = writes.filter_map(|write| match &write.what {
            What::Change(_, thens) => Some(thens),
            What::Publish(..) | What::Confirm => None,
        });
        let todo = self.changes.values().flat_map(|changes| &changes.todo).map(|(_, then)| then);
        let waits = |then: &Then| match then {
            Then::Kept(asked) => Some(*asked),
            _ => None,
        };
        written.flatten().chain(todo).filter_map(waits).collect()
    }

    /// What became of a write.
    pub(in super::super) fn written(&mut self, id: u64, reply: &Reply, now: Moment) {
        let Some(write) = self.writes.remove(&id) else { return };
        match reply {
            Reply::Written(_) | Reply::Entries(_) => self.stands(write, now, true),
            Reply::Unkept(_) => self.stands(write, now, !self.rules.minds_journals),
            Reply::NotQuorate => match write.what {
                What::Publish(published, _) => {
                    self.publishing -= 1;
                    self.not_published(published, &Answer::NotQuorate, now);
                }
                What::Change(..) | What::Confirm => self.again.push((now + AGAIN, write)),
            },
            Reply::Unavailable | Reply::Busy | Reply::Locked | Reply::Retry => {
                self.again.push((now + AGAIN, write));
            }
            // Nobody knows what stands: it must be read anew, once nothing is under way any more.
            _ => {
                self.failed.push(write);
                self.is_over = true;
            }
        }
        self.go_on(now);
    }

    /// It stands with all owners, in memory at least.
    fn stands(&mut self, write: Write, now: Moment, is_kept: bool) {
        self.gives_until = self.gives_until.max(write.asked + LEASE);
        self.is_proven = true;
        for (asked, answer) in std::mem::take(&mut self.unproven) {
            self.answer(asked, answer);
        }
        match write.what {
            What::Confirm => self.is_confirming = false,
            What::Publish(published, raised) => {
                self.publishing -= 1;
                self.fences_stand(raised, write.batch.as_ref().map(|batch| &batch.group));
                if is_kept {
                    self.published(published, now);
                } else {
                    self.not_kept(published);
                }
            }
            // What a journal has not taken of it, it takes later: until then it has what was before.
            What::Change(name, thens) => {
                for then in thens {
                    self.then(then, now, is_kept);
                }
                let Some(changes) = self.changes.get_mut(&name) else { return };
                changes.is_busy = false;
                if changes.todo.is_empty() {
                    self.changes.remove(&name);
                } else {
                    self.dirty.push_back(name);
                }
            }
        }
    }

    fn then(&mut self, then: Then, now: Moment, is_kept: bool) {
        match then {
            Then::Nothing => {}
            Then::Recorded(number) => self.recorded(number, now),
            Then::Left(number) => self.left(number, now),
            Then::Buried(number) => self.buried(number, now),
            Then::Part(task, number) => self.part(task, number, now),
            Then::Refused(number) => self.refused(number, now),
            // Whoever asks has an id, and asks again.
            Then::Kept(asked) if !is_kept => self.answer(asked, Answer::Unknown),
            Then::Kept(asked) => self.answer(asked, Answer::Published(false)),
        }
    }
}

// === impl Write ===

impl Write {
    /// The publications that it brings.
    pub(super) fn published(self) -> Vec<(Asked, Number)> {
        match self.what {
            What::Publish(published, _) => published,
            What::Change(..) | What::Confirm => Vec::new(),
        }
    }
}
