//! What clients and homes of queues tell each other, as bytes: a version, the address, then postcard.
//! Kinds are only added at the end.

use super::entries::MOST_ID;
use super::{Answer, Ending, FencedBy, MOST_MESSAGE, Publication, Question, Settings, Ticket};
use crate::segment::Bytes;
use crate::wire::Tail;
use serde::{Deserialize, Serialize};
use thiserror::Error;

/// The version that this release writes and reads.
const VERSION: u8 = 1;
/// Tickets in one frame at most.
const MOST_TICKETS: usize = 65_536;
/// Bytes of a queue's name at most.
const MOST_NAME: usize = 128;

/// To a queue's home. `call` and `consumer` are numbers of the client's own, used once.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum ToHome {
    /// What the queue is, before anything else.
    Open(Settings),
    /// A message.
    Publish {
        /// Returned with the answer.
        call: u64,
        /// What.
        publication: Publication,
    },
    /// A consumer with so many credits, and what it has of an earlier home.
    Consume {
        /// Which; returned with the answer.
        consumer: u64,
        /// Deliveries that it may have at a time.
        credits: u32,
        /// What it has.
        held: Vec<Ticket>,
    },
    /// It consumes no more. These were given to it and never seen by anybody.
    Gone {
        /// Which.
        consumer: u64,
        /// What it gives back as if it had not been given.
        untouched: Vec<Ticket>,
    },
    /// A delivery ends or goes on.
    End {
        /// Returned with the answer.
        call: u64,
        /// Which.
        ticket: Ticket,
        /// How.
        ending: Ending,
        /// It was said before, and nobody knows whether it was heard.
        is_again: bool,
    },
    /// Something else.
    Ask {
        /// Returned with the answer.
        call: u64,
        /// What.
        question: Question,
    },
    /// A message under a lease.
    PublishFenced {
        /// Returned with the answer.
        call: u64,
        /// What.
        publication: Publication,
        /// Whose.
        by: FencedBy,
    },
}

/// From a queue's home.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum ToClient {
    /// A delivery.
    Give {
        /// To whom.
        consumer: u64,
        /// What it is.
        ticket: Ticket,
        /// The message.
        value: Bytes,
    },
    /// Answers.
    Answers(Vec<(u64, Answer)>),
}

/// Of which queue, and from which life of one member to which life of another. A process numbers its
/// calls and consumers from the beginning: what was meant for an earlier one at its place is not its own.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Address {
    /// The queue's number.
    pub cache: u32,
    /// The incarnation that sends.
    pub from: u64,
    /// The one that it is for.
    pub to: u64,
}

/// Either.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum Frame {
    /// To a home.
    Home(ToHome),
    /// From a home.
    Client(ToClient),
}

/// Why bytes are no frame.
#[derive(Clone, PartialEq, Eq, Debug, Error)]
pub enum BadFrame {
    /// Another version.
    #[error("version is {0}: this release reads {VERSION}")]
    Version(u8),
    /// Not a frame of this version.
    #[error("not a frame of this version: {0}")]
    Malformed(#[from] postcard::Error),
    /// It ends too early.
    #[error("there is nothing to read")]
    Empty,
    /// A field beyond its bounds.
    #[error("{0} is {1}: at most {2} are possible")]
    OutOfBounds(&'static str, usize, usize),
}

// === impl Frame ===

impl Frame {
    /// Appends it to a buffer.
    pub fn encode(&self, address: Address, into: &mut Vec<u8>) {
        into.push(VERSION);
        into.extend_from_slice(&address.cache.to_le_bytes());
        into.extend_from_slice(&address.from.to_le_bytes());
        into.extend_from_slice(&address.to.to_le_bytes());
        // It cannot fail: memory is the only limit.
        let _ = postcard::serialize_with_flavor(self, Tail(into));
    }

    /// Its address, and what is said. Whatever is decoded is within its bounds.
    ///
    /// # Errors
    /// Says what is wrong with it.
    pub fn decode(bytes: &[u8]) -> Result<(Address, Self), BadFrame> {
        let (version, rest) = bytes.split_first().ok_or(BadFrame::Empty)?;
        if *version != VERSION {
            return Err(BadFrame::Version(*version));
        }
        let (cache, rest) = rest.split_first_chunk::<4>().ok_or(BadFrame::Empty)?;
        let (from, rest) = rest.split_first_chunk::<8>().ok_or(BadFrame::Empty)?;
        let (to, rest) = rest.split_first_chunk::<8>().ok_or(BadFrame::Empty)?;
        let [from, to] = [from, to].map(|life| u64::from_le_bytes(*life));
        let address = Address { cache: u32::from_le_bytes(*cache), from, to };
        let frame: Self = postcard::from_bytes(rest)?;
        frame.check()?;
        Ok((address, frame))
    }

    fn check(&self) -> Result<(), BadFrame> {
        let within = |field, len: usize, most| {
            if len > most { Err(BadFrame::OutOfBounds(field, len, most)) } else { Ok(()) }
        };
        let is_message = |publication: &Publication| {
            let id = publication.dedup.as_ref().map_or(0, |id| id.len());
            within("bytes of a de-duplication id", id, MOST_ID)?;
            within("bytes of a message", publication.value.len(), MOST_MESSAGE)
        };
        match self {
            Self::Home(ToHome::Open(settings)) => {
                within("bytes of a queue's name", settings.name.len(), MOST_NAME)
            }
            Self::Home(ToHome::PublishFenced { publication, by, .. }) => {
                within("bytes of a lease's name", by.name.len(), MOST_ID)?;
                is_message(publication)
            }
            Self::Home(ToHome::Publish { publication, .. }) => is_message(publication),
            Self::Home(
                ToHome::Consume { held: tickets, .. } | ToHome::Gone { untouched: tickets, .. },
            ) => within("deliveries", tickets.len(), MOST_TICKETS),
            Self::Home(ToHome::Ask {
                question: Question::Requeue(numbers) | Question::Drop(numbers),
                ..
            }) => within("dead letters", numbers.len(), MOST_TICKETS),
            Self::Home(ToHome::End { .. } | ToHome::Ask { .. }) | Self::Client(_) => Ok(()),
        }
    }
}
