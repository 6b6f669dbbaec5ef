//! What has happened in a cluster, as its members tell it: `GET /v1/cluster/events` answers an
//! [`EventsReport`].

use serde::{Deserialize, Serialize};

/// Most events that a member remembers.
pub const MOST_EVENTS: usize = 200;

/// What has happened, of all members together.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct EventsReport {
    /// The latest first, [`MOST_EVENTS`] of each member at most.
    pub events: Vec<ClusterEvent>,
    /// Members that did not answer.
    pub silent: Vec<String>,
}

/// Something that has happened.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct ClusterEvent {
    /// When, in milliseconds since 1970, by the clock of the member that told it first.
    pub at_ms: u64,
    /// What it is about.
    pub kind: EventKind,
    /// What has happened, in words.
    pub text: String,
    /// The members that tell it, in the order in which they did.
    pub members: Vec<String>,
}

/// What an event is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub enum EventKind {
    /// Members came or went.
    View,
    /// Enough members are in sight, or too few.
    Quorum,
    /// Two sides of a split met.
    Merge,
    /// Entries were lost.
    Lost,
    /// A singleton, a daemon or a singleton deployment started, stopped or moved.
    Singleton,
    /// A job failed, was missed, or was paused.
    Job,
    /// A queue.
    Queue,
    /// A setting was changed.
    Settings,
    /// Something that a later release tells of.
    #[serde(other)]
    Other,
}

// === impl EventKind ===

impl EventKind {
    /// In a word.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            EventKind::View => "view",
            EventKind::Quorum => "quorum",
            EventKind::Merge => "merge",
            EventKind::Lost => "lost",
            EventKind::Singleton => "singleton",
            EventKind::Job => "job",
            EventKind::Queue => "queue",
            EventKind::Settings => "settings",
            EventKind::Other => "other",
        }
    }
}
