//! What the hooks ask of a session, and of an error.

use std::net::IpAddr;

use http::Version;
use http::header::TRANSFER_ENCODING;
use pingora_core::{Error, ErrorSource, ErrorType};
use pingora_proxy::Session;

use super::front::is_grpc;
use crate::proxy::Refused;

/// Whether the session itself says that somebody took too long.
pub(super) fn is_late(error: &Error, who: Refused) -> bool {
    *error.esource() == ErrorSource::Downstream
        && *error.etype() == ErrorType::HTTPStatus(who.status())
}

pub(super) fn is_http2(session: &Session) -> bool {
    session.req_header().version == Version::HTTP_2
}

/// Whether it is an exchange without an end of its own.
pub(super) fn is_stream(session: &Session) -> bool {
    is_http2(session) && is_grpc(&session.req_header().headers)
}

pub(super) fn is_tls(session: &Session) -> bool {
    session.digest().is_some_and(|digest| digest.ssl_digest.is_some())
}

/// Whether a connect failed for reasons of this machine: no files, no ports, no rights.
pub(super) fn is_own_fault(error: &Error) -> bool {
    matches!(
        error.etype(),
        ErrorType::SocketError | ErrorType::BindError | ErrorType::InternalError
    )
}

/// Whether the whole body can be sent again. Pingora keeps what it has read, but does not end an
/// empty body of chunks a second time.
pub(super) fn is_replayable(session: &Session) -> bool {
    let is_chunked = session.req_header().headers.contains_key(TRANSFER_ENCODING);
    let is_unended = is_chunked && session.body_bytes_read() == 0;
    !is_unended && !session.as_ref().retry_buffer_truncated()
}

pub(super) fn client(session: &Session) -> Option<IpAddr> {
    session.client_addr().and_then(|client| client.as_inet()).map(|client| client.ip())
}

pub(super) fn version(version: Version) -> &'static str {
    match version {
        Version::HTTP_10 => "HTTP/1.0",
        Version::HTTP_2 => "HTTP/2.0",
        _ => "HTTP/1.1",
    }
}
