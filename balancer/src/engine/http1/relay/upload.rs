//! The request's way: from the client to the node.

use std::task::{Context, Poll};
use std::time::Duration;

use muster_http1::{BodyReader, Class, Keep, RequestChanges, RequestHead};

use super::{Relay, Stop, Wire};
use crate::engine::http1::Worker;
use crate::engine::http1::buffer::{Buffer, LARGE, SMALL, Text};
use crate::engine::http1::client::Client;
use crate::engine::http1::request::Asker;
use crate::proxy::exchange::Target;
use crate::proxy::strip::{Stripped, strip};
use crate::proxy::{Policy, Refused};

/// How far the request has come.
pub(super) struct Upload {
    reader: BodyReader,
    /// Bytes for the node that are copies: the head, and what of the body can be told again.
    out: Text,
    sent: usize,
    /// How much of the client's buffer is in `out` or sent: the head, and the body so far.
    used: usize,
    /// Holds the body once it has outgrown the client's buffer: from then on nothing is told
    /// twice.
    stream: Option<Stage>,
    /// Of AJP: data that is not packed yet, and how much of it is.
    unpacked: Text,
    packed: usize,
    state: State,
    /// The clock's milliseconds since which the client is waited for, and how long it was before.
    waits_since: Option<u64>,
    waited: u64,
}

/// A body that is too long to be told twice, a buffer at a time.
struct Stage {
    buffer: Option<Buffer>,
    /// Bytes at the buffer's start that are for the node.
    ready: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// The node has not taken what there is.
    Sending,
    /// The client has not sent what comes next.
    Reading,
    /// The node takes no more.
    Deaf,
    Done,
}

impl Upload {
    /// `out` is the head for this node.
    pub(super) fn new(head: &RequestHead, keep: Keep, out: Text, worker: &Worker) -> Upload {
        Upload {
            reader: BodyReader::of_request(&head.body, keep),
            out,
            sent: 0,
            used: head.length,
            stream: None,
            unpacked: worker.buffers.text(),
            packed: 0,
            state: State::Sending,
            waits_since: None,
            waited: 0,
        }
    }

    /// Whether the client has nothing more to send.
    pub(super) fn is_received(&self) -> bool {
        self.reader.is_done()
    }

    pub(super) fn is_done(&self) -> bool {
        self.state == State::Done
    }

    /// Whether everything that was sent is still in the client's buffer.
    pub(super) fn is_replayable(&self) -> bool {
        self.stream.is_none()
    }

    pub(super) fn awaits_client(&self) -> bool {
        self.state == State::Reading
    }

    pub(super) fn awaits_node(&self) -> bool {
        self.state == State::Sending
    }

    /// Bytes of the body so far.
    pub(super) fn bytes(&self) -> u64 {
        self.reader.data()
    }

    pub(super) fn used(&self) -> usize {
        self.used
    }

    /// What comes after the request, where the client's buffer does not hold it.
    pub(super) fn leftover(&mut self) -> Option<Option<Buffer>> {
        let mut stage = self.stream.take()?;
        if let Some(buffer) = &mut stage.buffer {
            buffer.consume(stage.ready);
        }
        Some(stage.buffer.filter(|buffer| !buffer.is_empty()))
    }

    /// How long the client may take for the next bytes of its body: it may be silent for so long,
    /// and slower than the least rate only for as long as a head may take. An answer that it takes
    /// meanwhile is no excuse.
    pub(super) fn patience(&mut self, policy: &Policy, now: u64) -> Duration {
        let since = *self.waits_since.get_or_insert(now);
        let waited = self.waited + now.saturating_sub(since);
        policy.client_body.left(self.reader.data(), Duration::from_millis(waited))
    }

    fn has_unpacked(&self) -> bool {
        self.packed < self.unpacked.len()
    }

    fn heard(&mut self, now: u64) {
        if let Some(since) = self.waits_since.take() {
            self.waited += now.saturating_sub(since);
        }
    }
}

/// The head as this node is told it.
pub(super) fn write_head(
    client: &Client,
    head: &RequestHead,
    asker: &Asker,
    target: &Target,
    out: &mut Vec<u8>,
) {
    let data = client.data();
    let stripped = stripped(client, head, target);
    let address = &target.node.config.address;
    // HTTP/1.0 knows no Host; the node is spoken to in HTTP/1.1, which must have one.
    let own_host = head.host.is_empty().then(|| format!("{}:{}", address.host, address.port));
    let changes = RequestChanges {
        target: stripped.as_ref().map(|stripped| &*stripped.target),
        host: own_host.as_ref().map(String::as_bytes),
        cookies: stripped.as_ref().map(|stripped| &*stripped.cookies),
        keeps_forwarding: false,
        lines: &[&asker.lines],
    };
    head.write(data, &changes, out);
}

/// Cookies and target without the session id, where it is to be taken out.
pub(super) fn stripped(client: &Client, head: &RequestHead, target: &Target) -> Option<Stripped> {
    let data = client.data();
    target.strip_session.then(|| {
        let cookies = head.headers(data).filter(|line| line.class == Class::Cookie);
        strip(cookies.map(|line| line.value), head.origin(data), &target.node.settings)
    })
}

impl Relay<'_> {
    /// Moves the request on. It is ready only when something is wrong.
    pub(super) fn poll_upload(&mut self, cx: &mut Context<'_>) -> Poll<Stop> {
        loop {
            match self.upload.state {
                State::Done if !self.owes_packet() => return self.poll_leaving(cx),
                State::Deaf => return Poll::Pending,
                State::Done | State::Sending | State::Reading => {}
            }
            // What is in the buffer goes along with the head.
            if let Err(stop) = self.take_what_is_there() {
                return Poll::Ready(stop);
            }
            self.pack();
            if self.poll_send(cx).is_pending() {
                return Poll::Pending;
            }
            if self.upload.state == State::Deaf {
                return Poll::Pending;
            }
            if self.upload.has_unpacked() {
                // The node has not asked for it.
                self.upload.state = State::Sending;
                return Poll::Pending;
            }
            if self.upload.reader.is_done() {
                self.upload.state = State::Done;
                continue;
            }
            match self.poll_read_client(cx) {
                Poll::Ready(Ok(())) => {}
                Poll::Ready(Err(stop)) => return Poll::Ready(stop),
                Poll::Pending => return Poll::Pending,
            }
        }
    }

    /// Makes the bytes that were read ready for the node.
    fn take_what_is_there(&mut self) -> Result<(), Stop> {
        let Relay { client, upload, worker, wire, .. } = self;
        if upload.reader.is_done() || upload.has_unpacked() {
            return Ok(());
        }
        let is_packed = matches!(wire, Wire::Ajp(_));
        let out = if is_packed { &mut upload.unpacked } else { &mut upload.out };
        match &mut upload.stream {
            None => {
                let Some(raw) = client.data().get(upload.used..).filter(|raw| !raw.is_empty())
                else {
                    return Ok(());
                };
                let from = out.len();
                out.extend_from_slice(raw);
                let taken = upload.reader.take(&mut out[from..]);
                let taken = taken.map_err(|_| Stop::ClientFault(Refused::BadBody))?;
                out.truncate(from + taken.kept);
                upload.used += taken.consumed;
            }
            Some(Stage { buffer, .. }) if is_packed => {
                let Some(held) = buffer else { return Ok(()) };
                let taken = upload.reader.take(held.data_mut());
                let taken = taken.map_err(|_| Stop::ClientFault(Refused::BadBody))?;
                out.extend_from_slice(&held.data()[..taken.kept]);
                held.consume(taken.consumed);
                if held.is_empty() {
                    *buffer = None;
                }
            }
            Some(Stage { buffer: Some(buffer), ready }) if *ready == 0 => {
                let taken = upload.reader.take(buffer.data_mut());
                let taken = taken.map_err(|_| Stop::ClientFault(Refused::BadBody))?;
                buffer.cut(taken.kept, taken.consumed);
                *ready = taken.kept;
            }
            Some(_) => {}
        }
        match worker.edge.policy.is_too_long(upload.reader.data()) {
            true => Err(Stop::ClientFault(Refused::BodyTooLong)),
            false => Ok(()),
        }
    }

    /// Whether the node waits for the end of a body that it has all of.
    fn owes_packet(&self) -> bool {
        matches!(&self.wire, Wire::Ajp(ajp) if ajp.wants() > 0)
    }

    /// Packs for an AJP node what it asks for.
    fn pack(&mut self) {
        let Relay { upload, wire: Wire::Ajp(ajp), .. } = self else { return };
        while ajp.wants() > 0 {
            let data = &upload.unpacked[upload.packed..];
            let is_end = upload.reader.is_done();
            if data.is_empty() && !is_end {
                break;
            }
            let packed = ajp.send(data, is_end, &mut upload.out);
            upload.packed += packed;
            if packed == 0 {
                break;
            }
        }
        if !upload.has_unpacked() {
            upload.unpacked.clear();
            upload.packed = 0;
        }
    }

    /// Sends what is ready; a node that takes no more may still answer.
    fn poll_send(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let Relay { client, upload, node, .. } = self;
        let mut moved = false;
        let sent = loop {
            let rest = &upload.out[upload.sent..];
            if !rest.is_empty() {
                match node.stream.poll_write(cx, rest) {
                    Poll::Ready(Ok(count)) => upload.sent += count,
                    other => break other.map(|_| false),
                }
                moved = true;
                continue;
            }
            match &mut upload.stream {
                Some(Stage { buffer, ready }) if *ready > 0 => {
                    let Some(held) = buffer else { break Poll::Ready(false) };
                    match node.stream.poll_write(cx, &held.data()[..*ready]) {
                        Poll::Ready(Ok(count)) => {
                            held.consume(count);
                            *ready -= count;
                            if held.is_empty() {
                                *buffer = None;
                            }
                        }
                        other => break other.map(|_| false),
                    }
                    moved = true;
                }
                _ => break node.stream.poll_flush(cx).map(|flushed| flushed.is_ok()),
            }
        };
        if moved {
            client.timer.spare_node();
        }
        match sent {
            Poll::Ready(true) => {
                upload.out.clear();
                upload.sent = 0;
                Poll::Ready(())
            }
            Poll::Ready(false) => {
                upload.state = State::Deaf;
                Poll::Ready(())
            }
            Poll::Pending => {
                upload.state = State::Sending;
                Poll::Pending
            }
        }
    }

    fn poll_read_client(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Stop>> {
        let Relay { client, upload, worker, .. } = self;
        let is_full = client.buffer.as_ref().is_some_and(Buffer::is_full);
        if upload.stream.is_none() && is_full {
            upload.stream = Some(Stage { buffer: None, ready: 0 });
        }
        let filled = match &mut upload.stream {
            None => client.stream.poll_fill(cx, &mut client.buffer, &worker.buffers, SMALL),
            Some(stage) => client.stream.poll_fill(cx, &mut stage.buffer, &worker.buffers, LARGE),
        };
        match filled {
            Poll::Ready(Ok(1..)) => {
                upload.heard(client.timer.now());
                client.timer.spare_client();
                Poll::Ready(Ok(()))
            }
            Poll::Ready(Ok(0) | Err(_)) => Poll::Ready(Err(Stop::ClientGone)),
            Poll::Pending => {
                upload.state = State::Reading;
                Poll::Pending
            }
        }
    }

    /// While the answer is awaited: a client that leaves need not be answered. What it sends ahead
    /// is kept for later, as far as it fits.
    fn poll_leaving(&mut self, cx: &mut Context<'_>) -> Poll<Stop> {
        let Relay { client, upload, worker, .. } = self;
        loop {
            let buffer = match &mut upload.stream {
                Some(stage) => &mut stage.buffer,
                None => &mut client.buffer,
            };
            if buffer.as_ref().is_some_and(Buffer::is_full) {
                return Poll::Pending;
            }
            match client.stream.poll_fill(cx, buffer, &worker.buffers, SMALL) {
                Poll::Ready(Ok(1..)) => {}
                Poll::Ready(Ok(0) | Err(_)) => return Poll::Ready(Stop::ClientGone),
                Poll::Pending => return Poll::Pending,
            }
        }
    }
}
