//! Messages to whoever listens in this process.

use std::collections::HashMap;

use async_trait::async_trait;
use bytes::Bytes;
use muster_cluster::MemberId;
use parking_lot::Mutex;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::engine::topics::{Subscription, Topics};

/// Messages that a slow listener may be behind before it misses some.
const MOST_BEHIND: usize = 4096;

type Sender = mpsc::Sender<(MemberId, Bytes)>;

/// The listeners of this process by topic.
#[derive(Default)]
pub(crate) struct Listeners {
    topics: Mutex<HashMap<String, Vec<Sender>>>,
}

// === impl Listeners ===

impl Listeners {
    pub(crate) fn subscribe(&self, topic: &str) -> Subscription {
        let (sender, receiver) = mpsc::channel(MOST_BEHIND);
        let mut topics = self.topics.lock();
        // Whoever stopped listening is forgotten here, so that a topic nobody writes to ends too.
        topics.retain(|_, senders| {
            senders.retain(|sender| !sender.is_closed());
            !senders.is_empty()
        });
        topics.entry(topic.to_owned()).or_default().push(sender);
        Subscription::new(receiver)
    }

    pub(crate) fn deliver(&self, from: MemberId, topic: &str, message: &Bytes) {
        let topics = self.topics.lock();
        for sender in topics.get(topic).into_iter().flatten() {
            // At most once: one who is too far behind misses it.
            let _ = sender.try_send((from, message.clone()));
        }
    }

    /// Ends every subscription.
    pub(crate) fn close(&self) {
        self.topics.lock().clear();
    }
}

/// Topics of the only member.
pub(super) struct LocalTopics {
    me: MemberId,
    listeners: Listeners,
    closed: CancellationToken,
}

// === impl LocalTopics ===

impl LocalTopics {
    pub(super) fn new(me: MemberId, closed: CancellationToken) -> Self {
        Self { me, listeners: Listeners::default(), closed }
    }

    pub(super) fn close(&self) {
        self.listeners.close();
    }
}

#[async_trait]
impl Topics for LocalTopics {
    async fn publish(&self, topic: &str, message: Bytes) {
        if !self.closed.is_cancelled() {
            self.listeners.deliver(self.me, topic, &message);
        }
    }

    async fn subscribe(&self, topic: &str) -> Subscription {
        let subscription = self.listeners.subscribe(topic);
        if self.closed.is_cancelled() {
            self.listeners.close();
        }
        subscription
    }
}
