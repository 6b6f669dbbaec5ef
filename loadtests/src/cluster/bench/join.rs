//! A newcomer to two members that are full of data, under commits; and what memory the data takes.

use std::time::Duration;

use serde_json::{Value, json};

use super::figure::Figure;
use crate::cluster::clock::millis;
use crate::cluster::words::{Ask, ViewTold, Work};
use crate::cluster::{Herd, Member, PATIENCE, Plan, cpu, now};
use crate::testkit::wait::eventually;

/// What a run found.
#[derive(Debug, Clone, Copy)]
pub struct Joined {
    /// Entries of which both members have a copy.
    pub entries: u32,
    /// The bytes of each value.
    pub bytes: usize,
    /// Resident memory of an empty member, and of a full one, in bytes.
    pub memory: (u64, u64),
    /// From the start of the newcomer's process to the first view with it, in milliseconds.
    pub to_view_ms: f64,
    /// From that view until the newcomer has its share of copies and of primaries.
    pub to_balanced_ms: f64,
    /// Commits before, and while the newcomer was filled.
    pub commits: (Figure, Figure),
    /// Entries that could not be read through the newcomer afterwards.
    pub lost: u32,
}

/// How much of its exact share a newcomer must have: segments are whole, and hashes uneven.
const SHARE: f64 = 0.9;
const PREFIX: &str = "full-";
/// Filling and counting take their time on a busy machine.
const LONG: Duration = Duration::from_secs(600);
const COMMITTERS: usize = 4;
/// How long commits are measured, before and from the newcomer's start on.
const BEFORE: Duration = Duration::from_secs(1);
const DURING: Duration = Duration::from_secs(3);

/// One run.
///
/// # Errors
/// When the members do not come together or do not answer.
pub async fn run(entries: u32, bytes: usize) -> anyhow::Result<Joined> {
    let mut herd = Herd::prepare(Plan { count: 3, ..Plan::default() })?;
    herd.join(1).await?;
    herd.join(2).await?;
    herd.await_together().await?;
    let empty = cpu::resident(herd.members[0].process.id());
    let fill = Ask::Fill { prefix: PREFIX.into(), count: entries, bytes };
    anyhow::ensure!(ask(&herd.members[0], &fill).await? == json!(entries), "it is not filled");
    let full = cpu::resident(herd.members[0].process.id());
    commits(&herd.members[0], BEFORE).await?;
    let before = commits(&herd.members[0], BEFORE).await?;

    let started = now();
    herd.join(3).await?;
    let committing = async { commits(&herd.members[0], DURING).await };
    let (during, balanced) = tokio::join!(committing, balanced(&herd, entries));
    let (to_view_ms, to_balanced_ms) = balanced?;
    herd.await_together().await?;
    let count = Ask::Count { prefix: PREFIX.into(), count: entries, bytes };
    let there = ask(&herd.members[2], &count).await?.as_u64().unwrap_or(0);
    Ok(Joined {
        entries,
        bytes,
        memory: (empty, full),
        to_view_ms: to_view_ms - millis(0, started),
        to_balanced_ms,
        commits: (before, during?),
        lost: entries.saturating_sub(there as u32),
    })
}

/// When the first view with the newcomer was there, on the machine's clock in milliseconds, and how
/// long it took from there until the newcomer had its share.
async fn balanced(herd: &Herd, entries: u32) -> anyhow::Result<(f64, f64)> {
    let names = herd.names();
    let with_it = |view: &ViewTold| view.is_of(&names);
    let (members, newcomer) = (herd.members.len() as f64, &herd.members[2]);
    let primaries = SHARE * f64::from(entries) / members;
    let copies = 2.0 * primaries;
    let has_share = async || {
        let stats = ask(newcomer, &Ask::Stats).await.map_err(|error| error.to_string())?;
        let is = |name: &str| stats[name].as_f64().unwrap_or(0.0);
        match is("entries") >= copies && is("primary_entries") >= primaries {
            true => Ok(now()),
            false => Err(stats.to_string()),
        }
    };
    let at = eventually("the newcomer has its share", PATIENCE, has_share).await?;
    let view = herd.members[0].await_view("with the newcomer", PATIENCE, with_it).await?;
    Ok((millis(0, view.at), millis(view.at, at)))
}

async fn commits(member: &Member, lasts: Duration) -> anyhow::Result<Figure> {
    let millis = lasts.as_millis() as u64;
    let ask_it = Ask::Bench { work: Work::CommitAnywhere, callers: COMMITTERS, millis };
    Ok(serde_json::from_value(ask(member, &ask_it).await?)?)
}

async fn ask(member: &Member, ask: &Ask) -> anyhow::Result<Value> {
    member.value(ask, LONG).await.map_err(anyhow::Error::msg)
}

impl std::fmt::Display for Joined {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mib = |bytes: u64| bytes as f64 / f64::from(1 << 20);
        let (empty, full) = self.memory;
        let data = f64::from(self.entries) * self.bytes as f64;
        let (before, during) = self.commits;
        writeln!(f, "| {} entries of {} bytes | |\n|---|---|", self.entries, self.bytes)?;
        writeln!(f, "| start to view ms | {:.0} |", self.to_view_ms)?;
        writeln!(f, "| view to balanced ms | {:.0} |", self.to_balanced_ms)?;
        writeln!(f, "| lost | {} |", self.lost)?;
        writeln!(
            f,
            "| commit p99 us before, during | {:.0}, {:.0} |",
            before.p99_us, during.p99_us
        )?;
        writeln!(f, "| resident MiB empty, full | {:.1}, {:.1} |", mib(empty), mib(full))?;
        let beyond = full as f64 - f64::from(10 << 20);
        writeln!(f, "| beyond 10 MiB, times the data | {:.2} |", beyond / data)
    }
}
