//! A file for what is not in memory: see [`MapSpec::memory`](crate::engine::MapSpec::memory). One
//! write or read of the page cache for each record, and nothing in the background: it is called under
//! the lock of the core.

use std::collections::{BTreeMap, HashMap};
use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;

use muster_grid::{Shelf, ShelfError};
use parking_lot::Mutex;

/// Records begin at multiples of so many bytes.
const UNIT: u64 = 512;

/// Records in a file of this process alone, emptied at its start: what is in it ends with the process.
/// It grows to the most that was ever in it, and room that came free is used again.
#[derive(Debug)]
pub struct FileShelf {
    file: File,
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    records: HashMap<Vec<u8>, Place, foldhash::fast::RandomState>,
    /// Room that came free, by its units.
    free: BTreeMap<u32, Vec<u32>>,
    /// The first unit that was never used.
    end: u32,
}

/// Where a record is: its first unit, and its bytes.
#[derive(Clone, Copy, Debug)]
struct Place {
    unit: u32,
    bytes: u32,
}

// === impl FileShelf ===

impl FileShelf {
    /// Opens the file, and empties it.
    ///
    /// # Errors
    /// When it cannot be made or written, or another process has it.
    pub fn open(path: &Path) -> io::Result<Self> {
        // Not before it is certain that nobody else has it.
        let file =
            OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path)?;
        file.try_lock()?;
        file.set_len(0)?;
        Ok(Self { file, inner: Mutex::default() })
    }
}

impl Shelf for FileShelf {
    fn put(&self, key: &[u8], record: &[u8]) -> Result<(), ShelfError> {
        let mut inner = self.inner.lock();
        let bytes = u32::try_from(record.len()).map_err(|_| failed("a record is too large"))?;
        inner.remove(key);
        let unit = inner.take(units(bytes)).ok_or_else(|| failed("the file is too large"))?;
        let place = Place { unit, bytes };
        if let Err(error) = self.file.write_all_at(record, u64::from(unit) * UNIT) {
            inner.give_back(place);
            return Err(failed(error));
        }
        inner.records.insert(key.to_vec(), place);
        Ok(())
    }

    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, ShelfError> {
        let inner = self.inner.lock();
        let Some(Place { unit, bytes }) = inner.records.get(key).copied() else { return Ok(None) };
        let mut record = vec![0; bytes as usize];
        // Under the lock: its room is nobody else's meanwhile.
        self.file.read_exact_at(&mut record, u64::from(unit) * UNIT).map_err(failed)?;
        Ok(Some(record))
    }

    fn remove(&self, key: &[u8]) -> Result<(), ShelfError> {
        self.inner.lock().remove(key);
        Ok(())
    }
}

impl Inner {
    fn remove(&mut self, key: &[u8]) {
        if let Some(place) = self.records.remove(key) {
            self.give_back(place);
        }
    }

    fn give_back(&mut self, place: Place) {
        self.free.entry(units(place.bytes)).or_default().push(place.unit);
    }

    /// Room for so many units: none when a file has no more.
    fn take(&mut self, units: u32) -> Option<u32> {
        if let Some(unit) = self.free.get_mut(&units).and_then(Vec::pop) {
            return Some(unit);
        }
        let unit = self.end;
        self.end = unit.checked_add(units)?;
        Some(unit)
    }
}

/// How many units a record takes: an eighth more at most than it needs, so that few sizes are told apart.
fn units(bytes: u32) -> u32 {
    let units = bytes.div_ceil(UNIT as u32).max(1);
    let step = (units.next_power_of_two() / 16).max(1);
    units.next_multiple_of(step)
}

fn failed(why: impl ToString) -> ShelfError {
    ShelfError(why.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::{Rng as _, SeedableRng as _};

    #[test]
    fn what_was_put_is_found_and_room_that_came_free_is_used_again() {
        let dir = tempfile::tempdir().unwrap();
        let shelf = FileShelf::open(&dir.path().join("shelf")).unwrap();
        let mut rng = rand::rngs::StdRng::seed_from_u64(7);
        let mut expected: HashMap<Vec<u8>, Vec<u8>> = HashMap::new();
        for _ in 0..5_000 {
            let key = vec![rng.random_range(0..50u8)];
            if rng.random_bool(0.3) {
                shelf.remove(&key).unwrap();
                expected.remove(&key);
            } else {
                let record = vec![rng.random(); rng.random_range(0..9_000)];
                shelf.put(&key, &record).unwrap();
                expected.insert(key.clone(), record);
            }
            assert_eq!(shelf.get(&key).unwrap().as_ref(), expected.get(&key));
        }
        for key in 0..50u8 {
            assert_eq!(shelf.get(&[key]).unwrap().as_ref(), expected.get(&[key][..]));
        }
        // Fifty records of at most 9,000 bytes each, of some thousand that were put.
        let size = shelf.file.metadata().unwrap().len();
        assert!(size < 1_000 * 9_000, "{size} bytes");
    }

    #[test]
    fn a_file_is_one_process_s_alone_and_empty_at_its_start() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("shelf");
        let shelf = FileShelf::open(&path).unwrap();
        shelf.put(b"k", b"record").unwrap();
        assert!(FileShelf::open(&path).is_err());
        drop(shelf);
        let shelf = FileShelf::open(&path).unwrap();
        assert_eq!(shelf.get(b"k"), Ok(None));
        assert_eq!(shelf.file.metadata().unwrap().len(), 0);
    }
}
