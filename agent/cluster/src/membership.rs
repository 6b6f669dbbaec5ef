//! The state machine of one member.

mod commit;
mod greet;
mod join;
mod leave;
mod merge;
mod propose;
mod suspect;
mod vote;

use crate::config::{Config, ConfigError};
use crate::id::{Epoch, MemberId, Moment, NodeId};
use crate::message::{Action, Change, Durable, Event, Joining, Message, Refusal, Summary};
use crate::rows::RowSet;
use crate::succeed::Placement;
use crate::view::{Member, View};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

/// Where a member stands.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Standing {
    /// It has no view: just started, or on its way to another side.
    Out {
        /// Since when.
        since: Moment,
    },
    /// It is in the cluster.
    In,
    /// It was refused. Only a new start helps.
    Refused(Refusal),
    /// It has left.
    Left,
}

/// What is known of a node that was heard of.
#[derive(Clone, Debug)]
struct Peer {
    life: MemberId,
    view: Option<Summary>,
    accepted: Option<Epoch>,
    quorum: Option<u16>,
    heard: Moment,
}

/// An attempt at a view, by this member.
struct Proposal {
    epoch: Epoch,
    asked: BTreeSet<NodeId>,
    promises: BTreeMap<NodeId, crate::message::Promise>,
    /// Asked, and found to be on another side: no answer of theirs is waited for, however alive.
    elsewhere: BTreeSet<MemberId>,
    accepting: Option<Accepting>,
    resend_at: Moment,
}

/// Its second half.
struct Accepting {
    view: Arc<View>,
    accepted: BTreeSet<NodeId>,
    lost: RowSet,
    since: Moment,
    /// Who answered and is not in the view any more: to be told when it stands.
    gone: Vec<NodeId>,
}

/// A view that stands and that not everybody has installed.
struct Spreading {
    view: Arc<View>,
    waiting: BTreeSet<NodeId>,
    resend_at: Moment,
}

/// The state machine of one member: events and time in, actions out.
pub struct Membership {
    config: Config,
    placement: Box<dyn Placement>,
    me: MemberId,
    moved: bool,
    durable: Durable,
    installed: Option<Arc<View>>,
    targets: Vec<Vec<NodeId>>,
    standing: Standing,
    complete: RowSet,
    suspects: BTreeSet<MemberId>,
    /// Those suspects of whom no failure detector spoke: they said that they go on by another view.
    parted: BTreeSet<MemberId>,
    doubtful: BTreeSet<MemberId>,
    doubt_until: Moment,
    redialing: BTreeSet<MemberId>,
    peers: BTreeMap<NodeId, Peer>,
    hints: BTreeSet<NodeId>,
    /// Whom it asked last to be taken in.
    asked: Option<NodeId>,
    joiners: BTreeMap<NodeId, (Joining, Moment)>,
    leaving: BTreeSet<MemberId>,
    leave: bool,
    proposal: Option<Proposal>,
    spreading: Option<Spreading>,
    floor: u64,
    /// What another promised, more than this member's view.
    outdone: Epoch,
    may_propose_at: Moment,
    fenced_since: Option<Moment>,
    filled: BTreeMap<NodeId, RowSet>,
    slow: BTreeMap<NodeId, Moment>,
    change: Change,
    welcoming_until: Moment,
    quorate: bool,
    greet_at: Moment,
    again_at: Moment,
    last_tick: Moment,
    actions: VecDeque<Action>,
}

// === impl Membership ===

impl Membership {
    /// A member that starts, with what stood on its disk.
    ///
    /// # Errors
    /// When a setting is out of bounds.
    pub fn new(
        config: Config,
        durable: Durable,
        placement: Box<dyn Placement>,
        now: Moment,
    ) -> Result<Self, ConfigError> {
        config.check()?;
        let me = config.id;
        let mut membership = Self {
            me,
            moved: false,
            installed: None,
            targets: Vec::new(),
            standing: Standing::Out { since: now },
            complete: RowSet::default(),
            suspects: BTreeSet::new(),
            parted: BTreeSet::new(),
            doubtful: BTreeSet::new(),
            doubt_until: now,
            redialing: BTreeSet::new(),
            peers: BTreeMap::new(),
            hints: BTreeSet::new(),
            asked: None,
            joiners: BTreeMap::new(),
            leaving: BTreeSet::new(),
            leave: false,
            proposal: None,
            spreading: None,
            floor: durable.promised.counter,
            outdone: Epoch::default(),
            may_propose_at: now + config.detection,
            fenced_since: None,
            filled: BTreeMap::new(),
            slow: BTreeMap::new(),
            change: Change::default(),
            welcoming_until: Moment::ZERO,
            quorate: false,
            greet_at: now,
            again_at: now,
            last_tick: now,
            actions: VecDeque::new(),
            durable: Durable { incarnation: me.incarnation, ..durable },
            config,
            placement,
        };
        if let Some(accepted) = membership.durable.accepted.clone() {
            membership.hints.extend(accepted.members.iter().map(|member| member.id.node));
            membership.hints.extend(accepted.electorate.known.keys());
        }
        membership.hints.remove(&me.node);
        membership.persist();
        Ok(membership)
    }

    /// This member's present life.
    #[must_use]
    pub fn me(&self) -> MemberId {
        self.me
    }

    /// Where it stands.
    #[must_use]
    pub fn standing(&self) -> &Standing {
        &self.standing
    }

    /// The view it is in.
    #[must_use]
    pub fn view(&self) -> Option<&Arc<View>> {
        self.installed.as_ref()
    }

    /// The highest epoch it promised.
    #[must_use]
    pub fn promised(&self) -> Epoch {
        self.durable.promised
    }

    /// What stands, or will stand, on its disk.
    #[must_use]
    pub fn durable(&self) -> &Durable {
        &self.durable
    }

    /// Nodes that a failure detector should watch.
    #[must_use]
    pub fn watched(&self) -> BTreeSet<NodeId> {
        let views = self.installed.iter().chain(&self.durable.accepted);
        let mut nodes: BTreeSet<NodeId> =
            views.flat_map(|view| view.members.iter().map(|member| member.id.node)).collect();
        nodes.extend(self.proposal.iter().flat_map(|proposal| proposal.asked.iter()));
        nodes.extend(self.joiners.keys());
        nodes.remove(&self.me.node);
        nodes
    }

    /// Takes an event.
    pub fn handle(&mut self, event: Event, now: Moment) {
        match event {
            Event::Message { from, message } => self.message(from, message, now),
            Event::Tick => self.tick(now),
            Event::Hint(node) => self.hint(node),
            Event::Suspect(id) => self.suspect(id, now),
            Event::Alive(id) => self.alive_again(id),
            Event::Closed(id) => self.redial(id),
            Event::RedialRefused(id) => self.dead(id),
            Event::RedialReached(id) => self.reached(id),
            Event::RedialUnanswered(id) => {
                self.redialing.remove(&id);
            }
            Event::Leave => self.leave = true,
            Event::Wish(wish) => self.wish(None, wish),
            Event::Complete(rows) => self.completed(rows),
            Event::Late(node) => self.late(node, now),
        }
        self.weigh_quorum(now);
    }

    /// The next thing to be done.
    pub fn poll_action(&mut self) -> Option<Action> {
        self.actions.pop_front()
    }

    fn message(&mut self, from: MemberId, message: Message, now: Moment) {
        if matches!(self.standing, Standing::Refused(_) | Standing::Left) || !self.hear(from, now) {
            return;
        }
        match message {
            Message::Greet { view, accepted, quorum } => {
                self.greeted(from, view, accepted, quorum, now);
            }
            Message::Join(joining) => self.join(from, joining, now),
            Message::Refused { id, why } => self.refused(id, why),
            Message::Prepare { epoch } => self.prepare(from, epoch, now),
            Message::Promise(promise) => self.promise(from, *promise, now),
            Message::Nack { epoch, promised } => self.nack(epoch, promised, now),
            Message::Accept { view } => self.accept(from, view, now),
            Message::Accepted { epoch } => self.accepted(from, epoch, now),
            Message::Commit { view } => self.commit(from, view, now),
            Message::Installed { epoch } => self.installed_at(from, epoch),
            Message::Fetch => self.fetch(from),
            Message::Filled { epoch, complete } => self.filled_at(from, epoch, complete),
            Message::Late { epoch, node } => self.late_in(epoch, node, now),
            Message::Leave => self.wants_to_leave(from, now),
            Message::Offer { view } => self.offered(from, view, now),
            Message::Welcome { view } => self.welcomed(from, view, now),
            Message::Dissolve { epoch, to } => self.dissolved(from, epoch, to, now),
            Message::Ask(wish) => self.wish(Some(from), wish),
            Message::NotGranted(why) => self.actions.push_back(Action::NotGranted(why)),
        }
    }

    fn tick(&mut self, now: Moment) {
        self.own_lateness(now);
        if matches!(self.standing, Standing::Refused(_) | Standing::Left) {
            return;
        }
        self.slow.retain(|_, until| *until > now);
        let detection = self.config.detection;
        self.joiners.retain(|_, (_, asked)| *asked + detection > now);
        if now >= self.greet_at {
            self.greet_at = now + self.config.greet;
            self.greet_all();
            self.report_filled();
            self.tell_of_stall(now);
        }
        if now >= self.again_at {
            self.again_at = now + self.config.retry;
            self.ask_to_come_in(now);
            self.ask_to_leave(now);
        }
        self.resend(now);
        self.spread(now);
        if self.should_propose(now) {
            self.propose(now);
        }
    }

    /// Nothing goes to this member itself, whatever a message named as its sender's peer.
    fn send(&mut self, to: NodeId, message: Message) {
        if to != self.me.node {
            self.actions.push_back(Action::Send { to, message });
        }
    }

    fn persist(&mut self) {
        self.actions.push_back(Action::Persist(self.durable.clone()));
    }

    /// The view in force, or after a restart the one that was accepted.
    fn current(&self) -> Option<&Arc<View>> {
        self.installed.as_ref().or(self.durable.accepted.as_ref())
    }

    /// Whether a node counts as alive: in a view, what the failure detector says; without one,
    /// whether it was heard within the detection time.
    fn is_alive(&self, node: NodeId, now: Moment) -> bool {
        if node == self.me.node {
            return true;
        }
        match (&self.installed, self.peers.get(&node)) {
            (Some(view), peer) => match view.member(node) {
                Some(member) => !self.suspects.contains(&member.id),
                None => peer.is_some_and(|peer| !self.suspects.contains(&peer.life)),
            },
            (None, Some(peer)) => peer.heard + self.config.detection > now,
            (None, None) => false,
        }
    }

    /// The oldest member that is believed alive: who proposes the next view.
    fn acting(&self, now: Moment) -> Option<&Member> {
        self.current()?.members.iter().find(|member| self.is_alive(member.id.node, now))
    }

    fn is_acting(&self, now: Moment) -> bool {
        self.acting(now).is_some_and(|member| member.id.node == self.me.node)
    }
}
