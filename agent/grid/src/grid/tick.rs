//! What time brings about. Rows in which nothing is due are not looked at.

use super::state::Role;
use super::{Grid, Out};
use crate::message::Message;
use crate::segment::Group;
use muster_cluster::{Moment, NodeId, RowId};

/// Entries' groups of one row that are looked at for expiry in one go: the rest at the next tick.
const MOST_EXPIRED: usize = 256;

/// How far the round of comparisons is: each row once in `Limits::check`.
#[derive(Default)]
pub(super) struct Checking {
    begun: Moment,
    next: usize,
}

impl Grid {
    /// Time passed.
    pub fn tick(&mut self, now: Moment) {
        self.dispatch_waiting(now, false);
        self.ask_again(now);
        for (name, token) in self.holding.over(now) {
            self.out.push_back(Out::LeaseLost { name, token });
        }
        let active: Vec<RowId> = self.active.iter().collect();
        for row in active {
            let is_led = self.tick_primary(row, now);
            if !is_led && !self.tick_copy(row, now) {
                self.active.remove(row);
            }
        }
        self.compare_some(now);
        self.offer(now);
        self.shelves.remove_waste(now);
        self.put_again(now);
        self.make_room(now);
    }

    /// Sends again what was not answered, tells of members that hold up the writes, lets entries
    /// and waits for checkouts expire. Whether the row still has something due.
    fn tick_primary(&mut self, row: RowId, now: Moment) -> bool {
        let (resend, late) = (self.limits.resend, self.limits.late);
        let in_force = self.is_in_force();
        let Some((primary, _)) = self.primary_of(row) else { return false };
        let mut again = Vec::new();
        let mut slow = Vec::new();
        let mut unsynced = false;
        for at in 0..primary.peers.len() {
            let (has, last) = (primary.peers[at].has, primary.last);
            let since = if has < last {
                primary.logged_after(has).next().map(|logged| logged.at)
            } else {
                None
            };
            let peer = &mut primary.peers[at];
            let waits = since.is_some_and(|since| now >= since + resend);
            let goes_on = peer.is_synced && now < peer.progress_at + resend;
            if (waits || !peer.is_synced) && !goes_on && now >= peer.sent_at + resend {
                peer.sent_at = now;
                unsynced |= !peer.is_synced;
                again.push(peer.node);
            }
            let holds_up =
                since.is_some_and(|since| now >= since + late) && now >= peer.progress_at + late;
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
            self.bring_up(row);
        }
        self.out.extend(slow.into_iter().map(Out::Late));
        if in_force {
            self.expire_due(row, now);
        }
        self.tick_queues(row, in_force, now);
        let Some((primary, store)) = self.primary_of(row) else { return false };
        !primary.log.is_empty()
            || !primary.queues.is_empty()
            || store.has_deadlines()
            || primary.peers.iter().any(|peer| !peer.is_synced)
    }

    /// Lets go what is over in a row.
    pub(super) fn expire_due(&mut self, row: RowId, now: Moment) {
        let table = self.table_of(row);
        self.wake_due(row, now);
        let Some((primary, store)) = self.primary_of(row) else { return };
        if store.has_deadlines() {
            let is_free = |group: &Group| primary.locks.of(group.place(), now).is_none();
            // A bounded number at a time: the rest at the next tick.
            let due: Vec<Group> =
                store.due(table, now).filter(is_free).take(MOST_EXPIRED).collect();
            for group in due {
                self.expire(row, &group, now);
            }
        }
        self.settle(row, now);
    }

    /// What is over on the shelf comes back into memory, to expire like anything else.
    fn wake_due(&mut self, row: RowId, now: Moment) {
        let Self { rows, shelves, .. } = self;
        let Some(state) = rows.get_mut(usize::from(row)) else { return };
        if shelves.is_empty() || !matches!(state.role, Role::Primary(_)) {
            return;
        }
        for place in shelves.wake_due(row, &mut state.store, MOST_EXPIRED, now) {
            self.want(row, place, now);
        }
    }

    /// Asks the backups of some rows whether they still have what this member has.
    fn compare_some(&mut self, now: Moment) {
        let rows = self.rows.len();
        let round = self.limits.check.as_nanos().max(1);
        let passed = now.saturating_sub(self.checking.begun).as_nanos();
        let upto = usize::try_from(rows as u128 * passed / round).unwrap_or(rows).min(rows);
        while self.checking.next < upto {
            let row = RowId::try_from(self.checking.next).unwrap_or(RowId::MAX);
            self.checking.next += 1;
            self.compare(row);
        }
        if passed >= round {
            self.checking = Checking { begun: now, next: 0 };
        }
    }

    fn compare(&mut self, row: RowId) {
        if !self.is_in_force() {
            return;
        }
        let Some(epoch) = self.epoch() else { return };
        let Some((primary, store)) = self.primary_of(row) else { return };
        let (seq, digest) = (primary.last, store.digest());
        let to: Vec<NodeId> = (primary.peers.iter())
            .filter(|peer| peer.is_synced && peer.sent == seq)
            .map(|peer| peer.node)
            .collect();
        for node in to {
            self.send(node, Message::Check { epoch, row, seq, digest });
        }
    }
}
