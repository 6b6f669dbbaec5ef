//! What the configuration makes of traffic, as one value: a reload replaces it whole, so that
//! nobody ever sees half of one configuration and half of another.
//!
//! A connection looks at it when it comes in, and our own engine once more for each request;
//! connections of the other engine keep the world that they came into. It costs one load of an
//! `ArcSwap`, and touches no counter that another thread touches.

use std::sync::Arc;

use arc_swap::{ArcSwap, Guard};

use crate::access_log::AccessLog;
use crate::caps::Caps;
use crate::config::Config;
use crate::config::listen::Engine as Wanted;
use crate::door::Entrance;
use crate::engine::pingora::PingoraEngine;
use crate::proxy::Edge;
use crate::tls::TlsFront;

/// The world, and whatever a reload puts in its place.
#[derive(Clone)]
pub(crate) struct Worlds(Arc<ArcSwap<World>>);

/// Policy, engines and doors by one reading of the configuration.
pub(crate) struct World {
    pub(crate) edge: Arc<Edge>,
    pub(crate) pingora: Arc<PingoraEngine>,
    /// Who serves HTTP/1.
    pub(crate) wanted: Wanted,
    /// Idle connections to nodes that each worker may keep.
    pub(crate) idle: usize,
    /// The rules of the public listeners.
    pub(crate) plain: Arc<Entrance>,
    /// Those of the listeners with TLS; without certificates there are none.
    pub(crate) secure: Option<Arc<Entrance>>,
    caps: Arc<Caps>,
}

// === impl World ===

impl World {
    /// The first one.
    pub(crate) fn new(edge: Edge, config: &Config, front: Option<TlsFront>) -> World {
        let edge = Arc::new(edge);
        let http = &config.http;
        let refused = edge.metrics.capped.clone();
        let caps =
            Caps::new(http.max_connections_per_address, http.trusted_proxies.clone(), refused);
        let pingora = Arc::new(PingoraEngine::new(edge.clone(), config));
        World::with(edge, pingora, caps, config, front)
    }

    /// What a reload makes of it. What the configuration says again stays as it is.
    pub(crate) fn after_reload(
        &self,
        old: &Config,
        new: &Config,
        front: Option<TlsFront>,
        access: Option<Arc<AccessLog>>,
    ) -> World {
        let http = &new.http;
        let is_same = old.http == *http
            && old.upstream == new.upstream
            && old.retry == new.retry
            && old.rate_limits == new.rate_limits
            && old.log == new.log;
        let (edge, pingora) = match is_same {
            true => (self.edge.clone(), self.pingora.clone()),
            false => {
                let edge = Arc::new(self.edge.after_reload(old, new, access));
                (edge.clone(), Arc::new(self.pingora.after_reload(edge, new)))
            }
        };
        let (most, uncounted) = (http.max_connections_per_address, http.trusted_proxies.clone());
        let caps = self.caps.after_reload(most, uncounted);
        let mut world = World::with(edge, pingora, caps, new, front);
        // Who waits in the backlog of a listener that goes is still served as it was.
        world.secure = world.secure.or_else(|| self.secure.clone());
        world
    }

    fn with(
        edge: Arc<Edge>,
        pingora: Arc<PingoraEngine>,
        caps: Arc<Caps>,
        config: &Config,
        front: Option<TlsFront>,
    ) -> World {
        let entrance = |tls| {
            Arc::new(Entrance {
                tls,
                caps: caps.clone(),
                proxies: config.http.proxy_protocol_from.clone(),
                header_timeout: config.http.header_timeout,
            })
        };
        World {
            edge,
            pingora,
            wanted: config.http.engine,
            idle: config.upstream.idle_connections.div_ceil(config.threads.max(1)),
            plain: entrance(None),
            secure: front.map(|front| entrance(Some(front))),
            caps,
        }
    }
}

// === impl Worlds ===

impl Worlds {
    pub(crate) fn new(world: World) -> Worlds {
        Worlds(Arc::new(ArcSwap::from_pointee(world)))
    }

    /// The world as it is now; not to be kept over a wait.
    pub(crate) fn now(&self) -> Guard<Arc<World>> {
        self.0.load()
    }

    /// The same, to be kept.
    pub(crate) fn kept(&self) -> Arc<World> {
        self.0.load_full()
    }

    /// From now on it is this one.
    pub(crate) fn replace(&self, world: World) {
        self.0.store(Arc::new(world));
    }
}

impl std::fmt::Debug for Worlds {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Worlds")
    }
}
