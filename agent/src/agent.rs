//! The agent: owns the tasks that keep the balancers informed, and says what they should know.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use muster_protocol::mcmp::Load;
use muster_protocol::names::{ContextPath, NameError};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval_at, timeout};
use tokio_util::task::AbortOnDropHandle;
use tracing::warn;

use crate::builder::Builder;
use crate::deployment::Deployment;
use crate::layer::TrafficLayer;
use crate::load::{Averaging, LoadSource, Meter, Traffic};
use crate::registrar::Registrar;
use crate::registrar::client::{Bounds, Client, Target};
use crate::registrar::life::{Life, Plan};
use crate::registrar::now;
use crate::status::{BalancerState, BalancerStatus, Drained, Status};
use crate::wanted::{Want, Wanted};

/// After the stop-context timeout, for the messages that say good-bye.
pub(crate) const FAREWELL: Duration = Duration::from_secs(2);

/// Registers this process as a node with its balancers and keeps it registered.
///
/// Dropping it stops its tasks without a word to the balancers, which then find out by
/// themselves: call [`stop`](Agent::stop). Several agents in one process are several nodes; they
/// share nothing.
#[derive(Debug)]
pub struct Agent {
    core: Arc<Core>,
    registrars: JoinSet<()>,
    _reporter: AbortOnDropHandle<()>,
}

/// What an agent and its deployments share.
#[derive(Debug)]
pub(crate) struct Core {
    pub(crate) wanted: watch::Sender<Wanted>,
    pub(crate) status: Arc<watch::Sender<Status>>,
    pub(crate) stop_context_timeout: Duration,
    excluded: BTreeSet<ContextPath>,
    auto_enable: bool,
    traffic: Arc<Traffic>,
}

/// Checked settings.
#[derive(Debug)]
pub(crate) struct Setup {
    pub(crate) plan: Plan,
    pub(crate) balancers: Vec<Target>,
    pub(crate) bounds: Bounds,
    pub(crate) contexts: Vec<ContextPath>,
    pub(crate) excluded: Vec<ContextPath>,
    pub(crate) auto_enable: bool,
    pub(crate) stop_context_timeout: Duration,
    pub(crate) load: LoadSource,
    pub(crate) averaging: Averaging,
}

/// Why a context cannot be deployed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DeployError {
    /// The path is none.
    #[error(transparent)]
    Name(#[from] NameError),
    /// The context is deployed, or has not yet been removed everywhere.
    #[error("the context {0} is deployed already")]
    Deployed(ContextPath),
}

// === impl Agent ===

impl Agent {
    /// The settings of a new agent.
    ///
    /// ```no_run
    /// # async fn run(addr: std::net::SocketAddr) -> Result<(), Box<dyn std::error::Error>> {
    /// # use muster_agent::Agent;
    /// let agent = Agent::builder().node_name("node1").listen(addr).balancer("127.0.0.1:6666");
    /// let agent = agent.context("/shop").start().await?;
    /// let app: axum::Router = axum::Router::new().layer(agent.layer());
    /// // ... serve, and before the process ends:
    /// let _ = agent.stop().await;
    /// # Ok(()) }
    /// ```
    pub fn builder() -> Builder {
        Builder::new()
    }

    pub(crate) fn start(setup: Setup) -> Agent {
        let traffic = Arc::new(Traffic::default());
        let mut reporter = Reporter::new(setup.load, setup.averaging, &traffic);
        let load = reporter.load();
        let balancers = setup.balancers.iter().map(|target| BalancerStatus {
            address: target.text.clone(),
            state: BalancerState::Registering,
            contexts: Default::default(),
        });
        let status = Status { load, balancers: balancers.collect() };
        let core = Arc::new(Core {
            wanted: watch::Sender::new(Wanted::default()),
            status: Arc::new(watch::Sender::new(status)),
            stop_context_timeout: setup.stop_context_timeout,
            excluded: setup.excluded.into_iter().collect(),
            auto_enable: setup.auto_enable,
            traffic,
        });
        setup.contexts.into_iter().for_each(|context| {
            // Named twice is as good as once.
            let _ = core.deploy(context);
        });
        let loads = watch::Sender::new(load);
        let plan = Arc::new(setup.plan);
        let mut registrars = JoinSet::new();
        for (place, target) in setup.balancers.into_iter().enumerate() {
            let client = Client::new(target, setup.bounds);
            let registrar = registrar(&core, &plan, &loads, client, place);
            registrars.spawn(registrar.run());
        }
        let reporting = reporter.run(plan.status_interval, loads, Arc::clone(&core.status));
        let reporter = AbortOnDropHandle::new(tokio::spawn(reporting));
        Agent { core, registrars, _reporter: reporter }
    }

    /// The tower layer that counts requests for the load metrics. Put it outermost; every clone
    /// counts for this agent.
    pub fn layer(&self) -> TrafficLayer {
        TrafficLayer::new(Arc::clone(&self.core.traffic))
    }

    /// Registers a context with every balancer. It does not wait for them.
    pub fn deploy(&self, context: &str) -> Result<Deployment, DeployError> {
        let context: ContextPath = context.parse()?;
        self.core.deploy(context.clone())?;
        Ok(Deployment::new(Arc::clone(&self.core), context))
    }

    /// The handle of a context that is deployed, such as one that the builder named.
    pub fn deployment(&self, context: &str) -> Option<Deployment> {
        let context: ContextPath = context.parse().ok()?;
        let is_deployed = self.core.excluded.contains(&context)
            || self.core.wanted.borrow().contexts.contains_key(&context);
        is_deployed.then(|| Deployment::new(Arc::clone(&self.core), context))
    }

    /// The agent and its balancers now.
    pub fn status(&self) -> Status {
        self.core.status.borrow().clone()
    }

    /// The same, for those who want to see each change.
    pub fn watch(&self) -> watch::Receiver<Status> {
        self.core.status.subscribe()
    }

    /// Returns once every balancer knows the node and its contexts and reaches it. Unbounded: put
    /// a timeout around it, for a balancer may never come.
    pub async fn registered(&self) {
        let mut status = self.watch();
        // The sender lives in the agent.
        let _ = status.wait_for(Status::is_registered).await;
    }

    /// Registers again with every balancer, also with one that had called the configuration
    /// malformed (SYNTAX).
    pub fn refresh(&self) {
        self.core.wanted.send_modify(|wanted| wanted.refreshes += 1);
    }

    /// Leaves every balancer: no new sessions, then no requests, then, when those in flight have
    /// ended or the stop-context timeout is over, out of the balancer. Serve on until it returns,
    /// which it does at most 2 s after that timeout.
    pub async fn stop(mut self) -> Drained {
        let by = now() + self.core.stop_context_timeout;
        self.core.wanted.send_modify(|wanted| wanted.leaving_by = Some(by));
        let all_ended = async { while self.registrars.join_next().await.is_some() {} };
        // Whoever is later than this is stopped where it is, when the set is dropped.
        let _ = timeout(self.core.stop_context_timeout + FAREWELL, all_ended).await;
        Drained::sum(&self.core.status.borrow().balancers, |_| true)
    }
}

fn registrar(
    core: &Core,
    plan: &Arc<Plan>,
    loads: &watch::Sender<Load>,
    client: Client,
    place: usize,
) -> Registrar {
    let mut wanted = core.wanted.subscribe();
    let mut load = loads.subscribe();
    let first = wanted.borrow_and_update().clone();
    let first_load = *load.borrow_and_update();
    let life = Life::new(Arc::clone(plan), first, first_load, rand::random(), now());
    let status = Arc::clone(&core.status);
    Registrar { life, client, wanted, load, status, place, last_logged: None }
}

// === impl Core ===

impl Core {
    fn deploy(&self, context: ContextPath) -> Result<(), DeployError> {
        if self.excluded.contains(&context) {
            return Ok(());
        }
        let want = if self.auto_enable { Want::Enabled } else { Want::Disabled };
        let is_new = self.wanted.send_if_modified(|wanted| {
            let is_new = !wanted.contexts.contains_key(&context);
            wanted.contexts.entry(context.clone()).or_insert(want);
            is_new
        });
        if is_new { Ok(()) } else { Err(DeployError::Deployed(context)) }
    }
}

// === the reporter ===

/// Computes the load at each status tick, for all balancers alike.
#[derive(Debug)]
struct Reporter {
    source: Source,
    is_unreadable: bool,
}

#[derive(Debug)]
enum Source {
    Fixed(Load),
    Meter(Meter),
}

impl Reporter {
    fn new(load: LoadSource, averaging: Averaging, traffic: &Arc<Traffic>) -> Reporter {
        let source = match load {
            LoadSource::Fixed(load) => Source::Fixed(load),
            LoadSource::Metrics(metrics) => {
                Source::Meter(Meter::new(metrics, averaging, traffic, now()))
            }
        };
        Reporter { source, is_unreadable: false }
    }

    fn load(&mut self) -> Load {
        let read = match &mut self.source {
            Source::Fixed(load) => Ok(*load),
            Source::Meter(meter) => meter.tick(now()),
        };
        let was_unreadable = std::mem::replace(&mut self.is_unreadable, read.is_err());
        read.unwrap_or_else(|error| {
            if !was_unreadable {
                warn!(%error, "the node reports load -1 until it can be read");
            }
            Load::Broken
        })
    }

    async fn run(
        mut self,
        interval: Duration,
        loads: watch::Sender<Load>,
        status: Arc<watch::Sender<Status>>,
    ) {
        let mut ticks = interval_at(tokio::time::Instant::now() + interval, interval);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            let load = self.load();
            loads.send_replace(load);
            status.send_modify(|status| status.load = load);
        }
    }
}
