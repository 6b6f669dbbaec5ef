//! A node whose cables are cut, from everybody or from the other nodes alone.

use std::time::Duration;

use muster_loadtests::sessions::judge::Hurt;
use muster_loadtests::sessions::{Nodes, NodesPlan};
use tokio::time::Instant;

use super::{BEFORE, FEW, MayFail, World, rounds};
use crate::system::support::quiet_machine;

/// A cable is cut for so many seconds, in turns: longer than it takes until the others go on without it.
/// Some end before the kernel sends again what it holds, some when it has given that up.
const CUT_FOR: [u64; 4] = [6, 8, 10, 12];
const SESSIONS: usize = 40;

fn apart() -> NodesPlan {
    NodesPlan { is_apart: true, quorum: Some(2), ..NodesPlan::three() }
}

fn cut_for(round: usize) -> Duration {
    Duration::from_secs(CUT_FOR[round % CUT_FOR.len()])
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_cut_off_from_everybody_costs_at_most_the_requests_it_had() {
    let _quiet = quiet_machine().await;
    let nodes = Nodes::start(&apart()).await.unwrap();
    let mut world = World::of(nodes, SESSIONS).await;
    for round in 0..rounds(FEW) as usize {
        tokio::time::sleep(BEFORE).await;
        let name = world.nodes.nodes[round % 3].name.clone();
        let net = world.nodes.net.as_ref().unwrap();
        let at = Instant::now();
        net.isolate(round % 3 + 1).unwrap();
        let done = Instant::now();
        tokio::time::sleep(cut_for(round)).await;
        net.heal().unwrap();
        world.nodes.await_whole().await.unwrap();
        world.judge(
            &format!("{round}, {name} alone"),
            Hurt { victim: &name, at, done },
            MayFail::OnceAtVictim,
        );
    }
    world.end("cuts", 0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_cut_off_from_the_other_nodes_alone_sends_its_clients_to_them() {
    let _quiet = quiet_machine().await;
    let nodes = Nodes::start(&apart()).await.unwrap();
    let mut world = World::of(nodes, SESSIONS).await;
    for round in 0..rounds(FEW) as usize {
        tokio::time::sleep(BEFORE).await;
        let (name, one) = (world.nodes.nodes[round % 3].name.clone(), round % 3 + 1);
        let others: Vec<usize> = (1..=3).filter(|other| *other != one).collect();
        let net = world.nodes.net.as_ref().unwrap();
        let at = Instant::now();
        net.cut(&[one], &others).unwrap();
        let done = Instant::now();
        tokio::time::sleep(cut_for(round)).await;
        net.heal().unwrap();
        world.nodes.await_whole().await.unwrap();
        world.judge(
            &format!("{round}, no cable from {name} to the others"),
            Hurt { victim: &name, at, done },
            MayFail::OnceAtVictim,
        );
    }
    world.end("cuts between nodes", 0).await;
}
