//! All nodes of a cluster end, and start again from what is on their disks.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use muster_loadtests::sessions::stored::{Known, Stored, counted};
use muster_loadtests::testkit::Client;

use crate::system::support::quiet_machine;

/// Sessions in memory of a node.
const MOST: usize = 10;
/// Sessions that there are.
const ALL: usize = 60;

#[tokio::test(flavor = "multi_thread")]
async fn after_all_nodes_were_stopped_and_started_every_session_has_its_count() {
    let _quiet = quiet_machine().await;
    let mut nodes = Stored::start(3, MOST, &[]).await.unwrap();
    let mut sessions = nodes.fill(ALL, 400).await.unwrap();
    nodes.ask_all(&mut sessions, 1).await.unwrap();
    for round in 0..2 {
        nodes.end_in_turn().await.unwrap();
        nodes.start_again().await.unwrap();
        nodes.ask_all(&mut sessions, round).await.unwrap();
    }
}

/// Counts in one session until it is told to stop or its node is gone: what it was told last.
async fn count_on(mut client: Client, mut known: Known, stop: Arc<AtomicBool>) -> Known {
    while !stop.load(Ordering::Relaxed) {
        match counted(&mut client, "/counter").await {
            Ok(count) => known = Known { jar: client.jar.clone(), count },
            Err(_) => break,
        }
    }
    known
}

#[tokio::test(flavor = "multi_thread")]
async fn kill_9_of_all_nodes_loses_no_commit_that_was_acknowledged_where_each_is_written_through() {
    let _quiet = quiet_machine().await;
    let mut nodes = Stored::start(3, MOST, &["--write-through"]).await.unwrap();
    let sessions = nodes.fill(ALL, 400).await.unwrap();
    let stop = Arc::new(AtomicBool::new(false));
    let mut at_work = Vec::new();
    for (at, known) in sessions.into_iter().enumerate() {
        let mut client = Client::new(nodes.http(at % 3));
        client.jar = known.jar.clone();
        at_work.push(tokio::spawn(count_on(client, known, stop.clone())));
    }
    // Some have counted; then all nodes are gone at once, in the middle of it.
    let mut probe = Client::new(nodes.http(0));
    for _ in 0..200 {
        counted(&mut probe, "/counter").await.unwrap();
    }
    nodes.kill().unwrap();
    stop.store(true, Ordering::Relaxed);
    let mut seen = Vec::new();
    for work in at_work {
        seen.push(work.await.unwrap());
    }
    nodes.start_again().await.unwrap();
    let most = seen.iter().map(|known| known.count).max().unwrap();
    for known in seen {
        let mut client = Client::new(nodes.http(0));
        client.jar = known.jar.clone();
        let count = counted(&mut client, "/counter").await.unwrap();
        // The one that was under way may stand, and nobody was told.
        let expected = known.count + 1..=known.count + 2;
        assert!(expected.contains(&count), "{} was told, now it is {count}", known.count);
    }
    eprintln!("round restarts: {ALL} sessions, up to {most} requests each, kill -9 of all: 0 lost");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_comes_back_brings_no_session_back_that_ended_while_it_was_away() {
    let _quiet = quiet_machine().await;
    let mut nodes = Stored::start(3, MOST, &["--write-through"]).await.unwrap();
    let mut sessions = nodes.fill(ALL, 400).await.unwrap();
    nodes.nodes[2].kill().unwrap();
    let ended = sessions.split_off(ALL / 2);
    for known in &ended {
        nodes.end_session(known, 0).await.unwrap();
    }
    nodes.ask_all(&mut sessions, 1).await.unwrap();
    nodes.nodes[2].restart().await.unwrap();
    nodes.ask_all(&mut sessions, 2).await.unwrap();
    let are_gone = async |nodes: &Stored| {
        for known in &ended {
            let mut client = Client::new(nodes.http(2));
            client.jar = known.jar.clone();
            assert_eq!(counted(&mut client, "/counter").await.unwrap(), 1, "it is a new one");
        }
    };
    are_gone(&nodes).await;
    // Nor does it when the others, too, have ended meanwhile.
    nodes.nodes[2].kill().unwrap();
    let mut left = sessions.split_off(ALL / 4);
    std::mem::swap(&mut left, &mut sessions);
    for known in &left {
        nodes.end_session(known, 1).await.unwrap();
    }
    nodes.kill().unwrap();
    nodes.start_again().await.unwrap();
    nodes.ask_all(&mut sessions, 2).await.unwrap();
    for known in &left {
        let mut client = Client::new(nodes.http(2));
        client.jar = known.jar.clone();
        assert_eq!(counted(&mut client, "/counter").await.unwrap(), 1, "it is a new one");
    }
}
