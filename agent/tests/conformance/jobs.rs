//! Jobs, on every engine.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use muster_agent::engine::Token;
use muster_agent::job::{Missed, Overlap, Run};
use muster_agent::{Cluster as Member, Job, JobBuilder, JobError};
use muster_protocol::cluster::jobs::{JobOutcome, JobReport};

use crate::fixture::{Cluster, eventually, soon};

/// What runs have said: who, for which instant, under which token.
type Said = Arc<Mutex<Vec<(String, i64, Token)>>>;

fn members(cluster: &Cluster) -> Vec<Member> {
    if cluster.nodes.is_empty() {
        // Jobs go by the clock of the wall, which nobody can pause.
        tokio::time::resume();
    }
    cluster.engines.iter().map(|engine| Member::over(engine.clone())).collect()
}

/// Every 100 ms, nothing left out.
fn often(member: &Member, name: &str) -> JobBuilder {
    let job = member.job(name).every(Duration::from_millis(100));
    job.missed(Missed::RunAll(100)).overlap(Overlap::Queue(100))
}

/// A job on each member that says that it ran.
fn on_all(members: &[Member], said: &Said, job: impl Fn(&Member) -> JobBuilder) -> Vec<Job> {
    let start = |member: &Member| {
        let (said, name) = (said.clone(), member.me().name.to_string());
        let says = move |run: Run| {
            let ran = (name.clone(), run.scheduled().as_millisecond(), run.token());
            said.lock().unwrap().push(ran);
            async { Ok::<(), String>(()) }
        };
        job(member).start(says).unwrap()
    };
    members.iter().map(start).collect()
}

async fn stop(jobs: Vec<Job>) {
    for job in jobs {
        soon("the end of a job", job.stop()).await;
    }
}

async fn report(member: &Member, name: &str) -> JobReport {
    soon("a report", member.job_report(name)).await.unwrap()
}

pub(crate) async fn each_firing_is_done_once_in_the_cluster_under_a_token_that_rises(
    cluster: &Cluster,
) {
    let (members, said) = (members(cluster), Said::default());
    let jobs = on_all(&members, &said, |member| often(member, "often"));
    eventually("it ran ten times", || async { said.lock().unwrap().len() >= 10 }).await;
    stop(jobs).await;
    let said = std::mem::take(&mut *said.lock().unwrap());
    let report = report(&members[0], "often").await;
    assert_eq!((report.done, report.lost, report.failures), (said.len() as u64, 0, 0));
    let instants: Vec<i64> = said.iter().map(|(_, at, _)| *at).collect();
    let expected: Vec<i64> =
        (0..).map(|number| instants[0] + number * 100).take(said.len()).collect();
    assert_eq!(instants, expected);
    assert!(said.windows(2).all(|two| two[0].2 < two[1].2), "{said:?}");
}

pub(crate) async fn a_run_that_fails_on_one_member_is_done_by_another(cluster: &Cluster) {
    let members = members(cluster);
    if members.len() < 2 {
        return;
    }
    let tried: Arc<Mutex<BTreeSet<String>>> = Arc::default();
    let start = |member: &Member| {
        let (tried, name) = (tried.clone(), member.me().name.to_string());
        let job = member.job("printing").cron("0 0 1 1 *", "Europe/Berlin");
        let fails_at_first = move |run: Run| {
            let mut tried = tried.lock().unwrap();
            tried.insert(name.clone());
            let is_last = tried.len() >= 2 && run.attempt() >= 2;
            async move { if is_last { Ok(()) } else { Err("no paper") } }
        };
        job.start(fails_at_first).unwrap()
    };
    let jobs: Vec<Job> = members.iter().map(start).collect();
    for member in &members {
        // Whoever does not know of the others would try again where it is.
        eventually("each knows of all", || async {
            let known = member.job_report("printing").await;
            known.is_ok_and(|job| job.members.len() == members.len())
        })
        .await;
    }
    soon("a wish", members[0].run_job("printing")).await.unwrap();
    eventually("it is done", || async { report(&members[0], "printing").await.done == 1 }).await;
    let report = report(&members[0], "printing").await;
    let settled = &report.history[0];
    assert_eq!((settled.outcome, settled.tries, report.failures), (JobOutcome::Done, 2, 1));
    assert_eq!(tried.lock().unwrap().len(), 2);
    stop(jobs).await;
}

pub(crate) async fn on_every_node_each_member_does_it_for_itself(cluster: &Cluster) {
    let (members, said) = (members(cluster), Said::default());
    let jobs = on_all(&members, &said, |member| often(member, "tidy").on_every_node());
    let all: BTreeSet<String> = members.iter().map(|one| one.me().name.to_string()).collect();
    eventually("all did it", || async {
        let said = said.lock().unwrap();
        said.iter().map(|(name, ..)| name.clone()).collect::<BTreeSet<_>>() == all
    })
    .await;
    stop(jobs).await;
    let known = soon("all jobs", members[0].jobs()).await.unwrap().jobs;
    let known: Vec<String> = known.into_iter().map(|job| job.name).collect();
    assert!(all.iter().all(|name| known.contains(&format!("tidy@{name}"))), "{known:?}");
}

pub(crate) async fn an_operator_runs_pauses_and_resumes_a_job(cluster: &Cluster) {
    let (members, said) = (members(cluster), Said::default());
    let last = &members[members.len() - 1];
    let jobs = on_all(&members, &said, |member| often(member, "paused"));
    eventually("it runs", || async { !said.lock().unwrap().is_empty() }).await;
    soon("its pause", last.pause_job("paused")).await.unwrap();
    let is_calm = || async { report(last, "paused").await.open.is_empty() };
    eventually("it is calm", is_calm).await;
    let calm = report(last, "paused").await;
    assert!(calm.is_paused && calm.next_ms.is_none());
    soon("a wish", last.run_job("paused")).await.unwrap();
    eventually("it ran", || async { report(last, "paused").await.done == calm.done + 1 }).await;
    let paused = report(last, "paused").await;
    assert_eq!(paused.through_ms, calm.through_ms, "only the wish was done");
    soon("it goes on", last.resume_job("paused")).await.unwrap();
    eventually("it runs again", || async { report(last, "paused").await.done > paused.done }).await;
    stop(jobs).await;
    let unknown = last.run_job("never").await;
    assert_eq!(unknown, Err(JobError::Unknown("never".to_owned())));
}

pub(crate) async fn a_job_that_cannot_be_is_refused(cluster: &Cluster) {
    let members = members(cluster);
    let member = &members[0];
    let done = |_: Run| async { Ok::<(), String>(()) };
    let second = Duration::from_secs(1);
    for (job, said) in [
        (member.job("a/b").every(second), "the name"),
        (member.job("a"), "the schedule"),
        (member.job("a").cron("0 0 30 2 *", "UTC"), "the cron pattern"),
        (member.job("a").every(second).tries(0, second), "tries"),
        (member.job("a").every(second).missed(Missed::RunAll(0)), "missed"),
        (member.job("a").every(second).jitter(second * 100_000), "the jitter"),
    ] {
        let error = job.start(done).unwrap_err().to_string();
        assert!(error.contains(said), "{error}");
    }
    let first = member.job("twice").every(second * 3600).start(done).unwrap();
    let again = member.job("twice").every(second).start(done).unwrap_err();
    assert_eq!(again, JobError::Taken("twice".to_owned()));
    soon("its end", first.stop()).await;
}
