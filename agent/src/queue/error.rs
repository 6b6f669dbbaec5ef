//! What can go wrong with a queue, in the user's words.

use std::time::Duration;

use thiserror::Error;

use crate::cluster::codec::CodecError;
use crate::engine::QueueError as EngineQueueError;

/// Why a queue did not do what it should.
#[derive(Clone, PartialEq, Eq, Debug, Error)]
pub enum QueueError {
    /// The message cannot be written or read.
    #[error(transparent)]
    Message(#[from] CodecError),
    /// It holds as many messages as it may: nothing was changed.
    #[error("the queue is full: it holds {0} messages")]
    Full(usize),
    /// The message, its group or its id is too long: nothing was changed.
    #[error("{0}")]
    TooLarge(String),
    /// The message was given to another, or its time was over.
    #[error("the message was given to another")]
    Expired,
    /// Too few members are in sight to agree: nothing was changed.
    #[error("the cluster has no quorum here: too few members are in sight")]
    NotQuorate,
    /// No owner could be reached in time: nothing was changed.
    #[error("no owner could be reached in time")]
    Unavailable,
    /// A member was lost on the way: it may have happened or not.
    #[error("a member was lost on the way: it may have happened or not")]
    Unknown,
    /// An owner cannot write it to its journal of the queue, or has none: nothing was changed.
    #[error("an owner cannot write it to its journal of the queue: see its log")]
    NotKept,
    /// The queue has seen a greater token of the lease under which it was published
    /// ([`Sending::fenced_by`](super::Sending::fenced_by)): nothing was changed.
    #[error("fenced off: a later holder has published")]
    Fenced,
    /// Nobody answered the request in time. It may be under way somewhere.
    #[error("nobody answered within {0:?}")]
    NoAnswer(Duration),
    /// Whoever had the request answered that it failed.
    #[error("the request failed: {0}")]
    Failed(String),
    /// The cluster was left: nothing was changed.
    #[error("the cluster was left")]
    Closed,
}

// === impl QueueError ===

impl From<EngineQueueError> for QueueError {
    fn from(error: EngineQueueError) -> Self {
        match error {
            EngineQueueError::Full(most) => Self::Full(most),
            EngineQueueError::TooLarge(..) | EngineQueueError::NameTooLong(..) => {
                Self::TooLarge(error.to_string())
            }
            EngineQueueError::Expired => Self::Expired,
            EngineQueueError::NotQuorate => Self::NotQuorate,
            EngineQueueError::Unavailable => Self::Unavailable,
            EngineQueueError::Unknown => Self::Unknown,
            EngineQueueError::NotKept => Self::NotKept,
            EngineQueueError::Fenced => Self::Fenced,
            EngineQueueError::Closed => Self::Closed,
        }
    }
}
