//! Queues as operators see them: at any member, whether that uses them or not.

#![allow(clippy::unwrap_used, clippy::panic, reason = "tests fail by panicking")]

use std::time::Duration;

use muster_agent::Cluster;
use muster_agent::queue::Received;
use muster_protocol::cluster::events::{EventKind, EventsReport};
use muster_protocol::cluster::queues::{DeadReport, QueueReport, QueuesReport};
use serde::de::DeserializeOwned;

use crate::manages::{cluster, send};
use crate::{PATIENCE, soon};

const ONE: &str = "/v1/cluster/queues/%2Forders";

/// The management of a member.
struct Asked<'c>(&'c Cluster);

impl Asked<'_> {
    async fn text(&self, path: &str) -> String {
        let address = self.0.management().unwrap();
        send(address, &format!("GET {path}"), "Host: localhost\r\n", "").await.body
    }

    async fn get<T: DeserializeOwned>(&self, path: &str) -> T {
        let text = self.text(path).await;
        serde_json::from_str(&text).unwrap_or_else(|error| panic!("{path}: {error}: {text}"))
    }

    async fn post(&self, path: &str, body: &str) -> String {
        let address = self.0.management().unwrap();
        let headers = "Host: localhost\r\nContent-Type: application/json\r\n";
        send(address, &format!("POST {path}"), headers, body).await.body
    }

    /// Asks until the queue is so.
    async fn until(&self, what: &str, is_so: impl Fn(&QueueReport) -> bool) -> QueueReport {
        let mut last = QueuesReport::default();
        let asked = async {
            loop {
                last = self.get("/v1/cluster/queues").await;
                match last.queues.iter().find(|queue| queue.name == "/orders") {
                    Some(queue) if is_so(queue) => return queue.clone(),
                    _ => tokio::time::sleep(Duration::from_millis(50)).await,
                }
            }
        };
        let found = tokio::time::timeout(PATIENCE, asked).await;
        found.unwrap_or_else(|_| panic!("{what}: {last:?}"))
    }
}

/// Two members. A home counts and tells from when it became that: it stays what it is from here on.
async fn settled() -> Vec<Cluster> {
    let members = cluster(&["one", "two"]).await;
    for member in &members {
        soon("all copies are in place", member.balanced()).await;
    }
    members
}

#[tokio::test]
async fn any_member_shows_a_queue_and_looks_after_its_dead_letters() {
    let members = settled().await;
    // Where nothing is known of the queue yet.
    let asked = Asked(&members[1]);
    let queue = members[0].queue::<u64>("/orders").most_tries(2).start().unwrap();
    let again = Duration::from_millis(1);
    let failing = queue.listener().backoff(again, again);
    let failing = failing.start(|_: Received<u64>| async { Err::<(), _>("it is too late") });
    for number in 0..3 {
        soon("a publication", queue.publish(&number)).await.unwrap();
    }
    let shown = asked.until("all are dead letters", |queue| queue.numbers.dead == 3).await;
    assert!(shown.home.is_some() && shown.settings.most_tries == 2, "{shown:?}");
    assert_eq!((shown.numbers.ready, shown.numbers.in_flight), (0, 0));
    assert_eq!((shown.numbers.published, shown.numbers.redelivered), (3, 3));
    let consumers: Vec<_> =
        shown.consumers.iter().map(|of| (of.member.as_str(), of.consumers)).collect();
    assert_eq!(consumers, [("one", 1)]);
    let mut metrics = String::new();
    for member in &members {
        metrics += &Asked(member).text("/metrics").await;
    }
    let line = "muster_queue_dead{queue=\"/orders\"} 3";
    assert_eq!(metrics.lines().filter(|told| *told == line).count(), 1, "{metrics}");
    failing.stop().await;

    let dead: DeadReport = asked.get(&format!("{ONE}/dead")).await;
    assert_eq!(dead.letters.iter().map(|letter| letter.tries).collect::<Vec<_>>(), [2, 2, 2]);
    let first = format!("{{\"ids\":[\"{}\"]}}", dead.letters[0].id);
    let done = asked.post(&format!("{ONE}/dead/drop"), &first).await;
    assert!(done.contains("1 dead letters of /orders are dropped"), "{done}");
    let done = asked.post(&format!("{ONE}/dead/requeue"), "{}").await;
    assert!(done.contains("2 dead letters of /orders are delivered again"), "{done}");
    let (heard, mut came) = tokio::sync::mpsc::channel(2);
    let other = members[1].queue::<u64>("/orders").most_tries(2).start().unwrap();
    let _good = other.listen(move |message: Received<u64>| {
        let heard = heard.clone();
        async move { heard.send((*message, message.is_redelivered())).await }
    });
    let mut both = [soon("one of them", came.recv()).await, soon("the other", came.recv()).await];
    both.sort();
    assert_eq!(both, [Some((1, true)), Some((2, true))]);
    let is_empty = |queue: &QueueReport| {
        let numbers = &queue.numbers;
        numbers.ready + numbers.in_flight + numbers.dead == 0 && queue.consumers.len() == 1
    };
    let shown = asked.until("nothing is left", is_empty).await;
    assert_eq!(shown.consumers[0].member, "two");
    assert_eq!(shown.members, ["one", "two"]);
    let missing = asked.text("/v1/cluster/queues/none").await;
    assert!(missing.contains("there is no queue \\\"none\\\""), "{missing}");
}

#[tokio::test]
async fn a_dead_letter_is_an_event_of_the_cluster() {
    let members = settled().await;
    let queue = members[0].queue::<u64>("/orders").most_tries(1).start().unwrap();
    let _failing = queue.listen(|_: Received<u64>| async { Err::<(), _>("it is too late") });
    soon("a publication", queue.publish(&1)).await.unwrap();
    let asked = Asked(&members[1]);
    soon("the event", async {
        loop {
            let report: EventsReport = asked.get("/v1/cluster/events").await;
            let of_queues = report.events.iter().find(|event| event.kind == EventKind::Queue);
            if let Some(event) = of_queues {
                assert!(event.text.starts_with("/orders has a dead letter"), "{event:?}");
                return;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    })
    .await;
}
