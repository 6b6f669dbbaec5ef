//! The data directory: the node's id, which of its lives this is, and what its membership must not
//! forget. One process at a time has it.
//!
//! | file | content |
//! |---|---|
//! | `lock` | locked while a process has the directory |
//! | `node` | the node's UUID, in text |
//! | `member` | incarnation, promised epoch, accepted view: written whole, with a checksum |

use std::fs::{self, File, TryLockError};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use muster_cluster::{Durable, NodeId};
use muster_grid::wire;
use rand::Rng as _;
use thiserror::Error;

/// Bytes of the file `member` at most: a view of 64 members and 4 tables of 4,096 rows fits.
const MOST: u64 = 64 << 20;

/// What is wrong with the data directory.
#[derive(Debug, Error)]
pub(crate) enum DiskError {
    /// Another process has it.
    #[error("data directory {0} is in use by another process")]
    InUse(PathBuf),
    /// It cannot be read or written.
    #[error("data directory: {path}: {error}")]
    Io {
        /// Which file.
        path: PathBuf,
        /// Why.
        #[source]
        error: io::Error,
    },
    /// Not what a node has written.
    #[error("data directory: {path} is damaged: {why}")]
    Damaged {
        /// Which file.
        path: PathBuf,
        /// How.
        why: String,
    },
}

/// A data directory that this process has, or the memory of a node without one.
#[derive(Debug)]
pub(crate) struct Disk {
    /// The directory, and its locked file.
    home: Option<(PathBuf, File)>,
    /// The node's id.
    pub(crate) node: NodeId,
    /// What stood there; its incarnation is already that of this life.
    pub(crate) durable: Durable,
}

impl Disk {
    /// A node without a directory: another one at each start.
    pub(crate) fn memory() -> Self {
        Self { home: None, node: new_node(), durable: first_life(Durable::default()) }
    }

    /// Takes a directory, and begins the node's next life: it is on disk when this returns.
    ///
    /// # Errors
    /// See [`DiskError`].
    pub(crate) fn open(path: &Path) -> Result<Self, DiskError> {
        fs::create_dir_all(path).map_err(at(path))?;
        let lock = take(path)?;
        let node = read_node(path)?;
        let durable = first_life(read_durable(&path.join("member"))?);
        let disk = Self { home: Some((path.to_owned(), lock)), node, durable };
        if let Some(writer) = disk.writer() {
            writer.write(&disk.durable)?;
        }
        Ok(disk)
    }

    /// Whoever writes there; none without a directory.
    pub(crate) fn writer(&self) -> Option<Writer> {
        self.home.as_ref().map(|(path, _)| Writer { home: path.clone() })
    }
}

/// Writes what must not be forgotten.
#[derive(Clone, Debug)]
pub(crate) struct Writer {
    home: PathBuf,
}

impl Writer {
    /// Returns when it stands on disk. Blocks.
    ///
    /// # Errors
    /// When it does not stand there; what stood there before still does.
    pub(crate) fn write(&self, durable: &Durable) -> Result<(), DiskError> {
        let path = self.home.join("member");
        let bytes = wire::encode_durable(durable)
            .map_err(|why| DiskError::Damaged { path: path.clone(), why: why.to_string() })?;
        replace(&self.home, &path, &bytes)
    }
}

fn first_life(durable: Durable) -> Durable {
    Durable { incarnation: durable.incarnation.saturating_add(1), ..durable }
}

fn new_node() -> NodeId {
    // A random UUID of version 4, so that other tools read it as one.
    let random: u128 = rand::rng().random();
    NodeId((random & !(0xf << 76 | 0x3 << 62)) | 0x4 << 76 | 0x2 << 62)
}

fn take(home: &Path) -> Result<File, DiskError> {
    let path = home.join("lock");
    let file = File::create(&path).map_err(at(&path))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(DiskError::InUse(home.to_owned())),
        Err(TryLockError::Error(error)) => Err(DiskError::Io { path, error }),
    }
}

fn read_node(home: &Path) -> Result<NodeId, DiskError> {
    let path = home.join("node");
    match fs::read_to_string(&path) {
        Ok(text) => parse_uuid(text.trim()).ok_or_else(|| DiskError::Damaged {
            path,
            why: format!("{:?} is not a UUID", text.chars().take(64).collect::<String>()),
        }),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let node = new_node();
            replace(home, &path, format!("{}\n", uuid(node)).as_bytes())?;
            Ok(node)
        }
        Err(error) => Err(DiskError::Io { path, error }),
    }
}

fn read_durable(path: &Path) -> Result<Durable, DiskError> {
    let damaged = |why: String| DiskError::Damaged { path: path.to_owned(), why };
    match fs::metadata(path) {
        Ok(found) if found.len() > MOST => Err(damaged(format!("it has {} bytes", found.len()))),
        Ok(_) => {
            let bytes = fs::read(path).map_err(at(path))?;
            wire::decode_durable(&bytes).map_err(|why| damaged(why.to_string()))
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Durable::default()),
        Err(error) => Err(at(path)(error)),
    }
}

/// Puts a whole file in the place of another: after a crash one of the two is there.
pub(crate) fn replace(home: &Path, path: &Path, bytes: &[u8]) -> Result<(), DiskError> {
    let temporary = path.with_extension("new");
    let mut file = File::create(&temporary).map_err(at(&temporary))?;
    file.write_all(bytes).and_then(|()| file.sync_all()).map_err(at(&temporary))?;
    fs::rename(&temporary, path).map_err(at(path))?;
    // The name is in the directory, and that must stand on disk too.
    File::open(home).and_then(|home| home.sync_all()).map_err(at(home))
}

fn at(path: &Path) -> impl FnOnce(io::Error) -> DiskError + '_ {
    move |error| DiskError::Io { path: path.to_owned(), error }
}

fn uuid(node: NodeId) -> String {
    let hex = format!("{:032x}", node.0);
    [&hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..]].join("-")
}

fn parse_uuid(text: &str) -> Option<NodeId> {
    let hex: String = text.chars().filter(|c| *c != '-').collect();
    if text.len() != 36 || hex.len() != 32 || hex.starts_with('+') {
        return None;
    }
    u128::from_str_radix(&hex, 16).ok().map(NodeId)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_keeps_its_id_and_each_start_is_another_life() {
        let home = tempfile::tempdir().expect("a directory");
        let first = Disk::open(home.path()).expect("a new directory");
        let (node, life) = (first.node, first.durable.incarnation);
        drop(first);
        let again = Disk::open(home.path()).expect("the same directory");
        assert_eq!((again.node, again.durable.incarnation), (node, life + 1));
        assert_eq!(parse_uuid(&uuid(node)), Some(node));
    }

    #[test]
    fn two_processes_never_share_a_directory() {
        let home = tempfile::tempdir().expect("a directory");
        let _first = Disk::open(home.path()).expect("a new directory");
        let second = Disk::open(home.path()).map(|_| ()).expect_err("it is in use");
        let expected =
            format!("data directory {} is in use by another process", home.path().display());
        assert_eq!(second.to_string(), expected);
    }

    #[test]
    fn a_torn_or_foreign_file_is_an_error_that_names_it() {
        let home = tempfile::tempdir().expect("a directory");
        drop(Disk::open(home.path()).expect("a new directory"));
        let member = home.path().join("member");
        let whole = fs::read(&member).expect("it was written");
        for damaged in [&whole[..whole.len() - 1], b"", b"something else altogether"] {
            fs::write(&member, damaged).expect("a file");
            let error = Disk::open(home.path()).map(|_| ()).expect_err("it is damaged");
            assert!(error.to_string().contains("member is damaged"), "{error}");
        }
        fs::write(&member, whole).expect("a file");
        fs::write(home.path().join("node"), "node one").expect("a file");
        let error = Disk::open(home.path()).map(|_| ()).expect_err("it is damaged");
        assert!(error.to_string().contains("\"node one\" is not a UUID"), "{error}");
    }
}
