//! Processes that are not let in, and strangers that talk to the port.

use std::fs;

use muster_cluster::NodeId;
use muster_grid::Reply;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::{PATIENCE, cluster, put, see, settings, start, until};
use crate::channel::hello::{self, Greeting, Lane, PREFACE};
use crate::node::{Node, NodeSettings, NodeState, Standing};

fn refusal(state: &NodeState) -> Option<String> {
    match &state.standing {
        Standing::Refused(why) => Some(why.to_string()),
        _ => None,
    }
}

pub(super) async fn until_refusals(node: &Node, count: u64) {
    let all = async {
        while node.stats().refused < count {
            tokio::task::yield_now().await;
        }
    };
    assert!(timeout(PATIENCE, all).await.is_ok(), "{} refusals", node.stats().refused);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_of_another_cluster_is_not_linked_and_that_is_told_once() {
    let one = start("one").await;
    let other = NodeSettings { cluster: "other".into(), ..settings("two") };
    let other = Node::start(other).await.expect("it starts");
    other.found(one.address());
    until_refusals(&one, 3).await;
    let told = one.shared.told.reasons();
    assert_eq!(told, ["the other side is of cluster \"other\", this one is \"muster\""]);
    see(&one, &["one"]).await;
    see(&other, &["two"]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_second_node_of_one_name_is_refused_in_a_sentence() {
    let nodes = cluster(&["one", "two"]).await;
    let second = start("two").await;
    second.found(nodes[0].address());
    until(&second, "a refusal", |state| refusal(state).is_some()).await;
    let why = refusal(&second.state().borrow()).expect("a refusal");
    let expected =
        format!("the name \"two\" belongs to {}, which is in the cluster", nodes[1].me());
    assert_eq!(why, expected);
    see(&nodes[0], &["one", "two"]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_copied_data_directory_is_refused_in_a_sentence() {
    let (home, copy) = (tempfile::tempdir().expect("one"), tempfile::tempdir().expect("two"));
    let at = |path: &tempfile::TempDir| NodeSettings {
        data_dir: Some(path.path().into()),
        ..settings("one")
    };
    Node::start(at(&home)).await.expect("it starts").stop().await;
    for file in ["node", "member"] {
        fs::copy(home.path().join(file), copy.path().join(file)).expect("it is there");
    }
    let one = Node::start(at(&home)).await.expect("it starts");
    see(&one, &["one"]).await;
    let two = start("two").await;
    two.found(one.address());
    see(&one, &["one", "two"]).await;
    let copied = Node::start(at(&copy)).await.expect("it starts");
    assert_eq!(copied.me().node, one.me().node);
    copied.found(two.address());
    until(&copied, "a refusal", |state| refusal(state).is_some()).await;
    let why = refusal(&copied.state().borrow()).expect("a refusal");
    let expected = format!(
        "the id {} belongs to a process that is in the cluster: was its data directory copied?",
        one.me().node
    );
    assert_eq!(why, expected);
    see(&two, &["one", "two"]).await;
    assert!(matches!(put(&one, "k", b"a").await, Reply::Written(_)));
}

/// The node of a stranger.
const STRANGER: u128 = 77;

/// A stranger that says the first words as a node of these versions would, and what it is answered.
async fn greeted(node: &Node, versions: (u16, u16)) -> (TcpStream, Greeting) {
    let mut stream = TcpStream::connect(node.local_addr()).await.expect("it listens");
    let mut words = node.shared.hello(Lane::Calls);
    (words.node, words.boot, words.name) = (STRANGER, 78, "stranger".into());
    words.address = "127.0.0.1:1".into();
    let mut words = hello::write(&Greeting::Hello(words));
    words[8..10].copy_from_slice(&versions.0.to_le_bytes());
    words[10..12].copy_from_slice(&versions.1.to_le_bytes());
    stream.write_all(&words).await.expect("it reads");
    let mut answer = [0; PREFACE];
    stream.read_exact(&mut answer).await.expect("it answers");
    let (_, len) = hello::preface(&answer).expect("its first words");
    let mut body = vec![0; len];
    stream.read_exact(&mut body).await.expect("its first words");
    (stream, hello::read(&body).expect("its first words"))
}

/// A stranger that is let in, and then says whatever it likes.
async fn stranger(node: &Node, then: &[u8]) -> TcpStream {
    let (mut stream, answer) = greeted(node, hello::VERSIONS).await;
    assert!(matches!(answer, Greeting::Hello(_)), "{answer:?}");
    stream.write_all(then).await.expect("it reads");
    stream
}

async fn is_closed(mut stream: TcpStream) -> bool {
    let mut rest = Vec::new();
    timeout(PATIENCE, stream.read_to_end(&mut rest)).await.is_ok()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_oversize_frame_closes_its_connection_and_nothing_else() {
    let nodes = cluster(&["one", "two"]).await;
    assert!(is_closed(stranger(&nodes[0], &[255; 64]).await).await);
    see(&nodes[0], &["one", "two"]).await;
    assert!(nodes[0].stats().links >= 1);
    assert!(matches!(put(&nodes[0], "k", b"a").await, Reply::Written(_)));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn frames_that_cannot_be_read_are_passed_over_and_counted() {
    let nodes = cluster(&["one", "two"]).await;
    let mut garbage = Vec::new();
    for (service, payload) in [(0, &b"garbage"[..]), (1, b"garbage"), (9, b"garbage"), (0, b"")] {
        let write = |buffer: &mut Vec<u8>| buffer.extend_from_slice(payload);
        crate::channel::frame::append(&mut garbage, service, 1, 100, write).expect("small");
    }
    let stranger = stranger(&nodes[0], &garbage).await;
    let counted = async {
        while nodes[0].stats().malformed < 2 {
            tokio::task::yield_now().await;
        }
    };
    assert!(timeout(PATIENCE, counted).await.is_ok());
    assert!(matches!(put(&nodes[0], "k", b"a").await, Reply::Written(_)));
    drop(stranger);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_speaks_another_protocol_is_shown_out() {
    let one = start("one").await;
    let mut stream = TcpStream::connect(one.local_addr()).await.expect("it listens");
    stream.write_all(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").await.expect("it reads");
    assert!(is_closed(stream).await);
    until_refusals(&one, 1).await;
    let told = one.shared.told.reasons();
    assert_eq!(told, ["the other side does not speak the cluster's protocol"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_release_without_a_common_version_is_refused_and_both_sides_are_named() {
    let one = start("one").await;
    let (latest, next) = (hello::VERSIONS.1, hello::VERSIONS.1 + 1);
    let (_stream, answer) = greeted(&one, (next, next + 1)).await;
    let Greeting::Refused(why) = answer else { panic!("it is let in") };
    let sentence = format!(
        "the other side speaks versions {next} to {} of the cluster's wire, this one {} to {latest}",
        next + 1,
        hello::VERSIONS.0
    );
    assert_eq!(why.to_string(), sentence);
    until_refusals(&one, 1).await;
    assert_eq!(one.shared.told.reasons(), [sentence]);
    see(&one, &["one"]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_later_release_is_written_to_in_the_latest_version_that_both_know() {
    let one = start("one").await;
    let (_stream, answer) = greeted(&one, (hello::VERSIONS.0, hello::VERSIONS.1 + 8)).await;
    assert!(matches!(answer, Greeting::Hello(_)), "{answer:?}");
    let written = async {
        loop {
            let told = std::cell::Cell::new(None);
            let write = |version: u8, _: &mut Vec<u8>| told.set(Some(version));
            let sent = one.shared.links.send(NodeId(STRANGER), Lane::Calls, 9, 0, write);
            match told.get() {
                Some(version) => break (sent.is_ok(), version),
                None => tokio::task::yield_now().await,
            }
        }
    };
    let written = timeout(PATIENCE, written).await.expect("it is linked");
    assert_eq!(written, (true, muster_grid::wire::VERSION));
}
