//! What axum's handlers ask for: the session, the session without its lock, or whether to touch
//! it at all; and what a client is told when there is none to be had.

use axum::extract::{FromRequestParts, OptionalFromRequestParts};
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use http::header::CONTENT_TYPE;
use http::request::Parts;

use super::{refuse, status_of};
use crate::session::{ReadSession, Session, SessionError, SessionRequest};

/// The request's session, locked before the handler begins: waits while another request has it.
impl<S: Send + Sync> FromRequestParts<S> for Session {
    type Rejection = SessionError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, SessionError> {
        request_of(parts)?.session().await
    }
}

/// For handlers that touch their session only sometimes: nothing is locked before they do.
impl<S: Send + Sync> FromRequestParts<S> for SessionRequest {
    type Rejection = SessionError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, SessionError> {
        request_of(parts).cloned()
    }
}

/// The session as it is, for handlers that change nothing: no lock, no commit. It counts as a
/// request of the session, which therefore stays alive.
impl<S: Send + Sync> OptionalFromRequestParts<S> for ReadSession {
    type Rejection = SessionError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Option<Self>, SessionError> {
        request_of(parts)?.read().await
    }
}

fn request_of(parts: &Parts) -> Result<&SessionRequest, SessionError> {
    parts.extensions.get().ok_or(SessionError::NoLayer)
}

/// 503 with Retry-After for what passes, 500 for what does not; that is logged, and the client is
/// not told what it was.
impl IntoResponse for SessionError {
    fn into_response(self) -> Response {
        let status = status_of(&self);
        let text = match status {
            StatusCode::SERVICE_UNAVAILABLE => format!("{self}\n"),
            _ => "the session cannot be used\n".to_owned(),
        };
        let mut response = ([(CONTENT_TYPE, "text/plain; charset=utf-8")], text).into_response();
        refuse(&mut response, status);
        response
    }
}
