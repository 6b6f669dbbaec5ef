//! Sessions as whole records, for adapters of libraries whose stores load and save and know no
//! lock. They stand in their map as all sessions do.
//!
//! What such a store can promise is compare-and-set: a record remembers which write it was read
//! from, and is saved only while nobody else has written since.

mod revision;

use std::collections::BTreeMap;
use std::hash::{BuildHasher, RandomState};
use std::num::NonZeroU64;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use muster_grid::batch::Entries;
use muster_grid::{Expect, Op, Rev};

use super::attributes::Attributes;
use super::error::SessionError;
use super::events::{End, Written};
use super::manager::Sessions;
use super::metadata::Metadata;
use super::plan::{self, Form, Parsed};
use super::read::ReadSession;
use super::request::{self, is_possible};
use super::store;
use crate::checkouts::Stood;
use crate::engine::map::{Batch, MapError, Read};
use crate::wall;
pub use revision::{BadRevision, Revision};

/// How often a write is tried that met another one, or whose answer was lost.
const TRIES: u32 = 8;

/// A record's values by their names.
pub type Values = BTreeMap<String, Bytes>;

/// The sessions of an application as records. Clones are the same ones.
#[derive(Clone, Debug)]
pub struct Records {
    sessions: Sessions,
    /// Keyed by chance: nobody finds two records with one digest.
    digests: RandomState,
}

/// A session as it was read.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Record {
    /// Its values.
    pub values: Values,
    /// When it ends, by the wall clock of who wrote it; never without.
    pub ends: Option<SystemTime>,
    /// Of which write it is.
    pub revision: Revision,
}

/// What is kept of a session.
struct Kept {
    entries: Entries,
    /// The metadata's.
    rev: Rev,
    metadata: Metadata,
    attributes: Attributes,
    form: Form,
}

// === impl Records ===

impl Records {
    pub(super) fn over(sessions: &Sessions) -> Self {
        Self { sessions: sessions.clone(), digests: RandomState::new() }
    }

    /// The sessions.
    #[must_use]
    pub fn sessions(&self) -> &Sessions {
        &self.sessions
    }

    /// A session; none where there is none of that id, and for what is no id: 32 to 64 hexadecimal
    /// digits, small letters.
    ///
    /// # Errors
    /// See [`SessionError`].
    pub async fn load(&self, id: &str) -> Result<Option<Record>, SessionError> {
        let Some(kept) = self.kept(id).await? else { return Ok(None) };
        let values = values(&kept.attributes);
        let revision = Revision {
            seen: kept.metadata.commit,
            own: rand::random(),
            digest: self.digests.hash_one(&values),
        };
        Ok(Some(Record { ends: kept.metadata.ends(), values, revision }))
    }

    /// An id whose primary is this member, so that its session is read and written with the fewest
    /// calls.
    #[must_use]
    pub fn mint(&self) -> String {
        String::from_utf8_lossy(&self.sessions.inner.map.mint_local()).into_owned()
    }

    /// A new session, under the first of these ids that is nobody's. By the revision what was
    /// created may be saved.
    ///
    /// # Errors
    /// [`SessionError::Unknown`] when too many ids in a row are no ids or somebody's. See
    /// [`SessionError`].
    pub async fn create(
        &self,
        mut ids: impl FnMut() -> String,
        values: &Values,
        ttl: Option<Duration>,
    ) -> Result<(String, Revision), SessionError> {
        let own: NonZeroU64 = rand::random();
        for _ in 0..TRIES {
            let id = ids();
            if !is_possible(&id) {
                continue;
            }
            let metadata = self.written(None, own, ttl);
            let has_stood = self.write(&id, None, Some(values), metadata.clone()).await?;
            if has_stood || self.is_confirmed(&id, metadata).await? {
                self.sessions.inner.counted.created();
                let digest = self.digests.hash_one(values);
                return Ok((id, Revision { seen: own.get(), own, digest }));
            }
        }
        Err(SessionError::Unknown)
    }

    /// Saves a record. With a revision: only while nobody has written the session since it was
    /// read, or by another save of this same copy; a record that is as it was read only keeps the
    /// session alive, whoever has written it. Without one (the record was cleared) it stands
    /// afterwards whatever was there. One whose time is over ends.
    ///
    /// # Errors
    /// [`SessionError::Lost`] when another has written or ended it: nothing was changed. See
    /// [`SessionError`].
    pub async fn save(
        &self,
        id: &str,
        revision: Option<Revision>,
        values: &Values,
        ttl: Option<Duration>,
    ) -> Result<(), SessionError> {
        if ttl.is_some_and(|ttl| ttl.is_zero()) {
            return self.delete(id).await.map(|_| ());
        }
        if revision.is_some_and(|revision| self.digests.hash_one(values) == revision.digest) {
            return self.touch(id, ttl).await.map(|_| ());
        }
        if !is_possible(id) {
            return Err(SessionError::Lost);
        }
        let own = revision.map_or_else(rand::random, |revision| revision.own);
        for _ in 0..TRIES {
            let kept = self.kept(id).await?;
            let commit = kept.as_ref().map(|kept| kept.metadata.commit);
            if revision.is_some_and(|revision| !commit.is_some_and(|is| revision.is_of(is))) {
                return Err(SessionError::Lost);
            }
            let metadata = self.written(kept.as_ref(), own, ttl);
            if self.write(id, kept, Some(values), metadata).await? {
                return Ok(());
            }
        }
        Err(SessionError::Unknown)
    }

    /// Keeps a session alive for so long from now on, as it is: whoever has read it may still save
    /// it. Whether it was there.
    ///
    /// # Errors
    /// See [`SessionError`].
    pub async fn touch(&self, id: &str, ttl: Option<Duration>) -> Result<bool, SessionError> {
        for _ in 0..TRIES {
            let Some(kept) = self.kept(id).await? else { return Ok(false) };
            let mut metadata = kept.metadata.clone();
            (metadata.accessed_ms, metadata.max_inactive) = (wall::ms(), ttl);
            metadata.version += 1;
            metadata.is_stored |= self.sessions.writes_through();
            if self.write(id, Some(kept), None, metadata).await? {
                return Ok(true);
            }
        }
        Err(SessionError::Busy)
    }

    /// Ends a session, whoever has written it. Whether it was there.
    ///
    /// # Errors
    /// See [`SessionError`].
    pub async fn delete(&self, id: &str) -> Result<bool, SessionError> {
        for _ in 0..TRIES {
            let Some(kept) = self.kept(id).await? else { return Ok(false) };
            let inner = &self.sessions.inner;
            let (ops, mark) = store::last_ops(inner, rand::random(), &kept.entries);
            if self.happens(id, guarded(ops, Some(kept.rev))).await? {
                store::ended(&self.sessions, &id.as_bytes().into(), mark).await;
                let was = kept.entries.entries.iter().map(|(key, (value, _))| (key, value));
                inner.ended(id.as_bytes(), was, End::Invalidated);
                return Ok(true);
            }
        }
        Err(SessionError::Busy)
    }

    /// Whether a write whose answer was lost has happened after all: what is seen of it here may be
    /// nowhere else, so it is written once more.
    async fn is_confirmed(&self, id: &str, metadata: Metadata) -> Result<bool, SessionError> {
        match self.kept(id).await? {
            Some(kept) if kept.metadata.commit == metadata.commit => {
                self.write(id, Some(kept), None, metadata).await
            }
            _ => Ok(false),
        }
    }

    async fn kept(&self, id: &str) -> Result<Option<Kept>, SessionError> {
        if !is_possible(id) {
            return Ok(None);
        }
        let inner = &self.sessions.inner;
        let mut entries = inner.map.get(id.as_bytes(), Read::Confirmed).await?;
        if inner.keeper.is_some() && entries.entries.is_empty() {
            let there = request::check_out(&self.sessions, &id.as_bytes().into()).await?;
            if there.is_none() {
                return Ok(None);
            }
            drop(there);
            entries = inner.map.get(id.as_bytes(), Read::Confirmed).await?;
        }
        let Some(parsed) = plan::parse_group(&entries)? else { return Ok(None) };
        let Some(rev) = plan::metadata_rev(&entries) else { return Ok(None) };
        let Parsed { metadata, attributes, form } = parsed;
        Ok(Some(Kept { entries, rev, metadata, attributes, form }))
    }

    /// The metadata of a write under this number.
    fn written(&self, kept: Option<&Kept>, own: NonZeroU64, ttl: Option<Duration>) -> Metadata {
        let new = Metadata::new(wall::ms(), ttl);
        let (created_ms, version, is_stored) = match kept.map(|kept| &kept.metadata) {
            Some(kept) => (kept.created_ms, kept.version, kept.is_stored),
            None => (new.created_ms, 0, false),
        };
        let is_stored = is_stored || self.sessions.writes_through();
        Metadata { created_ms, commit: own.get(), version: version + 1, is_stored, ..new }
    }

    /// Writes over what is kept, while that is what is there: whether it has.
    async fn write(
        &self,
        id: &str,
        kept: Option<Kept>,
        values: Option<&Values>,
        metadata: Metadata,
    ) -> Result<bool, SessionError> {
        let settings = &self.sessions.inner.settings;
        let (there, mut attributes) = match kept {
            Some(kept) => (Some((kept.rev, kept.form)), kept.attributes),
            None => (None, Attributes::default()),
        };
        if let Some(values) = values {
            attributes.become_these(values, settings.most_bytes)?;
        }
        let ops = match there {
            Some((_, form)) => plan::write(&metadata, &attributes, settings.granularity, form),
            None => plan::create(&metadata, &attributes, settings.granularity),
        };
        let has_happened = self.happens(id, guarded(ops, there.map(|(rev, _)| rev))).await?;
        if has_happened {
            self.sessions.inner.counted.stood(&Ok(Stood::Written));
            store::save(&self.sessions, &id.as_bytes().into(), &metadata, &attributes).await?;
            if let (Some(_), Some(events)) = (values, &self.sessions.inner.events) {
                let session = ReadSession { id: id.to_owned(), metadata, attributes };
                events.written(session, there.map_or(Written::Created, |_| Written::Changed));
            }
        }
        Ok(has_happened)
    }

    /// Whether it happened. When not, or when nobody can tell, what is there says what to do.
    async fn happens(&self, id: &str, ops: Vec<Op>) -> Result<bool, SessionError> {
        match self.sessions.inner.map.write(Batch::new(id.as_bytes(), ops)).await {
            Ok(_) => Ok(true),
            Err(MapError::Unknown | MapError::Conflict { .. }) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }
}

fn values(attributes: &Attributes) -> Values {
    attributes.present().map(|(name, value)| (name.to_owned(), value.clone())).collect()
}

/// Nothing happens unless the metadata are those of this revision.
fn guarded(mut ops: Vec<Op>, rev: Option<Rev>) -> Vec<Op> {
    for op in &mut ops {
        if plan::is_metadata(op) {
            op.expect = rev.map_or(Expect::Absent, Expect::Rev);
        }
    }
    ops
}

#[cfg(test)]
mod tests;
