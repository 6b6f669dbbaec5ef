//! What an AJP node sends piece by piece, and the client gets in one.
//!
//! A worker sends the head, a short body and the end of an answer as three packets, with a moment
//! between them. Passed on at once they would cost three system calls; and a worker that dies
//! between two of them would leave the client with the beginning of an answer, where nothing has
//! happened as long as the client knows of none. So they wait for each other, until the node says
//! flush or `Flushwait` has passed (reference: MCMP, CONFIG table: Flushpackets, Flushwait).

use std::future::Future as _;
use std::pin::Pin;
use std::task::Context;
use std::time::Duration;

use muster_protocol::mcmp::{FlushPackets, NodeConfig};
use tokio::time::{Instant, Sleep, sleep};

/// So much leaves without waiting for more: four packets of a usual node.
pub(super) const ENOUGH: usize = 32 * 1024;

/// The longest wait, whatever the node asks for.
const LONGEST: Duration = Duration::from_secs(1);

/// What is gathered, and until when.
#[derive(Debug, Default)]
pub(super) struct Hold {
    within: Duration,
    is_on: bool,
    /// Made when there is something to wait for.
    until: Option<Pin<Box<Sleep>>>,
    is_running: bool,
}

impl Hold {
    /// As the node asks for it.
    pub(super) fn of(config: &NodeConfig) -> Hold {
        let within = match config.flush_packets {
            FlushPackets::On => Duration::ZERO,
            FlushPackets::Off | FlushPackets::Auto => config.flush_wait.min(LONGEST),
        };
        Hold { within, ..Hold::default() }
    }

    /// Whether so many bytes may wait for more. `is_due`: the node wants them to be told.
    pub(super) fn takes(&mut self, bytes: usize, is_due: bool) -> bool {
        self.is_on = !is_due && !self.within.is_zero() && (1..ENOUGH).contains(&bytes);
        self.is_running &= self.is_on;
        self.is_on
    }

    /// Whether anything waits.
    pub(super) fn is_on(&self) -> bool {
        self.is_on
    }

    /// Lets go when the time has passed since it was first asked; else the task is woken by it.
    pub(super) fn is_over(&mut self, cx: &mut Context<'_>) -> bool {
        if !self.is_on {
            return false;
        }
        let within = self.within;
        let until = self.until.get_or_insert_with(|| Box::pin(sleep(within)));
        if !self.is_running {
            self.is_running = true;
            until.as_mut().reset(Instant::now() + within);
        }
        if until.as_mut().poll(cx).is_pending() {
            return false;
        }
        (self.is_on, self.is_running) = (false, false);
        true
    }
}
