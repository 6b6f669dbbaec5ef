//! Who is there.

use std::time::Duration;

use bytes::Bytes;
use muster_agent::engine::map::{MapError, MapSpec, Mode, Read};
use muster_agent::engine::{CallError, EngineError, LeaseError};

use crate::fixture::{Cluster, soon};

pub(crate) async fn every_member_sees_the_same_members_oldest_first(cluster: &Cluster) {
    let first = cluster.first().group().view();
    assert_eq!(first.members.len(), cluster.len());
    assert!(first.members.windows(2).all(|pair| pair[0].join < pair[1].join));
    assert_eq!(first.coordinator(), &first.members[0]);
    assert_eq!(first.id.coordinator, first.coordinator().id);
    assert!(first.is_quorate && first.merges == 0);
    for engine in &cluster.engines {
        let group = engine.group();
        assert_eq!(group.view(), first);
        assert_eq!(group.view().member(group.local().id), Some(&group.local()));
    }
    let mut names: Vec<&str> = first.members.iter().map(|member| &*member.name).collect();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), cluster.len());
}

pub(crate) async fn who_leaves_is_gone_for_the_others(cluster: &Cluster) {
    let gone = cluster.first().group().local().id;
    let mut watch = cluster.last().group().watch();
    if cluster.len() == 1 {
        return;
    }
    let before = cluster.last().group().view();
    cluster.first().shutdown().await;
    let view = soon("the view without it", watch.wait_for(|view| view.member(gone).is_none()))
        .await
        .unwrap()
        .clone();
    assert_eq!(view.members.len(), cluster.len() - 1);
    assert_eq!(view.coordinator().id, before.members[1].id);
    assert!(view.id.epoch > before.id.epoch);
}

pub(crate) async fn after_its_end_an_engine_says_that_it_is_closed(cluster: &Cluster) {
    let engine = cluster.last();
    let map = engine.map(MapSpec::new("closed", Mode::Distributed)).unwrap();
    let mut heard = engine.topics().subscribe("closed").await;
    engine.shutdown().await;
    assert_eq!(map.get(b"g", Read::Confirmed).await, Err(MapError::Closed));
    let again = engine.map(MapSpec::new("later", Mode::Distributed));
    assert_eq!(again.err(), Some(EngineError::Closed));
    let lease = engine.leases().campaign("closed", Duration::ZERO).await;
    assert_eq!(lease.err(), Some(LeaseError::Closed));
    let me = engine.group().local().id;
    let called = engine.dispatch().call(me, "s", Bytes::new(), Duration::from_secs(1)).await;
    assert_eq!(called, Err(CallError::Closed));
    assert_eq!(soon("the end of the topic", heard.next()).await, None);
    engine.shutdown().await;
}
