//! How an application uses its store.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use super::SessionStore;

/// An application's shared store, and the way in which it is used.
///
/// | | passivation | write-through |
/// |---|---|---|
/// | a session is in the store | while the members have no room for it | from its first commit to its end |
/// | when all members are lost at once | what was in memory is lost | every acknowledged commit that was saved is there |
/// | another cluster finds it | no | yes |
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use muster_agent::Sessions;
/// use muster_agent::session::{MemoryStore, Storing};
/// let store = MemoryStore::new(); // or PostgreSQL, Redis
/// let sessions = Sessions::builder("shop").store(Storing::write_through(store)).start()?;
/// # Ok(()) }
/// ```
#[derive(Clone)]
#[must_use]
pub struct Storing {
    pub(super) store: Arc<dyn SessionStore>,
    pub(super) writes_through: bool,
    pub(super) most_active: Option<usize>,
    pub(super) deadline: Duration,
    pub(super) rest: Duration,
    pub(super) most_unsaved: usize,
    pub(super) sweep_every: Duration,
    pub(super) grace: Duration,
}

// === impl Storing ===

impl Storing {
    fn new(store: impl SessionStore, writes_through: bool, most_active: Option<usize>) -> Self {
        Self {
            store: Arc::new(store),
            writes_through,
            most_active,
            deadline: Duration::from_secs(2),
            rest: Duration::from_secs(1),
            most_unsaved: 100_000,
            sweep_every: Duration::from_secs(30),
            grace: Duration::from_secs(60),
        }
    }

    /// Every commit is saved in the store too, before its answer leaves. Where the store does not
    /// take it the answer leaves all the same: the members have it, and it is saved later.
    pub fn write_through(store: impl SessionStore) -> Self {
        Self::new(store, true, None)
    }

    /// The least recently used sessions that this member leads go to the store when it keeps more
    /// than `most_active`, copies of other members' sessions among them, and leave it when they are
    /// asked for. Where the store does not take one it stays in memory.
    pub fn passivation(most_active: usize, store: impl SessionStore) -> Self {
        Self::new(store, false, Some(most_active))
    }

    /// With write-through, too: how many sessions a member keeps in memory. Default: all.
    pub fn most_active(mut self, most: usize) -> Self {
        self.most_active = Some(most);
        self
    }

    /// How long one call may take, with the connection that it needs. A request waits so long for
    /// the store at most: once to find a session that the members have not, once to save it.
    /// Default: 2 s.
    pub fn deadline(mut self, deadline: Duration) -> Self {
        self.deadline = deadline;
        self
    }

    /// A store that did not answer three times in a row is asked again after so long, by one call;
    /// until then calls fail at once. Default: 1 s.
    pub fn rest(mut self, rest: Duration) -> Self {
        self.rest = rest;
        self
    }

    /// Sessions of which the store must still be told, at most: those that it did not take, and ends.
    /// Of more than that the next commit tells. Default: 100,000.
    pub fn most_unsaved(mut self, most: usize) -> Self {
        self.most_unsaved = most;
        self
    }

    /// How often one member of the cluster looks for sessions whose time is over in the store.
    /// Default: 30 s.
    pub fn sweep_every(mut self, every: Duration) -> Self {
        self.sweep_every = every;
        self
    }

    /// How long a session's time must be over in the store before it is ended there: longer than
    /// the clocks of members and store differ. Default: 60 s.
    pub fn grace(mut self, grace: Duration) -> Self {
        self.grace = grace;
        self
    }

    /// What is wrong with it: which setting, its value, what would be right.
    pub(in super::super) fn fault(&self) -> Option<(&'static str, String, &'static str)> {
        let times =
            [("deadline", self.deadline), ("rest", self.rest), ("sweep_every", self.sweep_every)];
        if let Some((field, _)) = times.into_iter().find(|(_, time)| time.is_zero()) {
            return Some((field, "0".to_owned(), "it is longer than nothing"));
        }
        if self.most_active == Some(0) {
            return Some(("most_active", "0".to_owned(), "it is at least 1"));
        }
        if !(1..=10_000_000).contains(&self.most_unsaved) {
            let value = self.most_unsaved.to_string();
            return Some(("most_unsaved", value, "it is 1 to 10000000"));
        }
        None
    }
}

impl fmt::Debug for Storing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Storing")
            .field("store", &self.store.name())
            .field("writes_through", &self.writes_through)
            .field("most_active", &self.most_active)
            .field("deadline", &self.deadline)
            .finish_non_exhaustive()
    }
}
