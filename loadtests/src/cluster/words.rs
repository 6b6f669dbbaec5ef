//! What a test asks a member, and the answers: one line of JSON each, over a Unix socket, which no
//! cut between members can reach.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::history::Outcome;

/// Something to be done. A key is a group of its own with one entry.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "do", rename_all = "snake_case")]
pub enum Ask {
    /// The value, as fresh as can be; null where there is none.
    Get {
        /// Of which key.
        key: String,
    },
    /// Writes a value.
    Put {
        /// To which key.
        key: String,
        /// What.
        value: Value,
    },
    /// Writes a value where another is; `fail` when it is not.
    Cas {
        /// Of which key.
        key: String,
        /// What must be there.
        old: Value,
        /// What shall be there.
        new: Value,
    },
    /// Adds one; the answer is the new number.
    Incr {
        /// Of which key.
        key: String,
    },
    /// Removes a value.
    Remove {
        /// Of which key.
        key: String,
    },
    /// Checks a key out, for this connection; the answer is the fence, and what is there. `fail` when
    /// it is another's.
    Lock {
        /// Which key.
        key: String,
        /// How long to wait.
        wait_ms: u64,
        /// After how long it ends by itself.
        hold_ms: u64,
    },
    /// Writes under the checkout that this connection has of a key, and ends it: what proves that it
    /// was this connection's all the while.
    Commit {
        /// Which key.
        key: String,
        /// What.
        value: Value,
    },
    /// The names of those who keep a key, the primary first.
    Owners {
        /// Which key.
        key: String,
    },
    /// The name of the member that runs a singleton; null where nobody does.
    Provider {
        /// Which singleton.
        name: String,
    },
    /// What the cluster knows of a job.
    Job {
        /// Which.
        name: String,
    },
    /// What firings of the job have written: instants, each with the number of its token.
    Firings,
    /// The view, see [`ViewTold`].
    View,
    /// What the map has done here.
    Stats,
    /// Writes many entries, some at a time; the answer is how many.
    Fill {
        /// Their keys begin so, and end with their number.
        prefix: String,
        /// How many.
        count: u32,
        /// The size of each value.
        bytes: usize,
    },
    /// Reads what [`Ask::Fill`] has written; the answer is how many are there and whole.
    Count {
        /// As filled.
        prefix: String,
        /// As filled.
        count: u32,
        /// As filled.
        bytes: usize,
    },
    /// Does the same over and over for a while, see [`Work`]; the answer is a figure without
    /// processor time.
    Bench {
        /// What.
        work: Work,
        /// How many at a time.
        callers: usize,
        /// How long.
        millis: u64,
    },
    /// Publishes so many messages as fast as it goes; the answer is a figure without processor time.
    Publish {
        /// To which queue.
        queue: String,
        /// How many.
        count: u64,
        /// How many at a time.
        callers: usize,
        /// The bytes of a message.
        bytes: usize,
    },
    /// How many messages of its queue this member has handled in this life.
    Handled,
    /// Leaves in order and ends.
    Leave,
}

/// Something to be measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Work {
    /// Writes to groups whose primary is this member.
    PutHere,
    /// Writes to groups of all primaries.
    PutAnywhere,
    /// Reads of this member's own copies.
    GetNear,
    /// Reads that see all that was acknowledged, of groups of all primaries.
    GetConfirmed,
    /// Checkout, then commit of two entries with the release, of groups whose primary is this member.
    CommitHere,
    /// The same of groups of all primaries.
    CommitAnywhere,
}

/// What came of it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Answer {
    /// Whether it happened.
    pub ok: Outcome,
    /// The result.
    #[serde(default)]
    pub value: Value,
    /// Why it did not happen, or may not have.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub why: String,
}

/// A view as a member tells it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ViewTold {
    /// When the member had it, on the machine's clock.
    pub at: u64,
    /// Its epoch.
    pub epoch: u64,
    /// The names, oldest first.
    pub members: Vec<String>,
    /// Whether enough voters are in sight.
    pub is_quorate: bool,
    /// How many merges this member has seen.
    pub merges: u64,
}

// === impl Answer ===

impl Answer {
    /// It happened.
    pub fn ok(value: impl Into<Value>) -> Answer {
        Answer { ok: Outcome::Ok, value: value.into(), why: String::new() }
    }

    /// It did not.
    pub fn fail(why: impl ToString) -> Answer {
        Answer { ok: Outcome::Fail, value: Value::Null, why: why.to_string() }
    }

    /// Who knows.
    pub fn unknown(why: impl ToString) -> Answer {
        Answer { ok: Outcome::Unknown, value: Value::Null, why: why.to_string() }
    }
}

impl ViewTold {
    /// Whether exactly these are there, in whatever order.
    pub fn is_of(&self, names: &[&str]) -> bool {
        self.members.len() == names.len()
            && names.iter().all(|name| self.members.iter().any(|member| member == name))
    }
}
