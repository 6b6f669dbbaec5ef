//! The voter's side of a view change. What was promised and accepted stands on disk before it is
//! said.

use super::Membership;
use crate::id::{Epoch, MemberId, Moment};
use crate::message::{Action, Message, Promise};
use crate::view::View;
use std::sync::Arc;

impl Membership {
    pub(super) fn prepare(&mut self, from: MemberId, epoch: Epoch, now: Moment) {
        let again = epoch == self.durable.promised && epoch.by == from;
        if epoch <= self.durable.promised && !again {
            let promised = self.durable.promised;
            return self.send(from.node, Message::Nack { epoch, promised });
        }
        if !self.knows_proposer(from) {
            return self.greet(from.node);
        }
        self.proposal = None;
        let promise = self.make_promise(epoch, now);
        self.send(from.node, Message::Promise(Box::new(promise)));
    }

    /// A member hears proposers of its own cluster only: it learns and teaches the rest by
    /// greetings.
    fn knows_proposer(&self, from: MemberId) -> bool {
        let Some(view) = &self.installed else { return true };
        // With a quorum all views are of one line, and each voter may be the one to go on with it.
        let votes = |view: &View| view.electorate.quorum.is_some() && view.may_vote(from.node);
        let accepted = self.durable.accepted.as_ref();
        view.has(from) || accepted.is_some_and(|view| view.has(from) || votes(view))
    }

    /// Promises to hear nobody older: on disk first, and the grid takes no write of an earlier
    /// epoch any more.
    pub(super) fn make_promise(&mut self, epoch: Epoch, now: Moment) -> Promise {
        if epoch > self.durable.promised {
            self.durable.promised = epoch;
            self.fenced_since = Some(now);
            self.persist();
            self.actions.push_back(Action::Fence(epoch));
        }
        Promise {
            epoch,
            who: self.joining(),
            accepted: self.durable.accepted.clone(),
            committed: self.durable.committed,
            installed: self.installed.as_ref().map(|view| view.epoch),
            was_in: self.durable.was_in,
            complete: self.complete.clone(),
        }
    }

    pub(super) fn accept(&mut self, from: MemberId, view: Arc<View>, now: Moment) {
        let epoch = view.epoch;
        if epoch < self.durable.promised {
            let promised = self.durable.promised;
            return self.send(from.node, Message::Nack { epoch, promised });
        }
        if !view.has(self.me) || epoch.by != from {
            return;
        }
        if self.durable.accepted.as_ref().is_none_or(|accepted| accepted.epoch < epoch) {
            self.fenced_since = Some(now);
            self.accept_durably(&view);
        }
        self.send(from.node, Message::Accepted { epoch });
    }

    pub(super) fn accept_durably(&mut self, view: &Arc<View>) {
        let risen = view.epoch > self.durable.promised;
        self.durable.promised = self.durable.promised.max(view.epoch);
        self.durable.accepted = Some(view.clone());
        self.durable.committed = false;
        self.persist();
        if risen {
            self.actions.push_back(Action::Fence(view.epoch));
        }
    }
}
