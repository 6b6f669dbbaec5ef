//! What can go wrong with an identity.

use axum::response::{IntoResponse, Response};
use http::StatusCode;
use thiserror::Error;

use crate::checkouts::from_map_error;
use crate::cluster::CodecError;
use crate::session::SessionError;
use crate::session::layer::refuse;

/// Why something could not be done with an identity.
#[derive(Clone, PartialEq, Eq, Debug, Error)]
pub enum SsoError {
    /// Other requests had the identity to the end of the wait (503, try again).
    #[error("other requests have the identity")]
    Busy,
    /// Another request has changed the identity since: nothing was written.
    #[error("the identity was changed by another request")]
    Fenced,
    /// Too few members are in sight: nothing was written.
    #[error("too few members are in sight")]
    NotQuorate,
    /// No member could take it in time: nothing was written.
    #[error("no owner of the identity could be reached in time")]
    Unavailable,
    /// It was written or not: nobody could tell in time.
    #[error("the identity was written or not: nobody could tell in time")]
    Unknown,
    /// A principal's name or roles are out of their bounds.
    #[error("the principal has the bad {field} {value:?}: {why}")]
    BadPrincipal {
        /// Which part.
        field: &'static str,
        /// Its value.
        value: String,
        /// What would be right.
        why: &'static str,
    },
    /// What is kept is no identity of this release.
    #[error("what is kept of the identity cannot be read: {0}")]
    Unreadable(#[from] CodecError),
    /// No layer of an application with single sign-on is around the handler.
    #[error("no single sign-on layer is around this handler")]
    NoLayer,
    /// The request's session.
    #[error(transparent)]
    Session(#[from] SessionError),
}

impl SsoError {
    /// Whether the client may try again in a moment.
    #[must_use]
    pub fn is_passing(&self) -> bool {
        match self {
            Self::Busy | Self::Fenced | Self::NotQuorate | Self::Unavailable | Self::Unknown => {
                true
            }
            Self::Session(error) => error.is_passing(),
            Self::BadPrincipal { .. } | Self::Unreadable(_) | Self::NoLayer => false,
        }
    }

    /// What it is to a client. Logged here: nobody else does something about it.
    pub(super) fn status(&self) -> StatusCode {
        if self.is_passing() {
            tracing::warn!(error = %self, "a request is told to try again");
            return StatusCode::SERVICE_UNAVAILABLE;
        }
        tracing::error!(error = %self, "a request fails by its identity");
        StatusCode::INTERNAL_SERVER_ERROR
    }
}

from_map_error!(SsoError, Fenced, |why| Self::Unreadable(CodecError::Unwritable(why)));

/// 503 with Retry-After for what passes, 500 for what does not; the client is not told what it was.
impl IntoResponse for SsoError {
    fn into_response(self) -> Response {
        let status = self.status();
        let text = match status {
            StatusCode::SERVICE_UNAVAILABLE => format!("{self}\n"),
            _ => "the identity cannot be used\n".to_owned(),
        };
        let mut response = text.into_response();
        refuse(&mut response, status);
        response
    }
}
