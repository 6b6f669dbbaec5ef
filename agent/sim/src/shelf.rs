//! A shelf in memory that fails now and then.

use fastrand::Rng;
use muster_grid::{Memory, Shelf, ShelfError};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Groups of a cache that a member keeps in memory.
const MOST_GROUPS: usize = 2;
/// Of 1,000 puts and gets so many fail.
const FAILS: u32 = 50;

/// A process's shelf: it goes with it.
pub struct Flaky {
    inner: Mutex<Inner>,
}

/// Chance, and the records.
type Inner = (Rng, HashMap<Vec<u8>, Vec<u8>>);

/// A memory of a seed: every second one writes through.
#[must_use]
pub fn memory(seed: u64) -> Memory {
    let inner = Mutex::new((Rng::with_seed(seed), HashMap::new()));
    let write_through = seed.is_multiple_of(2);
    Memory { most_groups: MOST_GROUPS, shelf: Arc::new(Flaky { inner }), write_through }
}

impl Flaky {
    fn turn(&self) -> Result<MutexGuard<'_, Inner>, ShelfError> {
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        match inner.0.u32(0..1_000) < FAILS {
            true => Err(ShelfError("it fails now and then".to_owned())),
            false => Ok(inner),
        }
    }
}

impl Shelf for Flaky {
    fn put(&self, key: &[u8], record: &[u8]) -> Result<(), ShelfError> {
        self.turn()?.1.insert(key.into(), record.into());
        Ok(())
    }

    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, ShelfError> {
        Ok(self.turn()?.1.get(key).cloned())
    }

    fn remove(&self, key: &[u8]) -> Result<(), ShelfError> {
        self.turn()?.1.remove(key);
        Ok(())
    }

    fn keeps(&self) -> bool {
        true
    }
}
