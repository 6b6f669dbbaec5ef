//! Two sides of a split without a quorum meet: the larger one stays, then the one whose
//! coordinator is older. The other asks, is welcomed, gives up its view, and its members join with
//! new lives and with what they hold.

use super::greet::summary;
use super::{Membership, Standing};
use crate::id::{Epoch, MemberId, Moment, NodeId};
use crate::message::{Message, Summary};
use crate::view::View;
use std::cmp::Reverse;
use std::sync::Arc;

/// Which side stays: that with a quorum, the larger, that with the older coordinator.
pub(super) type Strength = (bool, u16, Reverse<u64>, Reverse<MemberId>);

pub(super) fn strength(view: &Summary) -> Strength {
    (view.quorum, view.size, Reverse(view.join), Reverse(view.coordinator))
}

impl Membership {
    /// Somebody has a view of which neither of us knew the other to be a member.
    pub(super) fn other_side(&mut self, mine: &Arc<View>, theirs: &Summary, now: Moment) {
        let ours = summary(mine, false);
        if ours.quorum && theirs.quorum {
            // One line of views: theirs is later, and we are not in it.
            if theirs.epoch > ours.epoch {
                self.renew(false, now);
            }
            return;
        }
        let loses = strength(&ours) < strength(theirs);
        if loses && mine.coordinator().id == self.me && now >= self.welcoming_until {
            self.send(theirs.coordinator.node, Message::Offer { view: ours });
        }
    }

    pub(super) fn offered(&mut self, from: MemberId, theirs: Summary, now: Moment) {
        let Some(mine) = self.installed.clone() else { return };
        let ours = summary(&mine, false);
        if mine.coordinator().id != self.me || mine.has(from) {
            return;
        }
        if strength(&ours) > strength(&theirs) {
            // While they are on their way this side does not give itself up to a third.
            self.welcoming_until = now + self.config.detection * 2;
            self.send(from.node, Message::Welcome { view: ours });
        }
    }

    pub(super) fn welcomed(&mut self, from: MemberId, theirs: Summary, now: Moment) {
        let Some(mine) = self.installed.clone() else { return };
        let loses = strength(&summary(&mine, false)) < strength(&theirs);
        if mine.coordinator().id != self.me || !loses || now < self.welcoming_until {
            return;
        }
        let me = self.me;
        for member in mine.members.iter().filter(|member| member.id != me) {
            self.send(member.id.node, Message::Dissolve { epoch: mine.epoch, to: from.node });
        }
        self.move_to(from.node, now);
    }

    pub(super) fn dissolved(&mut self, from: MemberId, epoch: Epoch, to: NodeId, now: Moment) {
        let ours = (self.installed.as_ref())
            .is_some_and(|view| view.epoch == epoch && view.coordinator().id == from);
        if ours && matches!(self.standing, Standing::In) && to != self.me.node {
            self.move_to(to, now);
        }
    }

    fn move_to(&mut self, to: NodeId, now: Moment) {
        self.renew(true, now);
        self.hint(to);
    }
}
