//! An application that is active on one node of the cluster: its context takes requests there and
//! nowhere else, and its services run there.

use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use async_trait::async_trait;
use futures_util::future::{Either, Ready, ready, try_join_all};
use http::{Request, Response, StatusCode, header};
use parking_lot::RwLock;
use thiserror::Error;
use tower_layer::Layer;

use super::body::{self, Failure, Service, Term};
use super::builder::{self, StartError};
use super::descriptor::Descriptor;
use super::policies::Policy;
use super::{Kind, Singleton};
use crate::deployment::{Deployment, Part};
use crate::{Agent, Cluster, DeployError, Drained};

/// An application of which one node of the cluster is active: there its context takes requests and
/// its services run. On the others it stands by: balancers send them none of its requests
/// (STOP-APP), and its [layer](SingletonDeployment::layer) answers those that come all the same with
/// 503.
///
/// ```no_run
/// # async fn run(agent: muster_agent::Agent, cluster: muster_agent::Cluster)
/// # -> Result<(), Box<dyn std::error::Error>> {
/// use muster_agent::singleton::{Descriptor, SingletonDeployment};
/// let shop = SingletonDeployment::builder("/shop")
///     .descriptor(&Descriptor::read("singleton-deployment.toml")?)
///     .deploy(&agent, &cluster)?;
/// let app: axum::Router = axum::Router::new().layer(shop.layer());
/// // ... and in the end:
/// let _ = shop.undeploy().await;
/// # Ok(()) }
/// ```
#[derive(Debug)]
pub struct SingletonDeployment {
    deployment: Deployment,
    singleton: Singleton,
    gate: Gate,
}

/// Settings of such an application.
#[must_use]
pub struct DeploymentBuilder {
    context: String,
    inner: builder::Builder,
    services: Vec<Arc<dyn Service>>,
    drain: Duration,
}

/// Why an application is not deployed. Nothing was started then.
#[derive(Clone, PartialEq, Eq, Debug, Error)]
pub enum NotDeployed {
    /// Its context cannot be had.
    #[error(transparent)]
    Context(#[from] DeployError),
    /// Its singleton cannot be had.
    #[error(transparent)]
    Singleton(#[from] StartError),
}

/// Open while this node is the active one.
#[derive(Clone, Debug, Default)]
struct Gate(Arc<RwLock<Option<Term>>>);

/// The layer that lets requests through on the active node alone.
#[derive(Clone, Debug)]
pub struct StandbyLayer(Gate);

/// See [`StandbyLayer`].
#[derive(Clone, Debug)]
pub struct StandbyService<S> {
    inner: S,
    gate: Gate,
}

/// How long a node that is active no more waits for the requests under way, where nothing else is
/// said.
const DRAIN: Duration = Duration::from_secs(2);

// === impl SingletonDeployment ===

impl SingletonDeployment {
    /// The settings of the application of this context.
    pub fn builder(context: impl Into<String>) -> DeploymentBuilder {
        let context = context.into();
        let inner = builder::Builder::new(format!("deployment{context}"), Kind::Deployment);
        DeploymentBuilder { context, inner, services: Vec::new(), drain: DRAIN }
    }

    /// The singleton: who is active, since when, and the like.
    #[must_use]
    pub fn singleton(&self) -> &Singleton {
        &self.singleton
    }

    /// The context, for its sessions and what goes with it. Balancers are told of its state by this.
    #[must_use]
    pub fn deployment(&self) -> &Deployment {
        &self.deployment
    }

    /// Whether requests are let through here.
    #[must_use]
    pub fn is_active(&self) -> bool {
        self.gate.is_open()
    }

    /// The layer for its routes: on standby it answers 503.
    #[must_use]
    pub fn layer(&self) -> StandbyLayer {
        StandbyLayer(self.gate.clone())
    }

    /// Drains and removes the context here, and stops its services and whatever is
    /// [attached](Deployment::attach). Another node becomes the active one.
    pub async fn undeploy(self) -> Drained {
        self.singleton.undeploy().await;
        self.deployment.undeploy().await
    }
}

// === impl DeploymentBuilder ===

impl DeploymentBuilder {
    /// Its policy and quorum, as its descriptor says.
    pub fn descriptor(mut self, descriptor: &Descriptor) -> Self {
        if let Some(policy) = &descriptor.policy {
            self.inner = self.inner.policy_named(policy);
        }
        if let Some(quorum) = descriptor.quorum {
            self.inner = self.inner.quorum(quorum);
        }
        self
    }

    /// A policy of its own.
    pub fn policy(mut self, policy: Policy) -> Self {
        self.inner = self.inner.policy(policy);
        self
    }

    /// A service that runs where it is active. Several do not wait for each other.
    pub fn service(mut self, service: impl Service) -> Self {
        self.services.push(Arc::new(service));
        self
    }

    /// How long a node that is active no more waits for requests under way before the next one
    /// becomes active: they go on after that, and are not cut. Default: 2 s.
    pub fn drain_within(mut self, bound: Duration) -> Self {
        self.drain = bound;
        self
    }

    /// Deploys it; returns at once.
    ///
    /// # Errors
    /// See [`NotDeployed`].
    pub fn deploy(
        self,
        agent: &Agent,
        cluster: &Cluster,
    ) -> Result<SingletonDeployment, NotDeployed> {
        let Self { context, inner, services, drain } = self;
        inner.check(cluster)?;
        let deployment = agent.deploy_standby(&context)?;
        let gate = Gate::default();
        let site = Site { deployment: deployment.handle(), services, gate: gate.clone(), drain };
        match inner.serve(cluster, site) {
            Ok(singleton) => Ok(SingletonDeployment { deployment, singleton, gate }),
            Err(error) => {
                deployment.forget();
                Err(error.into())
            }
        }
    }
}

impl std::fmt::Debug for DeploymentBuilder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("DeploymentBuilder").field("context", &self.context).finish_non_exhaustive()
    }
}

#[async_trait]
impl Part for Singleton {
    async fn stop(&self) {
        self.undeploy().await;
    }
}

/// What runs on the active node.
struct Site {
    deployment: Deployment,
    services: Vec<Arc<dyn Service>>,
    gate: Gate,
    drain: Duration,
}

#[async_trait]
impl Service for Site {
    async fn start(&self, term: Term) -> Result<(), Failure> {
        // The services stop when the requests have: their term ends later than the site's.
        let theirs = term.child();
        let services = self.services.iter().map(|one| body::run(one.clone(), theirs.clone()));
        let services = async {
            try_join_all(services).await?;
            theirs.stopped().await;
            Ok(())
        };
        let _open = Open::new(self, &theirs);
        let end = async {
            term.stopped().await;
            self.deployment.standby();
            self.deployment.stood_by(self.drain).await;
            theirs.stop();
        };
        tokio::pin!(services);
        tokio::select! {
            failed = &mut services => return failed,
            () = end => {}
        }
        services.await
    }
}

/// While it is there requests come; whatever ends it ends that.
struct Open<'s> {
    site: &'s Site,
    term: Term,
}

impl<'s> Open<'s> {
    fn new(site: &'s Site, term: &Term) -> Self {
        *site.gate.0.write() = Some(term.clone());
        site.deployment.enable();
        Self { site, term: term.clone() }
    }
}

impl Drop for Open<'_> {
    fn drop(&mut self) {
        self.term.stop();
        *self.site.gate.0.write() = None;
        self.site.deployment.standby();
    }
}

// === impl Gate ===

impl Gate {
    fn is_open(&self) -> bool {
        self.0.read().as_ref().is_some_and(Term::is_active)
    }
}

impl<S> Layer<S> for StandbyLayer {
    type Service = StandbyService<S>;

    fn layer(&self, inner: S) -> StandbyService<S> {
        StandbyService { inner, gate: self.0.clone() }
    }
}

impl<S, B, R> tower_service::Service<Request<B>> for StandbyService<S>
where
    S: tower_service::Service<Request<B>, Response = Response<R>>,
    R: Default,
{
    type Response = Response<R>;
    type Error = S::Error;
    type Future = Either<S::Future, Ready<Result<Response<R>, S::Error>>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        if self.gate.is_open() {
            return Either::Left(self.inner.call(request));
        }
        let mut refusal = Response::new(R::default());
        *refusal.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
        let again = header::HeaderValue::from_static("1");
        refusal.headers_mut().insert(header::RETRY_AFTER, again);
        Either::Right(ready(Ok(refusal)))
    }
}
