//! At most one holder of a name.

use std::time::Duration;

use muster_agent::engine::LeaseError;

use crate::fixture::{Cluster, PATIENCE, soon};

pub(crate) async fn one_member_holds_a_name_and_gives_it_back_by_dropping_it(cluster: &Cluster) {
    let (first, last) = (cluster.first(), cluster.last());
    let lease = first.leases().campaign("a", PATIENCE).await.unwrap();
    assert!(lease.is_held());
    let me = first.group().local().id;
    for engine in &cluster.engines {
        let refused = engine.leases().campaign("a", Duration::ZERO).await;
        assert_eq!(refused.err(), Some(LeaseError::Held(me)));
    }
    let another = last.leases().campaign("b", PATIENCE).await.unwrap();
    assert!(another.is_held());
    let token = lease.token;
    drop(lease);
    let lease = last.leases().campaign("a", PATIENCE).await.unwrap();
    assert!(lease.token > token);
}

pub(crate) async fn who_waits_gets_it_with_a_greater_token(cluster: &Cluster) {
    let lease = cluster.first().leases().campaign("a", PATIENCE).await.unwrap();
    let short = cluster.last().leases().campaign("a", Duration::from_millis(50)).await;
    assert!(matches!(short, Err(LeaseError::Held(_))), "{short:?}");
    let leases = cluster.last().leases();
    let next = tokio::spawn(async move { leases.campaign("a", PATIENCE).await });
    let token = lease.token;
    drop(lease);
    let next = soon("the next holder", next).await.unwrap().unwrap();
    assert!(next.token > token && next.is_held());
}

pub(crate) async fn two_tasks_of_one_member_never_both_hold_a_name(cluster: &Cluster) {
    let leases = cluster.last().leases();
    let lease = leases.campaign("a", PATIENCE).await.unwrap();
    assert!(leases.campaign("a", Duration::from_millis(50)).await.is_err());
    drop(lease);
    assert!(leases.campaign("a", PATIENCE).await.is_ok());
}

pub(crate) async fn a_lease_ends_with_its_engine(cluster: &Cluster) {
    let lease = cluster.last().leases().campaign("a", PATIENCE).await.unwrap();
    cluster.last().shutdown().await;
    soon("its end", lease.lost()).await;
    assert!(!lease.is_held());
    if cluster.len() > 1 {
        let next = cluster.first().leases().campaign("a", PATIENCE).await.unwrap();
        assert!(next.token > lease.token);
    }
}

pub(crate) async fn a_lease_without_a_name_is_refused(cluster: &Cluster) {
    let leases = cluster.first().leases();
    assert_eq!(leases.campaign("", PATIENCE).await.err(), Some(LeaseError::BadName(0)));
    let long = "n".repeat(129);
    assert_eq!(leases.campaign(&long, PATIENCE).await.err(), Some(LeaseError::BadName(129)));
}
