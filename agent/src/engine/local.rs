//! The engine of one process: every trait, no network, nothing on disk. For development, for tests
//! of what stands above the seam, and for a process that is not clustered. Its time is tokio's, so
//! that a test may pause it.
//!
//! | file | idea |
//! |---|---|
//! | `alone` | a group of one |
//! | `calls` | commands done by this process |
//! | `listeners` | messages to whoever listens in this process |
//! | `holders` | leases among the tasks of this process |
//! | `map`, `shard` | entries in memory: the shell, and what it guards |
//! | `own`, `lone` | maps of one process: all in memory, or over a grid without others where that is bounded |
//! | `queue`, `backlog` | messages in memory: the shell, and what it guards |
//! | `claim` | an answer that is given back when nobody waits for it any more |

mod alone;
mod backlog;
mod calls;
mod claim;
mod holders;
mod listeners;
mod lone;
mod map;
mod own;
mod queue;
mod shard;

use std::collections::HashMap;
use std::sync::Arc;

use async_trait::async_trait;
use parking_lot::Mutex;
use tokio::runtime::Handle;
use tokio_util::sync::CancellationToken;

use super::map::{Map, MapSpec};
use super::queue::{Queue, QueueSpec};
use super::{Dispatch, Engine, EngineError, Group, Guarantees, Leases, Sites, Topics};
pub(crate) use calls::Services;
pub(crate) use holders::{Holders, Seat};
pub(crate) use listeners::Listeners;
pub(crate) use own::{Own, WeakOwn, own};

/// The engine of one process.
pub struct Local {
    alone: Arc<alone::Alone>,
    calls: Arc<calls::LocalCalls>,
    topics: Arc<listeners::LocalTopics>,
    leases: Arc<holders::LocalLeases>,
    maps: Mutex<HashMap<String, Arc<dyn Map>>>,
    queues: Mutex<HashMap<String, Arc<queue::LocalQueue>>>,
    closed: CancellationToken,
    runtime: Handle,
}

// === impl Local ===

impl Local {
    /// An engine whose one member has this name. It must be made within a tokio runtime, on which
    /// its timers run until it is shut down or dropped.
    #[must_use]
    pub fn new(name: &str) -> Self {
        let closed = CancellationToken::new();
        let alone = Arc::new(alone::Alone::new(name));
        let me = alone.local().id;
        Self {
            calls: Arc::new(calls::LocalCalls::new(me, closed.clone())),
            topics: Arc::new(listeners::LocalTopics::new(me, closed.clone())),
            leases: Arc::new(holders::LocalLeases::new(me, closed.clone())),
            alone,
            maps: Mutex::default(),
            queues: Mutex::default(),
            closed,
            runtime: Handle::current(),
        }
    }

    fn open(&self) -> Result<(), EngineError> {
        if self.closed.is_cancelled() { Err(EngineError::Closed) } else { Ok(()) }
    }
}

#[async_trait]
impl Engine for Local {
    fn name(&self) -> &'static str {
        "local"
    }

    fn guarantees(&self) -> Guarantees {
        Guarantees { survives: 0, is_quorate: true, needs_server: false }
    }

    fn group(&self) -> Arc<dyn Group> {
        self.alone.clone()
    }

    fn dispatch(&self) -> Arc<dyn Dispatch> {
        self.calls.clone()
    }

    fn topics(&self) -> Arc<dyn Topics> {
        self.topics.clone()
    }

    fn leases(&self) -> Arc<dyn Leases> {
        self.leases.clone()
    }

    fn map(&self, spec: MapSpec) -> Result<Arc<dyn Map>, EngineError> {
        self.open()?;
        spec.check()?;
        let mut maps = self.maps.lock();
        if let Some(map) = spec.found(&maps)? {
            return Ok(map);
        }
        let (name, alone) = (spec.name.clone(), self.alone.clone());
        let map = own(spec, alone, self.closed.clone(), &self.runtime).map();
        maps.insert(name, map.clone());
        Ok(map)
    }

    fn maps(&self) -> Vec<Arc<dyn Map>> {
        let mut maps: Vec<Arc<dyn Map>> = self.maps.lock().values().cloned().collect();
        maps.sort_by(|one, other| one.spec().name.cmp(&other.spec().name));
        maps
    }

    fn queue(&self, spec: QueueSpec) -> Result<Arc<dyn Queue>, EngineError> {
        self.open()?;
        spec.check()?;
        let mut queues = self.queues.lock();
        if let Some(queue) = queues.get(&spec.name) {
            spec.same_as(queue.spec())?;
            return Ok(queue.clone());
        }
        if spec.journal.is_some() {
            let (engine, what) = (
                "local",
                "journal of a queue: a process without a cluster keeps \
                queues in memory; a member that is alone in its cluster writes one",
            );
            return Err(EngineError::Unsupported { engine, what });
        }
        let name = spec.name.clone();
        let queue = queue::LocalQueue::start(
            spec,
            self.alone.local().id,
            self.closed.clone(),
            &self.runtime,
        );
        queues.insert(name, queue.clone());
        Ok(queue)
    }

    fn queues(&self) -> Vec<Arc<dyn Queue>> {
        let queues = self.queues.lock().clone();
        let mut queues: Vec<Arc<dyn Queue>> =
            queues.into_values().map(|queue| queue as _).collect();
        queues.sort_by(|one, other| one.spec().name.cmp(&other.spec().name));
        queues
    }

    fn sites(&self) -> Option<Arc<dyn Sites>> {
        None
    }

    async fn shutdown(&self) {
        self.closed.cancel();
        self.topics.close();
    }
}

impl Drop for Local {
    fn drop(&mut self) {
        self.closed.cancel();
    }
}

impl std::fmt::Debug for Local {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Local").field("member", &self.alone.local()).finish()
    }
}
