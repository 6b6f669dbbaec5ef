//! Who is believed alive. The failure detector is the shell's; what its word is worth is decided
//! here: a closed connection is believed after one redial, and nothing at all is believed in a
//! round in which this member's own timer ran late.

use super::Membership;
use crate::id::{MemberId, Moment, NodeId};
use crate::message::{Action, Message, Refusal};
use std::time::Duration;

/// A tick that comes later than this says that this process did not get to run.
const LATE_TICK: Duration = Duration::from_millis(500);

impl Membership {
    /// Notes who speaks. False for a life that has ended.
    pub(super) fn hear(&mut self, from: MemberId, now: Moment) -> bool {
        if from.node == self.me.node {
            return false;
        }
        let member = self.installed.as_ref().and_then(|view| view.member(from.node)).map(|m| m.id);
        let known = self.peers.get(&from.node).map(|peer| peer.life);
        if known.is_some_and(|life| from.incarnation < life.incarnation) && member != Some(from) {
            return false;
        }
        if let Some(member) = member
            && member.incarnation < from.incarnation
            && !self.suspects.contains(&member)
        {
            // A new life of a member: the old one has ended, or somebody copied its directory.
            self.redial(member);
        }
        if self.peers.len() < self.config.most * 4 || self.peers.contains_key(&from.node) {
            let peer = self.peers.entry(from.node).or_insert(super::Peer {
                life: from,
                view: None,
                accepted: None,
                quorum: None,
                heard: now,
            });
            if peer.life.incarnation < from.incarnation {
                peer.view = None;
            }
            peer.life.incarnation = peer.life.incarnation.max(from.incarnation);
            peer.heard = now;
        }
        true
    }

    pub(super) fn hint(&mut self, node: NodeId) {
        if node != self.me.node && self.hints.len() < self.config.most * 4 {
            self.hints.insert(node);
        }
    }

    pub(super) fn suspect(&mut self, id: MemberId, now: Moment) {
        if now < self.doubt_until {
            self.doubtful.insert(id);
        } else {
            self.parted.remove(&id);
            self.suspects.insert(id);
        }
    }

    /// It said itself that it goes on by a view that this member is not in. The failure detector finds
    /// it alive all the same and will never say so again: what is believed of it ends with the next
    /// view that has both.
    pub(super) fn part(&mut self, id: MemberId) {
        if self.suspects.insert(id) {
            self.parted.insert(id);
        }
    }

    pub(super) fn meet_again(&mut self) {
        for id in std::mem::take(&mut self.parted) {
            self.suspects.remove(&id);
        }
    }

    pub(super) fn alive_again(&mut self, id: MemberId) {
        self.doubtful.remove(&id);
        self.parted.remove(&id);
        self.suspects.remove(&id);
    }

    /// A member whose own timer ran late suspects nobody until the others had time to be heard, and
    /// the time in which it did not run is no time that it has listened before it proposes.
    pub(super) fn own_lateness(&mut self, now: Moment) {
        let gap = now.saturating_sub(self.last_tick);
        if gap > LATE_TICK {
            self.doubt_until = now + self.config.detection / 2;
            self.may_propose_at = self.may_propose_at.saturating_add(gap);
        }
        self.last_tick = now;
        if now >= self.doubt_until && !self.doubtful.is_empty() {
            let doubtful = std::mem::take(&mut self.doubtful);
            self.parted.retain(|id| !doubtful.contains(id));
            self.suspects.extend(doubtful);
        }
    }

    /// Whether this process has not run for a while, and what it knows is old.
    pub(super) fn ran_late(&self, now: Moment) -> bool {
        now < self.doubt_until || now.saturating_sub(self.last_tick) > LATE_TICK
    }

    pub(super) fn redial(&mut self, id: MemberId) {
        if self.redialing.len() < self.config.most && self.redialing.insert(id) {
            self.actions.push_back(Action::Redial(id));
        }
    }

    pub(super) fn dead(&mut self, id: MemberId) {
        self.redialing.remove(&id);
        self.joiners.retain(|_, (joiner, _)| joiner.id != id);
        self.parted.remove(&id);
        self.suspects.insert(id);
        self.actions.push_back(Action::Dead(id));
    }

    /// The same life answers: whoever wants its name or its id cannot have it.
    pub(super) fn reached(&mut self, id: MemberId) {
        self.redialing.remove(&id);
        let Some(member) =
            self.installed.as_ref().and_then(|view| view.member(id.node)).filter(|m| m.id == id)
        else {
            return;
        };
        let name = member.name.clone();
        let refused: Vec<MemberId> = (self.joiners.values().map(|(joiner, _)| joiner))
            .filter(|joiner| joiner.id != id)
            .filter(|joiner| joiner.id.node == id.node || joiner.name == name)
            .map(|joiner| joiner.id)
            .collect();
        for joiner in refused {
            self.joiners.remove(&joiner.node);
            let why = if joiner.node == id.node {
                Refusal::IdTaken(id.node)
            } else {
                Refusal::NameTaken { name: name.clone(), by: id }
            };
            self.send(joiner.node, Message::Refused { id: joiner, why });
        }
    }

    /// Whether enough voters are in sight; told when it changes.
    pub(super) fn weigh_quorum(&mut self, now: Moment) {
        let quorate = self.installed.as_ref().is_some_and(|view| {
            let here: Vec<NodeId> = (view.members.iter().map(|member| member.id.node))
                .filter(|node| self.is_alive(*node, now))
                .collect();
            view.electorate.satisfied(here.iter())
        });
        if quorate != self.quorate {
            self.quorate = quorate;
            self.actions.push_back(Action::Quorate(quorate));
        }
    }
}
