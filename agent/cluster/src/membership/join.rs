//! Coming in: a member without a view asks one that has one; the acting coordinator checks the
//! name and the id, and takes it into the next view.

use super::merge::{Strength, strength};
use super::{Membership, Standing};
use crate::bounds::{MOST_ADDRESS, MOST_NAME};
use crate::id::{MemberId, Moment, NodeId};
use crate::message::{Action, Joining, Message, Refusal};
use crate::succeed::is_safe;

impl Membership {
    /// Without a view: asks one of the strongest side, and the next of them where no view came: for the
    /// one that was asked may be mistaken about whom to pass it on to.
    pub(super) fn ask_to_come_in(&mut self, now: Moment) {
        let Standing::Out { .. } = self.standing else { return };
        let recent = |heard: Moment| heard + self.config.detection > now;
        let sides: Vec<(Strength, NodeId)> = (self.peers.values())
            .filter(|peer| recent(peer.heard))
            .filter_map(|peer| Some((strength(&peer.view?), peer.life.node)))
            .collect();
        let Some(strongest) = sides.iter().map(|(side, _)| *side).max() else { return };
        let mut nodes: Vec<NodeId> =
            sides.iter().filter(|(side, _)| *side == strongest).map(|(_, node)| *node).collect();
        nodes.sort_unstable();
        let next = nodes.iter().find(|node| self.asked < Some(**node)).or(nodes.first());
        let Some(node) = next.copied() else { return };
        self.asked = Some(node);
        if (self.durable.accepted.as_ref()).is_some_and(|view| view.electorate.quorum.is_none()) {
            // Without a quorum nobody needs to know of our old view, and its epoch may be higher
            // than that of the side that we join.
            self.durable.accepted = None;
            self.durable.committed = false;
            self.persist();
        }
        let joining = self.joining();
        self.send(node, Message::Join(joining));
    }

    pub(super) fn join(&mut self, from: MemberId, joining: Joining, now: Moment) {
        let Some(view) = self.installed.clone() else { return };
        if joining.id.node == self.me.node {
            // Its own wish, passed on, came back to it.
            return;
        }
        if view.has(joining.id) {
            self.send(joining.id.node, Message::Commit { view });
            return;
        }
        let Some(acting) = self.acting(now).map(|member| member.id.node) else { return };
        if acting != self.me.node {
            // Passed on once, and not in a circle.
            if from == joining.id && acting != from.node {
                self.send(acting, Message::Join(joining));
            }
            return;
        }
        if let Err(why) = self.admit(&joining) {
            return self.refuse(&joining, why);
        }
        if let Some(other) = (self.joiners.values().map(|(other, _)| other))
            .find(|other| other.name == joining.name && other.id.node != joining.id.node)
        {
            // First come, first served, if it still is there: this one asks again.
            let other = other.id;
            return self.redial(other);
        }
        for holder in self.in_the_way(&joining) {
            self.redial(holder);
        }
        self.joiners.insert(joining.id.node, (joining, now));
    }

    fn refuse(&mut self, joining: &Joining, why: Refusal) {
        self.send(joining.id.node, Message::Refused { id: joining.id, why });
    }

    fn admit(&self, joining: &Joining) -> Result<(), Refusal> {
        let Some(view) = &self.installed else { return Err(Refusal::NoView) };
        let name = &joining.name;
        if name.is_empty() || name.len() > MOST_NAME || joining.address.len() > MOST_ADDRESS {
            return Err(Refusal::Malformed(joining.id));
        }
        if *name == self.config.name {
            return Err(Refusal::NameTaken { name: name.clone(), by: self.me });
        }
        let is_new = view.member(joining.id.node).is_none();
        let most = self.config.most;
        if is_new && view.members.len() + self.joiners.len() >= most {
            return Err(Refusal::Full(most));
        }
        let electorate = &view.electorate;
        let replaces = electorate.known.values().any(|known| known == name);
        if let Some(quorum) = electorate.quorum
            && !electorate.known.contains_key(&joining.id.node)
            && !replaces
        {
            let known = electorate.known.len() + 1;
            if !is_safe(Some(quorum), known) {
                return Err(Refusal::QuorumTooSmall { quorum, known });
            }
        }
        Ok(())
    }

    /// Members believed alive that have the joiner's name or id: it cannot come in before it is
    /// certain that they are gone.
    fn in_the_way(&self, joining: &Joining) -> Vec<MemberId> {
        let members = self.installed.iter().flat_map(|view| &view.members);
        members
            .filter(|member| member.id != joining.id && !self.suspects.contains(&member.id))
            .filter(|member| member.id.node == joining.id.node || member.name == joining.name)
            .map(|member| member.id)
            .collect()
    }

    /// Joiners that the next view can take.
    pub(super) fn admissible(&self) -> Vec<NodeId> {
        (self.joiners.values().filter(|(joining, _)| self.in_the_way(joining).is_empty()))
            .map(|(joining, _)| joining.id.node)
            .collect()
    }

    pub(super) fn refused(&mut self, id: MemberId, why: Refusal) {
        if id == self.me && matches!(self.standing, Standing::Out { .. }) {
            self.standing = Standing::Refused(why.clone());
            self.actions.push_back(Action::Refused(why));
        }
    }
}
