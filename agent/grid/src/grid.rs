//! The state machine of one member's data: messages, requests and time in, messages and answers
//! out.

mod ask;
mod copy;
mod execute;
mod fill;
mod install;
mod primary;

use crate::batch::{Put, Reply, Request, Rev};
use crate::lease::Holding;
use crate::lock::Locks;
use crate::merge::Policy;
use crate::message::Message;
use crate::rules::Rules;
use crate::segment::{Bytes, Group};
use crate::store::{Effect, Store};
use muster_cluster::{Epoch, MemberId, Moment, NodeId, RowId, RowSet, View};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

/// Bounds and waits.
#[derive(Clone, Debug)]
pub struct Limits {
    /// After how long a request that found no primary is tried again. Default: 20 ms.
    pub again: Duration,
    /// After how long an unanswered message about a row is sent again. Default: 100 ms.
    pub resend: Duration,
    /// How long a member that is being filled may hold up writes. Default: 500 ms.
    pub late: Duration,
    /// How often a primary compares digests with its backups. Default: 10 s.
    pub check: Duration,
    /// Writes of one row that wait for others, at most. Default: 4,096.
    pub most_log: usize,
    /// Requests of this member under way, at most. Default: 65,536.
    pub most_asks: usize,
    /// Attempts of one asker that are remembered, so that none is done twice. Default: 8,192.
    pub most_seen: usize,
    /// A chunk of a transfer ends with the group that brings it over this. Default: 64 KiB.
    pub chunk: usize,
    /// A value's size at most. Default: 8 MiB.
    pub most_value: usize,
    /// How long a lease lasts for its primary. Default: 2 s.
    pub lease: Duration,
    /// How long it lasts for its holder. Default: 1.5 s.
    pub hold: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        let ms = Duration::from_millis;
        Self {
            again: ms(20),
            resend: ms(100),
            late: ms(500),
            check: ms(10_000),
            most_log: 4096,
            most_asks: 65_536,
            most_seen: 8192,
            chunk: 64 << 10,
            most_value: 8 << 20,
            lease: ms(2_000),
            hold: ms(1_500),
        }
    }
}

/// What has happened, in numbers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Rows that this member became primary of while another was it before.
    pub promotions: u64,
    /// Rows that were filled by another member's copy.
    pub transfers: u64,
    /// Messages refused for their epoch.
    pub epoch_refusals: u64,
    /// Copies that were found to differ and repaired.
    pub repairs: u64,
    /// Groups taken from the other side of a split.
    pub merged: u64,
    /// Values of the other side that did not stay, or took the place of ours.
    pub overridden: u64,
    /// Writes executed here.
    pub writes: u64,
    /// Entries that expired here.
    pub expired: u64,
}

/// What the grid wants done.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Out {
    /// Send.
    Send {
        /// To whom.
        to: NodeId,
        /// What.
        message: Message,
    },
    /// A request is done.
    Reply {
        /// The number it was given.
        id: u64,
        /// The answer.
        reply: Reply,
    },
    /// The set of whole rows has changed.
    Complete(RowSet),
    /// A member that is being filled holds up writes.
    Late(NodeId),
    /// A lease could not be renewed in time.
    LeaseLost {
        /// Its name.
        name: Bytes,
        /// Its token.
        token: Rev,
    },
}

/// Whose request it is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Caller {
    Client(u64),
    /// The grid itself, giving its data to the other side of a split.
    Merge,
}

/// A request of this member under way.
struct Ask {
    caller: Caller,
    request: Request,
    deadline: Moment,
    /// When the attempt that is under way was begun.
    begun: Moment,
    /// Where it is; none: it waits, until when.
    sent: Option<MemberId>,
    again_at: Moment,
}

/// Who is to be answered.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Asker {
    member: MemberId,
    attempt: u64,
}

/// An answer that waits until all owners have what it is based on.
struct Waiter {
    point: u64,
    asker: Asker,
    reply: Reply,
    /// The answer when this member stops being the primary first.
    otherwise: Reply,
}

struct Logged {
    seq: u64,
    effect: Option<Arc<Effect>>,
    at: Moment,
}

struct Peer {
    node: NodeId,
    is_owner: bool,
    is_synced: bool,
    has: u64,
    sent_at: Moment,
    progress_at: Moment,
    is_late: bool,
}

/// A row at its primary.
struct Primary {
    last: u64,
    log: VecDeque<Logged>,
    peers: Vec<Peer>,
    waiters: VecDeque<Waiter>,
    locks: Locks,
    renewed: BTreeMap<Bytes, Moment>,
    since: Moment,
    first_digest: u64,
    check_at: Moment,
}

/// A row at another owner, or at a member that is being filled.
struct CopyRow {
    primary: NodeId,
    applied: u64,
    is_started: bool,
    is_synced: bool,
    filling: Option<fill::Filling>,
}

enum Role {
    Nobody,
    Primary(Box<Primary>),
    Copy(Box<CopyRow>),
}

struct RowState {
    store: Store,
    is_complete: bool,
    role: Role,
}

impl Default for RowState {
    fn default() -> Self {
        Self { store: Store::default(), is_complete: false, role: Role::Nobody }
    }
}

#[derive(Default)]
struct Seen {
    floor: u64,
    attempts: BTreeSet<u64>,
}

/// The data of one member.
pub struct Grid {
    me: MemberId,
    limits: Limits,
    rules: Rules,
    policies: BTreeMap<u32, Policy>,
    view: Option<Arc<View>>,
    promised: Epoch,
    is_quorate: bool,
    rows: Vec<RowState>,
    asks: BTreeMap<u64, Ask>,
    next_attempt: u64,
    seen: BTreeMap<MemberId, Seen>,
    holding: Holding,
    offers: VecDeque<(Group, BTreeMap<Bytes, Put>)>,
    dead: BTreeSet<MemberId>,
    stats: Stats,
    out: VecDeque<Out>,
}

// === impl Grid ===

impl Grid {
    /// A member without data.
    #[must_use]
    pub fn new(me: MemberId, limits: Limits, rules: Rules, promised: Epoch) -> Self {
        Self {
            me,
            limits,
            rules,
            policies: BTreeMap::new(),
            view: None,
            promised,
            is_quorate: false,
            rows: Vec::new(),
            asks: BTreeMap::new(),
            next_attempt: 1,
            seen: BTreeMap::new(),
            holding: Holding::default(),
            offers: VecDeque::new(),
            dead: BTreeSet::new(),
            stats: Stats::default(),
            out: VecDeque::new(),
        }
    }

    /// How a cache merges; the same on every member.
    pub fn set_policy(&mut self, cache: u32, policy: Policy) {
        self.policies.insert(cache, policy);
    }

    /// What has happened.
    #[must_use]
    pub fn stats(&self) -> Stats {
        self.stats
    }

    /// The token of a lease, while this member holds it by its own clock.
    #[must_use]
    pub fn lease(&self, name: &[u8], now: Moment) -> Option<Rev> {
        self.holding.token(name, now)
    }

    /// Whether this member's copy of a row is whole.
    #[must_use]
    pub fn is_complete(&self, row: RowId) -> bool {
        self.rows.get(usize::from(row)).is_some_and(|row| row.is_complete)
    }

    /// The store of a row, for tests and monitoring.
    #[must_use]
    pub fn store(&self, row: RowId) -> Option<&Store> {
        self.rows.get(usize::from(row)).map(|row| &row.store)
    }

    /// The store of a row, to be damaged by a test.
    #[doc(hidden)]
    pub fn store_mut(&mut self, row: RowId) -> Option<&mut Store> {
        self.rows.get_mut(usize::from(row)).map(|row| &mut row.store)
    }

    /// The next thing to be done.
    pub fn poll(&mut self) -> Option<Out> {
        self.out.pop_front()
    }

    /// Takes no write of an earlier epoch any more.
    pub fn fence(&mut self, epoch: Epoch) {
        self.promised = self.promised.max(epoch);
    }

    /// Whether enough voters are in sight.
    pub fn quorate(&mut self, is_quorate: bool, now: Moment) {
        self.is_quorate = is_quorate;
        self.dispatch_waiting(now, true);
    }

    /// A life is known to have ended. Without a quorum its leases end with it.
    pub fn dead(&mut self, id: MemberId) {
        if self.dead.len() < 1024 {
            self.dead.insert(id);
        }
    }

    /// A message came.
    pub fn message(&mut self, from: MemberId, message: Message, now: Moment) {
        match message {
            Message::Ask { attempt, request } => {
                let asker = Asker { member: from, attempt };
                if self.is_new(asker) {
                    self.execute(asker, request, now);
                }
            }
            Message::Answer { attempt, reply } => self.answered(Some(from), attempt, reply, now),
            Message::Sync { epoch, row, digest } => {
                if self.takes(from, epoch) {
                    self.sync(from, row, digest, now);
                }
            }
            Message::Append { epoch, row, first, items } => {
                if self.takes(from, epoch) {
                    self.append_here(from, epoch, row, first, &items, now);
                }
            }
            Message::Chunk { epoch, row, after, to, as_of, groups } => {
                if self.takes(from, epoch) {
                    let chunk = fill::Chunk { after, to, as_of, groups };
                    self.chunk(from, row, chunk, now);
                }
            }
            Message::Check { epoch, row, seq, digest } => {
                if self.takes(from, epoch) {
                    self.check(from, row, seq, digest, now);
                }
            }
            Message::Pull { epoch, row, after } => {
                if self.is_epoch(epoch) {
                    self.pull(from, row, after, now);
                }
            }
            Message::Synced { epoch, row } => {
                if self.is_epoch(epoch) {
                    self.synced(from, row, now);
                }
            }
            Message::Appended { epoch, row, upto } => {
                if self.is_epoch(epoch) {
                    self.appended(from, row, upto, now);
                }
            }
        }
    }

    /// Time passed.
    pub fn tick(&mut self, now: Moment) {
        self.dispatch_waiting(now, false);
        for (name, token) in self.holding.over(now) {
            self.out.push_back(Out::LeaseLost { name, token });
        }
        for row in 0..self.rows.len() {
            let row = RowId::try_from(row).unwrap_or(RowId::MAX);
            self.tick_primary(row, now);
            self.tick_copy(row, now);
        }
        self.offer(now);
    }

    /// The rule of the fence: a write or a primary's question is taken only in the epoch that is
    /// both installed and the highest promised.
    fn takes(&mut self, from: MemberId, epoch: Epoch) -> bool {
        let Some(view) = &self.view else { return false };
        let takes = (self.rules.takes)(view.epoch, self.promised, epoch);
        if !takes {
            self.stats.epoch_refusals += 1;
        }
        takes && view.has(from)
    }

    /// Answers of members count only for the epoch in force.
    fn is_epoch(&self, epoch: Epoch) -> bool {
        self.view.as_ref().is_some_and(|view| view.epoch == epoch)
    }

    fn send(&mut self, to: NodeId, message: Message) {
        self.out.push_back(Out::Send { to, message });
    }

    fn set_complete(&mut self, row: RowId, is_complete: bool) {
        let Some(state) = self.rows.get_mut(usize::from(row)) else { return };
        if state.is_complete != is_complete {
            state.is_complete = is_complete;
            self.tell_complete();
        }
    }

    fn tell_complete(&mut self) {
        let mut rows = RowSet::default();
        for (at, row) in self.rows.iter().enumerate() {
            if row.is_complete {
                rows.insert(RowId::try_from(at).unwrap_or(RowId::MAX));
            }
        }
        if let Some(Out::Complete(last)) = self.out.back_mut() {
            *last = rows;
        } else {
            self.out.push_back(Out::Complete(rows));
        }
    }

    fn primary_of(&mut self, row: RowId) -> Option<(&mut Primary, &mut Store)> {
        let state = self.rows.get_mut(usize::from(row))?;
        match &mut state.role {
            Role::Primary(primary) => Some((primary, &mut state.store)),
            Role::Copy(_) | Role::Nobody => None,
        }
    }

    fn copy_of(&mut self, row: RowId) -> Option<(&mut CopyRow, &mut Store)> {
        let state = self.rows.get_mut(usize::from(row))?;
        match &mut state.role {
            Role::Copy(copy) => Some((copy, &mut state.store)),
            Role::Primary(_) | Role::Nobody => None,
        }
    }
}
