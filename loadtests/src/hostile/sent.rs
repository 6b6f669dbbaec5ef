//! What a strict reading makes of what a client sent: how much of it is beyond doubt.

use super::heads;
use super::reading::{self, Named as _, Reading, Remark, Request};

/// A longer method is odd, in bytes: most often it is a body that its head does not announce.
const USUAL_METHOD: usize = 32;

/// What a strict reading makes of the bytes that were sent.
pub(super) struct Sent {
    /// How many requests from the start are beyond doubt.
    pub(super) plain: usize,
    /// How many from the start have a certain end, odd or not.
    pub(super) certain: usize,
}

impl Sent {
    /// Reads all that was sent, up to a fault or an end.
    pub(super) fn of(mut bytes: &[u8]) -> Sent {
        let mut sent = Sent { plain: 0, certain: 0 };
        while let Reading::Whole { value, length } = reading::request(bytes) {
            if sent.plain == sent.certain && is_plain(&value) {
                sent.plain += 1;
            }
            sent.certain += 1;
            // What follows a close is not to be read as a request.
            bytes = if ends_connection(&value) { b"" } else { &bytes[length..] };
        }
        sent
    }
}

fn ends_connection(request: &Request) -> bool {
    request.headers.lists("connection", "close")
        || (request.minor == 0 && !request.headers.lists("connection", "keep-alive"))
}

fn is_plain(request: &Request) -> bool {
    let is_passing = |remark: &Remark| matches!(remark, Remark::Extension | Remark::Trailer);
    let headers = &request.headers[..];
    let names = |header: &str| headers.lists("connection", header);
    let host = headers.only("host");
    request.remarks.iter().all(is_passing)
        && host.is_none_or(is_usual_host)
        && is_usual_target(&request.target, host.unwrap_or_default())
        && heads::elements(headers, "connection").iter().all(|option| heads::is_token(option))
        && !["content-length", "transfer-encoding", "host"].into_iter().any(names)
        && !matches!(&*request.method, "TRACE" | "CONNECT")
        && request.method.len() <= USUAL_METHOD
}

/// Only characters of a URI, and where it is absolute, with a path and the same host as Host.
fn is_usual_target(target: &[u8], host: &[u8]) -> bool {
    let path = match target.strip_prefix(b"http://") {
        Some(rest) => rest.strip_prefix(host).unwrap_or_default(),
        None => target,
    };
    let is_usual = |b: &u8| b.is_ascii_alphanumeric() || b"-._~!$&'()*+,;=:@/?%".contains(b);
    path.starts_with(b"/") && path.iter().all(is_usual)
}

/// A name with a port of digits, or without one.
fn is_usual_host(host: &[u8]) -> bool {
    let is_name = |part: &[u8]| {
        !part.is_empty() && part.iter().all(|b| b.is_ascii_alphanumeric() || b"-._".contains(b))
    };
    let mut parts = host.split(|&b| b == b':');
    parts.next().is_some_and(is_name)
        && parts.next().is_none_or(|port| port.iter().all(u8::is_ascii_digit) && port.len() < 5)
        && parts.next().is_none()
}
