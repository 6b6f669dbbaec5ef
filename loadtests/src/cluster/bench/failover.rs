//! How long it takes until the rest goes on, when one of three members dies or freezes.

use std::path::PathBuf;
use std::time::Duration;

use serde_json::json;
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::figure::median;
use crate::cluster::clock::{Nanos, millis};
use crate::cluster::words::{Ask, ViewTold};
use crate::cluster::{Asker, Herd, Outcome, PATIENCE, Plan, now};
use crate::testkit::Fault;

/// What happens to a member.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Happens {
    /// kill -9.
    Killed,
    /// SIGSTOP: its connections stay open, and it is silent.
    Frozen,
}

/// What runs took, in milliseconds.
#[derive(Debug, Default)]
pub struct Runs {
    /// Until the last survivor had the new view.
    pub view: Vec<f64>,
    /// The longest time that any writer waited for one of its writes.
    pub gap: Vec<f64>,
}

const WRITERS_EACH: usize = 4;
const ANSWER: Duration = Duration::from_secs(20);
/// Writers are at it so long before and after.
const MARGIN: Duration = Duration::from_millis(500);
const LULL: Duration = Duration::from_millis(1);
const KEYS: u32 = 1000;

/// Lets it happen so many times, to one after the other; the others are written through meanwhile.
///
/// # Errors
/// When the members do not come together again.
pub async fn run(happens: Happens, runs: u32) -> anyhow::Result<Runs> {
    let mut herd = Herd::gather(Plan { count: 3, ..Plan::default() }).await?;
    let mut told = Runs::default();
    for run in 0..runs {
        let victim = run as usize % 3;
        let (view, gap) = once(&mut herd, happens, victim).await?;
        eprintln!("run {run}: m{} {happens:?}: view {view:.1} ms, gap {gap:.1} ms", victim + 1);
        told.view.push(view);
        told.gap.push(gap);
    }
    Ok(told)
}

async fn once(herd: &mut Herd, happens: Happens, victim: usize) -> anyhow::Result<(f64, f64)> {
    herd.await_together().await?;
    let survivors: Vec<usize> = (0..herd.members.len()).filter(|one| *one != victim).collect();
    let sockets = herd.sockets();
    let (stop, stopped) = watch::channel(false);
    let mut writers = JoinSet::new();
    for survivor in &survivors {
        for _ in 0..WRITERS_EACH {
            writers.spawn(write(sockets[*survivor].1.clone(), stopped.clone()));
        }
    }
    tokio::time::sleep(MARGIN).await;
    let began = now();
    match happens {
        Happens::Killed => herd.members[victim].process.kill()?,
        Happens::Frozen => herd.members[victim].process.inflict(Fault::Freeze)?,
    }
    let names: Vec<String> = survivors.iter().map(|one| herd.members[*one].name.clone()).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let mut last = began;
    for survivor in &survivors {
        let is_new = |view: &ViewTold| view.at >= began && view.is_of(&names);
        let view = herd.members[*survivor].await_view("without it", PATIENCE, is_new).await?;
        last = last.max(view.at);
    }
    tokio::time::sleep(MARGIN).await;
    let _ = stop.send(true);
    let mut gap: f64 = 0.0;
    while let Some(longest) = writers.join_next().await {
        gap = gap.max(longest?);
    }
    match happens {
        Happens::Killed => herd.members[victim].process.restart().await?,
        Happens::Frozen => herd.members[victim].process.inflict(Fault::Thaw)?,
    }
    herd.await_together().await?;
    Ok((millis(began, last), gap))
}

/// Writes again and again until stopped; the longest time from one acknowledged write to the next.
async fn write(socket: PathBuf, stopped: watch::Receiver<bool>) -> f64 {
    let mut asker = Asker::new(&socket);
    let (mut last, mut longest): (Nanos, f64) = (now(), 0.0);
    while !*stopped.borrow() {
        let key = format!("gap-{}", rand::random::<u32>() % KEYS);
        let answer = asker.ask(&Ask::Put { key, value: json!("x".repeat(64)) }, ANSWER).await;
        if answer.ok != Outcome::Ok {
            tokio::time::sleep(LULL).await;
            continue;
        }
        let at = now();
        longest = longest.max(millis(last, at));
        last = at;
    }
    longest
}

// === impl Runs ===

impl std::fmt::Display for Runs {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let worst = |values: &[f64]| values.iter().copied().fold(0.0, f64::max);
        writeln!(f, "| | median ms | worst ms | runs |\n|---|---|---|---|")?;
        for (name, values) in [("new view", &self.view), ("longest write gap", &self.gap)] {
            let (median, worst) = (median(values.clone()), worst(values));
            writeln!(f, "| {name} | {median:.1} | {worst:.1} | {} |", values.len())?;
        }
        Ok(())
    }
}
