//! At most one holder of a name.

use std::fmt;
use std::time::Duration;

use async_trait::async_trait;
use muster_cluster::MemberId;
use thiserror::Error;
use tokio::sync::watch;

/// Of two holders of a name the later one has the greater token: what checks it is safe from a
/// holder that was frozen and does not know that it is none any more.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct Token(pub u128);

impl fmt::Display for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.0 >> 64, self.0 as u64)
    }
}

/// A lease that this member holds, and renews by itself. Dropping it gives it back.
pub struct Lease {
    /// Its token.
    pub token: Token,
    lost: watch::Receiver<bool>,
    resign: Option<Box<dyn FnOnce() + Send + Sync>>,
}

impl Lease {
    /// For engines: `lost` turns true when it is held no more, `resign` gives it back.
    #[must_use]
    pub fn new(
        token: Token,
        lost: watch::Receiver<bool>,
        resign: Box<dyn FnOnce() + Send + Sync>,
    ) -> Self {
        Self { token, lost, resign: Some(resign) }
    }

    /// Whether it is still held, by this process's own clock.
    #[must_use]
    pub fn is_held(&self) -> bool {
        !*self.lost.borrow()
    }

    /// Returns when it is held no more: what it guards must have stopped by then or stop now.
    pub async fn lost(&self) {
        let mut lost = self.lost.clone();
        // A closed channel is an engine that is gone, and its leases with it.
        let _ = lost.wait_for(|lost| *lost).await;
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        if let Some(resign) = self.resign.take() {
            resign();
        }
    }
}

impl fmt::Debug for Lease {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lease")
            .field("token", &self.token)
            .field("is_held", &self.is_held())
            .finish()
    }
}

/// Why there is no lease.
#[derive(Clone, PartialEq, Eq, Debug, Error)]
pub enum LeaseError {
    /// Another has it.
    #[error("the lease is held by {0}")]
    Held(MemberId),
    /// Too few voters are in sight.
    #[error("too few members are in sight")]
    NotQuorate,
    /// The name is empty or longer than 128 bytes.
    #[error("the lease's name has {0} bytes: 1 to 128 are possible")]
    BadName(usize),
    /// It could not be found out in time.
    #[error("no answer in time")]
    Unavailable,
    /// The engine was shut down.
    #[error("the engine is closed")]
    Closed,
}

/// Leases by name.
#[async_trait]
pub trait Leases: Send + Sync {
    /// Waits at most so long until the lease is this member's.
    ///
    /// # Errors
    /// [`LeaseError::Held`] when it was another's to the end; with no wait it is one try.
    async fn campaign(&self, name: &str, wait: Duration) -> Result<Lease, LeaseError>;
}
