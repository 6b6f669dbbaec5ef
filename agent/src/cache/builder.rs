//! Settings of a cache, and the one cache of a name.

use std::any::{TypeId, type_name};
use std::marker::PhantomData;
use std::sync::Arc;
use std::time::Duration;

use muster_grid::{Bytes, Put};
use serde::Serialize;
use thiserror::Error;

use super::entry::Lifetime;
use super::error::CacheError;
use super::{Cache, CacheCore, Key, MapHandle, Value};
use crate::cluster::{Cluster, OfferError, codec};
use crate::engine::EngineError;
use crate::engine::map::{MapSpec, Memory, Merging, Mode};
use crate::wall;

/// Bytes of a cache's name at most.
const MOST_NAME: usize = 128;

/// Two values of one key become one, after both sides of a split have written it.
pub trait Mergeable {
    /// What becomes of both. It must be the same whichever is the first.
    #[must_use]
    fn merged(self, other: Self) -> Self;
}

/// Settings of a cache. What is not set is as the process's present cache of that name has it, or
/// as the default says.
#[derive(Debug)]
#[must_use]
pub struct CacheBuilder<K, V> {
    cluster: Cluster,
    name: String,
    mode: Option<Mode>,
    ttl: Option<Duration>,
    max_idle: Option<Duration>,
    merging: Option<Merging>,
    deadline: Option<Duration>,
    watch_capacity: Option<usize>,
    memory: Option<Memory>,
    types: PhantomData<fn() -> (K, V)>,
}

/// Which types a cache has.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Kinds {
    ids: (TypeId, TypeId),
    names: (&'static str, &'static str),
}

/// What a cache says of every put.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Settings {
    life: Lifetime,
    /// Whether the writer's clock counts at a merge.
    is_stamped: bool,
}

/// Why there is no cache.
#[derive(Clone, PartialEq, Eq, Debug, Error)]
pub enum CreateError {
    /// A setting is not possible, or another than the present cache's.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// The present cache of that name has other types.
    #[error("cache {name:?} is there already with keys {key} and values {value}")]
    Types {
        /// Its name.
        name: String,
        /// The type of its keys.
        key: &'static str,
        /// The type of its values.
        value: &'static str,
    },
    /// The present cache of that name has other times.
    #[error("cache {name:?} is there already with other times: {present:?}")]
    Times {
        /// Its name.
        name: String,
        /// Its times.
        present: Lifetime,
    },
    /// Too many caches.
    #[error(transparent)]
    Offer(#[from] OfferError),
}

// === impl CacheBuilder ===

impl<K: Key, V: Value> CacheBuilder<K, V> {
    pub(crate) fn new(cluster: Cluster, name: &str) -> Self {
        Self {
            cluster,
            name: name.to_owned(),
            mode: None,
            ttl: None,
            max_idle: None,
            merging: None,
            deadline: None,
            watch_capacity: None,
            memory: None,
            types: PhantomData,
        }
    }

    /// Where entries are kept: see [`Cache`] for what each mode promises. Default: `Distributed`.
    pub fn mode(mut self, mode: Mode) -> Self {
        self.mode = Some(mode);
        self
    }

    /// Entries go so long after they were put. Default: they stay.
    pub fn ttl(mut self, ttl: Duration) -> Self {
        self.ttl = Some(ttl);
        self
    }

    /// Entries go when they were neither read nor put for so long. Default: they stay.
    pub fn max_idle(mut self, idle: Duration) -> Self {
        self.max_idle = Some(idle);
        self
    }

    /// Which of two values stays when both sides of a split wrote a key. Default: the larger
    /// side's; **the other's change is lost then**. A key that one side removed comes back if the
    /// other still has it. [`Merging::Custom`] is given bytes; see
    /// [`merge_values`](CacheBuilder::merge_values).
    pub fn merge(mut self, merging: Merging) -> Self {
        self.merging = Some(merging);
        self
    }

    /// Two values become one as their type says.
    pub fn merge_values(self) -> Self
    where
        V: Mergeable,
    {
        self.merge(Merging::Custom(merged::<V>))
    }

    /// How long an operation tries before it says so. Default: 10 s.
    pub fn deadline(mut self, deadline: Duration) -> Self {
        self.deadline = Some(deadline);
        self
    }

    /// Changes that a slow listener may be behind before it misses some. Default: 4,096.
    pub fn watch_capacity(mut self, changes: usize) -> Self {
        self.watch_capacity = Some(changes);
        self
    }

    /// How many entries and key groups this member keeps in memory, and where the values of the rest
    /// go: see [`MapSpec::memory`]. Default: all are in memory.
    pub fn memory(mut self, memory: Memory) -> Self {
        self.memory = Some(memory);
        self
    }

    /// This process's cache of that name, created if there is none; the cluster's members share
    /// what they have under one name.
    ///
    /// # Errors
    /// See [`CreateError`]; nothing was changed then.
    pub fn create(self) -> Result<Cache<K, V>, CreateError> {
        let cluster = self.cluster.clone();
        let mut caches = cluster.caches().lock();
        if let Some(core) = caches.get(&self.name) {
            self.check(core)?;
            return Ok(Cache::new(core.clone()));
        }
        let spec = self.spec(&MapSpec::new(&self.name, Mode::default()));
        if self.name.is_empty() || self.name.len() > MOST_NAME {
            spec.check()?;
        }
        let life = Lifetime { ttl: self.ttl, max_idle: self.max_idle };
        let is_stamped = !matches!(spec.merging, Merging::PreferMajor);
        let offer = cluster.services().offer(&service_of(&self.name))?;
        let map = cluster.engine().map(spec)?;
        let core = Arc::new(CacheCore {
            map: MapHandle(map),
            group: cluster.group_of(&service_of(&self.name)),
            kinds: Kinds::of::<K, V>(),
            settings: Settings { life, is_stamped },
            _offer: offer,
        });
        caches.insert(self.name, core.clone());
        Ok(Cache::new(core))
    }

    /// Another name of [`create`](CacheBuilder::create), as other cache libraries have it.
    ///
    /// # Errors
    /// As for `create`.
    pub fn lookup_or_create(self) -> Result<Cache<K, V>, CreateError> {
        self.create()
    }

    /// What was set, and the rest as another says.
    fn spec(&self, rest: &MapSpec) -> MapSpec {
        MapSpec {
            name: self.name.clone(),
            mode: self.mode.unwrap_or(rest.mode),
            merging: self.merging.unwrap_or(rest.merging),
            deadline: self.deadline.unwrap_or(rest.deadline),
            watch_capacity: self.watch_capacity.unwrap_or(rest.watch_capacity),
            memory: self.memory.clone().or_else(|| rest.memory.clone()),
        }
    }

    fn check(&self, core: &CacheCore) -> Result<(), CreateError> {
        let (present, name) = (core.map.0.spec(), self.name.clone());
        if core.kinds != Kinds::of::<K, V>() {
            let (key, value) = core.kinds.names;
            return Err(CreateError::Types { name, key, value });
        }
        if !present.agrees(&self.spec(present)) {
            let present = present.to_string();
            return Err(EngineError::Different { kind: "cache", name, present }.into());
        }
        let life = core.settings.life;
        let is_other = |wanted: Option<Duration>, present| wanted.is_some() && wanted != present;
        if is_other(self.ttl, life.ttl) || is_other(self.max_idle, life.max_idle) {
            return Err(CreateError::Times { name, present: life });
        }
        Ok(())
    }
}

/// The service that a member with a cache offers.
pub(crate) fn service_of(cache: &str) -> String {
    format!("cache:{cache}")
}

fn merged<V: Value + Mergeable>(_: &[u8], ours: &Bytes, theirs: &Bytes) -> Bytes {
    let both = codec::decode::<V>(ours).and_then(|ours| Ok((ours, codec::decode::<V>(theirs)?)));
    match both.and_then(|(ours, theirs)| codec::encode(&ours.merged(theirs))) {
        Ok(bytes) => bytes.into(),
        // What one side cannot read it cannot judge: the value that is here stays.
        Err(_) => ours.clone(),
    }
}

// === impl Settings ===

impl Settings {
    /// A value as it is put.
    pub(super) fn put<V: Serialize>(&self, value: &V, life: Lifetime) -> Result<Put, CacheError> {
        let value = codec::encode(value)?.into();
        let stamp = if self.is_stamped { wall::ms() } else { 0 };
        let ttl = life.ttl.or(self.life.ttl);
        let idle = life.max_idle.or(self.life.max_idle);
        Ok(Put { ttl, idle, stamp, ..Put::of(value) })
    }
}

// === impl Kinds ===

impl Kinds {
    fn of<K: 'static, V: 'static>() -> Self {
        let ids = (TypeId::of::<K>(), TypeId::of::<V>());
        Self { ids, names: (type_name::<K>(), type_name::<V>()) }
    }
}
