//! A request's head as a node gets it.

use super::{RequestHead, Version};
use crate::marks::Kind;

/// What a node is told otherwise than the client said it.
#[derive(Clone, Copy, Debug, Default)]
pub struct RequestChanges<'c> {
    /// In place of path and query.
    pub target: Option<&'c [u8]>,
    /// In place of Host, and where there is none. The host of a whole URL replaces Host by
    /// itself. A head of HTTP/1.0 without a host is written with an empty one: who knows a
    /// better one gives it.
    pub host: Option<&'c [u8]>,
    /// In place of all Cookie lines; empty leaves them out.
    pub cookies: Option<&'c [u8]>,
    /// Whether `Forwarded` and `X-Forwarded-*` of the client are believed. If not, they are left
    /// out.
    pub keeps_forwarding: bool,
    /// What becomes of `traceparent` and `tracestate`.
    pub trace: TraceLines,
    /// Whole lines, each with its CRLF, added at the end. They are taken as they are.
    pub lines: &'c [&'c [u8]],
}

/// What becomes of the lines that say which trace a request is part of.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TraceLines {
    /// They stay.
    #[default]
    Kept,
    /// `traceparent` is left out, for another one is among the added lines.
    Continued,
    /// Both are left out, for the trace is another one.
    Begun,
}

// === impl RequestHead ===

impl RequestHead {
    /// Writes the head for a node to the end of `out`: HTTP/1.1 with path and query, without the
    /// lines that concern the client's connection only. Content-Length and Transfer-Encoding stay,
    /// so the body can follow as it is. Of an upgrade request the upgrade lines are put back.
    ///
    /// `head` are the bytes it was parsed from, and what is in `changes` is trusted.
    #[inline]
    pub fn write(&self, head: &[u8], changes: &RequestChanges<'_>, out: &mut Vec<u8>) {
        out.reserve(self.length + 64);
        let host = self.other_host(head, changes);
        let is_plain = self.version == Version::Http11 && !self.is_absolute;
        let from = if is_plain && host.is_none() && changes.target.is_none() {
            0
        } else {
            self.write_line(head, changes, out);
            self.lines.start()
        };
        if let Some(host) = host {
            line(b"Host: ", host, out);
        }
        let leaves = |kind| match kind {
            Kind::Hop => true,
            Kind::Forwarding => !changes.keeps_forwarding,
            Kind::Host => host.is_some(),
            Kind::Cookie => changes.cookies.is_some(),
            Kind::Expect => self.version == Version::Http10,
            Kind::TraceParent => changes.trace != TraceLines::Kept,
            Kind::TraceState => changes.trace == TraceLines::Begun,
            Kind::Length => false,
            Kind::Encoding => self.is_oddly_chunked,
        };
        self.lines.copy(head, from, leaves, out);
        if self.is_oddly_chunked {
            out.extend_from_slice(b"Transfer-Encoding: chunked\r\n");
        }
        if let Some(cookies) = changes.cookies.filter(|cookies| !cookies.is_empty()) {
            line(b"Cookie: ", cookies, out);
        }
        if let Some(protocol) = self.upgrade {
            line(b"Connection: Upgrade\r\nUpgrade: ", protocol.of(head), out);
        }
        changes.lines.iter().for_each(|line| out.extend_from_slice(line));
        out.extend_from_slice(b"\r\n");
    }

    /// The host to write where the client's line cannot stay.
    #[inline]
    fn other_host<'b>(&self, head: &'b [u8], changes: &RequestChanges<'b>) -> Option<&'b [u8]> {
        match changes.host {
            Some(host) => Some(host),
            None if self.is_absolute || !self.has_host_line => Some(self.host.of(head)),
            None => None,
        }
    }

    fn write_line(&self, head: &[u8], changes: &RequestChanges<'_>, out: &mut Vec<u8>) {
        out.extend_from_slice(self.method.of(head));
        out.push(b' ');
        out.extend_from_slice(changes.target.unwrap_or_else(|| self.origin(head)));
        out.extend_from_slice(b" HTTP/1.1\r\n");
    }
}

fn line(name: &[u8], value: &[u8], out: &mut Vec<u8>) {
    out.extend_from_slice(name);
    out.extend_from_slice(value);
    out.extend_from_slice(b"\r\n");
}
