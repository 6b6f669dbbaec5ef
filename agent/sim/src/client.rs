//! What is asked of the cluster: registers, counters, sets, checkouts, leases and values with a
//! time to live, and the histories of all that.

use crate::happening::Happening;
use crate::linear::{Effect, Operation, State};
use crate::world::{MS, Time, World};
use muster_grid::batch::Entries;
use muster_grid::{Batch, Bytes, Event, Expect, Fence, Group, LeaseWish, Op, Put, Reply, Request};
use muster_grid::{Rev, Space};
use std::collections::BTreeMap;
use std::time::Duration;

/// The cache that clients use.
pub const CACHE: u32 = 7;
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
}

/// A put of a value that expires, or a read.
#[derive(Clone, Copy, Debug)]
pub struct Expiry {
    /// When it was called.
    pub called: Time,
    /// When it returned, if its end is known.
    pub returned: Option<Time>,
    /// The value put or seen; none for a read that saw nothing.
    pub value: Option<u32>,
    /// The time to live of a put; none for a read.
    pub ttl: Option<Time>,
}

/// A commit under a checkout.
#[derive(Clone, Copy, Debug)]
pub struct Commit {
    /// The group's revision after it.
    pub rev: Rev,
    /// The checkout's fence.
    pub fence: Fence,
}

/// A checkout that was confirmed.
#[derive(Clone, Copy, Debug)]
pub struct Confirmed {
    /// When it was called.
    pub called: Time,
    /// When it returned.
    pub returned: Time,
    /// Its fence.
    pub fence: Fence,
}

/// Everything that clients saw.
#[derive(Default)]
pub struct Histories {
    /// Linearizable groups.
    pub groups: BTreeMap<Group, Vec<Operation>>,
    /// Values with a time to live.
    pub expiring: BTreeMap<Group, Vec<Expiry>>,
    /// Commits under checkouts.
    pub commits: BTreeMap<Group, Vec<Commit>>,
    /// Confirmed checkouts.
    pub confirmed: BTreeMap<Group, Vec<Confirmed>>,
    /// What was seen by reads that may be old.
    pub local: Vec<(Group, Time, State)>,
    /// Acknowledged changes.
    pub acknowledged: u64,
    /// Leases that were given.
    pub leases: u64,
}

enum Doing {
    Nothing,
    Read { sort: Sort, then_cas: bool },
    LocalRead,
    Write { effect: Effect, fence: Option<Fence> },
    Checkout { confirm: bool },
    Expiring(Expiry),
    Lease { name: Bytes },
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
        ];
        for (name, table, sort) in sorts {
            let name = format!("{name}{}", world.rng.u16(0..1000));
            groups.push((Group::new(Space { table, cache: CACHE }, name.as_bytes()), sort));
        }
        let count = world.slots.len();
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

    /// Answers that came.
    pub fn answers(&mut self, world: &mut World) {
        while !world.replies.is_empty() {
            for (id, reply) in std::mem::take(&mut world.replies) {
                let at = self
                    .clients
                    .iter()
                    .position(|client| client.id == id && !matches!(client.doing, Doing::Nothing));
                if let Some(at) = at {
                    self.ends(world, at, &reply);
                }
            }
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
        let (group, sort) = self.groups[world.rng.usize(0..self.groups.len())].clone();
        self.clients[at].group = group.clone();
        let roll = world.rng.u8(0..100);
        match (sort, roll) {
            (Sort::Expiring, _) if at == 0 && roll < 50 => self.put_expiring(world, at),
            (Sort::Expiring, _) => {
                let read = Expiry { called: world.now, returned: None, value: None, ttl: None };
                self.ask(world, at, Doing::Expiring(read), Request::Get(group));
            }
            (_, 0..10) => self.ask(world, at, Doing::LocalRead, Request::GetLocal(group)),
            (_, 10..35) => {
                self.ask(world, at, Doing::Read { sort, then_cas: false }, Request::Get(group));
            }
            (Sort::Register, 35..60) => self.put(world, at, vec![0], Vec::new()),
            (Sort::Register, 60..70) => self.put(world, at, vec![0, 1], Vec::new()),
            (Sort::Register, 70..76) => self.remove(world, at),
            (Sort::Register, 76..82) => {
                self.put(world, at, vec![0], vec![(0, Expect::Absent, None)])
            }
            (Sort::Register, _) | (Sort::Counter, 35..60) => {
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

    /// A new value under some keys, on some conditions: (key, as asked, as the value it means).
    fn put(
        &mut self,
        world: &mut World,
        at: usize,
        keys: Vec<u32>,
        expect: Vec<(u32, Expect, Option<u32>)>,
    ) {
        let value = self.next_value;
        self.next_value += 1;
        let puts = keys.into_iter().map(|key| (key, Some(value))).collect();
        self.write(world, at, puts, &expect, None);
    }

    fn remove(&mut self, world: &mut World, at: usize) {
        self.write(world, at, vec![(0, None)], &[], None);
    }

    fn write(
        &mut self,
        world: &mut World,
        at: usize,
        puts: Vec<(u32, Option<u32>)>,
        expect: &[(u32, Expect, Option<u32>)],
        under: Option<(Fence, Rev)>,
    ) {
        let stamp = world.now / MS;
        let ops = (puts.iter())
            .map(|(key, value)| Op {
                key: bytes(*key),
                expect: (expect.iter().find(|(of, ..)| of == key))
                    .map_or(Expect::Any, |(_, expect, _)| *expect),
                put: value.map(|value| Put { stamp, ..Put::new(&bytes(value)) }),
            })
            .collect();
        let expect = expect.iter().map(|(key, _, value)| (*key, *value)).collect();
        let group = self.clients[at].group.clone();
        let batch = Batch { under, release: under.is_some(), ..Batch::new(group, ops) };
        let fence = under.map(|(fence, _)| fence);
        let doing = Doing::Write { effect: Effect::Write { expect, puts }, fence };
        self.ask(world, at, doing, Request::Write(batch));
    }

    fn put_expiring(&mut self, world: &mut World, at: usize) {
        let value = self.next_value;
        self.next_value += 1;
        let ttl = world.rng.u64(300..1_500);
        let put =
            Expiry { called: world.now, returned: None, value: Some(value), ttl: Some(ttl * MS) };
        let ttl = Some(Duration::from_millis(ttl));
        let ops = vec![Op {
            key: bytes(0),
            expect: Expect::Any,
            put: Some(Put { ttl, ..Put::new(&bytes(value)) }),
        }];
        let batch = Batch::new(self.clients[at].group.clone(), ops);
        self.ask(world, at, Doing::Expiring(put), Request::Write(batch));
    }

    fn campaign(&mut self, world: &mut World, at: usize) {
        let home = self.clients[at].home;
        let name = LEASES[world.rng.usize(0..LEASES.len())];
        let now = world.clock(home);
        let Some(core) = &world.slots[home].core else { return };
        let wish = match core.grid().lease(name, now) {
            Some(token) if world.rng.u8(0..20) == 0 => LeaseWish::Resign(token),
            Some(token) => LeaseWish::Renew(token),
            None => LeaseWish::Campaign,
        };
        let name: Bytes = name.into();
        self.ask(world, at, Doing::Lease { name: name.clone() }, Request::Lease { name, wish });
    }

    /// What an answer says, and what the client does next.
    fn ends(&mut self, world: &mut World, at: usize, reply: &Reply) {
        let client = &mut self.clients[at];
        let doing = std::mem::replace(&mut client.doing, Doing::Nothing);
        let (called, returned, group) = (client.called, world.now, client.group.clone());
        match (doing, reply) {
            (Doing::Read { sort, then_cas }, Reply::Entries(entries)) => {
                self.record(at, called, Some(returned), Effect::Read(state(entries)));
                if then_cas && !self.stopped {
                    self.conditional(world, at, sort, entries);
                }
            }
            (Doing::LocalRead, Reply::Entries(entries)) => {
                self.histories.local.push((group, returned, state(entries)));
            }
            (Doing::Checkout { confirm }, Reply::Checkout { entries, fence }) => {
                if confirm {
                    self.record(at, called, Some(returned), Effect::Read(state(entries)));
                    let confirmed = Confirmed { called, returned, fence: *fence };
                    self.histories.confirmed.entry(group).or_default().push(confirmed);
                }
                if !self.stopped {
                    let seen = state(entries).get(&0).copied();
                    let puts = vec![(0, Some(seen.unwrap_or(0) + 1))];
                    // Under a checkout no expectation is spoken; it must hold all the same.
                    let expect = (0, Expect::Any, seen);
                    self.write(world, at, puts, &[expect], Some((*fence, entries.rev)));
                }
            }
            (Doing::Write { effect, fence }, Reply::Written(rev)) => {
                self.record(at, called, Some(returned), effect);
                self.histories.acknowledged += 1;
                if let Some(fence) = fence {
                    let commit = Commit { rev: *rev, fence };
                    self.histories.commits.entry(group).or_default().push(commit);
                }
            }
            (Doing::Write { effect: Effect::Write { expect, .. }, .. }, Reply::Conflict { .. }) => {
                self.record(at, called, Some(returned), Effect::Conflict { expect });
            }
            (Doing::Write { effect, .. }, Reply::Unknown) => {
                self.record(at, called, None, effect);
            }
            (Doing::Expiring(mut put), Reply::Written(_)) => {
                put.returned = Some(returned);
                self.histories.expiring.entry(group).or_default().push(put);
            }
            (Doing::Expiring(mut read), Reply::Entries(entries)) => {
                read.returned = Some(returned);
                read.value = state(entries).get(&0).copied();
                self.histories.expiring.entry(group).or_default().push(read);
            }
            (Doing::Expiring(put), Reply::Unknown) => {
                self.histories.expiring.entry(group).or_default().push(put);
            }
            (Doing::Lease { name }, Reply::Leased(token)) => {
                self.histories.leases += 1;
                let who = self.clients[at].home + 1;
                let name = String::from_utf8_lossy(&name).into_owned();
                world.tell(|| format!("m{who} has lease {name} with token {token:?}"));
            }
            // Certain not to have happened, or a read that saw nothing.
            _ => {}
        }
    }

    fn conditional(&mut self, world: &mut World, at: usize, sort: Sort, entries: &Entries) {
        let seen = entries.entries.get(&bytes(0));
        let value = seen.map(|(value, _)| number(value));
        let asked = seen.map_or(Expect::Absent, |(_, rev)| Expect::Rev(*rev));
        let expect = vec![(0, asked, value)];
        if sort == Sort::Counter {
            let puts = vec![(0, Some(value.unwrap_or(0) + 1))];
            self.write(world, at, puts, &expect, None);
        } else {
            self.put(world, at, vec![0], expect);
        }
    }

    fn record(&mut self, at: usize, called: Time, returned: Option<Time>, effect: Effect) {
        let client = &self.clients[at];
        let who = format!("client {at} at m{}", client.home + 1);
        let operation = Operation { called, returned, effect, who };
        self.histories.groups.entry(client.group.clone()).or_default().push(operation);
    }

    /// At the end every client reads groups, so that each is read at least once on a machine that
    /// is not its primary. False when all has been read.
    pub fn read_all(&mut self, world: &mut World) -> bool {
        let groups: Vec<(Group, Sort)> =
            self.groups.iter().filter(|(_, sort)| *sort != Sort::Expiring).cloned().collect();
        let Some((group, sort)) = groups.get(self.round).cloned() else { return false };
        self.round += 1;
        for at in 0..world.slots.len() {
            self.clients[at].home = at;
            self.clients[at].group = group.clone();
            let doing = Doing::Read { sort, then_cas: false };
            self.ask(world, at, doing, Request::Get(group.clone()));
            // Its machine may still leave and come back.
            world.at(world.now + 200 * MS, Happening::Client { client: at });
        }
        true
    }
}

fn bytes(number: u32) -> Bytes {
    number.to_be_bytes().as_slice().into()
}

fn number(bytes: &[u8]) -> u32 {
    bytes.try_into().map_or(u32::MAX, u32::from_be_bytes)
}

fn state(entries: &Entries) -> State {
    (entries.entries.iter()).map(|(key, (value, _))| (number(key), number(value))).collect()
}
