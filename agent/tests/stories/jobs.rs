//! A job done by processes that are killed in the middle of it.

#![allow(clippy::unwrap_used, clippy::panic, reason = "tests fail by panicking")]

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use muster_agent::Cluster;
use muster_protocol::cluster::jobs::JobReport;

use crate::soon;

/// As many processes do the job.
const PROCESSES: usize = 3;
/// How often it fires.
const EVERY_MS: i64 = 100;

/// Processes with the job, and what they said.
struct World {
    /// It has no part in the job, and knows what became of it.
    watcher: Cluster,
    home: tempfile::TempDir,
    processes: BTreeMap<String, Child>,
    started: usize,
}

/// A run: what its process said of it.
#[derive(Debug, Clone, Default)]
struct Ran {
    token: (u64, u64),
    attempt: u32,
    has_ended: bool,
}

impl World {
    async fn start() -> World {
        let watcher = Cluster::builder("watcher").port(0).find_nobody().no_management();
        let watcher = watcher.detection(Duration::from_secs(1)).join();
        let watcher = soon("the watcher", watcher).await.unwrap();
        let home = tempfile::tempdir().unwrap();
        let mut world = World { watcher, home, processes: BTreeMap::new(), started: 0 };
        for _ in 0..PROCESSES {
            world.one_more();
        }
        world
    }

    fn one_more(&mut self) {
        let name = format!("process-{}", self.started);
        self.started += 1;
        let journal = File::create(self.home.path().join(&name)).unwrap();
        let process = Command::new(example("jobs"))
            .args([name.as_str(), &self.watcher.me().address])
            .env("EVERY_MS", EVERY_MS.to_string())
            .stdin(Stdio::piped())
            .stdout(journal)
            .spawn()
            .unwrap();
        self.processes.insert(name, process);
    }

    /// Kills whoever is at it, and brings in another.
    async fn kill_who_runs(&mut self) {
        let runner = soon("a run", async {
            loop {
                let runner = self.report().await.and_then(|job| {
                    let open = job.open.into_iter().find_map(|firing| firing.member);
                    open.filter(|member| self.processes.contains_key(member))
                });
                match runner {
                    Some(runner) => break runner,
                    None => tokio::time::sleep(Duration::from_millis(1)).await,
                }
            }
        });
        let runner = runner.await;
        let mut process = self.processes.remove(&runner).unwrap();
        process.kill().unwrap();
        process.wait().unwrap();
        self.one_more();
    }

    async fn report(&self) -> Option<JobReport> {
        self.watcher.job_report("tick").await.ok()
    }

    /// Returns when so many firings are done.
    async fn done(&self, wanted: u64) {
        let mut last = 0;
        while last < wanted {
            // One more firing at least each time.
            last = soon("another firing is done", async {
                loop {
                    match self.report().await {
                        Some(job) if job.done > last => break job.done,
                        _ => tokio::time::sleep(Duration::from_millis(5)).await,
                    }
                }
            })
            .await;
        }
    }

    /// All end in order; what is known of the job then.
    async fn end(&mut self) -> JobReport {
        for (name, mut process) in std::mem::take(&mut self.processes) {
            drop(process.stdin.take());
            let ended = tokio::task::spawn_blocking(move || process.wait());
            let ended = soon("a process ends", ended).await.unwrap().unwrap();
            assert!(ended.success(), "{name}: {ended}");
        }
        let report = self.report().await.unwrap();
        self.watcher.leave().await;
        report
    }

    /// By scheduled instant, what was said of its runs.
    fn said(&self) -> BTreeMap<i64, Vec<Ran>> {
        let mut all: BTreeMap<i64, BTreeMap<(u64, u64), Ran>> = BTreeMap::new();
        for number in 0..self.started {
            let journal = self.home.path().join(format!("process-{number}"));
            let text = std::fs::read_to_string(journal).unwrap();
            for line in text.lines() {
                let words: Vec<&str> = line.split(' ').collect();
                let [what @ ("begin" | "end"), at, token, attempt] = words[..] else { continue };
                let at = at.parse::<jiff::Timestamp>().unwrap().as_millisecond();
                let (epoch, number) = token.split_once('.').unwrap();
                let token = (epoch.parse().unwrap(), number.parse().unwrap());
                let ran = all.entry(at).or_default().entry(token).or_default();
                (ran.token, ran.attempt) = (token, attempt.parse().unwrap());
                ran.has_ended |= what == "end";
            }
        }
        all.into_iter().map(|(at, runs)| (at, runs.into_values().collect())).collect()
    }
}

/// An example of this package, which is built with its tests.
pub(crate) fn example(name: &str) -> PathBuf {
    let test = std::env::current_exe().unwrap();
    let target = test.parent().and_then(Path::parent).unwrap();
    target.join("examples").join(name)
}

pub(crate) fn from_environment(name: &str, default: u64) -> u64 {
    std::env::var(name).map_or(default, |text| text.parse().unwrap())
}

/// `MUSTER_JOB_FIRINGS` and `MUSTER_JOB_KILLS` make it longer.
#[tokio::test(flavor = "multi_thread")]
async fn no_firing_is_left_out_or_counted_twice_while_who_runs_them_is_killed() {
    let firings = from_environment("MUSTER_JOB_FIRINGS", 60);
    let kills = from_environment("MUSTER_JOB_KILLS", 3);
    let mut world = World::start().await;
    for kill in 1..=kills {
        world.done(firings * kill / (kills + 1)).await;
        world.kill_who_runs().await;
    }
    world.done(firings).await;
    let report = world.end().await;
    let said = world.said();

    // Of the ledger: each instant is counted once, whatever happened to its runs.
    assert_eq!((report.missed, report.skipped, report.failed), (0, 0, 0), "{report:?}");
    assert!(report.lost <= kills, "{report:?}");
    let open: BTreeSet<i64> = report.open.iter().map(|firing| firing.at_ms).collect();
    let known = said.keys().filter(|at| **at <= report.through_ms).chain(&open);
    let known: BTreeSet<i64> = known.copied().collect();
    let expected = (*known.first().unwrap()..=report.through_ms).step_by(EVERY_MS as usize);
    assert_eq!(known, expected.collect(), "an instant that nobody ran");
    assert_eq!(report.done, (known.len() - open.len()) as u64, "{report:?}");

    // Of the processes: every firing came to its end, and tokens rise with runs and with firings.
    let mut again = 0;
    let mut last = (0, 0);
    for (at, runs) in &said {
        assert!(open.contains(at) || runs.iter().any(|run| run.has_ended), "{at}: {runs:?}");
        for run in runs {
            assert!(run.token > last, "{at}: {runs:?} after {last:?}");
            last = run.token;
        }
        assert!(runs.windows(2).all(|two| two[0].attempt < two[1].attempt), "{at}: {runs:?}");
        again += u64::try_from(runs.len() - 1).unwrap();
    }
    assert!(again <= report.lost + report.failures, "{again} runs again: {report:?}");
    println!(
        "{} firings, {kills} kills, {} runs lost: 0 doubled, 0 missing",
        report.done, report.lost
    );
}
