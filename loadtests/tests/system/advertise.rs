//! A balancer that advertises and nodes that follow it, with no list of balancers anywhere.

#[cfg(feature = "system")]
mod tomcat;

use std::time::Duration;

use muster_loadtests::testkit::{Balancer, CounterOptions, Farm, Fault};

/// How long a story waits for what should be there in a moment.
const PATIENCE: Duration = Duration::from_secs(60);

const KEY: &str = "known to balancers and nodes";

/// A multicast group that no other story has.
fn group() -> String {
    let [a, b, port]: [u8; 3] = rand::random();
    format!("239.78.{a}.{b}:{}", 20_000 + u16::from(port))
}

async fn balancer(farm: &Farm, group: &str, key: &str) -> Balancer {
    let toml = format!(
        "[advertise]\ngroup = \"{group}\"\ninterval = \"100ms\"\nsecurity_key = \"{key}\"\n"
    );
    farm.balancer(&toml).await.unwrap()
}

fn following(group: &str) -> CounterOptions {
    CounterOptions {
        load: Some(100),
        discover: Some(group.to_owned()),
        security_key: Some(KEY.to_owned()),
        ..CounterOptions::default()
    }
}

#[tokio::test]
async fn nodes_follow_balancers_that_start_stop_and_start_again() {
    let (farm, group) = (Farm::new().unwrap(), group());
    let mut one = balancer(&farm, &group, KEY).await;
    let _a = farm.counter("a", &one, &following(&group)).await.unwrap();
    one.await_usable(&["a"], PATIENCE).await.unwrap();
    one.await_served("/counter/", PATIENCE).await.unwrap();
    // A second one is found by nodes that are there, and by one that comes.
    let two = balancer(&farm, &group, KEY).await;
    let b = farm.counter("b", &two, &following(&group)).await.unwrap();
    for balancer in [&one, &two] {
        balancer.await_usable(&["a", "b"], PATIENCE).await.unwrap();
    }
    // Killed without a word, and back at its place.
    one.process.restart().await.unwrap();
    one.await_usable(&["a", "b"], PATIENCE).await.unwrap();
    // One that ends in order takes nobody with it.
    one.process.inflict(Fault::Terminate).unwrap();
    assert!(one.process.await_end(PATIENCE).await.unwrap().success());
    one.process.restart().await.unwrap();
    one.await_usable(&["a", "b"], PATIENCE).await.unwrap();
    // A node that leaves, leaves them all.
    b.process.inflict(Fault::Terminate).unwrap();
    for balancer in [&one, &two] {
        balancer.await_gone("b", PATIENCE).await.unwrap();
        balancer.await_served("/counter/", PATIENCE).await.unwrap();
    }
}

#[tokio::test]
async fn a_balancer_with_another_key_is_not_followed() {
    let (farm, group) = (Farm::new().unwrap(), group());
    let stranger = balancer(&farm, &group, "a key of its own").await;
    let good = balancer(&farm, &group, KEY).await;
    let _a = farm.counter("a", &good, &following(&group)).await.unwrap();
    good.await_usable(&["a"], PATIENCE).await.unwrap();
    // Both were heard by now: they speak at the same pace.
    stranger.await_gone("a", PATIENCE).await.unwrap();
}
