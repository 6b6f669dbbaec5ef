//! What a consumer gets, and how it ends.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use muster_grid::queue::{Ending, Ticket};
use tokio::sync::mpsc;

use super::line::{Given, Line};
use super::{DEADLINE, answered, body};
use crate::engine::queue::{Consumer, Delivered, Delivery, QueueError};

/// A consumer of this member. Deliveries come as far as its credits go, before it asks for them.
pub(super) struct SharedConsumer {
    line: Arc<Line>,
    number: u64,
    given: mpsc::UnboundedReceiver<Given>,
}

struct SharedDelivered {
    line: Arc<Line>,
    consumer: u64,
    ticket: Ticket,
    is_ended: bool,
}

// === impl SharedConsumer ===

impl SharedConsumer {
    pub(super) fn start(line: Arc<Line>, credits: usize) -> Self {
        // Without a credit it would wait for good.
        let credits = u32::try_from(credits).unwrap_or(u32::MAX).max(1);
        let (number, given) = line.consume(credits);
        Self { line, number, given }
    }
}

#[async_trait]
impl Consumer for SharedConsumer {
    async fn next(&mut self) -> Option<Delivery> {
        if self.line.closed.is_cancelled() {
            return None;
        }
        let (ticket, value) = self.given.recv().await?;
        let (group, body) = body(value);
        let (line, consumer) = (self.line.clone(), self.number);
        let ending = Box::new(SharedDelivered { line, consumer, ticket, is_ended: false });
        Some(Delivery { body, tries: ticket.tries, group, ending })
    }
}

impl Drop for SharedConsumer {
    fn drop(&mut self) {
        self.given.close();
        let untouched = std::iter::from_fn(|| self.given.try_recv().ok());
        let untouched = untouched.map(|(ticket, _)| ticket).collect();
        self.line.gone(self.number, untouched);
    }
}

// === impl SharedDelivered ===

impl SharedDelivered {
    async fn end(&mut self, ending: Ending) -> Result<(), QueueError> {
        let (consumer, ticket) = (self.consumer, self.ticket);
        // Whoever stops waiting has said it all the same.
        self.is_ended |= ending != Ending::Longer;
        let told = self
            .line
            .call(|station, now| station.end(consumer, ticket, ending, now + DEADLINE, now));
        answered(told.await).map(|_| ())
    }
}

#[async_trait]
impl Delivered for SharedDelivered {
    async fn ack(&mut self) -> Result<(), QueueError> {
        self.end(Ending::Done).await
    }

    async fn nack(&mut self, after: Duration) -> Result<(), QueueError> {
        self.end(Ending::Again(after)).await
    }

    async fn extend(&mut self) -> Result<(), QueueError> {
        self.end(Ending::Longer).await
    }
}

impl Drop for SharedDelivered {
    fn drop(&mut self) {
        if !self.is_ended {
            self.line.dropped(self.consumer, self.ticket);
        }
    }
}
