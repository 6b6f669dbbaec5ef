//! The agent: owns the tasks that keep the balancers informed, and says what they should know.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use muster_protocol::mcmp::Load;
use muster_protocol::names::{ContextPath, NameError};
use tokio::sync::watch;
use tokio::time::{MissedTickBehavior, interval_at};
use tokio_util::task::AbortOnDropHandle;
use tracing::warn;

use crate::builder::Builder;
use crate::deployed::Deployed;
use crate::deployment::{Deployment, Parts};
use crate::discovery::Multicast;
use crate::discovery::multicast::Listener;
use crate::layer::TrafficLayer;
use crate::load::{Averaging, LoadSource, Meter, Traffic};
use crate::registrar::client::{Manner, Target};
use crate::registrar::life::Plan;
use crate::registrar::now;
use crate::roster::Roster;
use crate::session::Place;
use crate::standing::Standing;
use crate::status::{Drained, Origin, Status};
use crate::wanted::{Want, Wanted};

/// After the stop-context timeout, for the messages that say good-bye.
pub(crate) const FAREWELL: Duration = Duration::from_secs(2);
/// Between two looks whether a context has sessions left.
const SESSION_POLL: Duration = Duration::from_millis(100);

/// Registers this process as a node with its balancers and keeps it registered.
///
/// Dropping it stops its tasks without a word to the balancers, which then find out by
/// themselves: call [`stop`](Agent::stop). Several agents in one process are several nodes; they
/// share nothing.
#[derive(Debug)]
pub struct Agent {
    core: Arc<Core>,
    roster: Arc<Roster>,
    listener: Option<AbortOnDropHandle<()>>,
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
    pub(crate) deployed: Deployed,
    pub(crate) place: Place,
    /// What ends with the contexts.
    pub(crate) parts: Parts,
}

/// Checked settings.
#[derive(Debug)]
pub(crate) struct Setup {
    pub(crate) plan: Plan,
    pub(crate) balancers: Vec<Target>,
    pub(crate) discovery: Option<Multicast>,
    pub(crate) manner: Manner,
    pub(crate) contexts: Vec<ContextPath>,
    pub(crate) excluded: Vec<ContextPath>,
    pub(crate) auto_enable: bool,
    pub(crate) stop_context_timeout: Duration,
    pub(crate) load: LoadSource,
    pub(crate) averaging: Averaging,
    /// The contexts' sessions.
    pub(crate) deployed: Deployed,
    /// Where sessions are deployed, but for the context.
    pub(crate) place: Place,
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
        let mut standing = Standing::of(setup.deployed.clone());
        let load = reporter.load(&mut standing);
        let status = Status { load, balancers: Vec::new(), discovery: None };
        let core = Arc::new(Core {
            wanted: watch::Sender::new(Wanted::default()),
            status: Arc::new(watch::Sender::new(status)),
            stop_context_timeout: setup.stop_context_timeout,
            excluded: setup.excluded.into_iter().collect(),
            auto_enable: setup.auto_enable,
            traffic,
            deployed: setup.deployed,
            place: setup.place,
            parts: Parts::default(),
        });
        setup.contexts.into_iter().for_each(|context| {
            // Named twice is as good as once.
            let _ = core.deploy(context);
        });
        let loads = watch::Sender::new(load);
        let plan = Arc::new(setup.plan);
        let interval = plan.status_interval;
        let roster = Roster::new(Arc::clone(&core), plan, setup.manner, loads.subscribe());
        let roster = Arc::new(roster);
        let configured: Vec<_> =
            setup.balancers.iter().map(|target| (target.host.clone(), target.port)).collect();
        for target in setup.balancers {
            roster.follow(target, Origin::Configured);
        }
        let listener = setup.discovery.map(|settings| {
            let status = Arc::clone(&core.status);
            let listener = Listener::new(settings, configured, Arc::clone(&roster), status);
            AbortOnDropHandle::new(tokio::spawn(listener.run()))
        });
        let reporting = reporter.run(interval, standing, loads, Arc::clone(&core.status));
        let reporter = AbortOnDropHandle::new(tokio::spawn(reporting));
        Agent { core, roster, listener, _reporter: reporter }
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

    /// The same for a context whose requests another node serves: balancers know it, and send none
    /// until [`Deployment::enable`].
    pub fn deploy_standby(&self, context: &str) -> Result<Deployment, DeployError> {
        let context: ContextPath = context.parse()?;
        self.core.deploy_as(context.clone(), Want::Standby)?;
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

    /// Returns once every balancer knows the node and its contexts and reaches it, and there is at
    /// least one. Unbounded: put a timeout around it, for a balancer may never come.
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
    /// which it does at most 2 s after that timeout; where it waits for
    /// [sessions](Builder::session_draining) too, after twice that timeout. What is
    /// [attached](Deployment::attach) to contexts is stopped then, each part within its own bound.
    pub async fn stop(mut self) -> Drained {
        // Nobody new is followed on the way out.
        self.listener = None;
        let sessions_left = self.core.drain_sessions(None).await;
        let by = now() + self.core.stop_context_timeout;
        self.core.wanted.send_modify(|wanted| wanted.leaving_by = Some(by));
        self.roster.end(self.core.stop_context_timeout + FAREWELL).await;
        let drained = Drained::sum(&self.core.status.borrow().balancers, |_| true);
        self.core.parts.stop(None).await;
        Drained { sessions_left, ..drained }
    }
}

// === impl Core ===

impl Core {
    /// No new sessions in this context, or in all of them, until those for which its end waits are
    /// over, or the stop-context timeout is. How many are left.
    pub(crate) async fn drain_sessions(&self, context: Option<&ContextPath>) -> u64 {
        let by = tokio::time::Instant::now() + self.stop_context_timeout;
        let mut left = self.deployed.bound(context);
        if left > 0 {
            self.wanted.send_modify(|wanted| wanted.take_no_new_sessions(context));
        }
        while left > 0 && tokio::time::Instant::now() < by {
            tokio::time::sleep_until(by.min(tokio::time::Instant::now() + SESSION_POLL)).await;
            left = self.deployed.bound(context);
        }
        left
    }

    fn deploy(&self, context: ContextPath) -> Result<(), DeployError> {
        let want = if self.auto_enable { Want::Enabled } else { Want::Disabled };
        self.deploy_as(context, want)
    }

    fn deploy_as(&self, context: ContextPath, want: Want) -> Result<(), DeployError> {
        if self.excluded.contains(&context) {
            return Ok(());
        }
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
    /// As it was read last.
    read: Load,
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
        Reporter { source, is_unreadable: false, read: Load::Broken }
    }

    /// The load now.
    fn load(&mut self, standing: &mut Standing) -> Load {
        self.read();
        self.told(standing)
    }

    /// As it was read last, but of a node that can write no sessions.
    fn told(&self, standing: &mut Standing) -> Load {
        if standing.is_able() { self.read } else { Load::Broken }
    }

    fn read(&mut self) {
        let read = match &mut self.source {
            Source::Fixed(load) => Ok(*load),
            Source::Meter(meter) => meter.tick(now()),
        };
        let was_unreadable = std::mem::replace(&mut self.is_unreadable, read.is_err());
        self.read = read.unwrap_or_else(|error| {
            if !was_unreadable {
                warn!(%error, "the node reports load -1 until it can be read");
            }
            Load::Broken
        });
    }

    async fn run(
        mut self,
        interval: Duration,
        mut standing: Standing,
        loads: watch::Sender<Load>,
        status: Arc<watch::Sender<Status>>,
    ) {
        let mut ticks = interval_at(tokio::time::Instant::now() + interval, interval);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let load = tokio::select! {
                _ = ticks.tick() => self.load(&mut standing),
                // Balancers hear of it at once.
                () = standing.changed() => self.told(&mut standing),
            };
            loads.send_replace(load);
            status.send_modify(|status| status.load = load);
        }
    }
}
