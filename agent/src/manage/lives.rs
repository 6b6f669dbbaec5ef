//! What deployments count beside their maps: who has one says how to ask it, and a report asks.

use std::collections::BTreeMap;
use std::fmt;

use muster_protocol::cluster::report::{DeploymentKind, Lives};
use parking_lot::Mutex;

use crate::component::ComponentStats;
use crate::engine::MapStats;
use crate::session::SessionStats;
use crate::sso::SsoStats;

/// What a deployment of this process has counted since its start.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Counted {
    /// An application's sessions.
    Sessions(SessionStats),
    /// Components of one kind.
    Components(ComponentStats),
    /// Identities that applications share.
    Identities(SsoStats),
}

type Ask = Box<dyn Fn() -> Option<Counted> + Send + Sync>;

/// How to ask the deployments of this process, by the names of their maps. One that has ended
/// answers nothing; another of its name takes its place.
#[derive(Default)]
pub(crate) struct Tallies(Mutex<BTreeMap<String, Ask>>);

// === impl Counted ===

impl Counted {
    /// As a report has it, but for what the map knows.
    fn lives(self) -> Lives {
        let none = Lives::default();
        match self {
            Counted::Sessions(SessionStats { created, invalidated, expired, commits, .. }) => {
                Lives { created, invalidated, expired, calls: commits, ..none }
            }
            Counted::Components(ComponentStats { created, removed, expired, calls, .. }) => {
                Lives { created, invalidated: removed, expired, calls, ..none }
            }
            Counted::Identities(SsoStats { created, ended, expired, uses, .. }) => {
                Lives { created, invalidated: ended, expired, calls: uses, ..none }
            }
        }
    }
}

// === impl Tallies ===

impl Tallies {
    pub(crate) fn add(&self, map: &str, ask: impl Fn() -> Option<Counted> + Send + Sync + 'static) {
        self.0.lock().insert(map.to_owned(), Box::new(ask));
    }

    /// All that are there, by their own names.
    pub(crate) fn all(&self) -> Vec<(String, Counted)> {
        let all = self.0.lock();
        let asked = all.iter().filter_map(|(map, ask)| Some((deployment(map)?.1, ask()?)));
        asked.map(|(name, counted)| (name.to_owned(), counted)).collect()
    }

    /// A deployment in numbers; none for a map that is no deployment's.
    pub(super) fn lives(&self, map: &str, stats: &MapStats) -> Option<Lives> {
        deployment(map)?;
        let counted = self.0.lock().get(map).and_then(|ask| ask());
        Some(Lives {
            active: stats.primary_groups,
            copies: stats.groups,
            passivated: stats.passivations,
            activated: stats.activations,
            ..counted.map(Counted::lives).unwrap_or_default()
        })
    }
}

impl fmt::Debug for Tallies {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.lock().keys()).finish()
    }
}

/// Whose map it is, by its name: `web/shop` is the sessions of application `shop`, `bean/Cart` the
/// components called `Cart`, `sso/hosts` the identities called `hosts`.
pub(super) fn deployment(map: &str) -> Option<(DeploymentKind, &str)> {
    match map.split_once('/')? {
        ("web", name) => Some((DeploymentKind::Web, name)),
        ("bean", name) => Some((DeploymentKind::Bean, name)),
        ("sso", name) => Some((DeploymentKind::Sso, name)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_deployment_is_known_by_its_map_and_asked_while_it_is_there() {
        let tallies = Tallies::default();
        let stats =
            MapStats { primary_groups: 3, groups: 5, passivations: 4, ..Default::default() };
        assert_eq!(tallies.lives("counters", &stats), None);
        assert_eq!(tallies.lives("other/counters", &stats), None);
        let unasked = tallies.lives("web/a/b", &stats).unwrap();
        assert_eq!((unasked.active, unasked.copies, unasked.created), (3, 5, 0));
        let counted = ComponentStats { created: 7, removed: 2, calls: 9, ..Default::default() };
        tallies.add("bean/Cart", move || Some(Counted::Components(counted)));
        let asked = tallies.lives("bean/Cart", &stats).unwrap();
        assert_eq!((asked.created, asked.invalidated, asked.calls), (7, 2, 9));
        assert_eq!((asked.active, asked.passivated), (3, 4));
        assert_eq!(tallies.all(), [("Cart".to_owned(), Counted::Components(counted))]);
        tallies.add("bean/Cart", || None);
        assert_eq!(tallies.lives("bean/Cart", &stats).unwrap().created, 0);
        assert_eq!(tallies.all(), []);
        assert_eq!(deployment("web/a/b"), Some((DeploymentKind::Web, "a/b")));
        assert_eq!(deployment("sso/hosts"), Some((DeploymentKind::Sso, "hosts")));
    }
}
