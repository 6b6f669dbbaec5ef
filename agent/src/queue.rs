//! Queues: messages that are delivered at least once to whoever listens, on any member.
//!
//! ```
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! use muster_agent::{Cluster, queue::Received};
//! let cluster = Cluster::builder("node1").local(); // or .join().await?
//! let queue = cluster.queue::<u64>("/queue/msg").start()?;
//! let (done, mut heard) = tokio::sync::mpsc::channel(1);
//! let _listener = queue.listen(move |message: Received<u64>| {
//!     let done = done.clone();
//!     async move { done.send(*message).await }
//! });
//! queue.publish(&7).await?;
//! assert_eq!(heard.recv().await, Some(7));
//! # Ok(()) }
//! ```
//!
//! | file | idea |
//! |---|---|
//! | `builder` | settings, and a queue by its name |
//! | `sending` | what a message may say of itself |
//! | `received` | a message as its handler gets it |
//! | `listener` | handlers at work until they are stopped |
//! | `request` | an answer to a message |
//! | `topic` | messages to whoever listens at the moment |
//! | `envelope` | messages as bytes |
//! | `error` | what can go wrong, in the user's words |
//! | `watch` | tells of dead letters |

mod builder;
mod envelope;
mod error;
mod listener;
mod received;
mod request;
mod sending;
#[cfg(test)]
mod tests;
mod topic;
mod watch;

use std::marker::PhantomData;
use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::cluster::Cluster;
use crate::engine::queue::{DeadLetter, Queue as EngineQueue, QueueStats};
pub use builder::QueueBuilder;
pub use error::QueueError;
pub(crate) use listener::Listeners;
pub use listener::{Listener, ListenerBuilder};
pub use received::Received;
pub(crate) use request::Waiting;
pub use sending::Sending;
pub use topic::{Heard, Topic, TopicSubscription};
pub(crate) use watch::tell_dead;

/// What a message can be. As postcard it has nearly 8 MiB at most.
pub trait Message: Serialize + DeserializeOwned + Send + Sync + 'static {}
impl<T: Serialize + DeserializeOwned + Send + Sync + 'static> Message for T {}

/// A queue. Clones are the same one, and what members call by one name is one queue.
///
/// - A publication is **acknowledged** when every owner (2 as a rule) has it: then it is lost only
///   when all owners are lost at once.
/// - It is delivered **at least once**: to one listener at a time, and again, **marked**
///   ([`Received::tries`] from 2 on), when that did not say in time that it is done, or its member
///   was lost. Only the first delivery has no mark.
/// - That it is **done** is final once every owner has it; then it never comes again. (Without a
///   cluster quorum, what one side of a split had done may come again when the sides meet, marked.)
/// - Messages of one **group** ([`Sending::group`]) come in their order, one at a time. Others mostly
///   come in the order of their publication, and that is no promise.
pub struct Queue<T> {
    pub(crate) below: Arc<dyn EngineQueue>,
    cluster: Cluster,
    types: PhantomData<fn(T) -> T>,
}

// === impl Queue ===

impl<T: Message> Queue<T> {
    fn new(cluster: Cluster, below: Arc<dyn EngineQueue>) -> Self {
        Self { below, cluster, types: PhantomData }
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.below.spec().name
    }

    /// Publishes a message; returns when it survives the loss of a member.
    ///
    /// # Errors
    /// See [`QueueError`]. After [`QueueError::Unknown`] it may be there or not: to publish once
    /// more without harm, give it an id ([`Sending::id`]).
    pub async fn publish(&self, message: &T) -> Result<(), QueueError> {
        self.publish_with(message, Sending::default()).await.map(|_| ())
    }

    /// The same, with what the message says of itself. False: one with this id was there already.
    ///
    /// # Errors
    /// As for [`Queue::publish`].
    pub async fn publish_with(&self, message: &T, sending: Sending) -> Result<bool, QueueError> {
        let body = envelope::plain(message)?;
        Ok(self.below.publish(sending.with(body.into())).await?)
    }

    /// Gives each message to a handler, one at a time, until the [`Listener`] is dropped or
    /// the cluster is left: what it answers with `Ok` is done, and what it answers with an error, or
    /// panics at, comes again after a pause that grows. All listeners of the cluster share the
    /// messages.
    pub fn listen<H, F, R, E>(&self, handler: H) -> Listener
    where
        H: Fn(Received<T>) -> F + Send + Sync + 'static,
        F: Future<Output = Result<R, E>> + Send + 'static,
        R: Send + 'static,
        E: std::fmt::Display + Send + 'static,
    {
        self.listener().start(handler)
    }

    /// Settings of a listener: how many messages at a time, which pauses.
    pub fn listener(&self) -> ListenerBuilder<T> {
        ListenerBuilder::new(self.clone())
    }

    /// Publishes a message and waits for the answer of whoever has it
    /// ([`ListenerBuilder::respond`]). When the time is over, the message is not delivered any more.
    ///
    /// # Errors
    /// See [`QueueError`]: [`QueueError::NoAnswer`] when the time was over.
    pub async fn request<R: Message>(&self, message: &T, wait: Duration) -> Result<R, QueueError> {
        request::request(self, message, wait).await
    }

    /// What is in it.
    pub async fn stats(&self) -> QueueStats {
        self.below.stats().await
    }

    /// The messages that were delivered too often, oldest first, at most so many and about 1 MiB;
    /// they stay.
    ///
    /// # Errors
    /// See [`QueueError`].
    pub async fn dead_letters(&self, most: usize) -> Result<Vec<DeadLetter>, QueueError> {
        Ok(self.below.look_dead(most).await?)
    }

    /// A dead letter's message.
    ///
    /// # Errors
    /// When it is no such message.
    pub fn read(&self, letter: &DeadLetter) -> Result<T, QueueError> {
        Ok(envelope::open(&letter.body)?.1)
    }

    /// Has these dead letters delivered again, marked; how many there were.
    ///
    /// # Errors
    /// See [`QueueError`].
    pub async fn requeue(&self, letters: &[DeadLetter]) -> Result<u64, QueueError> {
        Ok(self.below.requeue_dead(&ids(letters)).await?)
    }

    /// Drops these dead letters; how many there were.
    ///
    /// # Errors
    /// See [`QueueError`].
    pub async fn drop_dead(&self, letters: &[DeadLetter]) -> Result<u64, QueueError> {
        Ok(self.below.drop_dead(&ids(letters)).await?)
    }
}

fn ids(letters: &[DeadLetter]) -> Vec<String> {
    letters.iter().map(|letter| letter.id.clone()).collect()
}

impl<T> Clone for Queue<T> {
    fn clone(&self) -> Self {
        Self { below: self.below.clone(), cluster: self.cluster.clone(), types: PhantomData }
    }
}

impl<T> std::fmt::Debug for Queue<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Queue").field(self.below.spec()).finish()
    }
}
