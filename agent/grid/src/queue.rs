//! Queues: messages that are delivered at least once.
//!
//! A queue's messages are ordinary groups of one row, written by ordinary batches: what is proven of
//! writes, transfers and view changes is true of them. Whoever leads that row is the queue's **home**:
//! it alone takes publications, gives messages to consumers and writes what became of them. What is
//! *out* at consumers is its memory alone. Two rules make that right:
//!
//! - A home writes only as the primary it was when it read the row ([`crate::Event::Led`]). Once
//!   another leads, nothing of its own stands any more, and it knows nothing any more.
//! - The first delivery of a message is the only one without a mark, and only the home that took its
//!   publication makes it: one that found the message in the row marks it as perhaps given before.
//!   A home gives only while it is certain that no other has taken over (`LEASE`).
//!
//! With a **journal** ([`Station::keep`], [`crate::Grid::set_journal`]) a publication counts once it
//! is on the shelf of every owner as well. Three rules more:
//!
//! - Messages that are written together have a group of their own, to which nothing is added later: of
//!   two records of it, the older one has all that the later one has.
//! - A home takes publications while every owner of the row has said that it has a journal, and takes
//!   back what one of them has not taken.
//! - A home begins when its member has given back what an earlier process left.
//!
//! | file | idea |
//! |---|---|
//! | `entries` | messages as entries of the grid |
//! | `frame` | what clients and homes tell each other |
//! | `home` | the state machine of a home, and a file for each of its stories |
//! | `client` | the other side: publications, consumers and endings find the home |
//! | `station` | one queue at one member: its client, and its home where it is that |

mod client;
mod entries;
mod frame;
mod home;
mod station;
#[cfg(test)]
mod tests;

pub use entries::{MOST_GROUP, MOST_ID, Message};
pub use frame::{Address, BadFrame, Frame, ToClient, ToHome};
pub use station::{Act, Station};

use crate::segment::Bytes;
use muster_cluster::MemberId;
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// Leases that a queue knows of, at most. None is forgotten: what is published under another is refused.
pub const MOST_LEASES: usize = 10_000;
/// Bytes of a message with its group's name at most.
pub const MOST_MESSAGE: usize = (8 << 20) - 4096;

/// How long an owner may be without a journal, as one is that has just come, before publications are
/// refused for it.
const UNKEPT: Duration = Duration::from_secs(3);

/// What a queue is.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Settings {
    /// Its name.
    pub name: String,
    /// Messages that wait or are out, at most.
    pub most: u64,
    /// How long a consumer may take.
    pub visibility: Duration,
    /// Deliveries before a message goes to the dead letters.
    pub most_tries: u32,
    /// How long a de-duplication id is remembered.
    pub dedup_window: Duration,
}

/// The rules that a simulation may break, to show that its judge notices.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct QueueRules {
    /// A publication is acknowledged when all owners have it, and no earlier.
    pub acknowledges_late: bool,
    /// What a home finds in its row counts as perhaps given before.
    pub marks_found: bool,
    /// A home gives only while no other can have taken over.
    pub gives_under_lease: bool,
    /// Of a group only the first message is given.
    pub keeps_order: bool,
    /// A publication that a journal has not taken is not acknowledged.
    pub minds_journals: bool,
}

impl Default for QueueRules {
    fn default() -> Self {
        Self {
            acknowledges_late: true,
            marks_found: true,
            gives_under_lease: true,
            keeps_order: true,
            minds_journals: true,
        }
    }
}

/// A message's number: never used twice. It gives the order of publication.
#[derive(
    Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default, Serialize, Deserialize,
)]
pub struct Number {
    /// The counter of the epoch since which the home that took it led the row.
    pub epoch: u64,
    /// Its place among those that this home took.
    pub seq: u64,
    /// By chance: two sides of a split may use one epoch.
    pub salt: u32,
}

/// One delivery of one message.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
pub struct Ticket {
    /// Which message.
    pub number: Number,
    /// Which try it is. From 2 on it may have been given before.
    pub tries: u32,
}

/// What is published.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Publication {
    /// Group and body, see [`Message`].
    pub value: Bytes,
    /// Of two with one id within the window only the first counts.
    pub dedup: Option<Bytes>,
    /// Delivered only after so long.
    pub delay: Option<Duration>,
    /// Not delivered after so long.
    pub ttl: Option<Duration>,
}

/// Under whose lease something is published: of two of one name the later one has the greater token.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct FencedBy {
    /// Of what, [`MOST_ID`] bytes at most.
    pub name: Bytes,
    /// The token.
    pub token: u128,
}

/// How a delivery ends, or goes on.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum Ending {
    /// Done: it never comes again.
    Done,
    /// Not done: it comes again after so long.
    Again(Duration),
    /// Still at it: the time begins anew.
    Longer,
}

/// What else may be asked of a home.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum Question {
    /// What is in it.
    Stats,
    /// Dead letters, oldest first, at most so many; they stay.
    Look(u32),
    /// Dead letters, oldest first, at most so many; they go.
    Take(u32),
    /// These dead letters shall be delivered again.
    Requeue(Vec<Number>),
    /// These dead letters shall go.
    Drop(Vec<Number>),
    /// The asker has a journal of the queue: what its copy takes is on its shelf.
    Keep,
}

/// A message that was given too often.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct DeadLetter {
    /// Its number.
    pub number: Number,
    /// How often it was given.
    pub tries: u32,
    /// Group and body.
    pub value: Bytes,
}

/// A queue in numbers. What only rises counts since its home is that.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Stats {
    /// Waiting to be given, delayed ones too.
    pub ready: u64,
    /// Given and not ended.
    pub out: u64,
    /// Dead letters.
    pub dead: u64,
    /// Published.
    pub published: u64,
    /// Not published, as one with their de-duplication id was there already.
    pub duplicates: u64,
    /// Given.
    pub delivered: u64,
    /// Of those, with a mark: they may have been given before.
    pub redelivered: u64,
    /// Done.
    pub done: u64,
    /// Went because their time was over.
    pub expired: u64,
    /// Became dead letters.
    pub buried: u64,
    /// Consumers: whose, how many, and how many messages they have.
    pub consumers: Vec<(MemberId, u32, u64)>,
}

/// A home's answer.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum Answer {
    /// It stands with all owners. False: one with this id was there already.
    Published(bool),
    /// It holds as many messages as it may: nothing was changed.
    Full(u64),
    /// Too few voters are in sight: nothing was changed.
    NotQuorate,
    /// Not here, or not yet: it did not happen.
    Elsewhere,
    /// It may have happened or not.
    Unknown,
    /// The delivery has ended, or goes on. That it is done stands with all owners.
    Ended,
    /// The delivery is another's by now, or is over.
    Expired,
    /// The consumer is known.
    Consuming,
    /// What is in it.
    Stats(Box<Stats>),
    /// Dead letters.
    Dead(Vec<DeadLetter>),
    /// So many dead letters were requeued or dropped.
    Changed(u64),
    /// Not in time: it did not happen. Only a client says so.
    Unavailable,
    /// The journal of an owner has not taken it, or an owner has none: nothing was changed.
    NotKept,
    /// The queue has seen a greater token of that name: nothing was changed.
    Fenced,
}
