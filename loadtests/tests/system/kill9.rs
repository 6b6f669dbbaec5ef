//! kill -9 of one of three nodes under 16 keep-alive clients.

use std::collections::BTreeMap;
use std::time::Duration;

use http::Method;
use muster_loadtests::generator;
use muster_loadtests::record::{Class, Record};
use muster_loadtests::scenario::{End, Scenario};
use muster_loadtests::testkit::{Balancer, Counter, CounterOptions, Farm, eventually};

use super::support::{SOON, gets, quiet_machine, rounds};

const CLIENTS: usize = 16;
/// A round: the load runs so long; the node dies and comes back within it.
const ROUND: Duration = Duration::from_secs(6);
const DIES_AFTER: Duration = Duration::from_millis(1500);
const DEAD_FOR: Duration = Duration::from_secs(1);
/// A node that came back is back in traffic within this time.
const BACK: Duration = Duration::from_secs(3);

async fn herd(farm: &Farm, balancer: &Balancer) -> Vec<Counter> {
    let mut counters = Vec::new();
    for name in ["a", "b", "c"] {
        let options = CounterOptions { load: Some(100), ..CounterOptions::default() };
        counters.push(farm.counter(name, balancer, &options).await.unwrap());
    }
    balancer.await_usable(&["a", "b", "c"], SOON).await.unwrap();
    balancer.await_served("/counter?nosession", SOON).await.unwrap();
    counters
}

/// The load of one round, in which the victim dies and comes back into traffic.
async fn round(balancer: &Balancer, victim: &mut Counter, load: Scenario) -> Record {
    let load = tokio::spawn(generator::run(load));
    // The script of the round: not waits for anything, but when things happen.
    tokio::time::sleep(DIES_AFTER).await;
    victim.process.kill().unwrap();
    tokio::time::sleep(DEAD_FOR).await;
    let restarted = tokio::time::Instant::now();
    victim.process.restart().await.unwrap();
    let within = BACK.saturating_sub(restarted.elapsed());
    await_in_traffic(balancer, &victim.name, within).await;
    load.await.unwrap().record
}

async fn await_in_traffic(balancer: &Balancer, name: &str, within: Duration) {
    let what = format!("{name} is back in traffic");
    let back = eventually(&what, within, || async {
        let answer = balancer.client().get("/counter?nosession").await;
        let node = answer.map_err(|e| e.to_string())?.node();
        if node.as_deref() == Some(name) { Ok(()) } else { Err(format!("{node:?} answered")) }
    });
    back.await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_node_costs_at_most_one_get() {
    let _quiet = quiet_machine().await;
    let farm = Farm::new().unwrap();
    let balancer = farm.balancer("").await.unwrap();
    let mut counters = herd(&farm, &balancer).await;
    for number in 0..rounds(2) as usize {
        let load = gets(&balancer, "/counter?nosession", CLIENTS, End::After(ROUND));
        let record = round(&balancer, &mut counters[number % 3], load).await;
        let failures = &record.failures;
        eprintln!(
            "round {number}: {} good, nodes {:?}, failed {failures:?}",
            record.ok, record.nodes
        );
        assert!(record.failed() <= 1, "round {number}: {failures:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_node_never_makes_a_post_reach_two_nodes() {
    let _quiet = quiet_machine().await;
    let farm = Farm::new().unwrap();
    let balancer = farm.balancer("").await.unwrap();
    let mut counters = herd(&farm, &balancer).await;
    for number in 0..rounds(2) as usize {
        let mut load = gets(&balancer, "/counter?nosession", CLIENTS, End::After(ROUND));
        load.method = Method::POST;
        load.body = vec![b'x'; 100].into();
        load.request_ids = Some(format!("{number}-"));
        let record = round(&balancer, &mut counters[number % 3], load).await;
        let failures = &record.failures;
        eprintln!("round {number}: {} good, failed {failures:?}", record.ok);
        assert!(record.failed_by(Class::Status(502)) <= CLIENTS as u64, "{number}: {failures:?}");
        assert_eq!(record.failed(), record.failed_by(Class::Status(502)), "{number}: {failures:?}");
    }
    let mut reached = BTreeMap::<String, Vec<&str>>::new();
    for counter in &counters {
        for id in counter.request_ids() {
            reached.entry(id).or_default().push(&counter.name);
        }
    }
    assert!(reached.len() > 100, "the counters logged only {} ids", reached.len());
    reached.retain(|_, nodes| nodes.len() > 1);
    assert!(reached.is_empty(), "these reached more than one node: {reached:?}");
}
