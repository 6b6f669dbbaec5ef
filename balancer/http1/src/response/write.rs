//! An answer's head as the client gets it.

use super::{ResponseHead, has_no_framing};
use crate::marks::Kind;

/// How the body is framed for the client.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Framing {
    /// As the node framed it.
    #[default]
    Keep,
    /// In chunks, whatever the node did: for a body whose end is not known beforehand.
    Chunked,
    /// Until the connection closes: for a client of HTTP/1.0, which knows no chunks.
    Close,
}

/// What the client is told of its connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Connection {
    /// Nothing: it stays, as is usual in HTTP/1.1.
    #[default]
    Keep,
    /// It stays, said to a client of HTTP/1.0 that asked for it.
    KeepAlive10,
    /// It ends after this answer.
    Close,
    /// It becomes what the node's 101 says.
    Upgrade,
}

/// What a client is told otherwise than the node said it.
#[derive(Clone, Copy, Debug, Default)]
pub struct ResponseChanges<'c> {
    /// How the body is framed.
    pub framing: Framing,
    /// What becomes of the connection.
    pub connection: Connection,
    /// Whole lines, each with its CRLF, added at the end. They are taken as they are.
    pub lines: &'c [&'c [u8]],
}

// === impl ResponseHead ===

impl ResponseHead {
    /// Writes the head for the client to the end of `out`: HTTP/1.1 with the node's status and
    /// reason, without the lines that concern the node's connection only. Answers that can have
    /// no body (1xx, 204) are written without Content-Length and Transfer-Encoding.
    ///
    /// `head` are the bytes it was parsed from, and what is in `changes` is trusted.
    #[inline]
    pub fn write(&self, head: &[u8], changes: &ResponseChanges<'_>, out: &mut Vec<u8>) {
        out.reserve(self.length + 64);
        self.write_line(head, out);
        let framing = changes.framing;
        let is_bare = has_no_framing(self.status);
        let leaves = |kind| match kind {
            Kind::Hop => true,
            Kind::Length => is_bare || framing == Framing::Chunked,
            Kind::Encoding => is_bare || framing != Framing::Keep || self.is_oddly_chunked,
            Kind::Forwarding
            | Kind::Host
            | Kind::Cookie
            | Kind::Expect
            | Kind::TraceParent
            | Kind::TraceState => false,
        };
        self.lines.copy(head, self.lines.start(), leaves, out);
        let is_odd = framing == Framing::Keep && self.is_oddly_chunked;
        if !is_bare && (framing == Framing::Chunked || is_odd) {
            out.extend_from_slice(b"Transfer-Encoding: chunked\r\n");
        }
        self.write_connection(head, changes.connection, out);
        changes.lines.iter().for_each(|line| out.extend_from_slice(line));
        out.extend_from_slice(b"\r\n");
    }

    #[inline]
    fn write_line(&self, head: &[u8], out: &mut Vec<u8>) {
        let code = self.status;
        let digit = |value: u16| b'0' + (value % 10) as u8;
        out.extend_from_slice(b"HTTP/1.1 ");
        out.extend_from_slice(&[digit(code / 100), digit(code / 10), digit(code), b' ']);
        out.extend_from_slice(self.reason.of(head));
        out.extend_from_slice(b"\r\n");
    }

    #[inline]
    fn write_connection(&self, head: &[u8], connection: Connection, out: &mut Vec<u8>) {
        match connection {
            Connection::Keep => {}
            Connection::KeepAlive10 => out.extend_from_slice(b"Connection: keep-alive\r\n"),
            Connection::Close => out.extend_from_slice(b"Connection: close\r\n"),
            Connection::Upgrade => {
                let protocol = self.upgrade.unwrap_or_default();
                out.extend_from_slice(b"Connection: Upgrade\r\nUpgrade: ");
                out.extend_from_slice(protocol.of(head));
                out.extend_from_slice(b"\r\n");
            }
        }
    }
}
