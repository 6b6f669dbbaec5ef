//! One request: gate, choice, attempts, and its line in the log.

use std::borrow::Cow;
use std::net::IpAddr;

use arrayvec::ArrayVec;
use muster_http1::{BadRequest, Class, MAX_COOKIES, RequestBody, RequestHead, Span, Version};
use muster_protocol::mcmp::{self, Scheme};
use muster_routing::retry::Failure;

use super::client::{After, Client};
use super::connect::{NotConnected, connect};
use super::relay::{Ended, Relay, Relayed};
use super::{Worker, answer};
use crate::proxy::edge::Asked;
use crate::proxy::headers::{self, Said, Seen};
use crate::proxy::{Ending, Exchange, Refused};
use crate::trace::Opening;

/// Who asks, as nodes and the log are told.
pub(super) struct Asker {
    pub(super) ip: IpAddr,
    /// Whether the client came over TLS, to us or to a trusted proxy.
    pub(super) is_tls: bool,
    /// The header lines that say so.
    pub(super) lines: Vec<u8>,
    /// What was said is said again to the next request for the same host.
    is_same_again: bool,
}

/// Serves the request whose head is in the client's buffer.
pub(super) async fn serve(client: &mut Client, head: &RequestHead, worker: &Worker) -> After {
    let edge = &worker.edge;
    let mut exchange = edge.begin();
    client.timer.total_within(edge.policy.total_timeout);
    let asker = Asker::of(client, head, worker);
    edge.trace(&mut exchange, || {
        let data = client.data();
        let parent = head.traceparent.map(|parent| parent.of(data));
        Opening { parent, host: head.host.text(data), is_tls: asker.is_tls }
    });
    let attempts = attempts(client, head, &asker, worker, &mut exchange).await;
    let Some(mut relayed) = attempts else {
        client.timer.clear();
        return After::HandOver;
    };
    let after = match relayed.ended {
        Ended::Done(after) => after,
        Ended::Cut => After::Cut,
        Ended::Refused(refused) => {
            exchange.refused = Some(refused);
            let after = own_answer(client, head, worker, refused, relayed.used.is_some()).await;
            relayed.status = (after != After::Cut).then(|| refused.status());
            after
        }
    };
    let data = client.data();
    let (method, target) = match &relayed.tunnel_to {
        Some(target) => ("GET", &**target),
        None => (head.method.text(data), head.target.of(data)),
    };
    let ending = Ending {
        client: Some(asker.ip),
        method,
        target,
        version: version(head.version),
        status: relayed.status,
        received: relayed.received,
        sent: relayed.sent,
    };
    edge.end(&mut exchange, ending);
    asker.remember(client);
    client.timer.clear();
    match relayed.leftover {
        Some(leftover) => client.buffer = leftover,
        None => client.buffer.consume(relayed.used.unwrap_or(head.length)),
    }
    after
}

/// Tells a client that its request cannot be read.
pub(super) async fn refuse(client: &mut Client, bad: BadRequest, worker: &Worker) -> After {
    let edge = &worker.edge;
    let mut exchange = edge.begin();
    let refused = Refused::Malformed(bad);
    exchange.refused = Some(refused);
    let mut out = worker.buffers.text();
    refused.write(false, true, &mut out);
    let sent = answer::send(client, &out, edge.policy.client_read_timeout).await;
    edge.end(&mut exchange, Ending::unread(client.address.ip(), refused, sent));
    if sent { After::Close } else { After::Cut }
}

impl Asker {
    /// Somebody of whom nodes are told by these header lines.
    pub(super) fn new(ip: IpAddr, is_tls: bool, lines: Vec<u8>) -> Asker {
        Asker { ip, is_tls, lines, is_same_again: false }
    }

    fn of(client: &mut Client, head: &RequestHead, worker: &Worker) -> Asker {
        let (peer, is_trusted) = (client.address.ip(), client.is_trusted);
        let mut lines = std::mem::take(&mut client.told.lines);
        let host = head.host.of(client.data());
        if !is_trusted && !lines.is_empty() && *client.told.host == *host {
            return Asker {
                ip: peer.to_canonical(),
                is_tls: client.is_tls,
                lines,
                is_same_again: true,
            };
        }
        let data = client.data();
        let mut said = Said::default();
        if is_trusted && head.has_forwarding() {
            for line in head.headers(data).filter(|line| line.class == Class::Forwarding) {
                said.note(line.name, line.value);
            }
        }
        let seen = Seen {
            peer: Some(peer),
            is_tls: client.is_tls,
            host: (!host.is_empty()).then_some(host),
        };
        let told = headers::told(seen, &said, &worker.edge.policy.trusted);
        lines.clear();
        headers::told_lines(&told, &mut lines);
        let (ip, is_tls) = (told.client.unwrap_or(peer), told.is_tls());
        let host = (!is_trusted).then(|| host.into());
        let is_same_again = host.is_some();
        if let Some(host) = host {
            client.told.host = host;
        }
        Asker { ip, is_tls, lines, is_same_again }
    }

    /// Remembers what was told for the next request.
    fn remember(self, client: &mut Client) {
        if self.is_same_again {
            client.told.lines = self.lines;
        }
    }
}

/// Tries nodes until one has answered, or nothing more may be tried. `None` where the node that is
/// chosen is one for the other engine, which is to serve the whole request.
async fn attempts(
    client: &mut Client,
    head: &RequestHead,
    asker: &Asker,
    worker: &Worker,
    exchange: &mut Exchange,
) -> Option<Relayed> {
    let edge = &worker.edge;
    if let Err(refused) = gate(client, head, worker) {
        return Some(Relayed::refused(refused));
    }
    loop {
        if let Err(refused) = choose(client, head, asker, worker, exchange).await {
            return Some(Relayed::refused(refused));
        }
        let Some(target) = &exchange.target else {
            return Some(Relayed::refused(Refused::NoNode));
        };
        let config = &target.node.config;
        if matches!(config.address.scheme, Scheme::H2 | Scheme::H2c) {
            // Not yet with this node: the other engine chooses for itself.
            exchange.in_flight = None;
            return None;
        }
        let within = edge.policy.connect_within(config);
        let fresh = exchange.raced || head.upgrade.is_some();
        let (failure, replayable) =
            match connect(worker, &client.timer, target, fresh, within).await {
                Ok(connected) => {
                    let relay = Relay::new(client, head, asker, worker, exchange, connected);
                    let relay = match relay {
                        Ok(relay) => relay,
                        Err(refused) => return Some(Relayed::refused(refused)),
                    };
                    match relay.run().await {
                        Ok(relayed) => return Some(relayed),
                        Err(failed) => (failed.failure, failed.replayable),
                    }
                }
                Err(NotConnected::Refused(error)) => {
                    tracing::debug!(%error, "cannot connect to a node");
                    edge.leave_out(exchange);
                    (Failure::Connect, true)
                }
                Err(NotConnected::Ours(error)) => {
                    tracing::warn!(%error, "no connection could be made to any node");
                    (Failure::Connect, true)
                }
            };
        let method = head.method.text(client.data());
        if !edge.failed(exchange, failure, method, replayable) {
            return Some(Relayed::refused(exchange.refused.unwrap_or(Refused::NodeFailed)));
        }
    }
}

/// Refuses what needs no node to be refused.
fn gate(client: &Client, head: &RequestHead, worker: &Worker) -> Result<(), Refused> {
    // MCMP has a port of its own; a proxy has no business with its commands.
    let data = client.data();
    let is_usual = matches!(head.method.of(data), b"GET" | b"HEAD" | b"POST" | b"PUT");
    if !is_usual && mcmp::method(head.method.text(data)).is_some() {
        return Err(Refused::Method);
    }
    match head.body {
        RequestBody::Length(length) if worker.edge.policy.is_too_long(length) => {
            Err(Refused::BodyTooLong)
        }
        _ => Ok(()),
    }
}

async fn choose(
    client: &Client,
    head: &RequestHead,
    asker: &Asker,
    worker: &Worker,
    exchange: &mut Exchange,
) -> Result<(), Refused> {
    let texts = cookies(client, head);
    let cookies: ArrayVec<&str, MAX_COOKIES> = texts.iter().map(|text| &**text).collect();
    worker.edge.choose(exchange, asked(client, head, Some(asker.ip), &cookies)).await
}

/// Whether another node could take a request that waits for the answer of its own.
pub(super) fn may_go_elsewhere(
    client: &Client,
    head: &RequestHead,
    worker: &Worker,
    exchange: &Exchange,
) -> bool {
    let texts = cookies(client, head);
    let cookies: ArrayVec<&str, MAX_COOKIES> = texts.iter().map(|text| &**text).collect();
    let method = head.method.text(client.data());
    worker.edge.may_go_elsewhere(exchange, asked(client, head, None, &cookies), method)
}

fn asked<'r>(
    client: &'r Client,
    head: &RequestHead,
    ip: Option<IpAddr>,
    cookies: &'r [&'r str],
) -> Asked<'r> {
    let data = client.data();
    Asked { client: ip, host: head.host.text(data), path: head.path.text(data), cookies }
}

fn cookies<'r>(client: &'r Client, head: &RequestHead) -> ArrayVec<Cow<'r, str>, MAX_COOKIES> {
    let data = client.data();
    // Other cookies may hold any byte; a session's own route is plain text.
    let text = |cookie: &Span| match std::str::from_utf8(cookie.of(data)) {
        Ok(text) => Cow::Borrowed(text),
        Err(_) => String::from_utf8_lossy(cookie.of(data)),
    };
    head.cookies.iter().map(text).collect()
}

/// Gives an answer of our own. The connection goes on where the request is known to be over.
async fn own_answer(
    client: &mut Client,
    head: &RequestHead,
    worker: &Worker,
    refused: Refused,
    has_begun: bool,
) -> After {
    let has_body = !matches!(head.body, RequestBody::None);
    let closes = has_body || has_begun || !head.keep_alive || worker.phase.is_closing();
    let is_head = head.method.of(client.data()) == b"HEAD";
    let mut out = worker.buffers.text();
    // HTTP/1.0 keeps a connection only when it is told so.
    let closes = closes || head.version == Version::Http10;
    refused.write(is_head, closes, &mut out);
    let sent = answer::send(client, &out, worker.edge.policy.client_read_timeout).await;
    match (sent, closes) {
        (false, _) => After::Cut,
        (true, true) if has_body || has_begun => After::Close,
        (true, true) => After::End,
        (true, false) => After::Keep,
    }
}

fn version(version: Version) -> &'static str {
    match version {
        Version::Http10 => "HTTP/1.0",
        Version::Http11 => "HTTP/1.1",
    }
}
