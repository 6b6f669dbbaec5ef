//! Messages to whoever listens at the moment, at most once.

use async_trait::async_trait;
use bytes::Bytes;
use muster_cluster::MemberId;
use tokio::sync::mpsc;

/// Messages of one topic, in the order in which each sender sent them.
#[derive(Debug)]
pub struct Subscription {
    receiver: mpsc::Receiver<(MemberId, Bytes)>,
}

impl Subscription {
    /// For engines: messages that come by this channel. Its bound is how many a slow listener may
    /// be behind before it misses some.
    #[must_use]
    pub fn new(receiver: mpsc::Receiver<(MemberId, Bytes)>) -> Self {
        Self { receiver }
    }

    /// The next message, and who sent it; none when the engine is closed.
    pub async fn next(&mut self) -> Option<(MemberId, Bytes)> {
        self.receiver.recv().await
    }
}

/// Messages to listeners: no acknowledgement, no memory.
#[async_trait]
pub trait Topics: Send + Sync {
    /// Sends to every listener on every member, this one too.
    async fn publish(&self, topic: &str, message: Bytes);

    /// Listens from now on. Dropping it ends that.
    async fn subscribe(&self, topic: &str) -> Subscription;
}
