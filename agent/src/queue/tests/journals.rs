//! Queues that outlive all members that had them.

use std::collections::BTreeMap;
use std::path::Path;

use super::*;
use crate::FileShelf;
use crate::engine::EngineError;
use crate::engine::queue::Delivery;

const PATIENCE: Duration = Duration::from_secs(60);
/// So long nothing came that should not come.
const QUIET: Duration = Duration::from_millis(500);
/// The bytes of a journal that is meant to be full soon.
const LITTLE: u64 = 64 << 10;

/// A member, and its part in the queue.
struct Node {
    cluster: Cluster,
    queue: Queue<String>,
}

/// Starts a member. What it has on disk is free again when the process that had it has ended: here,
/// when its last task has.
async fn start_with(dir: &Path, name: &str, other: Option<&Node>, most_bytes: u64) -> Node {
    let home = dir.join(name);
    std::fs::create_dir_all(&home).unwrap();
    soon(async {
        loop {
            let builder = Cluster::builder(name).port(0).no_management().data_dir(&home);
            // Few rows, of each of which the journal says how far it follows it.
            let builder = builder.detection(Duration::from_millis(500)).segments(16);
            let builder = match other {
                Some(other) => builder.members([other.cluster.me().address.to_string()]),
                None => builder.find_nobody(),
            };
            let Ok(cluster) = builder.join().await else { continue };
            let Ok(journal) = FileShelf::keep(&home.join("queue")) else { continue };
            let queue = cluster.queue("/q").most_tries(2).journal(journal.most_bytes(most_bytes));
            return Node { queue: queue.start().unwrap(), cluster };
        }
    })
    .await
}

async fn start(dir: &Path, name: &str, other: Option<&Node>) -> Node {
    start_with(dir, name, other, u64::MAX).await
}

async fn both(dir: &Path) -> [Node; 2] {
    let one = start(dir, "one", None).await;
    let two = start(dir, "two", Some(&one)).await;
    one.cluster.balanced().await;
    [one, two]
}

async fn soon<T>(work: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, work).await.expect("it did not come")
}

fn text(delivery: &Delivery) -> String {
    envelope::open(&delivery.body).unwrap().1
}

impl Node {
    /// With an id: a home that moves meanwhile is asked again.
    async fn publish(&self, text: &str, sending: Sending) {
        assert_eq!(self.publishes(text, sending.id(text)).await, Ok(true), "{text}");
    }

    async fn publishes(&self, text: &str, sending: Sending) -> Result<bool, QueueError> {
        soon(self.queue.publish_with(&text.to_owned(), sending)).await
    }

    /// Gets so many messages and says that they are done, which stands when this returns.
    async fn does(&self, count: usize) -> BTreeMap<String, u32> {
        let mut consumer = self.queue.below.consume(1).await;
        let mut done = BTreeMap::new();
        for _ in 0..count {
            let mut delivery = soon(consumer.next()).await.unwrap();
            soon(delivery.ending.ack()).await.unwrap();
            done.insert(text(&delivery), delivery.tries);
        }
        done
    }

    /// All that comes until nothing comes any more, in its order.
    async fn drains(&self) -> Vec<(String, u32)> {
        let mut consumer = self.queue.below.consume(1).await;
        let mut came = Vec::new();
        while let Ok(Some(mut delivery)) = tokio::time::timeout(QUIET, consumer.next()).await {
            soon(delivery.ending.ack()).await.unwrap();
            came.push((text(&delivery), delivery.tries));
        }
        came
    }

    async fn is_restored(&self) {
        // It answers once it has begun.
        soon(async { while self.queue.dead_letters(1).await.is_err() {} }).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_sudden_end_of_all_members_loses_nothing_and_brings_nothing_back_that_was_done() {
    let dir = tempfile::tempdir().unwrap();
    let [one, two] = both(dir.path()).await;
    for number in 0..40 {
        [&one, &two][number % 2].publish(&number.to_string(), Sending::new()).await;
    }
    for number in 0..5 {
        two.publish(&format!("g{number}"), Sending::new().group("g")).await;
    }
    let later = || Sending::new().id("delayed").delay(Duration::from_secs(3_600));
    one.publish("delayed", later()).await;
    one.publish("short", Sending::new().ttl(Duration::from_millis(300)).delay(QUIET)).await;
    let done = one.does(20).await;
    assert!(done.values().all(|tries| *tries == 1), "{done:?}");
    // Nothing is handed over, and nothing is said.
    drop([one, two]);
    let [one, two] = both(dir.path()).await;
    two.is_restored().await;
    let came = two.drains().await;
    let marked = came.iter().all(|(_, tries)| *tries > 1);
    let again: Vec<_> = came.iter().filter(|(text, _)| done.contains_key(text)).collect();
    assert!(marked && again.is_empty(), "again: {again:?}; {came:?}");
    assert_eq!(came.len(), 25);
    let of_group: Vec<&str> =
        came.iter().map(|(text, _)| &**text).filter(|text| text.starts_with('g')).collect();
    assert_eq!(of_group, ["g0", "g1", "g2", "g3", "g4"]);
    // Its id is known, and it waits on.
    assert_eq!(one.publishes("delayed", later()).await, Ok(false));
    assert_eq!(soon(one.queue.stats()).await.ready, 1);
    // And what is new has no mark.
    one.publish("new", Sending::new()).await;
    assert_eq!(two.drains().await, [("new".to_owned(), 1)]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_an_end_in_order_everything_is_back_dead_letters_too() {
    let dir = tempfile::tempdir().unwrap();
    let [one, two] = both(dir.path()).await;
    one.publish("poison", Sending::new()).await;
    let mut consumer = two.queue.below.consume(1).await;
    for _ in 0..2 {
        let mut delivery = soon(consumer.next()).await.unwrap();
        soon(delivery.ending.nack(Duration::ZERO)).await.unwrap();
    }
    drop(consumer);
    soon(async { while one.queue.stats().await.dead < 1 {} }).await;
    for number in 0..10 {
        one.publish(&number.to_string(), Sending::new()).await;
    }
    soon(one.cluster.leave()).await;
    soon(two.cluster.leave()).await;
    drop([one, two]);
    let [one, two] = both(dir.path()).await;
    one.is_restored().await;
    assert_eq!(two.drains().await.len(), 10);
    let letters = soon(one.queue.dead_letters(10)).await.unwrap();
    assert_eq!(letters.iter().map(|letter| letter.tries).collect::<Vec<_>>(), [2]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_member_with_an_old_journal_brings_nothing_back_that_was_done_without_it() {
    let dir = tempfile::tempdir().unwrap();
    let [one, two] = both(dir.path()).await;
    for number in 0..20 {
        two.publish(&number.to_string(), Sending::new()).await;
    }
    drop(two);
    assert_eq!(one.drains().await.len(), 20);
    one.publish("later", Sending::new()).await;
    // It finds a queue that has gone on without it.
    let two = start(dir.path(), "two", Some(&one)).await;
    two.is_restored().await;
    assert_eq!(soon(one.queue.stats()).await.ready, 1);
    // And one that has gone on without it and then ended.
    drop(two);
    soon(async {
        while one.cluster.view().members.len() > 1 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    })
    .await;
    one.publish("last", Sending::new()).await;
    assert_eq!(one.does(1).await.into_keys().collect::<Vec<_>>(), ["later"]);
    drop(one);
    let two = start(dir.path(), "two", None).await;
    let one = start(dir.path(), "one", Some(&two)).await;
    let came = soon(async {
        let mut came = one.drains().await;
        while came.is_empty() {
            came = one.drains().await;
        }
        came
    })
    .await;
    assert_eq!(came, [("last".to_owned(), 2)]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_journal_that_is_full_refuses_what_it_cannot_take_and_loses_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let one = start(dir.path(), "one", None).await;
    let two = start_with(dir.path(), "two", Some(&one), LITTLE).await;
    one.cluster.balanced().await;
    // The home is where it stays.
    one.publish("first", Sending::new()).await;
    one.does(1).await;
    let filler = "m".repeat(2_000);
    let mut taken = 0;
    let error = loop {
        let text = format!("{taken} {filler}");
        // Without an id: of one that is done nothing is left, and its room is free.
        match one.publishes(&text, Sending::new()).await {
            Ok(_) => taken += 1,
            Err(error) => break error,
        }
    };
    assert_eq!(error, QueueError::NotKept);
    assert!(taken > 5, "{taken}");
    assert!(two.queue.below.journal().unwrap().errors > 0);
    // What was refused is nowhere, and with the room of what is done it goes on.
    assert_eq!(soon(one.queue.stats()).await.ready, taken);
    let done = one.does(5).await.len() as u64;
    assert_eq!(one.publishes(&filler, Sending::new()).await, Ok(true));
    drop([one, two]);
    let one = start(dir.path(), "one", None).await;
    let two = start_with(dir.path(), "two", Some(&one), LITTLE).await;
    two.is_restored().await;
    let came = two.drains().await;
    assert_eq!(came.len() as u64, taken - done + 1);
}

#[tokio::test]
async fn a_journal_needs_a_shelf_that_keeps_a_data_directory_and_a_cluster() {
    let dir = tempfile::tempdir().unwrap();
    let journal = |name: &str| FileShelf::keep(&dir.path().join(name)).unwrap();
    let cluster = Cluster::builder("alone").port(0).find_nobody().no_management();
    let cluster = cluster.join().await.unwrap();
    let started = cluster.queue::<u64>("/q").journal(journal("a")).start();
    let error = started.unwrap_err().to_string();
    assert!(error.contains("needs the cluster's data directory"), "{error}");
    let emptied = cluster.queue::<u64>("/q").journal(FileShelf::temporary().unwrap()).start();
    let error = emptied.unwrap_err().to_string();
    assert!(error.starts_with("journal has the bad value \"/q\": it must keep"), "{error}");
    let local = Cluster::builder("alone").local();
    let started = local.queue::<u64>("/q").journal(journal("b")).start();
    assert!(matches!(started, Err(EngineError::Unsupported { engine: "local", .. })));
}
