//! The registry on disk, for the next start: traffic flows again as soon as nodes answer their
//! probes, and not only when each has registered again.
//!
//! The file is a line about itself and the registry's document. It is replaced as a whole, so that
//! a crash leaves the old one or the new one. What cannot be used is told, and put aside.

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use muster_routing::registry::snapshot::{Snapshot, SnapshotError};
use tokio_util::sync::CancellationToken;

use crate::PRODUCT;
use crate::config::State;
use crate::published::Published;
use crate::side::{Ground, Tasks};

/// Most bytes of the first line.
const MAX_HEADER: usize = 1024;

/// What the file says of itself.
#[derive(Debug, serde::Serialize, serde::Deserialize)]
struct Header {
    /// Who wrote it.
    by: String,
    /// When, in milliseconds of the Unix epoch.
    saved_ms: u64,
}

/// Why a file is of no use.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Unusable {
    #[error("it cannot be read")]
    Read(#[from] std::io::Error),
    #[error("it has more than {0} bytes (state.max_bytes)")]
    TooLarge(usize),
    #[error("its first line says nothing of it")]
    Header,
    #[error("it is {0:?} old (state.max_age)")]
    TooOld(Duration),
    #[error(transparent)]
    Registry(#[from] SnapshotError),
}

/// Reads what the last process left, and how long ago.
///
/// # Errors
/// [`Unusable`]; `Ok(None)` where there is no file.
pub(crate) fn read(
    settings: &State,
    path: &Path,
) -> Result<Option<(Snapshot, Duration)>, Unusable> {
    let file = match File::open(path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        opened => opened?,
    };
    let most = settings.max_bytes;
    let mut bytes = Vec::new();
    file.take(most as u64 + 1).read_to_end(&mut bytes)?;
    if bytes.len() > most {
        return Err(Unusable::TooLarge(most));
    }
    let end = bytes.iter().take(MAX_HEADER).position(|byte| *byte == b'\n');
    let (header, document) = bytes.split_at(end.ok_or(Unusable::Header)?);
    let header: Header = serde_json::from_slice(header).map_err(|_| Unusable::Header)?;
    // A clock that went back makes it young, which costs a probe of each node at most.
    let age = Duration::from_millis(now_ms().saturating_sub(header.saved_ms));
    if age > settings.max_age {
        return Err(Unusable::TooOld(age));
    }
    Ok(Some((Snapshot::read(document)?, age)))
}

/// Puts a file that is of no use out of the way, so that somebody can look at it.
pub(crate) fn put_aside(path: &Path) {
    let mut aside = path.as_os_str().to_owned();
    aside.push(".bad");
    if let Err(error) = std::fs::rename(path, &aside) {
        tracing::warn!(file = %path.display(), %error, "it stays where it is");
    }
}

/// Keeps the registry on disk.
pub(crate) fn keep(ground: &Ground, tasks: &mut Tasks) {
    if let Some(path) = ground.config.state.path() {
        let (published, settings) = (ground.published.clone(), ground.config.state.clone());
        tasks.spawn(|stop| write_changes(published, settings, path, stop));
    }
}

async fn write_changes(
    published: Arc<Published>,
    settings: State,
    path: PathBuf,
    stop: CancellationToken,
) {
    let mut changes = published.changes();
    let mut is_good = true;
    // A file that nobody touches would grow too old.
    let refresh = settings.max_age / 4;
    loop {
        changes.mark_unchanged();
        let written = write(&published, settings.max_bytes, &path).await;
        // Told once, and again when it works again.
        match (&written, is_good) {
            (Err(error), true) => {
                let file = path.display();
                tracing::error!(%file, "the registry is not kept for the next start: {error:#}");
            }
            (Ok(()), false) => tracing::info!("the registry is kept again"),
            _ => {}
        }
        is_good = written.is_ok();
        if stop.is_cancelled() {
            return;
        }
        tokio::select! {
            _ = changes.changed() => {}
            () = tokio::time::sleep(refresh) => {}
            () = stop.cancelled() => continue,
        }
        tokio::select! {
            () = tokio::time::sleep(settings.write_delay) => {}
            () = stop.cancelled() => {}
        }
    }
}

async fn write(published: &Published, most: usize, path: &Path) -> anyhow::Result<()> {
    let snapshot = published.change(|registry, now| registry.snapshot(now));
    let path = path.to_owned();
    tokio::task::spawn_blocking(move || {
        let header = Header { by: PRODUCT.to_owned(), saved_ms: now_ms() };
        let mut bytes = serde_json::to_vec(&header)?;
        bytes.push(b'\n');
        bytes.extend(snapshot.write());
        anyhow::ensure!(bytes.len() <= most, "it has more than {most} bytes (state.max_bytes)");
        Ok(replace(&path, &bytes)?)
    })
    .await?
}

fn replace(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    let folder = folder.unwrap_or(Path::new("."));
    // Only its owner may read it.
    let mut file = tempfile::NamedTempFile::new_in(folder)?;
    file.write_all(bytes)?;
    file.as_file().sync_all()?;
    file.persist(path)?;
    File::open(folder)?.sync_all()
}

fn now_ms() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(now.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use muster_routing::health::Timing;
    use muster_routing::{Limits, Moment, Registry};

    use super::*;

    fn document() -> Vec<u8> {
        Registry::new(Limits::default(), Timing::default(), false).snapshot(Moment::ZERO).write()
    }

    fn file(header: &str, document: &[u8]) -> tempfile::NamedTempFile {
        let file = tempfile::NamedTempFile::new().unwrap();
        replace(file.path(), &[header.as_bytes(), b"\n", document].concat()).unwrap();
        file
    }

    #[test]
    fn what_was_written_is_read_with_its_age() {
        let header = Header { by: "muster/0".to_owned(), saved_ms: now_ms() - 2_000 };
        let file = file(&serde_json::to_string(&header).unwrap(), &document());
        let (snapshot, age) = read(&State::default(), file.path()).unwrap().unwrap();
        assert_eq!(snapshot.nodes(), 0);
        assert!(age >= Duration::from_secs(2), "{age:?}");
        assert!(read(&State::default(), Path::new("/nowhere/at/all")).unwrap().is_none());
    }

    #[test]
    fn what_is_old_large_or_broken_is_called_that() {
        let now = format!("{{\"by\":\"muster/0\",\"saved_ms\":{}}}", now_ms());
        let why = |file: &tempfile::NamedTempFile| {
            read(&State { max_bytes: 500, ..State::default() }, file.path())
                .unwrap_err()
                .to_string()
        };
        let old = "{\"by\":\"muster/0\",\"saved_ms\":1000}";
        assert!(why(&file(old, &document())).ends_with("old (state.max_age)"));
        assert!(why(&file(&now, &[b' '; 500])).contains("more than 500 bytes"));
        assert!(why(&file("x", &document())).contains("first line"));
        assert!(why(&file(&now, b"{\"version\":9}")).contains("its version is 9"));
        assert!(why(&file(&now, b"{\"version\":1")).contains("cannot be read"));
    }

    #[test]
    fn a_file_put_aside_is_still_there_to_look_at() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("registry.json");
        replace(&path, b"x").unwrap();
        put_aside(&path);
        assert!(!path.exists());
        assert_eq!(std::fs::read(folder.path().join("registry.json.bad")).unwrap(), b"x");
    }
}
