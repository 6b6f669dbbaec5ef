//! The engine that the members are themselves: no server, one port each. Views, rows and leases are
//! the grid's, see docs/protocol.md; commands and messages are frames between members.
//!
//! | file | idea |
//! |---|---|
//! | `seen` | the node's views as the seam's |
//! | `calls`, `frame` | commands to members: the shell, and their bytes |
//! | `news` | messages to listeners |
//! | `queue` | messages that are delivered at least once: the shell around [`muster_grid::queue`] |
//! | `holding` | leases that renew themselves |
//! | `shared`, `rows` | maps whose entries members share, over whoever has a grid |
//! | `stale` | maps of each member's own, whose changes drop the others' copies |
//! | `kept` | what was on a shelf before a restart is given back |
//! | `spaces` | the names of maps as numbers |

mod calls;
mod frame;
mod holding;
mod kept;
mod news;
mod queue;
mod rows;
mod seen;
mod shared;
mod spaces;
mod stale;

use std::collections::HashMap;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use async_trait::async_trait;
use muster_cluster::{NodeId, Placement as _, Refusal, Row};
use muster_grid::Rendezvous;
use parking_lot::Mutex;
use tokio::runtime::Handle;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::local;
use super::map::{Map, MapSpec, Mode, Shelf};
use super::queue::{Journal, Queue, QueueSpec};
use super::{Dispatch, Engine, EngineError, Group, Guarantees, Leases, Sites, Topics};
use crate::node::{Node, Standing};
pub(crate) use rows::Rows;
pub(crate) use shared::SharedMap;

/// How long leaving may take before it ends anyway.
const LEAVING: Duration = Duration::from_secs(10);

/// The engine that the members are themselves.
pub struct Embedded {
    node: Node,
    owners: u8,
    group: Arc<seen::Seen>,
    calls: Arc<calls::Calls>,
    topics: Arc<news::News>,
    leases: Arc<holding::Holding>,
    stale: Arc<stale::Stale>,
    maps: Mutex<HashMap<String, Arc<dyn Map>>>,
    /// What members have kept, for those whose maps keep something.
    kept: OnceLock<Arc<dyn Map>>,
    spaces: Arc<Mutex<spaces::Spaces>>,
    queues: Arc<queue::Post>,
    /// What this member holds is given up: it is about to leave.
    leaving: CancellationToken,
    closed: CancellationToken,
    runtime: Handle,
}

// === impl Embedded ===

impl Embedded {
    /// An engine over a node that runs. It must be made within a tokio runtime.
    pub(crate) fn new(node: Node, owners: u8) -> Self {
        let (leaving, closed) = (CancellationToken::new(), CancellationToken::new());
        let group = seen::Seen::start(&node, closed.clone());
        let calls = calls::Calls::start(&node, closed.clone());
        let spaces = Arc::new(Mutex::new(spaces::Spaces::default()));
        Self {
            queues: queue::Post::start(&node, spaces.clone(), closed.clone()),
            spaces,
            topics: news::News::start(&node, closed.clone()),
            leases: Arc::new(holding::Holding::new(node.clone(), leaving.clone())),
            stale: stale::Stale::start(calls.clone()),
            group,
            calls,
            maps: Mutex::default(),
            kept: OnceLock::new(),
            leaving,
            closed,
            runtime: Handle::current(),
            owners,
            node,
        }
    }

    /// Returns when this member is in a view.
    ///
    /// # Errors
    /// Why it cannot come in, in a sentence.
    pub(crate) async fn joined(&self) -> Result<(), String> {
        let mut state = self.node.state();
        let over = |state: &crate::node::NodeState| match state.standing {
            Standing::Out => false,
            // The view is told first, and in the same breath that its voters are in sight.
            Standing::In => state.is_quorate,
            Standing::Refused(_) | Standing::Failed(_) | Standing::Left => true,
        };
        let Ok(state) = state.wait_for(over).await else { return Err("it was stopped".to_owned()) };
        match &state.standing {
            Standing::Out | Standing::In => Ok(()),
            Standing::Refused(why) => Err(Refusal::to_string(why)),
            Standing::Failed(why) => Err(why.clone()),
            Standing::Left => Err("it has left".to_owned()),
        }
    }

    /// Is cancelled when this member begins to leave, whoever wished for it.
    pub(crate) fn leaving(&self) -> CancellationToken {
        self.leaving.clone()
    }

    fn open(&self) -> Result<(), EngineError> {
        if self.closed.is_cancelled() { Err(EngineError::Closed) } else { Ok(()) }
    }

    fn create(&self, spec: MapSpec) -> Result<Arc<dyn Map>, EngineError> {
        let (group, closed) = (self.group.clone(), self.closed.clone());
        let own = |spec| local::own(spec, group, closed, &self.runtime);
        Ok(match spec.mode {
            Mode::Local => own(spec).map(),
            Mode::Invalidated => stale::StaleMap::start(own(spec), self.stale.clone()),
            Mode::Distributed | Mode::Replicated => {
                let shelf = spec.memory.as_ref().map(|memory| memory.shelf.clone());
                match shelf.filter(|shelf| shelf.keeps()) {
                    Some(shelf) => self.keeping(spec, shelf)?,
                    None => self.share(spec, watch::channel(true).1)?,
                }
            }
        })
    }

    fn share(
        &self,
        spec: MapSpec,
        restored: watch::Receiver<bool>,
    ) -> Result<Arc<SharedMap<Node>>, EngineError> {
        let cache = self.spaces.lock().take(&spec.name)?;
        let (node, closed) = (self.node.clone(), self.closed.clone());
        Ok(SharedMap::start(spec, node, cache, self.group.clone(), restored, closed))
    }

    /// Where members tell each other what they have kept.
    ///
    /// # Errors
    /// When this member keeps nothing of its own.
    fn told(&self, field: &'static str, name: &str) -> Result<Arc<dyn Map>, EngineError> {
        if !self.node.is_on_disk() {
            let why = "a shelf that keeps what is on it needs the cluster's data directory, so \
                       that no epoch and no token is given twice";
            return Err(EngineError::bad(field, name, why));
        }
        Ok(match self.kept.get() {
            Some(told) => told.clone(),
            None => {
                let spec = MapSpec::new(kept::MAP, Mode::Replicated);
                let told = self.share(spec, watch::channel(true).1)?;
                self.kept.get_or_init(|| told).clone()
            }
        })
    }

    /// A map whose shelf keeps what is on it: what an earlier process left there is given back.
    fn keeping(&self, spec: MapSpec, shelf: Arc<dyn Shelf>) -> Result<Arc<dyn Map>, EngineError> {
        let told = self.told("memory", &spec.name)?;
        let (sender, restored) = watch::channel(false);
        let name = spec.name.clone();
        let map: Arc<SharedMap<Node>> = self.share(spec, restored)?;
        let (node, space) = (self.node.clone(), map.space());
        let map: Arc<dyn Map> = map;
        let taker = kept::Taker::Map(Arc::downgrade(&map));
        let giving = kept::Giving { node, space, shelf, taker, name, told };
        self.runtime.spawn(giving.run(sender));
        Ok(map)
    }

    /// A queue that this member writes down: what an earlier process left is given back.
    fn journaled(&self, spec: QueueSpec, journal: Journal) -> Result<Arc<dyn Queue>, EngineError> {
        let told = self.told("journal", &spec.name)?;
        let name = spaces::queue_name(&spec.name);
        let (queue, line) = self.queues.open(spec)?;
        let Some(line) = line else { return Ok(queue) };
        let (sender, mut restored) = watch::channel(false);
        let (node, space, line) = (self.node.clone(), line.space, Arc::downgrade(&line));
        let taker = kept::Taker::Queue(line.clone());
        let giving = kept::Giving { node, space, shelf: journal.0, taker, name, told };
        self.runtime.spawn(giving.run(sender));
        self.runtime.spawn(async move {
            // It fails when this member ends first.
            if restored.wait_for(|is_done| *is_done).await.is_ok()
                && let Some(line) = line.upgrade()
            {
                line.restored();
            }
        });
        Ok(queue)
    }
}

#[async_trait]
impl Engine for Embedded {
    fn name(&self) -> &'static str {
        "embedded"
    }

    fn guarantees(&self) -> Guarantees {
        let quorum = self.node.state().borrow().view.as_ref().and_then(|v| v.electorate.quorum);
        let survives = self.owners.saturating_sub(1);
        Guarantees { survives, is_quorate: quorum.is_some(), needs_server: false }
    }

    fn is_balanced(&self) -> bool {
        let state = self.node.state();
        let Some(view) = state.borrow().view.clone() else { return false };
        let members: Vec<_> = view.members.iter().filter(|member| !member.leaving).collect();
        let places = Rendezvous.place(&view.tables, view.segments, &members);
        let is_there = |(row, place): (&Row, &Vec<NodeId>)| row.owners == *place;
        view.is_settled() && view.rows.iter().zip(&places).all(is_there)
    }

    fn group(&self) -> Arc<dyn Group> {
        self.group.clone()
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
        let name = spec.name.clone();
        let map = self.create(spec)?;
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
        match spec.journal.clone() {
            Some(journal) => self.journaled(spec, journal),
            None => self.queues.open(spec).map(|(queue, _)| queue),
        }
    }

    fn queues(&self) -> Vec<Arc<dyn Queue>> {
        self.queues.all()
    }

    fn sites(&self) -> Option<Arc<dyn Sites>> {
        None
    }

    async fn shutdown(&self) {
        // What is held by leases stops first: it may still need what is kept here.
        self.leaving.cancel();
        self.leases.given_back().await;
        if !self.closed.is_cancelled() && !self.node.leave(LEAVING).await {
            tracing::warn!("this member did not leave in order: what it kept is at its backups");
        }
        self.closed.cancel();
        self.calls.close();
        self.topics.close();
        self.queues.close();
    }
}

impl Drop for Embedded {
    fn drop(&mut self) {
        self.leaving.cancel();
        self.closed.cancel();
    }
}

impl std::fmt::Debug for Embedded {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Embedded").field("member", &self.group.local()).finish_non_exhaustive()
    }
}
