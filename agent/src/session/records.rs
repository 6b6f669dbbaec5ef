//! Sessions as whole records, for adapters of libraries whose stores load and save and know no
//! lock. They stand in their map as all sessions do.
//!
//! What such a store can promise is compare-and-set: a record remembers which write it was read
//! from, and is saved only while nobody else has written since.

use std::collections::BTreeMap;
use std::fmt;
use std::hash::{BuildHasher, RandomState};
use std::num::NonZeroU64;
use std::str::FromStr;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use muster_grid::batch::Entries;
use muster_grid::{Expect, Op, Rev};

use super::attributes::Attributes;
use super::error::SessionError;
use super::events::{End, Written};
use super::manager::Sessions;
use super::metadata::{Metadata, now_ms};
use super::plan::{self, Form, Parsed};
use super::read::ReadSession;
use super::request::is_possible;
use crate::checkouts::Stood;
use crate::engine::map::{Batch, MapError, Read};

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

/// Which write of a session a record was read from, under which number it writes itself, and what
/// it was when it was read. As text it travels within a record; it is good in this process only.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Revision {
    seen: u64,
    /// The write of this very copy: by it a copy may be saved twice.
    own: NonZeroU64,
    digest: u64,
}

/// A text that is no [`Revision`].
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("it is no revision")]
pub struct BadRevision;

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
            let metadata = written(None, own, ttl);
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
            if revision.is_some_and(|revision| !revision.is_of(kept.as_ref())) {
                return Err(SessionError::Lost);
            }
            let metadata = written(kept.as_ref(), own, ttl);
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
            (metadata.accessed_ms, metadata.max_inactive) = (now_ms(), ttl);
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
            if self.happens(id, guarded(plan::remove(&kept.entries), Some(kept.rev))).await? {
                let was = kept.entries.entries.iter().map(|(key, (value, _))| (key, value));
                self.sessions.inner.ended(id.as_bytes(), was, End::Invalidated);
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
        let entries = inner.map.get(id.as_bytes(), Read::Confirmed).await?;
        let Some(parsed) = plan::parse_group(&entries)? else { return Ok(None) };
        let Some(rev) = plan::metadata_rev(&entries) else { return Ok(None) };
        let Parsed { metadata, attributes, form } = parsed;
        Ok(Some(Kept { entries, rev, metadata, attributes, form }))
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

/// The metadata of a write under this number.
fn written(kept: Option<&Kept>, own: NonZeroU64, ttl: Option<Duration>) -> Metadata {
    let now = now_ms();
    let created_ms = kept.map_or(now, |kept| kept.metadata.created_ms);
    Metadata { created_ms, accessed_ms: now, max_inactive: ttl, commit: own.get() }
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

// === impl Revision ===

impl Revision {
    fn is_of(self, kept: Option<&Kept>) -> bool {
        kept.is_some_and(|kept| [self.seen, self.own.get()].contains(&kept.metadata.commit))
    }
}

impl fmt::Display for Revision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}{:016x}{:016x}", self.seen, self.own, self.digest)
    }
}

impl FromStr for Revision {
    type Err = BadRevision;

    fn from_str(text: &str) -> Result<Self, BadRevision> {
        let number = |range: std::ops::Range<usize>| {
            let digits = text.get(range)?;
            let is_hex = digits.bytes().all(|b| b.is_ascii_hexdigit());
            u64::from_str_radix(digits, 16).ok().filter(|_| is_hex)
        };
        let read = || {
            let (seen, own, digest) = (number(0..16)?, number(16..32)?, number(32..48)?);
            (text.len() == 48).then_some(Revision { seen, own: NonZeroU64::new(own)?, digest })
        };
        read().ok_or(BadRevision)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::session::{Finished, Granularity};

    const LONG: Option<Duration> = Some(Duration::from_secs(3600));

    fn records(granularity: Granularity) -> Records {
        Sessions::builder("shop").granularity(granularity).start().unwrap().records()
    }

    fn these(pairs: &[(&str, &str)]) -> Values {
        let pair = |(name, value): &(&str, &str)| {
            ((*name).to_owned(), Bytes::copy_from_slice(value.as_bytes()))
        };
        pairs.iter().map(pair).collect()
    }

    async fn both(act: impl AsyncFn(Records)) {
        for granularity in [Granularity::Session, Granularity::Attribute] {
            act(records(granularity)).await;
        }
    }

    #[tokio::test]
    async fn a_save_over_what_another_has_written_is_refused_and_changes_nothing() {
        both(async |records| {
            let (id, _) = records
                .create(|| records.mint(), &these(&[("a", "1"), ("b", "1")]), LONG)
                .await
                .unwrap();
            let one = records.load(&id).await.unwrap().unwrap();
            let other = records.load(&id).await.unwrap().unwrap();
            let two = these(&[("a", "2")]);
            records.save(&id, Some(one.revision), &two, LONG).await.unwrap();
            let refused = records.save(&id, Some(other.revision), &these(&[]), LONG).await;
            assert_eq!(refused, Err(SessionError::Lost));
            assert_eq!(records.load(&id).await.unwrap().unwrap().values, two);
        })
        .await;
    }

    #[tokio::test]
    async fn one_copy_is_saved_as_often_as_it_likes() {
        both(async |records| {
            let (id, created) = records.create(|| records.mint(), &these(&[]), LONG).await.unwrap();
            for value in ["1", "2", "3"] {
                let values = these(&[("a", value)]);
                records.save(&id, Some(created), &values, LONG).await.unwrap();
                assert_eq!(records.load(&id).await.unwrap().unwrap().values, values);
            }
            // What was read before is old, and so is the copy once another one was saved.
            let read = records.load(&id).await.unwrap().unwrap();
            records.save(&id, Some(read.revision), &these(&[("a", "4")]), LONG).await.unwrap();
            let late = records.save(&id, Some(created), &these(&[("a", "5")]), LONG).await;
            assert_eq!(late, Err(SessionError::Lost));
        })
        .await;
    }

    #[tokio::test]
    async fn a_record_that_is_as_it_was_read_keeps_the_session_alive_beside_a_write() {
        both(async |records| {
            let (id, _) =
                records.create(|| records.mint(), &these(&[("a", "1")]), LONG).await.unwrap();
            let reader = records.load(&id).await.unwrap().unwrap();
            let writer = records.load(&id).await.unwrap().unwrap();
            let day = Some(Duration::from_secs(24 * 3600));
            records.save(&id, Some(reader.revision), &reader.values, day).await.unwrap();
            records.save(&id, Some(writer.revision), &these(&[("a", "2")]), LONG).await.unwrap();
            records.save(&id, Some(reader.revision), &reader.values, day).await.unwrap();
            let kept = records.load(&id).await.unwrap().unwrap();
            assert_eq!(kept.values, these(&[("a", "2")]));
            assert!(kept.ends.unwrap() > SystemTime::now() + Duration::from_secs(23 * 3600));
        })
        .await;
    }

    #[tokio::test]
    async fn what_was_ended_is_not_brought_back_by_who_has_read_it() {
        both(async |records| {
            let (id, created) =
                records.create(|| records.mint(), &these(&[("a", "1")]), LONG).await.unwrap();
            assert_eq!(records.delete(&id).await, Ok(true));
            assert_eq!(records.delete(&id).await, Ok(false));
            let late = records.save(&id, Some(created), &these(&[("a", "2")]), LONG).await;
            assert_eq!(late, Err(SessionError::Lost));
            assert_eq!(records.touch(&id, LONG).await, Ok(false));
            assert_eq!(records.load(&id).await, Ok(None));
        })
        .await;
    }

    #[tokio::test(start_paused = true)]
    async fn a_record_ends_with_its_time() {
        both(async |records| {
            let minute = Some(Duration::from_secs(60));
            let (id, revision) =
                records.create(|| records.mint(), &these(&[("a", "1")]), minute).await.unwrap();
            tokio::time::advance(Duration::from_secs(40)).await;
            assert_eq!(records.touch(&id, minute).await, Ok(true));
            tokio::time::advance(Duration::from_secs(40)).await;
            assert!(records.load(&id).await.unwrap().is_some());
            tokio::time::advance(Duration::from_secs(21)).await;
            assert_eq!(records.load(&id).await, Ok(None));
            let late = records.save(&id, Some(revision), &these(&[]), minute).await;
            assert_eq!(late, Err(SessionError::Lost));
            let (id, revision) =
                records.create(|| records.mint(), &these(&[("a", "1")]), minute).await.unwrap();
            records.save(&id, Some(revision), &these(&[]), Some(Duration::ZERO)).await.unwrap();
            assert_eq!(records.load(&id).await, Ok(None));
        })
        .await;
    }

    #[tokio::test]
    async fn what_is_no_id_is_no_session_and_becomes_none() {
        let records = records(Granularity::Session);
        let upper = "A".repeat(32);
        for id in ["", "k7", "../../etc/passwd", &*upper, &"a".repeat(31), &"a".repeat(65)] {
            assert_eq!(records.load(id).await, Ok(None), "{id}");
            assert_eq!(records.save(id, None, &these(&[]), LONG).await, Err(SessionError::Lost));
            assert_eq!(records.delete(id).await, Ok(false));
        }
    }

    #[tokio::test]
    async fn an_id_that_is_somebodys_is_passed_over() {
        let records = records(Granularity::Session);
        let (taken, _) =
            records.create(|| records.mint(), &these(&[("a", "1")]), LONG).await.unwrap();
        let mut ids = [taken.clone(), "bad".to_owned(), records.mint()].into_iter();
        let other = records.create(|| ids.next().unwrap(), &these(&[]), LONG).await.unwrap();
        assert_ne!(other.0, taken);
        assert_eq!(records.load(&taken).await.unwrap().unwrap().values, these(&[("a", "1")]));
        let full = records.create(|| taken.clone(), &these(&[]), LONG).await;
        assert_eq!(full.unwrap_err(), SessionError::Unknown);
    }

    #[tokio::test]
    async fn a_cleared_record_stands_whatever_was_there_and_what_is_too_large_is_refused() {
        let sessions = Sessions::builder("shop").most_bytes(100).start().unwrap();
        let records = sessions.records();
        let (id, _) = records.create(|| records.mint(), &these(&[("a", "1")]), None).await.unwrap();
        records.save(&id, None, &these(&[("b", "2")]), None).await.unwrap();
        let kept = records.load(&id).await.unwrap().unwrap();
        assert_eq!((kept.values.clone(), kept.ends), (these(&[("b", "2")]), None));
        let large = these(&[("a", &"x".repeat(100))]);
        let refused = records.save(&id, Some(kept.revision), &large, None).await;
        assert!(matches!(refused, Err(SessionError::TooLarge { .. })));
        assert!(matches!(
            records.create(|| records.mint(), &large, None).await,
            Err(SessionError::TooLarge { .. })
        ));
        assert_eq!(records.load(&id).await.unwrap().unwrap().values, kept.values);
    }

    #[tokio::test]
    async fn a_record_is_a_session_as_all_others_are() {
        let records = records(Granularity::Session);
        let (id, _) = records.create(|| records.mint(), &these(&[("a", "1")]), LONG).await.unwrap();
        let request = records.sessions().request(Some(&id));
        let session = request.session().await.unwrap();
        assert_eq!(session.get_raw("a").unwrap(), Some(Bytes::from_static(b"1")));
        session.set_raw("a", Bytes::from_static(b"2")).unwrap();
        assert_eq!(request.finish().await, Ok(Finished::Same(id.clone())));
        assert_eq!(records.load(&id).await.unwrap().unwrap().values, these(&[("a", "2")]));
    }

    #[tokio::test]
    async fn records_are_counted_as_all_sessions_are() {
        let records = records(Granularity::Session);
        let (id, created) = records.create(|| records.mint(), &these(&[]), LONG).await.unwrap();
        records.save(&id, Some(created), &these(&[("a", "1")]), LONG).await.unwrap();
        let stats = records.sessions().stats();
        assert_eq!((stats.active, stats.created, stats.commits), (1, 1, 2));
        records.delete(&id).await.unwrap();
        let stats = records.sessions().stats();
        assert_eq!((stats.active, stats.created, stats.invalidated), (0, 1, 1));
    }

    #[test]
    fn a_revision_is_read_as_it_is_written() {
        let own = NonZeroU64::new(7).unwrap();
        let revision = Revision { seen: 1, own, digest: u64::MAX };
        assert_eq!(revision.to_string().parse(), Ok(revision));
        for bad in ["", "1", &"0".repeat(48), &"+".repeat(48), &"é".repeat(24)] {
            assert_eq!(bad.parse::<Revision>(), Err(BadRevision), "{bad}");
        }
    }
}
