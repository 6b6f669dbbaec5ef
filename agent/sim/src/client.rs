//! What is asked of the cluster: registers, counters, sets, checkouts, leases and values with a
//! time to live, tokens, pages, and the histories of all that.

mod ends;
mod history;
mod writes;

pub use history::{Commit, Confirmed, Expiry, Histories, Tokened};

use crate::happening::Happening;
use crate::linear::{Effect, State};
use crate::world::{MS, Time, World};
use muster_grid::batch::Entries;
use muster_grid::{Bytes, Event, Expect, Fence, Group, Reply, Request, Space};
use std::time::Duration;

/// The cache that clients use.
pub const CACHE: u32 = 7;
/// Groups that are asked for more than others, by their place among the groups.
const BUSY: [usize; 5] = [3, 3, 3, 3, 7];
/// Names of leases that all members campaign for.
pub const LEASES: [&[u8]; 2] = [b"lease-a", b"lease-b"];

/// What a group is for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Sort {
    /// Puts, conditional puts, removals, pairs.
    Register,
    /// Increments, under a checkout or by a revision.
    Counter,
    /// Keys that are only added.
    Set,
    /// One writer, and values that expire.
    Expiring,
    /// Values written, and removed, under tokens.
    Token,
}

enum Doing {
    Nothing,
    Read {
        sort: Sort,
        then_cas: bool,
    },
    LocalRead,
    Write {
        effect: Effect,
        fence: Option<Fence>,
    },
    Checkout {
        confirm: bool,
    },
    Expiring(Expiry),
    Lease {
        name: Bytes,
    },
    Token(Tokened),
    /// The groups that the page can say something about.
    Scan {
        groups: Vec<Group>,
    },
}

struct Client {
    home: usize,
    boot: u32,
    is_agent: bool,
    doing: Doing,
    group: Group,
    id: u64,
    called: Time,
}

/// All clients.
pub struct Clients {
    clients: Vec<Client>,
    groups: Vec<(Group, Sort)>,
    /// What they saw.
    pub histories: Histories,
    next_id: u64,
    next_value: u32,
    /// They begin nothing new.
    pub stopped: bool,
    round: usize,
}

impl Clients {
    /// Two clients and a lease's agent on each machine.
    pub fn new(world: &mut World) -> Self {
        let mut groups = Vec::new();
        let sorts = [
            ("r", 0, Sort::Register),
            ("s", 0, Sort::Register),
            ("t", 1, Sort::Register),
            ("c", 0, Sort::Counter),
            ("d", 1, Sort::Counter),
            ("set", 0, Sort::Set),
            ("all", 1, Sort::Set),
            ("ttl", 0, Sort::Expiring),
            ("tok", 0, Sort::Token),
        ];
        for (name, table, sort) in sorts {
            let name = format!("{name}{}", world.rng.u16(0..1000));
            groups.push((Group::new(Space { table, cache: CACHE }, name.as_bytes()), sort));
        }
        // What they wrote would be gone with all members.
        let count = if world.case.has_journals { 0 } else { world.slots.len() };
        let clients: Vec<Client> = (0..count * 3)
            .map(|at| Client {
                home: at % count,
                boot: 0,
                is_agent: at >= count * 2,
                doing: Doing::Nothing,
                group: groups[0].0.clone(),
                id: 0,
                called: 0,
            })
            .collect();
        for client in 0..clients.len() {
            let begin = world.rng.u64(500 * MS..2_500 * MS);
            world.at(begin, Happening::Client { client });
        }
        Self {
            clients,
            groups,
            histories: Histories::default(),
            next_id: 1,
            next_value: 1,
            stopped: false,
            round: 0,
        }
    }

    /// Whether nothing is under way.
    #[must_use]
    pub fn are_idle(&self) -> bool {
        self.clients.iter().all(|client| matches!(client.doing, Doing::Nothing))
    }

    /// The groups that are checked.
    pub fn groups(&self) -> impl Iterator<Item = &(Group, Sort)> {
        self.groups.iter()
    }

    /// A client goes on: it gives up on a process that died, or begins something.
    pub fn wake(&mut self, world: &mut World, at: usize) {
        let client = &self.clients[at];
        if !matches!(client.doing, Doing::Nothing) {
            let slot = &world.slots[client.home];
            if slot.core.is_none() || slot.boot != client.boot {
                self.ends(world, at, &Reply::Unknown);
            }
        } else if !self.stopped {
            self.begin(world, at);
        }
        if !self.stopped || !matches!(self.clients[at].doing, Doing::Nothing) {
            let busy = !matches!(self.clients[at].doing, Doing::Nothing);
            let pause = if busy { 200 * MS } else { world.rng.u64(MS..250 * MS) };
            world.at(world.now + pause, Happening::Client { client: at });
        }
    }

    /// Answers that came, where nobody else waits for any.
    pub fn answers(&mut self, world: &mut World) {
        while !world.replies.is_empty() {
            for (id, reply) in std::mem::take(&mut world.replies) {
                self.answer(world, id, &reply);
            }
        }
    }

    /// An answer that came.
    pub fn answer(&mut self, world: &mut World, id: u64, reply: &Reply) {
        let at = self
            .clients
            .iter()
            .position(|client| client.id == id && !matches!(client.doing, Doing::Nothing));
        if let Some(at) = at {
            self.ends(world, at, reply);
        }
    }

    fn begin(&mut self, world: &mut World, at: usize) {
        if self.clients[at].is_agent {
            return self.campaign(world, at);
        }
        let home = self.clients[at].home;
        if !world.is_up(home) || world.rng.u8(0..10) == 0 {
            let up: Vec<usize> = world.cores().map(|(at, _)| at).collect();
            let Some(other) = world.rng.choice(&up) else { return };
            self.clients[at].home = *other;
        }
        // Some groups are asked for more than others: what waits for what must meet.
        let of = world.rng.usize(0..self.groups.len() + BUSY.len());
        let of = of.checked_sub(self.groups.len()).map_or(of, |busy| BUSY[busy]);
        let (group, sort) = self.groups[of].clone();
        self.clients[at].group = group.clone();
        let roll = world.rng.u8(0..100);
        match (sort, roll) {
            (Sort::Expiring, _) if at == 0 && roll < 50 => self.put_expiring(world, at),
            (Sort::Expiring, _) => {
                let read = Expiry { called: world.now, returned: None, value: None, ttl: None };
                self.ask(world, at, Doing::Expiring(read), Request::Get(group));
            }
            (Sort::Token, _) => self.put_with_token(world, at),
            (_, 0..10) => self.ask(world, at, Doing::LocalRead, Request::GetLocal(group)),
            (_, 10..16) => self.scan(world, at),
            (_, 16..35) => {
                self.ask(world, at, Doing::Read { sort, then_cas: false }, Request::Get(group));
            }
            (Sort::Register, 35..60) => self.put(world, at, vec![0], Vec::new()),
            (Sort::Register, 60..70) => self.put(world, at, vec![0, 1], Vec::new()),
            (Sort::Register, 70..76) => self.remove(world, at),
            (Sort::Register, 76..82) => {
                self.put(world, at, vec![0], vec![(0, Expect::Absent, None)])
            }
            (Sort::Register, 82..88) => {
                self.put(world, at, vec![0, 1], vec![(1, Expect::Absent, None)])
            }
            (Sort::Register, _) | (Sort::Counter, 35..50) => {
                self.ask(world, at, Doing::Read { sort, then_cas: true }, Request::Get(group));
            }
            (Sort::Counter, _) => {
                let confirm = world.rng.bool();
                let hold = Duration::from_millis(world.rng.u64(50..1_500));
                let wait = Duration::from_millis(world.rng.u64(0..1_500));
                let request = Request::Checkout { group, hold, confirm, wait };
                self.ask(world, at, Doing::Checkout { confirm }, request);
            }
            (Sort::Set, _) => {
                let key = self.next_value;
                self.put(world, at, vec![key], vec![(key, Expect::Absent, None)]);
            }
        }
    }

    fn ask(&mut self, world: &mut World, at: usize, doing: Doing, request: Request) {
        let client = &mut self.clients[at];
        client.id = self.next_id;
        self.next_id += 1;
        client.called = world.now;
        client.doing = doing;
        client.boot = world.slots[client.home].boot;
        let (id, home) = (client.id, client.home);
        let deadline = world.clock(home) + Duration::from_millis(world.rng.u64(300..2_500));
        world.give(home, Event::Request { id, request, deadline });
    }
}

pub(crate) fn bytes(number: u32) -> Bytes {
    number.to_be_bytes().as_slice().into()
}

pub(crate) fn number(bytes: &[u8]) -> u32 {
    bytes.try_into().map_or(u32::MAX, u32::from_be_bytes)
}

pub(crate) fn state(entries: &Entries) -> State {
    (entries.entries.iter()).map(|(key, (value, _))| (number(key), number(value))).collect()
}
