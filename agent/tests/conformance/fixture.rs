//! Some members of one cluster, and words for what the tests do with them.

use std::sync::Arc;
use std::time::Duration;

use muster_agent::engine::map::{Batch, Map, MapSpec, Merging, Mode, Read};
use muster_agent::engine::{CallError, Engine, Local, MapError, Targets};
use muster_grid::{Expect, Op, Put, Rev};

/// Longer than anything takes on the slowest machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// The modes whose entries all members share.
pub(crate) const SHARED: [Mode; 2] = [Mode::Distributed, Mode::Replicated];

/// Some members of one cluster.
pub(crate) struct Cluster {
    pub(crate) engines: Vec<Arc<dyn Engine>>,
    pub(crate) has_queues: bool,
    /// They look for each other as long as these are there; none where nobody has to be found.
    pub(crate) nodes: Vec<muster_agent::Cluster>,
}

/// The engine of one process.
pub(crate) async fn local(members: usize) -> Cluster {
    assert_eq!(members, 1, "a process without a network has one member");
    let engines: Vec<Arc<dyn Engine>> = vec![Arc::new(Local::new("alone"))];
    Cluster { engines, has_queues: true, nodes: Vec::new() }
}

/// Members over real sockets, in one process. The first founds the cluster.
pub(crate) async fn embedded(members: usize) -> Cluster {
    let mut nodes = Vec::new();
    let mut first = None;
    for number in 0..members {
        let builder = muster_agent::Cluster::builder(format!("node{number}"))
            .port(0)
            .segments(16)
            .detection(Duration::from_secs(1));
        let builder = match &first {
            None => builder.find_nobody(),
            Some(address) => builder.members([address]),
        };
        let node = builder.join().await.unwrap();
        first.get_or_insert_with(|| node.me().address.to_string());
        nodes.push(node);
    }
    let engines: Vec<Arc<dyn Engine>> = nodes.iter().map(|node| node.engine().clone()).collect();
    for engine in &engines {
        let sees_all = || async { engine.group().view().members.len() == members };
        eventually("all are in the view", sees_all).await;
        eventually("all copies are in place", || async { engine.is_balanced() }).await;
        eventually("all are linked", || async {
            let (dispatch, wait) = (engine.dispatch(), Duration::from_secs(1));
            let answers = dispatch.cast(Targets::All, "none", Default::default(), wait).await;
            let lacks = |answer| matches!(answer, Err(CallError::NoService { .. }));
            answers.all().await.into_iter().all(|(_, answer)| lacks(answer))
        })
        .await;
    }
    Cluster { engines, has_queues: true, nodes }
}

// === impl Cluster ===

impl Cluster {
    pub(crate) fn first(&self) -> &Arc<dyn Engine> {
        &self.engines[0]
    }

    pub(crate) fn last(&self) -> &Arc<dyn Engine> {
        &self.engines[self.engines.len() - 1]
    }

    pub(crate) fn len(&self) -> usize {
        self.engines.len()
    }

    /// One map, as every member has it.
    pub(crate) fn maps(&self, spec: &MapSpec) -> Vec<Arc<dyn Map>> {
        self.engines.iter().map(|engine| engine.map(spec.clone()).unwrap()).collect()
    }

    pub(crate) async fn end(self) {
        for engine in &self.engines {
            engine.shutdown().await;
        }
    }
}

/// A map of a shared mode with a name of its own.
pub(crate) fn spec(name: &str, mode: Mode) -> MapSpec {
    MapSpec { merging: Merging::Latest, ..MapSpec::new(&format!("{name}-{mode:?}"), mode) }
}

/// How many members keep an entry.
pub(crate) fn copies(mode: Mode, members: usize) -> usize {
    match mode {
        Mode::Distributed => members.min(2),
        Mode::Replicated => members,
        Mode::Local | Mode::Invalidated => 1,
    }
}

/// Tries until it is so.
pub(crate) async fn eventually<F: Future<Output = bool>>(what: &str, mut is_so: impl FnMut() -> F) {
    let tries = async {
        while !is_so().await {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    assert!(tokio::time::timeout(PATIENCE, tries).await.is_ok(), "never so: {what}");
}

/// What comes in time.
pub(crate) async fn soon<T>(what: &str, work: impl Future<Output = T>) -> T {
    let done = tokio::time::timeout(PATIENCE, work).await;
    done.unwrap_or_else(|_| panic!("it did not come: {what}"))
}

pub(crate) fn put(key: &str, value: &str) -> Op {
    put_if(key, Expect::Any, value)
}

pub(crate) fn put_if(key: &str, expect: Expect, value: &str) -> Op {
    Op { key: key.as_bytes().into(), expect, put: Some(Put::new(value.as_bytes())) }
}

pub(crate) fn put_for(key: &str, value: &str, ttl: Option<u64>, idle: Option<u64>) -> Op {
    let (ttl, idle) = (ttl.map(Duration::from_millis), idle.map(Duration::from_millis));
    let put = Put { ttl, idle, ..Put::new(value.as_bytes()) };
    Op { key: key.as_bytes().into(), expect: Expect::Any, put: Some(put) }
}

pub(crate) fn remove(key: &str) -> Op {
    Op { key: key.as_bytes().into(), expect: Expect::Any, put: None }
}

pub(crate) async fn write(map: &Arc<dyn Map>, group: &str, op: Op) -> Result<Rev, MapError> {
    map.write(Batch::new(group.as_bytes(), vec![op])).await
}

/// The value of one key, confirmed.
pub(crate) async fn read(map: &Arc<dyn Map>, group: &str, key: &str) -> Option<String> {
    let entries = map.get(group.as_bytes(), Read::Confirmed).await.unwrap();
    entries.entries.get(key.as_bytes()).map(|(value, _)| text(value))
}

pub(crate) fn text(bytes: &muster_grid::Bytes) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
