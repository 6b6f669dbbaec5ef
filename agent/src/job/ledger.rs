//! The ledger of a job: which of its firings are under way, and what became of the others. A firing
//! is one and no other by the instant it was scheduled for. Pure: time, chance and who is there come
//! in as arguments, and whoever changes it writes it under compare-and-set, so that of two who would
//! count a firing as done one finds out that the other has.

use std::collections::{BTreeSet, VecDeque};

use muster_protocol::cluster::jobs::{JobOutcome, Settled};
use serde::{Deserialize, Serialize};

use super::policy::{MOST_OPEN, Missed, Overlap, Policy};
use super::schedule::Schedule;

/// Settled firings that are remembered.
pub(super) const MOST_SETTLED: usize = 50;

/// Bytes of what a failed run says, at most.
const MOST_ERROR: usize = 300;

/// The token of a run: its two halves, which rise as one number.
pub(super) type Parts = (u64, u64);

/// What a job has done, and what it is about to.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Ledger {
    /// When it fires, in words.
    pub(super) schedule: String,
    /// Of chance, other with each change: by it whoever wrote it knows it again.
    pub(super) stamp: u64,
    /// All instants up to this one are settled or open.
    pub(super) through: i64,
    pub(super) is_paused: bool,
    /// The firings that are not settled, in their order.
    pub(super) open: Vec<Firing>,
    /// The latest first.
    pub(super) settled: VecDeque<Settled>,
    pub(super) counts: Counts,
}

/// What became of firings, in numbers that only rise.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Counts {
    pub(super) done: u64,
    pub(super) failed: u64,
    pub(super) missed: u64,
    pub(super) skipped: u64,
    /// Runs that failed.
    pub(super) failures: u64,
    /// Runs whose member was lost.
    pub(super) lost: u64,
}

/// A firing that is not settled.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Firing {
    /// The instant it was scheduled for.
    pub(super) at: i64,
    /// An operator wants it, in place of the schedule.
    #[serde(default)]
    pub(super) is_wished: bool,
    /// Runs that were begun.
    pub(super) tries: u32,
    /// Members that have tried in this round.
    pub(super) tried: BTreeSet<String>,
    /// Runs whose member was lost in the middle.
    #[serde(default)]
    pub(super) lost: u32,
    /// Not before this time.
    pub(super) not_before: i64,
    pub(super) run: Option<Running>,
    /// What the last run said that failed.
    #[serde(default)]
    pub(super) error: Option<String>,
}

/// A run that goes on, as far as is known.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Running {
    pub(super) member: String,
    pub(super) token: Parts,
    /// The place among those that may run at once: its lease was held by the member.
    pub(super) place: usize,
    pub(super) began: i64,
}

/// Somebody who could run a firing.
#[derive(Debug, Clone, Copy)]
pub(super) struct Me<'m> {
    pub(super) name: &'m str,
    /// The names of all who have the job, oldest first.
    pub(super) candidates: &'m [String],
}

/// A run to begin.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Claimed {
    pub(super) at: i64,
    /// The first is 1.
    pub(super) attempt: u32,
    /// An earlier run may have done some of it.
    pub(super) is_again: bool,
}

/// What became of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Finished {
    /// The firing is done, and counted.
    Done,
    /// It is tried again.
    Again,
    /// It was tried as often as it may.
    GivenUp,
    /// It was somebody else's by then: nothing has changed.
    NotMine,
}

// === impl Ledger ===

impl Ledger {
    /// Of a job that is new at this time: nothing before counts.
    pub(super) fn new(now: i64) -> Self {
        Self { through: now, ..Self::default() }
    }

    /// Takes up what has become due. `is_gap`: a run was lost, so that nobody was there for what
    /// came meanwhile.
    pub(super) fn advance(&mut self, schedule: &Schedule, policy: &Policy, now: i64, is_gap: bool) {
        if self.is_paused {
            return;
        }
        let due = schedule.due(self.through, now);
        let Some(last) = due.instants.last() else { return };
        self.through = *last;
        let is_busy = !self.open.is_empty() && !is_gap;
        let makes_up = is_gap && matches!(policy.missed, Missed::RunAll(_));
        let grace = i64::try_from(policy.grace.as_millis()).unwrap_or(i64::MAX);
        let is_missed = |at: &i64| {
            let is_late = now.saturating_sub(schedule.due_at(*at)) > grace;
            !is_busy && (is_late || makes_up)
        };
        // An operator's wish may have come at the very instant: it is that firing.
        let instants = due.instants.into_iter().filter(|at| !self.knows(*at));
        let (missed, in_time): (Vec<i64>, Vec<i64>) = instants.partition(is_missed);
        self.miss(&missed, policy.missed, now);
        for at in in_time {
            self.overlap(at, policy.overlap, now);
        }
    }

    fn miss(&mut self, missed: &[i64], policy: Missed, now: i64) {
        let kept = match policy {
            Missed::Skip => 0,
            Missed::RunOnce => 1,
            Missed::RunAll(most) => most,
        };
        let kept = kept.min(MOST_OPEN.saturating_sub(self.open.len()));
        let (given_up, made_up) = missed.split_at(missed.len().saturating_sub(kept));
        self.counts.missed += given_up.len() as u64;
        // Each is counted; that many in a row are told once for all.
        if let Some(last) = given_up.last() {
            let why = format!("{} in a row, and no member was there", given_up.len());
            self.settle(Settled::new(*last, now, JobOutcome::Missed, Some(why)));
        }
        self.open.extend(made_up.iter().map(|at| Firing::new(*at)));
    }

    fn overlap(&mut self, at: i64, policy: Overlap, now: i64) {
        let most = match policy {
            Overlap::Skip => 1,
            Overlap::Queue(waiting) => waiting + 1,
            Overlap::Allow(most) => most,
        };
        if self.open.len() < most.min(MOST_OPEN) {
            self.open.push(Firing::new(at));
            return;
        }
        self.counts.skipped += 1;
        let why = "an earlier one was under way".to_owned();
        self.settle(Settled::new(at, now, JobOutcome::Skipped, Some(why)));
    }

    /// Whoever holds the lease of a place knows that a run in it under another token has ended with
    /// its member. The members that were lost, each with the instant of its firing.
    pub(super) fn recover(
        &mut self,
        place: usize,
        token: Parts,
        policy: &Policy,
        now: i64,
    ) -> Vec<(i64, String)> {
        let mut lost = Vec::new();
        for firing in &mut self.open {
            let is_over = |run: &mut Running| run.place == place && run.token != token;
            let Some(run) = firing.run.take_if(is_over) else { continue };
            firing.lost += 1;
            firing.error = Some(format!("{} was lost in the middle of it", run.member));
            lost.push((firing.at, run.member));
            self.counts.lost += 1;
        }
        for (at, _) in &lost {
            self.give_up(*at, policy, now);
        }
        lost
    }

    /// Takes a firing for a run in a place, if there is one for this member.
    pub(super) fn claim(
        &mut self,
        me: Me<'_>,
        place: usize,
        token: Parts,
        policy: &Policy,
        now: i64,
    ) -> Option<Claimed> {
        // An answer that was lost is asked for again.
        let is_mine = |run: &Running| run.token == token;
        let mut open = self.open.iter();
        if let Some(firing) = open.find(|firing| firing.run.as_ref().is_some_and(is_mine)) {
            return Some(firing.claimed());
        }
        let firing = self.claimable(me, policy, now)?;
        firing.tries += 1;
        firing.tried.insert(me.name.to_owned());
        let member = me.name.to_owned();
        firing.run = Some(Running { member, token, place, began: now });
        Some(firing.claimed())
    }

    fn claimable(&mut self, me: Me<'_>, policy: &Policy, now: i64) -> Option<&mut Firing> {
        let is_for_me = |firing: &Firing| firing.may_be_run_by(me) && firing.not_before <= now;
        match policy.places() {
            // In their order, whatever becomes of the first.
            1 => self.open.first_mut().filter(|firing| is_for_me(firing)),
            _ => self.open.iter_mut().find(|firing| is_for_me(firing)),
        }
    }

    /// A run has ended. What has become due meanwhile must have been taken up before.
    pub(super) fn finish(
        &mut self,
        at: i64,
        token: Parts,
        result: &Result<(), String>,
        candidates: &[String],
        policy: &Policy,
        now: i64,
    ) -> Finished {
        let is_it = |firing: &Firing| {
            firing.at == at && firing.run.as_ref().is_some_and(|run| run.token == token)
        };
        let Some(place) = self.open.iter().position(is_it) else { return Finished::NotMine };
        let Err(error) = result else {
            let firing = self.open.remove(place);
            self.counts.done += 1;
            self.settle(firing.settled(now, JobOutcome::Done));
            return Finished::Done;
        };
        self.counts.failures += 1;
        let firing = &mut self.open[place];
        firing.run = None;
        firing.error = Some(shortened(error));
        if candidates.iter().all(|name| firing.tried.contains(name)) {
            firing.tried.clear();
            let pause = i64::try_from(policy.pause.as_millis()).unwrap_or(i64::MAX);
            firing.not_before = now.saturating_add(pause);
        }
        match self.give_up(at, policy, now) {
            true => Finished::GivenUp,
            false => Finished::Again,
        }
    }

    /// Settles a firing that nobody runs and that was tried as often as it may.
    fn give_up(&mut self, at: i64, policy: &Policy, now: i64) -> bool {
        let is_over = |firing: &Firing| {
            firing.at == at && firing.run.is_none() && firing.tries >= policy.tries
        };
        let Some(place) = self.open.iter().position(is_over) else { return false };
        let firing = self.open.remove(place);
        self.counts.failed += 1;
        self.settle(firing.settled(now, JobOutcome::Failed));
        true
    }

    /// Who was there for it has left: another round may begin without waiting for them.
    pub(super) fn forget_gone(&mut self, candidates: &[String]) {
        for firing in self.open.iter_mut().filter(|firing| firing.run.is_none()) {
            if !candidates.is_empty() && candidates.iter().all(|name| firing.tried.contains(name)) {
                firing.tried.clear();
            }
        }
    }

    /// No firing counts until it is resumed; those that are open are run.
    pub(super) fn pause(&mut self) {
        self.is_paused = true;
    }

    /// What came meanwhile is left out.
    pub(super) fn resume(&mut self, now: i64) {
        if std::mem::take(&mut self.is_paused) {
            self.through = self.through.max(now);
        }
    }

    /// An operator wants a run now. None where as many wait as may.
    pub(super) fn wish(&mut self, now: i64) -> Option<i64> {
        if self.open.len() >= MOST_OPEN {
            return None;
        }
        // An instant of its own.
        let mut at = now;
        while self.knows(at) {
            at += 1;
        }
        self.open.push(Firing { is_wished: true, ..Firing::new(at) });
        Some(at)
    }

    fn knows(&self, at: i64) -> bool {
        self.open.iter().any(|firing| firing.at == at)
            || self.settled.iter().any(|settled| settled.at_ms == at)
    }

    /// Whether a firing was done under this token.
    pub(super) fn is_done(&self, at: i64, token: Parts) -> bool {
        let token = Some(said(token));
        let mut settled = self.settled.iter();
        settled.any(|settled| {
            settled.at_ms == at && settled.token == token && settled.outcome == JobOutcome::Done
        })
    }

    fn settle(&mut self, settled: Settled) {
        self.settled.truncate(MOST_SETTLED - 1);
        self.settled.push_front(settled);
    }
}

// === impl Firing ===

impl Firing {
    fn new(at: i64) -> Self {
        Self {
            at,
            is_wished: false,
            tries: 0,
            tried: BTreeSet::new(),
            lost: 0,
            not_before: 0,
            run: None,
            error: None,
        }
    }

    fn claimed(&self) -> Claimed {
        Claimed { at: self.at, attempt: self.tries, is_again: self.tries > 1 }
    }

    /// Whether it waits for this member, now or later.
    pub(super) fn may_be_run_by(&self, me: Me<'_>) -> bool {
        let has_all = || me.candidates.iter().all(|name| self.tried.contains(name));
        self.run.is_none() && (!self.tried.contains(me.name) || has_all())
    }

    fn settled(self, now: i64, outcome: JobOutcome) -> Settled {
        let run = self.run.as_ref();
        Settled {
            tries: self.tries,
            lost: self.lost,
            member: run.map(|run| run.member.clone()),
            token: run.map(|run| said(run.token)),
            took_ms: run.and_then(|run| u64::try_from(now - run.began).ok()),
            ..Settled::new(
                self.at,
                now,
                outcome,
                self.error.filter(|_| outcome != JobOutcome::Done),
            )
        }
    }
}

/// A token in the words of the seam.
pub(super) fn said(token: Parts) -> String {
    format!("{}.{}", token.0, token.1)
}

fn shortened(error: &str) -> String {
    let mut error = error.to_owned();
    while error.len() > MOST_ERROR {
        error.pop();
    }
    error
}
