//! Several keys that stay together.

use std::time::Duration;

use muster_grid::{Bytes, Expect, Op, Rev};

use super::entry::{Entry, Lifetime};
use super::error::CacheError;
use super::key::{self, Name};
use super::lock::Lock;
use super::{Cache, Key, Value};
use crate::engine::Member;
use crate::engine::map::{Batch as EngineBatch, Read};

/// Keys that stay together: on the same owners, changed by one batch, locked by one lock. Meant for
/// what belongs together, such as a cart: a read of one of its keys reads them all.
#[derive(Clone, Debug)]
pub struct KeyGroup<K, V> {
    cache: Cache<K, V>,
    name: Name,
}

/// Changes to one key group that happen together or not at all.
#[derive(Debug)]
#[must_use = "it does nothing until it is committed"]
pub struct Batch<'g, K, V> {
    group: &'g KeyGroup<K, V>,
    ops: Result<Vec<Op>, CacheError>,
}

// === impl KeyGroup ===

impl<K: Key, V: Value> KeyGroup<K, V> {
    pub(super) fn new(cache: Cache<K, V>, name: Name) -> Result<Self, CacheError> {
        Ok(Self { cache, name })
    }

    /// One value; it sees all that was acknowledged before.
    ///
    /// # Errors
    /// See [`CacheError`].
    pub async fn get(&self, key: &K) -> Result<Option<Entry<V>>, CacheError> {
        let key = key::within(key)?;
        let entries = self.cache.map().get(&self.name, Read::Confirmed).await?;
        entries.entries.get(&key).map(Entry::read).transpose()
    }

    /// All its entries as they were at one moment, in the order of their keys' bytes.
    ///
    /// # Errors
    /// See [`CacheError`].
    pub async fn entries(&self) -> Result<Vec<(K, Entry<V>)>, CacheError> {
        let entries = self.cache.map().get(&self.name, Read::Confirmed).await?;
        let read = |(key, value): (&Bytes, _)| -> Result<_, CacheError> {
            Ok((key::read(&self.name, key)?.1, Entry::read(value)?))
        };
        entries.entries.iter().map(read).collect()
    }

    /// Changes that happen together.
    pub fn batch(&self) -> Batch<'_, K, V> {
        Batch { group: self, ops: Ok(Vec::new()) }
    }

    /// The group's lock and its entries, in one call and in none where this member is the group's
    /// primary. It waits in the order of asking, at most `wait`; others' writes wait for it, at most
    /// for the cache's deadline. It ends by itself after `hold`: whoever was frozen for longer finds
    /// its commit [`CacheError::Fenced`] and has changed nothing.
    ///
    /// # Errors
    /// See [`CacheError`]; [`CacheError::Locked`] when another had it to the end of the wait.
    pub async fn lock(&self, wait: Duration, hold: Duration) -> Result<Lock<K, V>, CacheError> {
        Lock::take(&self.cache.core, &self.name, wait, hold).await
    }

    /// Who keeps the group, the primary first.
    #[must_use]
    pub fn owners(&self) -> Vec<Member> {
        self.cache.map().owners(&self.name)
    }
}

// === impl Batch ===

impl<K: Key, V: Value> Batch<'_, K, V> {
    /// Puts a value, with the cache's times.
    pub fn put(self, key: &K, value: &V) -> Self {
        self.add(key, Expect::Any, Some((value, Lifetime::default())))
    }

    /// Puts a value with times of its own.
    pub fn put_for(self, key: &K, value: &V, life: Lifetime) -> Self {
        self.add(key, Expect::Any, Some((value, life)))
    }

    /// Puts a value, if there is none; else nothing of the batch happens.
    pub fn put_if_absent(self, key: &K, value: &V) -> Self {
        self.add(key, Expect::Absent, Some((value, Lifetime::default())))
    }

    /// Puts a value, if the present one has this revision; else nothing of the batch happens.
    pub fn put_if(self, key: &K, rev: Rev, value: &V) -> Self {
        self.add(key, Expect::Rev(rev), Some((value, Lifetime::default())))
    }

    /// Removes a value, if there is one.
    pub fn remove(self, key: &K) -> Self {
        self.add(key, Expect::Any, None)
    }

    /// Removes a value, if it has this revision; else nothing of the batch happens.
    pub fn remove_if(self, key: &K, rev: Rev) -> Self {
        self.add(key, Expect::Rev(rev), None)
    }

    /// Does it all, or nothing.
    ///
    /// # Errors
    /// See [`CacheError`]; [`CacheError::Conflict`] names the operation that did not find what it
    /// expects.
    pub async fn commit(self) -> Result<Rev, CacheError> {
        let cache = &self.group.cache;
        let batch = EngineBatch {
            group: Bytes::from(&self.group.name[..]),
            ops: self.ops?,
            token: cache.token,
        };
        Ok(cache.map().write(batch).await?)
    }

    /// A fault is kept for the commit, so that a batch reads as one sentence.
    fn add(mut self, key: &K, expect: Expect, put: Option<(&V, Lifetime)>) -> Self {
        if let Ok(ops) = &mut self.ops {
            let settings = &self.group.cache.core.settings;
            let op = key::within(key).and_then(|key| {
                let put = put.map(|(value, life)| settings.put(value, life)).transpose()?;
                Ok(Op { key, expect, put })
            });
            match op {
                Ok(op) => ops.push(op),
                Err(error) => self.ops = Err(error),
            }
        }
        self
    }
}
