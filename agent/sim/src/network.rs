//! The network, and the failure detector that looks through it.

use crate::case::Mutation;
use crate::happening::{Happening, Packet};
use crate::world::{MS, Time, World};
use muster_cluster::MemberId;
use muster_grid::{Event, Wire, wire};
use std::sync::Arc;
use std::time::Duration;

const PING: Time = 150 * MS;

/// How the network is at the moment.
#[derive(Clone, Copy, Debug)]
pub struct Weather {
    /// Of 1,000 packets, so many are lost.
    pub loss: u32,
    /// And so many come twice.
    pub doubled: u32,
    /// A packet takes at least 100 us and at most so many.
    pub delay: Time,
}

impl World {
    /// Sends a packet through the weather.
    pub(crate) fn packet(&mut self, from: usize, to: usize, wire: Option<Wire>) {
        let Some(id) = self.slots[from].core.as_ref().map(|core| core.membership().me()) else {
            return;
        };
        let frame = wire.map(|wire| self.frame(&wire));
        let copies = 1 + u32::from(self.rng.u32(0..1_000) < self.weather.doubled);
        for _ in 0..copies {
            if self.rng.u32(0..1_000) < self.weather.loss {
                continue;
            }
            let mut delay = self.rng.u64(100..=self.weather.delay);
            if self.rng.u8(0..50) == 0 {
                delay *= self.rng.u64(2..10);
            }
            let boot = self.slots[to].boot;
            let frame = frame.clone();
            let packet = Packet { slot: to, boot, from: id, from_slot: from, frame };
            self.at(self.now + delay, Happening::Packet(Box::new(packet)));
        }
    }

    pub(crate) fn arrive(&mut self, packet: Box<Packet>) {
        let (slot, from) = (packet.slot, packet.from);
        if !self.is_life(slot, packet.boot) || self.cut.contains(&(packet.from_slot, slot)) {
            return;
        }
        if let Some(later) = self.frozen(slot) {
            return self.at(later, Happening::Packet(packet));
        }
        let now = self.clock(slot);
        self.slots[slot].heard.insert(from, now);
        if self.slots[slot].suspected.remove(&from) {
            self.give(slot, Event::Cluster(muster_cluster::Event::Alive(from)));
        }
        let Some(frame) = packet.frame else { return };
        match wire::decode(&frame) {
            Ok(wire) => self.give(slot, Event::Wire { from, wire }),
            Err(error) => self.wrong.push(format!("what {from} said cannot be read: {error}")),
        }
    }

    /// A cut ends: members whose connections it broke have others soon.
    pub(crate) fn mend(&mut self) {
        let (cut, soon) = (std::mem::take(&mut self.cut), self.now + 2 * MS);
        for (from, to) in cut {
            for (slot, other) in [(from, to), (to, from)] {
                let (boot, node) = (self.slots[slot].boot, self.slots[other].node);
                self.at(soon, Happening::Linked { slot, boot, node });
            }
        }
    }

    /// Members speak in bytes, as they do outside.
    fn frame(&mut self, wire: &Wire) -> Arc<[u8]> {
        let mut frame = Vec::new();
        if let Err(error) = wire::encode(wire, &mut frame) {
            self.wrong.push(format!("{wire:?} cannot be said: {error}"));
        }
        frame.into()
    }

    pub(crate) fn redialed(&self, slot: usize, id: MemberId) -> muster_cluster::Event {
        use muster_cluster::Event;
        let target = self.slots.iter().position(|other| other.node == id.node);
        let Some(target) = target else { return Event::RedialRefused(id) };
        if self.cut.contains(&(slot, target)) || self.cut.contains(&(target, slot)) {
            return Event::RedialUnanswered(id);
        }
        let life = self.slots[target].core.as_ref().map(|core| core.membership().me());
        if life == Some(id) { Event::RedialReached(id) } else { Event::RedialRefused(id) }
    }

    /// A plain failure detector: pings, and silence.
    pub(crate) fn detect(&mut self, slot: usize) {
        let Some(core) = &self.slots[slot].core else { return };
        let watched = core.membership().watched();
        let lives: Vec<MemberId> = (core.membership().view().iter())
            .flat_map(|view| view.members.iter().map(|member| member.id))
            .filter(|id| id.node != self.slots[slot].node)
            .collect();
        if self.now >= self.slots[slot].pinged + PING {
            self.slots[slot].pinged = self.now;
            for node in watched {
                if let Some(to) = self.slot_of(node) {
                    self.packet(slot, to, None);
                }
            }
        }
        let now = self.clock(slot);
        let patience = match self.case.mutation {
            Some(Mutation::DropLate) => Duration::from_millis(170),
            _ => self.case.detection,
        };
        let mut silent = Vec::new();
        let state = &mut self.slots[slot];
        for id in lives {
            let last = *state.heard.entry(id).or_insert(now);
            if now > last + patience && state.suspected.insert(id) {
                silent.push(id);
            }
        }
        for id in silent {
            self.tell(|| format!("m{} suspects {id}", slot + 1));
            self.give(slot, Event::Cluster(muster_cluster::Event::Suspect(id)));
        }
    }
}
