//! One component in one caller's hands.

use std::fmt;
use std::ops::{Deref, DerefMut};

use muster_grid::Expect;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::error::ComponentError;
use super::manager::Components;
use super::state;
use crate::checkouts::Held;

/// A component that no other call in the cluster has until this one ends it: for a call that waits
/// for something in between. Dropping it changes nothing.
#[must_use = "what is changed in it counts with its commit"]
pub struct CheckedOut<T> {
    components: Components<T>,
    held: Held,
    value: T,
}

// === impl CheckedOut ===

impl<T: Serialize + DeserializeOwned + Send + 'static> CheckedOut<T> {
    /// Of what was found, activated.
    pub(super) fn new(components: &Components<T>, held: Held, mut value: T) -> Self {
        components.activate(&mut value);
        Self { components: components.clone(), held, value }
    }

    /// Writes it to all its owners, and ends the call.
    ///
    /// # Errors
    /// See [`ComponentError`].
    pub async fn commit(mut self) -> Result<(), ComponentError> {
        let inner = &self.components.inner;
        self.components.passivate(&mut self.value);
        let commit = rand::random();
        let (idle, most) = (inner.settings.idle, inner.settings.most_bytes);
        let op = state::write(commit, &self.value, Expect::Any, idle, most)?;
        let checkouts = self.components.checkouts();
        let has_stood = |entries: &_| state::is_of(entries, commit);
        checkouts.commit(self.held, vec![op], has_stood).await?;
        inner.tally.called();
        Ok(())
    }

    /// Removes it, and ends the call.
    ///
    /// # Errors
    /// See [`ComponentError`].
    pub async fn remove(self) -> Result<(), ComponentError> {
        self.components.remove_held(self.held).await
    }
}

impl<T> Deref for CheckedOut<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.value
    }
}

impl<T> DerefMut for CheckedOut<T> {
    fn deref_mut(&mut self) -> &mut T {
        &mut self.value
    }
}

impl<T: fmt::Debug> fmt::Debug for CheckedOut<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("CheckedOut").field(&self.value).finish()
    }
}
