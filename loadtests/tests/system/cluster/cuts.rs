//! Cut cables between members that each live in a network namespace of their own.

use std::time::Duration;

use muster_loadtests::cluster::worker::Work;
use muster_loadtests::cluster::{
    Ask, Herd, Judge, Meeting, Member, Model, PATIENCE, Plan, ViewTold,
};
use muster_loadtests::testkit::eventually;
use muster_loadtests::testkit::netns::Net;
use serde_json::{Value, json};

use super::judged::{Tally, lease};
use crate::system::support::{quiet_machine, rounds};

/// Clients work before a fault, and while it lasts: longer than it takes to find out and to agree.
const BEFORE: Duration = Duration::from_millis(300);
const LASTS: Duration = Duration::from_secs(4);
/// A cable that comes and goes.
const FLAPS: u32 = 6;
const FLAP: Duration = Duration::from_millis(250);
const DELAY: Duration = Duration::from_millis(20);
/// What the clients of a round get done at least, by each model, most of them through the larger side.
/// Usual are 700 to 2,000.
const AT_LEAST: usize = 80;
const ANSWER: Duration = Duration::from_secs(5);

/// What happens in a round.
#[derive(Debug, Clone, Copy)]
enum Fault {
    /// These are cut from all others.
    Cut(&'static [usize]),
    /// What these send to the others is lost.
    OneWay(&'static [usize]),
    /// One is alone.
    Isolate(usize),
    /// A cable comes and goes, another one each time.
    Flapping,
    /// Everything takes longer.
    Delay,
}

impl Fault {
    async fn happen(self, net: &Net, count: usize) {
        let others = |these: &[usize]| -> Vec<usize> {
            (1..=count).filter(|number| !these.contains(number)).collect()
        };
        // How long each lasts is the script of the round; nothing is waited for.
        match self {
            Fault::Cut(these) => net.cut(these, &others(these)).unwrap(),
            Fault::OneWay(these) => net.one_way(these, &others(these)).unwrap(),
            Fault::Isolate(one) => net.isolate(one).unwrap(),
            Fault::Delay => net.delay(DELAY).unwrap(),
            Fault::Flapping => {
                for flap in 0..FLAPS as usize {
                    let one = flap % count + 1;
                    net.cut(&[one], &[one % count + 1]).unwrap();
                    tokio::time::sleep(FLAP).await;
                    net.heal().unwrap();
                    tokio::time::sleep(FLAP).await;
                }
                return;
            }
        }
        tokio::time::sleep(LASTS).await;
    }

    fn end(self, net: &Net) {
        match self {
            Fault::Delay => net.delay(Duration::ZERO).unwrap(),
            Fault::Cut(_) | Fault::OneWay(_) | Fault::Isolate(_) | Fault::Flapping => {
                net.heal().unwrap();
            }
        }
    }
}

async fn herd_with_quorum(count: usize) -> Herd {
    let quorum = u16::try_from(count / 2 + 1).unwrap();
    let plan = Plan {
        count,
        is_apart: true,
        quorum: Some(quorum),
        lease: Some("lease".into()),
        ..Plan::default()
    };
    Herd::gather(plan).await.unwrap()
}

/// Lets each of these faults happen under work through all members, and judges what was seen.
async fn suffer(herd: &Herd, faults: &[Fault]) {
    let mut tally = Tally::default();
    let (net, count) = (herd.net.as_ref().unwrap(), herd.members.len());
    for turn in 0..rounds(1) {
        for (number, fault) in faults.iter().enumerate() {
            let round = turn * 100 + number as u32;
            let work = Work::start(&herd.sockets(), round);
            tokio::time::sleep(BEFORE).await;
            fault.happen(net, count).await;
            fault.end(net);
            herd.await_together().await.unwrap();
            let histories = work.stop().await;
            histories.read_all(&herd.sockets(), PATIENCE).await;
            eprintln!("{fault:?} between {count}");
            tally.judge(herd, &histories, AT_LEAST);
        }
    }
    let judge = Judge::new(herd.folder()).unwrap();
    tally.one(&judge, Model::Lock, &lease(herd, &[]), rounds(1) as usize * faults.len());
    tally.tell(&format!("faults of {count} with quorum"));
}

#[tokio::test(flavor = "multi_thread")]
async fn three_members_with_quorum_keep_their_word_whatever_is_cut() {
    let _quiet = quiet_machine().await;
    let herd = herd_with_quorum(3).await;
    let faults =
        [Fault::Cut(&[1]), Fault::OneWay(&[2]), Fault::Isolate(1), Fault::Flapping, Fault::Delay];
    suffer(&herd, &faults).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn five_members_with_quorum_keep_their_word_when_two_are_cut_off() {
    let _quiet = quiet_machine().await;
    let herd = herd_with_quorum(5).await;
    suffer(&herd, &[Fault::Cut(&[1, 2]), Fault::OneWay(&[1, 2]), Fault::Flapping]).await;
}

async fn put(member: &Member, key: &str, value: &str) {
    let ask = Ask::Put { key: key.to_owned(), value: json!(value) };
    let written = async || member.value(&ask, ANSWER).await;
    eventually(&format!("{key} is written"), PATIENCE, written).await.unwrap();
}

async fn get(member: &Member, key: &str) -> Value {
    let ask = Ask::Get { key: key.to_owned() };
    let read = async || member.value(&ask, ANSWER).await;
    eventually(&format!("{key} is read"), PATIENCE, read).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn without_quorum_both_sides_of_a_cut_serve_and_the_larger_one_wins_when_they_meet() {
    let _quiet = quiet_machine().await;
    let plan = Plan { count: 3, is_apart: true, ..Plan::default() };
    let herd = Herd::gather(plan).await.unwrap();
    for round in 0..rounds(1) {
        let key = |name: &str| format!("{name}-{round}");
        let before = herd.await_together().await.unwrap();
        put(&herd.members[0], &key("before"), "both know it").await;
        let net = herd.net.as_ref().unwrap();
        net.cut(&[1], &[2, 3]).unwrap();
        let alone = |view: &ViewTold| view.is_of(&["m1"]);
        herd.members[0].await_view("alone", PATIENCE, alone).await.unwrap();
        for member in &herd.members[1..] {
            let pair = |view: &ViewTold| view.is_of(&["m2", "m3"]);
            member.await_view("a pair", PATIENCE, pair).await.unwrap();
        }
        put(&herd.members[0], &key("both"), "the smaller side's").await;
        put(&herd.members[1], &key("both"), "the larger side's").await;
        put(&herd.members[0], &key("smaller"), "kept").await;
        put(&herd.members[2], &key("larger"), "kept").await;
        assert_eq!(get(&herd.members[0], &key("both")).await, "the smaller side's");
        assert_eq!(get(&herd.members[2], &key("both")).await, "the larger side's");

        net.heal().unwrap();
        let after = herd.await_together().await.unwrap();
        assert!(after.merges > before.merges || after.epoch > before.epoch, "{before:?} {after:?}");
        let wanted = [
            ("before", "both know it"),
            ("both", "the larger side's"),
            ("smaller", "kept"),
            ("larger", "kept"),
        ];
        for member in &herd.members {
            for (name, value) in wanted {
                let merged = async || match get(member, &key(name)).await {
                    there if there == value => Ok(()),
                    there => Err(format!("{there}")),
                };
                let what = format!("{} is merged at {}", key(name), member.name);
                eventually(&what, PATIENCE, merged).await.unwrap();
            }
        }
    }
    eprintln!("round cut of 3 without quorum: both served, the larger side won, one view");
}

#[tokio::test(flavor = "multi_thread")]
async fn members_find_each_other_by_multicast_and_those_with_a_wrong_secret_are_refused_once() {
    let plan = Plan { count: 3, is_apart: true, meeting: Meeting::Multicast, ..Plan::default() };
    let mut herd = Herd::prepare(plan).unwrap();
    for number in 1..=2 {
        herd.join(number).await.unwrap();
    }
    herd.await_together().await.unwrap();
    let wrong = herd.folder().join("wrong");
    std::fs::write(&wrong, "what nobody knows\n").unwrap();
    // One speaks where all hear it, another dials whom it knows.
    let mut options = herd.options(3).clone();
    options.secret_file = Some(wrong);
    let stranger = herd.start("stranger", &options, 3).await.unwrap();
    let channel = |number| herd.options(number).channel.unwrap();
    options.multicast = None;
    options.peers = vec![channel(1), channel(2)];
    options.channel = Some((channel(3).ip(), channel(3).port() + 1).into());
    let dialler = herd.start("dialler", &options, 3).await.unwrap();
    let refused = async |by: &str| {
        let told: Vec<_> = herd.members.iter().map(|member| refusals(member, by)).collect();
        if told.iter().sum::<usize>() > 0 { Ok(()) } else { Err(format!("{by}: {told:?}")) }
    };
    for by in ["a datagram", "not linked"] {
        eventually("the strangers are refused", PATIENCE, || refused(by)).await.unwrap();
    }
    // They go on trying, and nobody tells of it any more.
    tokio::time::sleep(LASTS).await;
    for member in &herd.members {
        let told = ["a datagram", "not linked"].map(|by| refusals(member, by));
        assert!(told.iter().all(|told| *told <= 1), "{told:?}: {}", member.process.errors());
    }
    let strangers = [&stranger, &dialler];
    let views = herd.members.iter().chain(strangers).flat_map(Member::views);
    let are_mixed = |view: &ViewTold| {
        let is_strange = |name: &&String| strangers.iter().any(|one| one.name == **name);
        view.members.len() > 1 && view.members.iter().filter(is_strange).count() > 0
    };
    let mixed: Vec<_> = views.filter(are_mixed).collect();
    assert!(mixed.is_empty(), "{mixed:?}");
}

/// How often a member has logged, by these words, that it refused somebody with another secret.
fn refusals(member: &Member, by: &str) -> usize {
    let errors = member.process.errors();
    errors.lines().filter(|line| line.contains(by) && line.contains("secret")).count()
}
