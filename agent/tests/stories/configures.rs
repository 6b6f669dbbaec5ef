//! The settings of a cluster and what has happened in it, over HTTP.

#![allow(clippy::unwrap_used, reason = "tests fail by panicking")]

use muster_agent::Cluster;
use muster_agent::settings::Setting;
use muster_protocol::cluster::events::{EventKind, EventsReport, Gravity};
use muster_protocol::cluster::settings::{SettingReport, SettingsHistory, SettingsReport};

use crate::manages::{cluster, send};
use crate::soon;

const KEY: &str = "singleton.shop.quorum";

async fn get<T: serde::de::DeserializeOwned>(member: &Cluster, path: &str) -> T {
    let line = format!("GET /v1/cluster/{path}");
    let said = send(member.management().unwrap(), &line, "Host: localhost\r\n", "").await;
    assert_eq!(said.status, 200, "{path}: {}", said.body);
    serde_json::from_str(&said.body).unwrap()
}

async fn post(member: &Cluster, path: &str, body: &str) -> (u16, String) {
    let line = format!("POST /v1/cluster/{path}");
    let headers = "Host: localhost\r\nContent-Type: application/json\r\n";
    let said = send(member.management().unwrap(), &line, headers, body).await;
    (said.status, said.body)
}

#[tokio::test]
async fn an_operator_sets_on_one_member_what_counts_on_all() {
    let members = cluster(&["one", "two"]).await;
    for member in &members {
        let quorum = Setting::whole("singleton.*.quorum", 1..=9).default("1").about("candidates");
        member.settings().register(quorum).unwrap();
    }
    let (one, two) = (&members[0], &members[1]);
    let mut told = two.settings().watch("singleton.");
    let set = post(one, &format!("settings/{KEY}"), "{\"value\":\"3\",\"by\":\"ann\"}").await;
    assert_eq!(
        set,
        (200, format!("{{\"done\":\"{KEY} is \\\"3\\\"; the settings have version 1\"}}"))
    );
    soon("two knows", told.wait_for(|view| view.whole(KEY) == Some(3))).await.unwrap();
    let report: SettingsReport = get(two, "settings").await;
    assert_eq!((report.version, report.settings.len()), (1, 1));
    assert!(report.known.iter().any(|known| known.about == "candidates"));
    let one_of: SettingReport = get(two, &format!("settings/{KEY}")).await;
    assert_eq!((one_of.value.as_deref(), one_of.by.as_deref()), (Some("3"), Some("ann")));
    assert_eq!(one_of.bound.as_deref(), Some("a whole number from 1 to 9"));
    let history: SettingsHistory = get(two, "settings/history").await;
    assert_eq!(history.changes[0].new.as_deref(), Some("3"));

    let late = "{\"value\":\"4\",\"if_version\":0}";
    for (path, body, status) in [
        (format!("settings/{KEY}"), "{\"value\":\"12\"}", 400),
        ("settings/singleton".to_owned(), "{\"value\":\"1\"}", 400),
        ("settings/singleton.shop.policy".to_owned(), "{\"value\":\"1\"}", 404),
        (format!("settings/{KEY}"), late, 409),
        ("settings/singleton.more.quorum/unset".to_owned(), "{}", 404),
    ] {
        let (said, body) = post(two, &path, body).await;
        assert_eq!(said, status, "{path}: {body}");
    }
    let (said, _) = post(two, &format!("settings/{KEY}/unset"), "{\"if_version\":1}").await;
    assert_eq!((said, two.settings().version()), (200, 2));
    for member in &members {
        member.leave().await;
    }
}

#[tokio::test]
async fn what_members_saw_is_one_list() {
    let members = cluster(&["one", "two"]).await;
    members[0].events().warn(EventKind::Job, "report failed on one");
    let mut list = EventsReport { events: Vec::new(), silent: Vec::new(), after_ms: None };
    let is_whole = |list: &EventsReport| {
        let texts: Vec<&str> = list.events.iter().map(|event| event.text.as_str()).collect();
        texts.contains(&"two came") && texts.contains(&"report failed on one")
    };
    soon("two tells what one saw", async {
        while !is_whole(&list) {
            list = get(&members[1], "events").await;
        }
    })
    .await;
    let job = list.events.iter().find(|event| event.kind == EventKind::Job).unwrap();
    assert_eq!(
        (job.gravity, job.members.as_slice()),
        (Some(Gravity::Warning), &["one".to_owned()][..])
    );
    assert!(list.silent.is_empty());
    members[1].events().trouble(EventKind::Job, "report is given up");
    let later = format!("events?after={}", job.at_ms);
    let later: EventsReport = get(&members[1], &later).await;
    assert_eq!(later.after_ms, Some(job.at_ms));
    assert!(later.events.iter().all(|event| event.at_ms > job.at_ms), "{later:?}");
    let line = "GET /v1/cluster/events?after=soon";
    let said = send(members[1].management().unwrap(), line, "Host: localhost\r\n", "").await;
    assert!(said.status == 400 && said.body.contains("after"), "{}", said.body);
    for member in &members {
        member.leave().await;
    }
}
