//! The answer's way: from the node to the client.

use std::task::{Context, Poll, ready};

use muster_http1::{
    BodyReader, Connection, Framing, Keep, LAST_CHUNK, Question, ResponseBody, ResponseChanges,
    ResponseHead, Version, parse_response, worth_parsing, write_chunk_head,
};

use super::hold::Hold;
use super::tunnel::Tunnel;
use super::{Relay, Stop, Wire};
use crate::engine::http1::Worker;
use crate::engine::http1::buffer::{LARGE, Text, size_for};

/// Most interim answers (1xx) to one request.
const MAX_INTERIM: u32 = 16;

/// How far the answer has come.
pub(super) struct Download {
    question: Question,
    pub(super) state: State,
    reader: BodyReader,
    /// Bytes for the client that are copies: heads, and what came with them.
    pub(super) out: Text,
    sent: usize,
    /// Bytes at the start of the node's buffer that are for the client.
    ready: usize,
    /// The client gets chunks, where the node's connection is the end of the body.
    pub(super) wraps: bool,
    /// How much of the node's buffer was looked at for a head.
    looked_at: usize,
    interim: u32,
    pub(super) status: Option<u16>,
    pub(super) keeps_client: bool,
    /// Whether the end of the client's connection is the end of the body.
    pub(super) ends_client: bool,
    keeps_node: bool,
    awaits_client: bool,
    /// Whether any byte of an answer came.
    has_begun: bool,
    /// Whether any byte of the final answer went to the client.
    is_told: bool,
    /// Of AJP: bytes of the body so far, and whether the client waits for a 100.
    pub(super) unpacked: u64,
    pub(super) owes_continue: bool,
    pub(super) hold: Hold,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum State {
    Head,
    Body,
    /// All of it is in `out` or in the buffer.
    Last,
}

impl Download {
    pub(super) fn new(question: Question, worker: &Worker) -> Download {
        Download {
            question,
            state: State::Head,
            reader: BodyReader::none(),
            out: worker.buffers.text(),
            sent: 0,
            ready: 0,
            wraps: false,
            looked_at: 0,
            interim: 0,
            status: None,
            keeps_client: false,
            ends_client: false,
            keeps_node: false,
            awaits_client: false,
            has_begun: false,
            is_told: false,
            unpacked: 0,
            owes_continue: false,
            hold: Hold::default(),
        }
    }

    pub(super) fn awaits_client(&self) -> bool {
        self.awaits_client
    }

    /// Whether any byte of an answer came from the node.
    pub(super) fn has_begun(&self) -> bool {
        self.has_begun
    }

    /// Whether the client has a part of the final answer, or half of an interim one: nothing else
    /// can follow then.
    pub(super) fn is_told(&self) -> bool {
        self.is_told || self.sent > 0
    }

    /// What the client was told.
    pub(super) fn status(&self) -> Option<u16> {
        self.status.filter(|_| self.is_told)
    }

    /// Bytes of the body so far.
    pub(super) fn bytes(&self) -> u64 {
        self.reader.data() + self.unpacked
    }

    pub(super) fn keeps_client(&self) -> bool {
        self.keeps_client
    }

    pub(super) fn keeps_node(&self) -> bool {
        self.keeps_node
    }
}

impl Relay<'_> {
    /// Moves the answer on. It is ready at the answer's end, and when something is wrong.
    pub(super) fn poll_download(&mut self, cx: &mut Context<'_>) -> Poll<Stop> {
        loop {
            if !self.download.hold.is_on()
                && let Err(stop) = ready!(self.poll_tell(cx))
            {
                return Poll::Ready(stop);
            }
            let read = match self.download.state {
                State::Head | State::Body if matches!(self.wire, Wire::Ajp(_)) => self.read_ajp(),
                State::Last => return Poll::Ready(Stop::Answered),
                State::Head => self.read_head(),
                State::Body => self.read_body(),
            };
            let stop = match read {
                Ok(true) if self.tunnel.is_some() => return Poll::Pending,
                Ok(true) => continue,
                Ok(false) => match self.poll_read_node(cx) {
                    Poll::Ready(read) => read.err(),
                    Poll::Pending if self.download.hold.is_over(cx) => continue,
                    Poll::Pending => return Poll::Pending,
                },
                Err(stop) => Some(stop),
            };
            if let Some(stop) = stop {
                return Poll::Ready(stop);
            }
        }
    }

    /// Sends the client what is ready.
    fn poll_tell(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Stop>> {
        let Relay { client, download, node, .. } = self;
        let mut moved = false;
        let told = loop {
            let rest = &download.out[download.sent..];
            let (bytes, is_copy) = match (rest.is_empty(), download.ready) {
                (false, _) => (rest, true),
                (true, 1..) => (&node.buffer.data()[..download.ready], false),
                (true, 0) => break client.stream.poll_flush(cx),
            };
            match client.stream.poll_write(cx, bytes) {
                Poll::Ready(Ok(count)) if is_copy => download.sent += count,
                Poll::Ready(Ok(count)) => {
                    download.ready -= count;
                    node.buffer.consume(count);
                }
                other => break other.map(|written| written.map(|_| ())),
            }
            moved = true;
            download.is_told |= download.status.is_some();
        };
        download.awaits_client = told.is_pending();
        if moved {
            client.timer.spare_client();
        }
        if told.is_ready() {
            download.out.clear();
            download.sent = 0;
        }
        told.map(|told| told.map_err(|_| Stop::ClientGone))
    }

    fn poll_read_node(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Stop>> {
        let Relay { client, download, node, worker, .. } = self;
        if node.buffer.is_full() {
            // A long head; the parser bounds it.
            node.buffer.grow(node.buffer.capacity() * 2);
        }
        let size = match download.is_long_ajp() {
            true => LARGE,
            false => size_for(&download.reader),
        };
        let filled = node.stream.poll_fill(cx, &mut node.buffer, &worker.buffers, size);
        match ready!(filled) {
            Ok(1..) => {
                download.has_begun = true;
                client.timer.spare_node();
                Poll::Ready(Ok(()))
            }
            Ok(0) if download.ends_with_connection() => {
                if download.wraps {
                    download.out.extend_from_slice(LAST_CHUNK);
                }
                download.state = State::Last;
                Poll::Ready(Ok(()))
            }
            Ok(0) | Err(_) => Poll::Ready(Err(Stop::NodeGone)),
        }
    }

    /// False when more bytes are needed.
    fn read_head(&mut self) -> Result<bool, Stop> {
        let data = self.node.buffer.data();
        let seen = std::mem::replace(&mut self.download.looked_at, data.len());
        if !worth_parsing(data, seen, &self.worker.edge.policy.head_limits) {
            return Ok(false);
        }
        let parsed =
            parse_response(data, &self.worker.edge.policy.head_limits, self.download.question);
        let head = match parsed {
            Ok(None) => return Ok(false),
            Ok(Some(head)) => head,
            Err(error) => {
                tracing::debug!(%error, "a node's answer breaks the rules");
                return Err(Stop::NodeFault);
            }
        };
        match head.status {
            101 => self.open_tunnel(&head),
            100..200 => {
                self.download.looked_at = 0;
                self.pass_interim(&head)?;
            }
            _ => self.pass_head(&head)?,
        }
        Ok(true)
    }

    fn pass_interim(&mut self, head: &ResponseHead) -> Result<(), Stop> {
        let Relay { download, node, .. } = self;
        download.interim += 1;
        if download.interim > MAX_INTERIM {
            return Err(Stop::NodeFault);
        }
        // HTTP/1.0 knows none.
        if self.head.version == Version::Http11 {
            let changes = ResponseChanges::default();
            head.write(node.buffer.data(), &changes, &mut download.out);
        }
        node.buffer.consume(head.length);
        Ok(())
    }

    /// Whether the request may be served elsewhere, for its answer says only that it is not here.
    pub(super) fn is_withdrawn(&self, status: u16) -> bool {
        let (data, head) = (self.client.data(), self.head);
        let (host, path, method) = (head.host, head.path, head.method);
        self.upload.is_replayable()
            && self.worker.edge.is_withdrawn(
                self.exchange,
                status,
                host.text(data),
                path.text(data),
                method.text(data),
            )
    }

    fn pass_head(&mut self, head: &ResponseHead) -> Result<(), Stop> {
        if self.is_withdrawn(head.status) {
            return Err(Stop::Withdrawn);
        }
        self.exchange.answered();
        let is_old = self.head.version == Version::Http10;
        let is_closing = self.worker.phase.is_closing();
        let Relay { download, node, .. } = self;
        let (framing, keep, ends) = match head.body {
            ResponseBody::Chunked if is_old => (Framing::Close, Keep::Data, true),
            ResponseBody::Close if is_old => (Framing::Keep, Keep::Data, true),
            ResponseBody::Close => (Framing::Chunked, Keep::Data, false),
            ResponseBody::Chunked | ResponseBody::Length(_) | ResponseBody::None => {
                (Framing::Keep, Keep::Framing, false)
            }
        };
        download.reader = BodyReader::of_response(&head.body, keep);
        download.wraps = framing == Framing::Chunked;
        download.ends_client = ends;
        download.keeps_client = self.head.keep_alive && !ends && !is_closing;
        download.keeps_node = head.keep_alive;
        download.status = Some(head.status);
        let connection = match (download.keeps_client, is_old) {
            (true, true) => Connection::KeepAlive10,
            (true, false) => Connection::Keep,
            (false, _) => Connection::Close,
        };
        let changes = ResponseChanges { framing, connection, lines: &[] };
        head.write(node.buffer.data(), &changes, &mut download.out);
        node.buffer.consume(head.length);
        download.state = State::Body;
        // What came with the head leaves with it.
        self.read_body_into_out()
    }

    /// Takes what is in the buffer into the copy for the client.
    fn read_body_into_out(&mut self) -> Result<(), Stop> {
        let Relay { download, node, .. } = self;
        let buffer = &mut node.buffer;
        let taken = download.reader.take(buffer.data_mut()).map_err(|_| Stop::NodeFault)?;
        download.push_body(&buffer.data()[..taken.kept]);
        buffer.consume(taken.consumed);
        download.note_end();
        Ok(())
    }

    /// False when more bytes are needed.
    fn read_body(&mut self) -> Result<bool, Stop> {
        if self.download.wraps {
            let has_some = !self.node.buffer.is_empty();
            self.read_body_into_out()?;
            return Ok(has_some || self.download.state == State::Last);
        }
        let Relay { download, node, .. } = self;
        let buffer = &mut node.buffer;
        let has_some = !buffer.is_empty();
        let taken = download.reader.take(buffer.data_mut()).map_err(|_| Stop::NodeFault)?;
        buffer.cut(taken.kept, taken.consumed);
        download.ready = taken.kept;
        download.note_end();
        Ok(has_some || download.state == State::Last)
    }

    fn open_tunnel(&mut self, head: &ResponseHead) {
        self.exchange.answered();
        let Relay { download, node, client, .. } = self;
        download.status = Some(head.status);
        download.is_told = true;
        let changes =
            ResponseChanges { connection: Connection::Upgrade, ..ResponseChanges::default() };
        head.write(node.buffer.data(), &changes, &mut download.out);
        node.buffer.consume(head.length);
        let told = std::mem::take(&mut *download.out);
        let target = self.head.target.of(client.data()).into();
        // What the client sent ahead of the answer follows its head.
        client.buffer.consume(self.head.length);
        self.tunnel = Some(Tunnel::new(told, target));
    }
}

impl Download {
    /// Whether the end of the node's connection is the end of the answer.
    fn ends_with_connection(&self) -> bool {
        self.state == State::Body && self.reader.end().is_ok() && !self.reader.is_done()
    }

    /// Adds a part of the body to the copy for the client, who gets chunks where it `wraps`.
    pub(super) fn push_body(&mut self, data: &[u8]) {
        if self.wraps && !data.is_empty() {
            write_chunk_head(data.len(), &mut self.out);
            self.out.extend_from_slice(data);
            self.out.extend_from_slice(b"\r\n");
        } else {
            self.out.extend_from_slice(data);
        }
    }

    /// Notices that nothing more is to come.
    fn note_end(&mut self) {
        if self.reader.is_done() {
            self.state = State::Last;
        }
    }
}
