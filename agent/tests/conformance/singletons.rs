//! Services that run on one member at a time.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use muster_agent::Cluster as Member;
use muster_agent::engine::Token;
use muster_agent::settings::How;
use muster_agent::singleton::{
    Kind, Policies, Policy, Singleton, StartError, State, Term, daemonize,
};
use parking_lot::Mutex;

use crate::fixture::{Cluster, eventually, soon};

/// What bodies have done, on all members of this process.
#[derive(Clone, Default)]
struct Watched {
    running: Arc<AtomicUsize>,
    overlaps: Arc<AtomicUsize>,
    /// Who started with which token, in order.
    starts: Arc<Mutex<Vec<(String, Token)>>>,
}

impl Watched {
    async fn body(self, term: Term) -> Result<(), muster_agent::singleton::Failure> {
        if self.running.fetch_add(1, Ordering::SeqCst) > 0 {
            self.overlaps.fetch_add(1, Ordering::SeqCst);
        }
        self.starts.lock().push((term.node().to_owned(), term.token()));
        term.publish(&format!("{} runs it", term.node()))?;
        term.stopped().await;
        self.running.fetch_sub(1, Ordering::SeqCst);
        Ok(())
    }

    fn nodes(&self) -> Vec<String> {
        self.starts.lock().iter().map(|(node, _)| node.clone()).collect()
    }

    fn is_sound(&self) -> bool {
        let starts = self.starts.lock();
        let rise = starts.windows(2).all(|two| two[0].1 < two[1].1);
        rise && self.overlaps.load(Ordering::SeqCst) == 0
    }
}

fn over(cluster: &Cluster) -> Vec<Member> {
    cluster.engines.iter().map(|engine| Member::over(engine.clone())).collect()
}

fn names(members: &[Member]) -> Vec<String> {
    members.iter().map(|member| member.me().name.to_string()).collect()
}

/// Deployed on all members; returns when all are candidates everywhere.
async fn deploy(
    members: &[Member],
    name: &str,
    policy: Policy,
    watched: &Watched,
) -> Vec<Singleton> {
    let start = |member: &Member| {
        let watched = watched.clone();
        let builder = Singleton::builder(name).policy(policy.clone());
        builder.start(member, move |term| watched.clone().body(term)).unwrap()
    };
    let all: Vec<Singleton> = members.iter().map(start).collect();
    known(&all).await;
    all
}

async fn known(all: &[Singleton]) {
    for one in all {
        let is_known = || async { one.status().candidates.len() == all.len() };
        eventually("all are candidates", is_known).await;
    }
}

async fn runs_on(singleton: &Singleton, node: &str) {
    eventually("it runs there", || async {
        singleton.provider().await.is_some_and(|provider| *provider.member.name == *node)
    })
    .await;
}

/// Whether a member's events have this.
fn tells(member: &Member, beginning: &str) -> bool {
    member.events().latest_first().iter().any(|event| event.text.starts_with(beginning))
}

async fn end(all: &[Singleton], watched: &Watched) {
    for one in all {
        soon("it is undeployed", one.undeploy()).await;
        assert_eq!(one.status().state, State::Closed);
    }
    assert_eq!(watched.running.load(Ordering::SeqCst), 0);
    assert!(watched.is_sound(), "{:?}", watched.starts.lock());
}

pub(crate) async fn one_member_runs_a_service_and_every_member_finds_it(cluster: &Cluster) {
    let (members, watched) = (over(cluster), Watched::default());
    let names = names(&members);
    assert_eq!(members[0].provider("single").await, None);
    let all = deploy(&members, "single", Policy::oldest(), &watched).await;
    runs_on(&all[0], &names[0]).await;
    for member in &members {
        let provider = member.provider("single").await.unwrap();
        let value = member.provided::<String>("single").await.unwrap();
        assert_eq!(*provider.member.name, *names[0]);
        assert_eq!(value, Some(format!("{} runs it", names[0])));
        assert!(member.provided::<(u64, u64)>("single").await.is_err());
    }
    let again = Singleton::builder("single").start(&members[0], |_| async { Ok(()) });
    assert_eq!(again.err(), Some(StartError::Deployed("single".to_owned())));
    end(&all, &watched).await;
}

pub(crate) async fn who_undeploys_it_hands_it_on_in_the_order_of_age(cluster: &Cluster) {
    let (members, watched) = (over(cluster), Watched::default());
    let names = names(&members);
    let all = deploy(&members, "handed", Policy::oldest(), &watched).await;
    runs_on(&all[0], &names[0]).await;
    for (at, one) in all.iter().enumerate() {
        soon("it is undeployed", one.undeploy()).await;
        if let Some(next) = names.get(at + 1) {
            runs_on(&all[at + 1], next).await;
        }
    }
    assert!(watched.nodes().ends_with(&names), "{:?} {names:?}", watched.nodes());
    end(&all, &watched).await;
}

pub(crate) async fn an_operator_moves_it_and_its_policy_takes_it_back(cluster: &Cluster) {
    let (members, watched) = (over(cluster), Watched::default());
    let names = names(&members);
    let (first, last) = (names.first().unwrap(), names.last().unwrap());
    let all = deploy(&members, "moved", Policy::youngest().prefer(first), &watched).await;
    runs_on(&all[0], first).await;
    all[all.len() - 1].move_to(Some(last)).await.unwrap();
    runs_on(&all[0], last).await;
    assert!(all[0].move_to(Some("nobody")).await.is_err());
    all[0].move_to(None).await.unwrap();
    runs_on(&all[0], first).await;
    for told in [format!("moved moves to {last}"), "moved moves to where its policy".to_owned()] {
        assert!(members.iter().any(|member| tells(member, &told)), "{told}");
    }
    for (member, name) in
        members.iter().zip(&names).filter(|(_, name)| [first, last].contains(name))
    {
        assert!(tells(member, &format!("moved started on {name} with token ")));
    }
    end(&all, &watched).await;
}

pub(crate) async fn below_its_quorum_it_stops_everywhere_at_once(cluster: &Cluster) {
    let (members, watched) = (over(cluster), Watched::default());
    let count = u16::try_from(members.len()).unwrap();
    let policies = |quorum| Policies::default().with("ours", Policy::youngest().quorum(quorum));
    members.iter().for_each(|member| member.set_singleton_policies(policies(count)));
    let start = |member: &Member| {
        let watched = watched.clone();
        let builder = Singleton::builder("counted").policy_named("ours");
        builder.start(member, move |term| watched.clone().body(term)).unwrap()
    };
    let all: Vec<Singleton> = members.iter().map(start).collect();
    known(&all).await;
    let last = names(&members).pop().unwrap();
    runs_on(&all[0], &last).await;
    members.iter().for_each(|member| member.set_singleton_policies(policies(count + 1)));
    eventually("nobody runs it", || async { all[0].provider().await.is_none() }).await;
    eventually("nobody is elected", || async { all[0].status().elected.is_none() }).await;
    let why = all[0].status().no_provider.unwrap().to_string();
    assert_eq!(why, format!("{count} candidates are fewer than the quorum of {}", count + 1));
    members.iter().for_each(|member| member.set_singleton_policies(policies(1)));
    runs_on(&all[0], &last).await;
    end(&all, &watched).await;
    let unknown = Singleton::builder("counted").policy_named("no such");
    let unknown = unknown.start(&members[0], |_| async { Ok(()) });
    assert_eq!(unknown.err(), Some(StartError::Policy("no such".to_owned())));
}

pub(crate) async fn a_setting_of_its_policy_counts_on_every_member_at_once(cluster: &Cluster) {
    let (members, watched) = (over(cluster), Watched::default());
    let start = |member: &Member| {
        let watched = watched.clone();
        let builder = Singleton::builder("tuned").policy_named("default");
        builder.start(member, move |term| watched.clone().body(term)).unwrap()
    };
    let all: Vec<Singleton> = members.iter().map(start).collect();
    known(&all).await;
    let (names, how) = (names(&members), How::by("ann"));
    runs_on(&all[0], &names[0]).await;
    let last = &members[members.len() - 1];
    let quorum = (members.len() + 1).to_string();
    last.settings().set("singleton.policies.default.quorum", &quorum, &how).await.unwrap();
    eventually("nobody runs it", || async { all[0].provider().await.is_none() }).await;
    last.settings().set("singleton.policies.default.position", "-1", &how).await.unwrap();
    members[0].settings().unset("singleton.policies.default.quorum", &how).await.unwrap();
    runs_on(&all[0], &names[names.len() - 1]).await;
    members[0].settings().unset("singleton.policies.default.position", &how).await.unwrap();
    runs_on(&all[0], &names[0]).await;
    end(&all, &watched).await;
}

pub(crate) async fn who_fails_or_panics_gives_it_to_another_and_is_asked_again(cluster: &Cluster) {
    let (members, watched) = (over(cluster), Watched::default());
    let tries = Arc::new(AtomicUsize::new(0));
    let start = |member: &Member| {
        let (watched, tries) = (watched.clone(), tries.clone());
        let builder = Singleton::builder("failing").rest(Duration::from_millis(20));
        let start = move |term| {
            let (watched, tries) = (watched.clone(), tries.clone());
            async move {
                match tries.fetch_add(1, Ordering::SeqCst) {
                    0..=1 => Err("not today".into()),
                    2 => panic!("not at all"),
                    _ => watched.body(term).await,
                }
            }
        };
        builder.start(member, start).unwrap()
    };
    let all: Vec<Singleton> = members.iter().map(start).collect();
    // One that is about to fail runs for a moment too.
    eventually("it runs", || async { watched.running.load(Ordering::SeqCst) == 1 }).await;
    assert!(all[0].provider().await.is_some());
    assert!(tries.load(Ordering::SeqCst) >= 4);
    end(&all, &watched).await;
}

pub(crate) async fn a_stop_that_hangs_is_cut_off_and_holds_up_no_other(cluster: &Cluster) {
    let members = over(cluster);
    let (member, watched) = (&members[0], Watched::default());
    let builder = Singleton::builder("hanging").stop_within(Duration::from_millis(50));
    let hanging = builder.start(member, |_| std::future::pending()).unwrap();
    let starting = Singleton::builder("starting").start(member, |term| async move {
        // A start that waits for another singleton.
        term.stopped().await;
        Ok(())
    });
    let starting = starting.unwrap();
    let all = deploy(&members[..1], "quick", Policy::oldest(), &watched).await;
    soon("it hangs", hanging.reaches(|state| state == State::Running)).await;
    soon("it starts", starting.reaches(|state| state == State::Running)).await;
    soon("it runs", all[0].reaches(|state| state == State::Running)).await;
    soon("it is cut off", hanging.undeploy()).await;
    assert!(hanging.history().iter().any(|happening| happening.text.contains("was cut off")));
    let here = &member.me().name;
    assert!(tells(member, &format!("hanging did not stop in time on {here}, and was cut off")));
    soon("it stops", starting.undeploy()).await;
    end(&all, &watched).await;
}

pub(crate) async fn a_daemon_starts_and_stops_on_one_member_or_on_every_one(cluster: &Cluster) {
    let members = over(cluster);
    let done = Arc::new(Mutex::new(Vec::new()));
    let daemons: Vec<Singleton> = (members.iter())
        .map(|member| {
            let (started, stopped) = (done.clone(), done.clone());
            let start = move |_| {
                started.lock().push("start");
                async { Ok(()) }
            };
            let stop = move || {
                stopped.lock().push("stop");
                async {}
            };
            daemonize(member, "counter", start, stop).unwrap()
        })
        .collect();
    eventually("it runs", || async { daemons[0].provider().await.is_some() }).await;
    for daemon in daemons.iter().rev() {
        soon("it stops", daemon.undeploy()).await;
    }
    assert!(done.lock().starts_with(&["start"]) && done.lock().ends_with(&["stop"]));
    let started = done.lock().iter().filter(|what| **what == "start").count();
    assert_eq!(started * 2, done.lock().len());
    let everywhere: Vec<Singleton> = (members.iter())
        .map(|member| {
            let builder = Singleton::daemon("each").everywhere();
            builder.start(member, |_| async { Ok(()) }).unwrap()
        })
        .collect();
    for one in &everywhere {
        soon("it runs here", one.reaches(|state| state == State::Running)).await;
        soon("it stops", one.undeploy()).await;
    }
    assert_eq!(Kind::Daemon.word(), "daemon");
}

pub(crate) async fn who_leaves_stops_its_singletons_first_and_another_goes_on(cluster: &Cluster) {
    let (members, watched) = (over(cluster), Watched::default());
    let names = names(&members);
    let all = deploy(&members, "left", Policy::oldest(), &watched).await;
    runs_on(&all[0], &names[0]).await;
    soon("it leaves", members[0].leave()).await;
    assert_eq!(all[0].status().state, State::Closed);
    if let (Some(next), Some(one)) = (names.get(1), all.get(1)) {
        runs_on(one, next).await;
    }
    let late = Singleton::builder("late").start(&members[0], |_| async { Ok(()) });
    assert_eq!(late.err(), Some(StartError::Closed));
    end(&all[1..], &watched).await;
}
