//! The state machine of one member's data: messages, requests and time in, messages and answers
//! out.

mod again;
mod ask;
mod checkout;
mod copy;
mod evict;
mod execute;
mod fill;
mod install;
mod lead;
mod leases;
mod limits;
mod merging;
mod near;
mod offer;
mod passivate;
mod primary;
mod scan;
mod seen;
mod state;
mod tick;
mod unread;

pub use limits::{Limits, Stats};

use crate::batch::{Put, Reply, Rev};
use crate::lease::Holding;
use crate::merge::Policy;
use crate::message::Message;
use crate::rules::Rules;
use crate::segment::{Bytes, Space};
use crate::shelf::Shelved;
use crate::shelves::Shelves;
use crate::store::{Effect, Store};
use crate::watch::{Changes, Watched};
use ask::Ask;
use foldhash::fast::FixedState;
use muster_cluster::{Epoch, MemberId, Moment, NodeId, RowId, RowSet, View};
use state::{Asker, CopyRow, Primary, Role, RowState};
use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::sync::Arc;

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
    /// A group of a watched cache has changed.
    Changed(Changes),
    /// A copy's values went to the shelf or came back, or the shelf failed.
    Shelved(Shelved),
}

/// Lives that are known to have ended, remembered at most.
const MOST_DEAD: usize = 1024;

/// The data of one member.
pub struct Grid {
    me: MemberId,
    limits: Limits,
    rules: Rules,
    policies: BTreeMap<u32, Policy>,
    watched: BTreeMap<Space, Watched>,
    view: Option<Arc<View>>,
    promised: Epoch,
    is_quorate: bool,
    /// Since when too few voters are in sight.
    quorum_lost: Option<Moment>,
    rows: Vec<RowState>,
    shelves: Shelves,
    /// The rows that are whole.
    complete: RowSet,
    /// Rows with something that time brings about.
    active: RowSet,
    fills: fill::Fills,
    wants: unread::Wants,
    checking: tick::Checking,
    asks: HashMap<u64, Ask, FixedState>,
    next_attempt: u64,
    seen: BTreeMap<MemberId, seen::Seen>,
    met: again::Met,
    holding: Holding,
    offers: VecDeque<offer::Offer>,
    offering: usize,
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
            watched: BTreeMap::new(),
            view: None,
            promised,
            is_quorate: false,
            quorum_lost: None,
            rows: Vec::new(),
            shelves: Shelves::default(),
            complete: RowSet::default(),
            active: RowSet::default(),
            fills: fill::Fills::default(),
            wants: unread::Wants::default(),
            checking: tick::Checking::default(),
            asks: HashMap::default(),
            next_attempt: 1,
            seen: BTreeMap::new(),
            met: again::Met::default(),
            holding: Holding::default(),
            offers: VecDeque::new(),
            offering: 0,
            dead: BTreeSet::new(),
            stats: Stats::default(),
            out: VecDeque::new(),
        }
    }

    /// How a cache merges; the same on every member.
    pub fn set_policy(&mut self, cache: u32, policy: Policy) {
        self.policies.insert(cache, policy);
    }

    /// From now on changes of a cache are told ([`Out::Changed`]): these, or more where more were
    /// told already. Each of a group's changes is told in order: by its primary once it is
    /// acknowledged, by each whole copy at once. What a copy is filled with is not told, and neither
    /// is a write whose primary was lost before it was acknowledged. A cache that nobody watches
    /// costs nothing.
    pub fn watch(&mut self, space: Space, watched: Watched) {
        let told = self.watched.entry(space).or_insert(watched);
        *told = watched.max(*told);
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
        self.quorum_lost = (!is_quorate).then_some(now);
        self.dispatch_waiting(now, true);
    }

    /// A life is known to have ended. Without a quorum its leases end with it.
    pub fn dead(&mut self, id: MemberId) {
        if self.dead.len() < MOST_DEAD {
            self.dead.insert(id);
        }
    }

    /// A message came.
    pub fn message(&mut self, from: MemberId, message: Message, now: Moment) {
        match message {
            Message::Ask { attempt, life, request } => {
                let asker = Asker { member: from, attempt };
                if life == self.me.incarnation {
                    self.asked(asker, &request, now);
                }
            }
            Message::Answer { attempt, life, reply } => {
                if life == self.me.incarnation {
                    self.answered(Some(from), attempt, reply, now);
                }
            }
            Message::Sync { epoch, row, begun } => {
                if self.takes(from, epoch) {
                    self.sync(from, row, &begun, now);
                }
            }
            Message::Append { epoch, row, first, items, answers } => {
                if self.takes(from, epoch) {
                    self.append_here(from, epoch, row, first, &items, now);
                    self.answered_with(from, row, answers, now);
                }
            }
            Message::Chunk { epoch, row, chunk } => {
                if self.takes(from, epoch) {
                    self.chunk(from, row, &chunk, now);
                }
            }
            Message::Check { epoch, row, seq, digest } => {
                if self.takes(from, epoch) {
                    self.check(from, row, seq, digest, now);
                }
            }
            Message::Want { epoch, row, place } => {
                if self.takes(from, epoch) {
                    self.wanted(from, epoch, row, place, now);
                }
            }
            Message::Have { epoch, row, whole } => {
                if self.is_epoch(epoch) {
                    self.regain(from, row, &whole, now);
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
            Message::Unkept { epoch, row, upto, seqs } => {
                if self.is_epoch(epoch) {
                    self.unkept(row, &seqs);
                    self.appended(from, row, upto, now);
                }
            }
            Message::Appended { epoch, row, upto } => {
                if self.is_epoch(epoch) {
                    self.appended(from, row, upto, now);
                }
            }
        }
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

    /// The installed epoch.
    fn epoch(&self) -> Option<Epoch> {
        self.view.as_ref().map(|view| view.epoch)
    }

    /// Whether no later epoch is promised than the one installed.
    fn is_in_force(&self) -> bool {
        self.view.as_ref().is_some_and(|view| view.epoch == self.promised)
    }

    fn send(&mut self, to: NodeId, message: Message) {
        self.out.push_back(Out::Send { to, message });
    }

    fn set_complete(&mut self, row: RowId, is_complete: bool) {
        let Some(state) = self.rows.get_mut(usize::from(row)) else { return };
        if state.is_complete != is_complete {
            state.is_complete = is_complete;
            if is_complete {
                self.complete.insert(row);
            } else {
                self.complete.remove(row);
            }
            self.shelves.stamps.are_whole(&self.complete);
            self.tell_complete();
        }
    }

    fn tell_complete(&mut self) {
        let rows = self.complete.clone();
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

    /// A row as a copy of this primary's.
    fn copy_of(&mut self, row: RowId, primary: NodeId) -> Option<(&mut CopyRow, &mut Store)> {
        let state = self.rows.get_mut(usize::from(row))?;
        match &mut state.role {
            Role::Copy(copy) if copy.primary == primary => Some((copy, &mut state.store)),
            Role::Copy(_) | Role::Primary(_) | Role::Nobody => None,
        }
    }

    /// Whether a primary tells of this.
    fn is_watched(&self, effect: &Effect) -> bool {
        if self.watched.is_empty() {
            return false;
        }
        match self.watched.get(&effect.group.space) {
            Some(Watched::All) => true,
            Some(Watched::Ends) => effect.is_expiry,
            Some(Watched::Merges) | None => false,
        }
    }

    fn table_of(&self, row: RowId) -> u8 {
        self.view.as_ref().map_or(0, |view| view.table_of(row))
    }
}

/// Entries as they are offered to the other side of a split.
type Entries = BTreeMap<Bytes, Put>;
