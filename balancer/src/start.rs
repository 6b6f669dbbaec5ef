//! From a configuration to a balancer that runs: everything is bound before anybody is served.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use muster_protocol::advertise::{Key, Protocol};
use muster_routing::health::Timing;
use muster_routing::registry::{ApplyError, Registry};
use muster_routing::{Limits, Moment};
use muster_web_ui::csrf::{Csrf, KEY_BYTES};
use muster_web_ui::page::BalancerState;
use tokio::net::TcpListener;
use tokio::sync::{Semaphore, watch};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::access_log::AccessLog;
use crate::advertise::Herald;
use crate::audit::Audit;
use crate::caps::Caps;
use crate::config::advertise::KeyFileError;
use crate::config::{self, Config};
use crate::door::Entrance;
use crate::engine::Engines;
use crate::mcmp::Mcmp;
use crate::metrics::Metrics;
use crate::operate::{self, Operators};
use crate::probe::Prober;
use crate::proxy::Edge;
use crate::published::Published;
use crate::running::Running;
use crate::side::Side;
use crate::tls::{NodeTls, TlsError, TlsFront};
use crate::{accept, advertise, health, manager, mcmp, server, worker};

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
    /// The audit log cannot be written.
    #[error("log.audit: cannot open it")]
    AuditLog(#[source] std::io::Error),
    /// The key of advertise cannot be read.
    #[error(transparent)]
    AdvertiseKey(KeyFileError),
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
        let advertise_key = config.advertise.key().map_err(StartError::AdvertiseKey)?;
        let access = AccessLog::open(&config.log.access).map_err(StartError::AccessLog)?;
        let audit = Audit::open(config.log.audit_entries, config.log.audit.file());
        let audit = Arc::new(audit.map_err(StartError::AuditLog)?);
        let node_tls = Arc::new(NodeTls::load(&config.upstream.tls).map_err(StartError::Tls)?);
        let published = Arc::new(published(&config, node_tls.clone())?);
        published.audited_by(audit.clone());
        let operators = Arc::new(Operators::of(&config, published.clone(), audit));
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
            operators,
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
            side: Side::default(),
        };
        let Running { side, published, operators, phase, mcmp: mcmp_addresses, .. } = &mut running;
        side.spawn(|stop| health::run(published.clone(), probes, stop));
        side.spawn(|stop| operate::run(operators.clone(), stop));
        serve_mcmp(side, mcmp, &config, published, &metrics);
        for herald in heralds(&config, advertise_key, mcmp_addresses, &metrics) {
            let state = phase.subscribe();
            side.spawn(|stop| herald.run(state, stop));
        }
        let page =
            Page { phase: phase.subscribe(), csrf: rand::random(), operators: operators.clone() };
        serve_manager(side, manager, &config, published, &metrics, &page);
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

fn serve_mcmp(
    side: &mut Side,
    listeners: Vec<TcpListener>,
    config: &Config,
    published: &Arc<Published>,
    metrics: &Arc<Metrics>,
) {
    let routes = mcmp::router(Mcmp {
        published: published.clone(),
        metrics: metrics.clone(),
        max_body_bytes: config.mcmp.max_body_bytes,
        read_timeout: config.mcmp.idle_timeout,
    });
    let bounds = server::Bounds {
        max_connections: config.mcmp.max_connections,
        idle_timeout: config.mcmp.idle_timeout,
    };
    for listener in listeners {
        side.spawn(|stop| server::run(listener, routes.clone(), bounds, stop));
    }
}

/// Who tells nodes of the listeners, each of one.
fn heralds(
    config: &Config,
    key: Option<Key>,
    listeners: &[SocketAddr],
    metrics: &Arc<Metrics>,
) -> Vec<Herald> {
    let (places, left_out) = advertise::places(&config.advertise, listeners);
    for address in left_out {
        tracing::warn!(%address, "not advertised: an IPv6 address needs advertise.interface");
    }
    let herald = |place| {
        let (key, metrics) = (key.clone(), metrics.clone());
        Herald::new(place, &config.advertise, key, Protocol::Http, metrics)
    };
    places.into_iter().map(herald).collect()
}

/// What the pages of all manager listeners share.
struct Page {
    phase: watch::Receiver<BalancerState>,
    csrf: [u8; KEY_BYTES],
    operators: Arc<Operators>,
}

fn serve_manager(
    side: &mut Side,
    listeners: Vec<TcpListener>,
    config: &Config,
    published: &Arc<Published>,
    metrics: &Arc<Metrics>,
    page: &Page,
) {
    let shown = Arc::new(metrics.registry(published));
    let bounds = server::Bounds {
        max_connections: config.manager.max_connections,
        idle_timeout: config.http.idle_timeout,
    };
    let own_addresses = addresses(&listeners);
    for (listener, own) in listeners.into_iter().zip(own_addresses) {
        let routes = manager::router(manager::ManagerState {
            published: published.clone(),
            operators: page.operators.clone(),
            metrics: shown.clone(),
            phase: page.phase.clone(),
            csrf: Csrf::new(page.csrf),
            own,
            hosts: Vec::new(),
            started: Instant::now(),
            max_form_bytes: manager::MAX_FORM_BYTES,
            request_timeout: manager::REQUEST_TIMEOUT,
        });
        side.spawn(|stop| server::run(listener, routes, bounds, stop));
    }
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
