//! Greetings: who has which view. They cure lost commits, tell a dropped member that it was
//! dropped, and let two sides of a split find each other.

use super::{Membership, Standing};
use crate::id::{Epoch, MemberId, Moment, NodeId};
use crate::message::{Action, Joining, Message, Summary};
use crate::view::View;
use std::collections::BTreeSet;
use std::sync::Arc;

impl Membership {
    pub(super) fn greet_all(&mut self) {
        let views = self.installed.iter().chain(&self.durable.accepted);
        let mut nodes: BTreeSet<NodeId> =
            views.flat_map(|view| view.members.iter().map(|member| member.id.node)).collect();
        nodes.extend(&self.hints);
        nodes.remove(&self.me.node);
        for node in nodes {
            self.greet(node);
        }
    }

    pub(super) fn greet(&mut self, node: NodeId) {
        let life = self.peers.get(&node).map(|peer| peer.life);
        let view = self.installed.as_ref().map(|view| {
            // A node that was never heard is greeted as the life that the view names.
            let has_you = life.map_or(view.member(node).is_some(), |life| view.has(life));
            summary(view, has_you)
        });
        let accepted = self.durable.accepted.as_ref().map(|view| view.epoch);
        self.send(node, Message::Greet { view, accepted, quorum: self.config.quorum });
    }

    pub(super) fn greeted(
        &mut self,
        from: MemberId,
        view: Option<Summary>,
        accepted: Option<Epoch>,
        quorum: Option<u16>,
        now: Moment,
    ) {
        if let Some(peer) = self.peers.get_mut(&from.node)
            && peer.life == from
        {
            (peer.view, peer.accepted, peer.quorum) = (view, accepted, quorum);
        }
        self.hint(from.node);
        let Some(mine) = self.installed.clone() else { return };
        let Some(theirs) = view else {
            if mine.has(from) {
                self.send(from.node, Message::Commit { view: mine });
            }
            return;
        };
        if theirs.epoch == mine.epoch {
            return;
        }
        let later = theirs.epoch > mine.epoch;
        match (mine.has(from), theirs.has_you, later) {
            (_, true, true) => self.send(from.node, Message::Fetch),
            (true, _, false) => self.send(from.node, Message::Commit { view: mine }),
            // Perhaps this member was let go and has not heard it: the answer is that view.
            (true, false, true) if self.leave => self.send(from.node, Message::Leave),
            (true, false, true) => self.went_without_us(from, &mine, now),
            (false, true, false) => {}
            (false, false, _) => {
                if mine.electorate.quorum.is_none()
                    && let Some(proposal) = &mut self.proposal
                {
                    // Asked because an accepted view names it, or because it wanted to come in; but
                    // it went another way. The failure detector may well find it alive.
                    proposal.elsewhere.insert(from);
                    self.part(from);
                }
                self.other_side(&mine, &theirs, now);
            }
        }
    }

    /// A member of our view has a later one without us. With a quorum, views are in one line, and
    /// we were dropped. Without one it is on the other side of a split, and we go on without it;
    /// but when this process has not run for a while, it is no side: the others have served its
    /// clients, and what it would acknowledge alone now would be lost when it meets them.
    pub(super) fn went_without_us(&mut self, from: MemberId, mine: &Arc<View>, now: Moment) {
        if mine.electorate.quorum.is_some() {
            self.renew(false, now);
        } else if self.ran_late(now) {
            self.renew(true, now);
        } else {
            self.part(from);
        }
    }

    pub(super) fn fetch(&mut self, from: MemberId) {
        if let Some(view) = self.installed.clone().filter(|view| view.has(from)) {
            self.send(from.node, Message::Commit { view });
        }
    }

    /// Gives up the view and begins a new life outside. Join numbers and the names of views stay
    /// as they are: the new life joins as the youngest.
    pub(super) fn renew(&mut self, offer: bool, now: Moment) {
        self.me.incarnation += 1;
        self.durable.incarnation = self.me.incarnation;
        if offer {
            self.durable.accepted = None;
            self.durable.committed = false;
        }
        self.persist();
        self.moved |= offer;
        self.installed = None;
        self.standing = Standing::Out { since: now };
        self.proposal = None;
        self.spreading = None;
        self.fenced_since = None;
        self.suspects.clear();
        self.parted.clear();
        self.asked = None;
        self.doubtful.clear();
        self.redialing.clear();
        self.joiners.clear();
        self.leaving.clear();
        self.filled.clear();
        self.may_propose_at = now + self.config.detection;
        self.actions.push_back(Action::GiveUp { id: self.me, offer });
    }

    pub(super) fn joining(&self) -> Joining {
        Joining {
            id: self.me,
            name: self.config.name.clone(),
            address: self.config.address.clone(),
            weight: self.config.weight,
            moved: self.moved,
        }
    }
}

pub(super) fn summary(view: &View, has_you: bool) -> Summary {
    let coordinator = view.coordinator();
    Summary {
        epoch: view.epoch,
        size: u16::try_from(view.members.len()).unwrap_or(u16::MAX),
        coordinator: coordinator.id,
        join: coordinator.join,
        quorum: view.electorate.quorum.is_some(),
        has_you,
    }
}
