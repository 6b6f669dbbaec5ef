//! The request's way: from the client to the node.

use std::task::{Context, Poll};
use std::time::Duration;

use muster_http1::{BodyReader, Class, Keep, RequestChanges, RequestHead};

use super::{Relay, Stop, Wire};
use crate::engine::http1::buffer::{Held, LARGE, SMALL, Text, size_for};
use crate::engine::http1::client::Client;
use crate::engine::http1::request::Asker;
use crate::proxy::exchange::Target;
use crate::proxy::strip::{Stripped, strip};
use crate::proxy::{Policy, Refused};
use crate::trace::Trace;

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
    state: State,
    /// The clock's milliseconds since which the client is waited for, and how long it was before.
    waits_since: Option<u64>,
    waited: u64,
}

/// A body that is too long to be told twice, a buffer at a time.
struct Stage {
    buffer: Held,
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
    pub(super) fn new(head: &RequestHead, keep: Keep, out: Text) -> Upload {
        Upload {
            reader: BodyReader::of_request(&head.body, keep),
            out,
            sent: 0,
            used: head.length,
            stream: None,
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

    /// Bytes for the node, to be added to.
    pub(super) fn out(&mut self) -> &mut Vec<u8> {
        &mut self.out
    }

    /// What comes after the request, where the client's buffer does not hold it.
    pub(super) fn leftover(&mut self) -> Option<Held> {
        let mut stage = self.stream.take()?;
        stage.buffer.consume(stage.ready);
        Some(stage.buffer)
    }

    /// How long the client may take for the next bytes of its body: it may be silent for so long,
    /// and slower than the least rate only for as long as a head may take. An answer that it takes
    /// meanwhile is no excuse.
    pub(super) fn patience(&mut self, policy: &Policy, now: u64) -> Duration {
        let since = *self.waits_since.get_or_insert(now);
        let waited = self.waited + now.saturating_sub(since);
        policy.client_body.left(self.reader.data(), Duration::from_millis(waited))
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
    trace: Option<&Trace>,
    out: &mut Vec<u8>,
) {
    let data = client.data();
    let stripped = stripped(client, head, target);
    let address = &target.node.config.address;
    // HTTP/1.0 knows no Host; the node is spoken to in HTTP/1.1, which must have one.
    let own_host = head.host.is_empty().then(|| format!("{}:{}", address.host, address.port));
    let line = trace.map(Trace::line);
    let changes = RequestChanges {
        target: stripped.as_ref().map(|stripped| &*stripped.target),
        host: own_host.as_ref().map(String::as_bytes),
        cookies: stripped.as_ref().map(|stripped| &*stripped.cookies),
        keeps_forwarding: false,
        trace: trace.map(Trace::lines).unwrap_or_default(),
        lines: &[&asker.lines, line.as_ref().map_or(&[], |line| line)],
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
                State::Done if !self.wire.owes_packet() => return self.poll_leaving(cx),
                State::Deaf => return Poll::Pending,
                State::Done | State::Sending | State::Reading => {}
            }
            // What is in the buffer goes along with the head.
            if let Err(stop) = self.take_what_is_there() {
                return Poll::Ready(stop);
            }
            self.wire.pack(&mut self.upload);
            if self.poll_send(cx).is_pending() {
                return Poll::Pending;
            }
            if self.upload.state == State::Deaf {
                return Poll::Pending;
            }
            if self.wire.has_unpacked() {
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
        if upload.reader.is_done() || wire.has_unpacked() {
            return Ok(());
        }
        let (out, is_packed) = match wire {
            Wire::Http => (&mut upload.out, false),
            Wire::Ajp(packets) => (&mut packets.unpacked, true),
        };
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
                let taken = upload.reader.take(buffer.data_mut());
                let taken = taken.map_err(|_| Stop::ClientFault(Refused::BadBody))?;
                out.extend_from_slice(&buffer.data()[..taken.kept]);
                buffer.consume(taken.consumed);
            }
            Some(Stage { buffer, ready }) if *ready == 0 => {
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
                    match node.stream.poll_write(cx, &buffer.data()[..*ready]) {
                        Poll::Ready(Ok(count)) => {
                            buffer.consume(count);
                            *ready -= count;
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
        if upload.stream.is_none() && client.buffer.is_full() {
            upload.stream = Some(Stage { buffer: Held::default(), ready: 0 });
        }
        let filled = match &mut upload.stream {
            None => client.stream.poll_fill(cx, &mut client.buffer, &worker.buffers, SMALL),
            Some(stage) => {
                let size = size_for(&upload.reader).max(LARGE);
                client.stream.poll_fill(cx, &mut stage.buffer, &worker.buffers, size)
            }
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
            if buffer.is_full() {
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
