//! A file for what is not in memory: see [`MapSpec::memory`](crate::engine::MapSpec::memory). One
//! write or read of the page cache for each record, and nothing in the background: it is called under
//! the lock of the core.
//!
//! | file | idea |
//! |---|---|
//! | `record` | what stands on the file, and how damage is noticed |
//! | `room` | where on the file there is room |

mod record;
mod room;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use muster_grid::{Left, Shelf, ShelfError};
use parking_lot::Mutex;

use crate::wall;
use record::{FILE_HEAD, HEAD, Head, Key, file_head};
use room::{Room, UNIT, units};

/// Records in a file that this process alone has. It grows to the most that was ever in it, and room
/// that came free is used again.
///
/// [`FileShelf::open`] empties it: what is in it ends with the process. [`FileShelf::keep`] does not,
/// so that sessions outlive a restart of all members.
///
/// **What is promised of a record that was put:** it is found after the end of the process, whatever
/// that was (`kill -9` among it), as the system has it by then. After a loss of power, or when the
/// system itself ends, it is found for certain only with [`FileShelf::sync`]. A record that is torn or
/// damaged is noticed and left out, never taken for another.
#[derive(Debug)]
pub struct FileShelf {
    path: PathBuf,
    file: File,
    seed: u64,
    keeps: bool,
    syncs: bool,
    damaged: usize,
    inner: Mutex<Inner>,
}

#[derive(Debug)]
struct Inner {
    records: HashMap<Key, Place, foldhash::fast::RandomState>,
    room: Room,
    /// The last record's.
    number: u64,
}

/// Where a record is: its first unit, and its bytes.
#[derive(Clone, Copy, Debug)]
struct Place {
    unit: u32,
    bytes: u32,
    /// An earlier process left it.
    is_left: bool,
}

// === impl FileShelf ===

impl FileShelf {
    /// Opens the file, and empties it.
    ///
    /// # Errors
    /// When it cannot be made or written, or another process has it: names the file.
    pub fn open(path: &Path) -> io::Result<Self> {
        let file = take(path)?;
        file.set_len(0).and_then(|()| begin(&file)).map_err(at(path)).map(|seed| Self {
            path: path.to_owned(),
            file,
            seed,
            keeps: false,
            syncs: false,
            damaged: 0,
            inner: Mutex::new(Inner::new(1)),
        })
    }

    /// A file in the system's folder for such, which nobody else finds and which is gone with the
    /// process.
    ///
    /// # Errors
    /// When it cannot be made or written: names the file.
    pub fn temporary() -> io::Result<Self> {
        let name = format!("muster-shelf-{:032x}", rand::random::<u128>());
        let path = std::env::temp_dir().join(name);
        let shelf = Self::open(&path)?;
        std::fs::remove_file(&path).map_err(at(&path))?;
        Ok(shelf)
    }

    /// Opens the file, and keeps what an earlier process left in it: all of it is read once.
    ///
    /// # Errors
    /// When it cannot be made, read or written, another process has it, or it is not a shelf's: names
    /// the file, which is as it was.
    pub fn keep(path: &Path) -> io::Result<Self> {
        let file = take(path)?;
        let length = file.metadata().map_err(at(path))?.len();
        let mut head = [0; FILE_HEAD];
        let seed = match length {
            0 => begin(&file).map_err(at(path))?,
            _ => {
                file.read_exact_at(&mut head, 0).map_err(at(path))?;
                record::seed(&head).ok_or_else(|| {
                    at(path)(io::Error::new(io::ErrorKind::InvalidData, "it is no shelf's file"))
                })?
            }
        };
        let (inner, damaged) = read(&file, seed, length).map_err(at(path))?;
        if damaged > 0 {
            let path = path.display();
            tracing::warn!(%path, damaged, "records of a shelf are torn or damaged: left out");
        }
        let inner = Mutex::new(inner);
        Ok(Self { path: path.to_owned(), file, seed, keeps: true, syncs: false, damaged, inner })
    }

    /// Each record is on the disk itself before it counts, and is found even when the power goes. A
    /// member waits for the disk with each of them, milliseconds mostly, in which it does nothing else:
    /// for few writes.
    #[must_use]
    pub fn sync(mut self) -> Self {
        self.syncs = true;
        self
    }

    /// Bytes of the file at most. What finds no room stays in memory. Default: 2 TiB.
    #[must_use]
    pub fn most_bytes(mut self, most: u64) -> Self {
        self.inner.get_mut().room.bound(most);
        self
    }

    /// Records that an earlier process left and that were torn or damaged.
    #[must_use]
    pub fn damaged(&self) -> usize {
        self.damaged
    }

    fn failed(&self, why: impl ToString) -> ShelfError {
        ShelfError(format!("{}: {}", self.path.display(), why.to_string()))
    }

    fn key(&self, key: &[u8]) -> Result<Key, ShelfError> {
        key.try_into().map_err(|_| self.failed(format!("a key has {} bytes, not 20", key.len())))
    }

    fn write(&self, key: &[u8], record: &[u8], syncs: bool) -> Result<(), ShelfError> {
        let key = self.key(key)?;
        let bytes =
            u32::try_from(record.len()).map_err(|_| self.failed("a record is too large"))?;
        let mut inner = self.inner.lock();
        let taken = units(HEAD as u64 + u64::from(bytes));
        let Some(unit) = inner.room.take(taken) else {
            return Err(self.failed("the file has no more room"));
        };
        inner.number += 1;
        let head = Head::of(key, record, (inner.number, wall::ms()), self.seed);
        let mut whole = Vec::with_capacity(HEAD + record.len());
        whole.extend_from_slice(&head.encode(self.seed));
        whole.extend_from_slice(record);
        let written = self.file.write_all_at(&whole, offset(unit)).map_err(|why| self.failed(why));
        if let Err(error) = written.and_then(|()| self.synced(syncs)) {
            // An earlier record of the key stands. This one is torn, which its checksum says, or all of
            // it is there although it does not count: then nobody shall find it.
            if self.keeps {
                let gone = Head::free(key, bytes).encode(self.seed);
                let _ = self.file.write_all_at(&gone, offset(unit));
            }
            inner.room.give_back(unit, taken);
            return Err(error);
        }
        match inner.records.insert(key, Place { unit, bytes, is_left: false }) {
            // Where that does not stand on the disk yet, the later of the two counts.
            Some(old) => self.free(&mut inner, key, old, false),
            None => Ok(()),
        }
    }

    /// Its room is free, and nobody finds it there any more.
    fn free(
        &self,
        inner: &mut Inner,
        key: Key,
        place: Place,
        syncs: bool,
    ) -> Result<(), ShelfError> {
        inner.room.give_back(place.unit, units(HEAD as u64 + u64::from(place.bytes)));
        if !self.keeps {
            return Ok(());
        }
        let gone = Head::free(key, place.bytes).encode(self.seed);
        self.file.write_all_at(&gone, offset(place.unit)).map_err(|why| self.failed(why))?;
        self.synced(syncs)
    }

    fn synced(&self, syncs: bool) -> Result<(), ShelfError> {
        if syncs { self.file.sync_data().map_err(|why| self.failed(why)) } else { Ok(()) }
    }

    /// Under the lock: its room is nobody else's meanwhile.
    fn read(&self, key: &Key, place: Place) -> Result<(Head, Vec<u8>), ShelfError> {
        let mut bytes = vec![0; HEAD + place.bytes as usize];
        let read = self.file.read_exact_at(&mut bytes, offset(place.unit));
        read.map_err(|why| self.failed(why))?;
        let head = bytes.first_chunk().and_then(|head| Head::decode(head, self.seed));
        let head = head.filter(|head| head.key == *key && !head.is_free);
        bytes.drain(..HEAD);
        match head.filter(|head| head.fits(&bytes, self.seed)) {
            Some(head) => Ok((head, bytes)),
            None => Err(self.failed("a record is damaged")),
        }
    }
}

impl Shelf for FileShelf {
    fn put(&self, key: &[u8], record: &[u8]) -> Result<(), ShelfError> {
        self.write(key, record, self.syncs)
    }

    /// It does not wait for the disk.
    fn mark(&self, key: &[u8], stamp: &[u8]) -> Result<(), ShelfError> {
        self.write(key, stamp, false)
    }

    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, ShelfError> {
        let (key, inner) = (self.key(key)?, self.inner.lock());
        let Some(place) = inner.records.get(&key).copied() else { return Ok(None) };
        self.read(&key, place).map(|(_, record)| Some(record))
    }

    fn remove(&self, key: &[u8]) -> Result<(), ShelfError> {
        let (key, mut inner) = (self.key(key)?, self.inner.lock());
        let Some(place) = inner.records.remove(&key) else { return Ok(()) };
        self.free(&mut inner, key, place, self.syncs)
    }

    fn keeps(&self) -> bool {
        self.keeps
    }

    fn left(&self) -> Vec<Vec<u8>> {
        let inner = self.inner.lock();
        let left = inner.records.iter().filter(|(_, place)| place.is_left);
        left.map(|(key, _)| key.to_vec()).collect()
    }

    fn get_left(&self, key: &[u8]) -> Result<Option<Left>, ShelfError> {
        let (key, inner) = (self.key(key)?, self.inner.lock());
        let found = inner.records.get(&key).copied().filter(|place| place.is_left);
        let Some(place) = found else { return Ok(None) };
        let (head, record) = self.read(&key, place)?;
        let age = Duration::from_millis(wall::ms().saturating_sub(head.put_ms));
        Ok(Some(Left { record, age }))
    }
}

impl Inner {
    fn new(end: u32) -> Self {
        Self { records: HashMap::default(), room: Room::new(end), number: 0 }
    }
}

/// The file, when it is certain that nobody else has it.
fn take(path: &Path) -> io::Result<File> {
    let options = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path);
    let file = options.map_err(at(path))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(error) => Err(at(path)(error.into())),
    }
}

fn begin(file: &File) -> io::Result<u64> {
    let seed = rand::random();
    file.write_all_at(&file_head(seed), 0).map(|()| seed)
}

/// What is on a file of so many bytes, and how many records of it are torn or damaged.
fn read(file: &File, seed: u64, length: u64) -> io::Result<(Inner, usize)> {
    let mut inner = Inner::new(1);
    let (mut unit, mut damaged, mut end) = (1_u32, 0, 1);
    let mut numbers: HashMap<Key, u64> = HashMap::new();
    let mut head = [0; HEAD];
    while offset(unit) + HEAD as u64 <= length {
        file.read_exact_at(&mut head, offset(unit))?;
        let Some(head) = Head::decode(&head, seed) else {
            damaged += usize::from(record::begins(&head));
            // The rest of a record whose head was written over, or was never written.
            unit += 1;
            continue;
        };
        let (here, taken) = (unit, units(HEAD as u64 + u64::from(head.bytes)));
        unit = unit.saturating_add(taken);
        end = unit;
        let mut record = Vec::new();
        let is_whole =
            !head.is_free && offset(here) + (HEAD as u64) + u64::from(head.bytes) <= length && {
                record.resize(head.bytes as usize, 0);
                file.read_exact_at(&mut record, offset(here) + HEAD as u64)?;
                head.fits(&record, seed)
            };
        damaged += usize::from(!is_whole && !head.is_free);
        inner.number = inner.number.max(head.number);
        if !is_whole || numbers.get(&head.key).is_some_and(|number| *number > head.number) {
            inner.room.give_back(here, taken);
            continue;
        }
        numbers.insert(head.key, head.number);
        let place = Place { unit: here, bytes: head.bytes, is_left: true };
        if let Some(old) = inner.records.insert(head.key, place) {
            inner.room.give_back(old.unit, units(HEAD as u64 + u64::from(old.bytes)));
        }
    }
    inner.room.ends_at(end);
    Ok((inner, damaged))
}

fn offset(unit: u32) -> u64 {
    u64::from(unit) * UNIT
}

fn at(path: &Path) -> impl FnOnce(io::Error) -> io::Error + '_ {
    move |error| io::Error::new(error.kind(), format!("{}: {error}", path.display()))
}
