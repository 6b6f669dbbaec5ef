//! Messages that are delivered at least once.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use muster_agent::engine::queue::{Consumer, Delivery, Msg};
use muster_agent::engine::{EngineError, Queue, QueueError, QueueSpec, Token};

use crate::fixture::{Cluster, PATIENCE, eventually, soon};

/// So long nothing came that should not come.
const QUIET: Duration = Duration::from_millis(200);

/// One queue at the first member and at the last; none where the engine has no queues, which it
/// must say.
fn queue(cluster: &Cluster, spec: &QueueSpec) -> Option<(Arc<dyn Queue>, Arc<dyn Queue>)> {
    let at = |engine: &Arc<dyn muster_agent::engine::Engine>| engine.queue(spec.clone());
    if !cluster.has_queues {
        let refused = at(cluster.first()).err();
        assert!(matches!(refused, Some(EngineError::Unsupported { .. })), "{refused:?}");
        return None;
    }
    Some((at(cluster.first()).unwrap(), at(cluster.last()).unwrap()))
}

fn body(body: &'static str) -> Msg {
    Msg { body: Bytes::from_static(body.as_bytes()), ..Msg::default() }
}

async fn next(consumer: &mut Box<dyn Consumer>) -> Delivery {
    soon("a message", consumer.next()).await.unwrap()
}

async fn is_quiet(consumer: &mut Box<dyn Consumer>) -> bool {
    tokio::time::timeout(QUIET, consumer.next()).await.is_err()
}

pub(crate) async fn what_was_acknowledged_never_comes_again(cluster: &Cluster) {
    let spec = QueueSpec { visibility: Duration::from_secs(1), ..QueueSpec::new("/q1") };
    let Some((queue, other)) = queue(cluster, &spec) else { return };
    assert_eq!(queue.publish(body("one")).await, Ok(true));
    assert_eq!(queue.stats().await.ready, 1);
    let mut consumer = other.consume(10).await;
    let mut delivery = next(&mut consumer).await;
    assert_eq!((&delivery.body[..], delivery.tries), (&b"one"[..], 1));
    delivery.ending.ack().await.unwrap();
    assert_eq!(delivery.ending.ack().await, Err(QueueError::Expired));
    let late = tokio::time::timeout(Duration::from_millis(1_500), consumer.next()).await;
    assert!(late.is_err(), "it came again: {late:?}");
    let stats = other.stats().await;
    assert_eq!((stats.ready, stats.out, stats.dead), (0, 0, 0));
}

pub(crate) async fn what_was_not_done_comes_again_and_says_so(cluster: &Cluster) {
    let Some((queue, other)) = queue(cluster, &QueueSpec::new("/q2")) else { return };
    queue.publish(body("one")).await.unwrap();
    let mut consumer = other.consume(1).await;
    let mut delivery = next(&mut consumer).await;
    assert_eq!(queue.stats().await.out, 1);
    delivery.ending.nack(Duration::from_millis(10)).await.unwrap();
    assert_eq!(delivery.ending.ack().await, Err(QueueError::Expired));
    let mut again = next(&mut consumer).await;
    assert_eq!((&again.body[..], again.tries), (&b"one"[..], 2));
    again.ending.ack().await.unwrap();
}

pub(crate) async fn a_consumer_that_is_too_slow_loses_its_message_to_another(cluster: &Cluster) {
    let spec = QueueSpec { visibility: Duration::from_secs(1), ..QueueSpec::new("/q3") };
    let Some((queue, other)) = queue(cluster, &spec) else { return };
    queue.publish(body("one")).await.unwrap();
    let mut slow = queue.consume(1).await;
    let mut first = next(&mut slow).await;
    first.ending.extend().await.unwrap();
    let mut consumer = other.consume(1).await;
    let mut second = next(&mut consumer).await;
    assert_eq!((&second.body[..], second.tries), (&b"one"[..], 2));
    assert_eq!(first.ending.ack().await, Err(QueueError::Expired));
    assert_eq!(first.ending.extend().await, Err(QueueError::Expired));
    second.ending.ack().await.unwrap();
    // The slow one has its credit back.
    queue.publish(body("two")).await.unwrap();
    drop(consumer);
    assert_eq!(&next(&mut slow).await.body[..], b"two");
}

pub(crate) async fn no_consumer_has_more_than_its_credits(cluster: &Cluster) {
    let Some((queue, other)) = queue(cluster, &QueueSpec::new("/q4")) else { return };
    for text in ["one", "two", "three"] {
        queue.publish(body(text)).await.unwrap();
    }
    let mut consumer = other.consume(2).await;
    let mut first = next(&mut consumer).await;
    let _second = next(&mut consumer).await;
    assert!(is_quiet(&mut consumer).await);
    first.ending.ack().await.unwrap();
    assert_eq!(&next(&mut consumer).await.body[..], b"three");
}

pub(crate) async fn consumers_share_the_work(cluster: &Cluster) {
    let Some((queue, other)) = queue(cluster, &QueueSpec::new("/q5")) else { return };
    let (mut one, mut two) = (queue.consume(1).await, other.consume(1).await);
    queue.publish(body("a")).await.unwrap();
    queue.publish(body("b")).await.unwrap();
    let both = async { tokio::join!(next(&mut one), next(&mut two)) };
    let (a, b) = soon("both", both).await;
    assert_ne!(a.body, b.body);
}

pub(crate) async fn a_delayed_message_comes_later_and_a_late_one_never(cluster: &Cluster) {
    let Some((queue, other)) = queue(cluster, &QueueSpec::new("/q6")) else { return };
    let ms = |ms| Some(Duration::from_millis(ms));
    queue.publish(Msg { delay: ms(500), ..body("delayed") }).await.unwrap();
    queue.publish(Msg { ttl: ms(1), ..body("late") }).await.unwrap();
    eventually("the late one is gone", || async { queue.stats().await.ready == 1 }).await;
    queue.publish(body("now")).await.unwrap();
    let mut consumer = other.consume(5).await;
    assert_eq!(&next(&mut consumer).await.body[..], b"now");
    assert_eq!(&next(&mut consumer).await.body[..], b"delayed");
}

pub(crate) async fn of_two_with_one_id_only_the_first_counts(cluster: &Cluster) {
    let spec = QueueSpec { dedup_window: PATIENCE, ..QueueSpec::new("/q7") };
    let Some((queue, other)) = queue(cluster, &spec) else { return };
    let with = |id: &str, text| Msg { dedup: Some(id.to_owned()), ..body(text) };
    assert_eq!(queue.publish(with("a", "one")).await, Ok(true));
    assert_eq!(other.publish(with("a", "two")).await, Ok(false));
    assert_eq!(other.publish(with("b", "three")).await, Ok(true));
    let mut consumer = other.consume(5).await;
    assert_eq!(&next(&mut consumer).await.body[..], b"one");
    assert_eq!(&next(&mut consumer).await.body[..], b"three");
    let short = QueueSpec { dedup_window: Duration::from_millis(50), ..QueueSpec::new("/short") };
    let queue = cluster.first().queue(short).unwrap();
    queue.publish(with("a", "one")).await.unwrap();
    let again = || async { queue.publish(with("a", "two")).await == Ok(true) };
    eventually("the id is forgotten", again).await;
}

pub(crate) async fn messages_of_one_group_come_in_order_one_at_a_time(cluster: &Cluster) {
    let Some((queue, other)) = queue(cluster, &QueueSpec::new("/q8")) else { return };
    let of = |group: &str, text| Msg { group: Some(group.to_owned()), ..body(text) };
    for (group, text) in [("a", "a1"), ("a", "a2"), ("b", "b1")] {
        queue.publish(of(group, text)).await.unwrap();
    }
    let mut consumer = other.consume(5).await;
    let mut first = next(&mut consumer).await;
    assert_eq!((&first.body[..], first.group.as_deref()), (&b"a1"[..], Some("a")));
    assert_eq!(&next(&mut consumer).await.body[..], b"b1");
    assert!(is_quiet(&mut consumer).await);
    first.ending.nack(Duration::from_millis(10)).await.unwrap();
    let mut first = next(&mut consumer).await;
    assert_eq!((&first.body[..], first.tries), (&b"a1"[..], 2));
    first.ending.ack().await.unwrap();
    assert_eq!(&next(&mut consumer).await.body[..], b"a2");
}

pub(crate) async fn what_fails_too_often_becomes_a_dead_letter(cluster: &Cluster) {
    let spec = QueueSpec { most_tries: 2, ..QueueSpec::new("/q9") };
    let Some((queue, other)) = queue(cluster, &spec) else { return };
    queue.publish(body("poison")).await.unwrap();
    let mut consumer = other.consume(1).await;
    for tries in 1..=2 {
        let mut delivery = next(&mut consumer).await;
        assert_eq!(delivery.tries, tries);
        delivery.ending.nack(Duration::ZERO).await.unwrap();
    }
    assert!(is_quiet(&mut consumer).await);
    assert_eq!(queue.stats().await.dead, 1);
    assert_eq!(queue.dead_letters(10).await, [Bytes::from_static(b"poison")]);
    assert!(queue.dead_letters(10).await.is_empty());
}

pub(crate) async fn a_full_queue_refuses(cluster: &Cluster) {
    let spec = QueueSpec { most: 2, ..QueueSpec::new("/q10") };
    let Some((queue, other)) = queue(cluster, &spec) else { return };
    queue.publish(body("one")).await.unwrap();
    other.publish(body("two")).await.unwrap();
    assert_eq!(queue.publish(body("three")).await, Err(QueueError::Full(2)));
    next(&mut other.consume(1).await).await.ending.ack().await.unwrap();
    assert_eq!(queue.publish(body("three")).await, Ok(true));
    let huge = Msg { body: vec![0; (8 << 20) + 1].into(), ..Msg::default() };
    let refused = other.publish(huge).await;
    assert!(matches!(refused, Err(QueueError::TooLarge(..))), "{refused:?}");
    let bad = cluster.first().queue(QueueSpec { most: 0, ..QueueSpec::new("/none") }).err();
    assert!(matches!(bad, Some(EngineError::BadValue { .. })), "{bad:?}");
    let different = cluster.first().queue(QueueSpec { most: 3, ..spec }).err();
    assert!(matches!(different, Some(EngineError::Different { .. })), "{different:?}");
}

pub(crate) async fn who_stops_waiting_takes_nothing_along(cluster: &Cluster) {
    let Some((queue, other)) = queue(cluster, &QueueSpec::new("/q11")) else { return };
    let mut consumer = other.consume(1).await;
    assert!(is_quiet(&mut consumer).await);
    {
        let mut waiting = Box::pin(consumer.next());
        let polled = std::future::poll_fn(|cx| std::task::Poll::Ready(waiting.as_mut().poll(cx)));
        assert!(polled.await.is_pending());
        queue.publish(body("one")).await.unwrap();
    }
    let delivery = next(&mut consumer).await;
    assert_eq!((&delivery.body[..], delivery.tries), (&b"one"[..], 1));
}

pub(crate) async fn an_older_token_than_the_queue_has_seen_publishes_nothing(cluster: &Cluster) {
    let Some((queue, other)) = queue(cluster, &QueueSpec::new("/q12")) else { return };
    let by = |name: &str, token, text| Msg { by: Some((name.into(), Token(token))), ..body(text) };
    assert_eq!(queue.publish(by("daemon", 5, "five")).await, Ok(true));
    assert_eq!(other.publish(by("daemon", 7, "seven")).await, Ok(true));
    assert_eq!(queue.publish(by("daemon", 6, "six")).await, Err(QueueError::Fenced));
    assert_eq!(queue.publish(by("another", 1, "other")).await, Ok(true));
    let mut consumer = other.consume(5).await;
    for text in ["five", "seven", "other"] {
        assert_eq!(&next(&mut consumer).await.body[..], text.as_bytes());
    }
    assert!(is_quiet(&mut consumer).await);
    let long = by(&"n".repeat(1_001), 1, "long");
    assert!(matches!(queue.publish(long).await, Err(QueueError::NameTooLong(1_001, 1_000))));
}
