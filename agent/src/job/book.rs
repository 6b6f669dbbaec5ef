//! The ledgers of all jobs in the cluster's map, each a group of its own with one entry, read and
//! written under compare-and-set.

use std::sync::Arc;
use std::time::Duration;

use muster_grid::{Bytes, Expect, Op, Put, Rev};

use super::JobError;
use super::ledger::Ledger;
use crate::engine::map::{Batch, Cursor, Map, MapError, MapSpec, Mode, Read};
use crate::engine::{Engine, EngineError};

/// The map, and the entry of each group.
const MAP: &str = "muster.jobs";
const KEY: &[u8] = b"ledger";

/// How often a change is tried while others change the same ledger.
const MOST_TRIES: u32 = 30;

/// The ledger of a member that is gone for so long is forgotten, where each has its own.
const OF_A_NODE: Duration = Duration::from_secs(90 * 24 * 3600);

/// The ledgers.
#[derive(Clone)]
pub(super) struct Book {
    map: Arc<dyn Map>,
}

// === impl Book ===

impl Book {
    pub(super) fn of(engine: &dyn Engine) -> Result<Self, EngineError> {
        Ok(Self { map: engine.map(MapSpec::new(MAP, Mode::Replicated))? })
    }

    pub(super) fn map(&self) -> &Arc<dyn Map> {
        &self.map
    }

    /// What a job has done; none where it is not known.
    pub(super) async fn read(&self, name: &str, read: Read) -> Result<Option<Ledger>, JobError> {
        Ok(self.found(name, read).await?.map(|(ledger, _)| ledger))
    }

    async fn found(&self, name: &str, read: Read) -> Result<Option<(Ledger, Rev)>, JobError> {
        let entries = self.map.get(name.as_bytes(), read).await?;
        let Some((bytes, rev)) = entries.entries.get(KEY) else { return Ok(None) };
        let ledger = serde_json::from_slice(bytes)
            .map_err(|error| JobError::Unreadable(format!("{name}: {error}")))?;
        Ok(Some((ledger, *rev)))
    }

    /// Changes a ledger, which is made where there is none. `change` is called once more where
    /// somebody else was faster; what it answered last is the answer. Where it answers none nothing
    /// is written.
    pub(super) async fn change<T>(
        &self,
        name: &str,
        new: impl Fn() -> Option<Ledger>,
        mut change: impl FnMut(&mut Ledger) -> Option<T>,
    ) -> Result<Option<T>, JobError> {
        let mut unknown: Option<(u64, T)> = None;
        for _ in 0..MOST_TRIES {
            let found = self.found(name, Read::Confirmed).await?;
            if let Some((stamp, answer)) = unknown.take()
                && found.as_ref().is_some_and(|(ledger, _)| ledger.stamp == stamp)
            {
                return Ok(Some(answer));
            }
            let (mut ledger, rev) = match found {
                Some((ledger, rev)) => (ledger, Some(rev)),
                None => match new() {
                    Some(ledger) => (ledger, None),
                    None => return Err(JobError::Unknown(name.to_owned())),
                },
            };
            let Some(answer) = change(&mut ledger) else { return Ok(None) };
            ledger.stamp = rand::random();
            match self.map.write(batch(name, &ledger, rev)).await {
                Ok(_) => return Ok(Some(answer)),
                Err(MapError::Conflict { .. }) => {}
                Err(MapError::Unknown) => unknown = Some((ledger.stamp, answer)),
                Err(error) => return Err(error.into()),
            }
        }
        Err(MapError::Busy.into())
    }

    /// All ledgers, by name.
    pub(super) async fn all(&self) -> Result<Vec<(String, Ledger)>, JobError> {
        let (mut all, mut cursor) = (Vec::new(), Some(Cursor::default()));
        while let Some(place) = cursor {
            let page = self.map.scan(place).await?;
            for (group, entries) in page.groups {
                let ledger = entries.entries.get(KEY);
                let ledger = ledger.and_then(|(bytes, _)| serde_json::from_slice(bytes).ok());
                let name = String::from_utf8_lossy(&group).into_owned();
                all.extend(ledger.map(|ledger| (name, ledger)));
            }
            cursor = page.next;
        }
        all.sort_by(|(one, _), (other, _)| one.cmp(other));
        Ok(all)
    }
}

/// The ledger in the place of what was found.
fn batch(name: &str, ledger: &Ledger, found: Option<Rev>) -> Batch {
    let bytes = serde_json::to_vec(ledger).expect("names and numbers can be written as JSON");
    let expect = found.map_or(Expect::Absent, Expect::Rev);
    let ttl = name.contains('@').then_some(OF_A_NODE);
    let put = Some(Put { ttl, ..Put::of(Bytes::from(bytes)) });
    Batch::new(name.as_bytes(), vec![Op { key: KEY.into(), expect, put }])
}
