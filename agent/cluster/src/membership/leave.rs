//! Leaving, being filled, and operators' wishes: what a member asks of the coordinator.

use super::{Membership, Standing};
use crate::id::{Epoch, MemberId, Moment, NodeId};
use crate::message::{Action, Event, Message, Refusal, Wish};
use crate::rows::{RowId, RowSet};
use crate::view::View;

impl Membership {
    pub(super) fn ask_to_leave(&mut self, now: Moment) {
        if !self.leave {
            return;
        }
        // Nobody to hand anything to, or nothing to hand over. Whoever was dropped and may have the
        // only copy of something comes in again first.
        let may_go = match &self.installed {
            Some(view) => view.members.len() == 1 && self.joiners.is_empty(),
            None => self.complete.is_empty(),
        };
        if may_go {
            self.standing = Standing::Left;
            self.actions.push_back(Action::Left);
        } else if self.is_acting(now) {
            self.leaving.insert(self.me);
        } else if let Some(acting) = self.acting(now).map(|member| member.id.node) {
            self.send(acting, Message::Leave);
        }
    }

    pub(super) fn wants_to_leave(&mut self, from: MemberId, now: Moment) {
        let is_member = self.installed.as_ref().is_some_and(|view| view.has(from));
        if is_member && self.is_acting(now) {
            self.leaving.insert(from);
        } else if let Some(view) = self.installed.clone().filter(|_| !is_member) {
            // It is out already, and has not heard it.
            self.send(from.node, Message::Commit { view });
        }
    }

    /// Whether somebody wants to leave and can.
    pub(super) fn somebody_leaves(&self, view: &View) -> bool {
        let stay = || view.members.iter().filter(|member| !self.leaving.contains(&member.id));
        let is_member = |node: NodeId| view.member(node).is_some();
        let unheard = |member: &&crate::view::Member| {
            self.leaving.contains(&member.id)
                && (!member.leaving
                    || !view.rows.iter().any(|row| row.binds(member.id.node, is_member)))
        };
        stay().next().is_some()
            && view.electorate.satisfied(stay().map(|member| &member.id.node))
            && view.members.iter().any(|member| unheard(&member))
    }

    pub(super) fn completed(&mut self, rows: RowSet) {
        self.complete = rows;
        self.report_filled();
    }

    /// Tells the coordinator once all rows that this member is being filled with are whole.
    pub(super) fn report_filled(&mut self) {
        let Some(view) = self.installed.clone() else { return };
        let me = self.me.node;
        let mut pending = rows_pending(&view).filter(|(_, nodes)| nodes.contains(&me)).peekable();
        if pending.peek().is_none() || !pending.all(|(row, _)| self.complete.contains(row)) {
            return;
        }
        let (epoch, complete) = (view.epoch, self.complete.clone());
        for to in view.members.iter().map(|member| member.id.node) {
            if to == me {
                self.filled.insert(me, complete.clone());
            } else if self.is_first_alive(to) {
                self.send(to, Message::Filled { epoch, complete: complete.clone() });
            }
        }
    }

    /// Whether a node is the oldest member that is not suspected.
    fn is_first_alive(&self, node: NodeId) -> bool {
        let members = self.installed.iter().flat_map(|view| &view.members);
        (members.map(|member| member.id).find(|id| !self.suspects.contains(id)))
            .is_some_and(|id| id.node == node)
    }

    pub(super) fn filled_at(&mut self, from: MemberId, epoch: Epoch, complete: RowSet) {
        if self.installed.as_ref().is_some_and(|view| view.epoch == epoch && view.has(from)) {
            self.filled.insert(from.node, complete);
        }
    }

    /// Whether everybody who is being filled is whole, and somebody is.
    pub(super) fn all_filled(&self, view: &View) -> bool {
        let whole = |row: RowId, node: &NodeId| {
            self.filled.get(node).is_some_and(|complete| complete.contains(row))
        };
        rows_pending(view).next().is_some()
            && rows_pending(view).all(|(row, nodes)| nodes.iter().all(|node| whole(row, node)))
    }

    pub(super) fn late(&mut self, node: NodeId, now: Moment) {
        let Some(epoch) = self.installed.as_ref().map(|view| view.epoch) else { return };
        match self.acting(now).map(|member| member.id.node) {
            Some(acting) if acting == self.me.node => self.late_in(epoch, node, now),
            Some(acting) => self.send(acting, Message::Late { epoch, node }),
            None => {}
        }
    }

    /// A member that is being filled and holds up the writes is taken out of `pending`. An owner
    /// is never dropped for its lateness.
    pub(super) fn late_in(&mut self, epoch: Epoch, node: NodeId, now: Moment) {
        let Some(view) = self.installed.as_ref().filter(|view| view.epoch == epoch) else { return };
        if rows_pending(view).any(|(_, nodes)| nodes.contains(&node)) {
            self.slow.insert(node, now + self.config.late_pause);
        }
    }

    pub(super) fn wish(&mut self, from: Option<MemberId>, wish: Wish) {
        let first = (self.installed.iter().flat_map(|view| &view.members))
            .map(|member| member.id)
            .find(|id| !self.suspects.contains(id));
        let answer = match first {
            None => Err(Refusal::NoView),
            Some(first) if first.node == self.me.node => self.grant(wish),
            Some(first) if from.is_none() => return self.send(first.node, Message::Ask(wish)),
            Some(_) => return,
        };
        match (answer, from) {
            (Ok(()), _) => {}
            (Err(why), Some(from)) => self.send(from.node, Message::NotGranted(why)),
            (Err(why), None) => self.actions.push_back(Action::NotGranted(why)),
        }
    }

    fn grant(&mut self, wish: Wish) -> Result<(), Refusal> {
        let Some(view) = &self.installed else { return Err(Refusal::NoView) };
        match wish {
            Wish::Quorum { quorum, forced } => {
                let known = match view.electorate.quorum {
                    None => view.members.len(),
                    Some(_) => view.electorate.known.len(),
                };
                if let Some(quorum) = quorum {
                    let here = view.members.len();
                    if usize::from(quorum) > here || quorum == 0 {
                        return Err(Refusal::QuorumTooLarge { quorum, known: here });
                    }
                    if !forced && !crate::succeed::is_safe(Some(quorum), known) {
                        return Err(Refusal::QuorumTooSmall { quorum, known });
                    }
                }
                self.change.quorum = Some(quorum);
            }
            Wish::Forget(node) if view.member(node).is_some() => {
                return Err(Refusal::StillHere(node));
            }
            Wish::Forget(node) if !view.electorate.known.contains_key(&node) => {
                return Err(Refusal::Unknown(node));
            }
            Wish::Forget(node) => {
                if !self.change.forgotten.contains(&node) {
                    self.change.forgotten.push(node);
                }
            }
        }
        Ok(())
    }

    /// Whether an operator's wish is not yet in the view.
    pub(super) fn wishes(&self, view: &View) -> bool {
        self.change.quorum.is_some_and(|quorum| quorum != view.electorate.quorum)
            || self.change.forgotten.iter().any(|node| view.electorate.known.contains_key(node))
    }
}

fn rows_pending(view: &View) -> impl Iterator<Item = (RowId, &Vec<NodeId>)> {
    (view.rows.iter().enumerate())
        .filter(|(_, row)| !row.pending.is_empty())
        .map(|(at, row)| (RowId::try_from(at).unwrap_or(RowId::MAX), &row.pending))
}

/// Asks a membership to leave, in a test or a shell.
impl From<Wish> for Event {
    fn from(wish: Wish) -> Self {
        Self::Wish(wish)
    }
}
