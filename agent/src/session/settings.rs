//! What an application may choose for its sessions.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use thiserror::Error;

use super::events::{Events, SessionListener};
use super::manager::Sessions;
use super::store::Storing;
use crate::Cluster;
use crate::engine::map::{Memory, Shelf};
use crate::engine::{Engine, EngineError, Local, MapSpec, Mode};

/// Bytes of a session at most: as one unit it must fit into a value of 8 MiB, with room for the
/// lengths of its parts.
const MOST_BYTES: usize = (8 << 20) - (128 << 10);

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
    /// At once. The session stays locked until it is written, so that the next request sees what
    /// this one wrote, on whatever node it comes to. **What a client was answered is lost** when
    /// this member ends before it stands with the owners, or when the write fails (logged, and
    /// counted as [`SessionStats::lost_after_answer`](super::SessionStats)): of each session at most
    /// the last request, of all sessions of this member at most `window` requests. An orderly end
    /// ([`Sessions::stop`], [`Cluster::leave`]) waits for them. A session's first commit, its end
    /// and its new id are waited for in any case, so that nobody holds an id that is not there yet
    /// or was believed to be gone.
    Not {
        /// Commits under way at most, 1 to 65536; more wait as if it were [`Wait::ForOwners`].
        window: usize,
    },
}

/// Settings of one application's sessions; [`Sessions::builder`] begins.
#[derive(Clone)]
#[must_use]
pub struct SessionsBuilder {
    application: String,
    cluster: Option<Cluster>,
    is_distributable: bool,
    mode: Mode,
    pub(super) settings: Settings,
    listeners: Vec<Arc<dyn SessionListener>>,
    listener_queue: usize,
    memory: Option<Memory>,
    is_write_through: bool,
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
    pub(crate) store: Option<Storing>,
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
    /// This process serves an application of that name already, in the same cluster.
    #[error("application {0:?} has its sessions in this process already")]
    Taken(String),
    /// The system gives no thread for its listeners.
    #[error("application {application:?} gets no thread for its listeners: {why}")]
    NoThread {
        /// The application.
        application: String,
        /// Why.
        why: String,
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
                store: None,
            },
            listeners: Vec::new(),
            listener_queue: 4096,
            memory: None,
            is_write_through: false,
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

    /// After so long a request's session is another's to take; its commit is refused when another
    /// has committed meanwhile. Default: 5 minutes.
    pub fn longest_request(mut self, longest: Duration) -> Self {
        self.settings.longest_request = longest;
        self
    }

    /// Bytes of a session's attributes at most. Default: 1 MiB.
    pub fn most_bytes(mut self, most: usize) -> Self {
        self.settings.most_bytes = most;
        self
    }

    /// Somebody who hears what happens to the sessions. Several may.
    pub fn listener(mut self, listener: impl SessionListener) -> Self {
        self.listeners.push(Arc::new(listener));
        self
    }

    /// Events that listeners may be behind before they miss some. Default: 4,096.
    pub fn listener_queue(mut self, most: usize) -> Self {
        self.listener_queue = most;
        self
    }

    /// How many sessions this member keeps in memory, copies of other members' sessions among them,
    /// and the store to which the least recently used of the others go (mostly a
    /// [`FileShelf`](crate::FileShelf)). They come back when they are asked for. No session is
    /// refused for it, none goes before there is one too many, and where the store is full or broken
    /// they stay in memory, which is logged and counted. Default: all are in memory. Source:
    /// cluster.md section 3.
    pub fn max_active_sessions(mut self, most: usize, store: impl Shelf + 'static) -> Self {
        let shelf = Arc::new(store);
        self.memory = Some(Memory { most_groups: most, shelf, write_through: false });
        self
    }

    /// Every commit is written to the store of [`max_active_sessions`](Self::max_active_sessions) as
    /// well, before it counts, so that with a [`FileShelf::keep`](crate::FileShelf::keep) not even the
    /// sudden end of all members loses one that was acknowledged. Default: no, only what is not in
    /// memory is there, and all of it when the last member ends in order.
    pub fn write_through(mut self, is_through: bool) -> Self {
        self.is_write_through = is_through;
        self
    }

    /// A store beside the members' memory, which other clusters may share: for the sessions for
    /// which there is no memory, or for all of them, so that they outlive the whole cluster. Every
    /// member of one application has the same one. Default: none.
    pub fn store(mut self, store: Storing) -> Self {
        self.settings.store = Some(store);
        self
    }

    /// The sessions. It must be called within a tokio runtime.
    ///
    /// # Errors
    /// See [`CreateSessionsError`]: nothing runs then.
    pub fn start(self) -> Result<Sessions, CreateSessionsError> {
        self.check()?;
        match (self.cluster.clone(), self.is_distributable) {
            (Some(cluster), true) => {
                let application = self.application.clone();
                let start = || self.over(cluster.engine().clone());
                let taken = || Err(CreateSessionsError::Taken(application.clone()));
                cluster.add_sessions(&application, start).unwrap_or_else(taken)
            }
            (None, true) => Err(CreateSessionsError::NoCluster(self.application)),
            (_, false) => {
                let engine = Arc::new(Local::new(&self.application));
                self.over(engine)
            }
        }
    }

    fn over(self, engine: Arc<dyn Engine>) -> Result<Sessions, CreateSessionsError> {
        let Self { application, is_distributable, mode, settings, memory, .. } = self;
        let write_through = self.is_write_through;
        let memory = memory.map(|memory| Memory { write_through, ..memory });
        let mode = if is_distributable { mode } else { Mode::Local };
        let spec = MapSpec { memory, ..MapSpec::new(&format!("web/{application}"), mode) };
        let map = match engine.map(spec) {
            Ok(map) => map,
            Err(error) => return Err(CreateSessionsError::Engine { application, error }),
        };
        let events = match self.listeners.is_empty() {
            true => None,
            false => Some(Events::start(&application, self.listeners, self.listener_queue)),
        };
        match events.transpose() {
            Ok(events) => Ok(Sessions::over(engine, map, application, settings, events)),
            Err(error) => {
                Err(CreateSessionsError::NoThread { application, why: error.to_string() })
            }
        }
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
        if let Wait::Not { window } = self.settings.wait
            && !(1..=65_536).contains(&window)
        {
            return bad("window", window.to_string(), "it is 1 to 65536");
        }
        if !(1..=1 << 20).contains(&self.listener_queue) {
            let value = self.listener_queue.to_string();
            return bad("listener_queue", value, "it is 1 to 1048576");
        }
        if let Some((field, value, why)) = self.settings.store.as_ref().and_then(Storing::fault) {
            return bad(field, value, why);
        }
        if !(1..=MOST_BYTES).contains(&self.settings.most_bytes) {
            let value = self.settings.most_bytes.to_string();
            return bad("most_bytes", value, "it is 1 to 8257536");
        }
        Ok(())
    }
}

impl fmt::Debug for SessionsBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SessionsBuilder")
            .field("application", &self.application)
            .field("is_distributable", &self.is_distributable)
            .field("mode", &self.mode)
            .field("settings", &self.settings)
            .finish_non_exhaustive()
    }
}
