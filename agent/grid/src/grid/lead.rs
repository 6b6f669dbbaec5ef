//! A row's primary in a new view: it brings the others to its own state. Whoever has followed its
//! reign goes on where it was.

use super::Grid;
use super::state::{Peer, Primary};
use crate::lock::Locks;
use crate::message::{Begun, Message};
use crate::store::Store;
use muster_cluster::{Moment, Row, RowId, View};
use std::collections::{BTreeMap, BTreeSet, VecDeque};

impl Grid {
    /// The primary's side of a row in a new view. What waits for an answer goes on waiting, now for
    /// all owners to have this member's state. Leases that a new one finds were renewed at `heard`.
    pub(super) fn lead(
        &self,
        row: &Row,
        view: &View,
        old: Option<Box<Primary>>,
        store: &Store,
        heard: Moment,
        now: Moment,
    ) -> Primary {
        let counter = view.epoch.counter;
        let mut primary = match old {
            Some(mut old) => {
                old.locks.go_on(counter, |id| view.has(id));
                old.tell_all();
                *old
            }
            None => Primary {
                reign: view.epoch,
                last: 0,
                first: 0,
                first_digest: 0,
                log: VecDeque::new(),
                peers: Vec::new(),
                waiters: VecDeque::new(),
                locks: Locks::new(counter),
                queues: BTreeMap::new(),
                renewed: BTreeMap::new(),
                unkept: BTreeSet::new(),
                since: heard,
                is_bereft: row.fresh && !view.has_all_who_came(),
            },
        };
        (primary.first, primary.first_digest) = (primary.last, store.digest());
        let before = std::mem::take(&mut primary.peers);
        primary.peers = (row.owners.iter().chain(&row.pending).copied())
            .filter(|node| *node != self.me.node && view.member(*node).is_some())
            .map(|node| {
                // Its copy may have come as far as this; the log has the rest.
                let has = before.iter().find(|peer| peer.node == node).map(|peer| peer.has);
                let has = has.unwrap_or(primary.last);
                Peer {
                    node,
                    is_owner: row.owners.contains(&node),
                    is_synced: false,
                    has,
                    sent: has,
                    sent_at: now,
                    progress_at: now,
                    is_late: false,
                }
            })
            .collect();
        primary.trim();
        primary
    }

    /// Tells the other owners and those who are being filled what they should have.
    pub(super) fn bring_up(&mut self, row: RowId) {
        let Some(epoch) = self.epoch() else { return };
        let Some((primary, _)) = self.primary_of(row) else { return };
        let (reign, seq, digest) = (primary.reign, primary.first, primary.first_digest);
        let to: Vec<_> = (primary.peers.iter().filter(|peer| !peer.is_synced))
            .map(|peer| (peer.node, peer.has))
            .collect();
        for (node, base) in to {
            let begun = Box::new(Begun { reign, base, seq, digest });
            self.send(node, Message::Sync { epoch, row, begun });
        }
    }
}
