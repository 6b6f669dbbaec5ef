//! What answers say, and what clients do next.

use super::{Clients, Commit, Confirmed, Doing, Sort, Tokened, bytes, number, state};
use crate::happening::Happening;
use crate::linear::{Effect, Operation, State};
use crate::world::{MS, Time, World};
use muster_grid::batch::Entries;
use muster_grid::{Bytes, Expect, Group, Reply, Request};

impl Clients {
    /// What an answer says, and what the client does next.
    pub(super) fn ends(&mut self, world: &mut World, at: usize, reply: &Reply) {
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
            (Doing::Token(tokened), reply) => self.note_token(group, tokened, returned, reply),
            (Doing::Scan { groups }, Reply::Groups { groups: seen, is_last }) => {
                self.note_page(at, called, returned, &groups, seen, *is_last);
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

    pub(super) fn note_token(
        &mut self,
        group: Group,
        tokened: Tokened,
        returned: Time,
        reply: &Reply,
    ) {
        let (rev, is_fenced) = match reply {
            Reply::Written(rev) => {
                self.histories.acknowledged += 1;
                (Some(*rev), false)
            }
            Reply::Fenced => (None, true),
            Reply::Unknown => (None, false),
            // Certain not to have happened.
            _ => return,
        };
        let returned = (rev.is_some() || is_fenced).then_some(returned);
        let tokened = Tokened { returned, rev, is_fenced, ..tokened };
        self.histories.tokens.entry(group).or_default().push(tokened);
    }

    /// Every group of a page is read, and so is every group that the page leaves out before its
    /// end.
    pub(super) fn note_page(
        &mut self,
        at: usize,
        called: Time,
        returned: Time,
        groups: &[Group],
        seen: &[(Bytes, Entries)],
        is_last: bool,
    ) {
        let end = if is_last { None } else { seen.last().map(|(name, _)| name.clone()) };
        let own = self.clients[at].group.clone();
        for group in groups {
            let found = seen.iter().find(|(name, _)| *name == group.name);
            let is_checked = self.groups.iter().any(|(other, sort)| {
                other == group && !matches!(sort, Sort::Expiring | Sort::Token)
            });
            if is_checked {
                self.clients[at].group = group.clone();
                let read = found.map_or_else(State::new, |(_, entries)| state(entries));
                self.record(at, called, Some(returned), Effect::Read(read));
            }
            if end.as_ref() == Some(&group.name) {
                break;
            }
        }
        self.clients[at].group = own;
    }

    pub(super) fn conditional(
        &mut self,
        world: &mut World,
        at: usize,
        sort: Sort,
        entries: &Entries,
    ) {
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

    pub(super) fn record(
        &mut self,
        at: usize,
        called: Time,
        returned: Option<Time>,
        effect: Effect,
    ) {
        let client = &self.clients[at];
        let who = format!("client {at} at m{}", client.home + 1);
        let operation = Operation { called, returned, effect, who };
        self.histories.groups.entry(client.group.clone()).or_default().push(operation);
    }

    /// At the end every client reads groups, so that each is read at least once on a machine that
    /// is not its primary. False when all has been read.
    pub fn read_all(&mut self, world: &mut World) -> bool {
        let is_checked = |sort: &Sort| !matches!(sort, Sort::Expiring | Sort::Token);
        let groups: Vec<(Group, Sort)> =
            self.groups.iter().filter(|(_, sort)| is_checked(sort)).cloned().collect();
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
