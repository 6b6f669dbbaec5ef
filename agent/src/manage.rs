//! The management of a member: what operators, the balancer's page and `muster cluster` ask, over
//! HTTP on a port of its own. Any member answers for the whole cluster: it asks the others through
//! the dispatcher, and says who did not answer. The answers' types are in
//! [`muster_protocol::cluster::report`].
//!
//! It listens on loopback, where whoever is on this machine may ask; beyond that only with the
//! cluster's secret or mutual TLS. Where there is a secret every request must be signed with it, as
//! messages of nodes are (purpose `manage`), and every answer is signed too: the secret is never
//! sent, and no request can be sent again. With mutual TLS whoever asks shows a certificate of the
//! cluster's own authority.
//!
//! | file | idea |
//! |---|---|
//! | `inside` | what only the engine of the members themselves knows |
//! | `told` | what one member says of itself when another one asks |
//! | `gather` | from what all said to one report |
//! | `lives` | what deployments count beside their maps |
//! | `warn` | what is wrong, in words |
//! | `settings`, `events`, `jobs` | the cluster's settings, what has happened, and jobs |
//! | `queues` | queues and their dead letters |
//! | `history` | the last changes of the view |
//! | `singletons` | from what all said of their singletons to one report; moves |
//! | `act` | what operators may want |
//! | `routes`, `lock`, `tls`, `server` | HTTP: what is asked, who may, within which bounds |

mod act;
mod events;
mod gather;
mod history;
mod inside;
mod jobs;
mod lives;
mod lock;
mod queues;
mod routes;
mod server;
mod settings;
mod singletons;
mod tls;
mod told;
mod warn;

use std::fmt;
use std::net::SocketAddr;
use std::sync::{Arc, OnceLock, Weak};
use std::time::{Duration, Instant};

use futures_util::future::BoxFuture;
use muster_protocol::signature::Secrets;
use thiserror::Error;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::cluster::{Cluster, WeakCluster};
use crate::engine::{Engine, View};
use crate::finding::Unusable;
use crate::singleton::Table;
pub use inside::Inside;
pub(crate) use lives::{Counted, Tallies};
pub use tls::{BadTls, Tls};

/// The port, where nothing else is said.
pub const PORT: u16 = 7790;

/// What the management is told.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The cluster's name.
    pub cluster: String,
    /// Where it listens; port 0 takes a free one.
    pub bind: SocketAddr,
    /// What requests must be signed with; the first one signs. Mandatory beyond loopback, where
    /// there is no `tls`.
    pub secrets: Option<Secrets>,
    /// Mutual TLS: whoever asks shows a certificate of the cluster's authority.
    pub tls: Option<Tls>,
    /// How long a member may take to answer another one, 10 ms to 1 min. Default: 1 s.
    pub deadline: Duration,
    /// How long a verb may take, and how long a member that shall leave waits for its
    /// singletons and the sessions whose answers have left, 10 ms to 5 min. Default: 10 s.
    pub patience: Duration,
    /// How far clocks may differ, 1 s to 1 h; with a secret. Default: 30 s.
    pub skew: Duration,
    /// Most connections at once, 1 to 10,000. Default: 64.
    pub most_connections: usize,
}

impl Settings {
    /// The defaults for a cluster: loopback, no secret.
    #[must_use]
    pub fn new(cluster: &str) -> Settings {
        Settings {
            cluster: cluster.to_owned(),
            bind: SocketAddr::from(([127, 0, 0, 1], PORT)),
            secrets: None,
            tls: None,
            deadline: Duration::from_secs(1),
            patience: Duration::from_secs(10),
            skew: Duration::from_secs(30),
            most_connections: 64,
        }
    }

    fn check(&self) -> Result<(), StartError> {
        let is_locked = self.secrets.is_some() || self.tls.is_some();
        if !self.bind.ip().is_loopback() && !is_locked {
            return Err(StartError::Unprotected(self.bind));
        }
        let ms = Duration::from_millis;
        let times = [
            ("the management's deadline", self.deadline, ms(10), ms(60_000)),
            ("the management's patience", self.patience, ms(10), ms(300_000)),
            ("the management's clock skew", self.skew, ms(1_000), ms(3_600_000)),
        ];
        for (field, value, least, most) in times {
            if !(least..=most).contains(&value) {
                return Err(Unusable::Time { field, value, least, most }.into());
            }
        }
        match self.most_connections {
            1..=10_000 => Ok(()),
            value => {
                let field = "the management's connections";
                Err(Unusable::Number { field, value: value as u64, least: 1, most: 10_000 }.into())
            }
        }
    }
}

/// Why the management does not start.
#[derive(Debug, Error)]
pub enum StartError {
    /// Others would reach it, and nobody would have to prove anything.
    #[error(
        "the management's address {0} is no loopback address: set a cluster secret or mutual TLS, \
         or bind it to 127.0.0.1"
    )]
    Unprotected(SocketAddr),
    /// A setting that cannot be used.
    #[error(transparent)]
    Setting(#[from] Unusable),
    /// It cannot be listened on.
    #[error("the management cannot listen on {address}: {error}")]
    Bind {
        /// The address.
        address: SocketAddr,
        /// Why.
        #[source]
        error: std::io::Error,
    },
}

/// The management of a member, while it runs. It ends when it is dropped.
pub struct Management {
    address: SocketAddr,
    scheme: &'static str,
    tallies: Arc<Tallies>,
    singletons: Arc<OnceLock<Weak<Table>>>,
    cluster: Arc<OnceLock<WeakCluster>>,
    before_leaving: Arc<OnceLock<BeforeLeaving>>,
    stop: CancellationToken,
    tasks: TaskTracker,
}

/// What a member does before it leaves by an operator's wish.
type BeforeLeaving = Box<dyn Fn() -> BoxFuture<'static, ()> + Send + Sync>;

/// What all parts of it stand on.
struct Ground {
    settings: Settings,
    engine: Arc<dyn Engine>,
    /// None for an engine that is not kept by the members themselves.
    inside: Option<Arc<dyn Inside>>,
    tallies: Arc<Tallies>,
    /// None until the process has a place in the cluster.
    singletons: Arc<OnceLock<Weak<Table>>>,
    /// What stands on the engine; not there yet while the member joins.
    cluster: Arc<OnceLock<WeakCluster>>,
    before_leaving: Arc<OnceLock<BeforeLeaving>>,
    history: parking_lot::Mutex<history::History>,
    started: Instant,
    /// What was gathered last, so that many who ask at once ask the others once.
    gathered: tokio::sync::Mutex<Option<(Instant, Arc<gather::Gathered>)>>,
    tasks: TaskTracker,
}

/// Starts to answer, for the member of this engine.
///
/// # Errors
/// A [`StartError`]; nothing listens then.
pub async fn start(
    settings: Settings,
    engine: Arc<dyn Engine>,
    inside: Option<Arc<dyn Inside>>,
) -> Result<Management, StartError> {
    settings.check()?;
    let bind = |error| StartError::Bind { address: settings.bind, error };
    let listener = TcpListener::bind(settings.bind).await.map_err(bind)?;
    let address = listener.local_addr().map_err(bind)?;
    let scheme = if settings.tls.is_some() { "https" } else { "http" };
    let (stop, tasks) = (CancellationToken::new(), TaskTracker::new());
    let (tallies, before_leaving) = (Arc::new(Tallies::default()), Arc::default());
    let (singletons, cluster) = (Arc::default(), Arc::new(OnceLock::new()));
    let ground = Arc::new(Ground {
        tallies: tallies.clone(),
        singletons: Arc::clone(&singletons),
        cluster: cluster.clone(),
        before_leaving: Arc::clone(&before_leaving),
        history: parking_lot::Mutex::default(),
        started: Instant::now(),
        gathered: tokio::sync::Mutex::default(),
        tasks: tasks.clone(),
        settings,
        engine,
        inside,
    });
    ground.engine.dispatch().register(told::SERVICE, told::Teller::new(&ground));
    tasks.spawn(history::keep(ground.clone(), stop.clone()));
    tasks.spawn(server::run(listener, ground.clone(), stop.clone()));
    tracing::info!(%address, scheme, cluster = ground.settings.cluster, "management");
    Ok(Management { address, scheme, tallies, singletons, cluster, before_leaving, stop, tasks })
}

// === impl Management ===

impl Management {
    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// How the deployments of this process are asked.
    pub(crate) fn tallies(&self) -> Arc<Tallies> {
        self.tallies.clone()
    }

    /// What this process offers is told and moved from now on.
    pub(crate) fn singletons(&self, table: &Arc<Table>) {
        let _ = self.singletons.set(Arc::downgrade(table));
    }

    /// Answers for what stands on the engine too from now on: settings, events, and more. A member
    /// that has joined by [`ClusterBuilder`](crate::ClusterBuilder) does.
    pub fn answer_for(&self, cluster: &Cluster) {
        let _ = self.cluster.set(cluster.downgrade());
    }

    /// This is done before the member leaves by an operator's wish. The first one holds.
    pub(crate) fn before_leaving(
        &self,
        act: impl Fn() -> BoxFuture<'static, ()> + Send + Sync + 'static,
    ) {
        let _ = self.before_leaving.set(Box::new(act));
    }

    /// The same as a URL, for balancers.
    #[must_use]
    pub fn url(&self) -> String {
        self.url_at(&self.address.to_string())
    }

    /// The same where others reach it as another host and port.
    pub(crate) fn url_at(&self, authority: &str) -> String {
        format!("{}://{authority}", self.scheme)
    }

    /// Ends it; returns when what was asked by then is answered, or cut after 2 s.
    pub async fn stop(self) {
        self.stop.cancel();
        self.tasks.close();
        let _ = tokio::time::timeout(Duration::from_secs(2), self.tasks.wait()).await;
    }
}

impl fmt::Debug for Management {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Management").field("address", &self.address).finish_non_exhaustive()
    }
}

// === impl Ground ===

impl Ground {
    /// What stands on the engine; none before the member has joined, and once it has left.
    fn cluster_here(&self) -> Option<Cluster> {
        self.cluster.get().and_then(WeakCluster::upgrade)
    }
}

impl Drop for Management {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

/// A view by its number and its maker's name: `e4 by one`.
fn view_name(view: &View) -> String {
    let epoch = view.id.epoch;
    match view.members.iter().find(|member| member.id.node == epoch.by.node) {
        Some(member) => format!("e{} by {}", epoch.counter, member.name),
        None => format!("e{}", epoch.counter),
    }
}
