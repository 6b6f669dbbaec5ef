//! A rolling upgrade: three nodes of an older build, `OLD_COUNTER`, become nodes of this one, one
//! after the other.

use std::path::PathBuf;

use muster_loadtests::sessions::judge::Hurt;
use muster_loadtests::sessions::{Nodes, NodesPlan};
use muster_loadtests::testkit::{Fault, binaries};
use tokio::time::Instant;

use super::{BEFORE, MayFail, PATIENCE, World};
use crate::system::support::quiet_machine;

const SESSIONS: usize = 40;

#[tokio::test(flavor = "multi_thread")]
async fn nodes_of_an_older_build_are_replaced_one_after_the_other_and_nothing_is_lost() {
    let _quiet = quiet_machine().await;
    let own = binaries::find("counter").unwrap();
    // Without an older build it is a rolling restart, which must lose nothing either.
    let old = std::env::var_os("OLD_COUNTER").map_or_else(|| own.clone(), PathBuf::from);
    let plan = NodesPlan { program: Some(old.clone()), ..NodesPlan::three() };
    let mut world = World::of(Nodes::start(&plan).await.unwrap(), SESSIONS).await;
    for at_place in 0..3 {
        tokio::time::sleep(BEFORE).await;
        let node = &mut world.nodes.nodes[at_place];
        let (name, at) = (node.name.clone(), Instant::now());
        node.process.inflict(Fault::Terminate).unwrap();
        node.process.await_end(PATIENCE).await.unwrap();
        let done = Instant::now();
        node.process.set_program(own.clone());
        node.process.restart().await.unwrap();
        world.nodes.await_whole().await.unwrap();
        world.judge(
            &format!("upgrade of {name}"),
            Hurt { victim: &name, at, done },
            MayFail::Nothing,
        );
    }
    world.end(&format!("the upgrade from {}", old.display()), 0).await;
}
