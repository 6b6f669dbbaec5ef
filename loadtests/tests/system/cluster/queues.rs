//! A queue of three members of which one after the other is killed, cut off or frozen: producers,
//! consumers, and whoever gives the messages out. What was acknowledged is handled, and what comes again
//! says so.

use std::time::Duration;

use futures_util::future::try_join_all;
use muster_loadtests::cluster::queue::{self, Count, Note};
use muster_loadtests::cluster::{Herd, Judge, Model, PATIENCE, Plan, QueueWork, now};
use muster_loadtests::testkit::eventually;
use rand::SeedableRng as _;
use rand::rngs::StdRng;

use super::hurts::HURTS;
use super::judged::Tally;
use crate::system::support::{quiet_machine, rounds, seed};

/// Messages are published before the kill, while the member is dead, and after it is back.
const BEFORE: Duration = Duration::from_millis(700);
const DEAD_FOR: Duration = Duration::from_millis(500);
/// A round takes some two seconds and a half, of which the members are together for most.
const A_ROUND: u64 = 3;
/// A cut or a freeze lasts longer than it takes to find it out.
const HURT_FOR: Duration = Duration::from_secs(3);
const A_HURT: u64 = 6;
/// Messages a second of each of both producers: 1,700 in a long run.
const RATE: u64 = 400;
const SIZE: usize = 1024;

/// Messages of each producer, for so many rounds of so many seconds: `MUSTER_MESSAGES` in a long run.
fn messages(rounds: u32, seconds: u64) -> (u64, u64) {
    let asked = std::env::var("MUSTER_MESSAGES").ok().and_then(|count| count.parse::<u64>().ok());
    let time = u64::from(rounds) * seconds;
    match asked {
        Some(all) => (all / 2, (all / 2).div_ceil(time)),
        None => (RATE * time, RATE),
    }
}

fn journals(herd: &Herd) -> Vec<(String, Vec<Note>)> {
    let read = |member: &muster_loadtests::cluster::Member| {
        (member.name.clone(), queue::read(&member.journal))
    };
    herd.members.iter().map(read).collect()
}

/// What a member does with the queue: so many messages at such a rate, and so many consumers.
fn work((publishes, rate): (u64, u64), consumers: usize, is_kept: bool) -> QueueWork {
    let name = "/queue/work".into();
    QueueWork { name, publishes, rate, consumers, size: SIZE, has_journal: true, is_kept }
}

/// Says what became of all messages: none is lost, and none came twice as if for the first time.
fn judge(count: &Count, what: &str) {
    eprintln!(
        "round messages {what}: {} acknowledged, {} of which nobody knows, {} lost, {} handled more \
         than once, of which {} without a mark",
        count.acknowledged, count.unknown, count.lost, count.repeated, count.unmarked
    );
    assert_eq!((count.lost, count.unmarked), (0, 0), "{count:?}");
}

/// Until both producers are through and everything that was acknowledged was handled.
async fn drained(herd: &Herd, published: u64) {
    eventually("the queue is empty", PATIENCE * 5, || async {
        let (_, count) = queue::history(&journals(herd));
        let is_through = count.begun >= published && count.lost == 0;
        if is_through { Ok(()) } else { Err(format!("{count:?} of {published}")) }
    })
    .await
    .unwrap();
}

/// Judges what all members noted: none lost, what came again marked, and one after the other.
fn judge_history(herd: &Herd, journals: &[(String, Vec<Note>)], published: u64, what: &str) {
    let (history, count) = queue::history(journals);
    judge(&count, what);
    let at_least = usize::try_from(published).unwrap_or(usize::MAX);
    let lincheck = Judge::new(herd.folder()).unwrap();
    let mut tally = Tally::default();
    tally.one(&lincheck, Model::Queue, &history, at_least);
    tally.tell("messages of a queue");
}

#[tokio::test(flavor = "multi_thread")]
async fn members_that_are_killed_take_no_acknowledged_message_with_them() {
    let _quiet = quiet_machine().await;
    let rounds = rounds(3);
    let (publishes, rate) = messages(rounds, A_ROUND);
    let work = |publishes, consumers| work((publishes, rate), consumers, false);
    let queue = vec![work(publishes, 1), work(publishes, 1), work(0, 2)];
    let mut herd = Herd::gather(Plan { count: 3, queue, ..Plan::default() }).await.unwrap();
    let began = now();
    for round in 0..rounds {
        // The script of the round: not waits for anything, but when things happen.
        tokio::time::sleep(BEFORE).await;
        let victim = &mut herd.members[round as usize % 3];
        victim.process.kill().unwrap();
        tokio::time::sleep(DEAD_FOR).await;
        victim.process.restart().await.unwrap();
        herd.await_together().await.unwrap();
    }
    drained(&herd, publishes * 2).await;
    let journals = journals(&herd);
    let last = journals.iter().flat_map(|(_, notes)| notes).filter_map(|note| match note {
        Note::Sent { at, .. } => Some(*at),
        _ => None,
    });
    let seconds = last.max().unwrap_or(began).saturating_sub(began) as f64 / 1e9;
    let what = format!("under {rounds} kills, published in {seconds:.1} s");
    judge_history(&herd, &journals, publishes * 2, &what);
}

/// Whoever is cut off or frozen may have messages in hand, and may be the one that gives them out.
#[tokio::test(flavor = "multi_thread")]
async fn members_that_are_cut_off_or_frozen_take_no_acknowledged_message_with_them() {
    let _quiet = quiet_machine().await;
    let mut chance = StdRng::seed_from_u64(seed());
    let rounds = rounds(3);
    let (publishes, rate) = messages(rounds, A_HURT);
    let work = |publishes, consumers| work((publishes, rate), consumers, false);
    let queue = vec![work(publishes, 1), work(publishes, 1), work(0, 2)];
    let plan = Plan { count: 3, is_apart: true, quorum: Some(2), queue, ..Plan::default() };
    let mut herd = Herd::gather(plan).await.unwrap();
    for (round, hurt) in (0..rounds as usize).zip(HURTS.iter().cycle()) {
        // The script of the round: not waits for anything, but when things happen.
        tokio::time::sleep(BEFORE).await;
        // Another one each time that a hurt comes again.
        let victim = (round + round / HURTS.len()) % 3;
        hurt.begin(&mut herd, victim, &mut chance);
        tokio::time::sleep(HURT_FOR).await;
        hurt.end(&mut herd, victim).await;
        herd.await_together().await.unwrap();
    }
    drained(&herd, publishes * 2).await;
    let what = format!("under {rounds} cuts, freezes and kills");
    judge_history(&herd, &journals(&herd), publishes * 2, &what);
}

/// All members at once, in the middle of it. What was acknowledged is in the journals of two.
#[tokio::test(flavor = "multi_thread")]
async fn a_kill_of_all_members_at_once_takes_no_message_that_was_written_down() {
    let _quiet = quiet_machine().await;
    let rounds = rounds(2);
    let (publishes, rate) = messages(rounds, A_ROUND);
    let work = |publishes, consumers| work((publishes, rate), consumers, true);
    let queue = vec![work(publishes, 0), work(publishes, 0), work(0, 1)];
    let mut herd = Herd::gather(Plan { count: 3, queue, ..Plan::default() }).await.unwrap();
    for _ in 0..rounds {
        // The script of the round: not waits for anything, but when things happen.
        tokio::time::sleep(BEFORE).await;
        for member in &mut herd.members {
            member.process.kill().unwrap();
        }
        let starts = herd.members.iter_mut().map(|member| member.process.restart());
        try_join_all(starts).await.unwrap();
        herd.await_together().await.unwrap();
    }
    drained(&herd, publishes * 2).await;
    let (_, count) = queue::history(&journals(&herd));
    judge(&count, &format!("written down, {rounds} kills of all members"));
}
