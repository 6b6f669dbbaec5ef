//! The primary's side of a request: check first, change after, answer when all owners have it.

use super::{Asker, Grid, Waiter};
use crate::batch::{Batch, Expect, LeaseWish, Put, Reply, Request, Rev};
use crate::lease;
use crate::merge::Policy;
use crate::message::Message;
use crate::segment::{Bytes, Group};
use crate::store::{Effect, Store};
use muster_cluster::{MemberId, Moment, RowId};
use std::collections::BTreeMap;
use std::time::Duration;

impl Grid {
    /// Whether an attempt comes for the first time. One that fell out of memory counts as seen: it
    /// is then not done, and its asker does not learn that.
    pub(super) fn is_new(&mut self, asker: Asker) -> bool {
        let most = self.limits.most_seen;
        if !self.view.as_ref().is_some_and(|view| view.has(asker.member)) {
            return false;
        }
        let seen = self.seen.entry(asker.member).or_default();
        if asker.attempt <= seen.floor || !seen.attempts.insert(asker.attempt) {
            return false;
        }
        while seen.attempts.len() > most {
            seen.floor = seen.attempts.pop_first().unwrap_or(0).max(seen.floor);
        }
        true
    }

    pub(super) fn answer(&mut self, asker: Asker, reply: Reply, now: Moment) {
        if asker.member.node == self.me.node {
            self.answered(None, asker.attempt, reply, now);
        } else {
            self.send(asker.member.node, Message::Answer { attempt: asker.attempt, reply });
        }
    }

    /// Does what is asked. Only at the primary, and only while no later epoch is promised.
    pub(super) fn execute(&mut self, asker: Asker, request: Request, now: Moment) {
        let Some(view) = self.view.clone() else { return self.answer(asker, Reply::Retry, now) };
        let group = request.group();
        let row = group.row(&view);
        let most_log = self.limits.most_log;
        let in_force = view.epoch == self.promised;
        match self.primary_of(row).filter(|_| in_force) {
            None => return self.answer(asker, Reply::Retry, now),
            Some((primary, _)) if primary.log.len() >= most_log => {
                return self.answer(asker, Reply::Busy, now);
            }
            Some(_) => {}
        }
        self.expire(row, &group, now);
        match request {
            Request::Get(group) | Request::GetLocal(group) => {
                self.read(asker, row, &group, now);
            }
            Request::Write(batch) => self.write(asker, row, batch, now),
            Request::Checkout { group, hold, confirm } => {
                self.checkout(asker, row, &group, hold, confirm, now);
            }
            Request::Release(group, fence) => {
                let released =
                    self.primary_of(row).is_some_and(|(p, _)| p.locks.release(&group, fence));
                let reply = if released { Reply::Released } else { Reply::Fenced };
                self.answer(asker, reply, now);
            }
            Request::Lease { name, wish } => self.lease_wish(asker, row, &name, wish, now),
            Request::Merge { group, entries } => self.merge(asker, row, &group, entries, now),
        }
    }

    /// A read waits until all owners have what it saw and say that this epoch is still theirs: a
    /// primary that was replaced without knowing it answers nothing.
    fn read(&mut self, asker: Asker, row: RowId, group: &Group, now: Moment) {
        let Some((_, store)) = self.primary_of(row) else { return };
        store.touch(group, now);
        let reply = Reply::Entries(store.entries(group));
        self.confirm(asker, row, reply, now);
    }

    /// Answers once it is certain that this member was still the primary.
    fn confirm(&mut self, asker: Asker, row: RowId, reply: Reply, now: Moment) {
        let point = self.append(row, None, now);
        self.wait(row, Waiter { point, asker, reply, otherwise: Reply::Retry }, now);
    }

    fn wait(&mut self, row: RowId, waiter: Waiter, now: Moment) {
        if let Some((primary, _)) = self.primary_of(row) {
            primary.waiters.push_back(waiter);
        }
        self.settle(row, now);
    }

    fn write(&mut self, asker: Asker, row: RowId, batch: Batch, now: Moment) {
        let Some((primary, store)) = self.primary_of(row) else { return };
        let rev = store.rev(&batch.group);
        let reply = match batch.under {
            Some(under) if !primary.locks.allows(&batch.group, under, rev, now) => {
                Some(Reply::Fenced)
            }
            None if primary.locks.of(&batch.group, now).is_some() => Some(Reply::Locked),
            _ => None,
        };
        if let Some(reply) = reply {
            return self.answer(asker, reply, now);
        }
        if let Some(at) = conflict(store, &batch) {
            return self.confirm(asker, row, Reply::Conflict { at }, now);
        }
        if batch.release
            && let Some((fence, _)) = batch.under
        {
            primary.locks.release(&batch.group, fence);
        }
        let puts: Vec<(Bytes, Option<Put>)> =
            batch.ops.into_iter().map(|op| (op.key, op.put)).collect();
        self.change(asker, row, batch.group, puts, now);
    }

    /// Writes, and answers with the new revision once all owners have it.
    fn change(
        &mut self,
        asker: Asker,
        row: RowId,
        group: Group,
        puts: Vec<(Bytes, Option<Put>)>,
        now: Moment,
    ) {
        self.stats.writes += 1;
        let rev = self.next_rev(row);
        let point = self.append(row, Some(Effect { group, rev, puts }), now);
        let reply = Reply::Written(rev);
        self.wait(row, Waiter { point, asker, reply, otherwise: Reply::Unknown }, now);
    }

    fn checkout(
        &mut self,
        asker: Asker,
        row: RowId,
        group: &Group,
        hold: Duration,
        confirm: bool,
        now: Moment,
    ) {
        let Some((primary, store)) = self.primary_of(row) else { return };
        if primary.locks.of(group, now).is_some() {
            return self.answer(asker, Reply::Locked, now);
        }
        store.touch(group, now);
        let entries = store.entries(group);
        let fence = primary.locks.give(group, asker.member, now.saturating_add(hold));
        let reply = Reply::Checkout { entries, fence };
        if !confirm {
            return self.answer(asker, reply, now);
        }
        // Where this member stops being the primary, the checkout is gone with it.
        self.confirm(asker, row, reply, now);
    }

    fn lease_wish(&mut self, asker: Asker, row: RowId, name: &Bytes, wish: LeaseWish, now: Moment) {
        let (lease, over) = (self.limits.lease, self.rules.lease_over);
        // With a quorum only the lease's end counts: a refused redial is no proof beyond a cut.
        let counts_death = self.view.as_ref().is_some_and(|view| view.electorate.quorum.is_none());
        let dead = self.dead.clone();
        let group = lease::group(name);
        let Some((primary, store)) = self.primary_of(row) else { return };
        let present = (store.entry(&group, lease::KEY))
            .and_then(|entry| Some((lease::read_holder(&entry.put.value)?, entry.rev)));
        let renewed = primary.renewed.get(name).copied().unwrap_or(primary.since);
        let is_over = |holder: MemberId| {
            over(now.saturating_sub(renewed), lease) || (counts_death && dead.contains(&holder))
        };
        match (wish, present) {
            (LeaseWish::Campaign, Some((holder, _)))
                if holder != asker.member && !is_over(holder) =>
            {
                self.answer(asker, Reply::Held(holder), now);
            }
            (LeaseWish::Campaign, Some((holder, token))) if holder == asker.member => {
                primary.renewed.insert(name.clone(), now);
                self.confirm(asker, row, Reply::Leased(token), now);
            }
            (LeaseWish::Campaign, _) => {
                primary.renewed.insert(name.clone(), now);
                let put = lease::holder(asker.member);
                self.take_lease(asker, row, group, Some(put), now);
            }
            (LeaseWish::Renew(token), Some((holder, present)))
                if token == present && holder == asker.member =>
            {
                primary.renewed.insert(name.clone(), now);
                self.confirm(asker, row, Reply::Leased(token), now);
            }
            (LeaseWish::Resign(token), Some((_, present))) if token == present => {
                primary.renewed.remove(name);
                self.take_lease(asker, row, group, None, now);
            }
            (LeaseWish::Renew(_) | LeaseWish::Resign(_), _) => {
                self.answer(asker, Reply::NotHeld, now);
            }
        }
    }

    fn take_lease(
        &mut self,
        asker: Asker,
        row: RowId,
        group: Group,
        put: Option<Put>,
        now: Moment,
    ) {
        let rev = self.next_rev(row);
        let puts = vec![(lease::KEY.into(), put)];
        let point = self.append(row, Some(Effect { group, rev, puts }), now);
        let (reply, otherwise) = (Reply::Leased(rev), Reply::Unknown);
        self.wait(row, Waiter { point, asker, reply, otherwise }, now);
    }

    fn merge(
        &mut self,
        asker: Asker,
        row: RowId,
        group: &Group,
        theirs: BTreeMap<Bytes, Put>,
        now: Moment,
    ) {
        let policy: Policy = self.policies.get(&group.space.cache).copied().unwrap_or_default();
        let Some((_, store)) = self.primary_of(row) else { return };
        let mut overridden = 0;
        let mut puts = Vec::new();
        for (key, put) in theirs {
            let ours = store.entry(group, &key);
            overridden += u64::from(ours.is_some_and(|ours| ours.put.value != put.value));
            if let Some(merged) = policy.merge(&key, ours, &put) {
                puts.push((key, Some(merged)));
            }
        }
        self.stats.merged += 1;
        self.stats.overridden += overridden;
        if puts.is_empty() {
            return self.answer(asker, Reply::Released, now);
        }
        self.change(asker, row, group.clone(), puts, now);
    }

    /// Entries of a group whose time is over go by a write like any other, before whatever is asked
    /// of the group: all owners agree, and nobody sees them come back.
    pub(super) fn expire(&mut self, row: RowId, group: &Group, now: Moment) {
        let Some((_, store)) = self.primary_of(row) else { return };
        let keys = store.expired(group, now);
        if keys.is_empty() {
            return;
        }
        self.stats.expired += keys.len() as u64;
        let rev = self.next_rev(row);
        let puts = keys.into_iter().map(|key| (key, None)).collect();
        self.append(row, Some(Effect { group: group.clone(), rev, puts }), now);
    }

    fn next_rev(&mut self, row: RowId) -> Rev {
        let epoch = self.view.as_ref().map_or(0, |view| view.epoch.counter);
        Rev { epoch, seq: self.primary_of(row).map_or(0, |(primary, _)| primary.last) + 1 }
    }
}

/// The first operation whose expectation does not hold.
fn conflict(store: &Store, batch: &Batch) -> Option<usize> {
    batch.ops.iter().position(|op| {
        let present = store.entry(&batch.group, &op.key).map(|entry| entry.rev);
        match op.expect {
            Expect::Any => false,
            Expect::Absent => present.is_some(),
            Expect::Rev(rev) => present != Some(rev),
        }
    })
}
