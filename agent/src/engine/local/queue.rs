//! A queue in the memory of this process.

use std::sync::{Arc, Weak};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use muster_cluster::MemberId;
use parking_lot::Mutex;
use tokio::runtime::Handle;
use tokio::sync::Notify;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::backlog::{Backlog, Given, Ticket};
use super::claim::Claim;
use crate::engine::queue::{
    Consumer, DeadLetter, Delivered, Delivery, Msg, Queue, QueueError, QueueSpec, QueueStats,
};

/// A queue in the memory of this process.
pub(super) struct LocalQueue {
    spec: QueueSpec,
    me: MemberId,
    inner: Arc<Inner>,
}

struct Inner {
    backlog: Mutex<Backlog>,
    earlier: Arc<Notify>,
    closed: CancellationToken,
}

// === impl LocalQueue ===

impl LocalQueue {
    /// A queue whose timers run until nobody has it any more or the engine is closed.
    pub(super) fn start(
        spec: QueueSpec,
        me: MemberId,
        closed: CancellationToken,
        runtime: &Handle,
    ) -> Arc<Self> {
        let inner = Arc::new(Inner {
            backlog: Mutex::new(Backlog::new(spec.clone())),
            earlier: Arc::default(),
            closed: closed.clone(),
        });
        runtime.spawn(keep_time(Arc::downgrade(&inner), inner.earlier.clone(), closed));
        Arc::new(Self { spec, me, inner })
    }
}

#[async_trait]
impl Queue for LocalQueue {
    fn spec(&self) -> &QueueSpec {
        &self.spec
    }

    async fn publish(&self, message: Msg) -> Result<bool, QueueError> {
        self.inner.open()?;
        self.inner.with(|backlog, now| backlog.publish(message, now))
    }

    async fn consume(&self, credits: usize) -> Box<dyn Consumer> {
        // Without a credit it would wait for good.
        let number = self.inner.with(|backlog, _| backlog.come(credits.max(1)));
        Box::new(LocalConsumer { inner: self.inner.clone(), number })
    }

    async fn stats(&self) -> QueueStats {
        self.led().unwrap_or_default()
    }

    fn led(&self) -> Option<QueueStats> {
        let (stats, (count, has)) =
            self.inner.with(|backlog, _| (backlog.stats(), backlog.consumers()));
        let consumers = if count == 0 { Vec::new() } else { vec![(self.me, count, has)] };
        Some(QueueStats { consumers, ..stats })
    }

    async fn dead_letters(&self, most: usize) -> Vec<Bytes> {
        self.inner.with(|backlog, _| backlog.dead_letters(most))
    }

    async fn look_dead(&self, most: usize) -> Result<Vec<DeadLetter>, QueueError> {
        self.inner.open()?;
        Ok(self.inner.with(|backlog, _| backlog.look_dead(most)))
    }

    async fn requeue_dead(&self, ids: &[String]) -> Result<u64, QueueError> {
        self.inner.open()?;
        Ok(self.inner.with(|backlog, now| backlog.end_dead(ids, true, now)))
    }

    async fn drop_dead(&self, ids: &[String]) -> Result<u64, QueueError> {
        self.inner.open()?;
        Ok(self.inner.with(|backlog, now| backlog.end_dead(ids, false, now)))
    }
}

// === impl Inner ===

impl Inner {
    fn with<T>(&self, work: impl FnOnce(&mut Backlog, Instant) -> T) -> T {
        let mut backlog = self.backlog.lock();
        let before = backlog.next();
        let done = work(&mut backlog, Instant::now());
        let after = backlog.next();
        if after.is_some() && before.is_none_or(|before| after < Some(before)) {
            self.earlier.notify_one();
        }
        done
    }

    fn open(&self) -> Result<(), QueueError> {
        if self.closed.is_cancelled() { Err(QueueError::Closed) } else { Ok(()) }
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.earlier.notify_one();
    }
}

/// Does at its time what is due.
async fn keep_time(queue: Weak<Inner>, earlier: Arc<Notify>, closed: CancellationToken) {
    loop {
        let Some(inner) = queue.upgrade() else { return };
        let next = inner.with(Backlog::pass);
        drop(inner);
        let due = async {
            match next {
                Some(next) => tokio::time::sleep_until(next).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = closed.cancelled() => {
                queue.upgrade().inspect(|inner| inner.with(|backlog, _| backlog.close()));
                return;
            }
            () = earlier.notified() => {}
            () = due => {}
        }
    }
}

struct LocalConsumer {
    inner: Arc<Inner>,
    number: u64,
}

#[async_trait]
impl Consumer for LocalConsumer {
    async fn next(&mut self) -> Option<Delivery> {
        if self.inner.closed.is_cancelled() {
            return None;
        }
        let gift = self.inner.with(|backlog, now| backlog.ask(self.number, now));
        let give_back = |given: Given| {
            self.inner.with(|backlog, now| backlog.undo(given.ticket, now));
        };
        let Given { body, group, ticket } = Claim::new(gift, give_back).take().await?;
        let ending = Box::new(LocalDelivered { inner: self.inner.clone(), ticket });
        Some(Delivery { body, tries: ticket.tries, group, ending })
    }
}

impl Drop for LocalConsumer {
    fn drop(&mut self) {
        self.inner.with(|backlog, _| backlog.go(self.number));
    }
}

struct LocalDelivered {
    inner: Arc<Inner>,
    ticket: Ticket,
}

#[async_trait]
impl Delivered for LocalDelivered {
    async fn ack(&mut self) -> Result<(), QueueError> {
        self.inner.open()?;
        self.inner.with(|backlog, now| backlog.ack(self.ticket, now))
    }

    async fn nack(&mut self, after: Duration) -> Result<(), QueueError> {
        self.inner.open()?;
        self.inner.with(|backlog, now| backlog.nack(self.ticket, after, now))
    }

    async fn extend(&mut self) -> Result<(), QueueError> {
        self.inner.open()?;
        self.inner.with(|backlog, now| backlog.extend(self.ticket, now))
    }
}
