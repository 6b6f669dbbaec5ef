//! A node that hangs: alive for the kernel, silent for everyone else.

use std::time::Duration;

use muster_loadtests::generator;
use muster_loadtests::scenario::End;
use muster_loadtests::testkit::{CounterOptions, Farm, Fault, eventually};

use super::support::{SOON, gets, quiet_machine};

#[tokio::test(flavor = "multi_thread")]
async fn a_frozen_node_costs_time_but_no_get_and_is_used_again_when_it_thaws() {
    let _quiet = quiet_machine().await;
    let farm = Farm::new().unwrap();
    let quick = "[upstream]\nread_timeout = \"1s\"\n\
                 [health]\nprobe_interval = \"1s\"\nprobe_timeout = \"500ms\"\n";
    let balancer = farm.balancer(quick).await.unwrap();
    let options = CounterOptions { load: Some(100), ..CounterOptions::default() };
    let a = farm.counter("a", &balancer, &options).await.unwrap();
    let _b = farm.counter("b", &balancer, &options).await.unwrap();
    balancer.await_usable(&["a", "b"], SOON).await.unwrap();
    balancer.await_served("/counter?nosession", SOON).await.unwrap();

    a.process.inflict(Fault::Freeze).unwrap();
    // Few at a time: those that hang are tried again within the budget of retries.
    let load = gets(&balancer, "/counter?nosession", 4, End::After(Duration::from_secs(4)));
    let record = generator::run(load).await.record;
    assert_eq!(record.failed(), 0, "{:?}", record.failures);
    assert!(record.by("b") > 100 && record.by("a") == 0, "{:?}", record.nodes);
    let longest = record.latency(1.0);
    assert!(longest < Duration::from_secs(10), "a request took {longest:?}");

    a.process.inflict(Fault::Thaw).unwrap();
    let back = eventually("a answers again", SOON, || async {
        let answer = balancer.client().get("/counter?nosession").await;
        let node = answer.map_err(|e| e.to_string())?.node();
        if node.as_deref() == Some("a") { Ok(()) } else { Err(format!("{node:?}")) }
    });
    back.await.unwrap();
}
