//! The applications with sessions, kinds of components and single sign-ons that this process has, and
//! what they count.

use std::sync::{Arc, Weak};

use super::Cluster;
use crate::component::{ComponentStats, Tally};
use crate::manage::Counted;
use crate::session::{CreateSessionsError, Sessions};
use crate::sso::SsoStats;

impl Cluster {
    /// The sessions of the applications that this process serves in this cluster, by their names.
    #[must_use]
    pub fn sessions(&self) -> Vec<Sessions> {
        self.inner.sessions.lock().values().filter_map(Sessions::upgrade).collect()
    }

    /// The kinds of stateful components that this process has in this cluster, by their names, and
    /// what it has done with them.
    #[must_use]
    pub fn components(&self) -> Vec<(String, ComponentStats)> {
        let all = self.inner.components.lock();
        let live = |(name, tally): (&String, &Weak<Tally>)| Some((name.clone(), tally.upgrade()?));
        all.iter().filter_map(live).map(|(name, tally)| (name, tally.stats())).collect()
    }

    /// The single sign-ons that this process takes part in, by their names, and what it has done
    /// with their identities.
    #[must_use]
    pub fn identities(&self) -> Vec<(String, SsoStats)> {
        let stats = |(name, counted)| match counted {
            Counted::Identities(stats) => Some((name, stats)),
            Counted::Sessions(_) | Counted::Components(_) => None,
        };
        self.inner.tallies.all().into_iter().filter_map(stats).collect()
    }

    /// What is counted of a kind of component, in one place for all that ask.
    pub(crate) fn tally(&self, kind: &str, new: impl FnOnce() -> Tally) -> Arc<Tally> {
        let mut all = self.inner.components.lock();
        if let Some(tally) = all.get(kind).and_then(Weak::upgrade) {
            return tally;
        }
        let tally = Arc::new(new());
        all.insert(kind.to_owned(), Arc::downgrade(&tally));
        let counted = Arc::downgrade(&tally);
        self.count(&format!("bean/{kind}"), move || {
            Some(Counted::Components(counted.upgrade()?.stats()))
        });
        tally
    }

    /// Starts an application's sessions; none when there are some of that name already.
    pub(crate) fn add_sessions(
        &self,
        application: &str,
        start: impl FnOnce() -> Result<Sessions, CreateSessionsError>,
    ) -> Option<Result<Sessions, CreateSessionsError>> {
        let mut all = self.inner.sessions.lock();
        if all.get(application).is_some_and(|sessions| sessions.strong_count() > 0) {
            return None;
        }
        let started = start();
        if let Ok(sessions) = &started {
            all.insert(application.to_owned(), sessions.downgrade());
            self.count(&format!("web/{application}"), sessions.tally());
        }
        Some(started)
    }

    /// What a deployment counts, for the management to show; by the name of its map.
    pub(crate) fn count(
        &self,
        map: &str,
        ask: impl Fn() -> Option<Counted> + Send + Sync + 'static,
    ) {
        self.inner.tallies.add(map, ask);
    }
}
