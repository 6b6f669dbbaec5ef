//! The nodes of the configuration file, which come, change and go with it.

use std::collections::{HashMap, HashSet};

use muster_protocol::mcmp::{Load, NodeConfig};
use muster_protocol::names::{ContextPath, Route};

use super::{ApplyError, Limits, Registry};
use crate::Moment;
use crate::context::{ContextState, Hosts};
use crate::health::Timing;
use crate::node::NodeId;

impl Registry {
    /// From now on these bounds and this clockwork hold. What is registered beyond a bound stays.
    pub fn retune(&mut self, limits: Limits, timing: Timing) {
        self.limits = limits;
        self.timing = timing;
    }

    /// Makes these the static nodes: those that are missing come with their contexts enabled,
    /// those that stand elsewhere or for another balancer name come anew, others change in place,
    /// and who is not named goes. A context that stays keeps its state, which may be an operator's
    /// wish. No two may share a route or a place.
    ///
    /// # Errors
    /// The first that cannot be had, for a node that registered itself has its route or its place,
    /// or a table is full; nothing has changed then.
    pub fn set_static(
        &mut self,
        nodes: &[(NodeConfig, Load)],
        now: Moment,
    ) -> Result<(), (Route, ApplyError)> {
        let wanted: HashMap<&Route, &NodeConfig> =
            nodes.iter().map(|(config, _)| (&config.route, config)).collect();
        let goes = |id: &&NodeId| {
            let member = &self.members[*id];
            let wish = wanted.get(&member.config.route);
            member.is_static && !wish.is_some_and(|config| member.is_same(config))
        };
        let gone: HashSet<NodeId> = self.members.keys().filter(goes).copied().collect();
        for (config, _) in nodes {
            let error = |error| (config.route.clone(), error);
            self.check_taken(config, &gone).map_err(error)?;
        }
        self.check_sums(nodes, &gone)?;

        for id in gone {
            self.remove(id);
        }
        for (config, load) in nodes {
            self.put_static(config, *load, now);
        }
        self.publish();
        Ok(())
    }

    /// Whether one that registered itself is in the way.
    fn check_taken(&self, config: &NodeConfig, gone: &HashSet<NodeId>) -> Result<(), ApplyError> {
        let stays = |id: &NodeId| !gone.contains(id) && !self.members[id].is_static;
        if let Some(id) = self.id(&config.route).filter(stays) {
            let own = &self.members[&id].config;
            let (address, balancer) = (own.address.clone(), own.balancer.clone());
            return Err(ApplyError::RouteTaken { route: own.route.clone(), address, balancer });
        }
        if let Some(id) = self.at_address(config).filter(stays) {
            let (owner, address) = (self.members[&id].config.route.clone(), config.address.clone());
            return Err(ApplyError::AddressTaken { owner, address });
        }
        Ok(())
    }

    fn check_sums(
        &self,
        nodes: &[(NodeConfig, Load)],
        gone: &HashSet<NodeId>,
    ) -> Result<(), (Route, ApplyError)> {
        let use_alias = self.table.use_alias;
        let registered = self.members.values().filter(|member| !member.is_static);
        let (mut members, mut contexts) = (0, 0);
        for member in registered {
            members += 1;
            contexts += member.hosts.key_count(use_alias);
        }
        // Those that go are not among them, and those that stay are counted as they will be.
        debug_assert!(gone.iter().all(|id| self.members[id].is_static));
        for (config, _) in nodes {
            members += 1;
            contexts += hosts_of(config).key_count(use_alias);
            let full = |what, limit| Err((config.route.clone(), ApplyError::Full { what, limit }));
            if members > self.limits.nodes {
                return full("nodes", self.limits.nodes);
            }
            if contexts > self.limits.contexts {
                return full("contexts", self.limits.contexts);
            }
        }
        Ok(())
    }

    fn put_static(&mut self, config: &NodeConfig, load: Load, now: Moment) {
        let known = self.id(&config.route);
        let id = known.unwrap_or_else(|| self.add(config, true, now));
        let use_alias = self.table.use_alias;
        let member = self.member_mut(id);
        let hosts = hosts_after(&member.hosts, config);
        if known.is_some()
            && *member.config == *config
            && member.hosts == hosts
            && member.load == Some(load)
        {
            return;
        }
        let before = member.hosts.key_count(use_alias);
        member.config = std::sync::Arc::new(config.clone());
        member.load = Some(load);
        member.hosts = hosts;
        let after = member.hosts.key_count(use_alias);
        self.contexts = self.contexts - before + after;
        self.override_node(id);
        let held = self.held(&config.route);
        self.member_mut(id).held = held;
        self.adopt_settings(config, id, now);
        self.refresh(id, now);
    }
}

/// A static node's host with its contexts enabled.
fn hosts_of(config: &NodeConfig) -> Hosts {
    let mut hosts = Hosts::default();
    if let Some(message) = &config.virtual_host {
        hosts.set(message, ContextState::Enabled);
    }
    hosts
}

/// The same, where contexts that were there keep their states.
fn hosts_after(before: &Hosts, config: &NodeConfig) -> Hosts {
    let mut hosts = hosts_of(config);
    let states: HashMap<&ContextPath, ContextState> =
        before.iter().flat_map(|host| &host.contexts).map(|(path, state)| (path, *state)).collect();
    hosts.for_each_state(|path, own| *own = states.get(path).copied().unwrap_or(*own));
    hosts
}

#[cfg(test)]
mod tests {
    use muster_protocol::mcmp::Command;
    use muster_protocol::mcmp::parse::parse_within;

    use super::*;
    use crate::registry::Heard;

    fn config(text: &str) -> Box<NodeConfig> {
        match parse_within("CONFIG", "/", text.as_bytes(), 1024).unwrap() {
            Command::Config(config) => config,
            other => panic!("{other:?}"),
        }
    }

    fn fixed(route: &str, port: u16, contexts: &str) -> (NodeConfig, Load) {
        let text = format!(
            "JVMRoute={route}&Host=h&Port={port}&Type=http&Alias=localhost&Context={contexts}"
        );
        (*config(&text), Load::Usable(50))
    }

    fn tell(registry: &mut Registry, method: &str, uri: &str, body: &str) {
        let command = parse_within(method, uri, body.as_bytes(), 1024).unwrap();
        registry.apply(&command, &Heard::default(), Moment::ZERO).unwrap();
    }

    fn dump(registry: &Registry) -> Vec<(String, u16, Vec<String>)> {
        let nodes = registry.rows(Moment::ZERO).nodes.into_iter().map(|node| {
            let contexts = node.hosts.iter().flat_map(|host| &host.contexts);
            let contexts = contexts.map(|one| format!("{} {:?}", one.path, one.state)).collect();
            (node.config.route.to_string(), node.config.address.port, contexts)
        });
        let mut nodes: Vec<_> = nodes.collect();
        nodes.sort();
        nodes
    }

    #[test]
    fn static_nodes_become_those_of_the_new_file_and_states_stay() {
        let mut registry = Registry::new(Limits::default(), Timing::default(), false);
        let first = [fixed("a", 1, "/x,/y"), fixed("b", 2, "/x"), fixed("c", 3, "/x")];
        registry.set_static(&first, Moment::ZERO).unwrap();
        tell(&mut registry, "STOP-APP", "/", "JVMRoute=a&Alias=localhost&Context=/x");
        let version = registry.version();
        registry.set_static(&first, Moment::ZERO).unwrap();
        assert_eq!(registry.version(), version, "the same file changes nothing");

        // b and c change places, a has another context.
        let next = [fixed("a", 1, "/x,/z"), fixed("b", 3, "/x"), fixed("c", 2, "/x")];
        registry.set_static(&next, Moment::ZERO).unwrap();
        let on = |path: &str| format!("{path} Enabled");
        let a = vec!["/x Stopped".to_owned(), on("/z")];
        let row = |route: &str, port, contexts| (route.to_owned(), port, contexts);
        let rows = [row("a", 1, a), row("b", 3, vec![on("/x")]), row("c", 2, vec![on("/x")])];
        assert_eq!(dump(&registry), rows);
        registry.set_static(&[], Moment::ZERO).unwrap();
        assert_eq!(dump(&registry), []);
    }

    #[test]
    fn a_node_that_registered_itself_is_in_the_way_and_nothing_changes() {
        let mut registry =
            Registry::new(Limits { nodes: 2, contexts: 3, gone: 1 }, Timing::default(), false);
        tell(&mut registry, "CONFIG", "/", "JVMRoute=d&Host=h&Port=9&Type=http");
        registry.set_static(&[fixed("a", 1, "/x")], Moment::ZERO).unwrap();
        let before = dump(&registry);
        let refused = [
            (vec![fixed("b", 2, "/x"), fixed("d", 3, "/x")], "d"),
            (vec![fixed("b", 9, "/x")], "b"),
            (vec![fixed("b", 2, "/x"), fixed("c", 3, "/x")], "c"),
            (vec![fixed("b", 2, "/1,/2,/3,/4")], "b"),
        ];
        for (nodes, route) in refused {
            let (named, error) = registry.set_static(&nodes, Moment::ZERO).unwrap_err();
            assert_eq!(named.as_str(), route, "{error}");
            assert_eq!(dump(&registry), before);
        }
    }
}
