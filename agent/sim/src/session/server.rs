//! What a member does for a request: as a session manager would, over the requests of the grid.

use super::visit::{Change, End, Held, Stage, Visit, Wish};
use super::{COUNT, Hold, Life, META, Sessions};
use crate::case::Mutation;
use crate::client::{CACHE, Commit, Histories, bytes, state};
use crate::happening::Happening;
use crate::linear::{Effect, Operation};
use crate::world::{MS, Time, World};
use muster_grid::batch::Entries;
use muster_grid::{Batch, Event, Expect, Fence, Group, Op, Put, Reply, Request, Rev, Space};
use std::time::Duration;

/// Where sessions are kept.
const SPACE: Space = Space { table: 0, cache: CACHE + 1 };
/// A group stays checked out so long at most.
const HOLD: Duration = Duration::from_millis(1_500);
/// A request waits so long for its group at most.
const WAIT: Duration = Duration::from_millis(1_200);
/// A session lives so long without a request: no schedule takes that long.
const IDLE: Duration = Duration::from_secs(3_600);
/// A request that waits for an answer looks so often whether its member still lives.
const LOOK: Time = 200 * MS;
/// A commit that was cut off is tried again so often.
const TRIES: u8 = 3;
/// Names that are tried for one whose primary is this member.
const MOST_TRIES: usize = 32;

impl Sessions {
    /// A new session with an id, mostly one whose primary is this member.
    pub(super) fn create(&mut self, world: &mut World, slot: usize) -> (Group, usize) {
        let group = self.mint(world, slot);
        self.counts.created += 1;
        self.lives.push(Life { group: Some(group.clone()), ..Life::default() });
        (group, self.lives.len() - 1)
    }

    fn mint(&mut self, world: &mut World, slot: usize) -> Group {
        let wants_local = world.rng.u8(0..4) > 0;
        let mut name = String::new();
        for _ in 0..MOST_TRIES {
            name = format!("{:032x}", world.rng.u128(..));
            let Some(core) = world.slots[slot].core.as_ref().filter(|_| wants_local) else { break };
            if core.grid().is_primary(SPACE, name.as_bytes()) {
                self.counts.minted_local += 1;
                break;
            }
        }
        let group = Group::new(SPACE, name.as_bytes());
        self.groups.push(group.clone());
        group
    }

    /// The request is there: its group is taken.
    pub(super) fn arrive(&mut self, world: &mut World, number: u64) {
        let Some(visit) = self.visits.get_mut(&number) else { return };
        let group = visit.group.clone();
        let wait = if world.rng.u8(0..16) == 0 { Duration::ZERO } else { WAIT };
        let request = Request::Checkout { group, hold: HOLD, confirm: false, wait };
        let slot = visit.slot;
        visit.stage = Stage::Checkout;
        visit.id = number + 1;
        call(world, slot, number + 1, request);
        self.due(world, number, world.now + LOOK);
    }

    /// Time has passed: the member may have died, or what it had to do is done.
    pub fn on(&mut self, world: &mut World, histories: &mut Histories, number: u64) {
        let Some(visit) = self.visits.get(&number).filter(|visit| visit.due == world.now) else {
            return;
        };
        let slot = &world.slots[visit.slot];
        if slot.core.is_none() || slot.boot != visit.boot {
            return self.died(world, histories, number);
        }
        if let Some(later) = world.frozen(visit.slot) {
            return self.due(world, number, later);
        }
        match visit.stage.clone() {
            Stage::Thinking(held) => self.commit(world, number, held),
            Stage::Checkout
            | Stage::Confirm
            | Stage::Moving(..)
            | Stage::Commit(..)
            | Stage::Again(..) => {
                self.due(world, number, world.now + LOOK);
            }
        }
    }

    fn due(&mut self, world: &mut World, number: u64, at: Time) {
        if let Some(visit) = self.visits.get_mut(&number) {
            visit.due = at;
            world.at(at, Happening::Visit { visit: number });
        }
    }

    /// The member of a request died: what it was about to write may stand or not.
    fn died(&mut self, world: &mut World, histories: &mut Histories, number: u64) {
        let Some(visit) = self.visits.remove(&number) else { return };
        match &visit.stage {
            Stage::Moving(_, change) | Stage::Commit(_, change) => {
                self.record(histories, &visit, change, None);
            }
            Stage::Again(_, change) if visit.may_stand => {
                self.record(histories, &visit, change, None);
            }
            Stage::Checkout | Stage::Confirm | Stage::Thinking(_) | Stage::Again(..) => {}
        }
        self.ended(world, number, &visit, End::Died);
    }

    /// An answer of the grid.
    pub(super) fn go_on(
        &mut self,
        world: &mut World,
        histories: &mut Histories,
        id: u64,
        reply: &Reply,
    ) {
        let number = id & !0xff;
        let Some(visit) = self.visits.get_mut(&number).filter(|visit| visit.id == id) else {
            return;
        };
        let end = match (visit.stage.clone(), reply) {
            (Stage::Checkout, Reply::Checkout { entries, fence }) => {
                self.granted(world, number, entries, *fence)
            }
            (Stage::Confirm, Reply::Entries(entries)) if entries.entries.is_empty() => {
                Some(End::Gone)
            }
            (Stage::Moving(held, change), Reply::Written(_)) => {
                let visit = visit.clone();
                self.record(histories, &visit, &change, Some(world.now));
                self.leave_old(world, number, held);
                None
            }
            (Stage::Commit(held, change), Reply::Written(rev)) => {
                Some(self.stood(world, histories, number, &held, &change, *rev))
            }
            (Stage::Moving(_, change), Reply::Unknown) => {
                let visit = visit.clone();
                self.record(histories, &visit, &change, None);
                Some(End::Failed)
            }
            (Stage::Commit(held, change), Reply::Unknown | Reply::Fenced) => {
                visit.may_stand |= *reply == Reply::Unknown;
                self.counts.fenced += u64::from(*reply == Reply::Fenced);
                self.look_again(world, histories, number, held, change)
            }
            (Stage::Again(held, change), Reply::Checkout { entries, fence }) => {
                self.has_looked(world, histories, number, (held, change), (entries, *fence))
            }
            (Stage::Commit(_, change) | Stage::Again(_, change), _) => {
                self.gave_up(histories, number, &change)
            }
            _ => Some(End::Failed),
        };
        if let Some(end) = end
            && let Some(visit) = self.visits.remove(&number)
        {
            self.ended(world, number, &visit, end);
        }
    }

    /// The group is this request's: its handler begins, if there is a session.
    fn granted(
        &mut self,
        world: &mut World,
        number: u64,
        entries: &Entries,
        fence: Fence,
    ) -> Option<End> {
        let visit = self.visits.get_mut(&number)?;
        let seen = state(entries);
        let (meta, count) = (seen.get(&META).copied(), seen.get(&COUNT).copied());
        if meta.is_none() && visit.wish != Wish::Create {
            let (slot, group) = (visit.slot, visit.group.clone());
            (visit.stage, visit.id) = (Stage::Confirm, number + 5);
            call(world, slot, number + 4, Request::Release(group.clone(), fence));
            if world.case.mutation == Some(Mutation::UnprovenMiss) {
                return Some(End::Gone);
            }
            // Read at a primary that may be none any more: only all owners can say that there is
            // no such session.
            call(world, slot, number + 5, Request::Get(group));
            return None;
        }
        let held = Held { granted: world.now, fence, rev: entries.rev, meta, count };
        visit.stage = Stage::Thinking(held);
        let thinks = match world.rng.u8(0..30) {
            0 => world.rng.u64(1_200 * MS..3_000 * MS),
            _ => world.rng.u64(0..60 * MS),
        };
        let due = world.now + thinks;
        self.due(world, number, due);
        None
    }

    /// The handler is done: all that it changed goes out as one batch.
    fn commit(&mut self, world: &mut World, number: u64, held: Held) {
        let Some(visit) = self.visits.get(&number) else { return };
        let (wish, life) = (visit.wish, visit.life);
        if wish == Wish::Rotate {
            let after = [held.meta, held.count];
            let to = self.mint(world, visit.slot);
            let change = Change { group: to, called: world.now, before: [None; 2], after };
            return self.write(world, number, held, change, false);
        }
        let value = self.next_value;
        self.next_value += 1;
        let after = match wish {
            Wish::Create | Wish::Count => [Some(value), Some(held.count.unwrap_or(0) + 1)],
            Wish::Look | Wish::Rotate => [Some(value), held.count],
            Wish::Remove => [None; 2],
        };
        let group = visit.group.clone();
        if wish == Wish::Remove {
            self.lives[life].is_over = true;
            self.removals.insert(group.clone());
        }
        let change = Change { group, called: world.now, before: [held.meta, held.count], after };
        self.write(world, number, held, change, true);
    }

    /// The session stands under its new id: the old one is removed, with the end of its checkout.
    fn leave_old(&mut self, world: &mut World, number: u64, held: Held) {
        let Some(visit) = self.visits.get_mut(&number) else { return };
        let group = visit.group.clone();
        if let Stage::Moving(_, change) = &visit.stage {
            visit.moved_to = Some(change.group.clone());
        }
        self.removals.insert(group.clone());
        let before = [held.meta, held.count];
        let change = Change { group, called: world.now, before, after: [None; 2] };
        self.write(world, number, held, change, true);
    }

    fn write(&mut self, world: &mut World, number: u64, held: Held, change: Change, ends: bool) {
        let Some(visit) = self.visits.get_mut(&number) else { return };
        let (slot, id) = (visit.slot, number + if ends { 3 } else { 2 });
        let stamp = world.now / MS;
        let put = |value: u32| Put { stamp, idle: Some(IDLE), ..Put::new(&bytes(value)) };
        let ops = [(META, change.after[0]), (COUNT, change.after[1])].map(|(key, value)| Op {
            key: bytes(key),
            expect: Expect::Any,
            put: value.map(put),
        });
        let mut batch = Batch::new(change.group.clone(), ops.to_vec());
        if ends {
            (batch.under, batch.release) = (Some((held.fence, held.rev)), true);
        }
        visit.id = id;
        visit.stage = if ends { Stage::Commit(held, change) } else { Stage::Moving(held, change) };
        call(world, slot, id, Request::Write(batch));
        self.due(world, number, world.now + LOOK);
    }

    /// A commit stood with all owners.
    fn stood(
        &mut self,
        world: &mut World,
        histories: &mut Histories,
        number: u64,
        held: &Held,
        change: &Change,
        rev: Rev,
    ) -> End {
        let Some(visit) = self.visits.get(&number).cloned() else { return End::Failed };
        // Nobody can tell one removal from another.
        let returned = (!visit.is_shared).then_some(world.now);
        self.record(histories, &visit, change, returned);
        let commit = Commit { rev, fence: held.fence };
        histories.commits.entry(visit.group.clone()).or_default().push(commit);
        self.served(world, number, &visit, held, change)
    }

    fn served(
        &mut self,
        world: &mut World,
        number: u64,
        visit: &Visit,
        held: &Held,
        change: &Change,
    ) -> End {
        self.note(world, number, visit, held, change);
        match visit.wish {
            Wish::Remove => self.counts.removed += 1,
            Wish::Rotate => self.counts.rotated += 1,
            Wish::Create | Wish::Count | Wish::Look => {}
        }
        End::Served(visit.moved_to.as_ref().unwrap_or(&visit.group).clone())
    }

    /// A commit was cut off, perhaps by the death of the primary: the checkout died with it. It is
    /// taken again, unless this member was out of the view itself: others have served its clients.
    fn look_again(
        &mut self,
        world: &mut World,
        histories: &mut Histories,
        number: u64,
        held: Held,
        change: Change,
    ) -> Option<End> {
        let visit = self.visits.get_mut(&number)?;
        let core = world.slots[visit.slot].core.as_ref()?;
        if visit.tries == TRIES || core.membership().me() != visit.member {
            return self.gave_up(histories, number, &change);
        }
        visit.tries += 1;
        (visit.stage, visit.id) = (Stage::Again(held, change), number + 6);
        let (slot, group) = (visit.slot, visit.group.clone());
        let request = Request::Checkout { group, hold: HOLD, confirm: false, wait: WAIT };
        call(world, slot, number + 6, request);
        None
    }

    /// What became of it: it stood after all, or nobody has written since. Either way it is written
    /// again: what was seen here is proven by nothing else.
    fn has_looked(
        &mut self,
        world: &mut World,
        histories: &mut Histories,
        number: u64,
        (mut held, change): (Held, Change),
        (entries, fence): (&Entries, Fence),
    ) -> Option<End> {
        let visit = self.visits.get_mut(&number)?;
        let seen = state(entries);
        let there = [META, COUNT].map(|key| seen.get(&key).copied());
        // Without a try that may stand it is what another one wrote.
        let has_stood = visit.may_stand && there == change.after;
        if !has_stood && there != change.before {
            let (slot, group) = (visit.slot, visit.group.clone());
            call(world, slot, number + 4, Request::Release(group, fence));
            return self.gave_up(histories, number, &change);
        }
        visit.is_shared |= has_stood && change.after == [None; 2];
        if has_stood && world.case.mutation == Some(Mutation::UnprovenStand) {
            let visit = visit.clone();
            call(world, visit.slot, number + 4, Request::Release(visit.group.clone(), fence));
            self.record(histories, &visit, &change, Some(world.now));
            return Some(self.served(world, number, &visit, &held, &change));
        }
        self.counts.again += 1;
        (held.fence, held.rev) = (fence, entries.rev);
        self.write(world, number, held, change, true);
        None
    }

    /// Nobody knows whether it stands, if one of the tries may.
    fn gave_up(&mut self, histories: &mut Histories, number: u64, change: &Change) -> Option<End> {
        let visit = self.visits.get(&number)?.clone();
        if visit.may_stand {
            self.record(histories, &visit, change, None);
        }
        Some(End::Failed)
    }

    /// What a write did, for the search of the group's order and for the session's sums.
    fn record(
        &mut self,
        histories: &mut Histories,
        visit: &Visit,
        change: &Change,
        returned: Option<Time>,
    ) {
        let keyed = |values: [Option<u32>; 2]| vec![(META, values[0]), (COUNT, values[1])];
        let effect = Effect::Write { expect: keyed(change.before), puts: keyed(change.after) };
        let who = format!("browser {} at m{}", visit.browser, visit.slot + 1);
        let operation = Operation { called: change.called, returned, effect, who };
        histories.groups.entry(change.group.clone()).or_default().push(operation);
        histories.acknowledged += u64::from(returned.is_some());
        let life = &mut self.lives[visit.life];
        let is_increment = matches!(visit.wish, Wish::Create | Wish::Count);
        match returned {
            Some(_) if is_increment => life.acknowledged += 1,
            None if is_increment => life.unknown += 1,
            // The old group may be gone, and nobody was told the new id.
            None if visit.wish == Wish::Rotate && change.group == visit.group => {
                life.is_split = true;
            }
            _ => {}
        }
    }

    /// What an acknowledged commit says of the session's counts and of who held it when.
    fn note(
        &mut self,
        world: &mut World,
        number: u64,
        visit: &Visit,
        held: &Held,
        change: &Change,
    ) {
        let hold = Hold {
            visit: number,
            granted: held.granted,
            committed: change.called,
            fence: held.fence,
        };
        if !visit.is_shared {
            self.holds.entry(visit.group.clone()).or_default().push(hold);
        }
        let life = &mut self.lives[visit.life];
        if let Some(to) = &visit.moved_to {
            life.group = Some(to.clone());
        }
        let count = match visit.wish {
            Wish::Remove | Wish::Rotate => held.count.unwrap_or(0),
            Wish::Create | Wish::Count | Wish::Look => change.after[1].unwrap_or(0),
        };
        let is_increment = matches!(visit.wish, Wish::Create | Wish::Count);
        let is_new = !is_increment || life.numbers.insert(count);
        life.shown = life.shown.max(count);
        self.counted(world, visit, count, is_increment, is_new);
    }
}

fn call(world: &mut World, slot: usize, id: u64, request: Request) {
    let deadline = world.clock(slot) + Duration::from_millis(world.rng.u64(1_000..3_000));
    world.give(slot, Event::Request { id, request, deadline });
}

/// The end of a read of all, for those who judge.
pub(super) fn read(world: &mut World, slot: usize, id: u64, group: &Group) {
    call(world, slot, id, Request::Get(group.clone()));
}
