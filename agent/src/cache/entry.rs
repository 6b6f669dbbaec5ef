//! Values with their revisions and times.

use std::time::Duration;

use serde::de::DeserializeOwned;

use super::error::CacheError;
use crate::cluster::codec;
use muster_grid::{Bytes, Rev};

/// A value and its revision.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Entry<V> {
    /// The value.
    pub value: V,
    /// Rises with every change of the key's group.
    pub rev: Rev,
}

/// How long an entry stays. What is none is as the cache says.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Lifetime {
    /// It goes so long after it was put.
    pub ttl: Option<Duration>,
    /// It goes when it was neither read nor put for so long.
    pub max_idle: Option<Duration>,
}

// === impl Lifetime ===

impl Lifetime {
    /// It goes so long after it was put.
    #[must_use]
    pub fn ttl(ttl: Duration) -> Self {
        Self { ttl: Some(ttl), max_idle: None }
    }

    /// It goes when it was neither read nor put for so long.
    #[must_use]
    pub fn max_idle(idle: Duration) -> Self {
        Self { ttl: None, max_idle: Some(idle) }
    }
}

// === impl Entry ===

impl<V: DeserializeOwned> Entry<V> {
    pub(super) fn read((value, rev): &(Bytes, Rev)) -> Result<Self, CacheError> {
        Ok(Self { value: codec::decode(value)?, rev: *rev })
    }
}
