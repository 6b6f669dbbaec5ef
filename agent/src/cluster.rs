//! The cluster: members that find each other, agree on who is there, do each other's commands, and
//! share caches.
//!
//! ```
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! use muster_agent::{Cluster, Mode};
//! let cluster = Cluster::builder("node1").local(); // or .join().await?
//! let counters = cluster.cache::<String, u64>("counters").mode(Mode::Distributed).create()?;
//! counters.update(&"visits".to_owned(), |old| Some(old.unwrap_or(0) + 1)).await?;
//! # assert_eq!(counters.get(&"visits".to_owned()).await?, Some(1));
//! # Ok(()) }
//! ```
//!
//! The user's guide is docs/cluster.md: what each cache mode promises stands there.
//!
//! | file | idea |
//! |---|---|
//! | `builder` | settings, and the way in |
//! | `group` | who is there, and listeners |
//! | `dispatcher` | typed commands |
//! | `deployments` | the applications of this process, and what they count |
//! | `metrics` | a member in numbers |
//! | `registry`, `offers` | which members offer a service |
//! | `codec` | values as bytes |

mod builder;
pub(crate) mod codec;
mod deployments;
mod dispatcher;
mod group;
pub(crate) mod metrics;
mod offers;
mod registry;

use std::collections::{BTreeMap, HashMap, HashSet};
use std::fmt;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::{Arc, Weak};
use std::time::Duration;

use parking_lot::Mutex;
use thiserror::Error;
use tokio_util::sync::CancellationToken;

use crate::cache::{CacheBuilder, CacheCore, Key, Value};
use crate::component::Tally;
use crate::engine::{Engine, Member, View};
use crate::events::{self, Events};
use crate::finding::Finding;
use crate::job::JobsHere;
use crate::manage::{Management, Tallies};
use crate::queue::{self, Listeners, Message, QueueBuilder, Topic, Waiting};
use crate::session::{self, Sessions};
use crate::settings::Settings;
use crate::singleton;
pub use builder::{ClusterBuilder, JoinError, PORT};
pub use codec::CodecError;
pub use dispatcher::{Command, CommandDispatcher, CommandError, Replies};
pub use group::{Group, Listening, ViewChange, ViewChanges};
pub(crate) use offers::Snapshot;
pub(crate) use registry::Snapshots;
pub use registry::{Offer, OfferError, Providers, ServiceRegistry};

/// A process's place in the cluster. Clones are the same one; when the last is dropped without
/// [`Cluster::leave`], the others see this member break off.
#[derive(Clone)]
pub struct Cluster {
    inner: Arc<Inner>,
}

/// A cluster that others may leave meanwhile.
#[derive(Clone, Debug)]
pub(crate) struct WeakCluster(Weak<Inner>);

struct Inner {
    engine: Arc<dyn Engine>,
    settings: Settings,
    events: Events,
    jobs: JobsHere,
    services: ServiceRegistry,
    singletons: Arc<singleton::Table>,
    dispatchers: Names,
    caches: Mutex<HashMap<String, Arc<CacheCore>>>,
    /// Sessions of the applications that this process serves, by name.
    sessions: Mutex<BTreeMap<String, Weak<session::Inner>>>,
    /// What is counted of the components that this process has, by the names of their kinds.
    components: Mutex<BTreeMap<String, Weak<Tally>>>,
    /// The listeners of queues that this process has, and its requests that wait for answers.
    listeners: Listeners,
    waiting: Arc<Waiting>,
    /// Looks for others until the cluster is left.
    finding: Mutex<Option<Finding>>,
    management: Mutex<Option<Management>>,
    /// How to ask what the deployments of this process count.
    tallies: Arc<Tallies>,
    /// Whether components are, where they do not say so themselves.
    is_passivation_capable: bool,
    closed: CancellationToken,
}

type Names = Arc<Mutex<HashSet<String>>>;

/// How often it is looked whether all copies are in place.
const LOOK: Duration = Duration::from_millis(50);

/// A name that nobody else of this process has, until this is dropped.
#[derive(Debug)]
pub(crate) struct NameTaken {
    names: Names,
    name: String,
}

/// Why there is no dispatcher.
#[derive(Clone, PartialEq, Eq, Debug, Error)]
pub enum DispatcherError {
    /// The name is empty or too long.
    #[error("dispatcher {0:?} has a bad name: 1 to 100 bytes are possible")]
    Name(String),
    /// This process has one of that name.
    #[error("dispatcher {0:?} is there already")]
    Taken(String),
}

// === impl Cluster ===

impl Cluster {
    /// Settings of a cluster's member of this name, which is unique in the cluster.
    pub fn builder(name: impl Into<String>) -> ClusterBuilder {
        ClusterBuilder::new(name.into())
    }

    /// A cluster over an engine that is running already. It must be called within a tokio runtime.
    #[must_use]
    pub fn over(engine: Arc<dyn Engine>) -> Self {
        Self::with(engine, None, None, None, true)
    }

    fn with(
        engine: Arc<dyn Engine>,
        finding: impl Into<Option<Finding>>,
        management: Option<Management>,
        data_dir: Option<&Path>,
        is_passivation_capable: bool,
    ) -> Self {
        let closed = CancellationToken::new();
        let services = ServiceRegistry::start(&*engine, closed.clone());
        let singletons = singleton::Table::start(&*engine, &services);
        if let Some(management) = &management {
            management.singletons(&singletons);
        }
        let events = Events::default();
        events::tell_views(&events, &engine.group(), closed.clone());
        queue::tell_dead(&events, &engine, closed.clone());
        let settings = Settings::start(&*engine, data_dir, events.clone(), closed.clone());
        let tallies = management.as_ref().map(Management::tallies).unwrap_or_default();
        singletons.follow(&settings);
        let inner = Inner {
            singletons,
            engine,
            settings,
            events,
            jobs: JobsHere::default(),
            services,
            dispatchers: Names::default(),
            caches: Mutex::default(),
            sessions: Mutex::default(),
            components: Mutex::default(),
            listeners: Listeners::default(),
            waiting: Arc::default(),
            finding: Mutex::new(finding.into()),
            management: Mutex::new(management),
            tallies,
            is_passivation_capable,
            closed,
        };
        let cluster = Self { inner: Arc::new(inner) };
        if let Some(management) = &*cluster.inner.management.lock() {
            management.answer_for(&cluster);
        }
        cluster.end_in_order();
        cluster
    }

    pub(crate) fn downgrade(&self) -> WeakCluster {
        WeakCluster(Arc::downgrade(&self.inner))
    }

    /// Who leaves by an operator's wish does it in the same order as by [`Cluster::leave`].
    fn end_in_order(&self) {
        let inner = Arc::downgrade(&self.inner);
        if let Some(management) = &*self.inner.management.lock() {
            management.before_leaving(move || {
                let cluster = inner.upgrade().map(|inner| Self { inner });
                Box::pin(async move {
                    if let Some(cluster) = cluster {
                        cluster.before_leaving().await;
                    }
                })
            });
        }
    }

    /// What comes before this member hands over what it keeps.
    async fn before_leaving(&self) {
        self.inner.singletons.close().await;
        let sessions = self.sessions();
        futures_util::future::join_all(sessions.iter().map(Sessions::stop)).await;
        self.inner.jobs.stop().await;
        self.inner.listeners.stop().await;
    }

    /// Who leaves by an operator's wish is not to be found any more either.
    fn stop_finding_when(&self, leaving: CancellationToken) {
        let inner = Arc::downgrade(&self.inner);
        tokio::spawn(async move {
            leaving.cancelled().await;
            let finding = inner.upgrade().and_then(|inner| inner.finding.lock().take());
            if let Some(finding) = finding {
                finding.stop().await;
            }
        });
    }

    /// This member. Its life changes when it was dropped by the others and came back.
    #[must_use]
    pub fn me(&self) -> Member {
        self.inner.engine.group().local()
    }

    /// The view in force.
    #[must_use]
    pub fn view(&self) -> Arc<View> {
        self.inner.engine.group().view()
    }

    /// Returns when all copies are whole and where they should be: after members came or went that
    /// takes a moment, in which one more of them must not be lost.
    pub async fn balanced(&self) {
        let mut views = self.inner.engine.group().watch();
        while !self.inner.engine.is_balanced() && !self.inner.closed.is_cancelled() {
            // A view comes when the last copy is whole; a look now and then costs nothing.
            let _ = tokio::time::timeout(LOOK, views.changed()).await;
        }
    }

    /// All members, and listeners for their coming and going.
    #[must_use]
    pub fn group(&self) -> Group {
        Group::new(self.inner.services.clone(), None)
    }

    /// Which members offer a service.
    #[must_use]
    pub fn services(&self) -> &ServiceRegistry {
        &self.inner.services
    }

    /// The members that offer a service, and this one.
    #[must_use]
    pub fn group_of(&self, service: &str) -> Group {
        Group::new(self.inner.services.clone(), Some(service.to_owned()))
    }

    /// Lets members do commands of one kind; `context` is what this one has at hand for those of
    /// others. Members that do them have a dispatcher of this name too.
    ///
    /// # Errors
    /// See [`DispatcherError`].
    pub fn dispatcher<C: Command>(
        &self,
        name: &str,
        context: C::Context,
    ) -> Result<CommandDispatcher<C>, DispatcherError> {
        if name.is_empty() || name.len() > 100 {
            return Err(DispatcherError::Name(name.to_owned()));
        }
        if !self.inner.dispatchers.lock().insert(service_of(name)) {
            return Err(DispatcherError::Taken(name.to_owned()));
        }
        let names = self.inner.dispatchers.clone();
        let taken = NameTaken { names, name: service_of(name) };
        Ok(CommandDispatcher::start(self, taken, context))
    }

    /// What is set for all members at once: policies, quorums, limits.
    #[must_use]
    pub fn settings(&self) -> &Settings {
        &self.inner.settings
    }

    /// What has happened, as this member saw it.
    #[must_use]
    pub fn events(&self) -> &Events {
        &self.inner.events
    }

    pub(crate) fn jobs_here(&self) -> &JobsHere {
        &self.inner.jobs
    }

    /// Cancelled when the cluster is left.
    pub(crate) fn closing(&self) -> &CancellationToken {
        &self.inner.closed
    }

    /// A cache by its name: what members call by one name is one cache.
    pub fn cache<K: Key, V: Value>(&self, name: &str) -> CacheBuilder<K, V> {
        CacheBuilder::new(self.clone(), name)
    }

    /// The names of the caches that this process has.
    #[must_use]
    pub fn cache_names(&self) -> Vec<String> {
        let mut names: Vec<String> = self.inner.caches.lock().keys().cloned().collect();
        names.sort();
        names
    }

    /// A queue by its name: what members call by one name is one queue.
    pub fn queue<T: Message>(&self, name: &str) -> QueueBuilder<T> {
        QueueBuilder::new(self.clone(), name)
    }

    /// A topic by its name.
    #[must_use]
    pub fn topic<T: Message>(&self, name: &str) -> Topic<T> {
        Topic::new(self.inner.engine.topics(), name)
    }

    pub(crate) fn listeners(&self) -> &Listeners {
        &self.inner.listeners
    }

    pub(crate) fn waiting(&self) -> Arc<Waiting> {
        self.inner.waiting.clone()
    }

    /// Where this member's management listens, if it has one: see [`crate::manage`].
    #[must_use]
    pub fn management(&self) -> Option<SocketAddr> {
        self.inner.management.lock().as_ref().map(Management::address)
    }

    /// This member, its caches, sessions, components and identities in numbers, as OpenMetrics text:
    /// for a back end's own `/metrics`. The management shows the same.
    #[must_use]
    pub fn metrics(&self) -> String {
        let Inner { engine, tallies, singletons, jobs, .. } = &*self.inner;
        metrics::text(&**engine, tallies, singletons.counts(), jobs.counts())
    }

    /// What is below.
    #[must_use]
    pub fn engine(&self) -> &Arc<dyn Engine> {
        &self.inner.engine
    }

    pub(crate) fn singleton_table(&self) -> &Arc<singleton::Table> {
        &self.inner.singletons
    }

    /// Leaves in order: singletons that run here have stopped, each within its bounds; sessions whose answers have left are written ([`Sessions::stop`]), and what
    /// this member keeps is handed to the others first. Afterwards every call
    /// of every clone answers that the cluster was left.
    pub async fn leave(&self) {
        let finding = self.inner.finding.lock().take();
        if let Some(finding) = finding {
            finding.stop().await;
        }
        self.before_leaving().await;
        self.inner.engine.shutdown().await;
        self.inner.closed.cancel();
        let management = self.inner.management.lock().take();
        if let Some(management) = management {
            management.stop().await;
        }
    }

    /// Whether stateful components are kept by other members too, where they do not say so
    /// themselves.
    #[must_use]
    pub fn is_passivation_capable(&self) -> bool {
        self.inner.is_passivation_capable
    }

    pub(crate) fn caches(&self) -> &Mutex<HashMap<String, Arc<CacheCore>>> {
        &self.inner.caches
    }
}

impl fmt::Debug for Cluster {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cluster")
            .field("engine", &self.inner.engine.name())
            .field("me", &self.me())
            .finish_non_exhaustive()
    }
}

// === impl WeakCluster ===

impl WeakCluster {
    /// The cluster; none when this process has left it.
    pub(crate) fn upgrade(&self) -> Option<Cluster> {
        self.0.upgrade().map(|inner| Cluster { inner })
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.closed.cancel();
    }
}

/// What the engine calls a dispatcher, so that it is none of the cluster's own services.
fn service_of(dispatcher: &str) -> String {
    format!("command:{dispatcher}")
}

// === impl NameTaken ===

impl NameTaken {
    fn as_str(&self) -> &str {
        &self.name
    }
}

impl Drop for NameTaken {
    fn drop(&mut self) {
        self.names.lock().remove(&self.name);
    }
}
