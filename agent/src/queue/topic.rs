//! Messages to whoever listens at the moment, at most once.

use std::marker::PhantomData;
use std::sync::Arc;

use muster_cluster::MemberId;

use super::{Message, QueueError, envelope};
use crate::engine::{Subscription, Topics};

/// A topic: what is published goes to every listener on every member, and nowhere else. There is no
/// acknowledgement and no memory: who is not there misses it, and who is too slow misses some.
pub struct Topic<T> {
    below: Arc<dyn Topics>,
    name: String,
    types: PhantomData<fn(T) -> T>,
}

/// Messages of a topic, in the order in which each member sent its own.
#[derive(Debug)]
pub struct TopicSubscription<T> {
    below: Subscription,
    types: PhantomData<fn() -> T>,
}

/// A message, and who sent it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Heard<T> {
    /// Who sent it.
    pub from: MemberId,
    /// The message.
    pub value: T,
}

// === impl Topic ===

impl<T: Message> Topic<T> {
    pub(crate) fn new(below: Arc<dyn Topics>, name: &str) -> Self {
        Self { below, name: name.to_owned(), types: PhantomData }
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Sends to everybody who listens.
    ///
    /// # Errors
    /// When the message cannot be written.
    pub async fn publish(&self, message: &T) -> Result<(), QueueError> {
        let body = envelope::plain(message)?;
        self.below.publish(&self.name, body.into()).await;
        Ok(())
    }

    /// Listens from now on. Dropping it ends that.
    pub async fn subscribe(&self) -> TopicSubscription<T> {
        TopicSubscription { below: self.below.subscribe(&self.name).await, types: PhantomData }
    }
}

impl<T> std::fmt::Debug for Topic<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Topic").field(&self.name).finish()
    }
}

// === impl TopicSubscription ===

impl<T: Message> TopicSubscription<T> {
    /// The next message; none when the cluster was left.
    ///
    /// # Errors
    /// When it is no message of this type.
    pub async fn next(&mut self) -> Option<Result<Heard<T>, QueueError>> {
        let (from, bytes) = self.below.next().await?;
        Some(envelope::open(&bytes).map(|(_, value)| Heard { from, value }).map_err(Into::into))
    }
}
