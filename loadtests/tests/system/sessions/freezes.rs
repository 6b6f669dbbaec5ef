//! SIGSTOP of a node: alive for the kernel, silent for everybody else, and back with what it was
//! about to do.

use std::time::Duration;

use muster_loadtests::sessions::judge::Hurt;
use muster_loadtests::sessions::{Nodes, NodesPlan, Seen};
use muster_loadtests::testkit::{Client, Fault};
use tokio::time::Instant;

use super::{BEFORE, FEW, MayFail, World, rounds};
use crate::system::support::quiet_machine;

/// A node is frozen so long: longer than it takes until the others go on without it.
const FROZEN_FOR: Duration = Duration::from_secs(6);
const SESSIONS: usize = 40;

#[tokio::test(flavor = "multi_thread")]
async fn a_frozen_node_costs_at_most_the_requests_it_had_and_commits_nothing_when_it_thaws() {
    let _quiet = quiet_machine().await;
    let nodes = Nodes::start(&NodesPlan::three()).await.unwrap();
    let mut world = World::of(nodes, SESSIONS).await;
    for round in 0..rounds(FEW) as usize {
        tokio::time::sleep(BEFORE).await;
        let victim = &world.nodes.nodes[round % 3];
        let (name, at) = (victim.name.clone(), Instant::now());
        victim.process.inflict(Fault::Freeze).unwrap();
        let done = Instant::now();
        tokio::time::sleep(FROZEN_FOR).await;
        victim.process.inflict(Fault::Thaw).unwrap();
        world.nodes.await_whole().await.unwrap();
        world.judge(
            &format!("{round}, SIGSTOP of {name}"),
            Hurt { victim: &name, at, done },
            MayFail::OnceAtVictim,
        );
    }
    world.end("freezes", 0).await;
}

/// A handler holds its session so long before it commits.
const HOLD_MS: u32 = 1_500;

#[tokio::test(flavor = "multi_thread")]
async fn what_a_frozen_node_was_about_to_commit_is_refused_when_another_has_served_its_client() {
    let _quiet = quiet_machine().await;
    let nodes = Nodes::start(&NodesPlan::three()).await.unwrap();
    let [first, second] = [&nodes.nodes[0], &nodes.nodes[1]];
    let (mut here, mut there) = (Client::new(first.http), Client::new(second.http));
    assert!(matches!(count(&mut here, "/counter").await, Ok(1)));
    there.jar = here.jar.clone();
    let held = format!("/counter?hold={HOLD_MS}");
    let held = tokio::spawn(async move { count(&mut here, &held).await });
    // Its handler has the session by now, and has not committed.
    tokio::time::sleep(Duration::from_millis(u64::from(HOLD_MS) / 3)).await;
    first.process.inflict(Fault::Freeze).unwrap();
    // It waits until the others go on without the frozen one, and has the session then.
    assert_eq!(count(&mut there, "/counter").await, Ok(2));
    first.process.inflict(Fault::Thaw).unwrap();
    let refused = held.await.unwrap();
    assert!(refused.is_err(), "{refused:?}");
    assert_eq!(count(&mut there, "/counter").await, Ok(3));
}

async fn count(client: &mut Client, path: &str) -> Result<u64, String> {
    match Seen::of(client.get(path).await) {
        Seen::Counted { count, .. } => Ok(count),
        Seen::Failed(why) => Err(why),
    }
}
