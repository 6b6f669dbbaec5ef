//! The balancer dies and comes back: its nodes register again by themselves.

use std::time::Duration;

use muster_loadtests::testkit::{CounterOptions, Farm};

use super::support::SOON;

/// A status interval of 10 s, as shipped, and a little.
const AGAIN: Duration = Duration::from_secs(12);

#[tokio::test(flavor = "multi_thread")]
async fn after_a_balancer_was_killed_all_nodes_are_registered_again_within_12_s() {
    let farm = Farm::new().unwrap();
    let mut balancer = farm.balancer("").await.unwrap();
    let options = CounterOptions { status_interval: Some("10s"), ..CounterOptions::default() };
    let mut counters = Vec::new();
    for name in ["a", "b", "c"] {
        counters.push(farm.counter(name, &balancer, &options).await.unwrap());
    }
    // The second STATUS may be needed until the probe of the first one is through.
    balancer.await_usable(&["a", "b", "c"], AGAIN).await.unwrap();
    balancer.process.kill().unwrap();
    balancer.process.restart().await.unwrap();
    balancer.await_usable(&["a", "b", "c"], AGAIN).await.unwrap();
    balancer.await_served("/counter", SOON).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_counter_that_is_killed_and_restarted_takes_its_place_again() {
    let farm = Farm::new().unwrap();
    let balancer = farm.balancer("").await.unwrap();
    let mut counter = farm.counter("a", &balancer, &CounterOptions::default()).await.unwrap();
    balancer.await_served("/counter", SOON).await.unwrap();
    counter.process.restart().await.unwrap();
    balancer.await_served("/counter", SOON).await.unwrap();
}
