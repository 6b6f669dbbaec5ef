//! What happened: state changes of nodes, what operators did, and what clusters tell.

use serde::Serialize;

/// One thing that happened.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Event {
    /// When, as RFC 3339 in UTC.
    pub at: String,
    /// The same in milliseconds since 1970.
    pub at_ms: u64,
    /// Seconds ago.
    pub seconds_ago: u64,
    /// What kind of thing, in a word: who did it, or what of a cluster it is about.
    pub kind: String,
    /// How grave it is.
    pub level: Level,
    /// Who did it; `None` where nobody did.
    pub who: Option<String>,
    /// What it is about: a node, a group or a cluster; may be empty.
    pub subject: String,
    /// What happened, in words.
    pub what: String,
}

/// How grave something is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// Clients get errors, or will.
    Bad,
    /// Somebody should look.
    Warn,
    /// To know.
    Info,
}

impl Level {
    /// The word of the page; also the name of its style.
    pub fn word(self) -> &'static str {
        match self {
            Level::Bad => "problem",
            Level::Warn => "warning",
            Level::Info => "note",
        }
    }
}
