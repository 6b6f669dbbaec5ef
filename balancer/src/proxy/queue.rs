//! The requests that wait for a node: bounded in number here, in time by who waits.

use std::sync::atomic::{AtomicUsize, Ordering};

use prometheus_client::metrics::gauge::Gauge;
use tokio::sync::Notify;
use tokio::sync::futures::Notified;

/// The requests that wait for a node.
#[derive(Debug, Default)]
pub(super) struct Queue {
    waiting: AtomicUsize,
    freed: Notify,
}

/// Counts a request that waits; taken back when dropped.
pub(super) struct Place<'q> {
    queue: &'q Queue,
    shown: &'q Gauge,
}

impl Queue {
    /// A place, if fewer than `limit` wait.
    pub(super) fn take_place<'q>(&'q self, limit: usize, shown: &'q Gauge) -> Option<Place<'q>> {
        let one_more = |waiting| (waiting < limit).then_some(waiting + 1);
        let taken = self.waiting.fetch_update(Ordering::Relaxed, Ordering::Relaxed, one_more);
        taken.ok().map(|_| {
            shown.inc();
            Place { queue: self, shown }
        })
    }

    /// Ends when a node has room again.
    pub(super) fn freed(&self) -> Notified<'_> {
        self.freed.notified()
    }

    /// A node has room again.
    pub(super) fn wake(&self) {
        if self.waiting.load(Ordering::Relaxed) > 0 {
            // All of them: the first may wait for another node than the one that has room now.
            self.freed.notify_waiters();
        }
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.queue.waiting.fetch_sub(1, Ordering::Relaxed);
        self.shown.dec();
    }
}
