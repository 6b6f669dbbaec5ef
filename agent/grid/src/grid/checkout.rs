//! Checkouts at the primary: one has the group, the others wait in the order in which they asked.

use super::state::Queued;
use super::{Asker, Grid};
use crate::batch::{Fence, Reply, Request};
use crate::segment::{Group, Place};
use muster_cluster::{Moment, RowId};
use std::collections::VecDeque;

impl Grid {
    pub(super) fn checkout(&mut self, asker: Asker, row: RowId, request: &Request, now: Moment) {
        let Request::Checkout { group, hold, confirm, wait } = request else { return };
        let (place, most) = (group.place(), self.limits.most_waiting);
        // Where the one before is just over, those who wait come first.
        self.grant(row, place, now);
        let until = now.saturating_add(*wait);
        let queued = Queued { asker, group: group.clone(), hold: *hold, confirm: *confirm, until };
        let Some((primary, _)) = self.primary_of(row) else { return };
        if primary.locks.of(place, now).is_none() {
            return self.give(row, queued, now);
        }
        if wait.is_zero() {
            return self.answer(asker, Reply::Locked, now);
        }
        let queue = primary.queues.entry(place).or_default();
        if queue.len() >= most {
            return self.answer(asker, Reply::Busy, now);
        }
        queue.push_back(queued);
        self.active.insert(row);
    }

    /// The group is this asker's.
    fn give(&mut self, row: RowId, queued: Queued, now: Moment) {
        let Queued { asker, group, hold, confirm, .. } = queued;
        // It may have gone to the shelf while its asker waited.
        if self.warm(row, &group, now).is_err() {
            return self.answer(asker, Reply::Retry, now);
        }
        self.expire(row, &group, now);
        let Some((primary, store)) = self.primary_of(row) else { return };
        store.touch(&group, now);
        let entries = store.entries(&group);
        let ends = now.saturating_add(hold);
        let fence = primary.locks.give(group.place(), (asker.member, asker.attempt), ends);
        let reply = Reply::Checkout { entries, fence };
        if confirm {
            // Where this member stops being the primary, the checkout is gone with it.
            self.confirm(asker, row, reply, now);
        } else {
            self.answer(asker, reply, now);
        }
    }

    /// Gives a group that is free to the first of those who wait for it.
    pub(super) fn grant(&mut self, row: RowId, place: Place, now: Moment) {
        let Some((primary, _)) = self.primary_of(row) else { return };
        if primary.queues.is_empty() || primary.locks.of(place, now).is_some() {
            return;
        }
        let Some(queue) = primary.queues.get_mut(&place) else { return };
        let next = queue.pop_front();
        if queue.is_empty() {
            primary.queues.remove(&place);
        }
        match next {
            Some(queued) if queued.until <= now => {
                self.answer(queued.asker, Reply::Locked, now);
                self.grant(row, place, now);
            }
            Some(queued) => {
                self.stats.waited += 1;
                self.give(row, queued, now);
            }
            None => {}
        }
    }

    /// Ends a checkout without changes.
    pub(super) fn release(
        &mut self,
        asker: Asker,
        row: RowId,
        group: &Group,
        fence: Fence,
        now: Moment,
    ) {
        let place = group.place();
        let released =
            self.primary_of(row).is_some_and(|(p, _)| p.locks.release(place, fence, now));
        let reply = if released { Reply::Released } else { Reply::Fenced };
        self.answer(asker, reply, now);
        if released {
            self.grant(row, place, now);
        }
    }

    /// Those who have waited long enough are told so; what came free by time goes to the next.
    pub(super) fn tick_queues(&mut self, row: RowId, in_force: bool, now: Moment) {
        let Some((primary, _)) = self.primary_of(row) else { return };
        if primary.queues.is_empty() {
            return;
        }
        let mut over = Vec::new();
        primary.queues.retain(|_, queue| {
            let (late, rest): (VecDeque<_>, VecDeque<_>) =
                std::mem::take(queue).into_iter().partition(|queued| queued.until <= now);
            over.extend(late.into_iter().map(|queued| queued.asker));
            *queue = rest;
            !queue.is_empty()
        });
        let waiting: Vec<Place> = primary.queues.keys().copied().collect();
        for asker in over {
            self.answer(asker, Reply::Locked, now);
        }
        if in_force {
            for place in waiting {
                self.grant(row, place, now);
            }
        }
    }
}
