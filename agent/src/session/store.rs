//! Stores that several clusters, or one after the other, may share: what the session manager asks
//! of them, and how an application uses one.
//!
//! A store stands beside the cluster's memory. It knows no session from within: it keeps a record
//! under an id, lets a later version take the place of an earlier one and never the other way
//! round, and remembers for a while which sessions have ended or left, so that a write that was late
//! on its way brings none of them back. What a store needs no more than that, so all of it is
//! conditional on one record: no store needs a transaction over two.
//!
//! | file | idea |
//! |---|---|
//! | `keeper` | calls to the store: bounded, and given a rest when it does not answer |
//! | `duties` | what the store must still be told |
//! | `record` | a session as one record |
//! | `activate` | a session that comes back from the store |
//! | `through` | a commit goes to the store |
//! | `end` | a session's end reaches the store |
//! | `passivate` | the least recently used sessions go to the store |
//! | `sweep` | sessions whose time is over in the store |
//! | `memory` | a store in the memory of a process, for tests |

mod activate;
mod duties;
mod end;
mod keeper;
mod memory;
mod passivate;
mod record;
mod storing;
mod sweep;
mod through;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use thiserror::Error;
use tokio_util::sync::CancellationToken;

use super::manager::{Inner, Sessions};
use crate::engine::map::Watch;

pub(super) use activate::{activate, look};
pub(super) use end::{ended, expired, last_ops};
pub(super) use keeper::{Keeper, KeeperStats};
pub use memory::MemoryStore;
pub use storing::Storing;
pub(super) use through::save;

/// How long the end of an application's sessions waits for the store.
const STOP_WAIT: Duration = Duration::from_secs(10);
/// Between two looks at whether something is still being told.
const PAUSE: Duration = Duration::from_millis(10);

/// Starts what goes on beside requests, until the sessions are dropped.
pub(super) fn start(inner: &Arc<Inner>, keeper: &Keeper, closed: &CancellationToken) {
    let sessions = Arc::downgrade(inner);
    tokio::spawn(duties::follow(sessions.clone(), closed.clone()));
    tokio::spawn(sweep::follow(sessions.clone(), keeper.sweep_every(), closed.clone()));
    if let Some(most) = keeper.most_active() {
        let changes = inner.map.watch(Watch::Primary);
        tokio::spawn(passivate::follow(sessions, most, changes, closed.clone()));
    }
}

/// Tells the store what it must still be told, as far as it answers.
pub(super) async fn finish(sessions: &Sessions) {
    let Some(keeper) = &sessions.inner.keeper else { return };
    let told = async {
        duties::work(sessions).await;
        // What is being told already ends as well.
        while keeper.duties.is_busy() {
            tokio::time::sleep(PAUSE).await;
            duties::work(sessions).await;
        }
    };
    let _ = tokio::time::timeout(STOP_WAIT, told).await;
    let unsaved = keeper.stats().unsaved;
    if unsaved > 0 {
        let application = sessions.application();
        tracing::error!(unsaved, application, "the store of sessions was not told of all");
    }
}

/// Whose session, and which.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct SessionKey<'a> {
    /// The application, 1 to 100 bytes.
    pub application: &'a str,
    /// The session's id, 32 to 64 hexadecimal digits.
    pub id: &'a str,
}

/// A session as a record: nothing of it but its version means anything to a store.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SessionRecord {
    /// Rises with every commit of the session; below 2^53.
    pub version: u64,
    /// The commit's number, by chance: with the version it tells one write from all others.
    pub commit: u64,
    /// When the session's time is over, in ms since 1970; never without.
    pub ends_ms: Option<u64>,
    /// The session, at most 8 MiB.
    pub body: Bytes,
}

/// What became of a save.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Saving {
    /// The record is there: by this call, or by an earlier one whose answer was lost.
    Saved,
    /// Nothing has changed: what is there is of a later version, or of the same and another commit.
    Behind {
        /// The version that is there, or has left.
        version: u64,
        /// Its commit.
        commit: u64,
    },
    /// Nothing has changed: the session has ended.
    Ended,
    /// Nothing has changed: the session's time is over.
    Late,
}

/// What became of an end.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Ending {
    /// This call ended the session: what it was.
    Now(SessionRecord),
    /// An earlier call did.
    Before,
    /// The store had none. It takes none of this id from now on.
    Absent,
    /// Nothing has changed: what is there is of a later version.
    Later,
}

/// Why a store did not do what it should.
#[derive(Clone, PartialEq, Eq, Debug, Error)]
pub enum StoreError {
    /// It cannot be reached, or the connection broke: it was done or not.
    #[error("the store cannot be reached: {0}")]
    Unreachable(String),
    /// It took longer than [`Storing::deadline`]: it was done or not.
    #[error("the store did not answer within {0:?}")]
    Late(Duration),
    /// It did not answer a moment ago and is left alone for [`Storing::rest`]: it was not asked.
    #[error("the store did not answer a moment ago and is not asked yet")]
    Resting,
    /// It answers, and does not do it.
    #[error("the store refuses: {0}")]
    Refused(String),
}

/// A shared store of sessions. Every call is one step for everybody who uses the store: two calls for
/// one session happen one after the other.
///
/// "Over" is by the store's own clock, so that all who use it agree. Calls have no bound of their
/// own: the caller gives up after [`Storing::deadline`] and drops the future. An error's text goes to
/// the log, and so names no password.
#[async_trait]
pub trait SessionStore: Send + Sync + 'static {
    /// What it is, in the log.
    fn name(&self) -> &str;

    /// The record of a session; none where there is none, it has left or ended, or its time is over.
    ///
    /// # Errors
    /// See [`StoreError`].
    async fn load(&self, key: SessionKey<'_>) -> Result<Option<SessionRecord>, StoreError>;

    /// Saves a record where the store has none, or one of an earlier version, there or left; not
    /// where the session has ended, nor when the record's time is over.
    ///
    /// # Errors
    /// See [`StoreError`]; it may have happened, and may yet happen.
    async fn save(&self, key: SessionKey<'_>, record: &SessionRecord)
    -> Result<Saving, StoreError>;

    /// The session is elsewhere now: a record of at most this version leaves, and for `keep` from
    /// now on at least, only a later version is taken.
    ///
    /// # Errors
    /// See [`StoreError`].
    async fn take(
        &self,
        key: SessionKey<'_>,
        version: u64,
        keep: Duration,
    ) -> Result<(), StoreError>;

    /// Ends a session whose record is of at most this version, or that has none: for `keep` from
    /// now on at least nothing is taken under this id.
    ///
    /// # Errors
    /// See [`StoreError`].
    async fn end(
        &self,
        key: SessionKey<'_>,
        version: u64,
        keep: Duration,
    ) -> Result<Ending, StoreError>;

    /// Ids and versions of records whose time has been over for at least `grace`, the oldest first,
    /// at most `most` of them, without the first `skip`.
    ///
    /// # Errors
    /// See [`StoreError`].
    async fn over(
        &self,
        application: &str,
        grace: Duration,
        skip: usize,
        most: usize,
    ) -> Result<Vec<(String, u64)>, StoreError>;

    /// Forgets sessions that have ended or left longer ago than their `keep`, at most `most` of
    /// them. How many.
    ///
    /// # Errors
    /// See [`StoreError`].
    async fn forget(&self, application: &str, most: usize) -> Result<usize, StoreError>;
}

/// A store that is chosen when the program runs.
#[async_trait]
impl SessionStore for Arc<dyn SessionStore> {
    fn name(&self) -> &str {
        (**self).name()
    }

    async fn load(&self, key: SessionKey<'_>) -> Result<Option<SessionRecord>, StoreError> {
        (**self).load(key).await
    }

    async fn save(
        &self,
        key: SessionKey<'_>,
        record: &SessionRecord,
    ) -> Result<Saving, StoreError> {
        (**self).save(key, record).await
    }

    async fn take(
        &self,
        key: SessionKey<'_>,
        version: u64,
        keep: Duration,
    ) -> Result<(), StoreError> {
        (**self).take(key, version, keep).await
    }

    async fn end(
        &self,
        key: SessionKey<'_>,
        version: u64,
        keep: Duration,
    ) -> Result<Ending, StoreError> {
        (**self).end(key, version, keep).await
    }

    async fn over(
        &self,
        application: &str,
        grace: Duration,
        skip: usize,
        most: usize,
    ) -> Result<Vec<(String, u64)>, StoreError> {
        (**self).over(application, grace, skip, most).await
    }

    async fn forget(&self, application: &str, most: usize) -> Result<usize, StoreError> {
        (**self).forget(application, most).await
    }
}
