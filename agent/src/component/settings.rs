//! What a kind of component may choose.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;
use thiserror::Error;

use super::manager::Components;
use super::stats::Tally;
use crate::Cluster;
use crate::engine::map::{Memory, Shelf, Watch};
use crate::engine::{Engine, EngineError, Local, MapSpec, Mode};

/// What happens to a component at its way in or out.
type Hook<T> = Arc<dyn Fn(&mut T) + Send + Sync>;

/// Settings of a kind of component; [`Components::builder`] begins.
#[must_use]
pub struct ComponentsBuilder<T> {
    name: String,
    cluster: Option<Cluster>,
    is_passivation_capable: Option<bool>,
    mode: Mode,
    memory: Option<Memory>,
    settings: Settings<T>,
}

/// What holds for every component of a kind.
pub(super) struct Settings<T> {
    pub(super) idle: Option<Duration>,
    pub(super) lock_wait: Duration,
    pub(super) longest_call: Duration,
    pub(super) most_bytes: usize,
    pub(super) on_activate: Option<Hook<T>>,
    pub(super) on_passivate: Option<Hook<T>>,
}

/// Why there are no components of a kind.
#[derive(Clone, PartialEq, Eq, Debug, Error)]
pub enum CreateComponentsError {
    /// A setting is out of its bounds.
    #[error("{field} has the bad value {value}: {why}")]
    BadValue {
        /// Which setting.
        field: &'static str,
        /// Its value.
        value: String,
        /// What would be right.
        why: &'static str,
    },
    /// The engine does not give the map.
    #[error("there are no components {name:?}")]
    Engine {
        /// The kind's name.
        name: String,
        /// Why.
        #[source]
        error: EngineError,
    },
}

// === impl ComponentsBuilder ===

impl<T: Serialize + DeserializeOwned + Send + 'static> ComponentsBuilder<T> {
    pub(super) fn new(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            cluster: None,
            is_passivation_capable: None,
            mode: Mode::Distributed,
            memory: None,
            settings: Settings {
                idle: Some(Duration::from_secs(30 * 60)),
                lock_wait: Duration::from_secs(10),
                longest_call: Duration::from_secs(5 * 60),
                most_bytes: 1 << 20,
                on_activate: None,
                on_passivate: None,
            },
        }
    }

    /// The cluster that this process is a member of. Without one components are this process's own.
    pub fn cluster(mut self, cluster: &Cluster) -> Self {
        self.cluster = Some(cluster.clone());
        self
    }

    /// Whether components are kept by other members too and may be passivated. Without, they are
    /// this member's own: another member does not find them, they end with this process, and the
    /// hooks are not called. Default: what the cluster says for all
    /// ([`ClusterBuilder::passivation_capable`](crate::ClusterBuilder::passivation_capable)).
    pub fn passivation_capable(mut self, is_capable: bool) -> Self {
        self.is_passivation_capable = Some(is_capable);
        self
    }

    /// How many components this member keeps in memory, copies of other members' components among
    /// them, and the store to which the least recently used of the others go (mostly a
    /// [`FileShelf`](crate::FileShelf)). They come back when they are called. No component is refused
    /// for it, and where the store is full or broken they stay in memory, which is logged and
    /// counted. It needs a cluster; those that are not
    /// [capable of it](ComponentsBuilder::passivation_capable) stay in memory. Default: all are in
    /// memory.
    pub fn max_active(mut self, most: usize, store: impl Shelf + 'static) -> Self {
        let shelf = Arc::new(store);
        self.memory = Some(Memory { most_groups: most, shelf, write_through: false });
        self
    }

    /// Where components are kept. Default: [`Mode::Distributed`], with the owners of the cluster's
    /// settings.
    pub fn mode(mut self, mode: Mode) -> Self {
        self.mode = mode;
        self
    }

    /// A component is removed when it was not called for so long. Default: 30 minutes; `None`:
    /// never.
    pub fn idle_timeout(mut self, idle: Option<Duration>) -> Self {
        self.settings.idle = idle;
        self
    }

    /// How long a call waits for a component that another has. Default: 10 s.
    pub fn lock_wait(mut self, wait: Duration) -> Self {
        self.settings.lock_wait = wait;
        self
    }

    /// After so long a component is another call's to take, and the commit of this one is refused.
    /// Default: 5 minutes.
    pub fn longest_call(mut self, longest: Duration) -> Self {
        self.settings.longest_call = longest;
        self
    }

    /// Bytes of a component at most. Default: 1 MiB.
    pub fn most_bytes(mut self, most: usize) -> Self {
        self.settings.most_bytes = most;
        self
    }

    /// Is called with each component that was read, on whatever member, before anybody sees it:
    /// to bring back what is not kept. What it changes is kept by the call's commit.
    pub fn on_activate(mut self, hook: impl Fn(&mut T) + Send + Sync + 'static) -> Self {
        self.settings.on_activate = Some(Arc::new(hook));
        self
    }

    /// Is called with each component before it is written for its owners. What it changes is
    /// written too.
    pub fn on_passivate(mut self, hook: impl Fn(&mut T) + Send + Sync + 'static) -> Self {
        self.settings.on_passivate = Some(Arc::new(hook));
        self
    }

    /// The components. It must be called within a tokio runtime.
    ///
    /// # Errors
    /// See [`CreateComponentsError`].
    pub fn start(mut self) -> Result<Components<T>, CreateComponentsError> {
        self.check()?;
        let engine: Arc<dyn Engine> = match &self.cluster {
            Some(cluster) => cluster.engine().clone(),
            None => Arc::new(Local::new(&self.name)),
        };
        let by_default = self.cluster.as_ref().is_none_or(Cluster::is_passivation_capable);
        let is_capable = self.is_passivation_capable.unwrap_or(by_default);
        if !is_capable {
            (self.settings.on_activate, self.settings.on_passivate) = (None, None);
        }
        let mode = if is_capable { self.mode } else { Mode::Local };
        let memory = self.memory.take().filter(|_| is_capable);
        let spec = MapSpec { memory, ..MapSpec::new(&format!("bean/{}", self.name), mode) };
        let map = engine.map(spec);
        let engine_says = |error| CreateComponentsError::Engine { name: self.name.clone(), error };
        let map = map.map_err(engine_says)?;
        // A map counts what is over for those who watch, and goes on when they do not any more.
        drop(map.watch(Watch::Ends));
        let tally = match &self.cluster {
            Some(cluster) => cluster.tally(&self.name, || Tally::new(&map)),
            None => Arc::new(Tally::new(&map)),
        };
        Ok(Components::over(self.name, engine, map, self.settings, tally))
    }

    fn check(&self) -> Result<(), CreateComponentsError> {
        let bad =
            |field, value: String, why| Err(CreateComponentsError::BadValue { field, value, why });
        let Settings { idle, longest_call, most_bytes, .. } = &self.settings;
        if !(1..=100).contains(&self.name.len()) {
            return bad("name", format!("{:?}", self.name), "it has 1 to 100 bytes");
        }
        if matches!(self.mode, Mode::Local | Mode::Invalidated) {
            let why = "components are distributed or replicated; see passivation_capable";
            return bad("mode", format!("{:?}", self.mode), why);
        }
        if idle.is_some_and(|idle| idle.is_zero()) {
            return bad("idle_timeout", "0".to_owned(), "it is longer than nothing");
        }
        if longest_call.is_zero() {
            return bad("longest_call", "0".to_owned(), "it is longer than nothing");
        }
        if !(1..=8 << 20).contains(most_bytes) {
            return bad("most_bytes", most_bytes.to_string(), "it is 1 to 8388608");
        }
        Ok(())
    }
}

impl<T> fmt::Debug for ComponentsBuilder<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ComponentsBuilder").field("name", &self.name).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_bad_setting_is_refused_by_its_name() {
        let told = |builder: ComponentsBuilder<u8>| builder.start().unwrap_err().to_string();
        let builder = Components::<u8>::builder;
        assert!(told(builder("")).starts_with("name has the bad value \"\""));
        assert!(told(builder("a").mode(Mode::Invalidated)).starts_with("mode has the bad value"));
        let none = Duration::ZERO;
        assert!(told(builder("a").idle_timeout(Some(none))).starts_with("idle_timeout has"));
        assert!(told(builder("a").longest_call(none)).starts_with("longest_call has"));
        assert!(told(builder("a").most_bytes(9 << 20)).starts_with("most_bytes has"));
    }
}
