//! What a member keeps of each row, by its role.

use super::fill::Filling;
use crate::batch::Reply;
use crate::lock::Locks;
use crate::message::Message;
use crate::segment::{Bytes, Group, Place};
use crate::store::{Effect, Store};
use crate::watch::Changes;
use muster_cluster::{Epoch, MemberId, Moment, NodeId, RowId};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

/// Who is to be answered.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Asker {
    pub(super) member: MemberId,
    pub(super) attempt: u64,
}

/// What waits until all owners have what it is based on.
pub(super) struct Waiter {
    pub(super) point: u64,
    pub(super) told: Told,
}

/// Whom it is told.
pub(super) enum Told {
    /// Whoever asked.
    Asker {
        asker: Asker,
        reply: Reply,
        /// When this member stops being the primary first: whether something may have changed.
        is_change: bool,
        /// It went with the write, which was sent once: whoever has that has the answer.
        is_told: bool,
    },
    /// Listeners. Nobody, when this member stops being the primary first.
    Listeners(Changes),
}

pub(super) struct Logged {
    pub(super) effect: Option<Arc<Effect>>,
    pub(super) at: Moment,
}

/// Another member that keeps a row, as its primary sees it.
pub(super) struct Peer {
    pub(super) node: NodeId,
    pub(super) is_owner: bool,
    /// It has said in this epoch that its copy is the primary's.
    pub(super) is_synced: bool,
    /// The last write that it has.
    pub(super) has: u64,
    /// The last write that was sent to it.
    pub(super) sent: u64,
    /// When the first was sent of those that it has not answered, or all were sent again.
    pub(super) sent_at: Moment,
    pub(super) progress_at: Moment,
    pub(super) is_late: bool,
}

/// A checkout that waits for another's end.
pub(super) struct Queued {
    pub(super) asker: Asker,
    pub(super) group: Group,
    pub(super) hold: Duration,
    pub(super) confirm: bool,
    pub(super) until: Moment,
}

/// A row at its primary.
pub(super) struct Primary {
    /// The epoch since which this member has led the row without a break. Writes are numbered on.
    pub(super) reign: Epoch,
    pub(super) last: u64,
    /// The last write before the epoch in force, and the digest after it.
    pub(super) first: u64,
    pub(super) first_digest: u64,
    /// The writes up to `last` that somebody may not have.
    pub(super) log: VecDeque<Logged>,
    pub(super) peers: Vec<Peer>,
    pub(super) waiters: VecDeque<Waiter>,
    pub(super) locks: Locks,
    pub(super) queues: BTreeMap<Place, VecDeque<Queued>>,
    pub(super) renewed: BTreeMap<Bytes, Moment>,
    /// When leases were last renewed that are not in `renewed`: not later than this.
    pub(super) since: Moment,
    /// Writes that somebody's journal has not taken, of those that are not acknowledged yet.
    pub(super) unkept: BTreeSet<u64>,
    /// The row began empty with this reign, and there may have been leases before.
    pub(super) is_bereft: bool,
}

impl Primary {
    /// The last write that every other keeper has.
    pub(super) fn everywhere(&self) -> u64 {
        self.peers.iter().map(|peer| peer.has).min().unwrap_or(self.last)
    }

    /// Forgets writes that everybody has.
    pub(super) fn trim(&mut self) {
        let keep = usize::try_from(self.last - self.everywhere()).unwrap_or(usize::MAX);
        while self.log.len() > keep {
            self.log.pop_front();
        }
    }

    /// The writes after one.
    pub(super) fn logged_after(&self, seq: u64) -> impl Iterator<Item = &Logged> {
        let behind = usize::try_from(self.last - seq).unwrap_or(usize::MAX);
        self.log.range(self.log.len().saturating_sub(behind)..)
    }

    /// From now on every answer that waits is to be told by itself.
    pub(super) fn tell_all(&mut self) {
        for waiter in &mut self.waiters {
            if let Told::Asker { is_told, .. } = &mut waiter.told {
                *is_told = false;
            }
        }
    }

    /// Whether an attempt is under way here: it waits for the other owners, or for its turn.
    pub(super) fn is_at(&self, asker: Asker) -> bool {
        let waits =
            |waiter: &Waiter| matches!(waiter.told, Told::Asker { asker: of, .. } if of == asker);
        self.waiters.iter().any(waits)
            || self.queues.values().flatten().any(|queued| queued.asker == asker)
    }

    pub(super) fn peer(&mut self, node: NodeId) -> Option<&mut Peer> {
        self.peers.iter_mut().find(|peer| peer.node == node)
    }
}

/// What a copy is, measured by its primary's.
pub(super) enum Content {
    /// Not known yet.
    Unknown,
    /// On its way.
    Filling(Box<Filling>),
    /// As the primary's was after the last write applied.
    Whole,
}

/// A row at another owner, or at a member that is being filled.
pub(super) struct CopyRow {
    pub(super) primary: NodeId,
    /// In which reign of that primary writes are numbered.
    pub(super) reign: Option<Epoch>,
    pub(super) applied: u64,
    pub(super) content: Content,
    /// The primary has spoken in this epoch.
    pub(super) is_started: bool,
    /// Up to which write the copy must be to be the primary's in this epoch.
    pub(super) floor: u64,
    /// The primary was told that it is.
    pub(super) is_synced: bool,
    /// Writes that the journal has not taken, the last of them.
    pub(super) unkept: BTreeSet<u64>,
    /// When the primary last said something new, or since when this is a copy. A lease's renewal
    /// counts once all owners have taken it: none that its holder was told of is later than this.
    pub(super) heard: Moment,
}

/// Writes that the journal has not taken, remembered at most: more than are under way at a time.
const MOST_UNKEPT: usize = 256;
/// So many writes later everybody knows of one.
const KNOWN_AFTER: u64 = 8192;

impl CopyRow {
    pub(super) fn new(primary: NodeId, heard: Moment) -> Self {
        Self {
            heard,
            primary,
            reign: None,
            applied: 0,
            content: Content::Unknown,
            is_started: false,
            floor: 0,
            is_synced: false,
            unkept: BTreeSet::new(),
        }
    }

    /// What it has, for its primary. What the journal has not taken is said again with every answer: an
    /// answer may be lost, and any later one says that it has the write.
    pub(super) fn has_all(&mut self, epoch: Epoch, row: RowId) -> Message {
        let upto = self.applied;
        while self.unkept.first().is_some_and(|seq| seq + KNOWN_AFTER < upto) {
            self.unkept.pop_first();
        }
        if self.unkept.is_empty() {
            return Message::Appended { epoch, row, upto };
        }
        Message::Unkept { epoch, row, upto, seqs: self.unkept.iter().copied().collect() }
    }

    /// The journal has not taken a write.
    pub(super) fn lacks(&mut self, seq: u64) {
        self.unkept.insert(seq);
        if self.unkept.len() > MOST_UNKEPT {
            self.unkept.pop_first();
        }
    }
}

pub(super) enum Role {
    Nobody,
    Primary(Box<Primary>),
    Copy(Box<CopyRow>),
}

pub(super) struct RowState {
    pub(super) store: Store,
    pub(super) is_complete: bool,
    pub(super) role: Role,
}

impl Default for RowState {
    fn default() -> Self {
        Self { store: Store::default(), is_complete: false, role: Role::Nobody }
    }
}
