//! What has happened in a cluster, as its members tell it: `GET /v1/cluster/events` answers an
//! [`EventsReport`]; with `?after=MS` of what happened later than that, by the clocks of those who told
//! it.

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
    /// Only what happened later than this was asked for, in milliseconds since 1970; none where all
    /// is told, as by members of an earlier release.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after_ms: Option<u64>,
}

/// Something that has happened.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct ClusterEvent {
    /// When, in milliseconds since 1970, by the clock of the member that told it first.
    pub at_ms: u64,
    /// What it is about.
    pub kind: EventKind,
    /// How grave it is; none where members of an earlier release tell it.
    #[serde(default)]
    pub gravity: Option<Gravity>,
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

/// How grave an event is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub enum Gravity {
    /// To know.
    Info,
    /// Somebody should look: it went on by another way, or it may come again.
    Warning,
    /// Something is lost, or is not done any more. So is whatever a later release says.
    #[serde(other)]
    Trouble,
}

/// A word that is no gravity.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("gravity has the bad value {0:?}: info, warning and trouble are possible")]
pub struct BadGravity(String);

// === impl ClusterEvent ===

impl ClusterEvent {
    /// How grave it is; where nobody says it, as grave as its kind is at least.
    #[must_use]
    pub fn gravity(&self) -> Gravity {
        self.gravity.unwrap_or(match self.kind {
            EventKind::Lost => Gravity::Trouble,
            EventKind::Quorum | EventKind::Merge => Gravity::Warning,
            EventKind::View
            | EventKind::Singleton
            | EventKind::Job
            | EventKind::Queue
            | EventKind::Settings
            | EventKind::Other => Gravity::Info,
        })
    }
}

// === impl Gravity ===

impl Gravity {
    /// All, the least first.
    pub const ALL: [Gravity; 3] = [Gravity::Info, Gravity::Warning, Gravity::Trouble];

    /// In a word.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Gravity::Info => "info",
            Gravity::Warning => "warning",
            Gravity::Trouble => "trouble",
        }
    }
}

impl std::str::FromStr for Gravity {
    type Err = BadGravity;

    fn from_str(word: &str) -> Result<Self, BadGravity> {
        let found = Gravity::ALL.into_iter().find(|gravity| gravity.word() == word);
        found.ok_or_else(|| BadGravity(word.to_owned()))
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    fn told(json: &str) -> ClusterEvent {
        serde_json::from_str(json).unwrap()
    }

    #[test]
    fn an_event_of_an_earlier_release_is_as_grave_as_its_kind_and_a_later_word_is_trouble() {
        let event = |more: &str| {
            let text = r#""text":"a went","members":["one"]"#;
            told(&format!(r#"{{"at_ms":1,{text}{more}}}"#)).gravity()
        };
        assert_eq!(event(r#","kind":"lost""#), Gravity::Trouble);
        assert_eq!(event(r#","kind":"quorum""#), Gravity::Warning);
        assert_eq!(event(r#","kind":"job""#), Gravity::Info);
        assert_eq!(event(r#","kind":"job","gravity":"warning""#), Gravity::Warning);
        assert_eq!(event(r#","kind":"job","gravity":"doom""#), Gravity::Trouble);
        let report: EventsReport = serde_json::from_str(r#"{"events":[],"silent":[]}"#).unwrap();
        assert_eq!(report.after_ms, None);
    }

    #[test]
    fn a_gravity_is_read_by_its_word() {
        for gravity in Gravity::ALL {
            assert_eq!(gravity.word().parse(), Ok(gravity));
        }
        let error = "doom".parse::<Gravity>().unwrap_err().to_string();
        assert_eq!(
            error,
            "gravity has the bad value \"doom\": info, warning and trouble are possible"
        );
    }
}
