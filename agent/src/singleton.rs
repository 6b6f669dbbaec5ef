//! Services that run on one member of the cluster at a time.
//!
//! ```
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! use muster_agent::singleton::{Policy, Singleton, State};
//! use muster_agent::Cluster;
//! let cluster = Cluster::builder("node1").local(); // or .join().await?
//! let timer = Singleton::builder("timer").policy(Policy::oldest()).start(&cluster, |term| async move {
//!     term.publish(&term.node().to_owned())?;
//!     term.stopped().await;
//!     Ok(())
//! })?;
//! timer.reaches(|state| state == State::Running).await;
//! assert_eq!(timer.value::<String>().await?, Some("node1".to_owned()));
//! timer.undeploy().await;
//! # Ok(()) }
//! ```
//!
//! Who runs it is elected (`muster_singleton`); that there is one is the lease's doing
//! ([`crate::engine::Leases`]). The user's guide is docs/singletons.md.
//!
//! | file | idea |
//! |---|---|
//! | `builder` | settings, and the start |
//! | `policies` | policies by name |
//! | `body` | what runs: a term, from its start to its end |
//! | `deployment` | an application that is active on one node |
//! | `descriptor` | policies and descriptors as files |
//! | `driver` | the shell around the state machine |
//! | `talk` | what members tell and ask each other |
//! | `table` | all singletons of a process |
//! | `tuned` | policies as the cluster's settings have them |
//! | `history` | what has happened here |

mod body;
mod builder;
mod deployment;
mod descriptor;
mod driver;
mod history;
mod policies;
mod table;
mod talk;
mod tuned;

use std::fmt;
use std::sync::Arc;

use serde::de::DeserializeOwned;
use thiserror::Error;

use crate::cluster::{Cluster, CodecError, codec};
use crate::engine::{Member, Token};
pub use body::{Failure, Service, Term};
pub use builder::{Builder, StartError, daemonize};
pub use deployment::{
    DeploymentBuilder, NotDeployed, SingletonDeployment, StandbyLayer, StandbyService,
};
pub use descriptor::{BadFile, Descriptor};
pub(crate) use history::Counts;
pub use history::Happening;
pub use muster_protocol::cluster::singletons::SingletonKind as Kind;
pub use muster_singleton::{Bounds, Election, NoProvider, Preference, State};
pub use policies::{Policies, Policy};
pub(crate) use table::{SingletonTold, Table};
pub use talk::MoveError;

use driver::Driver;

/// A service that is deployed on this member, and runs where the cluster elects. Clones are the same
/// one. Dropping it changes nothing: it stays until [`Singleton::undeploy`] or
/// [`Cluster::leave`](crate::Cluster::leave).
#[derive(Clone)]
pub struct Singleton {
    driver: Arc<Driver>,
}

/// Who runs a service.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Provider {
    /// The member.
    pub member: Member,
    /// Its token.
    pub token: Token,
}

/// Where a service stands, as one member sees it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Status {
    /// On this member.
    pub state: State,
    /// The token with which it runs here, if it does.
    pub token: Option<Token>,
    /// Who is elected, as far as this member has heard.
    pub elected: Option<Member>,
    /// Why nobody is.
    pub no_provider: Option<NoProvider>,
    /// Who offers it, oldest first.
    pub candidates: Vec<Member>,
    /// The policy in force.
    pub policy: Policy,
}

/// Why there is no value.
#[derive(Clone, PartialEq, Eq, Debug, Error)]
pub enum ValueError {
    /// It is another type's.
    #[error(transparent)]
    Codec(#[from] CodecError),
}

// === impl Singleton ===

impl Singleton {
    /// The settings of a service of this name: what members call by one name is one service.
    pub fn builder(name: impl Into<String>) -> Builder {
        Builder::new(name.into(), Kind::Service)
    }

    /// The same for a daemon: in everything but its kind on the page it is a singleton.
    pub fn daemon(name: impl Into<String>) -> Builder {
        Builder::new(name.into(), Kind::Daemon)
    }

    fn new(driver: Arc<Driver>) -> Self {
        Self { driver }
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        self.driver.name()
    }

    /// Where it stands, as this member sees it.
    #[must_use]
    pub fn status(&self) -> Status {
        self.driver.status()
    }

    /// Returns when this member's state of it is one that is asked for. Unbounded: put a timeout
    /// around it.
    pub async fn reaches(&self, is_it: impl Fn(State) -> bool) {
        self.driver.reaches(is_it).await;
    }

    /// What has happened with it here, the latest first; the last 64.
    #[must_use]
    pub fn history(&self) -> Vec<Happening> {
        self.driver.history()
    }

    /// Who runs it now, by the word of those who offer it: none while nobody does, or while a new
    /// provider has not started yet. See [`Cluster::provider`](crate::Cluster::provider).
    pub async fn provider(&self) -> Option<Provider> {
        self.driver.talk().provider(self.name()).await
    }

    /// What the provider has published ([`Term::publish`]); none where nobody runs it or it has
    /// published nothing.
    ///
    /// # Errors
    /// When it is another type's.
    pub async fn value<T: DeserializeOwned>(&self) -> Result<Option<T>, ValueError> {
        read(self.driver.talk().value(self.name()).await)
    }

    /// Moves it to a node, as long as that is there, or with none to where its policy puts it.
    ///
    /// # Errors
    /// See [`MoveError`]: nothing was moved then.
    pub async fn move_to(&self, node: Option<&str>) -> Result<(), MoveError> {
        self.driver.talk().move_to(self.name(), node).await
    }

    /// Offers it here no more: where it runs here it is told to stop, and another member starts it.
    /// Returns when it has ended here, at the latest when its bounds for that are over.
    pub async fn undeploy(&self) {
        self.driver.close().await;
    }
}

impl fmt::Debug for Singleton {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Singleton")
            .field("name", &self.name())
            .field("state", &self.status().state)
            .finish()
    }
}

// === impl Cluster ===

impl Cluster {
    /// Who runs the singleton of this name, asked from any member: whether it offers it or not.
    pub async fn provider(&self, singleton: &str) -> Option<Provider> {
        self.singleton_table().talk().provider(singleton).await
    }

    /// What the provider of the singleton of this name has published, asked from any member.
    ///
    /// # Errors
    /// When it is another type's.
    pub async fn provided<T: DeserializeOwned>(
        &self,
        singleton: &str,
    ) -> Result<Option<T>, ValueError> {
        read(self.singleton_table().talk().value(singleton).await)
    }

    /// The singletons that this process offers, by name.
    #[must_use]
    pub fn singletons(&self) -> Vec<Singleton> {
        self.singleton_table().all().into_iter().map(Singleton::new).collect()
    }

    /// The named policies of this process's singletons.
    #[must_use]
    pub fn singleton_policies(&self) -> Arc<Policies> {
        self.singleton_table().policies().borrow().clone()
    }

    /// Other named policies, from now on: what follows from them is done at once. Give all members
    /// the same ones. What the cluster's settings (`singleton.policies.`) say wins over them.
    pub fn set_singleton_policies(&self, policies: Policies) {
        self.singleton_table().set_policies(policies);
    }
}

fn read<T: DeserializeOwned>(value: Option<bytes::Bytes>) -> Result<Option<T>, ValueError> {
    value.map(|bytes| codec::decode(&bytes)).transpose().map_err(ValueError::from)
}
