//! The components of one kind.

use std::fmt;
use std::sync::Arc;

use muster_grid::Expect;
use muster_grid::batch::Entries;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::checked_out::CheckedOut;
use super::error::ComponentError;
use super::handle::Handle;
use super::settings::{ComponentsBuilder, Settings};
use super::state;
use super::stats::{ComponentStats, Tally};
use crate::checkouts::{Checkouts, Held};
use crate::engine::map::Read;
use crate::engine::{Engine, Map};

/// The components of one kind, of type `T`. Clones are the same ones.
pub struct Components<T> {
    pub(super) inner: Arc<Inner<T>>,
}

pub(super) struct Inner<T> {
    pub(super) name: String,
    pub(super) engine: Arc<dyn Engine>,
    pub(super) map: Arc<dyn Map>,
    pub(super) settings: Settings<T>,
    pub(super) tally: Arc<Tally>,
}

// === impl Components ===

impl<T: Serialize + DeserializeOwned + Send + 'static> Components<T> {
    /// Settings of a kind of component. Members that have it give one name, one type and the same
    /// settings.
    pub fn builder(name: &str) -> ComponentsBuilder<T> {
        ComponentsBuilder::new(name)
    }

    /// A new component. Its primary is this member where that is possible.
    ///
    /// # Errors
    /// See [`ComponentError`]; after [`ComponentError::Unknown`] one may be there that nobody knows,
    /// until it was idle for too long.
    pub async fn create(&self, mut value: T) -> Result<Handle<T>, ComponentError> {
        let Inner { map, settings, tally, .. } = &*self.inner;
        self.passivate(&mut value);
        let commit = rand::random();
        let op = state::write(commit, &value, Expect::Absent, settings.idle, settings.most_bytes)?;
        let group = map.mint_local();
        let has_stood = |entries: &_| state::is_of(entries, commit);
        self.checkouts().create(&group, vec![op], has_stood).await?;
        tally.created();
        Ok(Handle::minted(&group))
    }

    /// Calls it: no other call in the cluster has it meanwhile, and what `act` has changed is with
    /// all owners before this returns. If `act` panics nothing has changed. `act` must not call the
    /// same component: that call would wait for this one.
    ///
    /// # Errors
    /// See [`ComponentError`].
    pub async fn call<R>(
        &self,
        handle: &Handle<T>,
        act: impl FnOnce(&mut T) -> R,
    ) -> Result<R, ComponentError> {
        let mut component = self.check_out(handle).await?;
        let result = act(&mut component);
        component.commit().await?;
        Ok(result)
    }

    /// Takes it for a call that waits for something in between.
    ///
    /// # Errors
    /// See [`ComponentError`].
    pub async fn check_out(&self, handle: &Handle<T>) -> Result<CheckedOut<T>, ComponentError> {
        let held = self.checkouts().check_out(&handle.group()).await?;
        let value = state::read(held.entries())?.ok_or(ComponentError::NotFound)?;
        Ok(CheckedOut::new(self, held, value))
    }

    /// A copy as the last call has left it: without waiting for a call, and without keeping the
    /// component from being idle.
    ///
    /// # Errors
    /// See [`ComponentError`].
    pub async fn read(&self, handle: &Handle<T>) -> Result<T, ComponentError> {
        let entries = self.inner.map.get(&handle.group(), Read::Confirmed).await?;
        let mut value = state::read(&entries)?.ok_or(ComponentError::NotFound)?;
        self.activate(&mut value);
        Ok(value)
    }

    /// Removes it, after the call that has it. Whether it was there.
    ///
    /// # Errors
    /// See [`ComponentError`].
    pub async fn remove(&self, handle: &Handle<T>) -> Result<bool, ComponentError> {
        // Not read: what is no such type any more can be removed too.
        let held = self.checkouts().check_out(&handle.group()).await?;
        if held.entries().entries.is_empty() {
            return Ok(false);
        }
        self.remove_held(held).await.map(|()| true)
    }

    pub(super) async fn remove_held(&self, held: Held) -> Result<(), ComponentError> {
        let has_stood = |entries: &Entries| entries.entries.is_empty();
        self.checkouts().commit(held, vec![state::remove()], has_stood).await?;
        self.inner.tally.removed();
        Ok(())
    }

    pub(super) fn activate(&self, value: &mut T) {
        if let Some(on_activate) = &self.inner.settings.on_activate {
            on_activate(value);
        }
    }

    pub(super) fn passivate(&self, value: &mut T) {
        if let Some(on_passivate) = &self.inner.settings.on_passivate {
            on_passivate(value);
        }
    }
}

impl<T> Components<T> {
    pub(super) fn over(
        name: String,
        engine: Arc<dyn Engine>,
        map: Arc<dyn Map>,
        settings: Settings<T>,
        tally: Arc<Tally>,
    ) -> Self {
        Self { inner: Arc::new(Inner { name, engine, map, settings, tally }) }
    }

    /// The kind's name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.inner.name
    }

    /// What this member has done with them, and how many there are.
    #[must_use]
    pub fn stats(&self) -> ComponentStats {
        self.inner.tally.stats()
    }

    pub(super) fn checkouts(&self) -> Checkouts<'_> {
        let Inner { engine, map, settings, .. } = &*self.inner;
        Checkouts { engine, map, wait: settings.lock_wait, hold: settings.longest_call }
    }
}

impl<T> Clone for Components<T> {
    fn clone(&self) -> Self {
        Self { inner: self.inner.clone() }
    }
}

impl<T> fmt::Debug for Components<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Components").field("name", &self.inner.name).finish()
    }
}
