//! Changes of a cache as they happen.

use std::marker::PhantomData;

use tokio::sync::broadcast::error::RecvError;

use super::{Key, Value, key};
use crate::cluster::codec;
use crate::engine::map::{Change, Changes, Kind, Watch};

/// Whose changes are told here.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Scope {
    /// Those whose primary this member is: with such a listener on every member, each change is
    /// told once in the cluster.
    #[default]
    OnceInCluster,
    /// Those of every copy that this member keeps.
    EveryCopy,
}

/// A change.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum CacheEvent<K, V> {
    /// There was none.
    Created {
        /// The key group; none for a key outside of one.
        group: Option<String>,
        /// The key.
        key: K,
        /// The value.
        value: V,
    },
    /// There was another value.
    Changed {
        /// The key group.
        group: Option<String>,
        /// The key.
        key: K,
        /// The new value.
        value: V,
    },
    /// A caller removed it.
    Removed {
        /// The key group.
        group: Option<String>,
        /// The key.
        key: K,
    },
    /// Its time was over.
    Expired {
        /// The key group.
        group: Option<String>,
        /// The key.
        key: K,
    },
    /// This listener was too slow: it has missed so many changes.
    Missed(u64),
}

/// Changes from a moment on, those of each key in their order. No log: one who is slow misses some
/// and is told how many, and at a crash the last ones of the lost primary may not be told.
#[derive(Debug)]
pub struct CacheEvents<K, V> {
    changes: Changes,
    types: PhantomData<fn() -> (K, V)>,
}

impl From<Scope> for Watch {
    fn from(scope: Scope) -> Self {
        match scope {
            Scope::OnceInCluster => Self::Primary,
            Scope::EveryCopy => Self::Copies,
        }
    }
}

// === impl CacheEvents ===

impl<K: Key, V: Value> CacheEvents<K, V> {
    pub(super) fn new(changes: Changes) -> Self {
        Self { changes, types: PhantomData }
    }

    /// The next change; none when the cache is gone. One that cannot be read is logged and left
    /// out.
    pub async fn next(&mut self) -> Option<CacheEvent<K, V>> {
        loop {
            match self.changes.recv().await {
                Err(RecvError::Closed) => return None,
                Err(RecvError::Lagged(missed)) => return Some(CacheEvent::Missed(missed)),
                Ok(change) => match read(&change) {
                    Ok(event) => return Some(event),
                    Err(error) => tracing::warn!(%error, "a change of a cache cannot be read"),
                },
            }
        }
    }
}

fn read<K: Key, V: Value>(change: &Change) -> Result<CacheEvent<K, V>, super::CacheError> {
    let (group, key) = key::read(&change.group, &change.key)?;
    Ok(match &change.kind {
        Kind::Created(value) => CacheEvent::Created { group, key, value: codec::decode(value)? },
        Kind::Changed(value) => CacheEvent::Changed { group, key, value: codec::decode(value)? },
        Kind::Removed(_) => CacheEvent::Removed { group, key },
        Kind::Expired(_) => CacheEvent::Expired { group, key },
    })
}
