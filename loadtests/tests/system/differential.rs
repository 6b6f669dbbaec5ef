//! The same generated requests through both engines: what reaches the node is alike, or both
//! refuse.

use std::net::{Ipv4Addr, SocketAddr};

use muster_loadtests::hostile::backend::Backend;
use muster_loadtests::hostile::differential::{Plan, compare};
use muster_loadtests::testkit::Farm;

use super::support::quiet_machine;

/// Requests of a usual run; `MUSTER_REQUESTS` says how many in a long one.
const REQUESTS: u64 = 2_000;

/// The seed of a usual run; `MUSTER_SEED` names another, to see again what a long run found.
const SEED: u64 = 2026;

#[tokio::test(flavor = "multi_thread")]
async fn both_engines_give_a_node_the_same_requests() {
    let _quiet = quiet_machine().await;
    let farm = Farm::new().unwrap();
    let node = Backend::bind(SocketAddr::from((Ipv4Addr::LOCALHOST, 0))).await.unwrap();
    let balancer = async |engine: &str| {
        let url = format!("http://{}", node.address());
        let toml =
            format!("[http]\nengine = \"{engine}\"\n[[node]]\nroute = \"a\"\nurl = \"{url}\"\n");
        farm.balancer(&toml).await.unwrap()
    };
    let (ours, pingora) = (balancer("muster").await, balancer("pingora").await);
    let plan = Plan::new(number("MUSTER_SEED", SEED), number("MUSTER_REQUESTS", REQUESTS));
    println!("seed {}", plan.seed);
    let comparison = compare(ours.http, pingora.http, &node, plan).await;
    println!("{comparison}");
    assert!(comparison.is_alike(), "seed {}: {comparison}", plan.seed);
    assert!(comparison.served > plan.count / 2, "{comparison}");
}

/// A number from the environment.
fn number(variable: &str, usual: u64) -> u64 {
    std::env::var(variable).ok().and_then(|value| value.parse().ok()).unwrap_or(usual)
}
