//! SIGTERM: what is under way is finished, and nothing is lost.

use std::time::Duration;

use muster_loadtests::generator;
use muster_loadtests::record::Class;
use muster_loadtests::scenario::End;
use muster_loadtests::testkit::{
    Balancer, Client, CounterOptions, Farm, Fault, Manner, eventually, mcmp,
};

use super::support::{SOON, gets, node, quiet_machine};

#[tokio::test(flavor = "multi_thread")]
async fn a_balancer_that_is_asked_to_end_answers_what_it_has_begun() {
    let farm = Farm::new().unwrap();
    let mut balancer = farm.balancer("").await.unwrap();
    let node = node(&balancer, "a", 100).await;
    node.set_manner(Manner::Late(Duration::from_secs(2)));
    let begun = tokio::spawn(generator::run(gets(&balancer, "/", 8, End::Count(8))));
    let under_way = eventually("8 requests are under way", SOON, || async {
        if node.count() == 8 { Ok(()) } else { Err(node.count().to_string()) }
    });
    under_way.await.unwrap();
    balancer.process.inflict(Fault::Terminate).unwrap();
    let refused = eventually("new connections are refused", SOON, || async {
        Client::new(balancer.http).get("/").await.err().ok_or("it answers")
    });
    refused.await.unwrap();
    let record = begun.await.unwrap().record;
    assert_eq!((record.ok, record.failed()), (8, 0), "{record:?}");
    assert!(balancer.process.await_end(SOON).await.unwrap().success());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_balancer_that_ends_under_load_loses_no_request() {
    let _quiet = quiet_machine().await;
    let farm = Farm::new().unwrap();
    let mut balancer = farm.balancer("").await.unwrap();
    let node = node(&balancer, "a", 100).await;
    let load = End::After(Duration::from_secs(3));
    let load = tokio::spawn(generator::run(gets(&balancer, "/", 16, load)));
    let under_way = eventually("the load is under way", SOON, || async {
        if node.count() > 500 { Ok(()) } else { Err(node.count().to_string()) }
    });
    under_way.await.unwrap();
    balancer.process.inflict(Fault::Terminate).unwrap();
    let record = load.await.unwrap().record;
    // Once it has gone nobody listens; that is no loss, for no request was taken.
    let lost = record.failed() - record.failed_by(Class::Connect);
    assert_eq!(lost, 0, "{:?}", record.failures);
    assert!(record.failed_by(Class::Connect) > 0, "it did not go: {record:?}");
    assert!(balancer.process.await_end(SOON).await.unwrap().success());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_is_asked_to_end_under_load_costs_no_request() {
    let _quiet = quiet_machine().await;
    let farm = Farm::new().unwrap();
    let balancer = farm.balancer("").await.unwrap();
    let options = CounterOptions::default();
    let mut a = farm.counter("a", &balancer, &options).await.unwrap();
    let _b = farm.counter("b", &balancer, &options).await.unwrap();
    balancer.await_usable(&["a", "b"], SOON).await.unwrap();
    let load = gets(&balancer, "/counter?nosession", 16, End::After(Duration::from_secs(4)));
    let load = tokio::spawn(generator::run(load));
    let taken = eventually("a takes traffic", SOON, || async {
        let nodes = mcmp::nodes(balancer.mcmp).await;
        let nodes = nodes.map_err(|e| e.to_string())?;
        let busy = nodes.iter().any(|node| node.name == "a" && node.elected > 100);
        if busy { Ok(()) } else { Err(format!("{nodes:?}")) }
    });
    taken.await.unwrap();
    a.process.inflict(Fault::Terminate).unwrap();
    balancer.await_gone("a", Duration::from_secs(20)).await.unwrap();
    assert!(a.process.await_end(SOON).await.unwrap().success());
    let record = load.await.unwrap().record;
    assert_eq!(record.failed(), 0, "{:?}", record.failures);
    assert!(record.by("a") > 0 && record.by("b") > 0, "{:?}", record.nodes);
}

/// How many requests are in flight to context `/` of a node that is being stopped.
async fn stop(balancer: &Balancer, route: &str) -> u32 {
    let form = format!("JVMRoute={route}&Alias=localhost&Context=%2F");
    let told = mcmp::accepted(balancer.mcmp, "STOP-APP", "/", &form).await.unwrap();
    told.trim_end().rsplit_once("Requests=").unwrap().1.parse().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn once_a_stop_is_answered_with_no_requests_none_arrives_any_more() {
    let _quiet = quiet_machine().await;
    let farm = Farm::new().unwrap();
    let balancer = farm.balancer("").await.unwrap();
    let (a, b) = (node(&balancer, "a", 100).await, node(&balancer, "b", 100).await);
    let load = gets(&balancer, "/", 16, End::After(Duration::from_secs(120)));
    let mut late = 0;
    let outcome = generator::run_until(load, async {
        for _ in 0..100 {
            let before = a.count();
            let taken = eventually("a takes traffic", SOON, || async {
                if a.count() > before { Ok(()) } else { Err("none") }
            });
            taken.await.unwrap();
            while stop(&balancer, "a").await > 0 {}
            let stopped = a.count();
            // Some requests later, all to the other node, nothing can be on its way any more.
            let others = b.count();
            let passed = eventually("b takes 50 requests", SOON, || async {
                if b.count() > others + 50 { Ok(()) } else { Err("few") }
            });
            passed.await.unwrap();
            late += a.count() - stopped;
            let form = "JVMRoute=a&Alias=localhost&Context=%2F";
            mcmp::accepted(balancer.mcmp, "ENABLE-APP", "/", form).await.unwrap();
        }
    });
    let record = outcome.await.record;
    assert_eq!(record.failed(), 0, "{:?}", record.failures);
    assert_eq!(late, 0, "requests that arrived after Requests=0");
}
