//! A node that speaks AJP: packets instead of heads and chunks.

use arrayvec::ArrayVec;
use muster_http1::{Class, LAST_CHUNK, MAX_HEADERS, RequestBody, RequestHead, TraceLines, Version};
use muster_protocol::ajp::{AnswerHead, Body, Event, Exchange, Forward, Tls, write_forward};
use muster_protocol::mcmp::NodeConfig;

use super::download::{Download, State};
use super::hold::{ENOUGH, Hold};
use super::upload::{Upload, stripped};
use super::{Relay, Stop, Wire};
use crate::engine::http1::Worker;
use crate::engine::http1::buffer::Text;
use crate::engine::http1::client::Client;
use crate::engine::http1::request::Asker;
use crate::proxy::Refused;
use crate::proxy::exchange::Target;
use crate::text::{push_ip, push_line, push_number};
use crate::trace::Trace;

/// What a client is told that waits for leave to send its body. No node says it over AJP.
const CONTINUE: &[u8] = b"HTTP/1.1 100 Continue\r\n\r\n";

/// An answer that is longer is read by large buffers.
const SHORT: u64 = 8 * 1024;

/// Characters of an IP address.
const LONGEST_IP: usize = 45;

/// Headers of a request with those that we add.
const LINES: usize = MAX_HEADERS + 8;

/// An exchange in packets.
pub(super) struct Packets {
    pub(super) exchange: Exchange,
    /// Data of the request's body that came, and how much of it is packed.
    pub(super) unpacked: Text,
    packed: usize,
}

/// An exchange, with the packet that opens it.
pub(super) fn begin(
    client: &Client,
    head: &RequestHead,
    asker: &Asker,
    worker: &Worker,
    target: &Target,
    trace: Option<&Trace>,
) -> Result<(Packets, Text), Refused> {
    let data = client.data();
    let ajp = &worker.edge.policy.ajp;
    let body = match head.body {
        RequestBody::None => Body::None,
        RequestBody::Length(length) => Body::Length(length),
        RequestBody::Chunked => Body::Unknown,
    };
    let stripped = stripped(client, head, target);
    let origin = stripped.as_ref().map_or(head.origin(data), |stripped| &stripped.target);
    let origin = std::str::from_utf8(origin).unwrap_or("/");
    let (uri, query) = match origin.split_once('?') {
        Some((uri, query)) => (uri, Some(query)),
        None => (origin, None),
    };
    let facts = client.stream.tls_facts();
    let certificate =
        facts.as_ref().and_then(|facts| facts.client_certificate.as_ref()).map(|own| own.pem());
    let tls = asker.is_tls.then(|| Tls {
        cipher: facts.as_ref().map(|facts| facts.cipher),
        key_size: facts.as_ref().map(|facts| facts.key_size),
        protocol: facts.as_ref().map(|facts| facts.version),
        certificate: certificate.as_deref(),
    });
    let host = head.host.text(data);
    let (server_name, server_port) = server(host, asker.is_tls);
    let mut address = Vec::with_capacity(LONGEST_IP);
    push_ip(asker.ip, &mut address);
    let address = std::str::from_utf8(&address).unwrap_or_default();
    let route = &target.node.config.route;
    let own = trace.map(|trace| (trace.value(), trace.lines()));
    let own = own.as_ref().map(|(value, lines)| (&value[..], *lines));
    let headers = lines(head, data, stripped.as_ref().map(|own| &*own.cookies), asker, own);
    let forward = Forward {
        method: head.method.text(data),
        protocol: "HTTP/1.1",
        uri,
        query,
        remote_addr: address,
        remote_port: client.address.port(),
        server_name,
        server_port,
        tls,
        route: Some(route.as_str()),
        secret: ajp.secret_of(route),
        body,
        headers: headers.iter().copied(),
    };
    let mut out = worker.buffers.text();
    let size = ajp.max_packet_size;
    write_forward(&forward, size, &mut out).map_err(|_| Refused::HeadTooLong)?;
    let is_head = head.method.of(data) == b"HEAD";
    let exchange = Exchange::new(body, is_head, size);
    Ok((Packets { exchange, unpacked: worker.buffers.text(), packed: 0 }, out))
}

/// The request's headers as the node is told them.
fn lines<'r>(
    head: &RequestHead,
    data: &'r [u8],
    cookies: Option<&'r [u8]>,
    asker: &'r Asker,
    trace: Option<(&'r [u8], TraceLines)>,
) -> ArrayVec<(&'r str, &'r [u8]), LINES> {
    let passed = head.headers(data).filter(|line| match line.class {
        Class::Hop | Class::Forwarding => false,
        Class::Cookie => cookies.is_none(),
        Class::TraceParent => trace.is_none(),
        Class::TraceState => !matches!(trace, Some((_, TraceLines::Begun))),
        Class::Host | Class::Other => true,
    });
    let host = head.host.of(data);
    let passed = passed.map(|line| match line.class {
        // That of an absolute target goes before its own.
        Class::Host => (line.name, host),
        _ => (line.name, line.value),
    });
    let cookies = cookies.filter(|cookies| !cookies.is_empty()).map(|own| ("Cookie", own));
    let told = std::str::from_utf8(&asker.lines).unwrap_or_default();
    let told = told.lines().filter_map(|line| line.split_once(':'));
    let told = told.map(|(name, value)| (name, value.trim_start().as_bytes()));
    let trace = trace.map(|(value, _)| ("traceparent", value));
    passed.chain(cookies).chain(told).chain(trace).take(LINES).collect()
}

/// The name and port that the client asked for.
fn server(host: &str, is_tls: bool) -> (&str, u16) {
    let usual = if is_tls { 443 } else { 80 };
    match host.rsplit_once(':') {
        // Not the colons within an IPv6 address.
        Some((name, port)) if !port.contains(']') => (name, port.parse().unwrap_or(usual)),
        _ => (host, usual),
    }
}

impl Wire {
    /// Whether the node has not asked for all that came of the request's body.
    pub(super) fn has_unpacked(&self) -> bool {
        matches!(self, Wire::Ajp(packets) if packets.packed < packets.unpacked.len())
    }

    /// Whether the node waits for the end of a body that it has all of.
    pub(super) fn owes_packet(&self) -> bool {
        matches!(self, Wire::Ajp(packets) if packets.exchange.wants() > 0)
    }

    /// Packs what the node asks for.
    pub(super) fn pack(&mut self, upload: &mut Upload) {
        let Wire::Ajp(packets) = self else { return };
        let Packets { exchange, unpacked, packed } = &mut **packets;
        let is_end = upload.is_received();
        while exchange.wants() > 0 && (*packed < unpacked.len() || is_end) {
            let more = exchange.send(&unpacked[*packed..], is_end, upload.out());
            *packed += more;
            if more == 0 {
                break;
            }
        }
        if *packed == unpacked.len() {
            unpacked.clear();
            *packed = 0;
        }
    }
}

impl Relay<'_> {
    /// Reads what the node has sent; false when more bytes are needed.
    pub(super) fn read_ajp(&mut self) -> Result<bool, Stop> {
        let mut is_due = self.download.out.len() >= ENOUGH;
        while self.download.out.len() < ENOUGH {
            let Relay { node, wire: Wire::Ajp(packets), download, client, worker, .. } = self
            else {
                return Err(Stop::NodeFault);
            };
            if node.buffer.is_empty() {
                break;
            }
            let received = packets.exchange.receive(node.buffer.data()).map_err(|error| {
                tracing::debug!(%error, "a node's answer breaks the rules");
                Stop::NodeFault
            })?;
            let consumed = received.consumed;
            match received.event {
                Event::More => {
                    node.buffer.consume(consumed);
                    break;
                }
                Event::Head(head) if head.is_interim() => {
                    if self.head.version == Version::Http11 {
                        write_lines(&head, &mut download.out);
                        download.out.extend_from_slice(b"\r\n");
                        is_due = true;
                    }
                    download.owes_continue &= head.status != 100;
                }
                Event::Head(head) => {
                    let status = head.status;
                    download.pass_ajp_head(&head, self.head, worker.phase.is_closing());
                    if self.is_withdrawn(status) {
                        return Err(Stop::Withdrawn);
                    }
                    self.exchange.answered();
                    self.node.buffer.consume(consumed);
                    continue;
                }
                Event::Body(data) => download.pass_ajp_body(data),
                Event::Flush => is_due = true,
                Event::Wants(_) => {
                    // The node waits for the client now, who is not late before it is asked.
                    client.timer.spare_node();
                    // Who waits for the answer before it sends more must have it.
                    is_due = true;
                    if std::mem::take(&mut download.owes_continue) {
                        download.out.extend_from_slice(CONTINUE);
                    }
                }
                Event::End => {
                    if download.wraps {
                        download.out.extend_from_slice(LAST_CHUNK);
                    }
                    download.state = State::Last;
                    download.hold.takes(0, true);
                    node.buffer.consume(consumed);
                    return Ok(true);
                }
            }
            node.buffer.consume(consumed);
        }
        let Download { out, hold, .. } = &mut self.download;
        Ok(!hold.takes(out.len(), is_due) && !out.is_empty())
    }
}

impl Download {
    /// The answer comes in packets. A client that waits for leave gets it at once where the first
    /// packet of its body goes unasked.
    pub(super) fn expect_ajp(&mut self, head: &RequestHead, config: &NodeConfig) {
        self.hold = Hold::of(config);
        self.owes_continue = head.expects_continue && head.version == Version::Http11;
        if self.owes_continue && matches!(head.body, RequestBody::Length(1..)) {
            self.owes_continue = false;
            self.out.extend_from_slice(CONTINUE);
        }
    }

    /// Whether so much of an answer in packets has come that more is to be expected.
    pub(super) fn is_long_ajp(&self) -> bool {
        self.unpacked > SHORT
    }

    fn pass_ajp_head(&mut self, head: &AnswerHead<'_>, asked: &RequestHead, is_closing: bool) {
        let is_old = asked.version == Version::Http10;
        let is_endless = head.length.is_none() && !head.is_bodiless;
        self.wraps = is_endless && !is_old;
        self.ends_client = is_endless && is_old;
        self.keeps_client = asked.keep_alive && !is_closing && !self.ends_client;
        self.status = Some(head.status);
        self.state = State::Body;
        let connection: &[u8] = match (self.keeps_client, is_old) {
            (true, true) => b"Connection: keep-alive\r\n",
            (true, false) => b"",
            (false, _) => b"Connection: close\r\n",
        };
        let chunked: &[u8] = if self.wraps { b"Transfer-Encoding: chunked\r\n" } else { b"" };
        write_lines(head, &mut self.out);
        if let Some(length) = head.length {
            self.out.extend_from_slice(b"Content-Length: ");
            push_number(length, &mut self.out);
            self.out.extend_from_slice(b"\r\n");
        }
        for end in [chunked, connection, b"\r\n"] {
            self.out.extend_from_slice(end);
        }
    }

    fn pass_ajp_body(&mut self, data: &[u8]) {
        self.unpacked += data.len() as u64;
        self.push_body(data);
    }
}

/// Writes the status line and the headers.
fn write_lines(head: &AnswerHead<'_>, out: &mut Vec<u8>) {
    out.extend_from_slice(b"HTTP/1.1 ");
    push_number(head.status.into(), out);
    out.push(b' ');
    out.extend_from_slice(head.message.as_bytes());
    out.extend_from_slice(b"\r\n");
    for (name, value) in head.headers() {
        push_line(name, value, out);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_is_told_the_name_and_the_port_that_the_client_asked_for() {
        assert_eq!(server("shop.example:8080", false), ("shop.example", 8080));
        assert_eq!(server("shop.example", true), ("shop.example", 443));
        assert_eq!(server("[::1]", false), ("[::1]", 80));
        assert_eq!(server("[::1]:81", false), ("[::1]", 81));
    }
}
