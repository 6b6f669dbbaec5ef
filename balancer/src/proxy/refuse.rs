//! What a client is told when no node's answer can be: one table.

use std::io::Write as _;
use std::time::Duration;

use muster_http1::BadRequest;
use muster_routing::Refusal;

use crate::text::push_line;

/// What the body of every such answer is.
pub(crate) const CONTENT_TYPE: &str = "text/plain; charset=utf-8";

/// Why a request gets an answer of our own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Refused {
    /// The request is not what HTTP/1 allows, or beyond a limit.
    #[error("{0}")]
    Malformed(BadRequest),
    /// The body's chunks are not what HTTP/1 allows.
    #[error("the body is malformed")]
    BadBody,
    /// The method is not for this port (MCMP has its own) or not for a proxy.
    #[error("this method is not served here")]
    Method,
    /// The head is longer than the configuration allows.
    #[error("the head is too long")]
    HeadTooLong,
    /// The body is longer than the configuration allows.
    #[error("the body is too long")]
    BodyTooLong,
    /// The client took too long to send its body.
    #[error("the request did not come in time")]
    ClientSlow,
    /// Requests come to the context faster than they may.
    #[error("too many requests")]
    TooFast {
        /// When one more may come.
        retry_after: Duration,
    },
    /// No such context.
    #[error("nothing is mounted here")]
    NoContext,
    /// A context, but nobody who may take the request.
    #[error("no node can take the request")]
    NoNode,
    /// Everybody is at the bound, or too many wait already.
    #[error("every node is busy")]
    Busy,
    /// The node failed, and the request could not go on elsewhere.
    #[error("the node failed")]
    NodeFailed,
    /// The node kept silent for too long.
    #[error("the node did not answer in time")]
    NodeSilent,
}

impl Refused {
    /// The status code.
    pub(crate) fn status(self) -> u16 {
        match self {
            Refused::Malformed(bad) => bad.status(),
            Refused::BadBody => 400,
            Refused::Method => 405,
            Refused::HeadTooLong => 431,
            Refused::BodyTooLong => 413,
            Refused::ClientSlow => 408,
            Refused::TooFast { .. } => 429,
            Refused::NoContext => 404,
            Refused::NoNode | Refused::Busy => 503,
            Refused::NodeFailed => 502,
            Refused::NodeSilent => 504,
        }
    }

    /// When to come again, where that may help.
    pub(crate) fn retry_after(self) -> Option<Duration> {
        match self {
            Refused::NoNode | Refused::Busy => Some(Duration::from_secs(1)),
            // In whole seconds: rounded up, so that who obeys is served.
            Refused::TooFast { retry_after } => {
                Some(Duration::from_secs(retry_after.as_secs_f64().ceil() as u64))
            }
            Refused::Malformed(_)
            | Refused::BadBody
            | Refused::Method
            | Refused::HeadTooLong
            | Refused::BodyTooLong
            | Refused::ClientSlow
            | Refused::NoContext
            | Refused::NodeFailed
            | Refused::NodeSilent => None,
        }
    }

    /// One word for log and metrics.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Refused::Malformed(bad) => bad.word(),
            Refused::BadBody => "bad-body",
            Refused::Method => "method",
            Refused::HeadTooLong => "head-too-long",
            Refused::BodyTooLong => "body-too-long",
            Refused::ClientSlow => "client-slow",
            Refused::TooFast { .. } => "too-fast",
            Refused::NoContext => "no-context",
            Refused::NoNode => "no-node",
            Refused::Busy => "busy",
            Refused::NodeFailed => "node-failed",
            Refused::NodeSilent => "node-silent",
        }
    }

    /// The methods that are served, where the request's is not.
    pub(crate) fn allow(self) -> Option<&'static str> {
        (self.status() == 405).then_some("GET, HEAD, POST, PUT, DELETE, PATCH, OPTIONS")
    }

    /// The status with its reason.
    pub(crate) fn status_line(self) -> http::StatusCode {
        http::StatusCode::from_u16(self.status()).unwrap_or_default()
    }

    /// Writes the whole answer as HTTP/1.
    pub(crate) fn write(self, is_head: bool, closes: bool, out: &mut Vec<u8>) {
        let body = self.body();
        // Writing into a Vec cannot fail.
        let _ = write!(
            out,
            "HTTP/1.1 {}\r\nContent-Type: {CONTENT_TYPE}\r\nContent-Length: {}\r\n",
            self.status_line(),
            body.len()
        );
        if let Some(allow) = self.allow() {
            push_line("Allow", allow.as_bytes(), out);
        }
        if let Some(after) = self.retry_after() {
            let _ = write!(out, "Retry-After: {}\r\n", after.as_secs());
        }
        if closes {
            push_line("Connection", b"close", out);
        }
        out.extend_from_slice(b"\r\n");
        if !is_head {
            out.extend_from_slice(body.as_bytes());
        }
    }

    /// The answer's body. It says nothing of nodes or addresses.
    pub(crate) fn body(self) -> String {
        format!("{}: {self}\n", self.status_line())
    }
}

impl From<Refusal> for Refused {
    fn from(refusal: Refusal) -> Refused {
        match refusal {
            Refusal::NoContext => Refused::NoContext,
            Refusal::NoNode { .. } => Refused::NoNode,
            Refusal::Busy => Refused::Busy,
        }
    }
}
