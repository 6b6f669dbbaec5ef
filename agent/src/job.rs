//! Jobs: work that is done at certain times, by one member of the cluster. A firing that fails on a
//! member, or that its member does not survive, moves to the next one until it is done; what has
//! become of each firing is kept in the cluster, so that a failover neither does one twice nor
//! leaves one out. The guide is docs/jobs.md.
//!
//! ```no_run
//! # async fn run() -> Result<(), Box<dyn std::error::Error>> {
//! use muster_agent::Cluster;
//! let cluster = Cluster::builder("node1").join().await?;
//! let report = cluster.job("report").cron("0 3 * * *", "Europe/Berlin");
//! let report = report.start(|run| async move {
//!     println!("the report of {}, under token {}", run.scheduled(), run.token());
//!     Ok::<(), std::io::Error>(())
//! })?;
//! // ... until the application ends:
//! report.stop().await;
//! # Ok(()) }
//! ```
//!
//! | file | idea |
//! |---|---|
//! | `builder` | what an application may choose |
//! | `schedule` | when it fires |
//! | `policy` | firings that were missed, that overlap, that fail |
//! | `ledger` | what became of each firing: a state machine |
//! | `wake` | when a member has to look after it |
//! | `book` | ledgers in the cluster's map |
//! | `driver` | the task of a job on a member, and its runs |
//! | `report` | what the management answers |

mod book;
mod builder;
mod driver;
mod ledger;
#[cfg(test)]
mod model;
mod policy;
mod report;
mod schedule;
mod wake;

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use thiserror::Error;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::cluster::Offer;
use crate::engine::map::MapError;
use crate::engine::{EngineError, Token};
pub use builder::JobBuilder;
pub use policy::{MOST_OPEN, Missed, Overlap};
pub(crate) use report::{JobsHere, RunCounts};

/// How long the end of a job waits for a run that is under way.
const ENDING: Duration = Duration::from_secs(10);

/// A job that this member does, until it is stopped or this is dropped.
#[derive(Debug)]
#[must_use = "dropping it stops the job on this member"]
pub struct Job {
    name: String,
    stop: CancellationToken,
    tasks: TaskTracker,
    _offer: Offer,
}

/// A run of a job: what its firing and its token are.
#[derive(Debug, Clone)]
pub struct Run {
    job: Arc<str>,
    at: i64,
    attempt: u32,
    token: Token,
    stop: CancellationToken,
}

/// A job that cannot be: a setting of it is out of its bounds.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("job {job:?}: {field} has the bad value {value:?}: {why}")]
pub struct BadJob {
    job: String,
    field: &'static str,
    value: String,
    why: String,
}

/// Why a job is not started, or not changed.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum JobError {
    /// A setting is out of its bounds.
    #[error(transparent)]
    Bad(#[from] BadJob),
    /// This process does one of this name already.
    #[error("job {0:?} is there already")]
    Taken(String),
    /// No member has ever done one of this name.
    #[error("there is no job {0:?}")]
    Unknown(String),
    /// As many firings wait as may.
    #[error("job {0:?} has {MOST_OPEN} firings that wait: no more are possible")]
    Full(String),
    /// Its ledger cannot be reached.
    #[error("the ledger of jobs cannot be reached: {0}")]
    Map(#[from] MapError),
    /// Its ledger is a later release's.
    #[error("the ledger of a job cannot be read: {0}")]
    Unreadable(String),
    /// The engine has no map for it, or the name is none.
    #[error(transparent)]
    Engine(#[from] EngineError),
}

// === impl Job ===

impl Job {
    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Ends it on this member; other members that have it go on. A run that is under way is told
    /// ([`Run::stopped`]) and has 10 s; one that does not end by then is dropped, and moves to the
    /// next member.
    pub async fn stop(self) {
        self.stop.cancel();
        self.tasks.close();
        self.tasks.wait().await;
    }
}

impl Drop for Job {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

// === impl Run ===

impl Run {
    /// The job's name.
    #[must_use]
    pub fn job(&self) -> &str {
        &self.job
    }

    /// For when it was scheduled: of one firing all runs say the same, and no other firing does.
    #[must_use]
    pub fn scheduled(&self) -> Timestamp {
        Timestamp::from_millisecond(self.at).unwrap_or(Timestamp::MAX)
    }

    /// Which run of this firing it is, from 1 on. From 2 on an earlier one failed, or its member was
    /// lost in the middle of it: it may have done a part of the work.
    #[must_use]
    pub fn attempt(&self) -> u32 {
        self.attempt
    }

    /// It rises with every run of the job: what checks it refuses what a frozen member would still
    /// do, such as writes of caches ([`crate::Cache::fenced_by`]).
    #[must_use]
    pub fn token(&self) -> Token {
        self.token
    }

    /// Returns when the run should end: the job is stopped here.
    pub async fn stopped(&self) {
        self.stop.cancelled().await;
    }
}
