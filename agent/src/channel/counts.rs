//! What the channel has done, in numbers that only rise.

use std::sync::atomic::{AtomicU64, Ordering};

use super::hello::Lane;
use super::outgoing::NotSent;

/// One lane's numbers.
#[derive(Debug, Default)]
pub(crate) struct LaneCounts {
    sent: AtomicU64,
    sent_bytes: AtomicU64,
    received: AtomicU64,
    received_bytes: AtomicU64,
    dropped: AtomicU64,
}

/// The channel's numbers.
#[derive(Debug, Default)]
pub(crate) struct Counts {
    calls: LaneCounts,
    bulk: LaneCounts,
    pub(crate) unlinked: AtomicU64,
    pub(crate) refused: AtomicU64,
    pub(crate) malformed: AtomicU64,
}

/// One lane's numbers, read.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) struct LaneStats {
    /// Frames sent.
    pub(crate) sent: u64,
    /// Their bytes, with heads.
    pub(crate) sent_bytes: u64,
    /// Frames received.
    pub(crate) received: u64,
    /// Their bytes, with heads.
    pub(crate) received_bytes: u64,
    /// Frames that were not sent because too much was under way, or they were too large.
    pub(crate) dropped: u64,
}

impl Counts {
    fn lane(&self, lane: Lane) -> &LaneCounts {
        match lane {
            Lane::Calls => &self.calls,
            Lane::Bulk => &self.bulk,
        }
    }

    pub(crate) fn sent(&self, lane: Lane, bytes: usize) {
        let lane = self.lane(lane);
        lane.sent.fetch_add(1, Ordering::Relaxed);
        lane.sent_bytes.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    pub(crate) fn received(&self, lane: Lane, frames: u64, bytes: usize) {
        let lane = self.lane(lane);
        lane.received.fetch_add(frames, Ordering::Relaxed);
        lane.received_bytes.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    pub(crate) fn dropped(&self, lane: Lane, why: NotSent) {
        match why {
            NotSent::NoLink => &self.unlinked,
            NotSent::Full | NotSent::TooLong(_) => &self.lane(lane).dropped,
        }
        .fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn stats(&self, lane: Lane) -> LaneStats {
        let lane = self.lane(lane);
        let read = |count: &AtomicU64| count.load(Ordering::Relaxed);
        LaneStats {
            sent: read(&lane.sent),
            sent_bytes: read(&lane.sent_bytes),
            received: read(&lane.received),
            received_bytes: read(&lane.received_bytes),
            dropped: read(&lane.dropped),
        }
    }
}
