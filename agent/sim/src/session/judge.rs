//! What was promised of sessions: no two requests have one at once, no acknowledged count is lost
//! or given twice, and none is seen to go back.

use super::server::read;
use super::visit::Visit;
use super::{COUNT, FIRST_ID, LastRead, Sessions};
use crate::case::Kind;
use crate::client::{Histories, state};
use crate::linear::{Effect, Operation};
use crate::world::World;
use muster_grid::Reply;

/// Reads that are under way at once, at the end.
const MOST_READS: usize = 16;

impl Sessions {
    /// A session that nobody removed was not there.
    pub(super) fn lost(&mut self, world: &mut World, visit: &Visit) {
        let life = &self.lives[visit.life];
        // Both sides of a split serve; and a creation of which nobody knows need not stand.
        if world.case.kind == Kind::Splits || life.numbers.is_empty() {
            return;
        }
        let (group, seen) = (&visit.group, visit.seen);
        world.wrong.push(format!("session {group:?} is lost, with the count {seen}"));
    }

    /// A count that was acknowledged: no browser is shown less than before, or a number again.
    pub(super) fn counted(
        &mut self,
        world: &mut World,
        visit: &Visit,
        count: u32,
        is_increment: bool,
        is_new: bool,
    ) {
        if world.case.kind == Kind::Splits {
            return;
        }
        self.counts.counted += 1;
        let (group, seen) = (&visit.group, visit.seen);
        if !is_new {
            world.wrong.push(format!("session {group:?} gave the count {count} twice"));
        }
        if count < seen + u32::from(is_increment) {
            world.wrong.push(format!("session {group:?} went back from {seen} to {count}"));
        }
    }

    /// At the end every group there ever was is read, each by some member. False when all were.
    pub fn read_all(&mut self, world: &mut World) -> bool {
        let groups = &self.groups;
        let unread = self.unread.get_or_insert_with(|| groups.clone());
        // A machine may still leave and come back, and what it was asked goes with it.
        self.reads.retain(|_, read| {
            let is_there = world.is_life(read.slot, read.boot);
            unread.extend((!is_there).then(|| read.group.clone()));
            is_there
        });
        while self.reads.len() < MOST_READS
            && let Some(group) = self.unread.as_mut().and_then(Vec::pop)
        {
            let slot = world.rng.usize(0..world.slots.len());
            let id = FIRST_ID + (self.next_visit << 8);
            self.next_visit += 1;
            let (called, boot) = (world.now, world.slots[slot].boot);
            self.reads.insert(id, LastRead { group: group.clone(), called, slot, boot });
            read(world, slot, id, &group);
        }
        !self.reads.is_empty()
    }

    /// One of those reads.
    pub(super) fn has_read(
        &mut self,
        world: &mut World,
        histories: &mut Histories,
        LastRead { group, called, .. }: LastRead,
        reply: &Reply,
    ) {
        let Reply::Entries(entries) = reply else {
            self.unread.get_or_insert_default().push(group);
            return;
        };
        let seen = state(entries);
        self.finals.insert(group.clone(), seen.get(&COUNT).copied());
        let (effect, who) = (Effect::Read(seen), "at the end".into());
        let operation = Operation { called, returned: Some(world.now), effect, who };
        histories.groups.entry(group).or_default().push(operation);
    }

    /// Checks what is known at the end.
    pub fn judge(&mut self, world: &mut World) {
        if world.case.kind == Kind::Splits {
            return;
        }
        self.one_at_a_time(world);
        self.sums(world);
    }

    /// Checkouts whose commits stood do not overlap.
    fn one_at_a_time(&mut self, world: &mut World) {
        for (group, holds) in &mut self.holds {
            holds.sort_by_key(|hold| (hold.committed, hold.visit));
            for (at, first) in holds.iter().enumerate() {
                for later in &holds[at + 1..] {
                    self.counts.compared += 1;
                    // The first one committed while the other had it already.
                    if later.granted < first.committed || later.fence <= first.fence {
                        world.wrong.push(format!(
                            "session {group:?} was held twice at once: {first:?}, {later:?}"
                        ));
                    }
                }
            }
        }
    }

    /// The last count is what was acknowledged, and what may have happened besides.
    fn sums(&self, world: &mut World) {
        for life in self.lives.iter().filter(|life| !life.is_over && !life.is_split) {
            let Some(group) = &life.group else { continue };
            let count = self.finals.get(group).copied().flatten().unwrap_or(0);
            let (least, most) = (life.acknowledged, life.acknowledged + life.unknown);
            if count < least || count > most {
                world.wrong.push(format!(
                    "session {group:?} ends with the count {count}: {least} were acknowledged, \
                     {} are not known of",
                    life.unknown
                ));
            }
        }
    }
}
