//! Calls to the store: each is bounded, and a store that does not answer is left alone for a while.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::{Instant, timeout};

use super::duties::Duties;
use super::{Ending, Saving, SessionKey, SessionRecord, StoreError, Storing};

/// So many calls in a row without an answer, and the store is given a rest.
const MOST_UNANSWERED: u32 = 3;
/// What ended or left is remembered for so long at least: longer than any write is on its way.
const SHORTEST_KEEP: Duration = Duration::from_secs(3600);
/// A session without an end is remembered for so long when it has ended.
const KEEP_WITHOUT_END: Duration = Duration::from_secs(7 * 24 * 3600);

/// An application's store and what it still has to be told.
pub(in super::super) struct Keeper {
    application: String,
    pub(super) storing: Storing,
    pub(super) duties: Duties,
    health: Mutex<Health>,
    pub(super) counted: Counted,
}

/// What the store has done.
#[derive(Default)]
pub(super) struct Counted {
    pub(super) saves: AtomicU64,
    pub(super) loads: AtomicU64,
    pub(super) passivated: AtomicU64,
    pub(super) conflicts: AtomicU64,
    errors: AtomicU64,
}

/// How the last calls went.
#[derive(Default)]
struct Health {
    unanswered: u32,
    /// When it may be asked again.
    rests_until: Option<Instant>,
}

/// What the store has done, and still has to.
#[derive(Clone, Copy, Default)]
pub(in super::super) struct KeeperStats {
    pub(in super::super) saves: u64,
    pub(in super::super) loads: u64,
    pub(in super::super) passivated: u64,
    pub(in super::super) conflicts: u64,
    pub(in super::super) errors: u64,
    pub(in super::super) unsaved: u64,
}

// === impl Keeper ===

impl Keeper {
    pub(in super::super) fn new(application: &str, storing: Storing) -> Self {
        Self {
            application: application.to_owned(),
            duties: Duties::new(storing.most_unsaved),
            storing,
            health: Mutex::default(),
            counted: Counted::default(),
        }
    }

    /// Whether every commit is saved.
    pub(in super::super) fn writes_through(&self) -> bool {
        self.storing.writes_through
    }

    /// How many sessions a member keeps in memory.
    pub(in super::super) fn most_active(&self) -> Option<usize> {
        self.storing.most_active
    }

    pub(super) fn sweep_every(&self) -> Duration {
        self.storing.sweep_every
    }

    pub(in super::super) fn stats(&self) -> KeeperStats {
        let load = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let Counted { saves, loads, passivated, conflicts, errors } = &self.counted;
        KeeperStats {
            saves: load(saves),
            loads: load(loads),
            passivated: load(passivated),
            conflicts: load(conflicts),
            errors: load(errors),
            unsaved: u64::try_from(self.duties.len()).unwrap_or(u64::MAX),
        }
    }

    pub(super) async fn load(&self, id: &str) -> Result<Option<SessionRecord>, StoreError> {
        self.ask("load", self.storing.store.load(self.key(id))).await
    }

    pub(super) async fn save(
        &self,
        id: &str,
        record: &SessionRecord,
    ) -> Result<Saving, StoreError> {
        let saving = self.ask("save", self.storing.store.save(self.key(id), record)).await?;
        if saving == Saving::Saved {
            one(&self.counted.saves);
        }
        Ok(saving)
    }

    pub(super) async fn take(
        &self,
        id: &str,
        version: u64,
        keep: Duration,
    ) -> Result<(), StoreError> {
        self.ask("take", self.storing.store.take(self.key(id), version, keep)).await
    }

    pub(super) async fn end(
        &self,
        id: &str,
        version: u64,
        keep: Duration,
    ) -> Result<Ending, StoreError> {
        self.ask("end", self.storing.store.end(self.key(id), version, keep)).await
    }

    pub(super) async fn over(
        &self,
        skip: usize,
        most: usize,
    ) -> Result<Vec<(String, u64)>, StoreError> {
        let Storing { store, grace, .. } = &self.storing;
        self.ask("look for ends", store.over(&self.application, *grace, skip, most)).await
    }

    pub(super) async fn forget(&self, most: usize) -> Result<usize, StoreError> {
        self.ask("forget", self.storing.store.forget(&self.application, most)).await
    }

    fn key<'a>(&'a self, id: &'a str) -> SessionKey<'a> {
        SessionKey { application: &self.application, id }
    }

    /// One call, bounded.
    async fn ask<T>(
        &self,
        what: &'static str,
        call: impl Future<Output = Result<T, StoreError>>,
    ) -> Result<T, StoreError> {
        if !self.may_ask() {
            return Err(StoreError::Resting);
        }
        let Storing { deadline, .. } = self.storing;
        let done = timeout(deadline, call).await.unwrap_or(Err(StoreError::Late(deadline)));
        match &done {
            Ok(_) => self.answered(),
            Err(error) => self.failed(what, error),
        }
        done
    }

    /// Whether it is left alone at the moment.
    pub(super) fn is_resting(&self) -> bool {
        self.health.lock().rests_until.is_some_and(|until| Instant::now() < until)
    }

    /// Whether it may be asked now. Of those who ask after a rest one may.
    fn may_ask(&self) -> bool {
        let mut health = self.health.lock();
        let now = Instant::now();
        match health.rests_until {
            Some(until) if now < until => false,
            Some(_) => {
                health.rests_until = Some(now + self.storing.rest);
                true
            }
            None => true,
        }
    }

    fn answered(&self) {
        let was = std::mem::take(&mut *self.health.lock());
        if was.rests_until.is_some() {
            let (store, application) = (self.storing.store.name(), &self.application);
            tracing::info!(store, application, "the store of sessions answers again");
            self.duties.wake();
        }
    }

    fn failed(&self, what: &'static str, error: &StoreError) {
        one(&self.counted.errors);
        let (store, application) = (self.storing.store.name(), &self.application);
        let is_silent = matches!(error, StoreError::Unreachable(_) | StoreError::Late(_));
        let mut health = self.health.lock();
        if !is_silent {
            *health = Health::default();
            let errors = self.counted.errors.load(Ordering::Relaxed);
            // What it refuses is tried again and again: told ever less often.
            if errors.is_power_of_two() {
                tracing::error!(store, application, what, %error, errors, "the store of sessions");
            }
            return;
        }
        health.unanswered = health.unanswered.saturating_add(1);
        if health.rests_until.is_none() {
            tracing::error!(store, application, what, %error, "the store of sessions");
        }
        if health.unanswered >= MOST_UNANSWERED {
            health.rests_until = Some(Instant::now() + self.storing.rest);
        }
    }
}

impl fmt::Debug for Keeper {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Keeper").field(&self.storing).finish()
    }
}

/// One more of those.
pub(super) fn one(counter: &AtomicU64) {
    counter.fetch_add(1, Ordering::Relaxed);
}

/// How long an end is remembered: at least until every copy of the session that may be on its way to
/// the store is over.
pub(super) fn keep(max_inactive: Option<Duration>) -> Duration {
    max_inactive.map_or(KEEP_WITHOUT_END, |time| time.max(SHORTEST_KEEP))
}
