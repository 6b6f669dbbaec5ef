//! The engine seam: what the cluster's services (caches, sessions, singletons, queues) may ask of
//! whatever keeps the cluster together, and nothing more. A service never learns which engine is
//! below; one conformance suite (`tests/conformance`) says what every engine must do.
//!
//! | file | idea |
//! |---|---|
//! | `group` | who is there: members oldest first, one view after the other |
//! | `dispatch` | a command done by one, some or all members, with an answer from each |
//! | `topics` | messages to whoever listens, at most once |
//! | `map` | entries in key groups: reads, batches, checkouts, changes |
//! | `leases` | at most one holder of a name, with a token that only rises |
//! | `queue` | messages that are delivered at least once |
//! | `sites` | copies at other sites |
//! | `local` | the engine of one process |
//! | `embedded` | the engine that the members are themselves |

pub mod dispatch;
pub mod embedded;
pub mod group;
pub mod leases;
pub mod local;
pub mod map;
pub mod queue;
pub mod sites;
pub mod topics;

use std::sync::Arc;

use async_trait::async_trait;
use thiserror::Error;

pub use dispatch::{Answers, CallError, Dispatch, Handler, Targets};
pub use embedded::Embedded;
pub use group::{Group, Member, View};
pub use leases::{Lease, LeaseError, Leases, Token};
pub use local::Local;
pub use map::{
    Batch, Changes, Checkout, Ending, Map, MapError, MapSpec, MapStats, Memory, MemoryChange,
    Merging, Mode, Read, Shelf, ShelfError,
};
pub use queue::{
    DeadLetter, Delivery, Journal, JournalStats, Queue, QueueError, QueueSpec, QueueStats,
};
pub use sites::{SiteStatus, Sites};
pub use topics::{Subscription, Topics};

/// What keeps a cluster together.
#[async_trait]
pub trait Engine: Send + Sync + 'static {
    /// Its name in logs and on the page: `local`, `embedded`, `nats`.
    fn name(&self) -> &'static str;

    /// What it promises.
    fn guarantees(&self) -> Guarantees;

    /// Whether all copies are whole and where they should be: after members came or went that takes
    /// a moment, in which one more of them must not be lost.
    fn is_balanced(&self) -> bool {
        true
    }

    /// Who is there.
    fn group(&self) -> Arc<dyn Group>;

    /// Commands to members.
    fn dispatch(&self) -> Arc<dyn Dispatch>;

    /// Messages to listeners.
    fn topics(&self) -> Arc<dyn Topics>;

    /// Leases.
    fn leases(&self) -> Arc<dyn Leases>;

    /// A map by its name, created by whoever asks first. Asking again gives the same one.
    ///
    /// # Errors
    /// When this process already has one of that name with another specification.
    fn map(&self, spec: MapSpec) -> Result<Arc<dyn Map>, EngineError>;

    /// The maps that this process has, by name: for monitoring.
    fn maps(&self) -> Vec<Arc<dyn Map>> {
        Vec::new()
    }

    /// A queue by its name; the same rules.
    ///
    /// # Errors
    /// As for maps; or the engine has no queues.
    fn queue(&self, spec: QueueSpec) -> Result<Arc<dyn Queue>, EngineError>;

    /// The queues that this process has or keeps for others, by name: for monitoring.
    fn queues(&self) -> Vec<Arc<dyn Queue>> {
        Vec::new()
    }

    /// Other sites, where the engine has such.
    fn sites(&self) -> Option<Arc<dyn Sites>>;

    /// Leaves in order: what this member owns is handed over first. Afterwards every call answers
    /// that the engine is closed. Waits at most as long as the engine's own bound.
    async fn shutdown(&self);
}

/// What an engine promises, as values that a service may ask for and a page may show.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Guarantees {
    /// Members that may be lost at once without the loss of an acknowledged write.
    pub survives: u8,
    /// Whether it takes no write without a majority, so that two sides of a split never both serve.
    pub is_quorate: bool,
    /// Whether a server must be installed.
    pub needs_server: bool,
}

/// Why an engine does not give what is asked for.
#[derive(Clone, PartialEq, Eq, Debug, Error)]
pub enum EngineError {
    /// One name, two specifications.
    #[error("{kind} {name:?} is there already with another specification: {present}")]
    Different {
        /// `map` or `queue`.
        kind: &'static str,
        /// Its name.
        name: String,
        /// What is there, in words.
        present: String,
    },
    /// The name is empty or too long, or a setting is out of bounds.
    #[error("{field} has the bad value {value:?}: {why}")]
    BadValue {
        /// Which setting.
        field: &'static str,
        /// Its value.
        value: String,
        /// What would be right.
        why: &'static str,
    },
    /// This engine has no such thing.
    #[error("the engine {engine} has no {what}")]
    Unsupported {
        /// The engine.
        engine: &'static str,
        /// What it lacks.
        what: &'static str,
    },
    /// Two names that the engine cannot tell apart.
    #[error("maps {name:?} and {present:?} have the same hash: choose another name for one")]
    Collision {
        /// The name that was asked for.
        name: String,
        /// The map that is there.
        present: String,
    },
    /// It was shut down.
    #[error("the engine is closed")]
    Closed,
}

impl EngineError {
    /// A setting out of its bounds.
    pub(crate) fn bad(field: &'static str, value: &str, why: &'static str) -> Self {
        Self::BadValue { field, value: value.to_owned(), why }
    }
}

/// Names of maps, queues, services and leases, in bytes, at most.
pub(crate) const MOST_NAME: usize = 128;

fn check_name(field: &'static str, name: &str) -> Result<(), EngineError> {
    match name.len() {
        1..=MOST_NAME => Ok(()),
        _ => Err(EngineError::bad(field, name, "it must have 1 to 128 bytes")),
    }
}
