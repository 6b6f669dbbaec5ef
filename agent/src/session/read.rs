//! A session as it stands, without its lock.

use std::time::{Duration, SystemTime};

use bytes::Bytes;
use muster_grid::Bytes as Id;
use serde::de::DeserializeOwned;

use super::attributes::Attributes;
use super::error::SessionError;
use super::manager::Sessions;
use super::metadata::Metadata;
use super::plan::{self, Parsed};
use super::{request, store};
use crate::checkouts::Checkouts;
use crate::engine::map::Read;
use crate::wall;

/// Readers that keep their sessions alive at the same time, at most; beyond, the next reader does.
pub(super) const MOST_KEEPING: usize = 256;

/// A session as it was at one moment. It holds no lock, and nothing can be changed by it.
#[derive(Debug)]
pub struct ReadSession {
    pub(super) id: String,
    pub(super) metadata: Metadata,
    pub(super) attributes: Attributes,
}

// === impl ReadSession ===

impl ReadSession {
    /// Its id, without a route.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.id
    }

    /// An attribute.
    ///
    /// # Errors
    /// When it is of another type.
    pub fn get<T: DeserializeOwned>(&self, name: &str) -> Result<Option<T>, SessionError> {
        self.attributes.get(name)
    }

    /// An attribute's bytes as they were set by [`Session::set_raw`](super::Session::set_raw).
    #[must_use]
    pub fn get_raw(&self, name: &str) -> Option<Bytes> {
        self.attributes.raw(name)
    }

    /// The names of its attributes.
    #[must_use]
    pub fn names(&self) -> Vec<String> {
        self.attributes.names()
    }

    /// When it was created.
    #[must_use]
    pub fn created(&self) -> SystemTime {
        self.metadata.created()
    }

    /// When its last request began; of requests that only read it, to a tenth of
    /// [`ReadSession::max_inactive`].
    #[must_use]
    pub fn last_accessed(&self) -> SystemTime {
        self.metadata.accessed()
    }

    /// It ends when no request came for so long; never without.
    #[must_use]
    pub fn max_inactive(&self) -> Option<Duration> {
        self.metadata.max_inactive
    }
}

/// Reads a session, confirmed by its owners; one that is in the store alone, there.
pub(super) async fn read(
    sessions: &Sessions,
    id: &[u8],
) -> Result<Option<ReadSession>, SessionError> {
    let entries = sessions.inner.map.get(id, Read::Confirmed).await?;
    if entries.entries.is_empty() {
        return store::look(sessions, id).await;
    }
    let Some(parsed) = plan::parse_group(&entries)? else { return Ok(None) };
    let Parsed { metadata, attributes, .. } = parsed;
    Ok(Some(ReadSession { id: String::from_utf8_lossy(id).into_owned(), metadata, attributes }))
}

/// Reads a session for a request: one that is in the store alone comes back.
pub(super) async fn read_back(
    sessions: &Sessions,
    id: &Id,
) -> Result<Option<ReadSession>, SessionError> {
    if sessions.inner.keeper.is_some()
        && sessions.inner.map.get(id, Read::Confirmed).await?.entries.is_empty()
    {
        // Its lock ends at once.
        let there = request::check_out(sessions, id).await?;
        let read = |(_, metadata, attributes)| ReadSession {
            id: String::from_utf8_lossy(id).into_owned(),
            metadata,
            attributes,
        };
        return Ok(there.map(read));
    }
    read(sessions, id).await
}

/// A reader's request keeps its session alive. That is written in the background, and only when a
/// tenth of its time has passed, so that readers cost next to nothing. Where another request has the
/// session nothing need be done: its commit writes the time.
pub(super) fn keep_alive(sessions: &Sessions, id: &Id, read: &ReadSession) {
    let Some(max_inactive) = read.metadata.max_inactive else { return };
    let passed = Duration::from_millis(wall::ms().saturating_sub(read.metadata.accessed_ms));
    if passed < max_inactive / 10 {
        return;
    }
    let Ok(permit) = sessions.inner.keeping.clone().try_acquire_owned() else { return };
    let (of, id) = (sessions.clone(), id.clone());
    sessions.inner.tasks.spawn(async move {
        let _permit = permit;
        if let Err(error) = touch(&of, &id).await {
            tracing::debug!(%error, "a reader did not keep its session alive");
        }
    });
}

async fn touch(sessions: &Sessions, id: &[u8]) -> Result<(), SessionError> {
    let checkouts = Checkouts { wait: Duration::ZERO, ..sessions.checkouts() };
    let held = checkouts.check_out(id).await?;
    let parsed = plan::parse_group(held.entries())?;
    let Some(Parsed { mut metadata, attributes, .. }) = parsed else { return Ok(()) };
    // The commit stays: what a request has read is still what is there.
    metadata.accessed_ms = metadata.accessed_ms.max(wall::ms());
    metadata.version += 1;
    metadata.is_stored |= sessions.writes_through();
    let id = held.group().clone();
    checkouts.commit(held, vec![plan::alive(&metadata)], |_| false).await?;
    store::save(sessions, &id, &metadata, &attributes).await
}
