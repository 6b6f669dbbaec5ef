//! Operators take nodes out under load, and nodes go by themselves: nothing is lost.

use std::time::Duration;

use http::{Method, Request};
use http_body_util::Full;
use muster_loadtests::generator;
use muster_loadtests::scenario::End;
use muster_loadtests::testkit::client::{Connection, Limits};
use muster_loadtests::testkit::{
    Balancer, Client, Counter, CounterOptions, Farm, Fault, eventually,
};
use serde_json::{Value, json};

use super::support::{gets, quiet_machine, rounds};

const PATIENCE: Duration = Duration::from_secs(60);

/// Requests for each of the rounds; 200 rounds are a million.
const A_ROUND: u64 = 5_000;

async fn say(balancer: &Balancer, verb: &str, node: &str) {
    let body = json!({ "verb": verb, "target": { "node": node } });
    let request = Request::builder()
        .method(Method::POST)
        .uri("/api/v1/verbs")
        .header("host", balancer.manager.to_string())
        .header("content-type", "application/json")
        .body(Full::new(bytes::Bytes::from(body.to_string())))
        .unwrap();
    let mut connection = Connection::new(balancer.manager, Limits::default());
    let answer = connection.send(request).await.unwrap();
    assert!(answer.status.is_success(), "{verb} {node}: {}", answer.text());
}

async fn node(balancer: &Balancer, route: &str) -> Result<Value, String> {
    let answer = Client::new(balancer.manager).get(&format!("/api/v1/nodes/{route}")).await;
    answer.map_err(|e| e.to_string())?.json().ok_or_else(|| "no JSON".to_owned())
}

/// The node takes new requests.
async fn await_traffic(balancer: &Balancer, route: &str) {
    let before = node(balancer, route).await.ok().and_then(|shown| shown["elected"].as_u64());
    let what = format!("{route} takes traffic");
    let taken = eventually(&what, PATIENCE, || async {
        let shown = node(balancer, route).await?;
        match shown["elected"].as_u64() > before.or(Some(0)) {
            true => Ok(()),
            false => Err(shown.to_string()),
        }
    });
    taken.await.unwrap();
}

/// One node after the other is drained, stopped, and asked to end.
async fn cycle(balancer: &Balancer, victim: &mut Counter) {
    let name = victim.name.clone();
    await_traffic(balancer, &name).await;
    say(balancer, "drain", &name).await;
    let drained = eventually("the drain is over", PATIENCE, || async {
        let shown = node(balancer, &name).await?;
        let drain = &shown["drain"];
        match drain["phase"] == "ended" && drain["end"] == "empty" && drain["lost"] == 0 {
            true => Ok(()),
            false => Err(drain.to_string()),
        }
    });
    drained.await.unwrap();
    say(balancer, "enable", &name).await;
    await_traffic(balancer, &name).await;
    say(balancer, "stop", &name).await;
    say(balancer, "enable", &name).await;
    await_traffic(balancer, &name).await;
    victim.process.inflict(Fault::Terminate).unwrap();
    balancer.await_gone(&name, PATIENCE).await.unwrap();
    assert!(victim.process.await_end(PATIENCE).await.unwrap().success());
    victim.process.restart().await.unwrap();
    balancer.await_usable(&[&name], PATIENCE).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn drains_stops_and_ends_of_nodes_under_load_lose_no_request() {
    let _quiet = quiet_machine().await;
    let farm = Farm::new().unwrap();
    let balancer = farm.balancer("[drain]\nquiet = \"0s\"\n").await.unwrap();
    let mut counters = Vec::new();
    for name in ["a", "b", "c"] {
        let options = CounterOptions { load: Some(100), ..CounterOptions::default() };
        counters.push(farm.counter(name, &balancer, &options).await.unwrap());
    }
    balancer.await_usable(&["a", "b", "c"], PATIENCE).await.unwrap();
    balancer.await_served("/counter?nosession", PATIENCE).await.unwrap();
    let wanted = A_ROUND * u64::from(rounds(1));
    let (mut good, mut cycles) = (0, 0);
    while good < wanted {
        let victim = &mut counters[cycles % 3];
        let load = gets(&balancer, "/counter?nosession", 16, End::After(PATIENCE * 60));
        let outcome = generator::run_until(load, cycle(&balancer, victim)).await;
        let record = outcome.record;
        assert_eq!(record.failed(), 0, "cycle {cycles}: {:?}", record.failures);
        good += record.ok;
        cycles += 1;
        println!("round {cycles}: {good} requests good, none lost");
    }
}
