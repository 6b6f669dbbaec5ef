//! A view stands: it is told to everybody until everybody has installed it.

use super::{Accepting, Membership, Spreading, Standing};
use crate::id::{Epoch, MemberId, Moment};
use crate::message::{Action, Message};
use crate::succeed::targets;
use crate::view::View;
use std::sync::Arc;

impl Membership {
    /// The proposer's own view stands.
    pub(super) fn stand(&mut self, accepting: Accepting, now: Moment) {
        let Accepting { view, lost, gone, .. } = accepting;
        if !lost.is_empty() {
            self.actions.push_back(Action::Lost(lost));
        }
        // On disk before anybody hears of it: whoever proposed a view and knows nothing of this proves
        // that it never stood.
        self.keep_standing(&view);
        for node in gone {
            self.send(node, Message::Commit { view: view.clone() });
        }
        let waiting = (view.members.iter().map(|member| member.id.node))
            .filter(|node| *node != self.me.node)
            .collect();
        self.spreading = Some(Spreading { view: view.clone(), waiting, resend_at: now });
        // Told before it is installed here: copies are in the view when its first writes reach them.
        self.spread(now);
        if view.has(self.me) {
            self.enter(view);
        } else if self.leaving.contains(&self.me) {
            self.standing = Standing::Left;
            self.actions.push_back(Action::Left);
        }
    }

    /// Tells those who have not installed it.
    pub(super) fn spread(&mut self, now: Moment) {
        let Some(spreading) = &mut self.spreading else { return };
        if now < spreading.resend_at {
            return;
        }
        spreading.resend_at = now + self.config.retry;
        let (view, waiting) = (spreading.view.clone(), spreading.waiting.clone());
        for node in waiting {
            self.send(node, Message::Commit { view: view.clone() });
        }
    }

    pub(super) fn installed_at(&mut self, from: MemberId, epoch: Epoch) {
        let Some(spreading) = self.spreading.as_mut().filter(|s| s.view.epoch == epoch) else {
            return;
        };
        spreading.waiting.remove(&from.node);
        if spreading.waiting.is_empty() {
            self.spreading = None;
        }
    }

    pub(super) fn commit(&mut self, from: MemberId, view: Arc<View>, now: Moment) {
        let epoch = view.epoch;
        let present = self.installed.as_ref().map(|view| view.epoch);
        if present == Some(epoch) {
            return self.send(from.node, Message::Installed { epoch });
        }
        if present.is_some_and(|present| present > epoch) {
            return;
        }
        if view.has(self.me) {
            // What was promised to a later proposer was said of the views known then.
            if epoch >= self.durable.promised {
                self.install(view);
                return self.send(from.node, Message::Installed { epoch });
            }
            let promised = self.durable.promised;
            return self.send(from.node, Message::Nack { epoch, promised });
        }
        if self.leave && view.member(self.me.node).is_none() && !self.may_be_needed(&view) {
            self.standing = Standing::Left;
            return self.actions.push_back(Action::Left);
        }
        if let Some(mine) = self.installed.clone()
            && mine.has(from)
        {
            self.went_without_us(from, &mine, now);
        }
    }

    /// Whether a row of a view that this member is not in waits for its data.
    fn may_be_needed(&self, view: &View) -> bool {
        let me = self.me.node;
        view.rows.iter().any(|row| {
            let is_orphan = row.owners.iter().all(|owner| view.member(*owner).is_none());
            is_orphan && (row.owners.contains(&me) || row.may_need(me))
        })
    }

    fn install(&mut self, view: Arc<View>) {
        self.keep_standing(&view);
        self.enter(view);
    }

    /// Writes down that a view stands.
    fn keep_standing(&mut self, view: &Arc<View>) {
        if view.has(self.me) {
            if self.durable.accepted.as_ref().is_none_or(|accepted| accepted.epoch != view.epoch) {
                self.accept_durably(view);
            }
            self.durable.committed = true;
        }
        self.durable.was_in = self.durable.was_in.max(view.epoch);
        self.persist();
    }

    /// Goes on in a view that stands on disk.
    fn enter(&mut self, view: Arc<View>) {
        self.standing = Standing::In;
        self.moved = false;
        self.proposal = None;
        self.fenced_since = None;
        self.filled.clear();
        self.joiners.retain(|_, (joining, _)| !view.has(joining.id));
        self.meet_again();
        self.suspects.retain(|id| view.has(*id));
        self.leaving.retain(|id| view.has(*id));
        self.leaving
            .extend(view.members.iter().filter(|member| member.leaving).map(|member| member.id));
        self.change.quorum = self.change.quorum.filter(|q| *q != view.electorate.quorum);
        self.change.forgotten.retain(|node| view.electorate.known.contains_key(node));
        self.hints.extend(view.members.iter().map(|member| member.id.node));
        self.hints.remove(&self.me.node);
        if self.spreading.as_ref().is_some_and(|spreading| spreading.view.epoch < view.epoch) {
            self.spreading = None;
        }
        // Being filled begins anew with each view, whatever was whole in the last one.
        for (row, kept) in (0..).zip(&view.rows) {
            if kept.pending.contains(&self.me.node) {
                self.complete.remove(row);
            }
        }
        self.targets = targets(self.placement.as_ref(), &view.tables, view.segments, &view.members);
        self.installed = Some(view.clone());
        self.actions.push_back(Action::Install(view));
    }
}
