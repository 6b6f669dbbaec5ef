//! A client's connection between two requests: it waits for a head, bounded in bytes and time.

use std::future::poll_fn;
use std::net::SocketAddr;
use std::rc::Rc;
use std::task::Poll;

use muster_http1::{BadRequest, RequestHead, parse_request, worth_parsing};

use super::buffer::{Held, LARGE, SMALL};
use super::stream::Stream;
use super::timer::Timer;
use super::{Caller, Worker, answer, request};

/// A client's connection.
#[derive(Debug)]
pub(super) struct Client {
    pub(super) stream: Stream,
    /// What was read and not yet used: the head of the request that is served, and what follows.
    pub(super) buffer: Held,
    pub(super) timer: Timer,
    pub(super) address: SocketAddr,
    /// Whether it came over TLS, to us or to who named it by the PROXY protocol.
    pub(super) is_tls: bool,
    /// Whether it is a proxy whose word about its clients is taken.
    pub(super) is_trusted: bool,
    pub(super) told: Told,
}

/// What nodes were told of the client with its last request.
#[derive(Debug, Default)]
pub(super) struct Told {
    /// The header lines; empty where the next request needs its own.
    pub(super) lines: Vec<u8>,
    /// The host that it was for.
    pub(super) host: Box<[u8]>,
}

/// What becomes of a connection after a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum After {
    /// The next request.
    Keep,
    /// An end: the client has sent all of its request.
    End,
    /// An end that waits for the client, which may still be sending.
    Close,
    /// It is of no use any more, and whoever reads it shall see that.
    Cut,
    /// It goes on with the other engine, with the request in its buffer.
    HandOver,
}

/// What a client sent.
#[derive(Debug)]
pub(super) enum Next {
    Head(Box<RequestHead>),
    Bad(BadRequest),
    /// Nothing, or not in time, or not all of it.
    Over,
}

/// Serves a connection to its end; gives it back where the other engine is to go on. Each request
/// is served by the configuration as it is when its head is there.
pub(super) async fn serve(mut client: Client, mut worker: Rc<Worker>) -> Option<Client> {
    loop {
        let next = client.next(&worker).await;
        if let Some(renewed) = worker.renewed() {
            worker = renewed;
            client.judge(&worker);
        }
        let after = match next {
            // Boxed: what a request needs is not there while the connection is idle.
            Next::Head(head) => Box::pin(request::serve(&mut client, &head, &worker)).await,
            // HTTP/2 with prior knowledge.
            Next::Bad(BadRequest::Preface) if !client.stream.is_tls() => return Some(client),
            Next::Bad(bad) => Box::pin(request::refuse(&mut client, bad, &worker)).await,
            Next::Over => return None,
        };
        match after {
            After::Keep => {}
            // TLS has a last word of its own.
            After::End if !client.stream.is_tls() && client.buffer.is_empty() => return None,
            After::End | After::Close => {
                let waits = after == After::Close || !client.buffer.is_empty();
                Box::pin(answer::linger(client, &worker, waits)).await;
                return None;
            }
            After::Cut => return None,
            After::HandOver => return Some(client),
        }
    }
}

impl Client {
    pub(super) fn new(stream: Stream, caller: Caller, worker: &Worker) -> Client {
        let is_tls = stream.is_tls() || caller.is_tls;
        let timer = worker.clock.timer();
        let Caller { address, .. } = caller;
        let is_trusted = worker.edge.policy.trusted.contains(address.ip());
        let told = Told::default();
        Client { stream, buffer: Held::default(), timer, address, is_tls, is_trusted, told }
    }

    /// Looks anew whether its word is taken.
    fn judge(&mut self, worker: &Worker) {
        self.is_trusted = worker.edge.policy.trusted.contains(self.address.ip());
        self.told = Told::default();
    }

    /// What is in the buffer.
    pub(super) fn data(&self) -> &[u8] {
        self.buffer.data()
    }

    /// Waits for the next head.
    pub(super) async fn next(&mut self, worker: &Worker) -> Next {
        let policy = &worker.edge.policy;
        // Idle until its first byte; then the head has a time of its own.
        let mut is_idle = self.buffer.is_empty();
        self.timer.set_idle(true);
        self.timer.client_within(match is_idle {
            true => policy.client_idle_timeout,
            false => policy.client_head_timeout,
        });
        let mut looked_at = 0;
        loop {
            if let Some(next) = self.look(worker, &mut looked_at) {
                self.timer.set_idle(false);
                self.timer.spare_client();
                return next;
            }
            if !self.fill(worker).await {
                return Next::Over;
            }
            if std::mem::take(&mut is_idle) {
                self.timer.client_within(policy.client_head_timeout);
            }
        }
    }

    /// Whether the head is there. Looks again only when another line is: a head that comes byte
    /// by byte costs no more than its lines.
    fn look(&mut self, worker: &Worker, looked_at: &mut usize) -> Option<Next> {
        let data = self.data();
        let seen = std::mem::replace(looked_at, data.len());
        if data.is_empty() || !worth_parsing(data, seen, &worker.edge.policy.head_limits) {
            return None;
        }
        match parse_request(data, &worker.edge.policy.head_limits) {
            Ok(Some(head)) => Some(Next::Head(Box::new(head))),
            Ok(None) => None,
            Err(bad) => Some(Next::Bad(bad)),
        }
    }

    /// Reads more of the head; false when there is nothing more to come in time.
    async fn fill(&mut self, worker: &Worker) -> bool {
        if self.buffer.is_full() {
            self.buffer.grow((self.buffer.capacity() * 2).max(LARGE));
        }
        let Client { stream, buffer, timer, .. } = self;
        let filled = poll_fn(|cx| {
            match stream.poll_fill(cx, buffer, &worker.buffers, SMALL) {
                Poll::Ready(filled) => Poll::Ready(filled.unwrap_or(0)),
                // Late: as good as gone.
                Poll::Pending => timer.poll_late(cx).map(|_| 0),
            }
        });
        filled.await > 0
    }
}
