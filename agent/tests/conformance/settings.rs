//! The settings of the cluster itself, on every engine.

use std::time::Duration;

use muster_agent::Cluster as Member;
use muster_agent::settings::{How, Refused, Setting, Settings, SettingsError};
use muster_protocol::cluster::events::EventKind;

use crate::fixture::{Cluster, eventually, soon};
use crate::splits;

const QUORUM: &str = "policies.foo.quorum";

fn settings(cluster: &Cluster) -> Vec<Settings> {
    match cluster.nodes.is_empty() {
        true => vec![Member::over(cluster.first().clone())],
        false => cluster.nodes.clone(),
    }
    .iter()
    .map(known)
    .collect()
}

/// The settings of a member that has parts for them.
fn known(member: &Member) -> Settings {
    let settings = member.settings().clone();
    settings.register(Setting::whole("policies.*.quorum", 1..=9).default("1")).unwrap();
    let bounds = Duration::from_secs(1)..=Duration::from_secs(60);
    settings.register(Setting::time("policies.*.wait", bounds)).unwrap();
    settings
}

async fn set(settings: &Settings, key: &str, value: &str) -> Result<u64, SettingsError> {
    settings.set(key, value, &How::by("ann")).await
}

/// Returns when a member reads this.
async fn reads(settings: &Settings, key: &str, value: Option<i64>) {
    eventually("the setting is there", || async { settings.view("").whole(key) == value }).await;
}

pub(crate) async fn what_one_member_sets_every_member_reads_and_is_told_of(cluster: &Cluster) {
    let all = settings(cluster);
    let mut watched: Vec<_> = all.iter().map(|one| one.watch("policies.")).collect();
    let mut others: Vec<_> = all.iter().map(|one| one.watch("others.")).collect();
    assert_eq!(all[0].get(QUORUM).and_then(|value| value.whole()), Some(1), "the default");
    let version = set(&all[0], QUORUM, "3").await.unwrap();
    for watched in &mut watched {
        let told = watched.wait_for(|view| view.whole(QUORUM) == Some(3));
        assert!(soon("the change is told", told).await.is_ok());
    }
    let last = &all[all.len() - 1];
    assert_eq!(last.version(), version);
    let change = last.history().changes.remove(0);
    assert_eq!((change.key.as_str(), change.by.as_str(), change.version), (QUORUM, "ann", version));
    assert_eq!((change.old, change.new.as_deref()), (None, Some("3")));
    last.unset(QUORUM, &How::default()).await.unwrap();
    for watched in &mut watched {
        let told = watched.wait_for(|view| view.whole(QUORUM) == Some(1));
        assert!(soon("its end is told", told).await.is_ok());
    }
    assert!(others.iter_mut().all(|other| !other.has_changed().unwrap()));
}

pub(crate) async fn what_is_refused_changes_nothing(cluster: &Cluster) {
    let all = settings(cluster);
    let (first, last) = (&all[0], &all[all.len() - 1]);
    let version = set(first, "policies.bar.quorum", "2").await.unwrap();
    let refused = set(first, "policies.bar.quorum", "10").await.unwrap_err().to_string();
    let why =
        "policies.bar.quorum has the bad value \"10\": a whole number from 1 to 9 is possible";
    assert_eq!(refused, why);
    for (key, value) in [("policies.bar", "1"), ("nothing.of.ours", "1"), ("bad", "1")] {
        assert!(set(first, key, value).await.is_err(), "{key}");
    }
    reads(last, "policies.bar.quorum", Some(2)).await;
    let if_version = Some(version - 1);
    let how = How { if_version, ..How::default() };
    let late = last.set("policies.bar.quorum", "3", &how).await;
    let expected = Refused::Version { asked: version - 1, present: version };
    assert_eq!(late, Err(expected.into()));
    assert_eq!(last.unset("policies.never.quorum", &How::default()).await, {
        Err(Refused::NotSet("policies.never.quorum".to_owned()).into())
    });
    assert_eq!(set(last, "policies.bar.quorum", "2").await, Ok(version), "it is so already");
    assert_eq!(first.version(), version);
}

pub(crate) async fn changes_of_many_at_once_all_count_and_are_remembered(cluster: &Cluster) {
    let all = settings(cluster);
    let before = all[0].version();
    let changes = (0..12).map(|number| {
        let settings = all[number % all.len()].clone();
        let key = format!("policies.p{number}.wait");
        tokio::spawn(async move { set(&settings, &key, &format!("{}s", number + 1)).await })
    });
    let mut versions = Vec::new();
    for change in changes.collect::<Vec<_>>() {
        versions.push(soon("a change", change).await.unwrap().unwrap());
    }
    versions.sort_unstable();
    assert_eq!(versions, (before + 1..=before + 12).collect::<Vec<_>>());
    let last = &all[all.len() - 1];
    eventually("all are there", || async { last.version() == before + 12 }).await;
    assert_eq!(last.view("policies.").time("policies.p4.wait"), Some(Duration::from_secs(5)));
    assert!(last.history().changes.len() >= 12);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_side_without_a_quorum_changes_no_setting_and_learns_what_the_other_set() {
    let apart = splits::embedded(3, Some(2)).await;
    let all = settings(&apart.cluster);
    set(&all[0], QUORUM, "2").await.unwrap();
    reads(&all[2], QUORUM, Some(2)).await;
    apart.cut_off(&[2]).await;
    assert_eq!(set(&all[2], QUORUM, "5").await, Err(SettingsError::NotQuorate));
    assert_eq!(all[2].view("").whole(QUORUM), Some(2));
    eventually("the others go on", || async { set(&all[0], QUORUM, "3").await.is_ok() }).await;
    apart.mend().await;
    reads(&all[2], QUORUM, Some(3)).await;
    let told = apart.cluster.nodes[0].events().latest_first();
    let is_told = told.iter().any(|event| {
        event.kind == EventKind::Settings && event.text == "policies.foo.quorum is \"3\" now by ann"
    });
    assert!(is_told, "{told:?}");
    apart.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_sides_without_a_quorum_the_one_with_more_changes_wins_and_the_other_is_told() {
    let apart = splits::embedded(3, None).await;
    let all = settings(&apart.cluster);
    set(&all[0], QUORUM, "2").await.unwrap();
    reads(&all[2], QUORUM, Some(2)).await;
    apart.cut_off(&[2]).await;
    set(&all[0], "policies.bar.quorum", "7").await.unwrap();
    set(&all[2], QUORUM, "3").await.unwrap();
    let version = set(&all[2], QUORUM, "4").await.unwrap();
    apart.mend().await;
    for one in &all {
        reads(one, QUORUM, Some(4)).await;
        reads(one, "policies.bar.quorum", Some(1)).await;
        assert_eq!(one.version(), version);
    }
    let told = apart.cluster.nodes[0].events().latest_first();
    let gave_way = |text: &str| text.starts_with("the change of policies.bar.quorum by \"ann\"");
    assert!(told.iter().any(|event| gave_way(&event.text)), "{told:?}");
    apart.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn settings_outlive_a_cluster_that_was_wholly_down() {
    let home = tempfile::tempdir().unwrap();
    let member = |name: &str, first: Option<String>| {
        let builder = Member::builder(name).port(0).segments(16).no_management();
        let builder = builder.data_dir(home.path().join(name)).detection(Duration::from_secs(1));
        match first {
            None => builder.find_nobody().join(),
            Some(first) => builder.members([first]).join(),
        }
    };
    let one = soon("one", member("one", None)).await.unwrap();
    let two = soon("two", member("two", Some(one.me().address.to_string()))).await.unwrap();
    set(&known(&one), QUORUM, "4").await.unwrap();
    let version = set(&known(&two), "policies.bar.quorum", "5").await.unwrap();
    for name in ["one", "two"] {
        let file = home.path().join(name).join("settings.json");
        let is_kept = || async {
            let text = std::fs::read_to_string(&file).unwrap_or_default();
            text.contains(&format!("\"version\":{version},\"values\""))
        };
        eventually("it is on disk", is_kept).await;
    }
    for member in [&one, &two] {
        member.leave().await;
    }
    drop((one, two));
    let two = soon("two", member("two", None)).await.unwrap();
    let settings = known(&two);
    reads(&settings, QUORUM, Some(4)).await;
    reads(&settings, "policies.bar.quorum", Some(5)).await;
    let next = set(&settings, QUORUM, "6").await;
    assert_eq!(next, Ok(version + 1));
    two.leave().await;
}
