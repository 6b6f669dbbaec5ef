//! The primary's side of replication: writes go to all, and count when all have answered.

use super::{Grid, Logged, Out};
use crate::message::Message;
use crate::rules::PeerState;
use crate::store::Effect;
use muster_cluster::{MemberId, Moment, NodeId, RowId};
use std::sync::Arc;

/// Writes that are sent again in one message, at most.
const MOST_RESENT: usize = 64;

impl Grid {
    /// Does it here, and sends it to everybody who keeps the row.
    pub(super) fn append(&mut self, row: RowId, effect: Option<Effect>, now: Moment) -> u64 {
        let Some(epoch) = self.view.as_ref().map(|view| view.epoch) else { return 0 };
        let Some((primary, store)) = self.primary_of(row) else { return 0 };
        primary.last += 1;
        let seq = primary.last;
        let effect = effect.map(Arc::new);
        if let Some(effect) = &effect {
            store.apply(effect, now);
        }
        let to: Vec<NodeId> = primary.peers.iter().map(|peer| peer.node).collect();
        if !to.is_empty() {
            primary.log.push_back(Logged { seq, effect: effect.clone(), at: now });
        }
        for node in to {
            let items = vec![effect.clone()];
            self.send(node, Message::Append { epoch, row, first: seq, items });
        }
        seq
    }

    /// Answers whatever all owners have by now.
    pub(super) fn settle(&mut self, row: RowId, now: Moment) {
        let acknowledged = self.rules.acknowledged;
        let Some((primary, _)) = self.primary_of(row) else { return };
        let peers: Vec<PeerState> = (primary.peers.iter())
            .map(|peer| PeerState {
                is_owner: peer.is_owner,
                is_synced: peer.is_synced,
                has: peer.has,
            })
            .collect();
        let everywhere = peers.iter().map(|peer| peer.has).min().unwrap_or(primary.last);
        while primary.log.front().is_some_and(|logged| logged.seq <= everywhere) {
            primary.log.pop_front();
        }
        let Some(upto) = acknowledged(primary.last, &peers) else { return };
        let mut done = Vec::new();
        while primary.waiters.front().is_some_and(|waiter| waiter.point <= upto) {
            done.extend(primary.waiters.pop_front());
        }
        for waiter in done {
            self.answer(waiter.asker, waiter.reply, now);
        }
    }

    pub(super) fn appended(&mut self, from: MemberId, row: RowId, upto: u64, now: Moment) {
        let Some((primary, _)) = self.primary_of(row) else { return };
        let last = primary.last;
        if let Some(peer) = primary.peers.iter_mut().find(|peer| peer.node == from.node)
            && upto > peer.has
        {
            peer.has = upto.min(last);
            peer.progress_at = now;
        }
        self.settle(row, now);
    }

    pub(super) fn synced(&mut self, from: MemberId, row: RowId, now: Moment) {
        let Some((primary, _)) = self.primary_of(row) else { return };
        let Some(peer) = primary.peers.iter_mut().find(|peer| peer.node == from.node) else {
            return;
        };
        if !peer.is_synced {
            (peer.is_synced, peer.progress_at) = (true, now);
            self.resend_to(row, from.node, now);
        }
        self.settle(row, now);
    }

    fn resend_to(&mut self, row: RowId, node: NodeId, now: Moment) {
        let Some(epoch) = self.view.as_ref().map(|view| view.epoch) else { return };
        let Some((primary, _)) = self.primary_of(row) else { return };
        let Some(peer) = primary.peers.iter_mut().find(|peer| peer.node == node) else { return };
        peer.sent_at = now;
        let first = peer.has + 1;
        let items: Vec<_> = (primary.log.iter().filter(|logged| logged.seq >= first))
            .take(MOST_RESENT)
            .map(|logged| logged.effect.clone())
            .collect();
        if !items.is_empty() {
            self.send(node, Message::Append { epoch, row, first, items });
        }
    }

    /// Sends again what was not answered, tells of members that hold up the writes, lets entries
    /// expire, and now and then compares copies.
    pub(super) fn tick_primary(&mut self, row: RowId, now: Moment) {
        let (resend, late) = (self.limits.resend, self.limits.late);
        let in_force = self.view.as_ref().is_some_and(|view| view.epoch == self.promised);
        let Some((primary, _)) = self.primary_of(row) else { return };
        let mut again = Vec::new();
        let mut slow = Vec::new();
        let mut unsynced = false;
        for peer in &mut primary.peers {
            let first = primary.log.iter().find(|logged| logged.seq > peer.has);
            let waits = first.is_some_and(|logged| now >= logged.at + resend);
            if (waits || !peer.is_synced) && now >= peer.sent_at + resend {
                peer.sent_at = now;
                unsynced |= !peer.is_synced;
                again.push(peer.node);
            }
            let holds_up = first.is_some_and(|logged| now >= logged.at + late)
                && now >= peer.progress_at + late;
            let stands_still = !peer.is_synced && now >= peer.progress_at + late;
            if in_force && !peer.is_owner && !peer.is_late && (holds_up || stands_still) {
                peer.is_late = true;
                slow.push(peer.node);
            }
        }
        for node in again {
            self.resend_to(row, node, now);
        }
        if unsynced {
            self.bring_up(row, now);
        }
        self.out.extend(slow.into_iter().map(Out::Late));
        if in_force {
            self.expire_due(row, now);
            self.compare(row, now);
        }
    }

    fn expire_due(&mut self, row: RowId, now: Moment) {
        // A bounded number at a time: the rest at the next tick.
        for _ in 0..256 {
            let due = self.primary_of(row).and_then(|(_, store)| store.first_expired(now));
            let Some(group) = due else { break };
            self.expire(row, &group, now);
        }
        self.settle(row, now);
    }

    /// Asks the backups whether they still have what this member has.
    fn compare(&mut self, row: RowId, now: Moment) {
        let check = self.limits.check;
        let Some(epoch) = self.view.as_ref().map(|view| view.epoch) else { return };
        let Some((primary, store)) = self.primary_of(row) else { return };
        if now < primary.check_at || !primary.log.is_empty() {
            return;
        }
        primary.check_at = now + check;
        let (seq, digest) = (primary.last, store.digest());
        let to: Vec<NodeId> =
            primary.peers.iter().filter(|peer| peer.is_synced).map(|peer| peer.node).collect();
        for node in to {
            self.send(node, Message::Check { epoch, row, seq, digest });
        }
    }
}
