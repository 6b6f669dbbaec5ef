//! What can go wrong with a cache, in the user's words.

use thiserror::Error;

use crate::cluster::codec::CodecError;
use crate::engine::MapError;

/// Why a cache did not do what it should.
#[derive(Clone, PartialEq, Eq, Debug, Error)]
pub enum CacheError {
    /// The key is too long, or cannot be written or read.
    #[error("the key {0}")]
    Key(String),
    /// The value cannot be written or read.
    #[error(transparent)]
    Value(#[from] CodecError),
    /// An expectation of a batch did not hold: nothing was changed.
    #[error("operation {at} of the batch did not find what it expects")]
    Conflict {
        /// Which operation, from 0 on.
        at: usize,
    },
    /// The lock is over or another's, or the token is old: nothing was changed.
    #[error("fenced off: a later holder was here")]
    Fenced,
    /// Another has the group's lock: nothing was changed.
    #[error("another has the lock")]
    Locked,
    /// Too few members are in sight to agree: nothing was changed.
    #[error("the cluster has no quorum here: too few members are in sight")]
    NotQuorate,
    /// No owner could be reached in time: nothing was changed.
    #[error("no owner could be reached in time")]
    Unavailable,
    /// Too much is under way, or others were always quicker: nothing was changed.
    #[error("too much is under way")]
    Busy,
    /// Too large: nothing was changed.
    #[error("{0}")]
    TooLarge(String),
    /// A member was lost on the way: it may have happened or not. Read before you write again.
    #[error("a member was lost on the way: the change may have happened or not")]
    Unknown,
    /// The cluster was left: nothing was changed.
    #[error("the cluster was left")]
    Closed,
}

// === impl CacheError ===

impl CacheError {
    pub(super) fn of(error: MapError) -> Self {
        match error {
            MapError::Conflict { at } => Self::Conflict { at },
            MapError::Fenced => Self::Fenced,
            MapError::Locked => Self::Locked,
            MapError::NotQuorate => Self::NotQuorate,
            MapError::Unavailable => Self::Unavailable,
            MapError::Busy => Self::Busy,
            MapError::TooLarge(what) => Self::TooLarge(what),
            MapError::Unknown => Self::Unknown,
            MapError::Closed => Self::Closed,
        }
    }
}
