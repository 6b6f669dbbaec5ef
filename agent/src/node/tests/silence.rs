//! Members that do not answer although their connections stand.

use std::net::SocketAddr;
use std::sync::Arc;

use muster_grid::Reply;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::{PATIENCE, get, put, see, settings};
use crate::node::{Node, NodeSettings};

/// Passes bytes on, or holds them back without closing anything.
struct Proxy {
    address: SocketAddr,
    passes: watch::Sender<bool>,
    target: watch::Sender<Option<SocketAddr>>,
    dialled: watch::Sender<usize>,
    _tasks: JoinSet<()>,
}

impl Proxy {
    async fn start() -> Proxy {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("it listens");
        let (passes, target) = (watch::Sender::new(true), watch::Sender::new(None));
        let (dialled, mut tasks) = (watch::Sender::new(0), JoinSet::new());
        let counts = (passes.clone(), dialled.clone());
        tasks.spawn(Self::run(listener, target.subscribe(), counts));
        Proxy { address, passes, target, dialled, _tasks: tasks }
    }

    async fn run(
        listener: TcpListener,
        mut target: watch::Receiver<Option<SocketAddr>>,
        (passes, dialled): (watch::Sender<bool>, watch::Sender<usize>),
    ) {
        let mut tasks = JoinSet::new();
        while let Ok((near, _)) = listener.accept().await {
            dialled.send_modify(|dialled| *dialled += 1);
            let target = *target.wait_for(Option::is_some).await.expect("it is set");
            let Ok(far) = TcpStream::connect(target.expect("it is set")).await else { continue };
            let ((a, b), (c, d)) = (near.into_split(), far.into_split());
            tasks.spawn(pass(a, d, passes.subscribe()));
            tasks.spawn(pass(c, b, passes.subscribe()));
        }
    }
}

async fn pass(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, mut passes: watch::Receiver<bool>) {
    let mut bytes = vec![0; 64 << 10];
    while let Ok(read @ 1..) = from.read(&mut bytes).await {
        if passes.wait_for(|passes| *passes).await.is_err()
            || to.write_all(&bytes[..read]).await.is_err()
        {
            return;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_member_behind_a_silent_link_is_out_and_comes_back_as_a_new_life() {
    let proxy = Proxy::start().await;
    let advertised = Some(proxy.address.to_string());
    // The far one must not reach the others but through what they have dialled.
    let near = |name| NodeSettings { advertised: Some("127.0.0.1:1".into()), ..settings(name) };
    let one = Node::start(near("one")).await.expect("it starts");
    let two = Node::start(near("two")).await.expect("it starts");
    let far = NodeSettings { advertised, ..settings("zz") };
    let far = Arc::new(Node::start(far).await.expect("it starts"));
    proxy.target.send_replace(Some(far.local_addr()));
    one.found(&two.local_addr().to_string());
    one.found(far.address());
    two.found(far.address());
    for node in [&one, &two, &far] {
        see(node, &["one", "two", "zz"]).await;
    }
    assert!(matches!(put(&one, "k", b"a").await, Reply::Written(_)));
    let life = far.me();

    proxy.passes.send_replace(false);
    let mut dialled = proxy.dialled.subscribe();
    let before = *dialled.borrow_and_update();
    see(&one, &["one", "two"]).await;
    see(&two, &["one", "two"]).await;
    // What was written to the old links may wait in the kernel for long: they are given up.
    let anew = timeout(PATIENCE, dialled.wait_for(|dialled| *dialled > before)).await;
    assert!(anew.is_ok_and(|anew| anew.is_ok()), "nobody dials the silent one again");
    assert!(one.stats().suspicions + two.stats().suspicions >= 1);
    assert!(matches!(put(&one, "k", b"b").await, Reply::Written(_)));

    proxy.passes.send_replace(true);
    for node in [&one, &two, &far] {
        see(node, &["one", "two", "zz"]).await;
    }
    assert_eq!(far.me().node, life.node);
    assert!(far.me().incarnation > life.incarnation, "it gave up its side");
    assert_eq!(get(&far, "k").await.as_deref(), Some(&b"b"[..]), "the larger side stays");
}
