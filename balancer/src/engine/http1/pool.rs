//! A worker's idle connections to nodes.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::net::SocketAddr;
use std::time::Duration;

use foldhash::fast::RandomState;
use muster_routing::NodeId;

use super::stream::Stream;

/// Connections that wait for a request.
#[derive(Debug)]
pub(crate) struct Pool {
    idle: RefCell<HashMap<NodeId, Vec<Idle>, RandomState>>,
    count: Cell<usize>,
    /// Most of them at once.
    limit: Cell<usize>,
}

#[derive(Debug)]
struct Idle {
    stream: Stream,
    socket: SocketAddr,
    /// The clock's milliseconds when it was put here, and when it is too old.
    since: u64,
    until: u64,
}

impl Pool {
    pub(super) fn new(limit: usize) -> Pool {
        Pool { idle: RefCell::default(), count: Cell::new(0), limit: Cell::new(limit) }
    }

    /// From now on that many are kept at most; those that are here stay until they are too old.
    pub(super) fn set_limit(&self, limit: usize) {
        self.limit.set(limit);
    }

    /// The connection to the node that was used last and can be used again, and for how many
    /// milliseconds it was not.
    pub(super) fn take(&self, node: NodeId, socket: SocketAddr, now: u64) -> Option<(Stream, u64)> {
        let mut idle = self.idle.borrow_mut();
        let of_node = idle.get_mut(&node)?;
        while let Some(idle) = of_node.pop() {
            self.count.set(self.count.get() - 1);
            if idle.socket == socket && idle.until > now && idle.stream.is_quiet() {
                return Some((idle.stream, now.saturating_sub(idle.since)));
            }
        }
        None
    }

    /// Keeps a connection for `ttl`, if there is room.
    pub(super) fn put(
        &self,
        node: NodeId,
        socket: SocketAddr,
        stream: Stream,
        now: u64,
        ttl: Duration,
    ) {
        if self.count.get() < self.limit.get() {
            let until = now.saturating_add(u64::try_from(ttl.as_millis()).unwrap_or(u64::MAX));
            self.idle.borrow_mut().entry(node).or_default().push(Idle {
                stream,
                socket,
                since: now,
                until,
            });
            self.count.set(self.count.get() + 1);
        }
    }

    /// Closes what is too old or was ended by the node.
    pub(super) fn sweep(&self, now: u64) {
        let mut left = 0;
        self.idle.borrow_mut().retain(|_, of_node| {
            of_node.retain(|idle| idle.until > now && idle.stream.is_quiet());
            left += of_node.len();
            !of_node.is_empty()
        });
        self.count.set(left);
    }
}
