//! A queue whose members are killed: producers, consumers and its home.

#![allow(clippy::unwrap_used, clippy::panic, reason = "tests fail by panicking")]

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use muster_agent::Cluster;
use muster_agent::queue::{Listener, Queue, Received};
use tokio::sync::mpsc;

use crate::jobs::{example, from_environment};
use crate::{eventually, soon};

/// As many processes publish and handle.
const PROCESSES: usize = 3;

type Work = (String, Vec<u8>);

/// Processes with the queue, and what they said.
struct World {
    /// It keeps some of the rows, and handles what is left at the end.
    watcher: Cluster,
    queue: Queue<Work>,
    home: tempfile::TempDir,
    processes: BTreeMap<usize, Child>,
    started: usize,
}

/// What became of the messages: which are there for certain, and by which tries each was got.
#[derive(Debug, Default)]
struct Told {
    sent: BTreeSet<String>,
    got: BTreeMap<String, Vec<u32>>,
}

impl World {
    async fn start() -> World {
        let watcher = Cluster::builder("watcher").port(0).find_nobody().no_management();
        let watcher = watcher.detection(Duration::from_secs(1)).join();
        let watcher = soon("the watcher", watcher).await.unwrap();
        let queue = watcher.queue::<Work>("/queue/work").start().unwrap();
        let home = tempfile::tempdir().unwrap();
        let mut world = World { watcher, queue, home, processes: BTreeMap::new(), started: 0 };
        for _ in 0..PROCESSES {
            world.one_more();
        }
        world
    }

    fn one_more(&mut self) {
        let name = format!("process-{}", self.started);
        let journal = File::create(self.home.path().join(&name)).unwrap();
        let process = Command::new(example("queue_work"))
            .args([name.as_str(), &self.watcher.me().address])
            .env("EVERY_MS", "2")
            .env("PRODUCERS", "4")
            .stdin(Stdio::piped())
            .stdout(journal)
            .spawn()
            .unwrap();
        self.processes.insert(self.started, process);
        self.started += 1;
    }

    /// Returns when every process there is has sent and got so many, and there are two copies again.
    async fn works(&self, wanted: usize) {
        soon("all are at work", async {
            loop {
                let is_at_work = |number: &usize| {
                    let told = self.told_by(*number);
                    told.sent.len() >= wanted && told.got.len() >= wanted
                };
                if self.processes.keys().all(is_at_work) {
                    return self.watcher.balanced().await;
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        })
        .await;
    }

    /// Kills the process that has been there for longest, and brings in another.
    fn kill(&mut self) {
        let (_, mut process) = self.processes.pop_first().unwrap();
        process.kill().unwrap();
        process.wait().unwrap();
        self.one_more();
    }

    /// All end in order, and what is left is handled here.
    async fn end(mut self) -> Told {
        for (number, mut process) in std::mem::take(&mut self.processes) {
            drop(process.stdin.take());
            let ended = tokio::task::spawn_blocking(move || process.wait());
            let ended = soon("a process ends", ended).await.unwrap().unwrap();
            assert!(ended.success(), "{number}: {ended}");
        }
        let (said, mut heard) = mpsc::unbounded_channel();
        let listener: Listener = self.queue.listen(move |work: Received<Work>| {
            let said = said.clone();
            async move { said.send((work.0.clone(), work.tries())) }
        });
        // It is alone now, and so the queue's home.
        let is_empty = || {
            let led = self.watcher.engine().queues().iter().find_map(|queue| queue.led());
            led.is_some_and(|stats| stats.ready + stats.out == 0)
        };
        eventually("nothing is left", is_empty).await;
        listener.stop().await;
        let mut told = Told::default();
        (0..self.started).for_each(|number| told.add(self.told_by(number)));
        while let Ok((work, tries)) = heard.try_recv() {
            told.got.entry(work).or_default().push(tries);
        }
        self.watcher.leave().await;
        told
    }

    fn told_by(&self, number: usize) -> Told {
        let journal = self.home.path().join(format!("process-{number}"));
        let mut told = Told::default();
        for line in std::fs::read_to_string(journal).unwrap().lines() {
            let words: Vec<&str> = line.split(' ').collect();
            match words[..] {
                ["sent", work] => _ = told.sent.insert(work.to_owned()),
                ["got", work, tries] => {
                    told.got.entry(work.to_owned()).or_default().push(tries.parse().unwrap());
                }
                _ => {}
            }
        }
        told
    }
}

impl Told {
    fn add(&mut self, other: Told) {
        self.sent.extend(other.sent);
        for (work, tries) in other.got {
            self.got.entry(work).or_default().extend(tries);
        }
    }
}

/// `MUSTER_QUEUE_KILLS` and `MUSTER_QUEUE_MESSAGES` (of each process between two kills) make it longer.
#[tokio::test(flavor = "multi_thread")]
async fn nothing_acknowledged_is_lost_and_what_comes_again_is_marked_while_members_are_killed() {
    let kills = from_environment("MUSTER_QUEUE_KILLS", 4);
    let messages = usize::try_from(from_environment("MUSTER_QUEUE_MESSAGES", 50)).unwrap();
    let mut world = World::start().await;
    for _ in 0..kills {
        world.works(messages).await;
        world.kill();
    }
    world.works(messages).await;
    let told = world.end().await;
    let lost: Vec<&String> =
        told.sent.iter().filter(|work| !told.got.contains_key(*work)).collect();
    assert!(lost.is_empty(), "acknowledged and never got: {lost:?}");
    let unmarked = |tries: &[u32]| tries.iter().filter(|tries| **tries == 1).count();
    let twice: Vec<_> = told.got.iter().filter(|(_, tries)| unmarked(tries) > 1).collect();
    assert!(twice.is_empty(), "without a mark more than once: {twice:?}");
    let again = told.got.values().filter(|tries| tries.len() > 1).count();
    println!(
        "{} acknowledged, {} got, {again} of them more than once and marked, {kills} kills: 0 lost",
        told.sent.len(),
        told.got.len()
    );
}
