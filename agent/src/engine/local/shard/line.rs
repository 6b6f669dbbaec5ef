//! Who has a group, and who waits for it.

use std::time::Duration;

use muster_grid::{Bytes, Fence, Rev};
use tokio::sync::oneshot;
use tokio::time::Instant;

use super::held::later;
use super::{Shard, Timer};
use crate::engine::map::{Batch, Checkout, MapError};

/// Callers that wait for one group, at most.
const MOST_WAITING: usize = 4096;

/// A caller that waits for a group.
pub(super) enum Waiter {
    Write(Batch, oneshot::Sender<Result<Rev, MapError>>),
    Checkout(Duration, oneshot::Sender<Checkout>),
}

// === impl Shard ===

impl Shard {
    pub(super) fn is_locked(&self, group: &[u8]) -> bool {
        self.groups.get(group).is_some_and(|held| held.lock.is_some())
    }

    pub(super) fn has(&self, group: &[u8], fence: Fence) -> bool {
        let lock = self.groups.get(group).and_then(|held| held.lock);
        lock.is_some_and(|(present, _)| present == fence)
    }

    pub(super) fn wait(&mut self, group: &Bytes, waiter: Waiter) -> Result<(), MapError> {
        let held = self.groups.entry(group.clone()).or_default();
        if held.waiting.len() >= MOST_WAITING {
            held.waiting.retain(|waiter| !waiter.is_gone());
        }
        if held.waiting.len() >= MOST_WAITING {
            return Err(MapError::Busy);
        }
        held.waiting.push_back(waiter);
        Ok(())
    }

    pub(super) fn give(&mut self, group: &Bytes, hold: Duration, now: Instant) -> Checkout {
        self.touch(group, now);
        self.fences += 1;
        let fence = Fence { epoch: 1, number: self.fences };
        let ends = later(now, hold);
        let held = self.groups.entry(group.clone()).or_default();
        held.lock = Some((fence, ends));
        let entries = held.snapshot(now);
        self.deadlines.insert((ends, group.clone(), Timer::Hold));
        Checkout { group: group.clone(), entries, fence }
    }

    /// Ends the group's checkout, and gives the group to the first who still waits for it.
    pub(super) fn unlock(&mut self, group: &[u8], now: Instant) {
        let name = Bytes::from(group);
        let Some(held) = self.groups.get_mut(group) else { return };
        if let Some((_, ends)) = held.lock.take() {
            self.deadlines.remove(&(ends, name.clone(), Timer::Hold));
        }
        self.end_entries(group, now);
        while let Some(held) = self.groups.get_mut(group)
            && let Some(waiter) = held.waiting.pop_front()
        {
            match waiter {
                Waiter::Write(batch, answer) if !answer.is_closed() => {
                    let written = self.apply(batch, now);
                    // It has happened, whether or not its caller still wants to know.
                    let _ = answer.send(written);
                }
                Waiter::Checkout(hold, answer) if !answer.is_closed() => {
                    let checkout = self.give(&name, hold, now);
                    let fence = checkout.fence;
                    if answer.send(checkout).is_ok() {
                        return;
                    }
                    self.take_back(&name, fence);
                }
                Waiter::Write(..) | Waiter::Checkout(..) => {}
            }
        }
        self.forget(group);
    }

    pub(super) fn take_back(&mut self, group: &Bytes, fence: Fence) {
        let Some(held) = self.groups.get_mut(group) else { return };
        if let Some((_, ends)) = held.lock.take_if(|(present, _)| *present == fence) {
            self.deadlines.remove(&(ends, group.clone(), Timer::Hold));
        }
    }
}

// === impl Waiter ===

impl Waiter {
    fn is_gone(&self) -> bool {
        match self {
            Self::Write(_, answer) => answer.is_closed(),
            Self::Checkout(_, answer) => answer.is_closed(),
        }
    }
}
