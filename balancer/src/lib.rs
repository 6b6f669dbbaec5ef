//! The balancer: an edge proxy whose nodes register themselves over MCMP.
//!
//! A shell around the pure rules of `muster-routing`: it owns sockets, clocks, tasks and logs.
//! [`Balancer::start`] binds the listeners and gives a [`Running`] with their addresses;
//! [`serve`] is what the binary does with it.
//!
//! | module | idea |
//! |---|---|
//! | `accept`, `server` | listeners: the public one, and those that we answer ourselves |
//! | `proxy` | what is done with a request: choose, wait, retry, headers, refusals |
//! | `engine` | who moves its bytes |
//! | `published` | the registry's one writer, and the table that requests read |
//! | `mcmp` | messages of nodes |
//! | `probe`, `health` | whether nodes are there |
//! | `manager` | page, API and metrics for operators |

pub mod access_log;
pub mod caps;
pub mod cli;
pub mod config;
pub mod metrics;
pub mod probe;
pub mod proxy_protocol;
pub mod published;
pub mod tls;
pub mod trusted;

mod accept;
mod door;
mod engine;
mod health;
mod manager;
mod mcmp;
pub mod proxy;
mod server;
mod shutdown;
mod telemetry;
mod text;
mod worker;

use std::io::Write as _;
use std::net::SocketAddr;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::Context as _;
use muster_routing::health::Timing;
use muster_routing::registry::{ApplyError, Registry};
use muster_routing::{Limits, Moment};
use muster_web_ui::csrf::Csrf;
use muster_web_ui::page::BalancerState;
use tokio::net::TcpListener;
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;
use tokio_util::sync::{CancellationToken, DropGuard};
use tokio_util::task::TaskTracker;

use crate::access_log::AccessLog;
use crate::caps::Caps;
use crate::config::Config;
use crate::door::Entrance;
use crate::engine::Engines;
use crate::mcmp::Mcmp;
use crate::metrics::Metrics;
use crate::probe::Prober;
use crate::proxy::Edge;
use crate::published::Published;
use crate::shutdown::Told;
use crate::tls::{NodeTls, TlsError, TlsFront};

/// What VERSION, the page and the log call this program.
pub const PRODUCT: &str = concat!("muster/", env!("CARGO_PKG_VERSION"));

/// While it drains, how long clients that keep a connection are given to use it once more and
/// hear `Connection: close`, before connections without a request are closed.
const IDLE_GRACE: Duration = Duration::from_secs(1);

/// How long the listeners of nodes and operators may take to finish their last answers.
const SIDE_GRACE: Duration = Duration::from_secs(2);

/// How long the end waits for threads: one may hang in the system's look-up of a name. Longer than
/// the access log takes for its last lines.
const RUNTIME_GRACE: Duration = Duration::from_secs(2);

/// Threads for everything but traffic: MCMP, the manager, probes.
const SIDE_THREADS: usize = 2;

/// Nodes that are gone and whose domains are remembered.
const MAX_GONE: usize = 10_000;

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
    /// Certificates that cannot be used.
    #[error(transparent)]
    Tls(TlsError),
    /// A thread that cannot be started.
    #[error("threads: cannot start a worker")]
    Worker(#[source] std::io::Error),
    /// The access log cannot be written.
    #[error("log.access: cannot open it")]
    AccessLog(#[source] std::io::Error),
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

/// A balancer that carries traffic.
pub struct Running {
    /// Where clients connect.
    pub http: Vec<SocketAddr>,
    /// Where clients connect with TLS.
    pub https: Vec<SocketAddr>,
    /// Where nodes register.
    pub mcmp: Vec<SocketAddr>,
    /// Where operators look.
    pub manager: Vec<SocketAddr>,
    published: Arc<Published>,
    /// TLS to clients, if there is any, and to nodes.
    front: Option<Arc<TlsFront>>,
    node_tls: Arc<NodeTls>,
    engines: Engines,
    phase: watch::Sender<BalancerState>,
    connections: TaskTracker,
    /// The loops of the public listeners.
    accepting: TaskTracker,
    /// Ends the public listeners.
    stop_public: CancellationToken,
    /// Ends the workers' threads, when it is dropped at the latest.
    end_workers: CancellationToken,
    _end_workers: DropGuard,
    workers: Vec<JoinHandle<()>>,
    /// Ends everything else.
    stop_side: CancellationToken,
    side: JoinSet<()>,
}

impl Balancer {
    /// Binds all listeners and starts to serve, on the current runtime. Port 0 takes a free port:
    /// [`Running`] says which. Static nodes are asked once before, so this may take as long as
    /// `health.probe_timeout`.
    ///
    /// # Errors
    /// A [`StartError`]; nothing listens then.
    pub async fn start(config: Config) -> Result<Running, StartError> {
        let http = bind_shared("http.listen", &config.http.listen, config.threads)?;
        let https = bind_shared("tls.listen", &config.tls.listen, config.threads)?;
        let front = match https.is_empty() {
            true => None,
            false => Some(Arc::new(TlsFront::load(&config.tls).map_err(StartError::Tls)?)),
        };
        let mcmp = bind("mcmp.listen", &config.mcmp.listen)?;
        let manager = bind("manager.listen", &config.manager.listen)?;
        let access = AccessLog::open(&config.log.access).map_err(StartError::AccessLog)?;
        let node_tls = Arc::new(NodeTls::load(&config.upstream.tls).map_err(StartError::Tls)?);
        let published = Arc::new(published(&config, node_tls.clone())?);
        let probes = health::look_once(&published, config.health.probe_timeout).await;
        let metrics = Arc::new(Metrics::default());
        let (known, counted) = (published.clone(), metrics.clone());
        let edge = Edge::new(&config, known, counted, access, node_tls.clone());
        let end_workers = CancellationToken::new();
        let mut running = Running {
            http: http.iter().map(|(address, _)| *address).collect(),
            https: https.iter().map(|(address, _)| *address).collect(),
            mcmp: addresses(&mcmp),
            manager: addresses(&manager),
            published,
            front: front.clone(),
            node_tls,
            engines: Engines::new(Arc::new(edge), &config),
            phase: watch::Sender::new(BalancerState::Starting),
            connections: TaskTracker::new(),
            accepting: TaskTracker::new(),
            stop_public: CancellationToken::new(),
            _end_workers: end_workers.clone().drop_guard(),
            end_workers,
            workers: Vec::new(),
            stop_side: CancellationToken::new(),
            side: JoinSet::new(),
        };
        running.watch_nodes(probes);
        running.serve_mcmp(mcmp, &config, &metrics);
        running.serve_manager(manager, &config, &metrics);
        let caps = Caps::new(
            config.http.max_connections_per_address,
            config.http.trusted_proxies.clone(),
            metrics.capped.clone(),
        );
        let entrance = |tls| {
            Arc::new(Entrance {
                tls,
                caps: caps.clone(),
                proxies: config.http.proxy_protocol_from.clone(),
                header_timeout: config.http.header_timeout,
            })
        };
        let (plain, secure) = (entrance(None), entrance(front));
        let plain = http.into_iter().map(|(_, sockets)| (sockets, plain.clone()));
        let secure = https.into_iter().map(|(_, sockets)| (sockets, secure.clone()));
        running.serve_public(plain.chain(secure).collect(), &config, &metrics)?;
        running.phase.send_replace(BalancerState::Ready);
        Ok(running)
    }
}

impl Running {
    /// The nodes as they stand.
    pub fn published(&self) -> &Arc<Published> {
        &self.published
    }

    /// Reads the files of certificates again, for the handshakes to come; connections that are
    /// there go on.
    ///
    /// # Errors
    /// What cannot be used, with its key and file. Of the listener and of the nodes each keeps what
    /// it had, where it is at fault.
    pub fn reload_certificates(&self) -> Result<(), Vec<TlsError>> {
        let front = self.front.as_ref().map_or(Ok(()), |front| front.reload());
        let faults: Vec<_> =
            [front, self.node_tls.reload()].into_iter().filter_map(Result::err).collect();
        if faults.is_empty() { Ok(()) } else { Err(faults) }
    }

    /// Ends in an order that loses nothing: `/readyz` says no, nobody new is accepted, answers
    /// say `Connection: close`, idle connections are closed, and requests in flight have until
    /// `deadline`. A connection that has only half a head when the idle ones go is as idle as they
    /// are, and closed with them.
    pub async fn drain(mut self, deadline: Duration) {
        let until = tokio::time::Instant::now() + deadline;
        self.phase.send_replace(BalancerState::Draining);
        self.engines.close_after_answers();
        self.stop_public.cancel();
        self.accepting.close();
        self.accepting.wait().await;
        self.connections.close();
        let grace = tokio::time::Instant::now() + IDLE_GRACE;
        let _ = tokio::time::timeout_at(grace.min(until), self.connections.wait()).await;
        self.engines.close_idle().await;
        if tokio::time::timeout_at(until, self.connections.wait()).await.is_err() {
            let left = self.connections.len();
            tracing::warn!(left, "the drain's deadline is over: connections are cut");
        }
        self.end_workers.cancel();
        self.stop_side.cancel();
        let ended = async {
            while self.side.join_next().await.is_some() {}
            // The last lines of the access log are theirs.
            let workers = std::mem::take(&mut self.workers);
            let joined = move || workers.into_iter().map(JoinHandle::join).all(|end| end.is_ok());
            if !matches!(tokio::task::spawn_blocking(joined).await, Ok(true)) {
                tracing::error!("a worker's thread has ended by a defect");
            }
        };
        let _ = tokio::time::timeout(SIDE_GRACE, ended).await;
    }

    fn watch_nodes(&mut self, probes: JoinSet<()>) {
        self.side.spawn(health::run(self.published.clone(), probes, self.stop_side.clone()));
    }

    fn serve_mcmp(&mut self, listeners: Vec<TcpListener>, config: &Config, metrics: &Arc<Metrics>) {
        let routes = mcmp::router(Mcmp {
            published: self.published.clone(),
            metrics: metrics.clone(),
            max_body_bytes: config.mcmp.max_body_bytes,
            read_timeout: config.mcmp.idle_timeout,
        });
        let bounds = server::Bounds {
            max_connections: config.mcmp.max_connections,
            idle_timeout: config.mcmp.idle_timeout,
        };
        for listener in listeners {
            self.side.spawn(server::run(listener, routes.clone(), bounds, self.stop_side.clone()));
        }
    }

    fn serve_manager(
        &mut self,
        listeners: Vec<TcpListener>,
        config: &Config,
        metrics: &Arc<Metrics>,
    ) {
        let shown = Arc::new(metrics.registry(&self.published));
        let key = rand::random();
        let bounds = server::Bounds {
            max_connections: config.manager.max_connections,
            idle_timeout: config.http.idle_timeout,
        };
        for (listener, own) in listeners.into_iter().zip(self.manager.clone()) {
            let routes = manager::router(manager::ManagerState {
                published: self.published.clone(),
                metrics: shown.clone(),
                phase: self.phase.subscribe(),
                csrf: Csrf::new(key),
                own,
                hosts: Vec::new(),
                started: Instant::now(),
                max_form_bytes: manager::MAX_FORM_BYTES,
                request_timeout: manager::REQUEST_TIMEOUT,
            });
            self.side.spawn(server::run(listener, routes, bounds, self.stop_side.clone()));
        }
    }

    /// Starts the workers, each with its socket on every address.
    fn serve_public(
        &mut self,
        listeners: Vec<(Vec<std::net::TcpListener>, Arc<Entrance>)>,
        config: &Config,
        metrics: &Arc<Metrics>,
    ) -> Result<(), StartError> {
        let shared = worker::Shared {
            engines: self.engines.clone(),
            metrics: metrics.clone(),
            permits: Arc::new(Semaphore::new(config.http.max_connections)),
            connections: self.connections.clone(),
            accepting: self.accepting.clone(),
            stop: self.stop_public.clone(),
            end: self.end_workers.clone(),
        };
        let mut of_worker: Vec<Vec<_>> = (0..config.threads).map(|_| Vec::new()).collect();
        for (sockets, entrance) in listeners {
            for (own, socket) in of_worker.iter_mut().zip(sockets) {
                own.push(worker::Listener { socket, entrance: entrance.clone() });
            }
        }
        for (number, listeners) in of_worker.into_iter().enumerate() {
            let worker = worker::start(number, listeners, shared.clone());
            self.workers.push(worker.map_err(StartError::Worker)?);
        }
        Ok(())
    }
}

/// Carries traffic until SIGTERM or SIGINT, then drains; a second signal ends at once. SIGHUP reads
/// the certificates again.
///
/// The first line on standard output says where it listens, once it does:
/// `listening http=ADDR https=ADDR mcmp=ADDR manager=ADDR` (each key once for each of its addresses).
///
/// # Errors
/// When a listener cannot be bound or the runtime not started.
pub fn serve(config: Config) -> anyhow::Result<()> {
    telemetry::init(config.log.level);
    raise_file_limit(&config);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(SIDE_THREADS)
        .enable_all()
        .build()
        .context("cannot start the runtime")?;
    let ended = runtime.block_on(carry(config));
    runtime.shutdown_timeout(RUNTIME_GRACE);
    ended
}

async fn carry(config: Config) -> anyhow::Result<()> {
    let mut signals = shutdown::Signals::listen().context("cannot listen for signals")?;
    let deadline = config.drain_timeout;
    let running = Balancer::start(config).await?;
    announce(&running).context("cannot write to standard output")?;
    while signals.next().await == Told::Reload {
        reload(&running);
    }
    tracing::info!(?deadline, "draining; a second signal ends at once");
    tokio::select! {
        _ = running.drain(deadline) => tracing::info!("drained"),
        _ = signals.end() => tracing::warn!("ended before the drain was over"),
    }
    Ok(())
}

/// A fault is logged, and the old certificates stay.
fn reload(running: &Running) {
    match running.reload_certificates() {
        Ok(()) => tracing::info!("the certificates were read again"),
        Err(faults) => faults.into_iter().for_each(|fault| {
            let error = format!("{:#}", anyhow::Error::from(fault));
            tracing::error!(error, "the old certificates stay");
        }),
    }
}

/// Each connection is a file. The usual soft limit of 1,024 is for programs of another kind, and
/// a process may raise it to its hard limit.
fn raise_file_limit(config: &Config) {
    match rlimit::increase_nofile_limit(u64::MAX) {
        Ok(limit) => check_file_limit(config, limit),
        Err(error) => tracing::warn!(%error, "cannot raise the limit of open files"),
    }
}

/// Who is over the limit learns it now, and not when clients are turned away.
fn check_file_limit(config: &Config, limit: u64) {
    let (clients, idle) = (config.http.max_connections, config.upstream.idle_connections);
    match (clients + idle) as u64 > limit {
        true => tracing::warn!(
            limit,
            http.max_connections = clients,
            upstream.idle_connections = idle,
            "the connections may need more files than this process may open"
        ),
        false => tracing::debug!(limit, "most open files"),
    }
}

fn announce(running: &Running) -> std::io::Result<()> {
    let named = [
        ("http", &running.http),
        ("https", &running.https),
        ("mcmp", &running.mcmp),
        ("manager", &running.manager),
    ];
    let mut line = String::from("listening");
    for (name, addresses) in named {
        for address in addresses {
            line.push_str(&format!(" {name}={address}"));
        }
    }
    let mut out = std::io::stdout();
    writeln!(out, "{line}")?;
    out.flush()
}

fn published(config: &Config, node_tls: Arc<NodeTls>) -> Result<Published, StartError> {
    let limits =
        Limits { nodes: config.mcmp.max_nodes, contexts: config.mcmp.max_contexts, gone: MAX_GONE };
    let config::Health {
        probe_interval,
        revive_interval,
        silent_after,
        forget_after,
        slow_start,
        ..
    } = config.health;
    let timing = Timing { probe_interval, revive_interval, silent_after, forget_after, slow_start };
    let mut registry = Registry::new(limits, timing, config.mcmp.use_alias);
    for node in &config.nodes {
        registry
            .add_static(node.config.clone(), node.load, Moment::ZERO)
            .map_err(|source| StartError::Node { route: node.config.route.to_string(), source })?;
    }
    // Nodes notice a restart by it.
    let id = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_millis();
    let prober = Prober::with_tls(config.health.probe_timeout, node_tls);
    Ok(Published::new(registry, prober, id as u64))
}

fn bind(key: &'static str, wanted: &[SocketAddr]) -> Result<Vec<TcpListener>, StartError> {
    let bind = |address: &SocketAddr| {
        let address = *address;
        accept::bind(address).map_err(|source| StartError::Bind { key, address, source })
    };
    wanted.iter().map(bind).collect()
}

/// The sockets of each address, one for each worker.
fn bind_shared(
    key: &'static str,
    wanted: &[SocketAddr],
    workers: usize,
) -> Result<Vec<(SocketAddr, Vec<std::net::TcpListener>)>, StartError> {
    let bind = |address: &SocketAddr| {
        let bound = accept::bind_shared(*address, workers).and_then(|sockets| {
            let own = sockets.first().map_or(Ok(*address), std::net::TcpListener::local_addr)?;
            Ok((own, sockets))
        });
        bound.map_err(|source| StartError::Bind { key, address: *address, source })
    };
    wanted.iter().map(bind).collect()
}

fn addresses(listeners: &[TcpListener]) -> Vec<SocketAddr> {
    listeners.iter().filter_map(|listener| listener.local_addr().ok()).collect()
}
