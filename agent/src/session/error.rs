//! What can go wrong with a session.

use std::time::Duration;

use thiserror::Error;

use crate::checkouts::from_map_error;
use crate::cluster::CodecError;

/// Why something could not be done with a session.
#[derive(Clone, PartialEq, Eq, Debug, Error)]
pub enum SessionError {
    /// Another request had the session to the end of the wait (503, try again).
    #[error("another request has the session")]
    Busy,
    /// The head of the answer was sent: what is changed now would be lost.
    #[error("the session was committed with the head of the answer: it cannot be used after it")]
    Committed,
    /// Another request has written the session since, or this member was not in the view all the
    /// while: nothing of this request was written. So it goes to a node that was frozen or cut off
    /// while its client was served elsewhere.
    #[error("the session was taken over by another request")]
    Lost,
    /// Too few members are in sight: nothing was written.
    #[error("too few members are in sight")]
    NotQuorate,
    /// No member could take it in time: nothing was written.
    #[error("no owner of the session could be reached in time")]
    Unavailable,
    /// The members have no such session, and the store in which it may be does not answer: whether
    /// there is one nobody knows.
    #[error("the store of sessions does not answer")]
    NoStore,
    /// It was written or not: nobody could tell in time.
    #[error("the session was written or not: nobody could tell in time")]
    Unknown,
    /// A `&mut` to this attribute is still held: at the commit nothing was written for that.
    #[error("the attribute {0:?} is borrowed")]
    Borrowed(String),
    /// An attribute's name is empty or too long.
    #[error("the attribute's name {0:?} is bad: 1 to 255 bytes are possible")]
    BadName(String),
    /// The session would be larger than its application allows: nothing was changed.
    #[error("with the attribute {name:?} the session has {bytes} bytes, the limit is {most}")]
    TooLarge {
        /// The attribute.
        name: String,
        /// What the session would have.
        bytes: usize,
        /// What is allowed.
        most: usize,
    },
    /// The session would have more attributes than one batch can write: nothing was changed.
    #[error("with the attribute {name:?} the session has more than {most} attributes")]
    TooMany {
        /// The attribute.
        name: String,
        /// What is possible.
        most: usize,
    },
    /// No session can live for so short a time: nothing was changed.
    #[error("max_inactive has the bad value {0:?}: it is longer than nothing, or none at all")]
    BadTime(Duration),
    /// The attribute cannot be read as this type, or not be written.
    #[error("the attribute {name:?}: {error}")]
    Value {
        /// The attribute.
        name: String,
        /// Why.
        error: CodecError,
    },
    /// What is kept is no session of this release.
    #[error("what is kept of the session cannot be read: {0}")]
    Unreadable(CodecError),
    /// The engine takes nothing so large, whatever [`most_bytes`] allows: nothing was written.
    ///
    /// [`most_bytes`]: super::SessionsBuilder::most_bytes
    #[error("the session is too large for the cluster: {0}")]
    TooLargeForCluster(String),
    /// No session layer is around the handler.
    #[error("no session layer is around this handler")]
    NoLayer,
}

impl SessionError {
    /// Whether the client may try again in a moment.
    #[must_use]
    pub fn is_passing(&self) -> bool {
        matches!(
            self,
            Self::Busy
                | Self::Lost
                | Self::NotQuorate
                | Self::Unavailable
                | Self::NoStore
                | Self::Unknown
        )
    }
}

from_map_error!(SessionError, Lost, Self::TooLargeForCluster);
