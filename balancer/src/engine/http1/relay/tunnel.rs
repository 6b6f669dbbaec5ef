//! After a 101: bytes both ways, whatever they mean.

use std::task::{Context, Poll};

use super::{Relay, Stop};
use crate::engine::http1::Worker;
use crate::engine::http1::buffer::{Held, SMALL};
use crate::engine::http1::stream::Stream;

/// A connection that was upgraded.
pub(super) struct Tunnel {
    /// The head of the 101.
    head: Vec<u8>,
    /// What the request asked for, for the log: its buffer is given back.
    pub(super) target: Box<[u8]>,
    sent: usize,
    client_ended: bool,
    node_ended: bool,
    /// Whether a byte went either way since it was asked last.
    moved: bool,
    pub(super) to_node: u64,
    pub(super) to_client: u64,
}

impl Tunnel {
    pub(super) fn new(head: Vec<u8>, target: Box<[u8]>) -> Tunnel {
        Tunnel {
            head,
            target,
            sent: 0,
            client_ended: false,
            node_ended: false,
            moved: true,
            to_node: 0,
            to_client: 0,
        }
    }

    pub(super) fn has_moved(&mut self) -> bool {
        std::mem::take(&mut self.moved)
    }
}

impl Relay<'_> {
    /// Ready when both sides have ended, or one of them broke off.
    pub(super) fn poll_tunnel(&mut self, cx: &mut Context<'_>) -> Poll<Stop> {
        let Relay { client, node, tunnel, worker, .. } = self;
        let Some(tunnel) = tunnel else { return Poll::Pending };
        while tunnel.sent < tunnel.head.len() {
            match client.stream.poll_write(cx, &tunnel.head[tunnel.sent..]) {
                Poll::Ready(Ok(count)) => tunnel.sent += count,
                Poll::Ready(Err(_)) => return Poll::Ready(Stop::ClientGone),
                Poll::Pending => return Poll::Pending,
            }
        }
        let before = tunnel.to_node + tunnel.to_client;
        if !tunnel.client_ended {
            let (from, to) = (&mut client.stream, &mut node.stream);
            match poll_pump(cx, from, &mut client.buffer, to, worker, &mut tunnel.to_node) {
                Poll::Ready(Ok(())) => tunnel.client_ended = true,
                Poll::Ready(Err(_)) => return Poll::Ready(Stop::Answered),
                Poll::Pending => {}
            }
        }
        if !tunnel.node_ended {
            let (from, to) = (&mut node.stream, &mut client.stream);
            match poll_pump(cx, from, &mut node.buffer, to, worker, &mut tunnel.to_client) {
                Poll::Ready(Ok(())) => tunnel.node_ended = true,
                Poll::Ready(Err(_)) => return Poll::Ready(Stop::Answered),
                Poll::Pending => {}
            }
        }
        tunnel.moved |= before != tunnel.to_node + tunnel.to_client;
        match tunnel.client_ended && tunnel.node_ended {
            true => Poll::Ready(Stop::Answered),
            false => Poll::Pending,
        }
    }
}

/// Moves bytes one way; ready when that way has ended, and the other side was told so.
fn poll_pump(
    cx: &mut Context<'_>,
    from: &mut Stream,
    held: &mut Held,
    to: &mut Stream,
    worker: &Worker,
    moved: &mut u64,
) -> Poll<std::io::Result<()>> {
    loop {
        if !held.is_empty() {
            match to.poll_write(cx, held.data()) {
                Poll::Ready(Ok(count)) => {
                    *moved += count as u64;
                    held.consume(count);
                    continue;
                }
                other => return other.map(|written| written.map(|_| ())),
            }
        }
        match from.poll_fill(cx, held, &worker.buffers, SMALL) {
            Poll::Ready(Ok(0)) => return to.poll_shutdown(cx),
            Poll::Ready(Ok(_)) => {}
            Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
            Poll::Pending => {
                // The other side has all of it.
                return match to.poll_flush(cx) {
                    Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
                    _ => Poll::Pending,
                };
            }
        }
    }
}
