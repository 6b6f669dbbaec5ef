//! A singleton as a member process runs it for its test: a journal of when it ran, and one of what it
//! did. Both are written from inside its body, line by line, so that a kill -9 loses none.

use std::fs::File;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use muster_agent::Cluster;
use muster_agent::engine::map::Batch;
use muster_agent::engine::{Map, MapError};
use muster_agent::singleton::{Failure, Policy, Singleton, Term};
use muster_grid::{Expect, Op, Put};
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};

use super::clock::{Nanos, now};
use super::history::Outcome;
use super::singleton::{Line, number};

/// Between two steps of the body.
const PACE: Duration = Duration::from_millis(5);
/// The group that all steps write to.
const GROUP: &[u8] = b"effects";

/// A singleton of a test, and by which policy it is placed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Single {
    /// Its name.
    pub name: String,
    /// Which candidate by age.
    pub position: i32,
    /// Who is preferred.
    pub prefers: Vec<String>,
    /// Its policy's quorum.
    pub quorum: Option<u16>,
}

/// A step of the body, and what came of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Effect {
    /// Before it was asked for.
    pub start: Nanos,
    /// When the answer came.
    pub end: Nanos,
    /// A number that rises as the token does.
    pub token: u64,
    /// Where it stands in the order of the cache: epoch and place; nothing where it was refused.
    pub rev: Option<(u64, u64)>,
    /// What came of it.
    pub ok: Outcome,
}

/// Where a singleton's journal of steps is, beside that of its runs.
pub fn effects_of(journal: &Path) -> PathBuf {
    journal.with_extension("effects")
}

/// Offers the singleton on this member, until the cluster is left.
///
/// # Errors
/// When a journal cannot be written, or it cannot be deployed.
pub fn offer(
    cluster: &Cluster,
    single: &Single,
    map: Arc<dyn Map>,
    journal: &Path,
) -> anyhow::Result<Singleton> {
    let open = |path: &Path| {
        let file = File::options().create(true).append(true).open(path);
        file.with_context(|| path.display().to_string())
    };
    let runs = Arc::new(Mutex::new(open(journal)?));
    let effects = Arc::new(Mutex::new(open(&effects_of(journal))?));
    let prefer = |policy: Policy, node: &String| policy.prefer(node);
    let policy = single.prefers.iter().fold(Policy::at(single.position), prefer);
    let policy = policy.quorum(single.quorum.unwrap_or(1));
    let builder = Singleton::builder(&single.name).policy(policy);
    Ok(builder.start(cluster, move |term| {
        let (runs, effects, map) = (runs.clone(), effects.clone(), map.clone());
        async move { run(term, &runs, &effects, &*map).await }
    })?)
}

/// What a journal of steps says, whole lines only.
pub fn read_effects(journal: &Path) -> Vec<Effect> {
    let text = std::fs::read_to_string(effects_of(journal)).unwrap_or_default();
    text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
}

async fn run(
    term: Term,
    runs: &Mutex<File>,
    effects: &Mutex<File>,
    map: &dyn Map,
) -> Result<(), Failure> {
    let at = now();
    write(runs, &Line::Start { asked: at, at, token: number(term.token()) })?;
    while term.is_active() {
        // Whoever shall stop does so at once: a write that is under way is fenced by its token.
        tokio::select! {
            biased;
            () = term.stopped() => {}
            effect = step(&term, map) => write(effects, &effect)?,
        }
        tokio::select! {
            biased;
            () = term.stopped() => {}
            () = tokio::time::sleep(PACE) => {}
        }
    }
    write(runs, &Line::Stop { at: now() })?;
    Ok(())
}

/// One write with the token as its fence.
async fn step(term: &Term, map: &dyn Map) -> Effect {
    let put = Put::new(term.node().as_bytes());
    let op = Op { key: b"by"[..].into(), expect: Expect::Any, put: Some(put) };
    let start = now();
    let written = map.write(Batch { token: Some(term.token()), ..Batch::new(GROUP, vec![op]) });
    let (ok, rev) = match written.await {
        Ok(rev) => (Outcome::Ok, Some((rev.epoch, rev.seq))),
        Err(MapError::Unknown) => (Outcome::Unknown, None),
        Err(_) => (Outcome::Fail, None),
    };
    Effect { start, end: now(), token: number(term.token()), rev, ok }
}

fn write(file: &Mutex<File>, line: &impl Serialize) -> io::Result<()> {
    let text = serde_json::to_string(line)?;
    file.lock().write_all(format!("{text}\n").as_bytes())
}
