//! Settings of a singleton, and the start.

use std::sync::Arc;
use std::time::Duration;

use muster_singleton::Bounds;
use thiserror::Error;

use super::body::{Closures, Failure, Service, Stop, Term};
use super::driver::Plan;
use super::policies::{Choice, Chosen, Policy};
use super::{Kind, Singleton};
use crate::Cluster;

/// Settings of a singleton.
#[derive(Clone, Debug)]
#[must_use]
pub struct Builder {
    name: String,
    kind: Kind,
    choice: Choice,
    bounds: Bounds,
    is_everywhere: bool,
}

/// Why a singleton is not deployed. Nothing was started then.
#[derive(Clone, PartialEq, Eq, Debug, Error)]
pub enum StartError {
    /// The name is empty or too long.
    #[error("the singleton's name {0:?} is bad: 1 to {MOST_NAME} bytes are possible")]
    Name(String),
    /// This process has one of that name.
    #[error("singleton {0:?} is deployed already")]
    Deployed(String),
    /// There is no such policy.
    #[error("the singleton's policy {0:?} is not known")]
    Policy(String),
    /// A time is out of its bounds.
    #[error("{field} has the bad value {value:?}: 10 ms to 1 h are possible")]
    Time {
        /// Which.
        field: &'static str,
        /// Its value.
        value: Duration,
    },
    /// This member offers too many services.
    #[error(transparent)]
    Offer(#[from] crate::cluster::OfferError),
    /// The cluster was left.
    #[error("the cluster was left")]
    Closed,
}

/// Bytes of a name at most.
const MOST_NAME: usize = 100;

// === impl Builder ===

impl Builder {
    pub(super) fn new(name: String, kind: Kind) -> Self {
        let (choice, bounds) = (Choice::default(), Bounds::default());
        Self { name, kind, choice, bounds, is_everywhere: false }
    }

    /// A policy of its own. Default: the default one of
    /// [`Cluster::singleton_policies`](crate::Cluster::singleton_policies).
    pub fn policy(mut self, policy: Policy) -> Self {
        self.choice.policy = Chosen::Own(policy);
        self
    }

    /// A policy by its name: it follows what is changed in it.
    pub fn policy_named(mut self, name: impl Into<String>) -> Self {
        self.choice.policy = Chosen::Named(name.into());
        self
    }

    /// The least number of candidates, in place of the policy's: with fewer nobody runs it. 0 is
    /// taken as 1.
    pub fn quorum(mut self, candidates: u16) -> Self {
        self.choice.quorum = Some(candidates);
        self
    }

    /// How long it may take to stop before it is cut off, 10 ms to 1 h. Default: 10 s. Where its
    /// lease was lost it has 300 ms, whatever is said here.
    pub fn stop_within(mut self, bound: Duration) -> Self {
        self.bounds.stop = bound;
        self
    }

    /// For how long a member on which it failed is no candidate, 10 ms to 1 h; twice as long after
    /// each further failure, up to a minute or this. Default: 1 s.
    pub fn rest(mut self, rest: Duration) -> Self {
        self.bounds.rest = rest;
        self.bounds.most_rest = rest.max(Bounds::default().most_rest);
        self
    }

    /// Runs it on every member that offers it, not on one: without an election, a lease or a token.
    pub fn everywhere(mut self) -> Self {
        self.is_everywhere = true;
        self
    }

    /// Deploys it: returns at once. `start` is called whenever this member shall run it, in a task of
    /// its own; it has ended when the future has, which shall be soon after [`Term::stopped`]. One
    /// that returns `Ok` before that has begun all that there is to do, and goes on counting as
    /// running. One that fails or panics gives the service to another member.
    ///
    /// # Errors
    /// See [`StartError`].
    pub fn start<F>(
        self,
        cluster: &Cluster,
        start: impl Fn(Term) -> F + Send + Sync + 'static,
    ) -> Result<Singleton, StartError>
    where
        F: Future<Output = Result<(), Failure>> + Send + 'static,
    {
        let start = Box::new(move |term| Box::pin(start(term)) as _);
        self.serve(cluster, Closures { start, stop: None })
    }

    /// The same for a service with a start and a stop.
    ///
    /// # Errors
    /// See [`StartError`].
    pub fn serve(self, cluster: &Cluster, service: impl Service) -> Result<Singleton, StartError> {
        self.check(cluster)?;
        let Self { name, kind, choice, bounds, is_everywhere } = self;
        let service = Arc::new(service);
        let plan = Plan { name, kind, choice, bounds, is_everywhere, service };
        cluster.singleton_table().deploy(cluster, plan).map(Singleton::new)
    }

    pub(super) fn check(&self, cluster: &Cluster) -> Result<(), StartError> {
        if self.name.is_empty() || self.name.len() > MOST_NAME {
            return Err(StartError::Name(self.name.clone()));
        }
        if let Chosen::Named(name) = &self.choice.policy
            && cluster.singleton_policies().get(name).is_none()
        {
            return Err(StartError::Policy(name.clone()));
        }
        let times = [("stop_within", self.bounds.stop), ("rest", self.bounds.rest)];
        let (least, most) = (Duration::from_millis(10), Duration::from_secs(3600));
        for (field, value) in times {
            if !(least..=most).contains(&value) {
                return Err(StartError::Time { field, value });
            }
        }
        Ok(())
    }
}

/// A daemon as the word is: `start` begins it and may go on until `stop` is called.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # use muster_agent::{Cluster, singleton::daemonize};
/// # let cluster = Cluster::builder("node1").local();
/// let counter = daemonize(&cluster, "counter", |_| async { Ok(()) }, || async {})?;
/// counter.undeploy().await;
/// # Ok(()) }
/// ```
///
/// # Errors
/// See [`StartError`].
pub fn daemonize<S, E>(
    cluster: &Cluster,
    name: &str,
    start: impl Fn(Term) -> S + Send + Sync + 'static,
    stop: impl Fn() -> E + Send + Sync + 'static,
) -> Result<Singleton, StartError>
where
    S: Future<Output = Result<(), Failure>> + Send + 'static,
    E: Future<Output = ()> + Send + 'static,
{
    let start = Box::new(move |term| Box::pin(start(term)) as _);
    let stop: Box<Stop> = Box::new(move || Box::pin(stop()));
    Singleton::daemon(name).serve(cluster, Closures { start, stop: Some(stop) })
}
