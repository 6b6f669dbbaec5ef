//! The shell around the state machine of one singleton: callers and tasks drive it inline, under a
//! lock under which nothing is awaited.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use muster_cluster::{MemberId, Moment, NodeId};
use muster_protocol::cluster::events::EventKind;
use muster_protocol::cluster::singletons::{SingletonChange, SingletonMember, SingletonState};
use muster_singleton::singleton::NotMoved;
use muster_singleton::{
    Action, Bounds, Candidate, Elected, Event, NoProvider, Note, Outcome, Singleton as Machine,
    State, elect,
};
use parking_lot::Mutex;
use tokio::sync::{Notify, watch};
use tokio::task::AbortHandle;
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

use super::body::{self, Service, Term};
use super::builder::StartError;
use super::history::{Counts, Happening, History, told};
use super::policies::{Choice, Policies, Policy};
use super::talk::{Talk, service_of};
use super::{Kind, SingletonTold, Status};
use crate::cluster::{Offer, Snapshot, Snapshots};
use crate::engine::{Lease, Leases, Member, Token};
use crate::events::Events;

/// What is deployed.
pub(super) struct Plan {
    pub(super) name: String,
    pub(super) kind: Kind,
    pub(super) choice: Choice,
    pub(super) bounds: Bounds,
    pub(super) is_everywhere: bool,
    pub(super) service: Arc<dyn Service>,
}

/// One singleton of this process.
pub(super) struct Driver {
    plan: Plan,
    leases: Arc<dyn Leases>,
    talk: Talk,
    policies: watch::Receiver<Arc<Policies>>,
    events: Events,
    begun: Instant,
    core: Mutex<Core>,
    /// What the driver waits for has changed.
    wake: Notify,
    state: watch::Sender<State>,
    value: Arc<Mutex<Option<Bytes>>>,
}

struct Core {
    machine: Machine,
    wake: Option<Moment>,
    offer: Option<Offer>,
    /// Leases that are held, by their tokens: cancelling gives one back.
    held: HashMap<u128, CancellationToken>,
    bodies: HashMap<u128, (Term, AbortHandle)>,
    history: History,
    me: Member,
    candidates: Vec<Member>,
}

// === impl Driver: its life ===

impl Driver {
    /// Offers it from now on, until it is closed; at the latest with `closed`.
    pub(super) fn start(
        plan: Plan,
        leases: Arc<dyn Leases>,
        talk: Talk,
        policies: watch::Receiver<Arc<Policies>>,
        events: Events,
        closed: CancellationToken,
    ) -> Result<Arc<Self>, StartError> {
        // The first offer tells whether it can be offered at all.
        let offer = talk.services().offer(&service_of(&plan.name))?;
        let policy = policies.borrow().resolve(&plan.choice).0;
        let (chance, version) = (rand::random(), crate::wall::us());
        let core = Core {
            machine: Machine::new(policy, plan.bounds, chance, version),
            wake: None,
            offer: Some(offer),
            held: HashMap::new(),
            bodies: HashMap::new(),
            history: History::default(),
            me: talk.local(),
            candidates: Vec::new(),
        };
        let driver = Arc::new(Self {
            plan,
            leases,
            talk,
            policies,
            events,
            begun: Instant::now(),
            core: Mutex::new(core),
            wake: Notify::new(),
            state: watch::Sender::new(State::Standby),
            value: Arc::default(),
        });
        tokio::spawn(driver.clone().drive(closed));
        Ok(driver)
    }

    /// Feeds it with what is seen here and with the time, until it is over.
    async fn drive(self: Arc<Self>, closed: CancellationToken) {
        let mut snapshots: Option<Snapshots> = Some(self.talk.services().snapshots());
        let mut policies = self.policies.clone();
        if let Some(snapshots) = &mut snapshots {
            self.seen(&snapshots.now());
        }
        while *self.state.borrow() != State::Closed {
            let is_open = snapshots.is_some();
            let wake = self.core.lock().wake.map(|wake| self.begun + wake);
            let next = async {
                match &mut snapshots {
                    Some(snapshots) => snapshots.next().await,
                    None => std::future::pending().await,
                }
            };
            let tick = async {
                match wake {
                    Some(wake) => sleep_until(wake).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                next = next => match next {
                    Some(snapshot) => self.seen(&snapshot),
                    // The cluster was left.
                    None => {
                        snapshots = None;
                        self.handle(Event::Close);
                    }
                },
                Ok(()) = policies.changed() => {
                    let policy = policies.borrow_and_update().resolve(&self.plan.choice).0;
                    self.handle(Event::Policy(policy));
                }
                () = tick => self.handle(Event::Tick),
                () = self.wake.notified() => {}
                () = closed.cancelled(), if is_open => {
                    snapshots = None;
                    self.handle(Event::Close);
                }
            }
        }
    }

    /// Returns when it is over here.
    pub(super) async fn close(self: &Arc<Self>) {
        self.handle(Event::Close);
        self.reaches(|state| state == State::Closed).await;
    }

    fn seen(self: &Arc<Self>, snapshot: &Snapshot) {
        let service = service_of(&self.plan.name);
        let view = &snapshot.view;
        let me = view.member(snapshot.local).cloned();
        let (members, is_quorate) = if self.plan.is_everywhere {
            (me.iter().cloned().collect(), true)
        } else {
            let providers = snapshot.providers.get(&service).cloned().unwrap_or_default();
            (providers, view.is_quorate)
        };
        let candidates = members.iter().map(candidate).collect();
        self.with(|core, now| {
            if let Some(me) = me {
                core.me = me;
            }
            core.candidates = members;
            let me = core.me.id;
            core.machine.handle(Event::Candidates { me, candidates, is_quorate }, now);
        });
    }

    fn handle(self: &Arc<Self>, event: Event) {
        self.with(|core, now| core.machine.handle(event, now));
    }

    /// Changes the machine, and does what follows.
    fn with<R>(self: &Arc<Self>, work: impl FnOnce(&mut Core, Moment) -> R) -> R {
        let mut core = self.core.lock();
        let result = work(&mut core, self.begun.elapsed());
        while let Some(action) = core.machine.poll_action() {
            self.perform(action, &mut core);
        }
        let state = core.machine.state();
        self.state.send_if_modified(|present| std::mem::replace(present, state) != state);
        let wake = core.machine.wake();
        if wake != core.wake || state == State::Closed {
            core.wake = wake;
            self.wake.notify_one();
        }
        result
    }
}

// === impl Driver: what is to be done ===

impl Driver {
    fn perform(self: &Arc<Self>, action: Action, core: &mut Core) {
        match action {
            Action::Tell { to, word } => self.tell(to, word),
            Action::Offer(false) => core.offer = None,
            Action::Offer(true) => {
                if core.offer.is_none() {
                    let offer = self.talk.services().offer(&service_of(&self.plan.name));
                    core.offer = offer.inspect_err(|error| self.complain(error)).ok();
                }
            }
            Action::Ask => self.ask(),
            Action::Resign(token) => {
                if let Some(resign) = core.held.remove(&token) {
                    resign.cancel();
                }
            }
            Action::Start(token) => self.begin(token, core),
            Action::Stop(token) => {
                if let Some((term, _)) = core.bodies.get(&token) {
                    term.stop();
                }
            }
            Action::CutOff(token) => {
                if let Some((_, body)) = core.bodies.get(&token) {
                    body.abort();
                }
            }
            Action::Note(note) => self.note(note, core),
            Action::Closed => core.offer = None,
        }
    }

    fn tell(self: &Arc<Self>, to: MemberId, word: Elected) {
        let driver = self.clone();
        tokio::spawn(async move {
            let is_taken = driver.talk.tell(to, driver.name(), word).await;
            driver.handle(Event::Answered { by: to, version: word.version, is_taken });
        });
    }

    /// Tries to get the lease; what is held is watched until it is lost or given back.
    fn ask(self: &Arc<Self>) {
        let driver = self.clone();
        tokio::spawn(async move {
            let lease = driver.campaign().await;
            let token = lease.as_ref().map(|lease| lease.token.0);
            let resigned = CancellationToken::new();
            driver.with(|core, now| {
                if let Some(token) = token {
                    core.held.insert(token, resigned.clone());
                }
                core.machine.handle(Event::Leased(token), now);
            });
            let Some(lease) = lease else { return };
            tokio::select! {
                () = resigned.cancelled() => return,
                () = lease.lost() => {}
            }
            driver.handle(Event::Lost(lease.token.0));
            // What runs may still stop in order: whoever waits for the lease to come back waits for
            // that too, as long as the engine lets it.
            resigned.cancelled().await;
        });
    }

    async fn campaign(&self) -> Option<Lease> {
        if self.plan.is_everywhere {
            let (kept, lost) = watch::channel(false);
            let token = Token(u128::from(crate::wall::us()));
            return Some(Lease::new(token, lost, Box::new(move || drop(kept))));
        }
        self.leases.campaign(&service_of(&self.plan.name), Duration::ZERO).await.ok()
    }

    fn begin(self: &Arc<Self>, token: u128, core: &mut Core) {
        let (name, value) = (&self.plan.name, self.value.clone());
        let term = Term::new(name, &core.me.name, Token(token), value);
        let body = tokio::spawn(body::run(self.plan.service.clone(), term.clone()));
        core.bodies.insert(token, (term.clone(), body.abort_handle()));
        let driver = self.clone();
        tokio::spawn(async move {
            let outcome = match body.await {
                Ok(Ok(())) => Outcome::Stopped,
                Ok(Err(error)) => driver.failed(&term, &*error),
                Err(error) if error.is_panic() => driver.failed(&term, &error),
                Err(_) => Outcome::Stopped,
            };
            term.stop();
            driver.with(|core, now| {
                core.bodies.remove(&token);
                core.machine.handle(Event::Ended(token, outcome), now);
                // A lease that was lost has nobody who gives it back.
                if let Some(resign) = core.held.remove(&token) {
                    resign.cancel();
                }
            });
        });
    }

    fn failed(&self, term: &Term, error: &dyn std::error::Error) -> Outcome {
        self.complain(error);
        if term.is_active() { Outcome::Failed } else { Outcome::Stopped }
    }

    fn complain(&self, error: &dyn std::error::Error) {
        tracing::warn!(singleton = self.plan.name, %error, "a singleton has failed");
    }

    fn note(&self, note: Note, core: &mut Core) {
        let text = core.history.add(note, &core.candidates);
        let singleton = &self.plan.name;
        if let Some((gravity, text)) = told(note, singleton, &core.me.name) {
            self.events.tell_of(gravity, EventKind::Singleton, text);
        }
        match note {
            Note::Late(_) | Note::Stuck(_) => tracing::error!(singleton, "a singleton {text}"),
            Note::Lost(_) => tracing::warn!(singleton, text, "a singleton must stop"),
            Note::Elected(..) | Note::Started(_) | Note::Ended(..) => {
                tracing::info!(singleton, text, "a singleton");
            }
        }
    }
}

// === impl Driver: what is asked ===

impl Driver {
    pub(super) fn name(&self) -> &str {
        &self.plan.name
    }

    pub(super) fn talk(&self) -> &Talk {
        &self.talk
    }

    pub(super) fn is_closed(&self) -> bool {
        *self.state.borrow() == State::Closed
    }

    pub(super) async fn reaches(&self, is_it: impl Fn(State) -> bool) {
        let mut state = self.state.subscribe();
        // The sender is this driver's own.
        let _ = state.wait_for(|state| is_it(*state)).await;
    }

    pub(super) fn told(self: &Arc<Self>, by: MemberId, word: Elected) -> bool {
        self.with(|core, now| core.machine.told(by, word, now))
    }

    pub(super) fn move_to(self: &Arc<Self>, node: Option<NodeId>) -> Result<(), NotMoved> {
        let moved = self.with(|core, now| {
            let to = core.candidates.iter().find(|one| Some(one.id.node) == node);
            let to = to.map(|one| one.name.to_string());
            core.machine.move_to(node, now).map(|()| to)
        });
        moved.map(|to| {
            let to = to.as_deref().unwrap_or("where its policy puts it");
            self.events.tell(EventKind::Singleton, format!("{} moves to {to}", self.plan.name));
        })
    }

    /// Whether it runs here, with which token, and what it has published.
    pub(super) fn standing(&self) -> (bool, Option<u128>, Option<Bytes>) {
        let core = self.core.lock();
        let is_running = core.machine.state() == State::Running;
        (is_running, core.machine.token(), self.value.lock().clone())
    }

    pub(super) fn history(&self) -> Vec<Happening> {
        self.core.lock().history.latest_first()
    }

    pub(super) fn status(&self) -> Status {
        let core = self.core.lock();
        let machine = &core.machine;
        let provider = machine.word().provider;
        let elected = core.candidates.iter().find(|one| Some(one.id) == provider).cloned();
        let no_provider: Option<NoProvider> = match &elected {
            Some(_) => None,
            None => elect(machine.policy(), machine.candidates(), None, None, 0).err(),
        };
        Status {
            state: machine.state(),
            token: machine.token().map(Token),
            elected,
            no_provider,
            candidates: core.candidates.clone(),
            policy: Policy(machine.policy().clone()),
        }
    }

    /// What this member says of it.
    pub(super) fn report(&self) -> SingletonTold {
        let status = self.status();
        let core = self.core.lock();
        let moved = core.machine.word().moved;
        let moved = core.candidates.iter().find(|one| Some(one.id.node) == moved);
        let member = core.me.name.to_string();
        let Counts { starts, failures, lost, cut_off } = core.history.counts;
        let token = status.token.map(|token| token.to_string());
        let state = word(status.state);
        let change = |Happening { at_ms, text }| {
            let member = member.clone();
            SingletonChange { at_ms, member, text }
        };
        let history = core.history.latest_first().into_iter().map(change).collect();
        SingletonTold {
            name: self.plan.name.clone(),
            kind: self.plan.kind,
            is_everywhere: self.plan.is_everywhere,
            policy: status.policy.to_string(),
            policy_name: self.plan.choice.name(&self.policies.borrow()),
            quorum: status.policy.least(),
            elected: status.elected.map(|member| member.name.into()),
            no_provider: status.no_provider.map(|why| why.to_string()),
            moved: moved.map(|member| member.name.to_string()),
            candidates: status.candidates.into_iter().map(|one| one.name.into()).collect(),
            here: SingletonMember { member, state, token, starts, failures, lost, cut_off },
            history,
        }
    }

    pub(super) fn counts(&self) -> (Counts, bool) {
        let core = self.core.lock();
        (core.history.counts, core.machine.state() == State::Running)
    }
}

fn candidate(member: &Member) -> Candidate {
    Candidate { id: member.id, name: member.name.clone(), address: member.address.clone() }
}

fn word(state: State) -> SingletonState {
    match state {
        State::Standby => SingletonState::Standby,
        State::Waiting => SingletonState::Waiting,
        State::Running => SingletonState::Running,
        State::Stopping => SingletonState::Stopping,
        State::Resting => SingletonState::Resting,
        State::Stuck => SingletonState::Stuck,
        State::Closed => SingletonState::Closed,
    }
}
