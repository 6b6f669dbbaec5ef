//! The life of a node with one balancer, as a pure state machine: INFO, CONFIG, ENABLE-APP for
//! each context, STATUS at each tick; again from INFO when the balancer was restarted, forgot
//! the node or was lost; and in the end DISABLE-APP, STOP-APP until no requests, REMOVE-APP.
//!
//! [`Life::handle`] takes in what happened, [`Life::next`] says what to do. At most one command
//! is under way: after [`Action::Send`] comes [`Event::Answer`].

mod mount;
mod next;

use std::collections::{BTreeMap, VecDeque};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use muster_protocol::mcmp::{Command, Load, NodeConfig, Verb, VirtualHost, read_status, read_stop};
use muster_protocol::names::{Alias, ContextPath};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use super::knowledge::Knowledge;
use crate::status::{BalancerState, ContextState};
use crate::wanted::{Want, Wanted};
use mount::Mount;

/// Who the node is and how patient it is; the same for all its balancers.
#[derive(Debug, Clone)]
pub(crate) struct Plan {
    /// What CONFIG says.
    pub(crate) config: NodeConfig,
    /// Whether CONFIG says the address that the balancer is reached from, since the node
    /// listens on all of them.
    pub(crate) host_from_connection: bool,
    /// The names of its one virtual host; never empty.
    pub(crate) aliases: Vec<Alias>,
    /// Between two STATUS, and at most between two tries after MEM.
    pub(crate) status_interval: Duration,
    /// After the first failure; twice as long after each further one.
    pub(crate) retry_first: Duration,
    /// At most between two tries to reach a lost balancer.
    pub(crate) retry_most: Duration,
}

/// What happened.
#[derive(Debug)]
pub(crate) enum Event {
    /// The node wants something else.
    Wanted(Wanted),
    /// A status tick: this is the load now.
    Tick(Load),
    /// The connection was closed while no command was under way.
    Closed,
    /// The command under way has ended, over a connection from this address of ours.
    Answer(Answer, Option<IpAddr>),
}

/// How a command ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Answer {
    /// 200 and the body.
    Good(String),
    /// 200 and a body that is longer than the bound.
    TooLong,
    /// The balancer calls the message malformed.
    Syntax(String),
    /// Any other refusal, as the balancer put it.
    Mem(String),
    /// No answer, for this reason.
    Lost(String),
}

/// What to do now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Action {
    /// Send this and hand in the answer.
    Send(Command),
    /// Wait for an event, or until then.
    Wait(Option<Instant>),
    /// Nothing more, ever.
    End,
}

/// Where the node stands with its balancer.
#[derive(Debug)]
pub(crate) struct Life {
    plan: Arc<Plan>,
    chance: StdRng,
    phase: Phase,
    state: BalancerState,
    mounts: BTreeMap<ContextPath, Mount>,
    /// Contexts of a former life of this node that the balancer still knows.
    obsolete: VecDeque<VirtualHost>,
    leaving_by: Option<Instant>,
    refreshes: u64,
    load: Load,
    is_status_due: bool,
    /// When to ask again whether the balancer reaches the node by now.
    status_again: Option<Instant>,
    /// What has been done once since the last tick and must not be done twice.
    since_tick: SinceTick,
    /// Whether the balancer may know the node.
    is_known: bool,
    id: Option<u64>,
    failures: u32,
    local: Option<IpAddr>,
    under_way: Option<Sent>,
    note: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Resting { until: Instant },
    Refused,
    Greeting,
    Checking,
    Configuring,
    Registered,
    Leaving,
    Ended,
}

#[derive(Debug, Clone, Copy, Default)]
struct SinceTick {
    has_looked: bool,
    has_checked: bool,
}

/// The command under way.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Sent {
    Info,
    Config,
    Obsolete,
    App(Verb, ContextPath),
    Status,
    Leave,
}

// === impl Life: what happened ===

impl Life {
    /// A node that wants `wanted` and has not said anything yet.
    pub(crate) fn new(
        plan: Arc<Plan>,
        wanted: Wanted,
        load: Load,
        seed: u64,
        now: Instant,
    ) -> Life {
        let mut life = Life {
            plan,
            chance: StdRng::seed_from_u64(seed),
            phase: Phase::Greeting,
            state: BalancerState::Registering,
            mounts: BTreeMap::new(),
            obsolete: VecDeque::new(),
            leaving_by: None,
            refreshes: wanted.refreshes,
            load,
            is_status_due: true,
            status_again: None,
            since_tick: SinceTick::default(),
            is_known: false,
            id: None,
            failures: 0,
            local: None,
            under_way: None,
            note: None,
        };
        life.wanted(wanted, now);
        life
    }

    /// Takes in what happened.
    pub(crate) fn handle(&mut self, event: Event, now: Instant) {
        match event {
            Event::Wanted(wanted) => self.wanted(wanted, now),
            Event::Tick(load) => {
                self.load = load;
                self.is_status_due = true;
                self.since_tick = SinceTick::default();
            }
            // A closed connection may be a balancer that went away, or just one that keeps none
            // for long: a STATUS tells, and once per tick is enough.
            Event::Closed if !self.since_tick.has_looked => {
                self.since_tick.has_looked = true;
                self.is_status_due = true;
            }
            Event::Closed => {}
            Event::Answer(answer, local) => {
                self.local = local.or(self.local);
                if let Some(sent) = self.under_way.take() {
                    self.answered(sent, answer, now);
                }
            }
        }
        self.mounts.retain(|_, mount| !(mount.is_orphan && mount.is_done()));
    }

    fn wanted(&mut self, wanted: Wanted, now: Instant) {
        let mut has_changed = false;
        for (path, mount) in &mut self.mounts {
            if !wanted.contexts.contains_key(path) && !mount.is_orphan {
                mount.want = Want::Gone { by: now };
                mount.is_orphan = true;
                has_changed = true;
            }
        }
        for (path, &want) in &wanted.contexts {
            let before = self.mounts.get(path).map(|mount| (mount.want, mount.is_orphan));
            has_changed |= before != Some((want, false));
            let mount = self.mounts.entry(path.clone()).or_insert(Mount::new(want));
            (mount.want, mount.is_orphan) = (want, false);
            if !matches!(want, Want::Gone { .. }) && mount.told.is_gone() {
                mount.told = ContextState::Untold;
            }
        }
        if let Some(by) = wanted.leaving_by {
            self.leaving_by = Some(by);
            for mount in self.mounts.values_mut() {
                mount.want = Want::Gone { by };
            }
        }
        // SYNTAX holds for the configuration that the balancer saw, and no longer.
        let is_refreshed = self.refreshes != wanted.refreshes;
        self.refreshes = wanted.refreshes;
        if is_refreshed || (has_changed && self.phase == Phase::Refused) {
            self.again();
        }
        if matches!(self.phase, Phase::Resting { .. }) {
            self.give_up_on_drains();
        }
    }

    /// From INFO, now.
    fn again(&mut self) {
        if !matches!(self.phase, Phase::Leaving | Phase::Ended) {
            self.phase = Phase::Greeting;
            self.state = BalancerState::Registering;
        }
    }

    fn answered(&mut self, sent: Sent, answer: Answer, now: Instant) {
        match answer {
            Answer::Good(body) => self.accepted(sent, &body, now),
            _ if sent == Sent::Leave => self.end(false),
            // What is left of a former life is not worth this one.
            Answer::Syntax(reason) | Answer::Mem(reason) if sent == Sent::Obsolete => {
                self.obsolete.pop_front();
                self.note = Some(format!("an old context cannot be removed: {reason}"));
            }
            // What the balancer knows is of interest, and not needed.
            Answer::TooLong if sent == Sent::Info => {
                self.note = Some("INFO is too long to be read".to_owned());
                self.learn(None);
            }
            Answer::TooLong => self.rest("the answer is too long", self.plan.status_interval, now),
            Answer::Syntax(reason) => self.refused(reason),
            Answer::Mem(reason) => self.rest(&reason, self.plan.status_interval, now),
            Answer::Lost(reason) => self.rest(&reason, self.plan.retry_most, now),
        }
    }

    fn accepted(&mut self, sent: Sent, body: &str, now: Instant) {
        match sent {
            Sent::Info => match Knowledge::read(body, &self.plan.config.route) {
                Ok(knowledge) => self.learn(Some(knowledge)),
                Err(error) => {
                    self.note = Some(format!("INFO cannot be read: {error}"));
                    self.learn(None);
                }
            },
            Sent::Config => {
                self.phase = Phase::Registered;
                self.is_status_due = true;
                self.id = None;
            }
            Sent::Obsolete => {
                self.obsolete.pop_front();
            }
            Sent::App(verb, path) => self.told(verb, &path, body, now),
            Sent::Status => self.status_answered(body, now),
            Sent::Leave => self.end(true),
        }
    }

    /// INFO was answered: what the balancer knows decides what it must be told.
    fn learn(&mut self, knowledge: Option<Knowledge>) {
        if self.phase == Phase::Checking && self.is_all_known(knowledge.as_ref()) {
            self.phase = Phase::Registered;
            return;
        }
        self.phase = Phase::Configuring;
        self.obsolete.clear();
        let Some(knowledge) = knowledge else {
            for mount in self.mounts.values_mut() {
                mount.learn_nothing();
            }
            return;
        };
        for (path, mount) in &mut self.mounts {
            mount.learn(knowledge.state_of(&self.plan.aliases, path));
        }
        let mounts = &self.mounts;
        let obsolete = knowledge.others(&self.plan.aliases, |path| mounts.contains_key(path));
        self.obsolete.extend(obsolete);
    }

    fn is_all_known(&self, knowledge: Option<&Knowledge>) -> bool {
        let Some(knowledge) = knowledge else { return false };
        knowledge.has_node
            && self
                .mounts
                .iter()
                .filter(|(_, mount)| !matches!(mount.want, Want::Gone { .. }))
                .all(|(path, _)| knowledge.state_of(&self.plan.aliases, path).is_some())
    }

    /// An *-APP message for a context was taken.
    fn told(&mut self, verb: Verb, path: &ContextPath, body: &str, now: Instant) {
        let Some(mount) = self.mounts.get_mut(path) else { return };
        let before = mount.told;
        mount.told = match verb {
            Verb::Enable => ContextState::Enabled,
            Verb::Disable => ContextState::Disabled,
            Verb::Stop => {
                mount.stopped_at = Some(now);
                // Some balancers answer in a form that nobody can read: with them there is
                // nothing to wait for.
                let requests = read_stop(body).unwrap_or_else(|| {
                    self.note = Some(format!("STOP-APP cannot be read: {body:?}"));
                    0
                });
                ContextState::Stopped { requests }
            }
            Verb::Remove => match before {
                ContextState::Stopped { requests } => {
                    ContextState::Removed { requests_left: requests }
                }
                _ => ContextState::Removed { requests_left: 0 },
            },
        };
    }

    fn status_answered(&mut self, body: &str, now: Instant) {
        let Some(said) = read_status(body) else {
            let reason = format!("the answer to STATUS cannot be read: {body:?}");
            return self.rest(&reason, self.plan.status_interval, now);
        };
        if self.id.replace(said.id).is_some_and(|id| id != said.id) {
            self.note = Some("the balancer was started again".to_owned());
            return self.again();
        }
        if said.ok {
            (self.failures, self.status_again) = (0, None);
            self.state = BalancerState::Registered { id: said.id };
            return;
        }
        // NOTOK: it cannot reach the node yet, or it has forgotten it. INFO tells which.
        self.state = BalancerState::Unreachable;
        self.status_again = Some(now + self.pause(self.plan.status_interval));
        self.failures = self.failures.saturating_add(1);
        if !self.since_tick.has_checked && self.leaving_by.is_none() {
            self.since_tick.has_checked = true;
            self.phase = Phase::Checking;
        }
    }

    fn refused(&mut self, reason: String) {
        self.give_up_on_drains();
        self.state = BalancerState::Refused { reason };
        self.phase = match self.leaving_by {
            Some(_) => Phase::Leaving,
            None => Phase::Refused,
        };
    }

    /// Something failed: from INFO after a while, which grows with each failure up to `most`.
    fn rest(&mut self, reason: &str, most: Duration, now: Instant) {
        self.give_up_on_drains();
        self.state = BalancerState::Waiting { reason: reason.to_owned() };
        self.phase = match self.leaving_by {
            Some(_) => Phase::Leaving,
            None => Phase::Resting { until: now + self.pause(most) },
        };
        self.failures = self.failures.saturating_add(1);
    }

    fn pause(&mut self, most: Duration) -> Duration {
        let doubled = self.plan.retry_first.saturating_mul(1 << self.failures.min(16));
        // Three quarters of it or more: nodes that lost a balancer together come back apart.
        doubled.min(most).mul_f64(self.chance.random_range(0.75..=1.0))
    }

    /// Who waits for a drain is not held up by a balancer that cannot be told.
    fn give_up_on_drains(&mut self) {
        for mount in self.mounts.values_mut() {
            if matches!(mount.want, Want::Gone { .. }) {
                mount.give_up(self.is_known);
            }
        }
    }

    /// The end; `is_gone` says whether the balancer knows nothing of the node any more.
    fn end(&mut self, is_gone: bool) {
        if is_gone {
            self.is_known = false;
        }
        for mount in self.mounts.values_mut() {
            mount.give_up(self.is_known);
        }
        self.phase = Phase::Ended;
        self.state = BalancerState::Left;
    }
}

#[cfg(test)]
mod tests;
