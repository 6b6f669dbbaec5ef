//! What can go wrong with a component.

use thiserror::Error;

use crate::checkouts::from_map_error;
use crate::cluster::CodecError;

/// Why something could not be done with a component. Only [`ComponentError::Unknown`] leaves open
/// whether a call has changed it; all others say that it has not.
#[derive(Clone, PartialEq, Eq, Debug, Error)]
pub enum ComponentError {
    /// There is none of that handle: it was removed, or idle for too long.
    #[error("there is no such component (any more)")]
    NotFound,
    /// Another call had it to the end of the wait.
    #[error("another call has the component")]
    Busy,
    /// Another call has taken it over, because this one took too long or its member was frozen or
    /// cut off: nothing of this one was written.
    #[error("the component was taken over by another call")]
    Fenced,
    /// Too few members are in sight.
    #[error("too few members are in sight")]
    NotQuorate,
    /// No member could take it in time.
    #[error("no owner of the component could be reached in time")]
    Unavailable,
    /// The call was done or not: nobody could tell in time.
    #[error("the call was done or not: nobody could tell in time")]
    Unknown,
    /// It would be larger than its kind allows.
    #[error("the component would have {bytes} bytes, the limit is {most}")]
    TooLarge {
        /// What it would have.
        bytes: usize,
        /// What is allowed.
        most: usize,
    },
    /// It cannot be written, or what is kept is no such type.
    #[error(transparent)]
    Value(#[from] CodecError),
}

impl ComponentError {
    /// Whether the same may go well in a moment.
    #[must_use]
    pub fn is_passing(&self) -> bool {
        matches!(self, Self::Busy | Self::Fenced | Self::NotQuorate | Self::Unavailable)
    }
}

from_map_error!(ComponentError, Fenced, |why| Self::Value(CodecError::Unwritable(why)));
