//! One client at two nodes at once: its requests wait for each other, and every one counts.

use std::collections::BTreeSet;

use muster_loadtests::sessions::{Nodes, NodesPlan, Seen};
use muster_loadtests::testkit::Client;

use crate::system::support::quiet_machine;

/// Requests at each node.
const EACH: u64 = 100;

#[tokio::test(flavor = "multi_thread")]
async fn requests_of_one_client_at_two_nodes_take_turns_and_each_is_counted_once() {
    let _quiet = quiet_machine().await;
    let nodes = Nodes::start(&NodesPlan::three()).await.unwrap();
    let mut first = Client::new(nodes.nodes[0].http);
    let begun = Seen::of(first.get("/counter").await);
    assert!(matches!(&begun, Seen::Counted { count: 1, is_new: true, .. }), "{begun:?}");
    let jar = first.jar.clone();
    let mut all = Vec::new();
    for node in &nodes.nodes {
        let mut client = Client::new(node.http);
        client.jar = jar.clone();
        all.push(tokio::spawn(async move {
            let mut counts = Vec::new();
            for _ in 0..EACH {
                match Seen::of(client.get("/counter").await) {
                    Seen::Counted { count, is_new: false, .. } => counts.push(count),
                    other => panic!("{other:?}"),
                }
            }
            counts
        }));
    }
    let mut seen = BTreeSet::new();
    for counts in all {
        let counts = counts.await.unwrap();
        assert!(counts.is_sorted_by(|a, b| a < b), "{counts:?}");
        seen.extend(counts);
    }
    // Each number once, and none left out.
    assert!(seen.iter().copied().eq(2..=3 * EACH + 1), "{seen:?}");
}
