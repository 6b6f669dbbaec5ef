//! Some members of one cluster, and words for what the tests do with them.

use std::sync::Arc;
use std::time::Duration;

use muster_agent::engine::map::{Batch, Map, MapSpec, Merging, Mode, Read};
use muster_agent::engine::{Engine, Local, MapError};
use muster_grid::{Bytes, Expect, Op, Put, Rev};

/// Longer than anything takes on the slowest machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// The modes whose entries all members share.
pub(crate) const SHARED: [Mode; 2] = [Mode::Distributed, Mode::Replicated];

/// Some members of one cluster.
pub(crate) struct Cluster {
    pub(crate) engines: Vec<Arc<dyn Engine>>,
    pub(crate) has_queues: bool,
}

/// The engine of one process.
pub(crate) async fn local(members: usize) -> Cluster {
    assert_eq!(members, 1, "a process without a network has one member");
    Cluster { engines: vec![Arc::new(Local::new("alone"))], has_queues: true }
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

pub(crate) fn text(bytes: &Bytes) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
