//! A job whose member is cut off, cut off one way, frozen and killed in the middle of a run: each firing
//! counts once, none is left out, and what an old run does late is refused.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use muster_loadtests::cluster::JobWork;
use muster_loadtests::cluster::clock::{Nanos, millis};
use muster_loadtests::cluster::job::{Note, read};
use muster_loadtests::cluster::{
    Ask, Entry, Herd, History, Judge, Member, Model, PATIENCE, Plan, now,
};
use muster_loadtests::testkit::eventually;
use muster_protocol::cluster::jobs::JobReport;
use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::hurts::{HURTS, Hurt};
use crate::system::support::{quiet_machine, rounds, seed};

const NAME: &str = "tick";
const EVERY_MS: i64 = 200;
const MEMBERS: usize = 5;
/// A fault lasts so long, in milliseconds: from less than it takes to be found out to more.
const LASTS: std::ops::Range<u64> = 500..3_000;

/// A member did not run, or had an end, from one instant to another.
#[derive(Debug, Clone)]
struct Away {
    name: String,
    from: Nanos,
    until: Nanos,
    is_dead: bool,
}

/// All notes, by member.
fn notes(herd: &Herd) -> Vec<(&str, Vec<Note>)> {
    herd.members.iter().map(|member| (member.name.as_str(), read(&member.journal))).collect()
}

fn is_at_it(member: &Member) -> bool {
    matches!(read(&member.journal).last(), Some(Note::Begin { .. } | Note::Wrote { .. }))
}

/// The member that is in the middle of a run.
async fn runner(herd: &Herd) -> usize {
    let running = async || herd.members.iter().position(is_at_it).ok_or("nobody is at it");
    eventually("somebody is at it", PATIENCE, running).await.unwrap()
}

/// Waits until something was written by a run that began after an instant; when that was.
async fn await_written(herd: &Herd, after: Nanos) -> Nanos {
    let first = |notes: &[Note]| {
        let begun = |note: &Note| matches!(note, Note::Begin { at, .. } if *at > after);
        let since = notes.iter().position(begun)?;
        notes[since..].iter().find_map(|note| match note {
            Note::Wrote { at, .. } => Some(*at),
            _ => None,
        })
    };
    let written = async || {
        let all = notes(herd);
        all.iter().filter_map(|(_, notes)| first(notes)).min().ok_or("nothing is written")
    };
    eventually("firings are done again", PATIENCE, written).await.unwrap()
}

/// When runs were under way, by their own journals; of members that were frozen meanwhile nothing is
/// said, as they could not stop: what these did late is seen by what was written.
fn runs(herd: &Herd, away: &[Away]) -> History {
    let history = History::new();
    for (name, notes) in notes(herd) {
        let entry = |op, at, value| Entry::done(name, op, NAME, (at, at), value);
        let stops: BTreeMap<u64, Nanos> = (notes.iter())
            .filter_map(|note| match note {
                Note::Stop { at, token } => Some((*token, *at)),
                _ => None,
            })
            .collect();
        let its = || away.iter().filter(|away| away.name == name);
        for note in &notes {
            let Note::Begin { at, token, .. } = *note else { continue };
            let stop = stops.get(&token).copied();
            let was_frozen = |away: &Away| {
                !away.is_dead && away.until > at && stop.is_none_or(|stop| stop > away.from)
            };
            if its().any(was_frozen) {
                continue;
            }
            let killed = its().find(|away| away.is_dead && away.from > at);
            let end = match (stop, killed) {
                (Some(stop), _) => entry("release", stop, Value::Null),
                (None, Some(killed)) => entry("crash", killed.from, Value::Null),
                // It is still under way.
                (None, None) => continue,
            };
            history.push(entry("acquire", at, json!(token)));
            history.push(end);
        }
    }
    history
}

/// What members wrote comes in the order of their tokens, and of one firing later runs have later
/// tokens. How many runs there were of firings that had one before.
fn judge_order(herd: &Herd) -> usize {
    let mut written: Vec<((u64, u64), u64)> = Vec::new();
    let mut runs: BTreeMap<i64, BTreeMap<u64, u32>> = BTreeMap::new();
    for (name, notes) in notes(herd) {
        for note in notes {
            match note {
                Note::Begin { firing, token, attempt, .. } => {
                    let twice = runs.entry(firing).or_default().insert(token, attempt);
                    assert_eq!(twice, None, "{name}: two runs under token {token}");
                }
                Note::Wrote { token, rev: Some(rev), .. } => written.push((rev, token)),
                Note::Wrote { .. } | Note::Fenced { .. } | Note::Stop { .. } => {}
            }
        }
    }
    written.sort_unstable();
    for two in written.windows(2) {
        assert!(two[0].1 < two[1].1, "an earlier token wrote later: {two:?}");
    }
    for (firing, runs) in &runs {
        let attempts: Vec<u32> = runs.values().copied().collect();
        assert!(attempts.is_sorted_by(|one, next| one < next), "{firing}: {runs:?}");
    }
    runs.values().map(|runs| runs.len() - 1).sum()
}

async fn told<T: DeserializeOwned>(herd: &Herd, ask: &Ask) -> T {
    let value = async || herd.members[0].value(ask, PATIENCE).await;
    serde_json::from_value(eventually("it is told", PATIENCE, value).await.unwrap()).unwrap()
}

/// Each instant is settled once in the ledger, and was written for once, or is said to be left out.
async fn judge_ledger(herd: &Herd) -> JobReport {
    let job: JobReport = told(herd, &Ask::Job { name: NAME.to_owned() }).await;
    // Read later: what is done is written.
    let written: Vec<(i64, u64)> = told(herd, &Ask::Firings).await;
    let written: BTreeSet<i64> = written.into_iter().map(|(at, _)| at).collect();
    let open: BTreeSet<i64> = job.open.iter().map(|firing| firing.at_ms).collect();
    let first = *written.union(&open).next().unwrap();
    let instants: BTreeSet<i64> =
        (first..=job.through_ms).step_by(usize::try_from(EVERY_MS).unwrap()).collect();
    let settled = job.done + job.failed + job.missed + job.skipped;
    assert_eq!(settled + open.len() as u64, instants.len() as u64, "{job:?}");
    let off: Vec<&i64> =
        written.range(..=job.through_ms).filter(|at| !instants.contains(at)).collect();
    assert!(off.is_empty(), "{off:?} were never due");
    let left_out =
        instants.iter().filter(|at| !written.contains(at) && !open.contains(at)).count() as u64;
    assert_eq!((job.failed, left_out), (0, job.missed + job.skipped), "{job:?}");
    job
}

#[tokio::test(flavor = "multi_thread")]
async fn each_firing_counts_once_while_who_runs_it_is_cut_off_frozen_or_killed() {
    let _quiet = quiet_machine().await;
    let mut chance = StdRng::seed_from_u64(seed());
    let job = Some(JobWork { name: NAME.to_owned(), every_ms: EVERY_MS.unsigned_abs() });
    let plan = Plan { count: MEMBERS, is_apart: true, quorum: Some(3), job, ..Plan::default() };
    let mut herd = Herd::gather(plan).await.unwrap();
    let (mut away, mut waits) = (Vec::new(), Vec::new());
    // A long run has several rounds of each.
    for (round, hurt) in (0..rounds(6)).zip(HURTS.iter().cycle()) {
        let lasts = Duration::from_millis(chance.random_range(LASTS));
        let victim = runner(&herd).await;
        let name = herd.members[victim].name.clone();
        let from = now();
        hurt.begin(&mut herd, victim, &mut chance);
        let is_dead = matches!(hurt, Hurt::Kill);
        let dead_at = now();
        // How long it lasts is the script of the round; nothing is waited for.
        tokio::time::sleep(lasts).await;
        hurt.end(&mut herd, victim).await;
        let healed = now();
        if matches!(hurt, Hurt::Freeze | Hurt::Kill) {
            let from = if is_dead { dead_at } else { from };
            away.push(Away { name: name.clone(), from, until: healed, is_dead });
        }
        let again = await_written(&herd, from).await;
        let (hurt_for, wait) = (millis(from, again), millis(healed, again));
        eprintln!(
            "{round}: {hurt:?} {name} for {lasts:?}: another run has written {hurt_for:.0} ms after \
             it began, {wait:.0} ms after it was over"
        );
        waits.push(wait);
        herd.await_together().await.unwrap();
    }
    let report = judge_ledger(&herd).await;
    let again = judge_order(&herd);
    let judge = Judge::new(herd.folder()).unwrap();
    let verdict = judge.judge(Model::Lock, &runs(&herd, &away), waits.len()).unwrap();
    assert!(verdict.is_pass, "runs: {verdict}");
    let worst = waits.iter().copied().fold(0.0, f64::max);
    eprintln!(
        "round jobs: {} faults of 5 with quorum 3: {} firings done, {} runs lost, {again} runs again, \
         0 doubled, {} left out by the rules, written again at most {worst:.0} ms after a fault",
        waits.len(),
        report.done,
        report.lost,
        report.missed + report.skipped
    );
}
