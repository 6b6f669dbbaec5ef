//! From a configuration to a balancer that runs: everything is bound before anybody is served. What
//! works beside the traffic is in `parts`.

mod parts;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use muster_routing::health::Timing;
use muster_routing::registry::snapshot::{Snapshot, SnapshotError, Trust};
use muster_routing::registry::{ApplyError, Registry};
use muster_routing::{Limits, Moment};
use muster_web_ui::page::BalancerState;
use tokio::sync::{Mutex, Semaphore, watch};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::access_log::AccessLog;
use crate::audit::Audit;
use crate::config::advertise::KeyFileError;
use crate::config::{self, Config};
use crate::door::Kind;
use crate::engine::Engines;
use crate::life::{Life, State};
use crate::listeners::{self, Inherited, Own, Public};
use crate::metrics::Metrics;
use crate::operate::Operators;
use crate::probe::Prober;
use crate::proxy::Edge;
use crate::published::Published;
use crate::reload::Again;
use crate::running::Running;
use crate::side::{Side, Tasks};
use crate::tls::{NodeTls, TlsError, TlsFront, TlsMcmp};
use crate::trace::Tracer;
use crate::worker::Worker;
use crate::world::{World, Worlds};
use crate::{health, manager, mcmp, warm, worker};

/// Nodes that are gone and whose domains are remembered.
const MAX_GONE: usize = 10_000;

pub(crate) use parts::PARTS;

/// Why a balancer does not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// An address that cannot be listened on.
    #[error("{key}: cannot listen on {address}")]
    Bind {
        /// The configuration's key.
        key: &'static str,
        /// The address.
        address: SocketAddr,
        /// Why.
        source: std::io::Error,
    },
    /// The listener of nodes is open to others and not locked.
    #[error("mcmp.listen: {0}")]
    Unlocked(String),
    /// The shared secrets cannot be used.
    #[error(transparent)]
    Secrets(mcmp::secrets::SecretsError),
    /// The listener of operators is open to others, and nobody would have to log in.
    #[error("manager.listen: {0}")]
    OpenToAll(String),
    /// Certificates that cannot be used.
    #[error(transparent)]
    Tls(TlsError),
    /// A thread that cannot be started.
    #[error("threads: cannot start a worker")]
    Worker(#[source] std::io::Error),
    /// The access log cannot be written.
    #[error("log.access: cannot open it")]
    AccessLog(#[source] std::io::Error),
    /// The audit log cannot be written.
    #[error("log.audit: cannot open it")]
    AuditLog(#[source] std::io::Error),
    /// The key of advertise cannot be read.
    #[error(transparent)]
    AdvertiseKey(KeyFileError),
    /// The thread that sends spans cannot be started.
    #[error("trace.endpoint: cannot start to send")]
    Trace(#[source] std::io::Error),
    /// The registry that was handed over cannot be read.
    #[error("the registry that was handed over")]
    Registry(#[source] SnapshotError),
    /// A static node that does not fit.
    #[error("node {route}")]
    Node {
        /// Which.
        route: String,
        /// Why.
        source: ApplyError,
    },
}

/// Starts balancers.
#[derive(Debug)]
pub struct Balancer;

impl Balancer {
    /// Binds all listeners and starts to serve, on the current runtime. Port 0 takes a free port:
    /// [`Running`] says which. Static nodes are asked once before, so this may take as long as
    /// `health.probe_timeout`. A reload finds the same configuration again.
    ///
    /// # Errors
    /// A [`StartError`]; nothing listens then.
    pub async fn start(config: Config) -> Result<Running, StartError> {
        let same = config.clone();
        Balancer::start_again(config, Arc::new(move || Ok(same.clone()))).await
    }

    /// The same, where a reload reads the configuration by `again`.
    ///
    /// # Errors
    /// A [`StartError`]; nothing listens then.
    pub async fn start_again(config: Config, again: Again) -> Result<Running, StartError> {
        let running =
            Prepared::new(config, again, Inherited::default())?.set_up(Origin::Own).await?;
        running.open().await?;
        Ok(running)
    }
}

/// Where the registry comes from.
pub(crate) enum Origin {
    /// What the last process has left on disk, if anything.
    Own,
    /// The process that this one takes over from.
    Handed {
        /// What nodes know it by.
        id: u64,
        /// The registry's document.
        document: Vec<u8>,
    },
}

/// All that a start may fail to get, before anybody is served.
pub(crate) struct Prepared {
    config: Config,
    again: Again,
    public: Vec<Public>,
    mcmp: Vec<Own>,
    manager: Vec<Own>,
    front: Option<TlsFront>,
    access: Option<Arc<AccessLog>>,
    audit: Arc<Audit>,
    node_tls: Arc<NodeTls>,
}

impl Prepared {
    /// Binds what was not `inherited`, and reads all files.
    ///
    /// # Errors
    /// A [`StartError`]; nothing is bound then.
    pub(crate) fn new(
        config: Config,
        again: Again,
        mut inherited: Inherited,
    ) -> Result<Prepared, StartError> {
        if let Some((_, missing)) = config.mcmp.unlocked() {
            return Err(StartError::Unlocked(missing));
        }
        mcmp::secrets::load(&config.mcmp).map_err(StartError::Secrets)?;
        TlsMcmp::load(&config.mcmp.tls).map_err(StartError::Tls)?;
        if let Some((_, missing)) = config.manager.unlocked() {
            return Err(StartError::OpenToAll(missing));
        }
        manager::door::load(&config.manager.tls).map_err(StartError::Tls)?;
        let threads = config.threads;
        let mut bind = |(kind, wanted)| Public::bind(kind, wanted, threads, &mut inherited);
        let public = listeners::public(&config).into_iter().map(&mut bind);
        let public = public.collect::<Result<_, _>>()?;
        let front = match config.tls.listen.is_empty() {
            true => None,
            false => Some(TlsFront::load(&config.tls).map_err(StartError::Tls)?),
        };
        let mut own = |key, wanted: &[SocketAddr]| -> Result<Vec<_>, _> {
            wanted.iter().map(|wanted| Own::bind(key, *wanted, &mut inherited)).collect()
        };
        let mcmp = own("mcmp.listen", &config.mcmp.listen)?;
        let manager = own("manager.listen", &config.manager.listen)?;
        config.advertise.key().map_err(StartError::AdvertiseKey)?;
        let access = AccessLog::open(&config.log).map_err(StartError::AccessLog)?;
        let audit = Audit::open(config.log.audit_entries, config.log.audit.file());
        let audit = Arc::new(audit.map_err(StartError::AuditLog)?);
        let node_tls = Arc::new(NodeTls::load(&config.upstream.tls).map_err(StartError::Tls)?);
        let access = access.map(Arc::new);
        Ok(Prepared { config, again, public, mcmp, manager, front, access, audit, node_tls })
    }

    /// Everything but the listeners works then.
    ///
    /// # Errors
    /// When a static node does not fit, a thread cannot be had, or the registry that was handed
    /// over not be read.
    pub(crate) async fn set_up(self, origin: Origin) -> Result<Running, StartError> {
        let Prepared { config, again, public, mcmp, manager, front, access, audit, node_tls } =
            self;
        let is_handed = matches!(origin, Origin::Handed { .. });
        let published = Arc::new(published(&config, node_tls.clone(), origin)?);
        published.audited_by(audit.clone());
        let operators = Arc::new(Operators::of(&config, published.clone(), audit));
        let probes = match is_handed {
            // Nodes stand as they stood. Only where they are has to be looked up.
            true => {
                published.learn_names().await;
                JoinSet::new()
            }
            false => health::look_once(&published, config.health.probe_timeout).await,
        };
        let metrics = Arc::new(Metrics::default());
        let (known, counted) = (published.clone(), metrics.clone());
        let tracer = Tracer::start(&config.trace, metrics.spans.clone());
        let tracer = tracer.map_err(StartError::Trace)?.map(Arc::new);
        let edge = Edge::new(&config, known, counted, access.clone(), tracer, node_tls.clone());
        let end_workers = CancellationToken::new();
        let life = Arc::new(Life {
            published: published.clone(),
            operators,
            node_tls,
            metrics,
            engines: Engines::new(Worlds::new(World::new(edge, &config, front))),
            phase: watch::Sender::new(BalancerState::Starting),
            connections: TaskTracker::new(),
            permits: Arc::new(Semaphore::new(config.http.max_connections)),
            _end_workers: end_workers.clone().drop_guard(),
            end_workers,
            memory: Arc::default(),
            started: Instant::now(),
            again,
            handed_over: CancellationToken::new(),
            state: Mutex::new(State {
                config: Arc::new(config),
                public,
                mcmp,
                manager,
                workers: Vec::new(),
                side: None,
                access,
            }),
        });
        let mut state = life.state.lock().await;
        state.workers = life.workers(state.config.threads).map_err(StartError::Worker)?;
        let mut watching = Tasks::default();
        watching.spawn(|stop| health::run(published, probes, stop));
        let mut side = Side::default();
        side.adopt(watching);
        state.side = Some(side);
        let public = |kind| {
            let of_kind = state.public.iter().filter(move |public| public.kind == kind);
            of_kind.map(|public| public.own).collect()
        };
        let own = |own: &[Own]| own.iter().map(|own| own.own).collect();
        let (http, https) = (public(Kind::Plain), public(Kind::Secure));
        let (mcmp, manager) = (own(&state.mcmp), own(&state.manager));
        drop(state);
        Ok(Running { http, https, mcmp, manager, life })
    }
}

impl Life {
    fn workers(&self, threads: usize) -> std::io::Result<Vec<Worker>> {
        let shared = worker::Shared {
            engines: self.engines.clone(),
            metrics: self.metrics.clone(),
            permits: self.permits.clone(),
            connections: self.connections.clone(),
            end: self.end_workers.clone(),
        };
        (0..threads).map(|number| worker::start(number, shared.clone())).collect()
    }
}

impl Running {
    /// Lets clients, nodes and operators in.
    ///
    /// # Errors
    /// When this process may have no more files.
    pub(crate) async fn open(&self) -> Result<(), StartError> {
        let mut state = self.life.state.lock().await;
        for public in &state.public {
            public.open(&state.workers).map_err(StartError::Worker)?;
        }
        let ground = self.life.ground(&state);
        let reloader = ground.reloader.clone();
        self.life.operators.reload_by(Box::new(move || reloader.told()));
        if let Some(side) = &mut state.side {
            side.start(&PARTS, &ground);
        }
        drop(state);
        self.life.phase.send_replace(BalancerState::Ready);
        Ok(())
    }
}

fn published(
    config: &Config,
    node_tls: Arc<NodeTls>,
    origin: Origin,
) -> Result<Published, StartError> {
    let prober = Prober::with_tls(config.health.probe_timeout, node_tls);
    // Nodes notice a restart by it.
    let fresh = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_millis() as u64;
    let (registry, id, clock) = match origin {
        Origin::Handed { id, document } => {
            let snapshot = Snapshot::read(&document).map_err(StartError::Registry)?;
            let clock = snapshot.now();
            let registry = restore(config, &snapshot, Trust::AsTheyStood, clock);
            (with_static(config, registry.map_err(StartError::Registry)?, clock)?, id, clock)
        }
        Origin::Own => match left_behind(config) {
            Some((registry, clock)) => (registry, fresh, clock),
            None => {
                let (bounds, clock) = ((limits(config), timing(config)), Moment::ZERO);
                let registry = Registry::new(bounds.0, bounds.1, config.mcmp.use_alias);
                (with_static(config, registry, clock)?, fresh, clock)
            }
        },
    };
    Ok(Published::from(registry, prober, id, clock))
}

/// What the last process has left on disk. What is of no use is told and put aside: a start does
/// not fail by it.
fn left_behind(config: &Config) -> Option<(Registry, Moment)> {
    let path = config.state.path()?;
    let put_aside = |error: anyhow::Error| {
        let file = path.display();
        tracing::error!(%file, "the registry of the last process is of no use: {error:#}");
        warm::put_aside(&path);
    };
    let (snapshot, age) = match warm::read(&config.state, &path) {
        Ok(found) => found?,
        Err(error) => {
            put_aside(error.into());
            return None;
        }
    };
    let clock = snapshot.now() + age;
    let registry =
        restore(config, &snapshot, Trust::ProbeFirst, clock).map_err(StartError::Registry);
    match registry.and_then(|registry| with_static(config, registry, clock)) {
        Ok(registry) => {
            let nodes = snapshot.nodes();
            tracing::info!(nodes, ?age, "the registry of the last process: nodes are probed first");
            Some((registry, clock))
        }
        Err(error) => {
            put_aside(error.into());
            None
        }
    }
}

fn restore(
    config: &Config,
    snapshot: &Snapshot,
    trust: Trust,
    clock: Moment,
) -> Result<Registry, SnapshotError> {
    let bounds = (limits(config), timing(config));
    Registry::restore(snapshot, trust, bounds, config.mcmp.use_alias, clock)
}

fn with_static(
    config: &Config,
    mut registry: Registry,
    clock: Moment,
) -> Result<Registry, StartError> {
    let nodes: Vec<_> = config.nodes.iter().map(|node| (node.config.clone(), node.load)).collect();
    registry
        .set_static(&nodes, clock)
        .map_err(|(route, source)| StartError::Node { route: route.to_string(), source })?;
    Ok(registry)
}

/// The registry's bounds.
pub(crate) fn limits(config: &Config) -> Limits {
    Limits { nodes: config.mcmp.max_nodes, contexts: config.mcmp.max_contexts, gone: MAX_GONE }
}

/// The registry's clockwork.
pub(crate) fn timing(config: &Config) -> Timing {
    let config::Health {
        probe_interval,
        revive_interval,
        silent_after,
        forget_after,
        slow_start,
        probe_timeout: _,
    } = config.health;
    Timing { probe_interval, revive_interval, silent_after, forget_after, slow_start }
}
