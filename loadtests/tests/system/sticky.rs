//! Sessions stay with their node.

use muster_loadtests::generator;
use muster_loadtests::scenario::End;
use muster_loadtests::testkit::{CounterOptions, Farm};

use super::support::{SOON, gets, node, quiet_machine};

#[tokio::test(flavor = "multi_thread")]
async fn three_requests_of_one_client_count_1_2_3_on_one_node() {
    let farm = Farm::new().unwrap();
    let balancer = farm.balancer("").await.unwrap();
    let options = CounterOptions::default();
    let _a = farm.counter("a", &balancer, &options).await.unwrap();
    let _b = farm.counter("b", &balancer, &options).await.unwrap();
    balancer.await_usable(&["a", "b"], SOON).await.unwrap();
    let mut client = balancer.client();
    let mut nodes = Vec::new();
    for count in 1..=3 {
        let answer = client.get("/counter").await.unwrap().json().unwrap();
        assert_eq!(answer["count"], count, "{answer}");
        nodes.push(answer["node"].clone());
    }
    assert!(nodes.iter().all(|node| *node == nodes[0]), "{nodes:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn of_3000_requests_of_200_clients_none_is_misrouted() {
    let _quiet = quiet_machine().await;
    let farm = Farm::new().unwrap();
    let balancer = farm.balancer("").await.unwrap();
    let mut counters = Vec::new();
    for name in ["a", "b", "c"] {
        counters.push(farm.counter(name, &balancer, &CounterOptions::default()).await.unwrap());
    }
    balancer.await_usable(&["a", "b", "c"], SOON).await.unwrap();
    let mut load = gets(&balancer, "/counter", 16, End::Count(3000));
    load.clients = 200;
    load.session_cookie = Some("JSESSIONID".to_owned());
    let record = generator::run(load).await.record;
    assert_eq!((record.ok, record.failed()), (3000, 0), "{record:?}");
    assert_eq!((record.misrouted, record.lost_sessions), (0, 0), "{record:?}");
    assert!(["a", "b", "c"].iter().all(|name| record.by(name) > 500), "{:?}", record.nodes);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_id_leads_to_its_owner_by_cookie_and_by_path() {
    let farm = Farm::new().unwrap();
    let balancer = farm.balancer("").await.unwrap();
    let _nodes = [node(&balancer, "a", 100).await, node(&balancer, "b", 100).await];
    let mut client = balancer.client();
    for owner in ["a", "b", "b", "a", "a"] {
        client.jar.set("JSESSIONID", &format!("k7.{owner}"));
        assert_eq!(client.get("/x").await.unwrap().node().as_deref(), Some(owner));
    }
    let mut client = balancer.client();
    for owner in ["b", "b", "a"] {
        let answer = client.get(&format!("/x;jsessionid=k7.{owner}?y=1")).await.unwrap();
        assert_eq!(answer.node().as_deref(), Some(owner));
    }
}
