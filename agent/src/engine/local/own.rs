//! A map of one process: all of it in memory, or not all.

use std::sync::{Arc, Weak};

use muster_grid::Bytes;
use tokio::runtime::Handle;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::lone::{CACHE, Lone};
use super::map::LocalMap;
use crate::engine::embedded::SharedMap;
use crate::engine::group::Group;
use crate::engine::map::{Map, MapSpec};

/// A map of one process.
pub(crate) enum Own {
    /// All is in memory.
    Whole(Arc<LocalMap>),
    /// What was used longest ago is on a shelf.
    Bounded(Arc<SharedMap<Lone>>),
}

/// A map that may have gone.
pub(crate) enum WeakOwn {
    Whole(Weak<LocalMap>),
    Bounded(Weak<SharedMap<Lone>>),
}

/// A map of this process, whose timers run until it is dropped or the engine is closed. What an
/// earlier process left on its shelf is in it when this returns.
pub(crate) fn own(
    spec: MapSpec,
    group: Arc<dyn Group>,
    closed: CancellationToken,
    runtime: &Handle,
) -> Own {
    let Some(memory) = spec.memory.clone() else {
        return Own::Whole(LocalMap::start(spec, group, closed, runtime));
    };
    let name = spec.name.clone();
    let lone = Lone::start(group.life(), closed.clone(), runtime);
    let restored = watch::channel(true).1;
    let map = SharedMap::start(spec, lone, CACHE, group, restored, closed);
    map.rows().give_back(map.space(), &name, &*memory.shelf);
    Own::Bounded(map)
}

// === impl Own ===

impl Own {
    /// As every map is asked.
    pub(crate) fn map(&self) -> Arc<dyn Map> {
        match self {
            Self::Whole(map) => map.clone(),
            Self::Bounded(map) => map.clone(),
        }
    }

    /// The same, borrowed.
    pub(crate) fn map_ref(&self) -> &dyn Map {
        match self {
            Self::Whole(map) => &**map,
            Self::Bounded(map) => &**map,
        }
    }

    /// Drops entries without a word to anybody: what another member changed is stale here.
    pub(crate) fn evict(&self, group: &[u8], keys: &[Bytes]) {
        match self {
            Self::Whole(map) => map.evict(group, keys),
            Self::Bounded(map) => map.rows().evict(map.space(), group, keys),
        }
    }

    /// Drops everything in the same way.
    pub(crate) fn evict_all(&self) {
        match self {
            Self::Whole(map) => map.evict_all(),
            Self::Bounded(map) => map.rows().evict_all(map.space()),
        }
    }

    pub(crate) fn downgrade(&self) -> WeakOwn {
        match self {
            Self::Whole(map) => WeakOwn::Whole(Arc::downgrade(map)),
            Self::Bounded(map) => WeakOwn::Bounded(Arc::downgrade(map)),
        }
    }
}

// === impl WeakOwn ===

impl WeakOwn {
    /// The map, if it is still there.
    pub(crate) fn upgrade(&self) -> Option<Own> {
        match self {
            Self::Whole(map) => map.upgrade().map(Own::Whole),
            Self::Bounded(map) => map.upgrade().map(Own::Bounded),
        }
    }
}
