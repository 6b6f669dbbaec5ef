//! A view stands: each row gets its role, and its primary brings the others to its own state.

use super::{CopyRow, Grid, Peer, Primary, Role, RowState, Waiter};
use crate::batch::{Put, Reply};
use crate::lease;
use crate::lock::Locks;
use crate::message::Message;
use crate::segment::{Bytes, Group};
use crate::store::Store;
use muster_cluster::{MemberId, Moment, Row, RowId, View};
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

impl Grid {
    /// A view stands.
    pub fn install(&mut self, view: &Arc<View>, now: Moment) {
        self.promised = self.promised.max(view.epoch);
        self.rows.resize_with(view.rows.len(), RowState::default);
        let before = self.view.replace(view.clone());
        for (at, row) in view.rows.iter().enumerate() {
            let id = RowId::try_from(at).unwrap_or(RowId::MAX);
            self.install_row(id, row, view, before.as_deref(), now);
        }
        self.seen.retain(|id, _| view.has(*id));
        self.tell_complete();
        self.after_view(now);
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
            state.store = Store::default();
        }
        let old = std::mem::replace(&mut state.role, Role::Nobody);
        let is_primary = row.owners.first() == Some(&me);
        let old = match old {
            Role::Primary(old) => Some(old),
            Role::Copy(_) | Role::Nobody => None,
        };
        let (kept, dropped) = match old {
            Some(old) if is_primary && !row.fresh => (Some(old), Vec::new()),
            Some(old) => (None, old.waiters.into()),
            None => (None, Vec::new()),
        };
        if is_primary {
            let was = before.and_then(|view| view.rows.get(usize::from(id))?.owners.first());
            if was.is_some_and(|was| *was != me) {
                self.stats.promotions += 1;
            }
            state.is_complete = true;
            state.role = Role::Primary(Box::new(self.lead(row, view, kept, &state.store, now)));
        } else if row.has(me) {
            let is_owner = row.owners.contains(&me);
            state.is_complete = is_owner && (row.fresh || state.is_complete);
            let primary = row.owners.first().copied().unwrap_or(me);
            state.role = Role::Copy(Box::new(CopyRow {
                primary,
                applied: 0,
                is_started: false,
                is_synced: false,
                filling: None,
            }));
        } else if !row.owners.iter().any(|owner| view.member(*owner).is_some()) && row.may_need(me)
        {
            // Its owners are away, and it may yet turn out that they never were the only ones.
        } else {
            // Whoever owns a row no more drops its data.
            state = RowState::default();
        }
        self.rows[usize::from(id)] = state;
        for Waiter { asker, otherwise, .. } in dropped {
            self.answer(asker, otherwise, now);
        }
        self.bring_up(id, now);
        self.settle(id, now);
    }

    /// The primary's side of a row in a new view. What waits for an answer goes on waiting, now for
    /// all owners to have this member's state.
    fn lead(
        &self,
        row: &Row,
        view: &View,
        old: Option<Box<Primary>>,
        store: &Store,
        now: Moment,
    ) -> Primary {
        let counter = view.epoch.counter;
        let peers = (row.owners.iter().chain(&row.pending).copied())
            .filter(|node| *node != self.me.node && view.member(*node).is_some())
            .map(|node| Peer {
                node,
                is_owner: row.owners.contains(&node),
                is_synced: false,
                has: 0,
                sent_at: now,
                progress_at: now,
                is_late: false,
            })
            .collect();
        let (mut waiters, locks, renewed, since) = match old {
            Some(old) => {
                let mut locks = old.locks;
                locks.go_on(counter, |id| view.has(id));
                (old.waiters, locks, old.renewed, old.since)
            }
            None => (VecDeque::new(), Locks::new(counter), BTreeMap::new(), now),
        };
        for waiter in &mut waiters {
            waiter.point = 0;
        }
        Primary {
            last: 0,
            log: VecDeque::new(),
            peers,
            waiters,
            locks,
            renewed,
            since,
            first_digest: store.digest(),
            check_at: now + self.limits.check,
        }
    }

    /// Tells the other owners and those who are being filled what they should have.
    pub(super) fn bring_up(&mut self, row: RowId, _now: Moment) {
        let Some(epoch) = self.view.as_ref().map(|view| view.epoch) else { return };
        let Some((primary, _)) = self.primary_of(row) else { return };
        let digest = primary.first_digest;
        let to: Vec<_> =
            primary.peers.iter().filter(|peer| !peer.is_synced).map(|peer| peer.node).collect();
        for node in to {
            self.send(node, Message::Sync { epoch, row, digest });
        }
    }

    /// This member has no view any more and begins a new life. Its data is offered to the side that
    /// it joins, or waits: an owner that comes back may be the only one that has it.
    pub fn give_up(&mut self, id: MemberId, offer: bool, now: Moment) {
        self.me = id;
        let view = self.view.take();
        self.holding.clear();
        self.is_quorate = false;
        let mut dropped = Vec::new();
        for row in &mut self.rows {
            let role = std::mem::replace(&mut row.role, Role::Nobody);
            if let Role::Primary(primary) = role {
                dropped.extend(primary.waiters);
                if offer {
                    self.offers.extend(offers(&row.store, now));
                }
            }
            if offer {
                *row = RowState::default();
            }
        }
        for Waiter { asker, .. } in dropped {
            self.answer(asker, Reply::Unknown, now);
        }
        self.seen.clear();
        self.tell_complete();
        if view.is_some() {
            self.after_view(now);
        }
    }
}

/// A row's groups, as they are offered to the other side. Leases are not: they are the cluster's.
fn offers(store: &Store, now: Moment) -> Vec<(Group, BTreeMap<Bytes, Put>)> {
    (store.groups().filter(|group| group.space != lease::SPACE))
        .filter_map(|group| store.whole(group, now))
        .map(|whole| {
            let entries = whole.entries.into_iter().map(|(key, _, put)| (key, put)).collect();
            (whole.group, entries)
        })
        .collect()
}
