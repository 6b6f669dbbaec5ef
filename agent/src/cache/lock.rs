//! A key group that is one caller's for a while.

use std::collections::BTreeMap;
use std::marker::PhantomData;
use std::sync::Arc;
use std::time::Duration;

use muster_grid::{Bytes, Expect, Fence, Op, Put, Rev};

use super::entry::{Entry, Lifetime};
use super::error::CacheError;
use super::key::{self, Name};
use super::{CacheCore, Key, Value};
use crate::engine::map::{Checkout, Ending, MapError};

/// A key group that is this caller's: read it, change it, commit. Nothing is changed before the
/// commit. Dropping it gives the group back unchanged.
#[derive(Debug)]
pub struct Lock<K, V> {
    core: Arc<CacheCore>,
    checkout: Option<Checkout>,
    changes: BTreeMap<Bytes, Option<Put>>,
    /// It is the lock of one key outside of a group.
    is_single: bool,
    types: PhantomData<fn(K) -> V>,
}

// === impl Lock ===

impl<K: Key, V: Value> Lock<K, V> {
    pub(super) async fn take(
        core: &Arc<CacheCore>,
        name: &Name,
        wait: Duration,
        hold: Duration,
    ) -> Result<Self, CacheError> {
        let checkout = core.map.0.checkout(name, wait, hold).await?;
        let is_single = name.is_single();
        let (core, changes) = (core.clone(), BTreeMap::new());
        Ok(Self { core, checkout: Some(checkout), changes, is_single, types: PhantomData })
    }

    /// A value, with the changes made under this lock.
    ///
    /// # Errors
    /// When the key cannot be written or the value not be read.
    pub fn get(&self, key: &K) -> Result<Option<V>, CacheError> {
        let key = self.key(key)?;
        match self.changes.get(&key) {
            Some(Some(put)) => Ok(Some(crate::cluster::codec::decode(&put.value)?)),
            Some(None) => Ok(None),
            None => {
                let entry = self.checkout.as_ref().and_then(|it| it.entries.entries.get(&key));
                Ok(entry.map(Entry::read).transpose()?.map(|entry| entry.value))
            }
        }
    }

    /// Puts a value with the commit.
    ///
    /// # Errors
    /// When the key or the value cannot be written.
    pub fn put(&mut self, key: &K, value: &V) -> Result<(), CacheError> {
        self.put_for(key, value, Lifetime::default())
    }

    /// Puts a value with times of its own, with the commit.
    ///
    /// # Errors
    /// When the key or the value cannot be written.
    pub fn put_for(&mut self, key: &K, value: &V, life: Lifetime) -> Result<(), CacheError> {
        let put = self.core.settings.put(value, life)?;
        self.changes.insert(self.key(key)?, Some(put));
        Ok(())
    }

    /// Removes a value with the commit.
    ///
    /// # Errors
    /// When the key cannot be written.
    pub fn remove(&mut self, key: &K) -> Result<(), CacheError> {
        self.changes.insert(self.key(key)?, None);
        Ok(())
    }

    /// Rises with every lock of the group, whoever has it.
    #[must_use]
    pub fn fence(&self) -> Fence {
        self.checkout.as_ref().map_or_else(Fence::default, |checkout| checkout.fence)
    }

    /// Writes the changes and gives the group back, in one call.
    ///
    /// # Errors
    /// See [`CacheError`]; [`CacheError::Fenced`] when the lock was over: nothing was changed.
    pub async fn commit(mut self) -> Result<Rev, CacheError> {
        let rev = self.write(Ending::Release).await?;
        self.checkout = None;
        Ok(rev)
    }

    /// Writes the changes and keeps the group.
    ///
    /// # Errors
    /// As for [`Lock::commit`].
    pub async fn save(&mut self) -> Result<Rev, CacheError> {
        self.write(Ending::Keep).await
    }

    /// Gives the group back unchanged, and returns when it is given back.
    ///
    /// # Errors
    /// See [`CacheError`]; [`CacheError::Fenced`] when the lock was over already.
    pub async fn release(mut self) -> Result<(), CacheError> {
        match self.checkout.take() {
            Some(checkout) => Ok(self.core.map.0.release(&checkout).await?),
            None => Ok(()),
        }
    }

    async fn write(&mut self, ending: Ending) -> Result<Rev, CacheError> {
        let checkout = self.checkout.as_mut().ok_or(CacheError::Fenced)?;
        let op = |(key, put): (&Bytes, &Option<Put>)| Op {
            key: key.clone(),
            expect: Expect::Any,
            put: put.clone(),
        };
        let ops = self.changes.iter().map(op).collect();
        let rev = self.core.map.0.commit(checkout, ops, ending).await?;
        self.changes.clear();
        Ok(rev)
    }

    fn key(&self, key: &K) -> Result<Bytes, CacheError> {
        if self.is_single { Ok(Bytes::default()) } else { key::within(key) }
    }
}

impl<K, V> Drop for Lock<K, V> {
    fn drop(&mut self) {
        let Some(checkout) = self.checkout.take() else { return };
        // Without a runtime the hold's end gives it back.
        let Ok(runtime) = tokio::runtime::Handle::try_current() else { return };
        let map = self.core.map.clone();
        runtime.spawn(async move {
            match map.0.release(&checkout).await {
                Ok(()) | Err(MapError::Fenced | MapError::Closed) => {}
                Err(error) => tracing::debug!(%error, "a lock is given back by its hold's end"),
            }
        });
    }
}
