//! Messages to whoever listens.

use crate::fixture::{Cluster, soon};

pub(crate) async fn every_listener_hears_every_message_in_the_order_of_its_sender(
    cluster: &Cluster,
) {
    let mut listeners = Vec::new();
    for engine in cluster.engines.iter().chain([cluster.first()]) {
        listeners.push(engine.topics().subscribe("news").await);
    }
    for engine in &cluster.engines {
        for number in 0..20_u8 {
            engine.topics().publish("news", vec![number].into()).await;
        }
    }
    for listener in &mut listeners {
        let mut heard: Vec<_> = cluster.engines.iter().map(|_| Vec::new()).collect();
        for _ in 0..20 * cluster.len() {
            let (from, message) = soon("a message", listener.next()).await.unwrap();
            let by = |engine: &std::sync::Arc<dyn muster_agent::engine::Engine>| {
                engine.group().local().id == from
            };
            heard[cluster.engines.iter().position(by).unwrap()].push(message[0]);
        }
        assert!(heard.iter().all(|heard| heard.iter().copied().eq(0..20)), "{heard:?}");
    }
}

pub(crate) async fn who_listens_to_another_topic_or_no_more_hears_nothing(cluster: &Cluster) {
    let (topics, last) = (cluster.first().topics(), cluster.last().topics());
    let gone = last.subscribe("one").await;
    drop(gone);
    let (mut one, mut two) = (last.subscribe("one").await, last.subscribe("two").await);
    topics.publish("one", "1".into()).await;
    topics.publish("two", "2".into()).await;
    assert_eq!(soon("one", one.next()).await.unwrap().1, "1");
    assert_eq!(soon("two", two.next()).await.unwrap().1, "2");
}
