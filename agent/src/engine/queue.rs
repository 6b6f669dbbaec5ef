//! Messages that are delivered at least once.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use thiserror::Error;

use super::EngineError;
use super::leases::Token;
use super::map::Shelf;

pub use muster_grid::queue::Stats as QueueStats;

/// What a queue is.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct QueueSpec {
    /// Its name, such as `/queue/msg`, 1..=128 bytes.
    pub name: String,
    /// Messages that wait at most; more are refused. Default: 1,000,000.
    pub most: usize,
    /// How long a consumer may take before a message is given to another. Default: 30 s.
    pub visibility: Duration,
    /// Deliveries before a message goes to the dead letters. Default: 10.
    pub most_tries: u32,
    /// How long a de-duplication id is remembered. Default: 2 minutes.
    pub dedup_window: Duration,
    /// Where this member writes down what it keeps of the queue, before that counts. Every member that
    /// may own it needs one of its own. Default: nowhere, and a restart of all members empties it.
    pub journal: Option<Journal>,
}

/// Where a member writes a queue down: a shelf that [keeps](Shelf::keeps) what is on it.
#[derive(Clone)]
pub struct Journal(pub Arc<dyn Shelf>);

impl PartialEq for Journal {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl Eq for Journal {}

impl fmt::Debug for Journal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Journal")
    }
}

/// What a member's journal of a queue has not done.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct JournalStats {
    /// What it did not take or remove, since the process began. Each was told or tried again.
    pub errors: u64,
    /// Groups of messages that it does not have as they are now.
    pub lacking: u64,
}

impl QueueSpec {
    /// A queue with the defaults.
    #[must_use]
    pub fn new(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            most: 1_000_000,
            visibility: Duration::from_secs(30),
            most_tries: 10,
            dedup_window: Duration::from_secs(120),
            journal: None,
        }
    }
}

impl QueueSpec {
    /// Whether it is what a present queue of its name is. A journal is not what it is, but where one
    /// member writes it down.
    ///
    /// # Errors
    /// Says what is there.
    pub(crate) fn same_as(&self, present: &Self) -> Result<(), EngineError> {
        let without = |spec: &Self| Self { journal: None, ..spec.clone() };
        if without(self) == without(present) {
            return Ok(());
        }
        let present = format!("{present:?}");
        Err(EngineError::Different { kind: "queue", name: self.name.clone(), present })
    }

    /// Whether every setting is in its bounds.
    ///
    /// # Errors
    /// Names the setting that is not.
    pub fn check(&self) -> Result<(), EngineError> {
        super::check_name("the queue's name", &self.name)?;
        let none = "it must be more than nothing";
        if self.most == 0 {
            return Err(EngineError::bad("most", "0", none));
        }
        if self.visibility.is_zero() {
            return Err(EngineError::bad("visibility", "0s", none));
        }
        if self.most_tries == 0 {
            return Err(EngineError::bad("most_tries", "0", none));
        }
        if self.journal.as_ref().is_some_and(|journal| !journal.0.keeps()) {
            let why = "it must keep what is on it, as FileShelf::keep does";
            return Err(EngineError::bad("journal", &self.name, why));
        }
        Ok(())
    }
}

/// A message to be published.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Msg {
    /// Its content.
    pub body: Bytes,
    /// Of two with one id within the window only the first counts.
    pub dedup: Option<String>,
    /// Delivered only after so long.
    pub delay: Option<Duration>,
    /// Not delivered after so long.
    pub ttl: Option<Duration>,
    /// Messages of one group are delivered in order, one at a time.
    pub group: Option<String>,
    /// Refused when the queue has seen a greater token of that lease, by its name.
    pub by: Option<(String, Token)>,
}

/// A message that was delivered: to be acknowledged, or it comes again.
#[async_trait]
pub trait Delivered: Send + Sync {
    /// Done: it never comes again.
    ///
    /// # Errors
    /// [`QueueError::Expired`] when it was given to another meanwhile.
    async fn ack(&mut self) -> Result<(), QueueError>;

    /// Not done: it comes again after so long.
    ///
    /// # Errors
    /// As for `ack`.
    async fn nack(&mut self, after: Duration) -> Result<(), QueueError>;

    /// Still at it: the time to acknowledge begins anew.
    ///
    /// # Errors
    /// As for `ack`.
    async fn extend(&mut self) -> Result<(), QueueError>;
}

/// A delivery. Dropping it unacknowledged gives the message back when its time is over.
pub struct Delivery {
    /// The content.
    pub body: Bytes,
    /// Which try this is; from 2 on it may have been done before.
    pub tries: u32,
    /// Its group.
    pub group: Option<String>,
    /// How it ends.
    pub ending: Box<dyn Delivered>,
}

impl std::fmt::Debug for Delivery {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Delivery")
            .field("bytes", &self.body.len())
            .field("tries", &self.tries)
            .finish()
    }
}

/// Why a message is not taken or not done.
#[derive(Clone, PartialEq, Eq, Debug, Error)]
pub enum QueueError {
    /// It holds as many messages as it may.
    #[error("the queue is full: it holds {0} messages")]
    Full(usize),
    /// The message is too large.
    #[error("the message has {0} bytes: at most {1} are possible")]
    TooLarge(usize, usize),
    /// Its group, its de-duplication id or its lease's name is too long.
    #[error("a group, de-duplication id or lease's name has {0} bytes: at most {1} are possible")]
    NameTooLong(usize, usize),
    /// The queue has seen a greater token of the lease under which it is published: nothing was changed.
    #[error("fenced off: a later holder has published")]
    Fenced,
    /// The delivery is another's by now.
    #[error("the message was given to another consumer")]
    Expired,
    /// Too few voters are in sight: nothing was changed.
    #[error("too few members are in sight")]
    NotQuorate,
    /// Nobody could take it in time: nothing was changed.
    #[error("nobody could take it in time")]
    Unavailable,
    /// It may have happened or not.
    #[error("it may have happened or not")]
    Unknown,
    /// The journal of an owner could not be written, or an owner has none: nothing was changed.
    #[error("an owner cannot write it to its journal of the queue: see its log")]
    NotKept,
    /// The engine was shut down.
    #[error("the engine is closed")]
    Closed,
}

/// A message that was delivered too often.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct DeadLetter {
    /// Names it in its queue.
    pub id: String,
    /// How often it was delivered.
    pub tries: u32,
    /// Its group.
    pub group: Option<String>,
    /// Its content.
    pub body: Bytes,
}

/// Consumed messages, one after the other, at most as many unacknowledged as were credited.
#[async_trait]
pub trait Consumer: Send + Sync {
    /// The next one; none when the engine is closed.
    async fn next(&mut self) -> Option<Delivery>;
}

/// A queue.
#[async_trait]
pub trait Queue: Send + Sync {
    /// What it is.
    fn spec(&self) -> &QueueSpec;

    /// Acknowledged when it survives a crash of one member. False: a message with this
    /// de-duplication id was there already.
    ///
    /// # Errors
    /// See [`QueueError`].
    async fn publish(&self, message: Msg) -> Result<bool, QueueError>;

    /// A consumer with at most so many deliveries unacknowledged at a time.
    async fn consume(&self, credits: usize) -> Box<dyn Consumer>;

    /// What is in it.
    async fn stats(&self) -> QueueStats;

    /// What is in it, where this member keeps the order of the queue: for monitoring, at once.
    fn led(&self) -> Option<QueueStats>;

    /// What this member's journal has not done; none where it has no journal.
    fn journal(&self) -> Option<JournalStats> {
        None
    }

    /// Takes the dead letters out, oldest first, at most so many and about 1 MiB.
    async fn dead_letters(&self, most: usize) -> Vec<Bytes>;

    /// The dead letters, which stay, oldest first, at most so many and about 1 MiB.
    ///
    /// # Errors
    /// See [`QueueError`].
    async fn look_dead(&self, most: usize) -> Result<Vec<DeadLetter>, QueueError>;

    /// Has these dead letters delivered again, their tries counted anew from 1: they were delivered
    /// before. How many there were.
    ///
    /// # Errors
    /// See [`QueueError`].
    async fn requeue_dead(&self, ids: &[String]) -> Result<u64, QueueError>;

    /// Drops these dead letters. How many there were.
    ///
    /// # Errors
    /// See [`QueueError`].
    async fn drop_dead(&self, ids: &[String]) -> Result<u64, QueueError>;
}
