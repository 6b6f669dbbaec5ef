//! A view stands: each row gets its role.

use super::state::{CopyRow, Role, Told, Waiter};
use super::{Grid, RowState};
use crate::batch::Reply;
use muster_cluster::{MemberId, Moment, NodeId, Row, RowId, RowSet, View};
use std::sync::Arc;

impl Grid {
    /// A view stands.
    pub fn install(&mut self, view: &Arc<View>, now: Moment) {
        self.promised = self.promised.max(view.epoch);
        self.rows.resize_with(view.rows.len(), RowState::default);
        let before = self.view.replace(view.clone());
        self.fills.clear();
        self.active = RowSet::default();
        self.shelves.stamps.see(view, self.me.node);
        for (row, kept) in (0..).zip(&view.rows) {
            self.install_row(row, kept, view, before.as_deref(), now);
            self.active.insert(row);
        }
        self.forget_askers(view);
        self.count_complete();
        if !self.shelves.is_empty() {
            let Self { rows, shelves, .. } = self;
            (0..).zip(rows).for_each(|(row, state)| shelves.stamp(row, &mut state.store, now));
        }
        self.after_view(now);
    }

    fn count_complete(&mut self) {
        self.complete = RowSet::default();
        for (row, state) in (0..).zip(&self.rows) {
            if state.is_complete {
                self.complete.insert(row);
            }
        }
        self.shelves.stamps.are_whole(&self.complete);
        self.tell_complete();
    }

    fn install_row(
        &mut self,
        id: RowId,
        row: &Row,
        view: &View,
        before: Option<&View>,
        now: Moment,
    ) {
        let me = self.me.node;
        let mut state = std::mem::take(&mut self.rows[usize::from(id)]);
        if row.fresh {
            self.shelves.forget(&std::mem::take(&mut state.store), false);
            if row.owners.contains(&me) {
                self.shelves.stamps.lives().begin(&mut state.store, id, view);
            }
        }
        let old = std::mem::replace(&mut state.role, Role::Nobody);
        let mut dropped = Vec::new();
        let heard = match &old {
            // Had there been a view in between, its owners may have gone on without this one.
            Role::Copy(copy) if !row.fresh && before.is_some_and(|it| view.is_next_after(it)) => {
                copy.heard
            }
            Role::Copy(_) | Role::Primary(_) | Role::Nobody => now,
        };
        if row.owners.first() == Some(&me) {
            let was = before.and_then(|view| view.rows.get(usize::from(id))?.owners.first());
            if was.is_some_and(|was| *was != me) {
                self.stats.promotions += 1;
            }
            let kept = match old {
                Role::Primary(mut old) if !row.fresh => {
                    let waiting = std::mem::take(&mut old.queues).into_values().flatten();
                    dropped.extend(waiting.map(|queued| (queued.asker, Reply::Retry)));
                    Some(old)
                }
                other => {
                    dropped.extend(unanswered(other));
                    None
                }
            };
            state.is_complete = true;
            state.role =
                Role::Primary(Box::new(self.lead(row, view, kept, &state.store, heard, now)));
        } else if row.has(me) {
            let is_owner = row.owners.contains(&me);
            state.is_complete = is_owner && (row.fresh || state.is_complete);
            let primary = row.owners.first().copied().unwrap_or(me);
            let (copy, owed) = follow(old, primary, row.fresh, heard);
            state.role = Role::Copy(copy);
            dropped.extend(owed);
        } else if !row.owners.iter().any(|owner| view.member(*owner).is_some()) && row.may_need(me)
        {
            // Its owners are away, and it may yet turn out that they never were the only ones.
            dropped.extend(unanswered(old));
        } else {
            // Whoever owns a row no more drops its data.
            self.shelves.forget(&state.store, false);
            state = RowState::default();
            dropped.extend(unanswered(old));
        }
        self.rows[usize::from(id)] = state;
        for (asker, reply) in dropped {
            self.answer(asker, reply, now);
        }
        self.bring_up(id);
        self.settle(id, now);
    }

    /// This member has no view any more and begins a new life. Its data is offered to the side that
    /// it joins, or waits: an owner that comes back may be the only one that has it.
    pub fn give_up(&mut self, id: MemberId, offer: bool, now: Moment) {
        self.me = id;
        let view = self.view.take();
        self.holding.clear();
        self.is_quorate = false;
        self.quorum_lost = None;
        self.fills.clear();
        self.active = RowSet::default();
        let mut dropped = Vec::new();
        let mut rows = std::mem::take(&mut self.rows);
        for (at, row) in (0..).zip(&mut rows) {
            let role = std::mem::replace(&mut row.role, Role::Nobody);
            let is_offered = offer && matches!(role, Role::Primary(_));
            if is_offered {
                let table = view.as_ref().map_or(0, |view| view.table_of(at));
                self.keep_offers(table, &row.store, now);
            }
            dropped.extend(unanswered(role));
            if offer {
                self.shelves.forget(&row.store, is_offered);
                *row = RowState::default();
            }
        }
        self.rows = rows;
        for (asker, _) in dropped {
            self.answer(asker, Reply::Unknown, now);
        }
        self.seen.clear();
        self.met = super::again::Met::default();
        self.count_complete();
        if view.is_some() {
            self.after_view(now);
        }
    }
}

/// The copy of a row in a new view, and whom its last role owes an answer. What it knows of its
/// primary's writes stays where that is the same; the primary says whether it counts.
fn follow(
    old: Role,
    primary: NodeId,
    is_fresh: bool,
    heard: Moment,
) -> (Box<CopyRow>, Vec<(super::Asker, Reply)>) {
    match old {
        Role::Copy(mut copy) if copy.primary == primary && !is_fresh => {
            (copy.is_started, copy.is_synced, copy.heard) = (false, false, heard);
            (copy, Vec::new())
        }
        other => (Box::new(CopyRow::new(primary, heard)), unanswered(other)),
    }
}

/// Whom a role owes an answer, when it ends.
fn unanswered(role: Role) -> Vec<(super::Asker, Reply)> {
    let Role::Primary(primary) = role else { return Vec::new() };
    let waiting = primary.queues.into_values().flatten();
    let queued = waiting.map(|queued| (queued.asker, Reply::Retry));
    (primary.waiters.into_iter().filter_map(otherwise)).chain(queued).collect()
}

fn otherwise(waiter: Waiter) -> Option<(super::Asker, Reply)> {
    match waiter.told {
        Told::Asker { asker, is_change: true, .. } => Some((asker, Reply::Unknown)),
        Told::Asker { asker, is_change: false, .. } => Some((asker, Reply::Retry)),
        Told::Listeners(_) => None,
    }
}
