//! A real Tomcat with mod_cluster, unchanged, that has no list of balancers.

use muster_loadtests::testkit::tomcat::Tomcat;
use muster_loadtests::testkit::{CounterOptions, Farm};

use super::{KEY, PATIENCE, balancer, following, group};

#[tokio::test]
async fn a_tomcat_follows_the_old_digest_beside_a_node_of_ours() {
    let (farm, group) = (Farm::new().unwrap(), group());
    let tomcat = Tomcat::follow(&farm, "tc", group.parse().unwrap(), KEY).await.unwrap();
    let stranger = balancer(&farm, &group, "a key of its own").await;
    let one = balancer(&farm, &group, KEY).await;
    let options = CounterOptions { status_interval: Some("1s"), ..following(&group) };
    let _counter = farm.counter("counter", &one, &options).await.unwrap();
    // Tomcat reports every 10 s only.
    one.await_usable(&["tc", "counter"], PATIENCE).await.unwrap();
    one.await_served("/counter/", PATIENCE).await.unwrap();
    // A balancer that comes later is followed too.
    let two = balancer(&farm, &group, KEY).await;
    two.await_usable(&["tc", "counter"], PATIENCE).await.unwrap();
    stranger.await_gone("tc", PATIENCE).await.unwrap();
    drop(tomcat);
}
