//! The bytes of one attempt, both ways at once.
//!
//! The request's way is in `upload`, the answer's in `download`; neither waits for the other, so
//! a node may answer while it is still being told, or without having listened to the end. What
//! fits the client's first buffer is kept there until the answer begins, so that it can be told
//! again to another node.
//!
//! Nobody is waited for without a bound: see [`Relay::watch_the_time`].

mod ajp;
mod download;
mod hold;
mod tunnel;
mod upload;

use std::future::poll_fn;
use std::net::SocketAddr;
use std::task::{Context, Poll};
use std::time::Duration;

use muster_http1::{Keep, Question, RequestHead};
use muster_protocol::mcmp::Scheme;
use muster_routing::NodeId;
use muster_routing::retry::Failure;

use self::ajp::Packets;
use self::download::Download;
use self::tunnel::Tunnel;
use self::upload::Upload;
use super::Worker;
use super::buffer::Held;
use super::client::{After, Client};
use super::connect::Connected;
use super::request::{self, Asker};
use super::stream::Stream;
use super::timer::Late;
use crate::proxy::{Exchange, Refused};

/// One attempt under way.
pub(super) struct Relay<'a> {
    client: &'a mut Client,
    head: &'a RequestHead,
    worker: &'a Worker,
    exchange: &'a Exchange,
    node: Node,
    wire: Wire,
    upload: Upload,
    download: Download,
    tunnel: Option<Tunnel>,
    silence: Duration,
}

/// What is spoken with the node.
enum Wire {
    Http,
    Ajp(Box<Packets>),
}

/// The node's side.
struct Node {
    stream: Stream,
    buffer: Held,
    reused: bool,
    id: NodeId,
    socket: SocketAddr,
    ttl: Duration,
}

/// What came of a request.
#[derive(Debug)]
pub(super) struct Relayed {
    pub(super) ended: Ended,
    /// What the client was told.
    pub(super) status: Option<u16>,
    /// Bytes of the request's body.
    pub(super) received: u64,
    /// Bytes of the answer's body.
    pub(super) sent: u64,
    /// How much of the client's buffer was the request, where a node was told of it.
    pub(super) used: Option<usize>,
    /// The target of a request that became a tunnel: the client's buffer does not hold it any
    /// more.
    pub(super) tunnel_to: Option<Box<[u8]>>,
    /// What takes the place of the client's buffer.
    pub(super) leftover: Option<Held>,
}

/// How it ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ended {
    /// The client has the whole answer.
    Done(After),
    /// The client is to be told this.
    Refused(Refused),
    /// The client is gone, or has a part of an answer that has no end.
    Cut,
}

/// An attempt that left the client without a byte.
#[derive(Debug)]
pub(super) struct Failed {
    pub(super) failure: Failure,
    /// Whether the whole request can be told again.
    pub(super) replayable: bool,
}

/// Why a relay stops.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stop {
    /// The answer is over.
    Answered,
    /// The client is gone.
    ClientGone,
    /// The client broke the rules; the client is told, if it still can be.
    ClientFault(Refused),
    /// The node's connection ended.
    NodeGone,
    /// The node's answer breaks the rules.
    NodeFault,
    /// The node has taken the context away meanwhile, and its answer says just that.
    Withdrawn,
    /// The node was left out meanwhile, and another can take the request.
    LeftOut,
    /// Somebody took too long.
    Late(Late),
}

impl Relayed {
    /// No node has it.
    pub(super) fn refused(refused: Refused) -> Relayed {
        Relayed {
            ended: Ended::Refused(refused),
            status: None,
            received: 0,
            sent: 0,
            used: None,
            tunnel_to: None,
            leftover: None,
        }
    }
}

impl<'a> Relay<'a> {
    pub(super) fn new(
        client: &'a mut Client,
        head: &'a RequestHead,
        asker: &Asker,
        worker: &'a Worker,
        exchange: &'a Exchange,
        connected: Connected,
    ) -> Result<Relay<'a>, Refused> {
        let policy = &worker.edge.policy;
        let target = exchange.target.as_ref().expect("a connection was made to it");
        let silence = policy.node_silence(&target.node.config);
        let node = Node {
            stream: connected.stream,
            buffer: Held::default(),
            reused: connected.reused,
            id: target.node.id,
            socket: target.socket,
            ttl: policy.keep_within(&target.node.config),
        };
        let question = Question {
            is_head: head.method.of(client.data()) == b"HEAD",
            asks_upgrade: head.upgrade.is_some(),
        };
        let mut download = Download::new(question, worker);
        let trace = exchange.trace.as_deref();
        let (wire, upload) = match target.node.config.address.scheme {
            Scheme::Ajp => {
                let begun = ajp::begin(client, head, asker, worker, target, trace);
                let (packets, out) = match begun {
                    Ok(begun) => begun,
                    Err(refused) => {
                        // Nothing was sent on it.
                        node.keep(worker, client.timer.now());
                        return Err(refused);
                    }
                };
                download.expect_ajp(head, &target.node.config);
                (Wire::Ajp(Box::new(packets)), Upload::new(head, Keep::Data, out))
            }
            Scheme::Http | Scheme::Https | Scheme::H2 | Scheme::H2c => {
                let mut out = worker.buffers.text();
                upload::write_head(client, head, asker, target, trace, &mut out);
                (Wire::Http, Upload::new(head, Keep::Framing, out))
            }
        };
        let tunnel = None;
        Ok(Relay { client, head, worker, exchange, node, wire, upload, download, tunnel, silence })
    }

    /// Runs to the end.
    pub(super) async fn run(mut self) -> Result<Relayed, Failed> {
        let stop = poll_fn(|cx| self.poll(cx)).await;
        self.client.timer.spare_client();
        self.client.timer.spare_node();
        self.end(stop)
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Stop> {
        let stopped = match self.tunnel.is_some() {
            true => self.poll_tunnel(cx),
            false => self.poll_exchange(cx),
        };
        match stopped {
            Poll::Ready(stop) => Poll::Ready(stop),
            Poll::Pending if self.is_left_out() => Poll::Ready(Stop::LeftOut),
            Poll::Pending => {
                self.watch_the_time();
                self.client.timer.poll_late(cx).map(Stop::Late)
            }
        }
    }

    fn poll_exchange(&mut self, cx: &mut Context<'_>) -> Poll<Stop> {
        // The answer first: one that comes early ends the upload.
        if let Poll::Ready(stop) = self.poll_download(cx) {
            return Poll::Ready(stop);
        }
        if self.tunnel.is_some() {
            return self.poll_tunnel(cx);
        }
        self.poll_upload(cx)
    }

    /// Sets the deadlines of those who are waited for, and takes back the others'. A deadline that
    /// runs goes on until there is progress, which takes it back.
    fn watch_the_time(&mut self) {
        let timer = &self.client.timer;
        if let Some(tunnel) = &mut self.tunnel {
            if tunnel.has_moved() {
                // A tunnel has no end of its own.
                timer.clear();
                timer.client_within(self.worker.edge.policy.tunnel_timeout);
            }
            return;
        }
        let from_client = self.upload.awaits_client();
        match (from_client || self.download.awaits_client(), timer.is_for_client()) {
            (true, false) if from_client => {
                timer.client_within(self.upload.patience(&self.worker.edge.policy, timer.now()));
            }
            (true, false) => timer.client_within(self.worker.edge.policy.client_read_timeout),
            (false, true) => timer.spare_client(),
            (true, true) | (false, false) => {}
        }
        // A node that waits for the client's bytes is not silent.
        let awaits_node = self.upload.awaits_node() || !from_client;
        let awaits_node = awaits_node && !self.download.awaits_client();
        match (awaits_node, timer.is_for_node()) {
            (true, false) => timer.node_within(self.silence),
            (false, true) => timer.spare_node(),
            (true, true) | (false, false) => {}
        }
    }

    /// Whether it waits in vain, as far as anybody knows, and need not: where no other node can take
    /// the request, this one may still answer it.
    fn is_left_out(&self) -> bool {
        let Some(target) = &self.exchange.target else { return false };
        target.node.live.is_left_out()
            && self.tunnel.is_none()
            && !self.download.has_begun()
            && self.upload.is_replayable()
            && request::may_go_elsewhere(self.client, self.head, self.worker, self.exchange)
    }

    fn end(mut self, stop: Stop) -> Result<Relayed, Failed> {
        let is_told = self.download.is_told();
        let ended = match stop {
            Stop::Answered => Ended::Done(self.after()),
            Stop::ClientGone => Ended::Cut,
            _ if is_told => {
                if self.download.ends_client {
                    // An end in order would pass for the end of the body.
                    self.client.stream.reset();
                }
                Ended::Cut
            }
            Stop::ClientFault(refused) => Ended::Refused(refused),
            Stop::Late(Late::Client) => Ended::Refused(Refused::ClientSlow),
            // What AJP began to tell stays unsaid as long as the client was told none of it.
            Stop::NodeGone if !self.download.has_begun() || matches!(self.wire, Wire::Ajp(_)) => {
                return Err(self.failed(Failure::Unanswered { reused: self.node.reused }));
            }
            Stop::Withdrawn => return Err(self.failed(Failure::Withdrawn)),
            Stop::LeftOut => {
                // What the network still holds of it shall not reach the node when that is back.
                self.node.stream.reset();
                return Err(self.failed(Failure::LeftOut));
            }
            Stop::Late(Late::Node) => return Err(self.failed(Failure::TimedOut)),
            Stop::NodeGone | Stop::NodeFault => return Err(self.failed(Failure::Answered)),
            Stop::Late(Late::Total) => Ended::Refused(match self.upload.awaits_client() {
                true => Refused::ClientSlow,
                false => Refused::NodeSilent,
            }),
        };
        let mut relayed = Relayed {
            ended,
            status: self.download.status(),
            received: self.upload.bytes() + self.tunnel.as_ref().map_or(0, |t| t.to_node),
            sent: self.download.bytes() + self.tunnel.as_ref().map_or(0, |t| t.to_client),
            used: Some(self.upload.used()),
            leftover: self.upload.leftover(),
            tunnel_to: None,
        };
        match self.tunnel.take() {
            Some(tunnel) => relayed.tunnel_to = Some(tunnel.target),
            None if matches!(ended, Ended::Done(_)) => self.give_back(),
            None => {}
        }
        Ok(relayed)
    }

    fn failed(&self, failure: Failure) -> Failed {
        Failed { failure, replayable: self.upload.is_replayable() }
    }

    /// What becomes of the client's connection after the whole answer.
    fn after(&self) -> After {
        match self.tunnel.is_some() {
            true => After::Cut,
            false if !self.upload.is_received() => After::Close,
            false if self.download.keeps_client() => After::Keep,
            false => After::End,
        }
    }

    /// Puts the node's connection into the pool, if nothing is left on it.
    fn give_back(self) {
        let is_clean = self.node.buffer.is_empty() && self.upload.is_done();
        let keeps = match &self.wire {
            Wire::Http => self.download.keeps_node(),
            Wire::Ajp(packets) => packets.exchange.is_reusable(),
        };
        if is_clean && keeps {
            self.node.keep(self.worker, self.client.timer.now());
        }
    }
}

impl Node {
    /// Puts the connection into the pool.
    fn keep(self, worker: &Worker, now: u64) {
        let Node { stream, id, socket, ttl, .. } = self;
        worker.pool.put(id, socket, stream, now, ttl);
    }
}
