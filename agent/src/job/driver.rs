//! A job on a member: for each of its places a task that waits for what the ledger and the clock
//! say, gets the lease of the place, and runs one firing under it. The lease says that nobody else
//! runs in that place; the ledger says what there is to run.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use muster_protocol::cluster::events::EventKind;
use tokio::sync::broadcast::error::RecvError;
use tokio_util::sync::CancellationToken;

use super::book::Book;
use super::ledger::{Claimed, Finished, Ledger, Me, Parts};
use super::policy::Policy;
use super::report::RunsHere;
use super::schedule::Schedule;
use super::wake::{Wake, wake};
use super::{ENDING, JobError, Run};
use crate::cluster::Group;
use crate::engine::leases::{Lease, Leases};
use crate::engine::map::{Changes, Read, Watch};
use crate::events::Events;

/// What an application does.
pub(super) type Body = Arc<dyn Fn(Run) -> BoxFuture<'static, Result<(), String>> + Send + Sync>;

/// Who did not get a lease, or could not reach the ledger, tries again after so long.
const AGAIN: Duration = Duration::from_millis(250);

/// The lease of a member that has left ends by then: who waits gets it at once.
const LEFT: Duration = Duration::from_secs(5);

/// A job on this member.
#[derive(Clone)]
pub(super) struct Driver {
    pub(super) name: Arc<str>,
    pub(super) me: String,
    /// Who has the job.
    pub(super) group: Group,
    pub(super) leases: Arc<dyn Leases>,
    pub(super) book: Book,
    pub(super) schedule: Arc<Schedule>,
    pub(super) policy: Arc<Policy>,
    pub(super) body: Body,
    pub(super) events: Events,
    pub(super) here: Arc<RunsHere>,
    pub(super) stop: CancellationToken,
}

// === impl Driver ===

impl Driver {
    /// The task of one place, until the job is stopped. A run that is under way then has its time.
    pub(super) async fn run(self, place: usize) {
        let mut pause = None;
        while !self.stop.is_cancelled() {
            // Before the ledger is read, so that no change falls between.
            let mut changes = self.book.map().watch(Watch::Copies);
            let mut views = self.group.changes();
            let wake = match self.look(place).await {
                Ok(wake) => wake,
                Err(error) => {
                    tracing::debug!(job = &*self.name, %error, "the ledger of a job");
                    Wake::Look(now_ms() + ms(AGAIN))
                }
            };
            let (at, is_work) = match wake {
                Wake::Work(at) => (at, true),
                Wake::Look(at) => (at, false),
            };
            let at = pause.map_or(at, |pause: i64| at.max(pause));
            let wait = u64::try_from(at - now_ms()).unwrap_or(0);
            tokio::select! {
                () = self.stop.cancelled() => return,
                () = tokio::time::sleep(Duration::from_millis(wait)) => {
                    let did = is_work && self.one(place).await;
                    pause = (is_work && !did).then(|| now_ms() + ms(AGAIN));
                }
                is_open = self.changed(&mut changes) => if !is_open { return },
                change = views.next() => if change.is_none() { return },
            }
        }
    }

    /// When this member has to do something; what is said of the schedule is put right on the way.
    async fn look(&self, place: usize) -> Result<Wake, JobError> {
        let found = self.book.read(&self.name, Read::Near).await?;
        let schedule = self.schedule.to_string();
        let ledger = match found {
            Some(ledger) if ledger.schedule == schedule => ledger,
            Some(_) | None => self.begin(&schedule).await?,
        };
        let candidates = self.candidates();
        let me = Me { name: &self.me, candidates: &candidates };
        Ok(wake(&ledger, &self.schedule, &self.policy, me, place, now_ms()))
    }

    async fn begin(&self, schedule: &str) -> Result<Ledger, JobError> {
        let new = || Some(Ledger::new(now_ms()));
        let changed = self.book.change(&self.name, new, |ledger| {
            schedule.clone_into(&mut ledger.schedule);
            Some(ledger.clone())
        });
        changed.await?.ok_or_else(|| JobError::Unknown(self.name.to_string()))
    }

    fn candidates(&self) -> Vec<String> {
        self.group.view().members.iter().map(|member| member.name.to_string()).collect()
    }

    /// Whether the ledger has changed, or may have; no when the engine is gone.
    async fn changed(&self, changes: &mut Changes) -> bool {
        loop {
            match changes.recv().await {
                Ok(change) if *change.group == *self.name.as_bytes() => return true,
                Ok(_) => {}
                Err(RecvError::Lagged(_)) => return true,
                Err(RecvError::Closed) => return false,
            }
        }
    }

    /// One firing under the lease of the place; whether there was one.
    async fn one(&self, place: usize) -> bool {
        let lease = match self.leases.campaign(&self.lease(place), self.wait(place).await).await {
            Ok(lease) => lease,
            Err(error) => {
                tracing::debug!(job = &*self.name, place, %error, "no lease for a job");
                return false;
            }
        };
        let claimed = match self.claim(place, token(&lease)).await {
            Ok(Some(claimed)) => claimed,
            Ok(None) => return false,
            Err(error) => {
                tracing::warn!(job = &*self.name, %error, "the ledger of a job");
                return false;
            }
        };
        let result = self.body(&claimed, &lease).await;
        self.finish(&claimed, &lease, result).await;
        true
    }

    fn lease(&self, place: usize) -> String {
        match place {
            0 => format!("job/{}", self.name),
            more => format!("job/{}#{more}", self.name),
        }
    }

    /// Who has left gives its lease up within its time; from anybody else it is one try.
    async fn wait(&self, place: usize) -> Duration {
        let Ok(Some(ledger)) = self.book.read(&self.name, Read::Near).await else {
            return Duration::ZERO;
        };
        let candidates = self.candidates();
        let mut runs = ledger.open.iter().filter_map(|firing| firing.run.as_ref());
        match runs.any(|run| run.place == place && !candidates.contains(&run.member)) {
            true => LEFT,
            false => Duration::ZERO,
        }
    }

    async fn claim(&self, place: usize, token: Parts) -> Result<Option<Claimed>, JobError> {
        let candidates = self.candidates();
        let me = Me { name: &self.me, candidates: &candidates };
        let new = || Some(Ledger::new(now_ms()));
        let changed = self.book.change(&self.name, new, |ledger| {
            let (before, now) = (ledger.clone(), now_ms());
            let lost = ledger.recover(place, token, &self.policy, now);
            ledger.advance(&self.schedule, &self.policy, now, !lost.is_empty());
            ledger.forget_gone(&candidates);
            let claimed = ledger.claim(me, place, token, &self.policy, now);
            let missed = ledger.counts.missed - before.counts.missed;
            (*ledger != before).then_some((claimed, lost, missed))
        });
        let Some((claimed, lost, missed)) = changed.await? else { return Ok(None) };
        for (at, member) in lost {
            let at = instant(at);
            tracing::warn!(job = &*self.name, %at, member, "the member of a run was lost");
            self.warn(format!("{} of {at} was lost in the middle with {member}", self.name));
        }
        if missed > 0 {
            tracing::warn!(job = &*self.name, missed, "firings were missed");
            self.warn(format!("{} has missed {missed} firings", self.name));
        }
        Ok(claimed)
    }

    /// Runs it, as long as the lease is held, the job goes on and its time is not over.
    async fn body(&self, claimed: &Claimed, lease: &Lease) -> Result<(), String> {
        let run = Run {
            job: self.name.clone(),
            at: claimed.at,
            attempt: claimed.attempt,
            token: lease.token,
            stop: self.stop.clone(),
        };
        let caught = async {
            // The future may be made in a body that panics.
            let body = AssertUnwindSafe(async { (self.body)(run).await }).catch_unwind();
            body.await.unwrap_or_else(|_| Err("it panicked".to_owned()))
        };
        let ending = async {
            self.stop.cancelled().await;
            tokio::time::sleep(ENDING).await;
        };
        tokio::select! {
            biased;
            () = lease.lost() => Err("its member was cut off in the middle of it".to_owned()),
            result = caught => result,
            () = tokio::time::sleep(self.policy.limit) => {
                Err(format!("it took longer than {:?}", self.policy.limit))
            }
            () = ending => Err("the job was stopped here in the middle of it".to_owned()),
        }
    }

    /// Writes what became of it; as long as the lease is held nobody else takes it for lost.
    async fn finish(&self, claimed: &Claimed, lease: &Lease, result: Result<(), String>) {
        self.here.count(result.is_ok());
        loop {
            match self.finish_once(claimed, token(lease), &result).await {
                Ok(finished) => return self.finished(claimed, finished, &result),
                Err(error) if lease.is_held() => {
                    tracing::debug!(job = &*self.name, %error, "the ledger of a job");
                    tokio::time::sleep(AGAIN).await;
                }
                Err(error) => {
                    let at = instant(claimed.at);
                    tracing::warn!(job = &*self.name, %at, %error, "the end of a run is not known");
                    return;
                }
            }
        }
    }

    async fn finish_once(
        &self,
        claimed: &Claimed,
        token: Parts,
        result: &Result<(), String>,
    ) -> Result<Finished, JobError> {
        let candidates = self.candidates();
        let changed = self.book.change(
            &self.name,
            || None,
            |ledger| {
                if ledger.is_done(claimed.at, token) {
                    return None;
                }
                let now = now_ms();
                ledger.advance(&self.schedule, &self.policy, now, false);
                Some(ledger.finish(claimed.at, token, result, &candidates, &self.policy, now))
            },
        );
        Ok(changed.await?.unwrap_or(Finished::Done))
    }

    fn finished(&self, claimed: &Claimed, finished: Finished, result: &Result<(), String>) {
        let (job, at) = (&*self.name, instant(claimed.at));
        let why = result.as_ref().err().map_or("", String::as_str);
        match finished {
            Finished::Done => {
                tracing::debug!(job, %at, attempt = claimed.attempt, "a firing is done");
            }
            Finished::Again => {
                tracing::warn!(job, %at, why, "a run has failed, and is tried again");
                self.warn(format!("{job} of {at} has failed on {}: {why}", self.me));
            }
            Finished::GivenUp => {
                tracing::error!(job, %at, why, "a firing was tried as often as it may");
                let tries = claimed.attempt;
                let text = format!("{job} of {at} is given up after {tries} tries: {why}");
                self.events.trouble(EventKind::Job, text);
            }
            Finished::NotMine => {
                tracing::warn!(job, %at, "a run came to its end when another had taken its place");
            }
        }
    }

    fn warn(&self, text: String) {
        self.events.warn(EventKind::Job, text);
    }
}

fn token(lease: &Lease) -> Parts {
    ((lease.token.0 >> 64) as u64, lease.token.0 as u64)
}

fn instant(at: i64) -> String {
    jiff::Timestamp::from_millisecond(at).map_or_else(|_| at.to_string(), |at| at.to_string())
}

fn ms(time: Duration) -> i64 {
    i64::try_from(time.as_millis()).unwrap_or(i64::MAX)
}

/// The wall clock, in milliseconds since 1970.
pub(super) fn now_ms() -> i64 {
    i64::try_from(crate::wall::ms()).unwrap_or(i64::MAX)
}
