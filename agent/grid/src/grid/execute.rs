//! The primary's side of a request: check first, change after, answer when all owners have it.

use super::seen::Seen;
use super::{Asker, Grid};
use crate::batch::{Batch, Expect, Reply, Request, Rev};
use crate::message::Message;
use crate::segment::Group;
use crate::store::{Effect, Puts, Store};
use muster_cluster::{Moment, RowId};

impl Grid {
    /// Whether an attempt of a member comes for the first time. One that fell out of memory counts
    /// as seen: it is then not done.
    pub(super) fn is_new(&mut self, asker: Asker) -> bool {
        let most = self.limits.most_seen;
        let seen = self.seen.entry(asker.member).or_insert_with(|| Seen::new(most));
        seen.is_new(asker.attempt)
    }

    pub(super) fn answer(&mut self, asker: Asker, reply: Reply, now: Moment) {
        if asker.member.node == self.me.node {
            self.answered(None, asker.attempt, reply, now);
        } else {
            let Asker { member, attempt } = asker;
            self.send(member.node, Message::Answer { attempt, life: member.incarnation, reply });
        }
    }

    /// Does what is asked. Only at the primary, and only while no later epoch is promised.
    pub(super) fn execute(&mut self, asker: Asker, request: &Request, now: Moment) {
        let Some(view) = &self.view else { return self.answer(asker, Reply::Retry, now) };
        let row = request.row(view);
        let most_log = self.limits.most_log;
        let in_force = self.is_in_force();
        match self.primary_of(row).filter(|_| in_force) {
            None => return self.answer(asker, Reply::Retry, now),
            Some((primary, _)) if primary.log.len() >= most_log => {
                return self.answer(asker, Reply::Busy, now);
            }
            Some(_) => {}
        }
        // What cannot be read is not "nothing": it did not happen, and may be asked again.
        if let Some(group) = request.group()
            && self.warm(row, group, now).is_err()
        {
            self.want(row, group.place(), now);
            return self.answer(asker, Reply::Retry, now);
        }
        match request {
            Request::Get(group) | Request::GetLocal(group) => self.read(asker, row, group, now),
            Request::Write(batch) => self.write(asker, row, batch, now),
            Request::Checkout { .. } => self.checkout(asker, row, request, now),
            Request::Release(group, fence) => self.release(asker, row, group, *fence, now),
            Request::Lease { name, wish } => self.lease_wish(asker, row, name, *wish, now),
            Request::Merge { group, entries, token } => {
                self.merge(asker, row, group, entries, *token, now);
            }
            Request::Scan { space, after, most, .. } => {
                self.scan(asker, row, *space, after.as_ref(), *most, now);
            }
        }
    }

    /// A read waits until all owners have what it saw and say that this epoch is still theirs: a
    /// primary that was replaced without knowing it answers nothing.
    fn read(&mut self, asker: Asker, row: RowId, group: &Group, now: Moment) {
        self.expire(row, group, now);
        let Some((_, store)) = self.primary_of(row) else { return };
        store.touch(group, now);
        // What is over may still be there for whoever has checked the group out.
        let reply = Reply::Entries(store.entries_at(group, now));
        self.confirm(asker, row, reply, now);
    }

    /// Answers once it is certain that this member was still the primary.
    pub(super) fn confirm(&mut self, asker: Asker, row: RowId, reply: Reply, now: Moment) {
        let point = self.append(row, None, now);
        self.wait(row, point, asker, reply, false, now);
    }

    fn write(&mut self, asker: Asker, row: RowId, batch: &Batch, now: Moment) {
        self.expire(row, &batch.group, now);
        let stands = self.rules.commits;
        let Some((primary, store)) = self.primary_of(row) else { return };
        let place = batch.group.place();
        let is_old = batch.token.is_some_and(|token| token < store.token(&batch.group));
        let reply = match batch.under {
            _ if is_old => Some(Reply::Fenced),
            Some(under) => {
                let rev = store.rev(&batch.group);
                let is_held = primary.locks.allows(place, under, rev, now);
                (!stands(is_held)).then_some(Reply::Fenced)
            }
            None => primary.locks.of(place, now).map(|_| Reply::Locked),
        };
        if let Some(reply) = reply {
            self.stats.fenced += u64::from(is_old);
            return self.answer(asker, reply, now);
        }
        if let Some(at) = conflict(store, batch) {
            return self.confirm(asker, row, Reply::Conflict { at }, now);
        }
        let ends = batch.under.filter(|_| batch.release);
        let ended = ends.is_some_and(|(fence, _)| primary.locks.release(place, fence, now));
        let puts: Puts = batch.ops.iter().map(|op| (op.key.clone(), op.put.clone())).collect();
        self.change(asker, row, &batch.group, puts, batch.token.unwrap_or(0), now);
        if ended {
            self.grant(row, place, now);
        }
    }

    /// Writes, and answers with the new revision once all owners have it.
    pub(super) fn change(
        &mut self,
        asker: Asker,
        row: RowId,
        group: &Group,
        puts: Puts,
        token: u128,
        now: Moment,
    ) {
        self.stats.writes += 1;
        let rev = self.next_rev(row);
        let effect = Effect { group: group.clone(), rev, token, is_expiry: false, puts };
        let point = self.append(row, Some(effect), now);
        self.wait(row, point, asker, Reply::Written(rev), true, now);
    }

    /// Entries of a group whose time is over go by a write like any other, before whatever is asked
    /// of the group: all owners agree, and nobody sees them come back. Not while the group is
    /// checked out: whoever works with it keeps it.
    pub(super) fn expire(&mut self, row: RowId, group: &Group, now: Moment) {
        let Some((primary, store)) = self.primary_of(row) else { return };
        let keys = store.expired(group, now);
        if keys.is_empty() || primary.locks.of(group.place(), now).is_some() {
            return;
        }
        self.stats.expired += keys.len() as u64;
        let rev = self.next_rev(row);
        let puts = keys.into_iter().map(|key| (key, None)).collect();
        let effect = Effect { group: group.clone(), rev, token: 0, is_expiry: true, puts };
        self.append(row, Some(effect), now);
    }

    pub(super) fn next_rev(&mut self, row: RowId) -> Rev {
        let epoch = self.view.as_ref().map_or(0, |view| view.epoch.counter);
        Rev { epoch, seq: self.primary_of(row).map_or(0, |(primary, _)| primary.last) + 1 }
    }
}

/// The first operation whose expectation does not hold.
fn conflict(store: &Store, batch: &Batch) -> Option<usize> {
    batch.ops.iter().position(|op| {
        let present = || store.entry(&batch.group, &op.key).map(|entry| entry.rev);
        match op.expect {
            Expect::Any => false,
            Expect::Absent => present().is_some(),
            Expect::Rev(rev) => present() != Some(rev),
        }
    })
}
