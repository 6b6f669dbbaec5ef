//! What the layer counts arrives in STATUS.

use axum::Router;
use axum::body::Body;
use axum::routing::get;
use http::Request;
use http_body_util::BodyExt;
use muster_agent::{Load, LoadMetric, Unreadable};
use tower_service::Service;

use crate::fake::Fake;
use crate::{agent, eventually};

#[tokio::test]
async fn requests_in_flight_are_the_busyness_that_is_reported() {
    let fake = Fake::start(1).await;
    let node = agent("node1").balancer(fake.address().to_string());
    let node = node.metric(LoadMetric::busyness().capacity(4.0));
    let node = node.load_history(0, 2.0).initial_load(None).start().await.unwrap();
    let mut app: Router = Router::new().route("/", get(|| async { "hello" })).layer(node.layer());
    let request = Request::get("/").body(Body::empty()).unwrap();
    let answer = app.call(request).await.unwrap();
    eventually("one of four", || fake.count("STATUS / JVMRoute=node1&Load=75") > 0).await;
    let body = answer.into_body().collect().await.unwrap().to_bytes();
    assert_eq!(body, "hello");
    eventually("free again", || fake.heard().last().is_some_and(|l| l.ends_with("Load=100"))).await;
    assert_eq!(node.status().load, Load::Usable(100));
}

#[tokio::test]
async fn a_metric_that_cannot_be_read_takes_the_node_out() {
    let fake = Fake::start(1).await;
    let broken = LoadMetric::custom(|_| Err(Unreadable::new("queue", "it is closed")));
    let node = agent("node1").balancer(fake.address().to_string()).metric(broken);
    let node = node.start().await.unwrap();
    eventually("-1", || fake.count("STATUS / JVMRoute=node1&Load=-1") > 0).await;
    assert_eq!(node.status().load, Load::Broken);
}

#[tokio::test]
async fn a_fresh_node_ramps_up_by_itself() {
    let fake = Fake::start(1).await;
    let node = agent("node1").balancer(fake.address().to_string());
    let _node = node.metric(LoadMetric::custom(|_| Ok(0.0))).start().await.unwrap();
    eventually("free", || fake.count("STATUS / JVMRoute=node1&Load=100") > 0).await;
    let mut loads = fake.heard();
    loads.retain(|line| line.starts_with("STATUS"));
    loads.dedup();
    let loads: Vec<_> = loads.iter().filter_map(|line| line.rsplit('=').next()).collect();
    // A tick that comes while another message is under way is not reported.
    let mut ramp = ["50", "75", "88", "94", "97", "99", "100"].iter();
    assert!(loads.iter().all(|load| ramp.any(|step| step == load)), "{loads:?}");
}
