//! A world without faults or clients, and words for what is asked in it.

use muster_cluster::View;
use muster_cluster::message::Wish;
use muster_grid::{Batch, Core, Event, Expect, Group, Op, Put, Reply, Request, Space};
use muster_sim::network::Weather;
use muster_sim::world::{MS, World};
use muster_sim::{Case, Kind};
use std::sync::Arc;
use std::time::Duration;

const GROUP: &[u8] = b"g";

/// A world without faults or clients.
pub(crate) struct Calm {
    pub(crate) world: World,
    next_id: u64,
}

impl Calm {
    pub(crate) fn new(members: usize, quorum: Option<u16>) -> Self {
        let case = Case {
            kind: if quorum.is_some() { Kind::Quorum } else { Kind::Splits },
            quorum,
            segments: 16,
            copies: 2,
            ..Case::of(1, Some(members), quorum)
        };
        Self::of(case)
    }

    pub(crate) fn of(case: Case) -> Self {
        let mut world = World::new(case, false);
        world.weather = Weather { loss: 0, doubled: 0, delay: 2 * MS };
        Self { world, next_id: 1 }
    }

    pub(crate) fn wait(&mut self, ms: u64) {
        let until = self.world.now + ms * MS;
        while self.world.now < until {
            let happening = self.world.next_happening().expect("timers never end");
            self.world.happen(happening);
        }
    }

    pub(crate) fn members_at(&self, slot: usize) -> usize {
        let core = self.world.slots[slot].core.as_ref();
        core.and_then(|core| core.membership().view()).map_or(0, |view| view.members.len())
    }

    /// Asks, and does not wait.
    pub(crate) fn begin(&mut self, slot: usize, request: Request) -> u64 {
        let id = self.next_id;
        self.next_id += 1;
        let deadline = self.world.clock(slot) + Duration::from_secs(2);
        self.world.give(slot, Event::Request { id, request, deadline });
        id
    }

    /// The answer, if it is there.
    pub(crate) fn answer(&mut self, id: u64) -> Option<Reply> {
        let at = self.world.replies.iter().position(|(of, _)| *of == id)?;
        Some(self.world.replies.remove(at).1)
    }

    pub(crate) fn end(&mut self, id: u64) -> Reply {
        for _ in 0..300 {
            if let Some(reply) = self.answer(id) {
                return reply;
            }
            self.wait(10);
        }
        unreachable!("every request is answered by its deadline");
    }

    pub(crate) fn ask(&mut self, slot: usize, request: Request) -> Reply {
        let id = self.begin(slot, request);
        self.end(id)
    }

    pub(crate) fn core(&self, slot: usize) -> &Core {
        self.world.slots[slot].core.as_ref().expect("it runs")
    }

    pub(crate) fn view(&self, slot: usize) -> Arc<View> {
        self.core(slot).membership().view().expect("it has a view").clone()
    }

    /// The machine that leads a group.
    pub(crate) fn primary(&self, group: &Group) -> usize {
        let view = self.view(0);
        let primary = view.primary(group.row(&view)).expect("the group has a primary");
        let is_it = |slot: &usize| self.world.slots[*slot].node == primary.node;
        (0..self.world.slots.len()).find(is_it).expect("it is one of the machines")
    }

    pub(crate) fn put(&mut self, slot: usize, key: &[u8], value: &[u8], stamp: u64) -> Reply {
        let put = Some(Put { stamp, ..Put::new(value) });
        let ops = vec![Op { key: key.into(), expect: Expect::Any, put }];
        self.ask(slot, Request::Write(Batch::new(group(), ops)))
    }

    pub(crate) fn get(&mut self, slot: usize, key: &[u8]) -> Option<Vec<u8>> {
        let Reply::Entries(entries) = self.ask(slot, Request::Get(group())) else {
            unreachable!("a calm world answers every read");
        };
        entries.entries.get(key).map(|(value, _)| value.to_vec())
    }

    pub(crate) fn cut_off(&mut self, alone: usize) {
        self.cut_off_together(&[alone]);
    }

    /// These see each other, and nobody else.
    pub(crate) fn cut_off_together(&mut self, these: &[usize]) {
        for other in (0..self.world.slots.len()).filter(|other| !these.contains(other)) {
            for one in these {
                self.world.cut.extend([(*one, other), (other, *one)]);
            }
        }
    }

    pub(crate) fn wish(&mut self, slot: usize, wish: Wish) {
        self.world.give(slot, Event::Cluster(muster_cluster::Event::Wish(wish)));
    }

    pub(crate) fn quorum_at(&self, slot: usize) -> Option<u16> {
        let core = self.world.slots[slot].core.as_ref().expect("it runs");
        core.membership().view().expect("it has a view").electorate.quorum
    }
}

pub(crate) fn group() -> Group {
    Group::new(Space { table: 0, cache: 1 }, GROUP)
}
