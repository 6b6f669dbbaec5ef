//! What the management of a member answers on jobs, and what it can be asked for. Any member answers
//! for all: what jobs have done is kept by the cluster itself.
//!
//! | request | answer |
//! |---|---|
//! | `GET /v1/cluster/jobs` | [`JobsReport`] |
//! | `GET /v1/cluster/jobs/{name}` | [`JobReport`] |
//! | `POST /v1/cluster/jobs/{name}/run`, `/pause`, `/resume` | [`Done`](super::report::Done) |

use serde::{Deserialize, Serialize};

/// The jobs of a cluster.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct JobsReport {
    /// By name.
    pub jobs: Vec<JobReport>,
}

/// A job; one that runs on every node is a job of each: `NAME@NODE`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct JobReport {
    /// Its name.
    pub name: String,
    /// When it fires, in words.
    pub schedule: String,
    /// Whether an operator has paused it.
    pub is_paused: bool,
    /// The members that have it, oldest first.
    pub members: Vec<String>,
    /// The instant up to which all firings are settled or open, in milliseconds since 1970.
    pub through_ms: i64,
    /// When it fires next, as the member that answers knows it; none where it has no such job.
    pub next_ms: Option<i64>,
    /// Firings that are not settled.
    pub open: Vec<OpenFiring>,
    /// Firings that were done.
    pub done: u64,
    /// Firings that failed as often as they may be tried.
    pub failed: u64,
    /// Firings for which no member was there, and which were not made up for.
    pub missed: u64,
    /// Firings that were left out, since an earlier one was under way or the job was paused.
    pub skipped: u64,
    /// Runs that failed.
    pub failures: u64,
    /// Runs whose member was lost in the middle; they were tried again.
    pub lost: u64,
    /// The last firings that were settled, the latest first; a bounded number.
    pub history: Vec<Settled>,
}

/// A firing that is not settled.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct OpenFiring {
    /// The instant for which it was scheduled, in milliseconds since 1970.
    pub at_ms: i64,
    /// Whether an operator wanted it.
    pub is_wished: bool,
    /// Runs that were begun.
    pub tries: u32,
    /// The member that runs it.
    pub member: Option<String>,
    /// The token of that run.
    pub token: Option<String>,
    /// What the last run said that failed.
    pub error: Option<String>,
}

/// A firing that is settled.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct Settled {
    /// The instant for which it was scheduled, in milliseconds since 1970.
    pub at_ms: i64,
    /// When it was settled.
    pub ended_ms: i64,
    /// What became of it.
    pub outcome: JobOutcome,
    /// Runs that were begun.
    pub tries: u32,
    /// Of those, runs whose member was lost in the middle.
    pub lost: u32,
    /// Who did it.
    pub member: Option<String>,
    /// The token of the run that did it.
    pub token: Option<String>,
    /// How long that run took.
    pub took_ms: Option<u64>,
    /// Why it was not done.
    pub error: Option<String>,
}

/// What became of a firing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub enum JobOutcome {
    /// It was done, once.
    Done,
    /// It failed as often as it may be tried.
    Failed,
    /// No member was there for it.
    Missed,
    /// An earlier one was under way.
    Skipped,
}

// === impl JobOutcome ===

impl JobOutcome {
    /// In a word.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            JobOutcome::Done => "done",
            JobOutcome::Failed => "failed",
            JobOutcome::Missed => "missed",
            JobOutcome::Skipped => "skipped",
        }
    }
}

// === impl Settled ===

impl Settled {
    /// A firing that nobody ran.
    #[must_use]
    pub fn new(at_ms: i64, ended_ms: i64, outcome: JobOutcome, error: Option<String>) -> Settled {
        Settled {
            at_ms,
            ended_ms,
            outcome,
            tries: 0,
            lost: 0,
            member: None,
            token: None,
            took_ms: None,
            error,
        }
    }
}
