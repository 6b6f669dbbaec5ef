//! What the management of a member answers about queues, and what it can be asked for. Any member
//! answers for all: the member that keeps a queue's order, its *home*, tells its numbers.
//!
//! | request | answer |
//! |---|---|
//! | `GET /v1/cluster/queues` | [`QueuesReport`] |
//! | `GET /v1/cluster/queues/{name}` | [`QueueReport`] |
//! | `GET /v1/cluster/queues/{name}/dead` | [`DeadReport`] |
//! | `POST /v1/cluster/queues/{name}/dead/requeue`, `/drop` with [`DeadWish`] | [`Done`](super::report::Done) |

use serde::{Deserialize, Serialize};

/// Dead letters that are shown at once, at most.
pub const MOST_SHOWN: usize = 1000;

/// The queues of a cluster.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct QueuesReport {
    /// By name.
    pub queues: Vec<QueueReport>,
    /// Members that did not answer.
    pub silent: Vec<String>,
}

/// A queue.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct QueueReport {
    /// Its name.
    pub name: String,
    /// The member that keeps its order and tells its numbers; none while nobody is known to.
    pub home: Option<String>,
    /// Members that use it or keep it for others, oldest first.
    pub members: Vec<String>,
    /// What it is.
    pub settings: QueueSettings,
    /// What it has and has done; nothing without a home.
    pub numbers: QueueNumbers,
    /// Members with consumers.
    pub consumers: Vec<QueueConsumers>,
}

/// What a queue is.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct QueueSettings {
    /// Messages that it holds at most.
    pub most: u64,
    /// How long a consumer may take, in milliseconds.
    pub visibility_ms: u64,
    /// Deliveries before a message is a dead letter.
    pub most_tries: u32,
    /// How long a de-duplication id is remembered, in milliseconds.
    pub dedup_window_ms: u64,
}

/// A queue in numbers. What only rises counts from when its home became that.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct QueueNumbers {
    /// Messages that wait to be delivered, delayed ones too.
    pub ready: u64,
    /// Messages that are delivered and not done.
    pub in_flight: u64,
    /// Dead letters.
    pub dead: u64,
    /// Published.
    pub published: u64,
    /// Not published, for their de-duplication id.
    pub duplicates: u64,
    /// Delivered.
    pub delivered: u64,
    /// Of those, with a mark: they may have been delivered before.
    pub redelivered: u64,
    /// Done.
    pub done: u64,
    /// Gone because their time was over.
    pub expired: u64,
    /// Become dead letters.
    pub buried: u64,
}

/// The consumers of a queue on one member.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct QueueConsumers {
    /// The member.
    pub member: String,
    /// How many it has.
    pub consumers: u32,
    /// Messages that they have.
    pub in_flight: u64,
}

/// The dead letters of a queue.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct DeadReport {
    /// The oldest first, [`MOST_SHOWN`] and about 1 MiB of messages at most.
    pub letters: Vec<DeadLetter>,
}

/// A message that was delivered too often.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct DeadLetter {
    /// Names it in its queue.
    pub id: String,
    /// How often it was delivered.
    pub tries: u32,
    /// Its group.
    pub group: Option<String>,
    /// Bytes of its content, which is nobody's to read here.
    pub bytes: u64,
}

/// Which dead letters an operator means.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct DeadWish {
    /// Their ids; none: the oldest, [`MOST_SHOWN`] at most.
    #[serde(default)]
    pub ids: Option<Vec<String>>,
}
