//! Jobs as the management tells them, and what operators may want of them.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use muster_protocol::cluster::events::EventKind;
use muster_protocol::cluster::jobs::{JobReport, JobsReport, OpenFiring};
use parking_lot::Mutex;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::JobError;
use super::book::Book;
use super::builder::service;
use super::driver::now_ms;
use super::ledger::{Firing, Ledger, said};
use super::schedule::Schedule;
use crate::cluster::Cluster;
use crate::engine::map::Read;

/// The jobs of this process, by name.
#[derive(Debug, Default)]
pub(crate) struct JobsHere(Mutex<BTreeMap<String, Arc<RunsHere>>>);

/// A job of this process in numbers that only rise.
#[derive(Debug)]
pub(crate) struct RunsHere {
    schedule: Schedule,
    stop: CancellationToken,
    tasks: TaskTracker,
    done: AtomicU64,
    failed: AtomicU64,
}

/// Runs of a job on this member, in numbers that only rise.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct RunCounts {
    /// Those that came to a good end.
    pub(crate) done: u64,
    /// Those that failed.
    pub(crate) failed: u64,
}

// === impl JobsHere ===

impl JobsHere {
    /// One more; none of a name twice.
    pub(super) fn add(
        &self,
        name: &str,
        schedule: &Schedule,
        stop: &CancellationToken,
        tasks: &TaskTracker,
    ) -> Result<Arc<RunsHere>, JobError> {
        let mut all = self.0.lock();
        if all.get(name).is_some_and(|job| !job.stop.is_cancelled()) {
            return Err(JobError::Taken(name.to_owned()));
        }
        let job = Arc::new(RunsHere {
            schedule: schedule.clone(),
            stop: stop.clone(),
            tasks: tasks.clone(),
            done: AtomicU64::new(0),
            failed: AtomicU64::new(0),
        });
        all.insert(name.to_owned(), job.clone());
        Ok(job)
    }

    /// Runs here, by job.
    pub(crate) fn counts(&self) -> Vec<(String, RunCounts)> {
        let count = |(name, job): (&String, &Arc<RunsHere>)| {
            let of = |number: &AtomicU64| number.load(Ordering::Relaxed);
            (name.clone(), RunCounts { done: of(&job.done), failed: of(&job.failed) })
        };
        self.0.lock().iter().map(count).collect()
    }

    /// Ends all of them; returns when no run is under way any more.
    pub(crate) async fn stop(&self) {
        let all: Vec<Arc<RunsHere>> = self.0.lock().values().cloned().collect();
        for job in &all {
            job.stop.cancel();
        }
        for job in all {
            job.tasks.close();
            job.tasks.wait().await;
        }
    }

    fn next(&self, name: &str, ledger: &Ledger) -> Option<i64> {
        let job = self.0.lock().get(name).filter(|job| !job.stop.is_cancelled()).cloned()?;
        let next = job.schedule.after(ledger.through)?;
        Some(job.schedule.due_at(next))
    }
}

// === impl RunsHere ===

impl RunsHere {
    pub(super) fn count(&self, is_done: bool) {
        let number = if is_done { &self.done } else { &self.failed };
        number.fetch_add(1, Ordering::Relaxed);
    }
}

// === impl Cluster ===

impl Cluster {
    /// The jobs of the cluster, with what became of their firings: of all members, and also of jobs
    /// that no member has at the moment.
    ///
    /// # Errors
    /// See [`JobError`].
    pub async fn jobs(&self) -> Result<JobsReport, JobError> {
        let all = Book::of(&**self.engine())?.all().await?;
        let jobs = all.into_iter().map(|(name, ledger)| self.report(name, ledger)).collect();
        Ok(JobsReport { jobs })
    }

    /// One of them.
    ///
    /// # Errors
    /// See [`JobError`].
    pub async fn job_report(&self, name: &str) -> Result<JobReport, JobError> {
        let found = Book::of(&**self.engine())?.read(name, Read::Confirmed).await?;
        let ledger = found.ok_or_else(|| JobError::Unknown(name.to_owned()))?;
        Ok(self.report(name.to_owned(), ledger))
    }

    /// Runs it once more now, on one of the members that have it, paused or not.
    ///
    /// # Errors
    /// See [`JobError`].
    pub async fn run_job(&self, name: &str) -> Result<(), JobError> {
        let now = now_ms();
        let change = |ledger: &mut Ledger| Some(ledger.wish(now).is_some());
        match self.change_job(name, change).await? {
            true => Ok(()),
            false => Err(JobError::Full(name.to_owned())),
        }
    }

    /// No firing counts until it is resumed; what is under way goes on.
    ///
    /// # Errors
    /// See [`JobError`].
    pub async fn pause_job(&self, name: &str) -> Result<(), JobError> {
        self.change_job(name, |ledger| {
            ledger.pause();
            Some(())
        })
        .await?;
        self.events().tell(EventKind::Job, format!("{name} is paused"));
        Ok(())
    }

    /// Firings count again, from now on.
    ///
    /// # Errors
    /// See [`JobError`].
    pub async fn resume_job(&self, name: &str) -> Result<(), JobError> {
        self.change_job(name, |ledger| {
            ledger.resume(now_ms());
            Some(())
        })
        .await?;
        self.events().tell(EventKind::Job, format!("{name} goes on"));
        Ok(())
    }

    async fn change_job<T>(
        &self,
        name: &str,
        change: impl FnMut(&mut Ledger) -> Option<T>,
    ) -> Result<T, JobError> {
        let changed = Book::of(&**self.engine())?.change(name, || None, change).await?;
        changed.ok_or_else(|| JobError::Unknown(name.to_owned()))
    }

    fn report(&self, name: String, ledger: Ledger) -> JobReport {
        let next_ms = self.jobs_here().next(&name, &ledger).filter(|_| !ledger.is_paused);
        let members = self.services().providers(&service(&name));
        let counts = ledger.counts;
        JobReport {
            next_ms,
            members: members.iter().map(|member| member.name.to_string()).collect(),
            name,
            schedule: ledger.schedule,
            is_paused: ledger.is_paused,
            through_ms: ledger.through,
            open: ledger.open.iter().map(open).collect(),
            done: counts.done,
            failed: counts.failed,
            missed: counts.missed,
            skipped: counts.skipped,
            failures: counts.failures,
            lost: counts.lost,
            history: ledger.settled.into(),
        }
    }
}

fn open(firing: &Firing) -> OpenFiring {
    let run = firing.run.as_ref();
    OpenFiring {
        at_ms: firing.at,
        is_wished: firing.is_wished,
        tries: firing.tries,
        member: run.map(|run| run.member.clone()),
        token: run.map(|run| said(run.token)),
        error: firing.error.clone(),
    }
}
