//! Writes to two processes: ours, a TCP echo's and Redis', in turns.

use std::time::Duration;

use anyhow::Context as _;
use serde_json::Value;

use super::figure::{Figure, Table, measured};
use super::redis::Redis;
use super::{echo, figure};
use crate::cluster::cpu;
use crate::cluster::words::{Ask, Work};
use crate::cluster::{Herd, Plan};
use crate::testkit::eventually;
use crate::testkit::process::{Process, Spec};

/// How callers share connections to Redis: connections, and callers on each.
const SHARINGS: [(usize, usize); 5] = [(1, 1), (1, 32), (2, 16), (8, 4), (32, 1)];
/// What ours does, and how many callers at a time.
const OURS: [(Work, usize, &str); 9] = [
    (Work::PutHere, 1, "put, primary here"),
    (Work::PutHere, 32, "put, primary here"),
    (Work::PutAnywhere, 1, "put, any primary"),
    (Work::PutAnywhere, 32, "put, any primary"),
    (Work::CommitHere, 1, "checkout and commit, primary here"),
    (Work::CommitHere, 32, "checkout and commit, primary here"),
    (Work::CommitAnywhere, 32, "checkout and commit, any primary"),
    (Work::GetNear, 1, "near get"),
    (Work::GetConfirmed, 1, "confirmed get, any primary"),
];
const WARM_UP: Duration = Duration::from_millis(300);
/// More than a measurement takes.
const PATIENCE: Duration = Duration::from_secs(60);

/// Measures all, so many turns of so long each.
///
/// # Errors
/// When something does not start or does not answer.
pub async fn run(lasts: Duration, turns: u32, threads: usize) -> anyhow::Result<Table> {
    let folder = tempfile::tempdir()?;
    let spec = Spec {
        name: "echo".into(),
        program: std::env::current_exe()?,
        arguments: vec!["serve-echo".into()],
        folder: folder.path().to_owned(),
    };
    let server = Process::start(spec).await?;
    let redis = Redis::start(folder.path())?;
    let plan = Plan { count: 2, threads: Some(threads), ..Plan::default() };
    let herd = Herd::gather(plan).await?;
    let mut table = Table::default();
    for (work, callers, _) in OURS {
        warm_up(&herd, work, callers).await?;
    }
    for _ in 0..turns {
        floor(&mut table, &server, lasts)?;
        for (connections, callers) in SHARINGS {
            let all = connections * callers;
            let mut pids = redis.pids();
            pids.push(std::process::id());
            let figure = measured(&pids, || redis.set(connections, callers, lasts))?;
            table.note(&format!("Redis, callers: {all}, connections: {connections}"), figure);
        }
        for (work, callers, name) in OURS {
            let figure = ours(&herd, work, callers, lasts).await?;
            table.note(&format!("ours, {name}, callers: {callers}"), figure);
        }
    }
    Ok(table)
}

fn floor(table: &mut Table, server: &Process, lasts: Duration) -> anyhow::Result<()> {
    let address = server.listening("tcp").context("the echo has no address")?;
    let pids = [std::process::id(), server.id()];
    for callers in [1, 32] {
        let figure = measured(&pids, || echo::ask(address, callers, lasts))?;
        table.note(&format!("TCP echo, callers: {callers}"), figure);
    }
    Ok(())
}

/// Members that have just come together may still move what they keep: that is waited out here.
async fn warm_up(herd: &Herd, work: Work, callers: usize) -> anyhow::Result<()> {
    let warm = async || ours(herd, work, callers, WARM_UP).await.map_err(|e| e.to_string());
    eventually("the members are warm", PATIENCE, warm).await?;
    Ok(())
}

/// A figure of ours: the member measures the time, and both members' processor time counts.
async fn ours(
    herd: &Herd,
    work: Work,
    callers: usize,
    lasts: Duration,
) -> anyhow::Result<figure::Figure> {
    let ask = Ask::Bench { work, callers, millis: lasts.as_millis() as u64 };
    let pids = herd.pids();
    let before = cpu::used(&pids);
    let value: Value = herd.members[0].value(&ask, PATIENCE).await.map_err(anyhow::Error::msg)?;
    let used = cpu::used(&pids).saturating_sub(before);
    let figure: Figure = serde_json::from_value(value)?;
    Ok(Figure { cpu_us: used.as_secs_f64() * 1e6 / figure.count.max(1) as f64, ..figure })
}
