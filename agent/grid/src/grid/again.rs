//! What was lost on its way. A question or its answer may have been under way when a connection
//! ended. Once there is another one, and whenever an answer is long in coming, whoever waits asks
//! again under the same number, so that nothing is done twice, and whoever was asked says what became
//! of it. A checkout of which nobody knows any more is given back.

use super::Grid;
use super::ask::{Ask, Caller};
use super::state::Asker;
use crate::batch::{Fence, Reply, Request};
use crate::message::Message;
use crate::segment::Group;
use muster_cluster::{MemberId, Moment, NodeId, RowId, View};
use std::collections::BTreeMap;
use std::time::Duration;

/// How long the grid tries to give back a checkout for which nobody waits any more.
const GIVE_BACK: Duration = Duration::from_secs(60);
/// Nodes of which is remembered that they were members, at most.
const MOST_MET: usize = 1024;
/// Lives whose attempts are remembered, at most, beside those of the view.
const MOST_ASKERS: usize = 256;

/// The latest life of each node that was a member of a view of this life.
#[derive(Default)]
pub(super) struct Met(BTreeMap<NodeId, u64>);

impl Met {
    pub(super) fn see(&mut self, view: &View) {
        let Self(met) = self;
        for MemberId { node, incarnation } in view.members.iter().map(|member| member.id) {
            if met.len() < MOST_MET || met.contains_key(&node) {
                let latest = met.entry(node).or_default();
                *latest = incarnation.max(*latest);
            }
        }
    }

    /// Whether a life was certainly never a member here: nothing was done for it.
    fn is_newcomer(&self, life: MemberId) -> bool {
        match self.0.get(&life.node) {
            Some(latest) => *latest < life.incarnation,
            None => self.0.len() < MOST_MET,
        }
    }
}

// === The asker's side ===

impl Grid {
    /// There is a link to a node again: whatever it was asked and has not answered goes there once
    /// more, under its number.
    pub fn linked(&mut self, node: NodeId) {
        for attempt in self.attempts(|ask| ask.sent.is_some_and(|to| to.node == node)) {
            self.say_again(attempt);
        }
    }

    /// Whoever has not answered for a while is asked once more, and then when twice as much time has
    /// passed. It may have answered by a connection of which it does not know yet that it is over.
    pub(super) fn ask_again(&mut self, now: Moment) {
        for attempt in self.attempts(|ask| ask.sent.is_some() && now >= ask.again_at) {
            self.say_again(attempt);
            if let Some(ask) = self.asks.get_mut(&attempt) {
                ask.again_at = now.saturating_add(now.saturating_sub(ask.begun));
            }
        }
    }

    fn say_again(&mut self, attempt: u64) {
        let Some(Ask { sent: Some(to), request, .. }) = self.asks.get(&attempt) else { return };
        let (to, request) = (*to, request.clone());
        if to.node != self.me.node {
            self.send(to.node, Message::Ask { attempt, life: to.incarnation, request });
        }
    }

    /// Its caller was told how it ends, and no answer has come. A checkout that comes later is given
    /// back, and so is one whose release nobody has taken.
    pub(super) fn outlive(&mut self, attempt: u64, mut ask: Ask, now: Moment) {
        let is_owed = match &*ask.request {
            Request::Checkout { .. } => ask.sent.is_some(),
            Request::Release(..) => true,
            Request::Get(_)
            | Request::GetLocal(_)
            | Request::Write(_)
            | Request::Lease { .. }
            | Request::Merge { .. }
            | Request::Scan { .. } => false,
        };
        if !is_owed || !ask.is_clients() || self.asks.len() >= self.limits.most_asks {
            return;
        }
        (ask.caller, ask.deadline) = (Caller::GiveBack, now.saturating_add(GIVE_BACK));
        match ask.sent {
            Some(_) => {
                self.asks.insert(attempt, ask);
            }
            None => self.dispatch(ask, now),
        }
    }

    /// A checkout for which nobody waits any more has come.
    pub(super) fn give_back_late(&mut self, ask: &Ask, reply: &Reply, now: Moment) {
        if let (Caller::GiveBack, Request::Checkout { group, .. }, Reply::Checkout { fence, .. }) =
            (ask.caller, &*ask.request, reply)
        {
            let release = Request::Release(group.clone(), *fence);
            self.begin(Caller::GiveBack, release, now.saturating_add(GIVE_BACK), now);
        }
    }
}

impl Ask {
    /// Whether somebody outside of the grid waits for it.
    pub(super) fn is_clients(&self) -> bool {
        matches!(self.caller, Caller::Client(_))
    }

    /// Whether it waits for a checkout only to give it back.
    pub(super) fn is_late_checkout(&self) -> bool {
        self.caller == Caller::GiveBack && matches!(*self.request, Request::Checkout { .. })
    }
}

// === The side that is asked ===

impl Grid {
    /// A view stands. The attempts of a life that has left are remembered until its node has
    /// another: a view that was made by somebody who knew of an earlier one may have it again.
    pub(super) fn forget_askers(&mut self, view: &View) {
        let is_renewed = |id: MemberId| {
            view.member(id.node).is_some_and(|member| member.id.incarnation > id.incarnation)
        };
        self.seen.retain(|id, _| !is_renewed(*id));
        if self.seen.len() > MOST_ASKERS {
            self.seen.retain(|id, _| view.has(*id));
        }
        self.met.see(view);
    }

    /// A member asks, for the first time or again.
    pub(super) fn asked(&mut self, asker: Asker, request: &Request, now: Moment) {
        let is_member = self.view.as_ref().is_some_and(|view| view.has(asker.member));
        if !is_member {
            // It is in a view that has not come here yet. A life that has left is answered nothing:
            // what it asked before may have been done.
            if self.met.is_newcomer(asker.member) {
                // Said under another number it is done; under this one it never is, however often it
                // comes.
                self.is_new(asker);
                self.answer(asker, Reply::Retry, now);
            }
        } else if self.is_new(asker) {
            self.execute(asker, request, now);
        } else {
            self.asked_again(asker, request, now);
        }
    }

    /// What is still under way is answered in its turn. A checkout that was given is given again, as
    /// its asker does not know of it. Otherwise the answer is lost, and nobody has kept it.
    fn asked_again(&mut self, asker: Asker, request: &Request, now: Moment) {
        let Some(view) = &self.view else { return };
        let row = request.row(view);
        if self.primary_of(row).is_some_and(|(primary, _)| primary.is_at(asker)) {
            return;
        }
        match request {
            Request::Checkout { group, confirm, .. } => match self.given(asker, row, group, now) {
                Some(fence) => self.give_again(asker, row, (group, fence), *confirm, now),
                None => self.answer(asker, Reply::Unknown, now),
            },
            Request::Get(_)
            | Request::GetLocal(_)
            | Request::Write(_)
            | Request::Release(..)
            | Request::Lease { .. }
            | Request::Merge { .. }
            | Request::Scan { .. } => self.answer(asker, Reply::Unknown, now),
        }
    }

    /// The fence of a checkout that this attempt was given and that is not over.
    fn given(&mut self, asker: Asker, row: RowId, group: &Group, now: Moment) -> Option<Fence> {
        let (primary, _) = self.primary_of(row)?;
        let lock = primary.locks.of(group.place(), now)?;
        (lock.holder == asker.member && lock.attempt == asker.attempt).then_some(lock.fence)
    }

    fn give_again(
        &mut self,
        asker: Asker,
        row: RowId,
        (group, fence): (&Group, Fence),
        confirm: bool,
        now: Moment,
    ) {
        let is_proven = !confirm || self.is_in_force();
        if !is_proven || self.warm(row, group, now).is_err() {
            return self.answer(asker, Reply::Unknown, now);
        }
        let Some((_, store)) = self.primary_of(row) else { return };
        let reply = Reply::Checkout { entries: store.entries(group), fence };
        if confirm {
            self.confirm(asker, row, reply, now);
        } else {
            self.answer(asker, reply, now);
        }
    }
}

#[cfg(test)]
mod tests;
