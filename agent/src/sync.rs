//! Locks that outlive a panic: what they guard is consistent between any two statements, so a
//! thread that ended within one leaves nothing half done.

use std::sync::{Mutex, MutexGuard, PoisonError};

/// Takes a lock.
pub(crate) fn held<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
