//! What clients ask.

use super::{CACHE, Clients, Doing, Expiry, LEASES, Tokened, bytes};
use crate::linear::Effect;
use crate::world::{MS, World};
use muster_grid::{Batch, Bytes, Expect, Fence, Group, LeaseWish, Op, Put, Request, Rev, Space};
use std::time::Duration;

impl Clients {
    /// A new value under some keys, on some conditions: (key, as asked, as the value it means).
    pub(super) fn put(
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

    pub(super) fn remove(&mut self, world: &mut World, at: usize) {
        self.write(world, at, vec![(0, None)], &[], None);
    }

    pub(super) fn write(
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

    pub(super) fn put_expiring(&mut self, world: &mut World, at: usize) {
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

    pub(super) fn campaign(&mut self, world: &mut World, at: usize) {
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

    /// A value, or its removal, under a token that is mostly the latest.
    pub(super) fn put_with_token(&mut self, world: &mut World, at: usize) {
        let value = self.next_value;
        self.next_value += 1;
        let token = u128::from(world.now / (400 * MS) + world.rng.u64(0..4));
        let put = (world.rng.u8(0..3) > 0).then(|| Put::new(&bytes(value)));
        let op = Op { key: bytes(0), expect: Expect::Any, put };
        let group = self.clients[at].group.clone();
        let batch = Batch { token: Some(token), ..Batch::new(group, vec![op]) };
        let tokened =
            Tokened { token, called: world.now, returned: None, rev: None, is_fenced: false };
        self.ask(world, at, Doing::Token(tokened), Request::Write(batch));
    }

    /// A page of the row of a group: from its beginning, or after some group.
    pub(super) fn scan(&mut self, world: &mut World, at: usize) {
        let group = self.clients[at].group.clone();
        let space = group.space;
        let view = (world.cores()).find_map(|(_, core)| core.membership().view().cloned());
        let Some(view) = view else { return };
        let row = group.row(&view);
        let mut others: Vec<Group> = (self.groups.iter().map(|(other, _)| other))
            .filter(|other| other.space == space && other.row(&view) == row)
            .cloned()
            .collect();
        others.sort_by_key(Group::place);
        let after = if world.rng.bool() { None } else { world.rng.choice(&others).cloned() };
        if let Some(after) = &after {
            others.retain(|other| other.place() > after.place());
        }
        let after = after.map(|after| after.name);
        let most = world.rng.u32(1..4);
        let request = Request::Scan { space: Space { cache: CACHE, ..space }, row, after, most };
        self.ask(world, at, Doing::Scan { groups: others }, request);
    }
}
