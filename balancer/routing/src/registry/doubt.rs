//! What the members of a cluster say of each other: a node that the others go on without is asked at
//! once, and one silence is enough. Their word alone takes nobody out: who answers stays in use. And
//! what a member says of itself: that it sees too few of the others to serve.

use muster_protocol::cluster::Members;
use muster_protocol::mcmp::Load;
use muster_protocol::names::Route;

use super::Registry;
use crate::Moment;
use crate::health::{DOUBTED_WITHIN, Probed};
use crate::node::NodeId;

impl Registry {
    /// Nodes that were left out by what they or others of their cluster said, since this was asked
    /// last: for the log.
    pub fn take_left_out_by_word(&mut self) -> Vec<Route> {
        std::mem::take(&mut self.left_out_by_word)
    }

    /// A node says whom it sees. Doubted are those that it saw when it spoke last and does not now.
    pub(super) fn sees(&mut self, id: NodeId, members: Option<Members>, now: Moment) {
        self.note_cut_off(id, members.is_some());
        let before = std::mem::replace(&mut self.member_mut(id).cluster_members, members);
        let after = self.members[&id].cluster_members.as_ref();
        let (Some(before), Some(after)) = (before, after) else { return };
        let gone = before.others.iter().filter(|other| !after.others.contains(other));
        let doubted: Vec<NodeId> =
            gone.filter_map(|gone| self.node_of(*gone)).filter(|other| *other != id).collect();
        for other in doubted {
            self.doubt(other, now);
        }
    }

    /// A node that saw others, sees too few now and says that it is broken: its requests wait for
    /// what will not come.
    fn note_cut_off(&mut self, id: NodeId, sees_enough: bool) {
        let member = self.member_mut(id);
        let was_cut_off = member.is_cut_off;
        let is_broken = member.load == Some(Load::Broken);
        member.is_cut_off =
            !sees_enough && is_broken && (was_cut_off || member.cluster_members.is_some());
        match (was_cut_off, member.is_cut_off) {
            (false, true) => {
                self.note_word(id);
                self.leave_out(id);
            }
            (true, false) => member.live.set_left_out(!member.health.is_usable()),
            (true, true) | (false, false) => {}
        }
    }

    fn note_word(&mut self, id: NodeId) {
        let route = self.members[&id].config.route.clone();
        self.left_out_by_word.push(route);
    }

    fn node_of(&self, member: u128) -> Option<NodeId> {
        let is_it = |own: &Option<Members>| own.as_ref().is_some_and(|own| own.own == member);
        self.members.iter().find(|(_, node)| is_it(&node.cluster_members)).map(|(id, _)| *id)
    }

    fn doubt(&mut self, id: NodeId, now: Moment) {
        let member = self.member_mut(id);
        if !member.health.is_usable() {
            return;
        }
        member.is_doubted = true;
        let waited = member.probed_since.map(|since| now.saturating_sub(since));
        if waited.is_some_and(|waited| waited >= DOUBTED_WITHIN) {
            // It has been asked for long enough.
            self.note_word(id);
            self.found(id, Probed::TimedOut, now);
            self.settle(id, now);
        } else {
            // One that is under way may have all the time that nodes usually have.
            member.probed_since = None;
            member.next_probe = now;
            self.is_in_haste = true;
        }
    }
}
