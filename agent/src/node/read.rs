//! The reading task of one connection: all frames that one read gave become events under one lock.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use muster_cluster::{MemberId, Message, NodeId};
use muster_grid::wire::BadWire;
use muster_grid::{Event, Wire, wire};
use tracing::debug;

use super::inner::Flush;
use super::shared::Shared;
use crate::channel::conn::Conn;
use crate::channel::frame::{HEAD, Head};
use crate::channel::hello::Lane;
use crate::channel::incoming::Incoming;
use crate::channel::service;
use crate::channel::stream::Source;

/// Reads until the connection ends.
pub(crate) async fn run(shared: Arc<Shared>, conn: Arc<Conn>, mut source: Source) {
    let mut incoming = Incoming::new(shared.settings.limits.most_frame);
    let mut wires = Vec::new();
    let why = loop {
        match source.read(incoming.room()).await {
            Ok(0) => break "it was closed".to_owned(),
            Ok(_) => {}
            Err(error) => break error.to_string(),
        }
        conn.reads.fetch_add(1, Ordering::Relaxed);
        let cut = cut(&shared, &conn, &mut incoming, &mut wires);
        shared.heard(&mut wires);
        if let Err(why) = cut {
            shared.not_linked(&conn.peer.to_string(), &why);
            break why;
        }
    };
    debug!(peer = %conn.life(), lane = ?conn.lane, why, "a connection ended");
    conn.out.close();
    shared.ended(&conn);
}

/// Cuts what was read into frames. Those of the core are gathered, others handled at once.
///
/// # Errors
/// Why the connection must be closed.
fn cut(
    shared: &Arc<Shared>,
    conn: &Arc<Conn>,
    incoming: &mut Incoming,
    wires: &mut Vec<(MemberId, Wire)>,
) -> Result<(), String> {
    let (mut frames, mut bytes) = (0, 0);
    while let Some(head) = incoming.head().map_err(|long| long.to_string())? {
        frames += 1;
        bytes += HEAD + head.len;
        match head.service {
            service::CORE => {
                match wire::decode(incoming.payload(head)) {
                    Ok(wire) => {
                        if let Wire::Cluster(message) = &wire {
                            shared.learn_addresses(message);
                        }
                        wires.push((conn.life(), wire));
                    }
                    Err(error @ BadWire::OutOfBounds(_)) => return Err(error.to_string()),
                    Err(error) => skipped(shared, &error),
                }
                incoming.done(head);
            }
            service::LINK => {
                linked(shared, conn, head.id, incoming.payload(head));
                incoming.done(head);
            }
            _ => served(shared, conn, incoming, head),
        }
    }
    shared.counts.received(conn.lane, frames, bytes);
    Ok(())
}

/// The link's own words.
fn linked(shared: &Shared, conn: &Arc<Conn>, what: u64, said: &[u8]) {
    match what {
        service::LINK_RENEWED => {
            if let Some(incarnation) = said.first_chunk::<8>() {
                shared.links.renewed(conn, u64::from_le_bytes(*incarnation));
            }
        }
        service::LINK_PEER => {
            if let Some((node, address)) = said.split_first_chunk::<16>()
                && let Ok(address) = std::str::from_utf8(address)
            {
                shared.learn(NodeId(u128::from_le_bytes(*node)), address);
            }
        }
        // A later release has more to say.
        _ => {}
    }
}

/// A later release may say more than this one understands.
fn skipped(shared: &Shared, error: &BadWire) {
    shared.counts.malformed.fetch_add(1, Ordering::Relaxed);
    debug!(%error, "a frame was passed over");
}

fn served(shared: &Shared, conn: &Conn, incoming: &mut Incoming, head: Head) {
    let handler = {
        let handlers = shared.handlers.read();
        handlers.get(usize::from(head.service)).cloned().flatten()
    };
    match handler {
        Some(handler) => handler.frame(conn.life(), head.id, incoming.take(head)),
        None => incoming.done(head),
    }
}

impl Shared {
    /// Who is spoken of will be spoken to: a coordinator answers a newcomer that it has never met,
    /// and members of one view all link with each other.
    fn learn_addresses(&self, message: &Message) {
        match message {
            Message::Join(joining) => self.learn(joining.id.node, &joining.address),
            Message::Promise(promise) => self.learn(promise.who.id.node, &promise.who.address),
            Message::Accept { view } | Message::Commit { view } => {
                view.members.iter().for_each(|member| self.learn(member.id.node, &member.address));
            }
            _ => {}
        }
    }

    fn learn(&self, node: NodeId, address: &str) {
        let mut book = self.book.lock();
        if node != book.me() && !self.links.has(node, Lane::Calls) {
            book.found(address, None, self.now());
            self.dial.notify_one();
        }
    }

    /// Gives the core all that came with one read.
    fn heard(self: &Arc<Self>, wires: &mut Vec<(MemberId, Wire)>) {
        if wires.is_empty() {
            return;
        }
        self.with(Flush::Now, |inner, now| {
            for (from, wire) in wires.drain(..) {
                inner.core.handle(Event::Wire { from, wire }, now);
            }
        });
    }

    /// A connection has ended: a life whose last one for calls it was is dialled once more.
    fn ended(self: &Arc<Self>, conn: &Arc<Conn>) {
        if self.stop.is_cancelled() {
            self.links.remove(conn);
            return;
        }
        self.with(Flush::Now, |inner, now| {
            if let Some(life) = self.links.remove(conn) {
                let closed = muster_cluster::Event::Closed(life);
                inner.core.handle(Event::Cluster(closed), now);
            } else if conn.lane == Lane::Calls && self.links.has(conn.peer, Lane::Calls) {
                // What was said on it goes on by another one.
                inner.core.handle(Event::Linked(conn.peer), now);
            }
        });
        self.dial.notify_one();
    }
}
