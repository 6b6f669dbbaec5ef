//! One node's virtual hosts and their contexts, as the registry keeps them.

use std::collections::{BTreeMap, BTreeSet};

use muster_protocol::mcmp::{Verb, VirtualHost};
use muster_protocol::names::{Alias, ContextPath};

/// What a request finds: a context of any host, or, where host names count, of one.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ContextKey {
    /// The host name; `None` where host names do not count.
    pub alias: Option<Alias>,
    /// Where it is mounted.
    pub path: ContextPath,
}

/// Which requests a context takes. Ordered by how much it takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ContextState {
    /// None; those in flight finish.
    Stopped,
    /// Sessions of this node only.
    Disabled,
    /// All.
    Enabled,
}

impl ContextState {
    /// The state after a verb; `None` after Remove.
    pub fn after(verb: Verb) -> Option<ContextState> {
        match verb {
            Verb::Enable => Some(ContextState::Enabled),
            Verb::Disable => Some(ContextState::Disabled),
            Verb::Stop => Some(ContextState::Stopped),
            Verb::Remove => None,
        }
    }
}

/// Most aliases of one virtual host of a node.
pub const MAX_ALIASES: usize = 1000;

/// A virtual host of a node: aliases in the order in which they came, and contexts.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct HostEntry {
    /// Names of the host.
    pub aliases: Vec<Alias>,
    /// What is mounted on it.
    pub contexts: BTreeMap<ContextPath, ContextState>,
}

/// What a message would add to a node's hosts.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Added {
    /// Contexts, counted as [`Hosts::key_count`] counts them.
    pub keys: usize,
    /// Aliases that its host would have, the known ones included.
    pub aliases: usize,
}

/// All virtual hosts of one node.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Hosts(Vec<HostEntry>);

impl Hosts {
    /// Hosts as they stood in an earlier process.
    pub(crate) fn restored(hosts: Vec<HostEntry>) -> Hosts {
        Hosts(hosts)
    }

    /// The hosts in the order in which they came.
    pub fn iter(&self) -> impl Iterator<Item = &HostEntry> {
        self.0.iter()
    }

    /// How many contexts there are, counted once for each host, or, with `use_alias`, for each
    /// alias of each host: that many places requests find.
    pub fn key_count(&self, use_alias: bool) -> usize {
        let count = |host: &HostEntry| keys_of(host.aliases.len(), host.contexts.len(), use_alias);
        self.0.iter().map(count).sum()
    }

    /// What [`Hosts::set`] with this message would add to the count of keys, and how many aliases
    /// its host would have.
    pub fn added_by(&self, message: &VirtualHost, use_alias: bool) -> Added {
        let named: BTreeSet<&Alias> = message.aliases.iter().collect();
        let mounted: BTreeSet<&ContextPath> = message.contexts.iter().collect();
        let Some(host) = self.find(&named).map(|at| &self.0[at]) else {
            let aliases = named.len();
            return Added { keys: keys_of(aliases, mounted.len(), use_alias), aliases };
        };
        let known = host.aliases.iter().filter(|alias| named.contains(alias)).count();
        let aliases = host.aliases.len() + named.len() - known;
        let is_new = |path: &&&ContextPath| !host.contexts.contains_key(**path);
        let contexts = host.contexts.len() + mounted.iter().filter(is_new).count();
        let before = keys_of(host.aliases.len(), host.contexts.len(), use_alias);
        Added { keys: keys_of(aliases, contexts, use_alias) - before, aliases }
    }

    /// Puts the contexts of the message into a state. An unknown host or context is created:
    /// a real worker boots suspended and stops contexts that nobody has seen.
    pub fn set(&mut self, message: &VirtualHost, state: ContextState) {
        let host = self.host_for(&message.aliases);
        for path in &message.contexts {
            host.contexts.insert(path.clone(), state);
        }
    }

    /// Creates the contexts of the message stopped; those that exist keep their state.
    pub fn create(&mut self, message: &VirtualHost) {
        let host = self.host_for(&message.aliases);
        for path in &message.contexts {
            host.contexts.entry(path.clone()).or_insert(ContextState::Stopped);
        }
    }

    /// Forgets the contexts of the message; a host without contexts goes too. Unknown ones are
    /// no error.
    pub fn remove(&mut self, message: &VirtualHost) {
        let Some(at) = self.find(&message.aliases.iter().collect()) else { return };
        for path in &message.contexts {
            self.0[at].contexts.remove(path);
        }
        if self.0[at].contexts.is_empty() {
            self.0.remove(at);
        }
    }

    /// Puts every context of every host into a state.
    pub fn set_all(&mut self, state: ContextState) {
        for host in &mut self.0 {
            host.contexts.values_mut().for_each(|own| *own = state);
        }
    }

    /// Looks at the state of every context of every host, and may change it.
    pub(crate) fn for_each_state(
        &mut self,
        mut change: impl FnMut(&ContextPath, &mut ContextState),
    ) {
        for host in &mut self.0 {
            host.contexts.iter_mut().for_each(|(path, state)| change(path, state));
        }
    }

    /// What requests find here, each with the state of the host that takes most. No context takes
    /// more than its `ceiling`.
    pub fn keys(
        &self,
        use_alias: bool,
        ceiling: impl Fn(&HostEntry, &ContextPath) -> ContextState,
    ) -> BTreeMap<ContextKey, ContextState> {
        let mut keys = BTreeMap::new();
        for host in &self.0 {
            for (path, state) in &host.contexts {
                let state = &(*state).min(ceiling(host, path));
                let mut add = |alias: Option<Alias>| {
                    let best =
                        keys.entry(ContextKey { alias, path: path.clone() }).or_insert(*state);
                    *best = (*best).max(*state);
                };
                match use_alias {
                    true => host.aliases.iter().cloned().map(Some).for_each(add),
                    false => add(None),
                }
            }
        }
        keys
    }

    fn find(&self, aliases: &BTreeSet<&Alias>) -> Option<usize> {
        self.0.iter().position(|host| host.aliases.iter().any(|own| aliases.contains(own)))
    }

    fn host_for(&mut self, aliases: &[Alias]) -> &mut HostEntry {
        let at = self.find(&aliases.iter().collect()).unwrap_or_else(|| {
            self.0.push(HostEntry::default());
            self.0.len() - 1
        });
        let host = &mut self.0[at];
        let mut known: BTreeSet<&Alias> = host.aliases.iter().collect();
        let new: Vec<Alias> =
            aliases.iter().filter(|alias| known.insert(*alias)).cloned().collect();
        host.aliases.extend(new);
        host
    }
}

fn keys_of(aliases: usize, contexts: usize, use_alias: bool) -> usize {
    match use_alias {
        true => aliases * contexts,
        false => contexts,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(aliases: &str, contexts: &str) -> VirtualHost {
        VirtualHost {
            aliases: aliases.split(',').map(|a| a.parse().unwrap()).collect(),
            contexts: contexts.split(',').map(|c| c.parse().unwrap()).collect(),
        }
    }

    #[test]
    fn one_shared_alias_makes_it_the_same_host() {
        let mut hosts = Hosts::default();
        hosts.set(&message("a,b", "/x"), ContextState::Enabled);
        hosts.set(&message("b,c", "/y"), ContextState::Enabled);
        hosts.set(&message("d", "/x"), ContextState::Stopped);
        let names: Vec<usize> = hosts.iter().map(|host| host.aliases.len()).collect();
        assert_eq!(names, [3, 1]);
        assert_eq!(hosts.key_count(false), 3);
    }

    #[test]
    fn a_context_that_nobody_has_seen_is_created_by_stop() {
        let mut hosts = Hosts::default();
        hosts.set(&message("h", "/x"), ContextState::Stopped);
        assert_eq!(hosts.key_count(false), 1);
        hosts.create(&message("h", "/x,/y"));
        let host = hosts.iter().next().unwrap();
        assert!(host.contexts.values().all(|state| *state == ContextState::Stopped));
    }

    #[test]
    fn the_last_context_takes_its_host_with_it() {
        let mut hosts = Hosts::default();
        hosts.set(&message("h", "/x,/y"), ContextState::Enabled);
        hosts.remove(&message("h", "/x,/unknown"));
        assert_eq!(hosts.key_count(false), 1);
        hosts.remove(&message("other", "/y"));
        hosts.remove(&message("h", "/y"));
        assert_eq!(hosts, Hosts::default());
    }
}
