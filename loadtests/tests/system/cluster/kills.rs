//! kill -9 of members under writes through all of them: nothing that was acknowledged is lost, and
//! what clients saw could have been seen of one process.

use std::time::Duration;

use muster_loadtests::cluster::worker::Work;
use muster_loadtests::cluster::{Herd, Judge, Model, PATIENCE, Plan, now};

use super::judged::{Tally, lease};
use crate::system::support::{quiet_machine, rounds};

/// Clients work before the kill, while the member is dead, and after it is back.
const BEFORE: Duration = Duration::from_millis(400);
const DEAD_FOR: Duration = Duration::from_millis(400);
const AFTER: Duration = Duration::from_millis(400);
/// What the clients of a round get done at least, by each model: they are three to six, each with a
/// pause of some milliseconds, on a machine that may be busy. Usual are 300 to 600.
const AT_LEAST: usize = 60;

/// Whom a round kills.
#[derive(Debug, Clone, Copy)]
enum Victim {
    /// The primary of a key that is written.
    Owner,
    /// One that its clients write through.
    Writer,
    /// The oldest.
    Coordinator,
}

const VICTIMS: [Victim; 3] = [Victim::Owner, Victim::Writer, Victim::Coordinator];

async fn find(herd: &Herd, victim: Victim, round: u32) -> usize {
    match victim {
        Victim::Owner => herd.owners(&format!("r0-{round}")).await.unwrap()[0],
        Victim::Writer => round as usize % herd.members.len(),
        Victim::Coordinator => herd.coordinator().await.unwrap(),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_member_that_is_killed_takes_no_acknowledged_write_with_it() {
    let _quiet = quiet_machine().await;
    let plan = Plan { count: 3, lease: Some("lease".into()), ..Plan::default() };
    let mut herd = Herd::gather(plan).await.unwrap();
    let (mut tally, mut kills) = (Tally::default(), Vec::new());
    for round in 0..rounds(20) {
        let victim = find(&herd, VICTIMS[round as usize % 3], round).await;
        let work = Work::start(&herd.sockets(), round);
        // The script of the round: not waits for anything, but when things happen.
        tokio::time::sleep(BEFORE).await;
        let killed = now();
        herd.members[victim].process.kill().unwrap();
        tokio::time::sleep(DEAD_FOR).await;
        herd.members[victim].process.restart().await.unwrap();
        herd.await_together().await.unwrap();
        tokio::time::sleep(AFTER).await;
        let histories = work.stop().await;
        histories.read_all(&herd.sockets(), PATIENCE).await;
        kills.push((herd.members[victim].name.clone(), killed));
        tally.judge(&herd, &histories, AT_LEAST);
    }
    let judge = Judge::new(herd.folder()).unwrap();
    tally.one(&judge, Model::Lock, &lease(&herd, &kills), rounds(20) as usize);
    tally.tell("kill -9 of owner, writer and coordinator");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_judge_sees_what_a_lone_member_loses() {
    let mut herd = Herd::gather(Plan { count: 1, ..Plan::default() }).await.unwrap();
    let work = Work::start(&herd.sockets(), 0);
    tokio::time::sleep(BEFORE).await;
    let histories = work.stop().await;
    histories.read_all(&herd.sockets(), PATIENCE).await;
    Tally::default().judge(&herd, &histories, 20);
    herd.members[0].process.restart().await.unwrap();
    herd.await_together().await.unwrap();
    histories.read_all(&herd.sockets(), PATIENCE).await;
    let judge = Judge::new(herd.folder()).unwrap();
    for (model, history) in
        [(Model::Register, &histories.register), (Model::Durable, &histories.durable)]
    {
        let verdict = judge.judge(model, history, 1).unwrap();
        assert!(!verdict.is_pass && verdict.line.starts_with("FAIL"), "{verdict}");
    }
}
