//! Queues of a cluster: what waits, who consumes, and what nobody could handle.

use serde::Serialize;

/// Messages that are delivered to whoever consumes them.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Queue {
    /// Its name.
    pub name: String,
    /// The member that keeps its order and counts; `None` where nobody says so.
    pub home: Option<String>,
    /// Who uses it or keeps it for others, oldest first.
    pub members: Vec<String>,
    /// Messages that wait to be delivered.
    pub ready: u64,
    /// Messages that are delivered and not done.
    pub in_flight: u64,
    /// Messages that were delivered too often.
    pub dead: u64,
    /// Published since its home became that, as all that follows.
    pub published: u64,
    /// Not published, for their de-duplication id.
    pub duplicates: u64,
    /// Delivered.
    pub delivered: u64,
    /// Of those, which may have been delivered before.
    pub redelivered: u64,
    /// Done.
    pub done: u64,
    /// Gone because their time was over.
    pub expired: u64,
    /// Become dead letters.
    pub buried: u64,
    /// Members with consumers.
    pub consumers: Vec<Consumers>,
    /// Messages that it holds at most.
    pub most: u64,
    /// How long a consumer may take, in milliseconds.
    pub visibility_ms: u64,
    /// Deliveries before a message is a dead letter.
    pub most_tries: u32,
}

/// The consumers of a queue on one member.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Consumers {
    /// The member.
    pub member: String,
    /// How many it has.
    pub consumers: u32,
    /// Messages that they have.
    pub in_flight: u64,
}

// === impl Queue ===

impl Queue {
    /// On all members.
    pub(crate) fn all_consumers(&self) -> u64 {
        self.consumers.iter().map(|of| u64::from(of.consumers)).sum()
    }

    /// How long a consumer may take, in seconds.
    pub(crate) fn visibility_seconds(&self) -> f64 {
        self.visibility_ms as f64 / 1000.0
    }
}
