//! Load factors are shares, exactly.

use muster_loadtests::generator;
use muster_loadtests::record::Record;
use muster_loadtests::scenario::End;
use muster_loadtests::testkit::{Balancer, Farm};

use super::support::{gets, node, quiet_machine};

async fn ask(balancer: &Balancer, connections: usize, count: u64) -> Record {
    let outcome = generator::run(gets(balancer, "/", connections, End::Count(count))).await;
    let record = outcome.record;
    assert_eq!((record.ok, record.failed()), (count, 0), "{record:?}");
    eprintln!("{connections} connections: {:?}", record.nodes);
    record
}

#[tokio::test(flavor = "multi_thread")]
async fn loads_of_75_and_25_share_4000_requests_3000_to_1000() {
    let _quiet = quiet_machine().await;
    let farm = Farm::new().unwrap();
    let balancer = farm.balancer("").await.unwrap();
    let _nodes = [node(&balancer, "a", 75).await, node(&balancer, "b", 25).await];
    let record = ask(&balancer, 1, 4000).await;
    assert_eq!((record.by("a"), record.by("b")), (3000, 1000));
}

#[tokio::test(flavor = "multi_thread")]
async fn sixteen_clients_at_once_share_them_within_one_percent() {
    let _quiet = quiet_machine().await;
    let farm = Farm::new().unwrap();
    let balancer = farm.balancer("").await.unwrap();
    let _nodes = [node(&balancer, "a", 75).await, node(&balancer, "b", 25).await];
    let record = ask(&balancer, 16, 4000).await;
    assert!(record.by("a").abs_diff(3000) <= 40, "{:?}", record.nodes);
}

#[tokio::test(flavor = "multi_thread")]
async fn even_a_load_of_1_beside_100_and_50_gets_its_share_within_half_a_percent() {
    let _quiet = quiet_machine().await;
    let farm = Farm::new().unwrap();
    let balancer = farm.balancer("").await.unwrap();
    let (a, b, c) = (100, 50, 1);
    let _nodes = [
        node(&balancer, "a", a).await,
        node(&balancer, "b", b).await,
        node(&balancer, "c", c).await,
    ];
    let record = ask(&balancer, 1, 4530).await;
    for (route, share) in [("a", 3000_u64), ("b", 1500), ("c", 30)] {
        assert!(record.by(route).abs_diff(share) <= 22, "{route}: {:?}", record.nodes);
    }
}
