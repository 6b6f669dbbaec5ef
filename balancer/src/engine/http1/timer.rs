//! Deadlines that cost a store each: one clock for a worker, which looks at all of them in turn.
//!
//! A timer of the runtime takes part in a shared wheel each time that it is set, and a connection
//! sets several for each request. Here a connection has one [`Timer`] for its whole life; the
//! worker's [`Clock`] ticks, and wakes whoever is late. A deadline is kept to between one and two
//! [`TICK`]s.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use slab::Slab;

/// Between two looks at the deadlines.
pub(super) const TICK: Duration = Duration::from_millis(100);

/// No deadline.
const NEVER: u64 = u64::MAX;

/// A worker's coarse clock, with the timers of its connections.
#[derive(Debug)]
pub(crate) struct Clock {
    started: Instant,
    /// Milliseconds since the start, as of the last tick.
    now: Cell<u64>,
    timers: RefCell<Slab<Rc<Slot>>>,
}

/// Whose time is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Late {
    /// The client's: a head, a body, or the taking of an answer.
    Client,
    /// The node's: a connect or an answer.
    Node,
    /// The whole exchange took too long.
    Total,
}

/// The deadlines of one connection.
#[derive(Debug)]
pub(super) struct Timer {
    clock: Rc<Clock>,
    key: usize,
    slot: Rc<Slot>,
}

#[derive(Debug)]
struct Slot {
    client: Cell<u64>,
    node: Cell<u64>,
    total: Cell<u64>,
    /// Between two requests: may be closed whenever it suits us.
    is_idle: Cell<bool>,
    waker: RefCell<Option<Waker>>,
}

// === impl Clock ===

impl Clock {
    pub(super) fn new() -> Rc<Clock> {
        Rc::new(Clock { started: Instant::now(), now: Cell::new(0), timers: RefCell::default() })
    }

    /// Milliseconds, as of the last tick.
    pub(super) fn now(&self) -> u64 {
        self.now.get()
    }

    /// A timer without deadlines.
    pub(super) fn timer(self: &Rc<Self>) -> Timer {
        let slot = Rc::new(Slot {
            client: Cell::new(NEVER),
            node: Cell::new(NEVER),
            total: Cell::new(NEVER),
            is_idle: Cell::new(false),
            waker: RefCell::new(None),
        });
        let key = self.timers.borrow_mut().insert(slot.clone());
        Timer { clock: self.clone(), key, slot }
    }

    /// Lets time pass, and wakes who is late, and who is idle where `ends_idle`.
    pub(super) fn tick(&self, ends_idle: bool) {
        let now = u64::try_from(self.started.elapsed().as_millis()).unwrap_or(NEVER - 1);
        self.now.set(now);
        for (_, slot) in self.timers.borrow().iter() {
            if ends_idle && slot.is_idle.get() {
                slot.client.set(0);
            }
            if slot.late(now).is_some()
                && let Some(waker) = slot.waker.borrow_mut().take()
            {
                waker.wake();
            }
        }
    }

    /// Wakes all who wait for a node, to look whether it is still worth it.
    pub(super) fn wake_waiting(&self) {
        let timers = self.timers.borrow();
        for (_, slot) in timers.iter().filter(|(_, slot)| slot.node.get() != NEVER) {
            if let Some(waker) = slot.waker.borrow_mut().take() {
                waker.wake();
            }
        }
    }

    fn after(&self, within: Duration) -> u64 {
        let wait = within.as_millis() + TICK.as_millis();
        self.now().saturating_add(u64::try_from(wait).unwrap_or(NEVER))
    }
}

// === impl Timer ===

impl Timer {
    pub(super) fn client_within(&self, within: Duration) {
        self.slot.client.set(self.clock.after(within));
    }

    pub(super) fn node_within(&self, within: Duration) {
        self.slot.node.set(self.clock.after(within));
    }

    pub(super) fn total_within(&self, within: Duration) {
        self.slot.total.set(self.clock.after(within));
    }

    pub(super) fn spare_client(&self) {
        self.slot.client.set(NEVER);
    }

    pub(super) fn spare_node(&self) {
        self.slot.node.set(NEVER);
    }

    pub(super) fn is_for_client(&self) -> bool {
        self.slot.client.get() != NEVER
    }

    pub(super) fn is_for_node(&self) -> bool {
        self.slot.node.get() != NEVER
    }

    /// Takes all deadlines back.
    pub(super) fn clear(&self) {
        self.spare_client();
        self.spare_node();
        self.slot.total.set(NEVER);
    }

    /// From now on, whether the connection waits for a request.
    pub(super) fn set_idle(&self, is_idle: bool) {
        self.slot.is_idle.set(is_idle);
    }

    /// Milliseconds, as of the last tick.
    pub(super) fn now(&self) -> u64 {
        self.clock.now()
    }

    /// To be asked before a task goes to sleep: ready when a deadline is over, and otherwise the
    /// task is woken by it.
    pub(super) fn poll_late(&self, cx: &mut Context<'_>) -> Poll<Late> {
        if let Some(late) = self.slot.late(self.clock.now()) {
            return Poll::Ready(late);
        }
        let mut waker = self.slot.waker.borrow_mut();
        match &*waker {
            Some(own) if own.will_wake(cx.waker()) => {}
            _ => *waker = Some(cx.waker().clone()),
        }
        Poll::Pending
    }
}

impl Drop for Timer {
    fn drop(&mut self) {
        self.clock.timers.borrow_mut().try_remove(self.key);
    }
}

impl Slot {
    fn late(&self, now: u64) -> Option<Late> {
        if self.client.get() <= now {
            return Some(Late::Client);
        }
        if self.node.get() <= now {
            return Some(Late::Node);
        }
        (self.total.get() <= now).then_some(Late::Total)
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::task::Wake;

    use super::*;

    #[derive(Default)]
    struct Woken(AtomicBool);

    impl Wake for Woken {
        fn wake(self: Arc<Self>) {
            self.0.store(true, Ordering::Relaxed);
        }
    }

    #[tokio::test]
    async fn who_is_late_is_woken_and_told_whose_fault_it_is() {
        let clock = Clock::new();
        let timer = clock.timer();
        timer.total_within(Duration::from_secs(3600));
        timer.node_within(Duration::ZERO);
        let ticking = clock.clone();
        let ticks = async move {
            loop {
                tokio::time::sleep(Duration::from_millis(5)).await;
                ticking.tick(false);
            }
        };
        let late = poll_fn(|cx| timer.poll_late(cx));
        let late = tokio::select! { late = late => late, () = ticks => unreachable!() };
        assert_eq!(late, Late::Node);
        drop(timer);
        assert!(clock.timers.borrow().is_empty());
    }

    #[test]
    fn who_waits_for_a_node_is_woken_to_look_again_and_nobody_else_is() {
        let clock = Clock::new();
        let (waiting, other) = (clock.timer(), clock.timer());
        waiting.node_within(Duration::from_secs(3600));
        other.client_within(Duration::from_secs(3600));
        let woken = [waiting, other].map(|timer| {
            let woken = Arc::new(Woken::default());
            let waker = Waker::from(woken.clone());
            assert_eq!(timer.poll_late(&mut Context::from_waker(&waker)), Poll::Pending);
            (timer, woken)
        });
        clock.wake_waiting();
        assert_eq!(woken.map(|(_, woken)| woken.0.load(Ordering::Relaxed)), [true, false]);
    }

    #[tokio::test]
    async fn idle_connections_end_when_they_are_told_to_and_busy_ones_stay() {
        let clock = Clock::new();
        let (idle, busy) = (clock.timer(), clock.timer());
        idle.set_idle(true);
        clock.tick(true);
        assert_eq!(poll_fn(|cx| idle.poll_late(cx)).await, Late::Client);
        assert_eq!(poll_fn(|cx| Poll::Ready(busy.poll_late(cx))).await, Poll::Pending);
    }
}
