//! What an application may choose for a job.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt as _;
use tokio_util::task::TaskTracker;

use super::book::Book;
use super::driver::{Body, Driver};
use super::policy::{Missed, Overlap, Policy};
use super::schedule::Schedule;
use super::{BadJob, Job, JobError, Run};
use crate::cluster::Cluster;

/// Settings of a job. A bad value is no error until [`start`](JobBuilder::start).
#[derive(Debug, Clone)]
#[must_use]
pub struct JobBuilder {
    cluster: Cluster,
    name: String,
    when: Option<When>,
    jitter: Duration,
    is_everywhere: bool,
    policy: Policy,
}

#[derive(Debug, Clone)]
enum When {
    Cron(String, String),
    Every(Duration),
}

impl Cluster {
    /// A job by its name, 1 to 64 letters, digits, `-`, `_` and `.`: what members call by one name
    /// is one job, and each member that has it can do it.
    pub fn job(&self, name: &str) -> JobBuilder {
        JobBuilder {
            cluster: self.clone(),
            name: name.to_owned(),
            when: None,
            jitter: Duration::ZERO,
            is_everywhere: false,
            policy: Policy::default(),
        }
    }
}

// === impl JobBuilder ===

impl JobBuilder {
    /// At the times of a cron pattern (`0 3 * * *`; with six fields the first is seconds) in a time
    /// zone by its name (`UTC`, `Europe/Berlin`). A time that the clock leaves out in spring is made
    /// up for at once; one that comes twice in autumn counts once.
    pub fn cron(mut self, pattern: &str, zone: &str) -> Self {
        self.when = Some(When::Cron(pattern.to_owned(), zone.to_owned()));
        self
    }

    /// Every so often, 100 ms to 366 days, at whole multiples of it since 1970: when the members
    /// started does not matter.
    pub fn every(mut self, interval: Duration) -> Self {
        self.when = Some(When::Every(interval));
        self
    }

    /// Each firing is late by a time of its own, at most this: jobs of many then do not fire
    /// together. All members come to the same time. Default: none.
    pub fn jitter(mut self, jitter: Duration) -> Self {
        self.jitter = jitter;
        self
    }

    /// Every member does it for itself, in place of one for all.
    pub fn on_every_node(mut self) -> Self {
        self.is_everywhere = true;
        self
    }

    /// Firings that no member could do at their time. Default: the latest is made up for.
    pub fn missed(mut self, policy: Missed) -> Self {
        self.policy.missed = policy;
        self
    }

    /// After how long a firing counts as missed, 100 ms to 31 days. Default: 1 min.
    pub fn grace(mut self, grace: Duration) -> Self {
        self.policy.grace = grace;
        self
    }

    /// Firings whose time comes while an earlier one is under way. Default: they are skipped.
    pub fn overlap(mut self, policy: Overlap) -> Self {
        self.policy.overlap = policy;
        self
    }

    /// How often one firing is tried at most, on all members together, 1 to 1000; and how long to
    /// wait when all have tried, 10 ms to a day. Default: 10 times, 1 s.
    pub fn tries(mut self, tries: u32, pause: Duration) -> Self {
        (self.policy.tries, self.policy.pause) = (tries, pause);
        self
    }

    /// How long one run may take, 10 ms to 31 days: one that takes longer is dropped and has failed.
    /// Default: 1 h.
    pub fn limit(mut self, limit: Duration) -> Self {
        self.policy.limit = limit;
        self
    }

    /// Starts it on this member: `body` is called for each run. An error of it, or a panic, is a run
    /// that has failed here and is tried on the next member. It must be called within a tokio
    /// runtime.
    ///
    /// # Errors
    /// See [`JobError`]: nothing is started then.
    pub fn start<F, E>(
        self,
        body: impl Fn(Run) -> F + Send + Sync + 'static,
    ) -> Result<Job, JobError>
    where
        F: Future<Output = Result<(), E>> + Send + 'static,
        E: fmt::Display,
    {
        let run = move |run| body(run).map(|done| done.map_err(|error| error.to_string())).boxed();
        self.start_boxed(Arc::new(run))
    }

    fn start_boxed(self, body: Body) -> Result<Job, JobError> {
        let schedule = self.schedule()?;
        let (cluster, name) = (&self.cluster, self.full_name());
        let book = Book::of(&**cluster.engine())?;
        let (stop, tasks) = (cluster.closing().child_token(), TaskTracker::new());
        let here = cluster.jobs_here().add(&name, &schedule, &stop, &tasks)?;
        let service = service(&name);
        let offered = cluster.services().offer(&service);
        let offer = offered.map_err(|error| self.bad("the name", &name, error.to_string()))?;
        let driver = Driver {
            name: name.as_str().into(),
            me: cluster.me().name.to_string(),
            group: cluster.group_of(&service),
            leases: cluster.engine().leases(),
            book,
            schedule: Arc::new(schedule),
            policy: Arc::new(self.policy.clone()),
            body,
            events: cluster.events().clone(),
            here,
            stop: stop.clone(),
        };
        for place in 0..self.policy.places() {
            tasks.spawn(driver.clone().run(place));
        }
        Ok(Job { name, stop, tasks, _offer: offer })
    }

    fn schedule(&self) -> Result<Schedule, BadJob> {
        let name = &self.name;
        let is_shown = |char: char| char.is_ascii_alphanumeric() || "-_.".contains(char);
        if !(1..=64).contains(&name.len()) || !name.chars().all(is_shown) {
            let why = "1 to 64 letters, digits, -, _ and . are possible".to_owned();
            return Err(self.bad("the name", name, why));
        }
        if let Some((field, value, why)) = self.policy.fault() {
            return Err(self.bad(field, &value, why.to_owned()));
        }
        if self.jitter > Duration::from_secs(24 * 3600) {
            let why = "at most a day is possible".to_owned();
            return Err(self.bad("the jitter", &format!("{:?}", self.jitter), why));
        }
        let schedule = match &self.when {
            Some(When::Cron(pattern, zone)) => Schedule::cron(name, pattern, zone)?,
            Some(When::Every(interval)) => Schedule::every(name, *interval)?,
            None => return Err(self.bad("the schedule", "", "it has none".to_owned())),
        };
        Ok(schedule.with_jitter(self.jitter))
    }

    fn full_name(&self) -> String {
        match self.is_everywhere {
            true => format!("{}@{}", self.name, self.cluster.me().name),
            false => self.name.clone(),
        }
    }

    fn bad(&self, field: &'static str, value: &str, why: String) -> BadJob {
        BadJob { job: self.name.clone(), field, value: value.to_owned(), why }
    }
}

/// By which members know who has a job.
pub(super) fn service(job: &str) -> String {
    format!("job:{job}")
}
