//! A job as a member process does it for its test: each firing writes once, under its token and by its
//! instant. A journal says when runs began and ended, and what they wrote: written from inside, line
//! by line, so that a kill -9 loses none.

use std::fs::File;
use std::io::{self, Write as _};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use muster_agent::Cluster;
use muster_agent::engine::map::Batch;
use muster_agent::engine::{Map, MapError, Read};
use muster_agent::job::{Job, Missed, Overlap, Run};
use muster_grid::{Expect, Op, Put};
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};

use super::clock::{Nanos, now};
use super::singleton::number;

/// How long a run takes before it writes, and after.
const HALF: Duration = Duration::from_millis(25);
/// Until a write that nobody answered for is tried again.
const PAUSE: Duration = Duration::from_millis(20);
/// Firings that wait while nobody can run them: as many as may.
const MOST_WAITING: usize = 100;
/// Tries of a firing, and the pause when all members have tried.
const TRIES: (u32, Duration) = (1000, Duration::from_millis(100));
/// The group that all firings write to.
const GROUP: &[u8] = b"firings";

/// A job of a test.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct JobWork {
    /// Its name.
    pub name: String,
    /// How often it fires, in milliseconds.
    pub every_ms: u64,
}

/// A line of the journal. A token is a number that rises as it does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "is", rename_all = "lowercase")]
pub enum Note {
    /// A run begins.
    Begin {
        /// When.
        at: Nanos,
        /// For which instant.
        firing: i64,
        /// Under which token.
        token: u64,
        /// The how manyth of its firing it is.
        attempt: u32,
    },
    /// What it was to write is written, by it or by a run before it.
    Wrote {
        /// When that was known.
        at: Nanos,
        /// For which instant.
        firing: i64,
        /// Under which token.
        token: u64,
        /// Where it stands in the order of the cache: epoch and place. Nothing where an earlier run
        /// has written it, or where that is not known.
        rev: Option<(u64, u64)>,
    },
    /// What it was to write was refused: its token is an old one.
    Fenced {
        /// When that was known.
        at: Nanos,
        /// Under which token.
        token: u64,
    },
    /// It has ended, or was dropped.
    Stop {
        /// When.
        at: Nanos,
        /// Under which token it ran.
        token: u64,
    },
}

/// Does its job in the background, until the cluster is left.
///
/// # Errors
/// When the journal cannot be written, or the job not be started.
pub fn offer(
    cluster: &Cluster,
    work: &JobWork,
    map: Arc<dyn Map>,
    journal: &Path,
) -> anyhow::Result<Job> {
    let file = File::options().create(true).append(true).open(journal);
    let journal = Arc::new(Mutex::new(file.with_context(|| journal.display().to_string())?));
    let job = cluster.job(&work.name).every(Duration::from_millis(work.every_ms));
    let job = job.overlap(Overlap::Queue(MOST_WAITING)).missed(Missed::RunAll(MOST_WAITING));
    let job = job.tries(TRIES.0, TRIES.1);
    Ok(job.start(move |run: Run| {
        let (map, journal) = (map.clone(), journal.clone());
        async move { fire(&run, &*map, &journal).await }
    })?)
}

/// What a journal says, whole lines only.
pub fn read(journal: &Path) -> Vec<Note> {
    let text = std::fs::read_to_string(journal).unwrap_or_default();
    text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
}

/// Instants that were written for, with the number of the token under which each was.
///
/// # Errors
/// When the map cannot be read.
pub async fn written(map: &dyn Map) -> Result<Vec<(i64, u64)>, MapError> {
    let entries = map.get(GROUP, Read::Confirmed).await?.entries;
    let number = |bytes: &[u8]| std::str::from_utf8(bytes).ok().map(str::to_owned);
    Ok((entries.iter())
        .filter_map(|(key, (value, _))| {
            Some((number(key)?.parse().ok()?, number(value)?.parse().ok()?))
        })
        .collect())
}

async fn fire(run: &Run, map: &dyn Map, journal: &Mutex<File>) -> Result<(), String> {
    let ran = Ran::begin(run, journal).map_err(|error| error.to_string())?;
    tokio::time::sleep(HALF).await;
    let (token, firing) = (ran.token, ran.firing);
    let note = match write(run, ran.firing, token, map).await {
        Ok(rev) => Note::Wrote { at: now(), firing, token, rev },
        Err(_) => Note::Fenced { at: now(), token },
    };
    ran.note(&note).map_err(|error| error.to_string())?;
    if let Note::Fenced { .. } = note {
        return Err(MapError::Fenced.to_string());
    }
    tokio::time::sleep(HALF).await;
    Ok(())
}

/// Writes once for an instant, whatever earlier runs of it have done. Tried again where nobody knows:
/// it cannot happen twice.
async fn write(
    run: &Run,
    firing: i64,
    token: u64,
    map: &dyn Map,
) -> Result<Option<(u64, u64)>, MapError> {
    loop {
        let (key, put) = (firing.to_string(), Put::new(token.to_string().as_bytes()));
        let op = Op { key: key.as_bytes().into(), expect: Expect::Absent, put: Some(put) };
        let batch = Batch { token: Some(run.token()), ..Batch::new(GROUP, vec![op]) };
        match map.write(batch).await {
            Ok(rev) => return Ok(Some((rev.epoch, rev.seq))),
            Err(MapError::Conflict { .. }) => return Ok(None),
            Err(MapError::Fenced) => return Err(MapError::Fenced),
            Err(_) => tokio::time::sleep(PAUSE).await,
        }
    }
}

/// A run that is noted: its end too, however it comes.
struct Ran<'j> {
    journal: &'j Mutex<File>,
    firing: i64,
    token: u64,
}

// === impl Ran ===

impl<'j> Ran<'j> {
    fn begin(run: &Run, journal: &'j Mutex<File>) -> io::Result<Ran<'j>> {
        let (firing, token) = (run.scheduled().as_millisecond(), number(run.token()));
        let ran = Ran { journal, firing, token };
        ran.note(&Note::Begin { at: now(), firing, token, attempt: run.attempt() })?;
        Ok(ran)
    }

    fn note(&self, note: &Note) -> io::Result<()> {
        let text = serde_json::to_string(note)?;
        self.journal.lock().write_all(format!("{text}\n").as_bytes())
    }
}

impl Drop for Ran<'_> {
    fn drop(&mut self) {
        // Who cannot write it any more has told of the begin, and the test will miss the end.
        let _ = self.note(&Note::Stop { at: now(), token: self.token });
    }
}
