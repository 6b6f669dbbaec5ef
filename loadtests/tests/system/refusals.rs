//! What a client hears when no node can take its request.

use std::time::Duration;

use muster_loadtests::generator;
use muster_loadtests::record::Class;
use muster_loadtests::scenario::End;
use muster_loadtests::testkit::{Farm, Manner, NodeOptions, eventually, mcmp};

use super::support::{SOON, gets, node, node_with};

#[tokio::test(flavor = "multi_thread")]
async fn no_context_is_404_and_a_context_without_a_usable_node_is_503() {
    let farm = Farm::new().unwrap();
    let balancer = farm.balancer("").await.unwrap();
    let mut client = balancer.client();
    assert_eq!(client.get("/").await.unwrap().status, 404);

    let options = NodeOptions { contexts: &["/shop"], ..NodeOptions::default() };
    let node = node_with(&balancer, "a", options).await;
    assert_eq!(client.get("/shop/x").await.unwrap().status, 200);
    assert_eq!(client.get("/shopping").await.unwrap().status, 404);
    assert_eq!(client.get("/").await.unwrap().status, 404);

    let stop = "JVMRoute=a&Alias=localhost&Context=%2Fshop";
    let told = mcmp::accepted(balancer.mcmp, "STOP-APP", "/", stop).await.unwrap();
    assert!(told.starts_with("Type=STOP-APP-RSP&JvmRoute=a"), "{told}");
    assert!(told.trim_end().ends_with("Requests=0"), "{told}");
    assert_eq!(client.get("/shop/x").await.unwrap().status, 503);

    mcmp::accepted(balancer.mcmp, "ENABLE-APP", "/", stop).await.unwrap();
    assert_eq!(client.get("/shop/x").await.unwrap().status, 200);
    node.set_load(-1);
    mcmp::accepted(balancer.mcmp, "STATUS", "/", "JVMRoute=a&Load=-1").await.unwrap();
    assert_eq!(client.get("/shop/x").await.unwrap().status, 503);
}

#[tokio::test(flavor = "multi_thread")]
async fn when_all_nodes_are_down_a_client_hears_503_soon() {
    let farm = Farm::new().unwrap();
    let balancer = farm.balancer("").await.unwrap();
    let nodes = [node(&balancer, "a", 100).await, node(&balancer, "b", 100).await];
    balancer.await_served("/", SOON).await.unwrap();
    drop(nodes);
    let down = eventually("503", SOON, || async {
        let answer = balancer.client().get("/").await.map_err(|e| e.to_string())?;
        if answer.status == 503 { Ok(()) } else { Err(answer.status.to_string()) }
    });
    down.await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_standby_node_is_used_only_when_no_other_is() {
    let farm = Farm::new().unwrap();
    let balancer = farm.balancer("").await.unwrap();
    let usable = node(&balancer, "a", 100).await;
    let standby = node(&balancer, "s", 0).await;
    let mut client = balancer.client();
    for _ in 0..50 {
        assert_eq!(client.get("/").await.unwrap().node().as_deref(), Some("a"));
    }
    drop(usable);
    let taken = eventually("the standby node answers", SOON, || async {
        let answer = balancer.client().get("/").await.map_err(|e| e.to_string())?;
        let node = answer.node();
        if node.as_deref() == Some("s") { Ok(()) } else { Err(format!("{node:?}")) }
    });
    taken.await.unwrap();
    assert!(standby.count() > 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_is_slower_than_its_timeout_is_504() {
    let farm = Farm::new().unwrap();
    let balancer = farm.balancer("").await.unwrap();
    let options = NodeOptions { config: "&Timeout=1", ..NodeOptions::default() };
    let node = node_with(&balancer, "a", options).await;
    node.set_manner(Manner::Late(Duration::from_secs(20)));
    let mut client = balancer.client();
    let answer = client.send(http::Method::POST, "/", &[], "x").await.unwrap();
    assert_eq!((answer.status.as_u16(), node.count()), (504, 1));
    node.set_manner(Manner::Prompt);
    balancer.await_served("/", SOON).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_node_says_passes_through_even_when_it_is_500() {
    let farm = Farm::new().unwrap();
    let balancer = farm.balancer("").await.unwrap();
    let node = node(&balancer, "a", 100).await;
    node.set_manner(Manner::Status(http::StatusCode::INTERNAL_SERVER_ERROR));
    let answer = balancer.client().get("/").await.unwrap();
    assert_eq!((answer.status.as_u16(), answer.node().as_deref()), (500, Some("a")));
    assert_eq!(node.count(), 1, "an answer is never asked for twice");
}

#[tokio::test(flavor = "multi_thread")]
async fn with_wait_worker_a_request_waits_for_a_node_to_become_usable() {
    let farm = Farm::new().unwrap();
    let balancer = farm.balancer("").await.unwrap();
    let options = NodeOptions { config: "&WaitWorker=20", load: -1, ..NodeOptions::default() };
    let node = node_with(&balancer, "a", options).await;
    let mut waiting = balancer.client();
    let waiting = tokio::spawn(async move { waiting.get("/").await });
    // It must be seen to wait before it is helped; that it waits is the only thing to see.
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert!(!waiting.is_finished(), "{:?}", waiting.await);
    node.set_load(100);
    let answer = tokio::time::timeout(SOON, waiting).await.unwrap().unwrap().unwrap();
    assert_eq!(answer.node().as_deref(), Some("a"));
}

#[tokio::test(flavor = "multi_thread")]
async fn with_wait_worker_a_request_waits_in_vain_and_hears_503() {
    let farm = Farm::new().unwrap();
    let balancer = farm.balancer("").await.unwrap();
    let options = NodeOptions { config: "&WaitWorker=1", load: -1, ..NodeOptions::default() };
    let node = node_with(&balancer, "a", options).await;
    let asked = tokio::time::Instant::now();
    assert_eq!(balancer.client().get("/").await.unwrap().status, 503);
    assert!(asked.elapsed() >= Duration::from_secs(1), "it waited only {:?}", asked.elapsed());
    assert_eq!(node.count(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_overloaded_node_is_503_with_retry_after() {
    let farm = Farm::new().unwrap();
    let limits = "[upstream]\nmax_in_flight = 2\nqueue_length = 1\nqueue_wait = \"200ms\"\n";
    let balancer = farm.balancer(limits).await.unwrap();
    let node = node(&balancer, "a", 100).await;
    node.set_manner(Manner::Late(Duration::from_secs(2)));
    let load = generator::run(gets(&balancer, "/", 8, End::Count(8)));
    let load = tokio::spawn(load);
    let full = eventually("the node is full", SOON, || async {
        if node.count() >= 2 { Ok(()) } else { Err(node.count().to_string()) }
    });
    full.await.unwrap();
    let refused = balancer.client().get("/").await.unwrap();
    assert_eq!(refused.status, 503);
    let after: u64 = refused.header("retry-after").unwrap().parse().unwrap();
    assert!((1..=60).contains(&after), "Retry-After: {after}");
    let record = load.await.unwrap().record;
    assert_eq!((record.ok, record.failed_by(Class::Status(503))), (2, 6), "{record:?}");
    assert_eq!(node.count(), 2);
}
