//! What an application may choose for its sessions.

use std::sync::Arc;
use std::time::Duration;

use thiserror::Error;

use super::manager::Sessions;
use crate::Cluster;
use crate::engine::{Engine, EngineError, Local, MapSpec, Mode};

/// What is written again when one attribute has changed.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Granularity {
    /// All attributes, as one unit: what belongs together stays together.
    #[default]
    Session,
    /// The changed attributes alone: for large sessions of which a request changes little.
    Attribute,
}

/// When an answer leaves.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Wait {
    /// When every owner has the session: what a client has seen is never lost with one node.
    #[default]
    ForOwners,
    /// At once. The session stays locked until it is written, so that the next request sees it;
    /// what was answered in the window before a crash is lost.
    Not {
        /// Commits under way at most; more wait as if it were [`Wait::ForOwners`].
        window: usize,
    },
}

/// Settings of one application's sessions; [`Sessions::builder`] begins.
#[derive(Clone, Debug)]
#[must_use]
pub struct SessionsBuilder {
    pub(super) application: String,
    cluster: Option<Cluster>,
    is_distributable: bool,
    mode: Mode,
    pub(super) settings: Settings,
}

/// What holds for every session of an application.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    pub(crate) granularity: Granularity,
    pub(crate) wait: Wait,
    pub(crate) max_inactive: Option<Duration>,
    pub(crate) lock_wait: Duration,
    pub(crate) longest_request: Duration,
    pub(crate) most_bytes: usize,
}

/// Why there are no sessions.
#[derive(Clone, PartialEq, Eq, Debug, Error)]
pub enum CreateSessionsError {
    /// Distributable sessions need a cluster.
    #[error("application {0:?} is distributable, so it needs a cluster")]
    NoCluster(String),
    /// A setting is out of its bounds.
    #[error("{field} has the bad value {value}: {why}")]
    BadValue {
        /// Which setting.
        field: &'static str,
        /// Its value.
        value: String,
        /// What would be right.
        why: &'static str,
    },
    /// The engine does not give the map.
    #[error("application {application:?} gets no sessions")]
    Engine {
        /// The application.
        application: String,
        /// Why.
        #[source]
        error: EngineError,
    },
}

// === impl SessionsBuilder ===

impl SessionsBuilder {
    pub(super) fn new(application: &str) -> Self {
        Self {
            application: application.to_owned(),
            cluster: None,
            is_distributable: false,
            mode: Mode::Distributed,
            settings: Settings {
                granularity: Granularity::default(),
                wait: Wait::default(),
                max_inactive: Some(Duration::from_secs(30 * 60)),
                lock_wait: Duration::from_secs(10),
                longest_request: Duration::from_secs(5 * 60),
                most_bytes: 1 << 20,
            },
        }
    }

    /// The cluster that this process is a member of.
    pub fn cluster(mut self, cluster: &Cluster) -> Self {
        self.cluster = Some(cluster.clone());
        self
    }

    /// Whether sessions are kept by other members too. Default: no, they end with this process.
    pub fn distributable(mut self, is_distributable: bool) -> Self {
        self.is_distributable = is_distributable;
        self
    }

    /// Where distributable sessions are kept. Default: [`Mode::Distributed`], with the owners of
    /// the cluster's settings.
    pub fn mode(mut self, mode: Mode) -> Self {
        self.mode = mode;
        self
    }

    /// What is written again when an attribute has changed.
    pub fn granularity(mut self, granularity: Granularity) -> Self {
        self.settings.granularity = granularity;
        self
    }

    /// When an answer leaves. Default: [`Wait::ForOwners`].
    pub fn wait(mut self, wait: Wait) -> Self {
        self.settings.wait = wait;
        self
    }

    /// A session ends when no request came for so long. Default: 30 minutes; `None`: never.
    pub fn max_inactive(mut self, max_inactive: Option<Duration>) -> Self {
        self.settings.max_inactive = max_inactive;
        self
    }

    /// How long a request waits for a session that another has. Default: 10 s.
    pub fn lock_wait(mut self, wait: Duration) -> Self {
        self.settings.lock_wait = wait;
        self
    }

    /// After so long a request's session is another's to take, and its commit is refused.
    /// Default: 5 minutes.
    pub fn longest_request(mut self, longest: Duration) -> Self {
        self.settings.longest_request = longest;
        self
    }

    /// Bytes of a session's attributes at most. Default: 1 MiB.
    pub fn most_bytes(mut self, most: usize) -> Self {
        self.settings.most_bytes = most;
        self
    }

    /// The sessions. It must be called within a tokio runtime.
    ///
    /// # Errors
    /// See [`CreateSessionsError`].
    pub fn start(self) -> Result<Sessions, CreateSessionsError> {
        self.check()?;
        let application = self.application.clone();
        let engine: Arc<dyn Engine> = match (&self.cluster, self.is_distributable) {
            (Some(cluster), true) => cluster.engine().clone(),
            (None, true) => return Err(CreateSessionsError::NoCluster(application)),
            (_, false) => Arc::new(Local::new(&application)),
        };
        let mode = if self.is_distributable { self.mode } else { Mode::Local };
        let spec = MapSpec::new(&format!("web/{application}"), mode);
        let engine_says = |error| CreateSessionsError::Engine { application, error };
        let map = engine.map(spec).map_err(engine_says)?;
        Ok(Sessions::over(engine, map, self))
    }

    fn check(&self) -> Result<(), CreateSessionsError> {
        let bad =
            |field, value: String, why| Err(CreateSessionsError::BadValue { field, value, why });
        if !(1..=100).contains(&self.application.len()) {
            return bad("application", format!("{:?}", self.application), "it has 1 to 100 bytes");
        }
        if self.settings.max_inactive.is_some_and(|time| time.is_zero()) {
            return bad("max_inactive", "0".to_owned(), "it is longer than nothing");
        }
        if self.settings.longest_request.is_zero() {
            return bad("longest_request", "0".to_owned(), "it is longer than nothing");
        }
        if !(1..=8 << 20).contains(&self.settings.most_bytes) {
            let value = self.settings.most_bytes.to_string();
            return bad("most_bytes", value, "it is 1 to 8388608");
        }
        Ok(())
    }
}
