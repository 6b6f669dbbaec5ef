//! The primary's side of replication: writes go to all, and count when all have answered.

use super::state::{Peer, Primary, Told, Waiter};
use super::{Asker, Grid, Out};
use crate::batch::Reply;
use crate::message::{AnswerWith, Answers, Items, Message};
use crate::store::Effect;
use crate::watch::Changes;
use muster_cluster::{Epoch, MemberId, Moment, NodeId, RowId};
use std::collections::VecDeque;
use std::sync::Arc;

/// Writes that are sent again in one message, at most.
const MOST_RESENT: usize = 64;

impl Grid {
    /// Does it here, and sends it to everybody who keeps the row.
    pub(super) fn append(&mut self, row: RowId, effect: Option<Effect>, now: Moment) -> u64 {
        let Some(epoch) = self.epoch() else { return 0 };
        let is_watched = effect.as_ref().is_some_and(|effect| self.is_watched(effect));
        let Self { rows, out, active, shelves, .. } = self;
        let Some(state) = rows.get_mut(usize::from(row)) else { return 0 };
        let super::Role::Primary(primary) = &mut state.role else { return 0 };
        active.insert(row);
        primary.last += 1;
        let seq = primary.last;
        let effect = effect.map(Arc::new);
        if let Some(effect) = &effect {
            let changes = if is_watched { Changes::of(effect, &state.store, true) } else { None };
            let told = changes.map(|changes| Waiter { point: seq, told: Told::Listeners(changes) });
            primary.waiters.extend(told);
            // Whatever was asked has brought the group into memory: it cannot fail.
            let _ = (shelves.have_missed(), shelves.apply(row, &mut state.store, effect, now));
            if shelves.have_missed() {
                primary.unkept.insert(seq);
            }
        }
        if primary.peers.is_empty() {
            return seq;
        }
        for peer in &mut primary.peers {
            // Whoever is behind gets it in its turn.
            if peer.sent + 1 == seq {
                // However many follow, what is not answered is sent again in its time.
                if peer.has == peer.sent {
                    peer.sent_at = now;
                }
                peer.sent = seq;
                let items = Items::from_buf([effect.clone()]);
                let answers = Answers::new();
                let message = Message::Append { epoch, row, first: seq, items, answers };
                out.push_back(Out::Send { to: peer.node, message });
            }
        }
        primary.log.push_back(super::state::Logged { effect, at: now });
        seq
    }

    /// Answers once all owners have it: where the asker is the only other one, with the write.
    pub(super) fn wait(
        &mut self,
        row: RowId,
        point: u64,
        asker: Asker,
        reply: Reply,
        is_change: bool,
        now: Moment,
    ) {
        let is_told = self.tell_with(row, point, asker, &reply);
        if let Some((primary, _)) = self.primary_of(row) {
            let told = Told::Asker { asker, reply, is_change, is_told };
            primary.waiters.push_back(Waiter { point, told });
        }
        self.settle(row, now);
    }

    /// Puts an answer into the message that has just been made for its write, if the asker is the
    /// only other keeper of the row and owns it. It saves the asker the way back and forth.
    fn tell_with(&mut self, row: RowId, point: u64, asker: Asker, reply: &Reply) -> bool {
        let Some((primary, _)) = self.primary_of(row) else { return false };
        let is_only = match primary.peers.as_slice() {
            [peer] => peer.node == asker.member.node && peer.is_owner && peer.is_synced,
            _ => false,
        };
        let Self { out, shelves, .. } = self;
        let Some(Out::Send { to, message: Message::Append { row: of, first, items, answers, .. } }) =
            out.back_mut().filter(|_| is_only)
        else {
            return false;
        };
        let is_its = *to == asker.member.node && *of == row && *first == point && items.len() == 1;
        let mut effects = items.iter().flatten();
        // Whether a journal has taken it is known when the other says so.
        let has_journal = |effect: &Arc<Effect>| shelves.has_journal(effect.group.space.cache);
        let is_its = is_its && !effects.any(has_journal);
        if is_its {
            let (attempt, life) = (asker.attempt, asker.member.incarnation);
            answers.push(AnswerWith { attempt, life, point, reply: reply.clone() });
        }
        is_its
    }

    /// Answers whatever all owners have by now.
    pub(super) fn settle(&mut self, row: RowId, now: Moment) {
        let acknowledged = self.rules.acknowledged;
        let Some((primary, _)) = self.primary_of(row) else { return };
        primary.trim();
        let are_synced = primary.peers.iter().all(|peer| peer.is_synced || !peer.is_owner);
        let upto = acknowledged(primary.last, are_synced, primary.everywhere());
        let Some(upto) = upto else { return };
        while let Some(told) = self.next_told(row, upto) {
            match told {
                Told::Asker { is_told: true, .. } => {}
                Told::Asker { asker, reply, .. } => self.answer(asker, reply, now),
                Told::Listeners(changes) => self.out.push_back(Out::Changed(changes)),
            }
        }
        if let Some((primary, _)) = self.primary_of(row)
            && !primary.unkept.is_empty()
        {
            primary.unkept = primary.unkept.split_off(&(upto + 1));
        }
    }

    fn next_told(&mut self, row: RowId, upto: u64) -> Option<Told> {
        let (primary, _) = self.primary_of(row)?;
        let is_due = primary.waiters.front().is_some_and(|waiter| waiter.point <= upto);
        let mut waiter = if is_due { primary.waiters.pop_front()? } else { return None };
        if let Told::Asker { reply, .. } = &mut waiter.told
            && let Reply::Written(rev) = *reply
            && primary.unkept.contains(&waiter.point)
        {
            *reply = Reply::Unkept(rev);
        }
        Some(waiter.told)
    }

    /// The journal of another owner has not taken these.
    pub(super) fn unkept(&mut self, row: RowId, seqs: &[u64]) {
        let Some((primary, _)) = self.primary_of(row) else { return };
        let everywhere = primary.everywhere();
        let last = primary.last;
        // What everybody has said to have is answered already.
        primary.unkept.extend(seqs.iter().filter(|seq| (everywhere + 1..=last).contains(*seq)));
    }

    pub(super) fn appended(&mut self, from: MemberId, row: RowId, upto: u64, now: Moment) {
        let Some(epoch) = self.epoch() else { return };
        let most = self.limits.chunk;
        let Self { rows, out, .. } = self;
        let Some(state) = rows.get_mut(usize::from(row)) else { return };
        let super::Role::Primary(primary) = &mut state.role else { return };
        let last = primary.last;
        let Some(peer) = primary.peer(from.node) else { return };
        if upto > peer.has || !peer.is_synced {
            peer.progress_at = now;
        }
        peer.has = peer.has.max(upto.min(last));
        peer.sent = peer.sent.max(peer.has);
        let is_behind = peer.sent < last;
        if is_behind {
            send_more(primary, from.node, epoch, row, most, out, now);
        }
        self.settle(row, now);
    }

    pub(super) fn synced(&mut self, from: MemberId, row: RowId, now: Moment) {
        let Some((primary, _)) = self.primary_of(row) else { return };
        let Some(peer) = primary.peer(from.node) else { return };
        if !peer.is_synced {
            (peer.is_synced, peer.progress_at) = (true, now);
            self.resend_to(row, from.node, now);
        }
        self.settle(row, now);
    }

    /// Sends what a peer has not said to have, from the beginning.
    pub(super) fn resend_to(&mut self, row: RowId, to: NodeId, now: Moment) {
        let Some(epoch) = self.epoch() else { return };
        let most = self.limits.chunk;
        let Self { rows, out, .. } = self;
        let Some(state) = rows.get_mut(usize::from(row)) else { return };
        let super::Role::Primary(primary) = &mut state.role else { return };
        let Some(peer) = primary.peer(to) else { return };
        (peer.sent, peer.sent_at) = (peer.has, now);
        // What is sent again goes without answers.
        primary.tell_all();
        send_more(primary, to, epoch, row, most, out, now);
    }
}

/// Sends the next of the writes that were not sent to a peer yet: some at a time, each batch when
/// the last one was answered.
fn send_more(
    primary: &mut Primary,
    to: NodeId,
    epoch: Epoch,
    row: RowId,
    most: usize,
    out: &mut VecDeque<Out>,
    now: Moment,
) {
    let Some(sent) = primary.peer(to).map(|peer: &mut Peer| peer.sent) else { return };
    let mut size = 0;
    let items: Items = (primary.logged_after(sent).take(MOST_RESENT))
        .take_while(|logged| {
            let is_room = size < most;
            size += logged.effect.as_ref().map_or(0, |effect| size_of(effect));
            is_room
        })
        .map(|logged| logged.effect.clone())
        .collect();
    let count = items.len() as u64;
    if count == 0 {
        return;
    }
    if let Some(peer) = primary.peer(to) {
        (peer.sent, peer.sent_at) = (sent + count, now);
    }
    out.push_back(Out::Send {
        to,
        message: Message::Append { epoch, row, first: sent + 1, items, answers: Answers::new() },
    });
}

fn size_of(effect: &Effect) -> usize {
    let put = |put: &Option<crate::batch::Put>| put.as_ref().map_or(0, |put| put.value.len());
    effect.puts.iter().map(|(key, value)| key.len() + put(value) + 32).sum::<usize>()
        + effect.group.name.len()
}
