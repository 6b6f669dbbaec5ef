//! One service on one member: candidates, words of the elector, leases and bodies in; what is to be
//! done out.

use std::collections::VecDeque;
use std::time::Duration;

use muster_cluster::{MemberId, Moment, NodeId};

use crate::life::{Bounds, Life, Outcome, State, Step};
use crate::office::{Elected, Office};
use crate::policy::{Candidate, NoProvider, Policy, elect};

/// What has happened.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Event {
    /// Who offers the service, oldest first, as this member sees it.
    Candidates {
        /// This member's present life.
        me: MemberId,
        /// They, and this member where its offer stands.
        candidates: Vec<Candidate>,
        /// Whether enough voters of the cluster are in sight.
        is_quorate: bool,
    },
    /// Another policy, from now on.
    Policy(Policy),
    /// A member has answered the elector's word of that version, and taken it or not.
    Answered {
        /// Who.
        by: MemberId,
        /// Which word.
        version: u64,
        /// Whether it takes this member for the elector.
        is_taken: bool,
    },
    /// The answer to [`Action::Ask`]: the lease's token, or none.
    Leased(Option<u128>),
    /// The lease of this token is held no more.
    Lost(u128),
    /// The body that was started with this token has ended.
    Ended(u128, Outcome),
    /// The service is not offered here any more: it is stopped where it runs.
    Close,
    /// Time has passed.
    Tick,
}

/// What is to be done.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Action {
    /// Tell a member who is elected; the answer is [`Event::Answered`].
    Tell {
        /// Whom.
        to: MemberId,
        /// What.
        word: Elected,
    },
    /// Offer the service, or offer it no more.
    Offer(bool),
    /// Try once to get the lease; the answer is [`Event::Leased`].
    Ask,
    /// Give back the lease of this token.
    Resign(u128),
    /// Start the body with this token.
    Start(u128),
    /// Tell the body to stop.
    Stop(u128),
    /// Cut the body off.
    CutOff(u128),
    /// Something worth to be told.
    Note(Note),
    /// All is over; nothing follows.
    Closed,
}

/// Something worth to be told.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Note {
    /// Somebody was elected, as this member has heard; none with the reason that it sees.
    Elected(Option<MemberId>, Option<NoProvider>),
    /// The body starts.
    Started(u128),
    /// The lease was lost: this member was cut off, or too slow.
    Lost(u128),
    /// The body has ended.
    Ended(u128, Outcome),
    /// The body did not stop within its bound, and was cut off.
    Late(u128),
    /// The body was cut off and goes on: the lease is given back all the same.
    Stuck(u128),
}

/// One service on one member.
#[derive(Clone, Debug)]
pub struct Singleton {
    bounds: Bounds,
    policy: Policy,
    me: MemberId,
    candidates: Vec<Candidate>,
    is_quorate: bool,
    /// Where this member is the elector.
    office: Option<Office>,
    /// The last word that was taken, and whose it was.
    word: Elected,
    word_by: Option<MemberId>,
    version: u64,
    life: Life,
    failures: u32,
    is_closing: bool,
    chance: u64,
    actions: VecDeque<Action>,
}

/// A body that ran so long has not failed at its start.
const RAN: Duration = Duration::from_secs(60);

// === impl Singleton ===

impl Singleton {
    /// Nothing is known yet. `chance` is any number, of which all later chance is made; `version` is
    /// what its words are numbered from: greater than that of all words that another singleton of
    /// this name and this life has said, such as the time in microseconds.
    #[must_use]
    pub fn new(policy: Policy, bounds: Bounds, chance: u64, version: u64) -> Self {
        Self {
            bounds,
            policy,
            me: MemberId::default(),
            candidates: Vec::new(),
            is_quorate: false,
            office: None,
            word: Elected::default(),
            word_by: None,
            version,
            life: Life::Idle,
            failures: 0,
            is_closing: false,
            chance,
            actions: VecDeque::from([Action::Offer(true)]),
        }
    }

    /// Something has happened.
    pub fn handle(&mut self, event: Event, now: Moment) {
        match event {
            Event::Candidates { me, candidates, is_quorate } => {
                self.is_quorate = is_quorate;
                let is_news = me != self.me || candidates != self.candidates;
                (self.me, self.candidates) = (me, candidates);
                if is_news {
                    self.hold_office(now);
                }
            }
            Event::Policy(policy) => {
                if policy != self.policy {
                    self.policy = policy;
                    self.hold_office(now);
                }
            }
            Event::Answered { by, version, is_taken } => {
                if let Some(office) = &mut self.office {
                    office.answered(by, version, is_taken, now);
                }
            }
            Event::Leased(token) => {
                let step = self.life.leased(token, self.is_wanted(), &self.bounds, now);
                self.took(step);
            }
            Event::Lost(token) => {
                if self.life.token() == Some(token) {
                    self.note(Note::Lost(token));
                }
                let step = self.life.lost(token, &self.bounds, now);
                self.took(step);
            }
            Event::Ended(token, outcome) => self.ended(token, outcome, now),
            Event::Close => {
                if !self.is_closing {
                    self.is_closing = true;
                    self.office = None;
                    self.actions.push_back(Action::Offer(false));
                }
            }
            Event::Tick => {}
        }
        self.settle(now);
    }

    /// A member says who is elected. Whether it is taken for the elector: if not it says so again
    /// later, for one of the two has not seen yet who that is.
    pub fn told(&mut self, by: MemberId, word: Elected, now: Moment) -> bool {
        if self.is_closing || self.elector() != Some(by) || by == self.me {
            return false;
        }
        let is_old = self.word_by == Some(by) && word.version <= self.word.version;
        if !is_old {
            self.take(by, word);
            self.settle(now);
        }
        true
    }

    /// An operator wants the service on this node, or where the policy puts it.
    ///
    /// # Errors
    /// Nothing changes where this member does not elect, or that node is no candidate.
    pub fn move_to(&mut self, node: Option<NodeId>, now: Moment) -> Result<(), NotMoved> {
        if self.office.is_none() {
            return Err(NotMoved::NotElector(self.elector()));
        }
        let is_candidate = |node| self.candidates.iter().any(|one| one.id.node == node);
        if node.is_some_and(|node| !is_candidate(node)) {
            return Err(NotMoved::NoCandidate);
        }
        self.word.moved = node;
        self.hold_office(now);
        self.settle(now);
        Ok(())
    }

    /// What is to be done next.
    pub fn poll_action(&mut self) -> Option<Action> {
        self.actions.pop_front()
    }

    /// When it wants to hear of the time.
    #[must_use]
    pub fn wake(&self) -> Option<Moment> {
        let office = self.office.as_ref().map(Office::wake);
        self.life.wake().into_iter().chain(office).min()
    }

    /// The oldest of those who offer it: it elects.
    #[must_use]
    pub fn elector(&self) -> Option<MemberId> {
        self.candidates.first().map(|first| first.id)
    }

    /// The last word that this member took.
    #[must_use]
    pub fn word(&self) -> Elected {
        self.word
    }

    /// Where it stands here.
    #[must_use]
    pub fn state(&self) -> State {
        self.life.state()
    }

    /// The token with which a body may be running here.
    #[must_use]
    pub fn token(&self) -> Option<u128> {
        self.life.token()
    }

    /// The policy in force.
    #[must_use]
    pub fn policy(&self) -> &Policy {
        &self.policy
    }

    /// Who offers it, oldest first.
    #[must_use]
    pub fn candidates(&self) -> &[Candidate] {
        &self.candidates
    }

    /// Whether the body should run here. The quorum is looked at here too: below it a service stops
    /// everywhere at once, whatever the elector has said before.
    fn is_wanted(&self) -> bool {
        !self.is_closing
            && self.is_quorate
            && self.word.provider == Some(self.me)
            && self.candidates.len() >= usize::from(self.policy.quorum)
            && self.candidates.iter().any(|one| one.id == self.me)
    }

    /// Elects, where this member is the elector.
    fn hold_office(&mut self, now: Moment) {
        if self.is_closing || self.elector() != Some(self.me) {
            self.office = None;
            return;
        }
        let is_there = |id: MemberId| self.candidates.iter().any(|one| one.id == id);
        let moved =
            self.word.moved.filter(|node| self.candidates.iter().any(|one| one.id.node == *node));
        self.chance = stir(self.chance);
        let present = self.word.provider.filter(|id| is_there(*id));
        let provider = elect(&self.policy, &self.candidates, present, moved, self.chance).ok();
        self.version += 1;
        let word = Elected { version: self.version, provider, moved };
        match &mut self.office {
            Some(office) => {
                office.retain(is_there);
                office.say(word, now);
            }
            None => self.office = Some(Office::new(word, now)),
        }
        self.take(self.me, word);
    }

    fn take(&mut self, by: MemberId, word: Elected) {
        let is_news = word.provider != self.word.provider || self.word_by.is_none();
        (self.word, self.word_by) = (word, Some(by));
        if is_news {
            let none = || {
                let elected = elect(&self.policy, &self.candidates, None, None, 0);
                elected.err()
            };
            let why = if word.provider.is_none() { none() } else { None };
            self.note(Note::Elected(word.provider, why));
        }
    }

    fn ended(&mut self, token: u128, outcome: Outcome, now: Moment) {
        if self.life.token() != Some(token) {
            return;
        }
        if let Life::Running { since, .. } = self.life
            && now.saturating_sub(since) >= RAN
        {
            self.failures = 0;
        }
        self.note(Note::Ended(token, outcome));
        if matches!(self.life, Life::Stuck { .. }) && !self.is_closing {
            self.actions.push_back(Action::Offer(true));
        }
        let rest = self.bounds.rest.saturating_mul(1 << self.failures.min(16));
        let rest = rest.min(self.bounds.most_rest);
        if outcome == Outcome::Failed {
            self.failures = self.failures.saturating_add(1);
        }
        for step in self.life.ended(token, outcome, rest, now) {
            self.took(step);
        }
    }

    /// Steps until there is nothing left to do at this moment, and what is to be told is told.
    fn settle(&mut self, now: Moment) {
        loop {
            let before = self.life;
            let step = self.life.step(self.is_wanted(), &self.bounds, now);
            self.took(step);
            if self.life == before {
                break;
            }
        }
        let others: Vec<MemberId> = self.candidates.iter().map(|one| one.id).collect();
        if let Some(office) = &mut self.office {
            let word = office.word();
            for to in office.due(others.into_iter().filter(|id| *id != self.me), now) {
                self.actions.push_back(Action::Tell { to, word });
            }
        }
        let is_over = matches!(self.life, Life::Idle | Life::Resting { .. } | Life::Stuck { .. });
        if self.is_closing && is_over {
            self.life = Life::Closed;
            self.actions.push_back(Action::Closed);
        }
    }

    fn took(&mut self, step: Option<Step>) {
        let Some(step) = step else { return };
        match step {
            Step::Ask => self.actions.push_back(Action::Ask),
            Step::Start(token) => {
                self.note(Note::Started(token));
                self.actions.push_back(Action::Start(token));
            }
            Step::Stop(token) => self.actions.push_back(Action::Stop(token)),
            Step::CutOff(token) => {
                self.note(Note::Late(token));
                self.actions.push_back(Action::CutOff(token));
            }
            Step::GiveUp(token) => {
                self.note(Note::Stuck(token));
                self.actions.push_back(Action::Resign(token));
                self.actions.push_back(Action::Offer(false));
            }
            Step::Resign(token) => self.actions.push_back(Action::Resign(token)),
            Step::Rest => self.actions.push_back(Action::Offer(false)),
            Step::Rested if self.is_closing => {}
            Step::Rested => self.actions.push_back(Action::Offer(true)),
        }
    }

    fn note(&mut self, note: Note) {
        self.actions.push_back(Action::Note(note));
    }
}

/// Why a service was not moved.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum NotMoved {
    /// This one elects: ask it.
    #[error("another member elects")]
    NotElector(Option<MemberId>),
    /// That node does not offer the service.
    #[error("that node does not offer it")]
    NoCandidate,
}

/// The next number of a row that looks like chance (splitmix64).
fn stir(last: u64) -> u64 {
    let next = last.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mixed = (next ^ (next >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

#[cfg(test)]
mod tests;
