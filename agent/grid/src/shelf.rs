//! Where the values of groups go that a member does not keep in memory: a port. What is behind it,
//! a file or a test's memory, is the shell's.

use crate::segment::{Bytes, Group, Space};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;
use thiserror::Error;

/// Why a shelf did not do what it should: full, broken, or something is there that was not put.
#[derive(Clone, PartialEq, Eq, Debug, Error)]
#[error("{0}")]
pub struct ShelfError(pub String);

/// Records by opaque keys. Called under the lock of the core: microseconds, not milliseconds. What
/// was put and not removed is found until the process ends, and beyond that only if the shelf says
/// so.
pub trait Shelf: Send + Sync {
    /// Puts a record, in the place of an earlier one of that key.
    ///
    /// # Errors
    /// Then an earlier record may be there, or none.
    fn put(&self, key: &[u8], record: &[u8]) -> Result<(), ShelfError>;

    /// The record of a key.
    ///
    /// # Errors
    /// When it cannot be read. It may be there all the same.
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, ShelfError>;

    /// Removes a record. One that is not there is no error.
    ///
    /// # Errors
    /// Then it may still be there.
    fn remove(&self, key: &[u8]) -> Result<(), ShelfError>;

    /// Puts a row's [stamp](crate::Stamp), many of them with each view: it need not be as safe as a
    /// record.
    ///
    /// # Errors
    /// As for [`Shelf::put`].
    fn mark(&self, key: &[u8], stamp: &[u8]) -> Result<(), ShelfError> {
        self.put(key, stamp)
    }

    /// Whether a later process finds what is here. Then each row's records have a
    /// [stamp](crate::Stamp) beside them, and what is there at the end is left there.
    fn keeps(&self) -> bool {
        false
    }

    /// The keys of what an earlier process left and nobody has removed since.
    fn left(&self) -> Vec<Vec<u8>> {
        Vec::new()
    }

    /// A record that an earlier process left, and when it was put.
    ///
    /// # Errors
    /// When it cannot be read.
    fn get_left(&self, _key: &[u8]) -> Result<Option<Left>, ShelfError> {
        Ok(None)
    }
}

/// A record that an earlier process left.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Left {
    /// As it was put.
    pub record: Vec<u8>,
    /// How long ago that was. By wall clocks, the only ones that go on between two processes: one that
    /// was set back counts as if no time had passed.
    pub age: Duration,
}

/// How many groups of a cache a member keeps in memory, and where the others go.
#[derive(Clone)]
pub struct Memory {
    /// Groups whose values are in memory, copies of other members' groups among them.
    pub most_groups: usize,
    /// Where the others are.
    pub shelf: Arc<dyn Shelf>,
    /// Whether every change is on the shelf before it counts. Otherwise only what is not in memory is
    /// there.
    pub write_through: bool,
}

impl fmt::Debug for Memory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { most_groups, write_through, .. } = self;
        f.debug_struct("Memory")
            .field("most_groups", most_groups)
            .field("write_through", write_through)
            .finish_non_exhaustive()
    }
}

/// What happened to a copy that is kept here.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Shelved {
    /// The values of a group went to the shelf.
    Passivated(Group),
    /// They came back.
    Activated(Group),
    /// The shelf failed. Told once in a second; how often it happened is counted. Nothing is lost:
    /// values that cannot be put stay in memory, and those that cannot be read are asked for again.
    Failed {
        /// Of which cache.
        space: Space,
        /// What it was about.
        group: Option<Bytes>,
        /// What it said.
        error: ShelfError,
    },
}

/// What a member has of a cache in memory and on the shelf, and what has happened.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct ShelfStats {
    /// Groups whose values are in memory.
    pub in_memory: u64,
    /// Groups whose values are on the shelf alone.
    pub on_shelf: u64,
    /// Groups whose values went to the shelf.
    pub passivations: u64,
    /// Groups whose values came back.
    pub activations: u64,
    /// What the shelf did not do.
    pub errors: u64,
}
