//! Several nodes in one process, over real sockets.

mod breaks;
mod refusals;
mod secrets;
mod silence;

use std::time::Duration;

use muster_grid::batch::{Entries, Op, Put};
use muster_grid::{Batch, Expect, Group, Reply, Request, Space};
use tokio::time::timeout;

use super::{Node, NodeSettings, NodeState, Standing};

/// For whatever comes about in its own time, on a machine that has other things to do.
const PATIENCE: Duration = Duration::from_secs(60);

pub(super) fn settings(name: &str) -> NodeSettings {
    logged();
    let mut settings = NodeSettings::new(name);
    settings.bind.set_port(0);
    settings.detection = Duration::from_secs(1);
    settings.segments = 16;
    settings
}

/// What nodes log, where `RUST_LOG` asks for it.
pub(super) fn logged() {
    let filter = tracing_subscriber::EnvFilter::from_default_env();
    let format = tracing_subscriber::fmt().with_env_filter(filter).with_test_writer();
    // Another test has done it.
    let _ = format.try_init();
}

pub(super) async fn start(name: &str) -> Node {
    Node::start(settings(name)).await.expect("it starts")
}

/// Starts nodes that know the first one's address.
pub(super) async fn cluster(names: &[&str]) -> Vec<Node> {
    let mut nodes = Vec::new();
    for name in names {
        let node = start(name).await;
        nodes.push(node);
        if let [first, .., last] = nodes.as_slice() {
            last.found(first.address());
        }
    }
    for node in &nodes {
        see(node, names).await;
    }
    nodes
}

pub(super) async fn until(node: &Node, what: &str, mut is: impl FnMut(&NodeState) -> bool) {
    let mut state = node.state();
    let seen = timeout(PATIENCE, state.wait_for(|state| is(state))).await;
    let seen = seen.map(|seen| seen.map(|_| ()));
    assert!(
        matches!(seen, Ok(Ok(()))),
        "{} never saw {what}: {:?}",
        node.name(),
        node.state().borrow()
    );
}

fn names(state: &NodeState) -> Vec<String> {
    let members = state.view.iter().flat_map(|view| &view.members);
    let mut names: Vec<String> = members.map(|member| member.name.to_string()).collect();
    names.sort();
    names
}

/// Waits until a node's view has exactly these members, all rows in place.
pub(super) async fn see(node: &Node, expected: &[&str]) {
    let what = format!("{expected:?}");
    until(node, &what, |state| {
        names(state) == expected && state.view.as_ref().is_some_and(|view| view.is_settled())
    })
    .await;
}

pub(super) fn group(name: &str) -> Group {
    Group::new(Space { table: 0, cache: 7 }, name.as_bytes())
}

pub(super) async fn put(node: &Node, name: &str, value: &[u8]) -> Reply {
    let op = Op { key: b"v".into(), expect: Expect::Any, put: Some(Put::new(value)) };
    let request = Request::Write(Batch::new(group(name), vec![op]));
    node.request(request, PATIENCE).await
}

pub(super) async fn get(node: &Node, name: &str) -> Option<Vec<u8>> {
    match node.request(Request::Get(group(name)), PATIENCE).await {
        Reply::Entries(Entries { entries, .. }) => {
            entries.get(&b"v"[..]).map(|(value, _)| value.to_vec())
        }
        other => panic!("{other:?}"),
    }
}

fn has_copy(node: &Node, name: &str) -> bool {
    let view = node.state().borrow().view.clone().expect("a view");
    node.with_grid(|grid, _| {
        let row = group(name).row(&view);
        grid.store(row).is_some_and(|store| store.entry(&group(name), b"v").is_some())
    })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_nodes_agree_on_a_view_and_an_acknowledged_write_is_on_both() {
    let nodes = cluster(&["one", "two"]).await;
    for (at, node) in nodes.iter().enumerate() {
        let key = format!("k{at}");
        assert!(matches!(put(node, &key, b"value").await, Reply::Written(_)));
        assert!(nodes.iter().all(|node| has_copy(node, &key)));
    }
    assert_eq!(get(&nodes[0], "k1").await.as_deref(), Some(&b"value"[..]));
    assert_eq!(nodes[1].stats().links, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_is_gone_is_out_of_the_view_and_writes_go_on() {
    let nodes = cluster(&["one", "three", "two"]).await;
    for key in 0..20 {
        assert!(matches!(put(&nodes[1], &format!("k{key}"), b"a").await, Reply::Written(_)));
    }
    nodes[0].stop().await;
    for node in &nodes[1..] {
        see(node, &["three", "two"]).await;
    }
    for key in 0..20 {
        let key = format!("k{key}");
        assert_eq!(
            get(&nodes[2], &key).await.as_deref(),
            Some(&b"a"[..]),
            "{key} was acknowledged"
        );
        assert!(matches!(put(&nodes[2], &key, b"b").await, Reply::Written(_)));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_leaves_hands_over_what_it_owns() {
    let nodes = cluster(&["one", "two"]).await;
    assert!(matches!(put(&nodes[0], "k", b"a").await, Reply::Written(_)));
    assert!(nodes[0].leave(PATIENCE).await, "it leaves in order");
    see(&nodes[1], &["two"]).await;
    assert_eq!(get(&nodes[1], "k").await.as_deref(), Some(&b"a"[..]));
    assert_eq!(nodes[0].state().borrow().standing, Standing::Left);
    assert_eq!(put(&nodes[0], "k", b"b").await, Reply::Unavailable);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_restarted_node_is_the_same_one_in_another_life() {
    let home = tempfile::tempdir().expect("a directory");
    let with_home = || NodeSettings { data_dir: Some(home.path().into()), ..settings("one") };
    let first = Node::start(with_home()).await.expect("it starts");
    let other = start("two").await;
    other.found(first.address());
    see(&first, &["one", "two"]).await;
    let (me, persists) = (first.me(), first.stats().persists);
    assert!(persists >= 2, "a promise and a view: {persists}");
    first.stop().await;
    see(&other, &["two"]).await;
    let again = Node::start(with_home()).await.expect("its directory is free");
    assert_eq!(again.me().node, me.node);
    assert!(again.me().incarnation > me.incarnation);
    // It knows the other one's address from the view on its disk.
    see(&again, &["one", "two"]).await;
    assert!(matches!(put(&again, "k", b"a").await, Reply::Written(_)));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_callers_write_wherever_the_primary_is() {
    let nodes = cluster(&["one", "two"]).await;
    let callers = (0..16).map(|caller| {
        let node = nodes[caller % 2].clone();
        tokio::spawn(async move {
            for number in 0..300 {
                let written = put(&node, &format!("{caller}-{}", number % 8), &[7; 1024]).await;
                assert!(matches!(written, Reply::Written(_)), "{written:?}");
            }
        })
    });
    for caller in callers.collect::<Vec<_>>() {
        caller.await.expect("it wrote");
    }
    for node in &nodes {
        assert_eq!(node.stats().calls.dropped, 0);
    }
}
