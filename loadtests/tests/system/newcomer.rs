//! A node that joins a long-running pair is not flooded.

use muster_loadtests::generator;
use muster_loadtests::scenario::End;
use muster_loadtests::testkit::Farm;

use super::support::{gets, node, quiet_machine};

#[tokio::test(flavor = "multi_thread")]
async fn a_newcomer_after_20000_requests_gets_no_flood() {
    let _quiet = quiet_machine().await;
    let farm = Farm::new().unwrap();
    let balancer = farm.balancer("").await.unwrap();
    let _pair = [node(&balancer, "a", 100).await, node(&balancer, "b", 100).await];
    let before = generator::run(gets(&balancer, "/", 16, End::Count(20_000))).await.record;
    assert_eq!((before.ok, before.failed()), (20_000, 0), "{before:?}");

    let newcomer = node(&balancer, "c", 100).await;
    let mut client = balancer.client();
    let (mut run, mut longest) = (0, 0);
    for _ in 0..3000 {
        let answer = client.get("/").await.unwrap();
        assert_eq!(answer.status, 200);
        run = if answer.node().as_deref() == Some("c") { run + 1 } else { 0 };
        longest = longest.max(run);
    }
    let share = newcomer.count() as f64 / 3000.0;
    eprintln!("the newcomer got {share:.3} of 3,000, at most {longest} in a row");
    assert!(share <= 0.4, "the newcomer got {share}");
    assert!(share >= 0.05, "the newcomer was starved: {share}");
    assert!(longest <= 20, "{longest} in a row went to the newcomer");
}
