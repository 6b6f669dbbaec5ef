//! kill -9 of a node, each in its turn, under 40 sessions and, in a long run, under 2,000.

use std::time::Duration;

use muster_loadtests::sessions::judge::Hurt;
use muster_loadtests::sessions::{Nodes, NodesPlan};
use tokio::time::Instant;

use super::{BEFORE, FEW, MayFail, World, rounds};
use crate::system::support::quiet_machine;

/// A node is dead so long.
const DEAD_FOR: Duration = Duration::from_secs(2);

/// The larger crowd, where `MUSTER_SESSIONS` says so.
fn sessions() -> usize {
    std::env::var("MUSTER_SESSIONS").ok().and_then(|count| count.parse().ok()).unwrap_or(40)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_node_costs_no_request_and_no_session() {
    let _quiet = quiet_machine().await;
    let nodes = Nodes::start(&NodesPlan::three()).await.unwrap();
    let mut world = World::of(nodes, sessions()).await;
    for round in 0..rounds(FEW) as usize {
        // The script of the round: not waits for anything, but when things happen.
        tokio::time::sleep(BEFORE).await;
        let victim = &mut world.nodes.nodes[round % 3];
        let (name, at) = (victim.name.clone(), Instant::now());
        victim.process.kill().unwrap();
        let done = Instant::now();
        tokio::time::sleep(DEAD_FOR).await;
        victim.process.restart().await.unwrap();
        world.nodes.await_whole().await.unwrap();
        world.judge(
            &format!("{round}, kill -9 of {name}"),
            Hurt { victim: &name, at, done },
            MayFail::Nothing,
        );
    }
    world.end("kills", 0).await;
}
