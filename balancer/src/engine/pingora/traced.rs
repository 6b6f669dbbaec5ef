//! The trace of a request in Pingora's heads.

use http::HeaderValue;
use http::header::HOST;
use muster_http1::TraceLines;
use pingora_core::Result;
use pingora_http::RequestHeader;
use pingora_proxy::Session;

use super::asked::is_tls;
use crate::proxy::Exchange;
use crate::trace::Opening;

const TRACEPARENT: &str = "traceparent";
const TRACESTATE: &str = "tracestate";

/// What the request's trace begins with.
pub(super) fn opening(session: &Session) -> Opening<'_> {
    let head = session.req_header();
    let mut parents = head.headers.get_all(TRACEPARENT).iter();
    let parent = parents.next().filter(|_| parents.next().is_none());
    let host = head.headers.get(HOST).and_then(|host| host.to_str().ok());
    Opening {
        parent: parent.map(HeaderValue::as_bytes),
        host: host.or(head.uri.host()).unwrap_or_default(),
        is_tls: is_tls(session),
    }
}

/// Tells the node of its attempt, where traces are on.
pub(super) fn tell(head: &mut RequestHeader, exchange: &Exchange) -> Result<()> {
    let Some(trace) = &exchange.trace else { return Ok(()) };
    head.insert_header(TRACEPARENT, trace.value().as_slice())?;
    if trace.lines() == TraceLines::Begun {
        head.remove_header(TRACESTATE);
    }
    Ok(())
}
