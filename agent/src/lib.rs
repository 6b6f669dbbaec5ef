//! The library that back ends link: it registers them as nodes with any MCMP balancer (Muster's
//! own, Apache httpd with mod_proxy_cluster, Undertow), keeps them registered, and reports their
//! load.
//!
//! ```no_run
//! # async fn run() -> Result<(), Box<dyn std::error::Error>> {
//! use muster_agent::Agent;
//! let listener = tokio::net::TcpListener::bind("127.0.0.1:8080").await?;
//! let agent = Agent::builder()
//!     .node_name("node1")
//!     .listen(listener.local_addr()?)
//!     .balancer("127.0.0.1:6666")
//!     .context("/shop")
//!     .start()
//!     .await?;
//! let app: axum::Router = axum::Router::new().layer(agent.layer());
//! // ... serve `app` on `listener`, and when the process is asked to end:
//! let drained = agent.stop().await;
//! assert!(drained.is_complete());
//! # Ok(()) }
//! ```
//!
//! The parts: the [`Agent`] says what balancers should know; one registrar per balancer brings
//! its balancer there and keeps it there; [`Discovery`] finds balancers that advertise themselves; the load is computed once per status interval from
//! [`LoadMetric`]s; the [`TrafficLayer`] counts what they need.

mod agent;
#[cfg(feature = "bench")]
#[doc(hidden)]
pub mod bench;
mod builder;
pub mod cache;
#[allow(dead_code, reason = "the services above use it one by one")]
mod channel;
mod checkouts;
pub mod cluster;
pub mod component;
mod deployed;
mod deployment;
mod discovery;
pub mod engine;
pub mod events;
#[allow(dead_code, reason = "the services above use it one by one")]
mod failure;
#[cfg(test)]
mod faulty;
pub mod finding;
pub mod job;
mod layer;
mod load;
pub mod manage;
#[allow(dead_code, reason = "the services above use it one by one")]
mod node;
pub mod queue;
mod registrar;
mod roster;
pub mod session;
pub mod settings;
mod shelf;
pub mod singleton;
pub mod sso;
mod standing;
mod status;
mod tls;
mod wall;
mod wanted;
mod watching;

pub use agent::{Agent, DeployError};
pub use builder::{Builder, Fault, StartError};
pub use cache::{Cache, CacheError};
pub use cluster::{Cluster, ClusterBuilder, Command, CommandDispatcher};
pub use component::{ComponentError, Components};
pub use deployed::SessionDraining;
pub use deployment::{Deployment, Part};
pub use discovery::Discovery;
pub use engine::{Member, Mode, Targets, View};
pub use job::{Job, JobBuilder, JobError};
pub use layer::{Answering, ReceivedBody, SentBody, TrafficLayer, TrafficService};
pub use load::{LoadMetric, Metric, SessionGauge, Unreadable};
pub use queue::{Queue, QueueError};
pub use session::{Session, SessionError, SessionLayer, SessionRequest, Sessions};
pub use shelf::FileShelf;
pub use singleton::Singleton;
pub use sso::{Identity, Principal, Sso, SsoError};
pub use status::{
    BalancerState, BalancerStatus, ContextState, DiscoveryStatus, Drained, Origin, Status,
};

pub use tls::BalancerTls;

pub use muster_cluster::{MemberId, NodeId};
pub use muster_protocol::mcmp::{Load, Scheme};
pub use muster_protocol::names;
pub use muster_protocol::session_id::{SessionId, SessionIdError};
