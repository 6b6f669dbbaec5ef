//! Jobs of a cluster: when they fire, and what became of their firings.

use serde::Serialize;

/// What one member of a cluster does at certain times.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Job {
    /// Its name.
    pub name: String,
    /// When it fires, in words.
    pub schedule: String,
    /// Whether an operator has paused it.
    pub is_paused: bool,
    /// Who has it, oldest first.
    pub members: Vec<String>,
    /// When it fires next, as RFC 3339 has it; `None` where it does not, or nobody knows.
    pub next: Option<String>,
    /// The same in seconds from now.
    pub seconds_to_next: Option<u64>,
    /// Firings that are not settled.
    pub open: Vec<OpenFiring>,
    /// Firings that were done.
    pub done: u64,
    /// Firings that failed for good.
    pub failed: u64,
    /// Firings for which nobody was there.
    pub missed: u64,
    /// Firings that were left out.
    pub skipped: u64,
    /// Runs that failed, and were tried again or not.
    pub failures: u64,
    /// Runs whose member was lost in the middle.
    pub lost: u64,
    /// The last firings that are settled, the latest first.
    pub history: Vec<Firing>,
}

/// A firing that is under way, or waits for a member.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct OpenFiring {
    /// For when it was scheduled, as RFC 3339 has it.
    pub at: String,
    /// Whether an operator wanted it.
    pub is_wished: bool,
    /// Runs that were begun.
    pub tries: u32,
    /// Who runs it.
    pub member: Option<String>,
    /// With which token.
    pub token: Option<String>,
    /// What the last run said that failed.
    pub error: Option<String>,
}

/// A firing that is settled.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Firing {
    /// For when it was scheduled, as RFC 3339 has it.
    pub at: String,
    /// Seconds since it was settled.
    pub seconds_ago: u64,
    /// What became of it, in a word: `done`, `failed`, `missed` or `skipped`.
    pub outcome: String,
    /// Runs that were begun.
    pub tries: u32,
    /// Of those, runs whose member was lost.
    pub lost: u32,
    /// Who ran it last.
    pub member: Option<String>,
    /// With which token.
    pub token: Option<String>,
    /// How long that took, in milliseconds.
    pub took_ms: Option<u64>,
    /// Why it was not done.
    pub error: Option<String>,
}

// === impl Job ===

impl Job {
    /// The latest firing that is settled.
    pub(crate) fn last(&self) -> Option<&Firing> {
        self.history.first()
    }

    /// Who runs it now.
    pub(crate) fn running(&self) -> Vec<&str> {
        self.open.iter().filter_map(|firing| firing.member.as_deref()).collect()
    }
}

// === impl Firing ===

impl Firing {
    /// The word of a level that looks like its outcome.
    pub(crate) fn tone(&self) -> &'static str {
        match self.outcome.as_str() {
            "done" => "up",
            "failed" => "down",
            _ => "warning",
        }
    }

    /// How long it took, in seconds.
    pub(crate) fn took_seconds(&self) -> Option<f64> {
        self.took_ms.map(|ms| ms as f64 / 1000.0)
    }
}
