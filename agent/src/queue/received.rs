//! A message as its handler gets it.

use std::ops::Deref;
use std::sync::Arc;

use tokio::sync::Mutex;

use super::QueueError;
use crate::engine::queue::Delivered;

/// How a delivery ends, shared between its handler, who may ask for more time, and its listener.
pub(super) type Ending = Arc<Mutex<Box<dyn Delivered>>>;

/// A message as its handler gets it.
pub struct Received<T> {
    pub(super) value: T,
    pub(super) tries: u32,
    pub(super) group: Option<String>,
    pub(super) ending: Ending,
}

// === impl Received ===

impl<T> Received<T> {
    /// Which delivery this is. 1: the message was never delivered before. From 2 on it may have been,
    /// and may have been done.
    #[must_use]
    pub fn tries(&self) -> u32 {
        self.tries
    }

    /// Whether it may have been delivered before.
    #[must_use]
    pub fn is_redelivered(&self) -> bool {
        self.tries > 1
    }

    /// Its group.
    #[must_use]
    pub fn group(&self) -> Option<&str> {
        self.group.as_deref()
    }

    /// The message itself.
    #[must_use]
    pub fn into_inner(self) -> T {
        self.value
    }

    /// Still at it: the time to handle it begins anew.
    ///
    /// # Errors
    /// [`QueueError::Expired`] when it was given to another meanwhile; others as for publishing.
    pub async fn extend(&self) -> Result<(), QueueError> {
        Ok(self.ending.lock().await.extend().await?)
    }
}

impl<T> Deref for Received<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.value
    }
}

impl<T: std::fmt::Debug> std::fmt::Debug for Received<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Received").field("value", &self.value).field("tries", &self.tries).finish()
    }
}
