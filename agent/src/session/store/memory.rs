//! A store in the memory of a process: for tests, and for trying out.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use parking_lot::Mutex;

use super::{Ending, Saving, SessionKey, SessionRecord, SessionStore, StoreError};
use crate::wall;

/// A store in the memory of this process. Clones are the same one.
#[derive(Clone, Default, Debug)]
pub struct MemoryStore {
    kept: Arc<Mutex<BTreeMap<(String, String), Kept>>>,
}

/// What is kept of a session.
#[derive(Debug)]
enum Kept {
    There(SessionRecord),
    Left { version: u64, commit: u64, until_ms: u64 },
    Ended { until_ms: u64 },
}

// === impl MemoryStore ===

impl MemoryStore {
    /// A store with nothing in it.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Sessions that are there.
    #[must_use]
    pub fn len(&self) -> usize {
        self.kept.lock().values().filter(|kept| matches!(kept, Kept::There(_))).count()
    }

    /// Whether no session is there.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

fn owned(key: SessionKey<'_>) -> (String, String) {
    (key.application.to_owned(), key.id.to_owned())
}

fn until(keep: Duration) -> u64 {
    wall::ms().saturating_add(u64::try_from(keep.as_millis()).unwrap_or(u64::MAX))
}

fn is_over(record: &SessionRecord, now_ms: u64) -> bool {
    record.ends_ms.is_some_and(|ends| ends <= now_ms)
}

#[async_trait]
impl SessionStore for MemoryStore {
    fn name(&self) -> &str {
        "memory"
    }

    async fn load(&self, key: SessionKey<'_>) -> Result<Option<SessionRecord>, StoreError> {
        let now = wall::ms();
        Ok(match self.kept.lock().get(&owned(key)) {
            Some(Kept::There(record)) if !is_over(record, now) => Some(record.clone()),
            _ => None,
        })
    }

    async fn save(
        &self,
        key: SessionKey<'_>,
        record: &SessionRecord,
    ) -> Result<Saving, StoreError> {
        let mut all = self.kept.lock();
        let there = match all.get(&owned(key)) {
            Some(Kept::Ended { .. }) => return Ok(Saving::Ended),
            Some(Kept::There(kept)) => Some((kept.version, kept.commit, true)),
            Some(Kept::Left { version, commit, .. }) => Some((*version, *commit, false)),
            None => None,
        };
        if let Some((version, commit, is_there)) = there
            && version >= record.version
        {
            let is_this = is_there && (version, commit) == (record.version, record.commit);
            return Ok(if is_this { Saving::Saved } else { Saving::Behind { version, commit } });
        }
        if is_over(record, wall::ms()) {
            return Ok(Saving::Late);
        }
        all.insert(owned(key), Kept::There(record.clone()));
        Ok(Saving::Saved)
    }

    async fn take(
        &self,
        key: SessionKey<'_>,
        version: u64,
        keep: Duration,
    ) -> Result<(), StoreError> {
        let mut all = self.kept.lock();
        if let Some(kept) = all.get_mut(&owned(key))
            && let Kept::There(record) = kept
            && record.version <= version
        {
            let SessionRecord { version, commit, .. } = *record;
            *kept = Kept::Left { version, commit, until_ms: until(keep) };
        }
        Ok(())
    }

    async fn end(
        &self,
        key: SessionKey<'_>,
        version: u64,
        keep: Duration,
    ) -> Result<Ending, StoreError> {
        let mut all = self.kept.lock();
        let ending = match all.get(&owned(key)) {
            Some(Kept::Ended { .. }) => return Ok(Ending::Before),
            Some(Kept::There(record)) if record.version > version => return Ok(Ending::Later),
            Some(Kept::There(record)) => Ending::Now(record.clone()),
            Some(Kept::Left { .. }) | None => Ending::Absent,
        };
        all.insert(owned(key), Kept::Ended { until_ms: until(keep) });
        Ok(ending)
    }

    async fn over(
        &self,
        application: &str,
        grace: Duration,
        skip: usize,
        most: usize,
    ) -> Result<Vec<(String, u64)>, StoreError> {
        let grace = u64::try_from(grace.as_millis()).unwrap_or(u64::MAX);
        let before = wall::ms().saturating_sub(grace);
        let all = self.kept.lock();
        let mut over: Vec<(u64, &String, u64)> = all
            .iter()
            .filter_map(|((of, id), kept)| match kept {
                Kept::There(record) if of == application => {
                    let ends = record.ends_ms.filter(|ends| *ends <= before)?;
                    Some((ends, id, record.version))
                }
                _ => None,
            })
            .collect();
        over.sort_unstable();
        let page = over.into_iter().skip(skip).take(most);
        Ok(page.map(|(_, id, version)| (id.clone(), version)).collect())
    }

    async fn forget(&self, application: &str, most: usize) -> Result<usize, StoreError> {
        let now = wall::ms();
        let mut all = self.kept.lock();
        let is_past = |kept: &Kept| match kept {
            Kept::There(_) => false,
            Kept::Left { until_ms, .. } | Kept::Ended { until_ms } => *until_ms <= now,
        };
        let past: Vec<_> = all
            .iter()
            .filter(|((of, _), kept)| of == application && is_past(kept))
            .map(|(key, _)| key.clone())
            .take(most)
            .collect();
        for key in &past {
            all.remove(key);
        }
        Ok(past.len())
    }
}
