//! Caches: typed values by typed keys, shared by the members of the cluster as the mode says.
//!
//! | file | idea |
//! |---|---|
//! | `builder` | settings, and the one cache of a name |
//! | `key` | keys and groups as names |
//! | `entry` | values with their revisions and times |
//! | `pages` | all entries, page by page |
//! | `events` | changes as they happen |
//! | `group` | several keys that stay together: batches |
//! | `lock` | a key group that is one caller's for a while |
//! | `error` | what can go wrong, in the user's words |

mod builder;
mod entry;
mod error;
mod events;
mod group;
mod key;
mod lock;
mod pages;

use std::marker::PhantomData;
use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::time::Instant;

use muster_grid::{Bytes, Expect, Op, Put, Rev};

use crate::cluster::codec;
use crate::cluster::{Group, Offer};
use crate::engine::map::{Batch as EngineBatch, MapError, Read};
use crate::engine::{Map, MapStats, Member, Mode, Token};
pub use builder::{CacheBuilder, CreateError, Mergeable};
pub use entry::{Entry, Lifetime};
pub use error::CacheError;
pub use events::{CacheEvent, CacheEvents, Scope};
pub use group::{Batch, KeyGroup};
use key::Name;
pub use lock::Lock;
pub use pages::{Entries, Found};

/// What a key can be. It must serialize the same each time: no hash maps, whose order is by chance.
/// As postcard it has at most 1,023 bytes.
pub trait Key: Serialize + DeserializeOwned + Send + Sync + 'static {}
impl<T: Serialize + DeserializeOwned + Send + Sync + 'static> Key for T {}

/// What a value can be. As postcard it has at most 8 MiB.
pub trait Value: Serialize + DeserializeOwned + Send + Sync + 'static {}
impl<T: Serialize + DeserializeOwned + Send + Sync + 'static> Value for T {}

/// What a cache is, whatever its types.
#[derive(Debug)]
pub(crate) struct CacheCore {
    pub(crate) map: MapHandle,
    group: Group,
    kinds: builder::Kinds,
    settings: builder::Settings,
    /// This member has the cache: the others may know.
    _offer: Offer,
}

/// A map that can be shown.
#[derive(Clone)]
pub(crate) struct MapHandle(pub(crate) Arc<dyn Map>);

/// A cache. Clones are the same one.
///
/// | mode | a put is acknowledged when | it is lost when |
/// |---|---|---|
/// | `Distributed` | every owner (2 as a rule) has it | all owners are lost at once |
/// | `Replicated` | every member has it | all members are lost at once |
/// | `Invalidated` | it stands here, and each other member has dropped its copy or left | this process ends |
/// | `Local` | it stands here | this process ends |
///
/// **Splits.** Without a cluster quorum both sides of a split go on taking writes. When they meet
/// and both have changed a key, [`Merging::PreferMajor`](crate::engine::Merging) keeps the larger
/// side's value: **the smaller side's acknowledged change is lost**, and counted. With a quorum the
/// smaller side answers [`CacheError::NotQuorate`] instead.
///
/// **Reads.** [`get`](Cache::get) sees all that was acknowledged before it began.
/// [`get_near`](Cache::get_near) and [`peek`](Cache::peek) read this member's copy: at once, but it
/// **may be old**, and they do not keep an entry from being idle.
///
/// An error of [`CacheError::Unknown`] means that a write may have happened or not: read before you
/// write again.
pub struct Cache<K, V> {
    core: Arc<CacheCore>,
    token: Option<Token>,
    types: PhantomData<fn(K) -> V>,
}

// === impl Cache: reading ===

impl<K: Key, V: Value> Cache<K, V> {
    fn new(core: Arc<CacheCore>) -> Self {
        Self { core, token: None, types: PhantomData }
    }

    fn map(&self) -> &dyn Map {
        &*self.core.map.0
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.map().spec().name
    }

    /// Its mode.
    #[must_use]
    pub fn mode(&self) -> Mode {
        self.map().spec().mode
    }

    /// The value; it sees all that was acknowledged before.
    ///
    /// # Errors
    /// See [`CacheError`].
    pub async fn get(&self, key: &K) -> Result<Option<V>, CacheError> {
        Ok(self.get_entry(key).await?.map(|entry| entry.value))
    }

    /// The value with its revision, for [`Cache::compare_and_set`].
    ///
    /// # Errors
    /// See [`CacheError`].
    pub async fn get_entry(&self, key: &K) -> Result<Option<Entry<V>>, CacheError> {
        let name = Name::of(key)?;
        let entries = self.map().get(&name, Read::Confirmed).await?;
        entries.entries.get(&[][..]).map(Entry::read).transpose()
    }

    /// The value as this member's copy has it, which may be old; where it has none, as
    /// [`Cache::get`].
    ///
    /// # Errors
    /// See [`CacheError`].
    pub async fn get_near(&self, key: &K) -> Result<Option<V>, CacheError> {
        let name = Name::of(key)?;
        match self.map().peek(&name, &[]) {
            Some(value) => Ok(value.map(|value| codec::decode(&value)).transpose()?),
            None => self.get(key).await,
        }
    }

    /// The value as this member's copy has it, at once; it may be old. None also where this member
    /// has no copy.
    ///
    /// # Errors
    /// When the key cannot be written or the value not be read.
    pub fn peek(&self, key: &K) -> Result<Option<V>, CacheError> {
        let name = Name::of(key)?;
        let value = self.map().peek(&name, &[]).flatten();
        Ok(value.map(|value| codec::decode(&value)).transpose()?)
    }

    /// Whether there is one.
    ///
    /// # Errors
    /// See [`CacheError`].
    pub async fn contains(&self, key: &K) -> Result<bool, CacheError> {
        let name = Name::of(key)?;
        Ok(self.map().get(&name, Read::Confirmed).await?.entries.contains_key(&[][..]))
    }

    /// All entries, those of key groups too, page by page. What is there all the while comes exactly
    /// once; what comes or goes meanwhile may or may not.
    #[must_use]
    pub fn entries(&self) -> Entries<K, V> {
        Entries::new(self.core.map.clone())
    }

    /// How many entries there are. It reads them all: for people, not for programs.
    ///
    /// # Errors
    /// See [`CacheError`].
    pub async fn len(&self) -> Result<usize, CacheError> {
        let (mut entries, mut len) = (self.entries(), 0);
        while entries.skip_page(&mut len).await? {}
        Ok(len)
    }

    /// Whether there is none. As [`Cache::len`].
    ///
    /// # Errors
    /// See [`CacheError`].
    pub async fn is_empty(&self) -> Result<bool, CacheError> {
        Ok(self.len().await? == 0)
    }
}

// === impl Cache: writing ===

impl<K: Key, V: Value> Cache<K, V> {
    /// Puts a value, with the cache's times.
    ///
    /// # Errors
    /// See [`CacheError`].
    pub async fn put(&self, key: &K, value: &V) -> Result<Rev, CacheError> {
        self.put_for(key, value, Lifetime::default()).await
    }

    /// Puts a value with times of its own.
    ///
    /// # Errors
    /// See [`CacheError`].
    pub async fn put_for(&self, key: &K, value: &V, life: Lifetime) -> Result<Rev, CacheError> {
        let name = Name::of(key)?;
        self.write(&name, Expect::Any, Some(self.value(value, life)?)).await
    }

    /// Puts a value where there is none. False: there is one, and nothing was changed.
    ///
    /// # Errors
    /// See [`CacheError`].
    pub async fn put_if_absent(&self, key: &K, value: &V) -> Result<bool, CacheError> {
        let (name, value) = (Name::of(key)?, self.value(value, Lifetime::default())?);
        happened(self.write(&name, Expect::Absent, Some(value)).await).map(|rev| rev.is_some())
    }

    /// Puts a value where the present one has this revision. None: it has another, or is gone, and
    /// nothing was changed.
    ///
    /// # Errors
    /// See [`CacheError`].
    pub async fn compare_and_set(
        &self,
        key: &K,
        rev: Rev,
        value: &V,
    ) -> Result<Option<Rev>, CacheError> {
        let (name, value) = (Name::of(key)?, self.value(value, Lifetime::default())?);
        happened(self.write(&name, Expect::Rev(rev), Some(value)).await)
    }

    /// Puts a value where the present one equals `old`. False: it does not, and nothing was changed.
    ///
    /// # Errors
    /// See [`CacheError`].
    pub async fn replace(&self, key: &K, old: &V, new: &V) -> Result<bool, CacheError>
    where
        V: PartialEq,
    {
        match self.get_entry(key).await? {
            Some(entry) if entry.value == *old => {
                Ok(self.compare_and_set(key, entry.rev, new).await?.is_some())
            }
            _ => Ok(false),
        }
    }

    /// Changes a value by what it is: `change` gets the present one and says what shall be, where
    /// none means that it shall be gone. It is called again when another was quicker, and its last
    /// answer is what stands.
    ///
    /// # Errors
    /// See [`CacheError`]; [`CacheError::Busy`] when others were quicker until the deadline.
    pub async fn update(
        &self,
        key: &K,
        mut change: impl FnMut(Option<V>) -> Option<V>,
    ) -> Result<Option<V>, CacheError> {
        let name = Name::of(key)?;
        let ends = Instant::now() + self.map().spec().deadline;
        for tries in 0_u32.. {
            let present = self.get_entry(key).await?;
            let expect = present.as_ref().map_or(Expect::Absent, |entry| Expect::Rev(entry.rev));
            let next = change(present.map(|entry| entry.value));
            let put =
                next.as_ref().map(|value| self.value(value, Lifetime::default())).transpose()?;
            if put.is_none() && expect == Expect::Absent {
                return Ok(None);
            }
            if happened(self.write(&name, expect, put).await)?.is_some() {
                return Ok(next);
            }
            if Instant::now() >= ends {
                break;
            }
            tokio::time::sleep(pause(tries)).await;
        }
        Err(CacheError::Busy)
    }

    /// Removes a value, if there is one.
    ///
    /// # Errors
    /// See [`CacheError`].
    pub async fn remove(&self, key: &K) -> Result<(), CacheError> {
        let name = Name::of(key)?;
        self.write(&name, Expect::Any, None).await.map(|_| ())
    }

    /// Removes a value and gives what was removed.
    ///
    /// # Errors
    /// See [`CacheError`].
    pub async fn take(&self, key: &K) -> Result<Option<V>, CacheError> {
        let mut taken = None;
        self.update(key, |present| {
            taken = present;
            None
        })
        .await?;
        Ok(taken)
    }

    /// Removes all entries that are there when it begins; each group of them at its own moment.
    ///
    /// # Errors
    /// See [`CacheError`]; some entries may be gone then.
    pub async fn clear(&self) -> Result<(), CacheError> {
        Ok(self.map().clear().await?)
    }

    /// The same cache, whose writes carry a token, such as a lease's: once a group of entries has
    /// seen a greater one, they change nothing and answer [`CacheError::Fenced`].
    #[must_use]
    pub fn fenced_by(&self, token: Token) -> Self {
        Self { token: Some(token), ..self.clone() }
    }

    async fn write(
        &self,
        group: &[u8],
        expect: Expect,
        put: Option<Put>,
    ) -> Result<Rev, CacheError> {
        let op = Op { key: Bytes::default(), expect, put };
        let batch = EngineBatch { token: self.token, ..EngineBatch::new(group, vec![op]) };
        Ok(self.map().write(batch).await?)
    }

    fn value(&self, value: &V, life: Lifetime) -> Result<Put, CacheError> {
        self.core.settings.put(value, life)
    }
}

/// A conflict is an answer where it was asked for.
fn happened(written: Result<Rev, CacheError>) -> Result<Option<Rev>, CacheError> {
    match written {
        Ok(rev) => Ok(Some(rev)),
        Err(CacheError::Conflict { .. }) => Ok(None),
        Err(error) => Err(error),
    }
}

/// How long to wait after so many tries: at random, so that two do not go on meeting.
fn pause(tries: u32) -> Duration {
    let most = 50 << tries.min(8);
    Duration::from_micros(rand::random_range(0..most))
}

// === impl Cache: groups, changes, figures ===

impl<K: Key, V: Value> Cache<K, V> {
    /// Keys that stay together: on the same owners, changed by one batch, locked by one lock. A key
    /// of a group is another than the same key outside of it.
    ///
    /// # Errors
    /// When the name has more than 1,023 bytes.
    pub fn group(&self, name: &str) -> Result<KeyGroup<K, V>, CacheError> {
        KeyGroup::new(self.clone(), Name::of_group(name)?)
    }

    /// The lock of one key, and its value: see [`KeyGroup::lock`]. Within it the key is written as
    /// `&()`.
    ///
    /// # Errors
    /// See [`CacheError`]; [`CacheError::Locked`] when another had it to the end of the wait.
    pub async fn lock(
        &self,
        key: &K,
        wait: Duration,
        hold: Duration,
    ) -> Result<Lock<(), V>, CacheError> {
        Lock::take(&self.core, &Name::of(key)?, wait, hold).await
    }

    /// Changes from now on.
    #[must_use]
    pub fn events(&self, scope: Scope) -> CacheEvents<K, V> {
        CacheEvents::new(self.map().watch(scope.into()))
    }

    /// The members that have this cache.
    #[must_use]
    pub fn members(&self) -> Group {
        self.core.group.clone()
    }

    /// Who keeps a key's entry, the primary first.
    ///
    /// # Errors
    /// When the key cannot be written.
    pub fn owners(&self, key: &K) -> Result<Vec<Member>, CacheError> {
        Ok(self.map().owners(&Name::of(key)?))
    }

    /// What it has done on this member.
    #[must_use]
    pub fn stats(&self) -> MapStats {
        self.map().stats()
    }
}

impl<K, V> Clone for Cache<K, V> {
    fn clone(&self) -> Self {
        Self { core: self.core.clone(), token: self.token, types: PhantomData }
    }
}

impl<K, V> std::fmt::Debug for Cache<K, V> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Cache").field(&self.core.map).finish()
    }
}

impl std::fmt::Debug for MapHandle {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.0.spec())
    }
}

impl From<MapError> for CacheError {
    fn from(error: MapError) -> Self {
        Self::of(error)
    }
}
