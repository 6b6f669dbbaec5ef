//! Leases among the tasks of this process.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use muster_cluster::MemberId;
use parking_lot::Mutex;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use crate::engine::MOST_NAME;
use crate::engine::leases::{Lease, LeaseError, Leases, Token};

/// One candidate at a time per name among the tasks of this process, in the order of asking.
#[derive(Clone, Default)]
pub(crate) struct Holders {
    names: Arc<Mutex<HashMap<String, Arc<Semaphore>>>>,
}

/// The right to be this process's candidate for a name, until it is dropped.
pub(crate) struct Seat {
    holders: Holders,
    name: String,
    permit: Option<OwnedSemaphorePermit>,
}

// === impl Holders ===

impl Holders {
    /// Waits for its turn at most so long.
    pub(crate) async fn sit(&self, name: &str, wait: Duration) -> Option<Seat> {
        let semaphore = self
            .names
            .lock()
            .entry(name.to_owned())
            .or_insert_with(|| Arc::new(Semaphore::new(1)))
            .clone();
        let mut seat = Seat { holders: self.clone(), name: name.to_owned(), permit: None };
        seat.permit = if wait.is_zero() {
            semaphore.try_acquire_owned().ok()
        } else {
            timeout(wait, semaphore.acquire_owned()).await.ok().and_then(Result::ok)
        };
        seat.permit.is_some().then_some(seat)
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.permit = None;
        let mut names = self.holders.names.lock();
        // The table's own reference is the last: nobody holds the name or waits for it.
        if names.get(&self.name).is_some_and(|semaphore| Arc::strong_count(semaphore) == 1) {
            names.remove(&self.name);
        }
    }
}

/// Leases of the only member.
pub(super) struct LocalLeases {
    me: MemberId,
    holders: Holders,
    tokens: AtomicU64,
    closed: CancellationToken,
}

// === impl LocalLeases ===

impl LocalLeases {
    pub(super) fn new(me: MemberId, closed: CancellationToken) -> Self {
        Self { me, holders: Holders::default(), tokens: AtomicU64::new(1), closed }
    }
}

#[async_trait]
impl Leases for LocalLeases {
    async fn campaign(&self, name: &str, wait: Duration) -> Result<Lease, LeaseError> {
        if !(1..=MOST_NAME).contains(&name.len()) {
            return Err(LeaseError::BadName(name.len()));
        }
        let seat = tokio::select! {
            biased;
            () = self.closed.cancelled() => return Err(LeaseError::Closed),
            seat = self.holders.sit(name, wait) => seat.ok_or(LeaseError::Held(self.me))?,
        };
        let number = self.tokens.fetch_add(1, Ordering::Relaxed);
        let (lost, is_lost) = watch::channel(false);
        let (closed, resigned) = (self.closed.clone(), CancellationToken::new());
        let resign = resigned.clone();
        tokio::spawn(async move {
            tokio::select! {
                () = closed.cancelled() => {}
                () = resigned.cancelled() => {}
            }
            lost.send_replace(true);
        });
        let resign = Box::new(move || {
            resign.cancel();
            drop(seat);
        });
        Ok(Lease::new(Token(1 << 64 | u128::from(number)), is_lost, resign))
    }
}
