//! The proposer's side of a view change: the oldest member that it believes alive asks everybody,
//! waits for each answer or a suspicion, and lets the answers decide.

use super::{Accepting, Membership, Proposal, Standing};
use crate::id::{Epoch, MemberId, Moment, NodeId};
use crate::message::{Message, Promise};
use crate::succeed::{Answers, succeed};
use crate::view::{Electorate, View};
use std::collections::BTreeSet;
use std::sync::Arc;

impl Membership {
    pub(super) fn should_propose(&self, now: Moment) -> bool {
        if self.proposal.is_some() || now < self.may_propose_at {
            return false;
        }
        match (&self.standing, &self.installed) {
            (Standing::In, Some(view)) => {
                // Members of an earlier view may not agree on whose turn it is: then it is the turn
                // of the one whose view they cannot install.
                let is_stuck = self.outdone > view.epoch && view.epoch.by == self.me;
                is_stuck
                    || self.has_waited_enough(view, now)
                    || (self.is_acting(now) && self.has_reason(view, now))
            }
            (Standing::Out { .. }, None) => self.may_found(now),
            _ => false,
        }
    }

    fn has_reason(&self, view: &View, now: Moment) -> bool {
        self.is_stalled(now)
            || self.outdone > view.epoch
            || view.members.iter().any(|member| self.suspects.contains(&member.id))
            || !self.admissible().is_empty()
            || self.wishes(view)
            || self.somebody_leaves(view)
            || self.all_filled(view)
            || self.is_unbalanced(view)
    }

    /// It promised an epoch of which no view came.
    fn is_stalled(&self, now: Moment) -> bool {
        self.fenced_since.is_some_and(|since| now > since + self.config.detection / 2)
    }

    /// By views of different epochs each may take it for another's turn, and that one for a third's.
    /// Who has promised and seen no view come for two detection times no longer asks whose turn it
    /// is: the older first.
    fn has_waited_enough(&self, view: &View, now: Moment) -> bool {
        let mut members = view.members.iter();
        let position = members.position(|member| member.id == self.me).unwrap_or(0);
        let turns = u32::try_from(position).unwrap_or(u32::MAX).saturating_add(4);
        let patience = (self.config.detection / 2).saturating_mul(turns);
        self.fenced_since.is_some_and(|since| now.saturating_sub(since) > patience)
    }

    /// A member that promised more than its view takes no writes. Whose turn it is must know.
    pub(super) fn tell_of_stall(&mut self, now: Moment) {
        let Some(epoch) = self.installed.as_ref().map(|view| view.epoch) else { return };
        let acting = self.acting(now).map(|member| member.id.node);
        if let Some(acting) = acting.filter(|node| *node != self.me.node)
            && self.is_stalled(now)
        {
            let promised = self.durable.promised;
            self.send(acting, Message::Nack { epoch, promised });
        }
    }

    /// Whether the next view would bring the rows nearer to where they should be.
    fn is_unbalanced(&self, view: &View) -> bool {
        view.rows.iter().zip(&self.targets).any(|(row, target)| {
            if row.owners.first().is_none_or(|owner| view.member(*owner).is_none()) {
                return false;
            }
            if row.pending.iter().any(|node| self.slow.contains_key(node)) {
                return true;
            }
            let mut missing = target.iter().filter(|node| !row.owners.contains(node)).peekable();
            let complete = missing.peek().is_none() && row.owners != *target;
            row.pending.is_empty()
                && (complete || missing.any(|node| !self.slow.contains_key(node)))
        })
    }

    /// Without a view, and nobody in sight who has one.
    fn may_found(&self, now: Moment) -> bool {
        let Standing::Out { since } = self.standing else { return false };
        if now < since + self.config.detection || self.sees_a_view(now) {
            return false;
        }
        let in_sight = |heard: Moment| heard + self.config.detection > now;
        let mut peers = self.peers.iter().filter(|(_, peer)| in_sight(peer.heard));
        if let Some(accepted) = &self.durable.accepted {
            return self.is_acting(now) || self.has_been_out_enough(accepted, since, now);
        }
        let before_me = peers.any(|(node, peer)| peer.accepted.is_some() || *node < self.me.node);
        !before_me && self.enough_to_found(now)
    }

    /// After all have started anew each may take it for another's turn: they have accepted different
    /// views, and in some a later life of the oldest one is the youngest, or has accepted none. Who has
    /// heard of no view for four detection times and more no longer asks whose turn it is.
    fn has_been_out_enough(&self, accepted: &View, since: Moment, now: Moment) -> bool {
        let mut members = accepted.members.iter();
        let position = members.position(|member| member.id.node == self.me.node);
        let turns = u32::try_from(position.unwrap_or(accepted.members.len())).unwrap_or(u32::MAX);
        let patience = (self.config.detection / 2).saturating_mul(turns.saturating_add(8));
        now.saturating_sub(since) > patience
    }

    fn sees_a_view(&self, now: Moment) -> bool {
        let in_sight = |heard: Moment| heard + self.config.detection > now;
        self.peers.values().any(|peer| peer.view.is_some() && in_sight(peer.heard))
    }

    fn enough_to_found(&self, now: Moment) -> bool {
        self.config.quorum.is_none_or(|quorum| self.to_ask(now).len() + 1 >= usize::from(quorum))
    }

    /// Whom a proposal asks, without this member.
    fn to_ask(&self, now: Moment) -> BTreeSet<NodeId> {
        let mut nodes: BTreeSet<NodeId> = self.admissible().into_iter().collect();
        let current = self.current();
        let members = current.iter().flat_map(|view| view.members.iter());
        nodes.extend(members.map(|member| member.id.node).filter(|n| self.is_alive(*n, now)));
        // Voters, or fellow founders, that are here and have no view.
        let has_quorum =
            current.map_or(self.config.quorum, |view| view.electorate.quorum).is_some();
        let outside = |peer: &super::Peer| {
            peer.view.is_none()
                && peer.heard + self.config.detection > now
                && current.is_none_or(|view| view.electorate.known.contains_key(&peer.life.node))
        };
        if has_quorum && self.installed.is_none() {
            nodes.extend(self.peers.values().filter(|peer| outside(peer)).map(|p| p.life.node));
        }
        nodes.remove(&self.me.node);
        nodes
    }

    /// Whose answers a proposal of this member waits for, and of which half: for operators.
    #[must_use]
    pub fn waits_for(&self) -> Option<(Epoch, bool, Vec<NodeId>)> {
        let proposal = self.proposal.as_ref()?;
        let nodes = match &proposal.accepting {
            None => (proposal.asked.iter().copied())
                .filter(|node| !proposal.promises.contains_key(node))
                .collect(),
            Some(accepting) => (accepting.view.members.iter().map(|member| member.id.node))
                .filter(|node| !accepting.accepted.contains(node))
                .collect(),
        };
        Some((proposal.epoch, proposal.accepting.is_some(), nodes))
    }

    pub(super) fn propose(&mut self, now: Moment) {
        let asked = self.to_ask(now);
        let join = self.current().and_then(|view| view.member(self.me.node));
        let epoch = Epoch {
            counter: self.durable.promised.counter.max(self.floor) + 1,
            join: join.map_or(u64::MAX, |member| member.join),
            by: self.me,
        };
        let own = self.make_promise(epoch, now);
        let promises = [(self.me.node, own)].into_iter().collect();
        for node in &asked {
            self.send(*node, Message::Prepare { epoch });
        }
        let resend_at = now + self.config.retry;
        let elsewhere = BTreeSet::new();
        let accepting = None;
        self.proposal = Some(Proposal { epoch, asked, promises, elsewhere, accepting, resend_at });
        self.advance(now);
    }

    pub(super) fn promise(&mut self, from: MemberId, promise: Promise, now: Moment) {
        let Some(proposal) = &mut self.proposal else { return };
        if proposal.epoch != promise.epoch || proposal.accepting.is_some() || promise.who.id != from
        {
            return;
        }
        proposal.promises.insert(from.node, promise);
        self.advance(now);
    }

    pub(super) fn nack(&mut self, epoch: Epoch, promised: Epoch, now: Moment) {
        self.floor = self.floor.max(promised.counter);
        self.outdone = self.outdone.max(promised);
        if self.proposal.as_ref().is_some_and(|proposal| proposal.epoch == epoch) {
            self.give_up(now);
        }
    }

    /// Tries again later; the younger a member, the later, so that two do not cross for ever.
    fn give_up(&mut self, now: Moment) {
        self.proposal = None;
        let position = (self.current().iter().flat_map(|view| view.members.iter()))
            .position(|member| member.id.node == self.me.node)
            .unwrap_or(0);
        let turns = u32::try_from(position).unwrap_or(u32::MAX).saturating_add(1);
        self.may_propose_at = now + self.config.retry.saturating_mul(turns);
    }

    /// Makes the view once everybody who is believed alive has answered.
    pub(super) fn advance(&mut self, now: Moment) {
        self.widen(now);
        let Some(proposal) = &self.proposal else { return };
        if proposal.accepting.is_some() {
            return;
        }
        let base = self.base(proposal);
        if base.is_some_and(|base| base.epoch.counter >= proposal.epoch.counter) {
            self.floor = self.floor.max(base.map_or(0, |base| base.epoch.counter));
            return self.give_up(now);
        }
        let waits = (proposal.asked.iter())
            .any(|node| !proposal.promises.contains_key(node) && self.counts_as_alive(*node, now));
        if waits || !self.has_votes(proposal, base) {
            return;
        }
        let slow = self.slow.keys().copied().collect();
        let next = succeed(
            &Answers {
                epoch: proposal.epoch,
                base: base.map(Arc::as_ref),
                committed: is_committed(proposal, base),
                promises: &proposal.promises,
                change: &self.change,
                leaving: &self.leaving,
                slow: &slow,
                first: (&self.config.tables, self.config.segments, self.config.quorum),
            },
            self.placement.as_ref(),
        );
        let view = Arc::new(next.view);
        // Without a view of its own, a member that cannot come in yet must let the others have theirs.
        let goes_on = self.installed.is_none() || self.leaving.contains(&self.me);
        if !view.has(self.me) && !goes_on {
            return self.give_up(now);
        }
        let gone = (proposal.promises.keys().copied())
            .filter(|node| view.member(*node).is_none() && *node != self.me.node)
            .collect();
        let accepting = Accepting {
            view: view.clone(),
            accepted: BTreeSet::new(),
            lost: next.lost,
            since: now,
            gone,
        };
        if let Some(proposal) = &mut self.proposal {
            proposal.accepting = Some(accepting);
            proposal.resend_at = now + self.config.retry;
        }
        if view.has(self.me) {
            self.accept_durably(&view);
        }
        let me = self.me.node;
        for member in view.members.iter().filter(|member| member.id.node != me) {
            self.send(member.id.node, Message::Accept { view: view.clone() });
        }
        let epoch = view.epoch;
        self.accepted(self.me, epoch, now);
    }

    /// Members of the base that this member did not know, and those who came since, are asked too.
    fn widen(&mut self, now: Moment) {
        let Some(proposal) = &self.proposal else { return };
        if proposal.accepting.is_some() {
            return;
        }
        let epoch = proposal.epoch;
        let mut more = self.to_ask(now);
        if let Some(base) = self.base(proposal) {
            more.extend(
                (base.members.iter())
                    .filter(|member| self.installed.is_some() || self.is_alive(member.id.node, now))
                    .filter(|member| !self.suspects.contains(&member.id))
                    .map(|member| member.id.node),
            );
        }
        if !self.has_votes(proposal, self.base(proposal)) {
            more.extend(self.voters_outside(proposal, now));
        }
        more.retain(|node| !proposal.asked.contains(node) && *node != self.me.node);
        for node in more {
            self.send(node, Message::Prepare { epoch });
            if let Some(proposal) = &mut self.proposal {
                proposal.asked.insert(node);
            }
        }
    }

    /// Voters of the base that are here and no members of it: they have no view and have not found whom
    /// to ask to come in, or they have an earlier view. Without their votes nobody can go on.
    fn voters_outside(&self, proposal: &Proposal, now: Moment) -> BTreeSet<NodeId> {
        let Some(base) = self.base(proposal) else { return BTreeSet::new() };
        let is_free = |life: MemberId| {
            let member = self.installed.as_ref().and_then(|view| view.member(life.node));
            member.is_none_or(|member| self.suspects.contains(&member.id))
        };
        (self.peers.iter())
            .filter(|(node, peer)| base.may_vote(**node) && is_free(peer.life))
            .filter(|(_, peer)| peer.view.is_none() || base.electorate.quorum.is_some())
            .filter(|(_, peer)| peer.heard + self.config.detection > now)
            .map(|(node, _)| *node)
            .collect()
    }

    /// Whether an answer of this node is still waited for. An owner is dropped only when the
    /// failure detector suspects it, never because its answer is late.
    fn counts_as_alive(&self, node: NodeId, now: Moment) -> bool {
        let Some(proposal) = &self.proposal else { return false };
        if self.peers.get(&node).is_some_and(|peer| proposal.elsewhere.contains(&peer.life)) {
            return false;
        }
        let in_base =
            self.base(proposal).and_then(|base| base.member(node)).map(|member| member.id);
        let in_mine = self.installed.as_ref().and_then(|view| view.member(node)).is_some();
        match in_base.filter(|_| self.installed.is_some()) {
            Some(id) => !self.suspects.contains(&id),
            None if in_mine => self.is_alive(node, now),
            // Whoever is no member yet is waited for only as long as it speaks.
            None => {
                let patience = self.config.detection / 2;
                self.peers.get(&node).is_some_and(|peer| {
                    peer.heard + patience > now && !self.suspects.contains(&peer.life)
                })
            }
        }
    }

    /// The accepted view of the highest epoch among the answers. Without a quorum sides have views of
    /// their own: what somebody accepted who is not of this side counts for nothing, as this side stays.
    fn base<'a>(&self, proposal: &'a Proposal) -> Option<&'a Arc<View>> {
        let mine = self.installed.as_ref().filter(|view| view.electorate.quorum.is_none());
        (proposal.promises.values())
            .filter(|promise| mine.is_none_or(|mine| mine.has(promise.who.id)))
            .filter_map(|promise| promise.accepted.as_ref())
            .max_by_key(|view| view.epoch)
    }

    fn has_votes(&self, proposal: &Proposal, base: Option<&Arc<View>>) -> bool {
        let Some(base) = base else {
            return (self.config.quorum)
                .is_none_or(|quorum| proposal.promises.len() >= usize::from(quorum));
        };
        let votes = |electorate: &Electorate| electorate.satisfied(proposal.promises.keys());
        let before = base.before.as_ref().filter(|_| !is_committed(proposal, Some(base)));
        votes(&base.electorate) && before.is_none_or(votes)
    }

    pub(super) fn accepted(&mut self, from: MemberId, epoch: Epoch, now: Moment) {
        let Some(proposal) = self.proposal.as_mut().filter(|p| p.epoch == epoch) else { return };
        let Some(accepting) = &mut proposal.accepting else { return };
        let view = accepting.view.clone();
        if view.has(from) {
            accepting.accepted.insert(from.node);
        }
        if !stands(&view, &accepting.accepted) {
            return;
        }
        let Some(Proposal { accepting: Some(accepting), .. }) = self.proposal.take() else {
            return;
        };
        self.stand(accepting, now);
    }

    pub(super) fn resend(&mut self, now: Moment) {
        if self.installed.is_none() && self.sees_a_view(now) {
            // Somebody has a view after all: this member joins, and founds nothing.
            self.proposal = None;
        }
        let Some(proposal) = &mut self.proposal else { return };
        if let Some(accepting) = &proposal.accepting {
            // The failure detector watches members; who is none yet must let itself be heard.
            let is_silent = |id: MemberId| {
                let is_heard = self.peers.get(&id.node).is_some_and(|peer| {
                    peer.life == id && peer.heard + self.config.detection > now
                });
                id != self.me
                    && !is_heard
                    && !self.installed.as_ref().is_some_and(|view| view.has(id))
            };
            let lost = (accepting.view.members.iter())
                .any(|member| self.suspects.contains(&member.id) || is_silent(member.id));
            // Where the votes are not enough, the next attempt may know of more.
            if lost || now > accepting.since + self.config.detection {
                return self.give_up(now);
            }
        }
        // What an earlier life promised is no answer of the one that came after it.
        proposal.promises.retain(|node, promise| {
            (self.peers.get(node))
                .is_none_or(|peer| peer.life.incarnation <= promise.who.id.incarnation)
        });
        if now >= proposal.resend_at {
            proposal.resend_at = now + self.config.retry;
            let (again, message): (Vec<NodeId>, Message) = match &proposal.accepting {
                None => (
                    (proposal.asked.iter().copied())
                        .filter(|node| !proposal.promises.contains_key(node))
                        .collect(),
                    Message::Prepare { epoch: proposal.epoch },
                ),
                Some(accepting) => (
                    (accepting.view.members.iter().map(|member| member.id.node))
                        .filter(|node| !accepting.accepted.contains(node))
                        .filter(|node| *node != self.me.node)
                        .collect(),
                    Message::Accept { view: accepting.view.clone() },
                ),
            };
            for node in again {
                self.send(node, message.clone());
            }
        }
        self.advance(now);
    }
}

/// Whether somebody who answered knows that the base stands.
fn is_committed(proposal: &Proposal, base: Option<&Arc<View>>) -> bool {
    let Some(base) = base else { return false };
    proposal.promises.values().any(|promise| {
        promise.committed && promise.accepted.as_ref().is_some_and(|view| view.epoch == base.epoch)
    })
}

/// A view stands when its quorum, and the one before where that changed, and every owner that is
/// a member has accepted it.
fn stands(view: &View, accepted: &BTreeSet<NodeId>) -> bool {
    let votes = |electorate: &Electorate| electorate.satisfied(accepted.iter());
    votes(&view.electorate)
        && view.before.as_ref().is_none_or(votes)
        && (view.rows.iter().flat_map(|row| &row.owners))
            .all(|owner| accepted.contains(owner) || view.member(*owner).is_none())
}
