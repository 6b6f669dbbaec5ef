//! Settings, and a queue by its name.

use std::marker::PhantomData;
use std::sync::Arc;
use std::time::Duration;

use super::{Message, Queue};
use crate::cluster::Cluster;
use crate::engine::map::Shelf;
use crate::engine::{EngineError, Journal, QueueSpec};

/// Settings of a queue: the same wherever it is started. Each has a default.
#[derive(Debug)]
#[must_use = "it does nothing until it is started"]
pub struct QueueBuilder<T> {
    cluster: Cluster,
    spec: QueueSpec,
    types: PhantomData<fn(T) -> T>,
}

// === impl QueueBuilder ===

impl<T: Message> QueueBuilder<T> {
    pub(crate) fn new(cluster: Cluster, name: &str) -> Self {
        Self { cluster, spec: QueueSpec::new(name), types: PhantomData }
    }

    /// Messages that wait or are out, at most; more are refused ([`super::QueueError::Full`]).
    /// Default: 1,000,000.
    pub fn most(mut self, most: usize) -> Self {
        self.spec.most = most;
        self
    }

    /// How long a handler may take before its message is given to another
    /// ([`super::Received::extend`] begins the time anew). Default: 30 s.
    pub fn visibility(mut self, visibility: Duration) -> Self {
        self.spec.visibility = visibility;
        self
    }

    /// Deliveries before a message goes to the dead letters. Default: 10.
    pub fn most_tries(mut self, most: u32) -> Self {
        self.spec.most_tries = most;
        self
    }

    /// How long a message's id is remembered ([`super::Sending::id`]). Default: 2 minutes.
    pub fn dedup_window(mut self, window: Duration) -> Self {
        self.spec.dedup_window = window;
        self
    }

    /// Writes down what this member keeps of the queue, before that counts, so that it outlives a
    /// restart of all members: with [`FileShelf::keep`](crate::FileShelf::keep), a file of this queue
    /// alone. The member needs a data directory, and every member of the cluster a journal of its own: a
    /// publication counts once the journals of all owners have it, and is refused
    /// ([`super::QueueError::NotKept`]) while one has not taken it or an owner has none. Default: none.
    pub fn journal(mut self, shelf: impl Shelf + 'static) -> Self {
        self.spec.journal = Some(Journal(Arc::new(shelf)));
        self
    }

    /// The queue, created by whoever starts it first.
    ///
    /// # Errors
    /// When a setting is out of bounds, this process has a queue of that name with others, or a journal is
    /// wished for by a member without a data directory.
    pub fn start(self) -> Result<Queue<T>, EngineError> {
        let below = self.cluster.engine().queue(self.spec)?;
        Ok(Queue::new(self.cluster, below))
    }
}
