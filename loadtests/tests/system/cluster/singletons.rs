//! A singleton on members that are cut off, killed, frozen and stopped: it runs once, soon again, and
//! what an old provider does late is refused.

use std::time::Duration;

use muster_loadtests::cluster::clock::{Nanos, millis};
use muster_loadtests::cluster::single::{Effect, read_effects};
use muster_loadtests::cluster::singleton::{Line, read};
use muster_loadtests::cluster::{
    Ask, Entry, Herd, History, Judge, Member, Model, Outcome, PATIENCE, Plan, Single, now,
};
use muster_loadtests::testkit::eventually;
use muster_loadtests::testkit::faults::Fault;
use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};
use serde_json::{Value, json};

use crate::system::support::{quiet_machine, rounds, seed};

const NAME: &str = "single";
const ANSWER: Duration = Duration::from_secs(5);
/// A fault lasts so long, in milliseconds: from less than it takes to be found out to more.
const LASTS: std::ops::Range<u64> = 500..3_000;
/// A frozen holder has been followed by another by then.
const FROZEN: Duration = Duration::from_secs(4);

fn single(position: i32, prefers: &[&str]) -> Option<Single> {
    let prefers = prefers.iter().map(ToString::to_string).collect();
    Some(Single { name: NAME.to_owned(), position, prefers, quorum: None })
}

async fn herd(count: usize, quorum: Option<u16>, is_apart: bool, single: Option<Single>) -> Herd {
    Herd::gather(Plan { count, is_apart, quorum, single, ..Plan::default() }).await.unwrap()
}

/// What members say who runs it: the first that knows of anybody.
async fn provider(herd: &Herd) -> Result<String, String> {
    for member in &herd.members {
        let ask = Ask::Provider { name: NAME.to_owned() };
        if let Ok(Value::String(name)) = member.value(&ask, ANSWER).await {
            return Ok(name);
        }
    }
    Err("nobody runs it".to_owned())
}

/// Waits until somebody runs it, and says who.
async fn await_provider(herd: &Herd) -> usize {
    let found = eventually("somebody runs it", PATIENCE, || provider(herd)).await.unwrap();
    herd.members.iter().position(|member| member.name == found).unwrap()
}

/// Waits until this one does.
async fn runs_at(herd: &Herd, name: &str) {
    let is_it = || async {
        let there = provider(herd).await?;
        if there == name { Ok(()) } else { Err(there) }
    };
    eventually(&format!("{name} runs it"), PATIENCE, is_it).await.unwrap();
}

fn started_after(members: &[Member], after: Nanos) -> Option<Nanos> {
    let lines = members.iter().flat_map(|member| read(&member.journal));
    let starts = lines.filter_map(|line| match line {
        Line::Start { at, .. } if at > after => Some(at),
        Line::Start { .. } | Line::Stop { .. } => None,
    });
    starts.min()
}

/// Waits until it was started after an instant, by the journals; when that was.
async fn await_start(herd: &Herd, after: Nanos) -> Nanos {
    let started = || async { started_after(&herd.members, after).ok_or("not started") };
    eventually("it is started again", PATIENCE, started).await.unwrap()
}

/// When it ran, by its own journals. Those that were killed ran nothing from that instant on.
fn runs(herd: &Herd, kills: &[(String, Nanos)]) -> History {
    let history = History::new();
    for member in &herd.members {
        let entry = |op, at, value| Entry::done(&member.name, op, NAME, (at, at), value);
        for line in read(&member.journal) {
            history.push(match line {
                Line::Start { at, token, .. } => entry("acquire", at, json!(token)),
                Line::Stop { at } => entry("release", at, Value::Null),
            });
        }
        for (_, at) in kills.iter().filter(|(name, _)| *name == member.name) {
            history.push(entry("crash", *at, Value::Null));
        }
    }
    history
}

/// What each token wrote, from its first write to its last: a history of its own.
fn effects(herd: &Herd) -> (History, Vec<Effect>) {
    let history = History::new();
    let mut all = Vec::new();
    for member in &herd.members {
        let written = read_effects(&member.journal);
        let mut accepted: Vec<Effect> =
            written.iter().filter(|effect| effect.ok == Outcome::Ok).copied().collect();
        accepted.sort_by_key(|effect| effect.rev);
        for of_token in accepted.chunk_by(|one, other| one.token == other.token) {
            let (first, last) = (of_token[0], of_token[of_token.len() - 1]);
            let client = format!("{}-{}", member.name, first.token);
            let entry = |op, Effect { start, end, .. }, value| {
                Entry::done(&client, op, NAME, (start, end), value)
            };
            history.push(entry("acquire", first, json!(first.token)));
            if last != first {
                history.push(entry("release", last, Value::Null));
            } else {
                let end = Effect { start: first.end, ..first };
                history.push(entry("release", end, Value::Null));
            }
        }
        all.extend(written);
    }
    (history, all)
}

/// At most one at a time, tokens that rise, and no accepted write after one of a later token.
fn judge(herd: &Herd, kills: &[(String, Nanos)], are_runs_judged: bool) -> (usize, usize) {
    let judge = Judge::new(herd.folder()).unwrap();
    let runs = runs(herd, kills);
    if are_runs_judged {
        let verdict = judge.judge(Model::Lock, &runs, 1).unwrap();
        assert!(verdict.is_pass, "runs: {verdict}");
    }
    let (history, mut effects) = effects(herd);
    let verdict = judge.judge(Model::Lock, &history, 1).unwrap();
    assert!(verdict.is_pass, "effects: {verdict}");
    effects.retain(|effect| effect.ok == Outcome::Ok);
    effects.sort_by_key(|effect| effect.rev);
    for two in effects.windows(2) {
        assert!(two[0].token <= two[1].token, "an earlier token wrote later: {two:?}");
    }
    (runs.count_ok("acquire"), effects.len())
}

/// What happens in a schedule.
#[derive(Debug, Clone, Copy)]
enum Hurt {
    Cut,
    OneWay,
    Provider,
    Kill,
}

const HURTS: [Hurt; 4] = [Hurt::Cut, Hurt::OneWay, Hurt::Provider, Hurt::Kill];

/// One or two of five, from 1 on.
fn some(chance: &mut StdRng) -> Vec<usize> {
    let first = chance.random_range(1..=5);
    let second = chance.random_range(1..=5);
    if first == second { vec![first] } else { vec![first, second] }
}

#[tokio::test(flavor = "multi_thread")]
async fn five_members_with_quorum_run_it_once_whatever_happens_and_soon_again() {
    let _quiet = quiet_machine().await;
    let mut chance = StdRng::seed_from_u64(seed());
    let mut herd = herd(5, Some(3), true, single(0, &[])).await;
    let mut kills: Vec<(String, Nanos)> = Vec::new();
    let mut waits = Vec::new();
    for round in 0..rounds(10) {
        let holder = await_provider(&herd).await;
        let hurt = HURTS[chance.random_range(0..HURTS.len())];
        let these = some(&mut chance);
        let lasts = Duration::from_millis(chance.random_range(LASTS));
        let others: Vec<usize> = (1..=5).filter(|one| !these.contains(one)).collect();
        let victim = if chance.random_bool(0.5) { holder } else { these[0] - 1 };
        {
            let net = herd.net.as_ref().unwrap();
            match hurt {
                Hurt::Cut => net.cut(&these, &others).unwrap(),
                Hurt::OneWay => net.one_way(&these, &others).unwrap(),
                Hurt::Provider => net.isolate(holder + 1).unwrap(),
                Hurt::Kill => {}
            }
        }
        if let Hurt::Kill = hurt {
            let name = herd.members[victim].name.clone();
            herd.members[victim].process.kill().unwrap();
            kills.push((name, now()));
        }
        // How long it lasts is the script of the round; nothing is waited for.
        tokio::time::sleep(lasts).await;
        if let Hurt::Kill = hurt {
            herd.members[victim].process.restart().await.unwrap();
        } else {
            herd.net.as_ref().unwrap().heal().unwrap();
        }
        let healed = now();
        await_provider(&herd).await;
        let wait = millis(healed, now());
        eprintln!(
            "{round}: {hurt:?} {these:?} {victim} for {lasts:?}: a provider {wait:.0} ms later"
        );
        waits.push(wait);
        herd.await_together().await.unwrap();
    }
    let (starts, writes) = judge(&herd, &kills, true);
    let worst = waits.iter().copied().fold(0.0, f64::max);
    eprintln!(
        "round singletons: {} schedules of 5 with quorum 3: {starts} starts, {writes} effects, 0 \
         overlaps, a provider at most {worst:.0} ms after a heal",
        waits.len()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_frozen_provider_does_when_it_goes_on_is_refused() {
    let _quiet = quiet_machine().await;
    let herd = herd(3, Some(2), false, single(0, &[])).await;
    for _ in 0..rounds(1) {
        let holder = await_provider(&herd).await;
        let frozen = now();
        herd.members[holder].process.inflict(Fault::Freeze).unwrap();
        let next = await_start(&herd, frozen).await;
        // It goes on when another has been at work for a while.
        tokio::time::sleep(FROZEN.saturating_sub(Duration::from_nanos(next - frozen))).await;
        herd.members[holder].process.inflict(Fault::Thaw).unwrap();
        herd.await_together().await.unwrap();
        await_provider(&herd).await;
    }
    let (starts, writes) = judge(&herd, &[], false);
    eprintln!("round singletons frozen: {starts} starts, {writes} effects accepted, 0 overlaps");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_youngest_runs_it_and_who_stops_in_order_leaves_no_gap() {
    let _quiet = quiet_machine().await;
    let mut herd = herd(3, None, false, single(-1, &[])).await;
    let mut gaps = Vec::new();
    for _ in 0..rounds(2) {
        let holder = await_provider(&herd).await;
        let (name, asked) = (herd.members[holder].name.clone(), now());
        let left = herd.members[holder].ask(&Ask::Leave, PATIENCE).await;
        assert_eq!(left.ok, Outcome::Ok, "{left:?}");
        let next = await_start(&herd, asked).await;
        gaps.push(millis(asked, next));
        herd.members[holder].process.await_end(PATIENCE).await.unwrap();
        herd.members[holder].process.restart().await.unwrap();
        herd.await_together().await.unwrap();
        // It is the youngest again.
        runs_at(&herd, &name).await;
    }
    judge(&herd, &[], true);
    let worst = gaps.iter().copied().fold(0.0, f64::max);
    eprintln!("round singletons stopped: from the wish to the next start at most {worst:.0} ms");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_provider_is_followed_at_once_and_who_is_preferred_takes_it_back() {
    let _quiet = quiet_machine().await;
    let mut herd = herd(3, None, false, single(0, &["m2"])).await;
    let (mut gaps, mut kills) = (Vec::new(), Vec::new());
    for _ in 0..rounds(3) {
        runs_at(&herd, "m2").await;
        let killed = now();
        herd.members[1].process.kill().unwrap();
        kills.push(("m2".to_owned(), killed));
        gaps.push(millis(killed, await_start(&herd, killed).await));
        herd.members[1].process.restart().await.unwrap();
        herd.await_together().await.unwrap();
    }
    runs_at(&herd, "m2").await;
    judge(&herd, &kills, true);
    gaps.sort_by(f64::total_cmp);
    let (median, worst) = (gaps[gaps.len() / 2], gaps[gaps.len() - 1]);
    eprintln!(
        "round singletons killed: elsewhere after {median:.0} ms, median of {}; at most {worst:.0} ms",
        gaps.len()
    );
}
