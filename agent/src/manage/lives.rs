//! What deployments count beside their maps: who has one says how to ask it, and a report asks.

use std::collections::BTreeMap;
use std::fmt;

use muster_protocol::cluster::report::{DeploymentKind, Lives};
use parking_lot::Mutex;

use crate::engine::MapStats;

/// What a deployment of this process has counted since its start.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) struct Tally {
    pub(crate) created: u64,
    pub(crate) invalidated: u64,
    pub(crate) expired: u64,
}

type Ask = Box<dyn Fn() -> Option<Tally> + Send + Sync>;

/// How to ask the deployments of this process, by the names of their maps. One that has ended
/// answers nothing; another of its name takes its place.
#[derive(Default)]
pub(crate) struct Tallies(Mutex<BTreeMap<String, Ask>>);

// === impl Tallies ===

impl Tallies {
    pub(crate) fn add(&self, map: &str, ask: impl Fn() -> Option<Tally> + Send + Sync + 'static) {
        self.0.lock().insert(map.to_owned(), Box::new(ask));
    }

    /// A deployment in numbers; none for a map that is no deployment's.
    pub(super) fn lives(&self, map: &str, stats: &MapStats) -> Option<Lives> {
        deployment(map)?;
        let Tally { created, invalidated, expired } =
            self.0.lock().get(map).and_then(|ask| ask()).unwrap_or_default();
        let (active, copies) = (stats.primary_groups, stats.groups);
        let passivated = stats.passivations;
        Some(Lives { active, copies, created, invalidated, expired, passivated })
    }
}

impl fmt::Debug for Tallies {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.lock().keys()).finish()
    }
}

/// Whose map it is, by its name: `web/shop` is the sessions of application `shop`, `bean/Cart` the
/// components called `Cart`.
pub(super) fn deployment(map: &str) -> Option<(DeploymentKind, &str)> {
    match map.split_once('/')? {
        ("web", name) => Some((DeploymentKind::Web, name)),
        ("bean", name) => Some((DeploymentKind::Bean, name)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_deployment_is_known_by_its_map_and_asked_while_it_is_there() {
        let tallies = Tallies::default();
        let stats = MapStats { primary_groups: 3, groups: 5, ..MapStats::default() };
        assert_eq!(tallies.lives("counters", &stats), None);
        assert_eq!(tallies.lives("other/counters", &stats), None);
        let unasked = tallies.lives("web/a/b", &stats).unwrap();
        assert_eq!((unasked.active, unasked.copies, unasked.created), (3, 5, 0));
        let tally = Tally { created: 7, invalidated: 2, expired: 1 };
        tallies.add("bean/Cart", move || Some(tally));
        let asked = tallies.lives("bean/Cart", &stats).unwrap();
        assert_eq!((asked.created, asked.invalidated, asked.expired), (7, 2, 1));
        tallies.add("bean/Cart", || None);
        assert_eq!(tallies.lives("bean/Cart", &stats).unwrap().created, 0);
        assert_eq!(deployment("web/a/b"), Some((DeploymentKind::Web, "a/b")));
    }
}
