//! Nodes that die and nodes that leave, one after the other, for as long as it takes: no request
//! fails, no session is lost, and memory stays level.

use std::time::Instant;

use muster_loadtests::cluster::cpu::resident;
use muster_loadtests::sessions::judge::Hurt;
use muster_loadtests::sessions::{Nodes, NodesPlan};
use muster_loadtests::testkit::Fault;

use super::{BEFORE, MayFail, PATIENCE, World};
use crate::system::soak::lasts;
use crate::system::support::quiet_machine;

const SESSIONS: usize = 40;

#[tokio::test(flavor = "multi_thread")]
async fn sessions_outlive_nodes_that_die_and_leave_for_a_while() {
    let _quiet = quiet_machine().await;
    let nodes = Nodes::start(&NodesPlan::three()).await.unwrap();
    let mut world = World::of(nodes, SESSIONS).await;
    let (began, mut round) = (Instant::now(), 0);
    while began.elapsed() < lasts() || round < 2 {
        tokio::time::sleep(BEFORE).await;
        let victim = &mut world.nodes.nodes[round % 3];
        let (name, at) = (victim.name.clone(), tokio::time::Instant::now());
        let what = if round % 2 == 0 {
            victim.process.kill().unwrap();
            "kill -9"
        } else {
            victim.process.inflict(Fault::Terminate).unwrap();
            victim.process.await_end(PATIENCE).await.unwrap();
            "SIGTERM"
        };
        let done = tokio::time::Instant::now();
        victim.process.restart().await.unwrap();
        world.nodes.await_whole().await.unwrap();
        world.judge(
            &format!("{round}, {what} of {name}"),
            Hurt { victim: &name, at, done },
            MayFail::Nothing,
        );
        round += 1;
    }
    let memory: Vec<u64> =
        world.nodes.nodes.iter().map(|node| resident(node.process.id()) >> 10).collect();
    eprintln!("round soak: {round} faults, nodes have {memory:?} KiB");
    world.end("the soak", 0).await;
}
