//! What a shell does for a station: it carries words between it, its core and the others.

use super::journal::{Giver, Paper};
use super::{DEADLINE, FIRST_ID, LOOK, Place, Queues, SPACE};
use crate::case::Kind;
use crate::happening::{Happening, Said};
use crate::world::{MS, World};
use muster_cluster::MemberId;
use muster_grid::queue::{Act, Address, Frame, Message, Settings, Station, Ticket, ToClient};
use muster_grid::{Bytes, Event, Reply, Watched};
use std::collections::BTreeMap;
use std::time::Duration;

impl Queues {
    /// After each happening: stations of processes that are gone go, views that are new are told.
    pub fn look(&mut self, world: &mut World) {
        if !world.case.has_queues {
            return;
        }
        let merged: Vec<_> = {
            let (ours, rest) = std::mem::take(&mut world.told)
                .into_iter()
                .partition(|(_, changes)| changes.group.space == SPACE);
            world.told = rest;
            ours
        };
        for slot in 0..world.slots.len() {
            self.look_at(world, slot);
        }
        for (slot, changes) in merged {
            let now = world.clock(slot);
            let core = world.slots[slot].core.as_ref();
            let whole = core.and_then(|core| core.grid().whole_led(&changes.group, now));
            if let Some(whole) = whole {
                self.with(world, slot, |station, now| station.merged(whole, now));
                self.perform(world, slot);
            }
        }
    }

    fn look_at(&mut self, world: &mut World, slot: usize) {
        let boot = world.slots[slot].boot;
        let Some(core) = &mut world.slots[slot].core else {
            if self.places[slot].take().is_some_and(|place| place.producing.is_some()) {
                self.ledger.counts.unknown += 1;
            }
            return;
        };
        let me = core.membership().me();
        let row = core.grid().row_of(SPACE, b"");
        let reign = row.and_then(|row| core.grid().reign(row));
        let view = core.membership().view().cloned();
        if self.places[slot].as_ref().is_none_or(|place| place.boot != boot) {
            core.grid_mut().watch(SPACE, Watched::Merges);
            let mut station = Station::new(me, SPACE, settings(), world.case.queue_rules());
            let giver = world.case.has_journals.then(|| {
                let seed = world.case.seed.wrapping_mul(31) + slot as u64;
                let node = world.slots[slot].node;
                let paper = self.papers.entry(node).or_insert_with(|| Paper::new(seed)).clone();
                let giver = Giver::new(&paper, world.now);
                let now = world.clock(slot);
                if let Some(core) = &mut world.slots[slot].core {
                    core.grid_mut().set_journal(SPACE, paper, now);
                }
                station.keep(now);
                giver
            });
            self.places[slot] = Some(Place {
                boot,
                station,
                seen: None,
                was_home: false,
                producing: None,
                produces_at: 0,
                consumer: None,
                held: Vec::new(),
                ending: BTreeMap::new(),
                asking: None,
                giver,
            });
            world.at(world.now + LOOK, Happening::Queue { slot, boot });
        }
        let seen = Some((me, view.as_ref().map(|view| view.epoch), reign));
        let Some(place) = self.places[slot].as_mut().filter(|place| place.seen != seen) else {
            return;
        };
        place.seen = seen;
        let salt = world.rng.u32(..);
        self.with(world, slot, |station, now| station.view(me, view.as_deref(), reign, salt, now));
        self.perform(world, slot);
    }

    /// Does what a station wants done.
    pub(super) fn perform(&mut self, world: &mut World, slot: usize) {
        while let Some(act) = self.places[slot].as_mut().and_then(|place| place.station.poll()) {
            match act {
                Act::Send { from, to, frame } => self.send(world, slot, (from, to), frame),
                Act::Led { id, reign, request } => {
                    self.next_id += 1;
                    let boot = world.slots[slot].boot;
                    self.asked.insert(self.next_id, (slot, boot, id));
                    let deadline = world.clock(slot) + Duration::from_secs(60);
                    let event = Event::Led { id: self.next_id, request, reign, deadline };
                    world.give(slot, event);
                }
                Act::Read { reading, reign, after } => {
                    let now = world.clock(slot);
                    let page = world.slots[slot].core.as_ref().and_then(|core| {
                        let row = core.grid().row_of(SPACE, b"")?;
                        core.grid().page_led(SPACE, row, reign, after, now)
                    });
                    self.with(world, slot, |station, now| station.read(reading, page, after, now));
                }
                Act::Done { call, answer } => self.done(world, slot, call, &answer),
                Act::Given { consumer, ticket, value } => {
                    self.given(world, slot, consumer, ticket, value);
                }
            }
        }
        let Some(place) = &mut self.places[slot] else { return };
        let is_home = place.station.is_home();
        if is_home != place.was_home {
            place.was_home = is_home;
            self.ledger.counts.homes += u64::from(is_home);
            let stats = place.station.stats();
            world.tell(|| format!("m{} is the queue's home: {is_home}, {stats:?}", slot + 1));
        }
    }

    fn send(
        &mut self,
        world: &mut World,
        slot: usize,
        (from, to): (MemberId, MemberId),
        frame: Frame,
    ) {
        if let Frame::Client(ToClient::Give { ticket, value, .. }) = &frame
            && let Some(number) = read(value.clone())
        {
            self.gives(world, number, *ticket);
        }
        let target = world.slot_of(to.node).filter(|to| world.is_up(*to));
        let link = target.filter(|to| !world.cut.contains(&(slot, *to)));
        let Some(target) = link else {
            // A link that is cut takes frames for a while.
            if target.is_none() || world.rng.bool() {
                self.with(world, slot, |station, now| station.not_sent(frame, to, now));
            }
            return;
        };
        let lives = [from, to].map(|id| id.incarnation);
        let address = Address { cache: SPACE.cache, from: lives[0], to: lives[1] };
        let mut bytes = Vec::new();
        frame.encode(address, &mut bytes);
        let delay = world.rng.u64(100..=world.weather.delay);
        let last = self.arrivals.entry((slot, target)).or_default();
        *last = (*last).max(world.now + delay);
        let boot = world.slots[target].boot;
        let said = Said { slot: target, boot, from: from.node, from_slot: slot, bytes };
        world.at(*last, Happening::Said(Box::new(said)));
    }

    /// A frame arrives, unless its link broke.
    pub fn hear(&mut self, world: &mut World, said: Box<Said>) {
        let slot = said.slot;
        let is_cut = world.cut.contains(&(said.from_slot, slot));
        if !world.is_life(slot, said.boot) || is_cut {
            return;
        }
        if let Some(later) = world.frozen(slot) {
            return world.at(later, Happening::Said(said));
        }
        match Frame::decode(&said.bytes) {
            Ok((address, frame)) => {
                let from = MemberId { node: said.from, incarnation: address.from };
                self.with(world, slot, |station, now| {
                    station.frame(from, address.to, frame, now);
                });
                self.perform(world, slot);
            }
            Err(error) => world.wrong.push(format!("a queue's frame cannot be read: {error}")),
        }
    }

    /// An answer of a core, if it is one to a station.
    pub fn answer(&mut self, world: &mut World, id: u64, reply: &Reply) -> bool {
        if !(FIRST_ID..FIRST_ID << 1).contains(&id) {
            return false;
        }
        if self.answer_giver(world, id, reply) {
            return true;
        }
        if let Some((slot, boot, write)) = self.asked.remove(&id)
            && world.is_life(slot, boot)
            && self.places[slot].as_ref().is_some_and(|place| place.boot == boot)
        {
            self.with(world, slot, |station, now| station.written(write, reply, now));
            self.perform(world, slot);
        }
        true
    }

    /// A home gives a message, here or to another machine.
    fn gives(&mut self, world: &mut World, number: u32, ticket: Ticket) {
        let is_strict = is_one(world);
        if let Some(wrong) = self.ledger.gives(number, ticket, is_strict) {
            world.wrong.push(wrong);
        }
    }

    /// A consumer gets a message.
    fn given(
        &mut self,
        world: &mut World,
        slot: usize,
        consumer: u64,
        ticket: Ticket,
        value: Bytes,
    ) {
        let Some(number) = read(value) else {
            return world.wrong.push("a message came that nobody published".into());
        };
        if self.places[slot].as_ref().is_some_and(|place| place.station.is_home()) {
            self.gives(world, number, ticket);
        }
        self.left = None;
        let is_strict = is_one(world);
        world.tell(|| format!("m{} gets message {number}, try {}", slot + 1, ticket.tries));
        if let Some(wrong) = self.ledger.given(number, ticket, is_strict) {
            world.wrong.push(wrong);
        }
        let Some(place) = &mut self.places[slot] else { return };
        if place.consumer == Some(consumer) {
            let at = world.now + world.rng.u64(0..250 * MS);
            place.held.push((at, consumer, ticket, number));
        }
    }
}

/// Whether there is one home at a time. Without a quorum members that have all ended may begin on two sides.
fn is_one(world: &World) -> bool {
    let case = &world.case;
    case.kind != Kind::Splits && (case.quorum.is_some() || !case.has_journals)
}

pub(super) fn read(value: Bytes) -> Option<u32> {
    let message = Message::read(value)?;
    Some(u32::from_le_bytes(message.body().try_into().ok()?))
}

fn settings() -> Settings {
    Settings {
        name: "/queue".to_owned(),
        most: 100_000,
        visibility: Duration::from_millis(1_500),
        most_tries: 100_000,
        dedup_window: DEADLINE * 2,
    }
}
