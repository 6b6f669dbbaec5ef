//! What a balancer knows of this node already, read from its INFO.

use std::collections::HashMap;

use muster_protocol::mcmp::{ContextStatus, Info, ReportError, VirtualHost};
use muster_protocol::names::{Alias, ContextPath, Route};

/// The node's part of an INFO.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Knowledge {
    /// Whether the balancer has a node of this route.
    pub(crate) has_node: bool,
    hosts: Vec<Host>,
}

/// A virtual host of the node with its contexts.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Host {
    aliases: Vec<Alias>,
    contexts: Vec<(ContextPath, ContextStatus)>,
}

// === impl Knowledge ===

impl Knowledge {
    /// Reads the report. Names that this crate would never send are left out.
    pub(crate) fn read(body: &str, route: &Route) -> Result<Knowledge, ReportError> {
        let info = Info::parse_text(body)?;
        let node = info.nodes.iter().find(|node| node.name == route.as_str());
        let Some(node) = node.map(|node| node.id) else { return Ok(Knowledge::default()) };
        let mut hosts: HashMap<u32, Host> = HashMap::new();
        for row in info.vhosts.iter().filter(|row| row.node == node) {
            let host = hosts.entry(row.vhost).or_default();
            host.aliases.extend(row.alias.parse::<Alias>().ok());
        }
        for row in info.contexts.iter().filter(|row| row.node == node) {
            let host = hosts.entry(row.vhost).or_default();
            host.contexts.extend(row.path.parse().ok().map(|path| (path, row.status)));
        }
        let mut hosts: Vec<_> = hosts.into_iter().collect();
        hosts.sort_by_key(|(id, _)| *id);
        Ok(Knowledge { has_node: true, hosts: hosts.into_iter().map(|(_, host)| host).collect() })
    }

    /// What the balancer says of a context on a host that has one of these names.
    pub(crate) fn state_of(&self, aliases: &[Alias], path: &ContextPath) -> Option<ContextStatus> {
        let mut hosts = self.hosts.iter().filter(|host| host.has_one_of(aliases));
        hosts.find_map(|host| {
            host.contexts.iter().find(|(known, _)| known == path).map(|(_, status)| *status)
        })
    }

    /// The contexts that are not ours: on another host, or of a path that `is_ours` denies.
    /// One virtual host each, as REMOVE-APP wants it.
    pub(crate) fn others(
        &self,
        aliases: &[Alias],
        is_ours: impl Fn(&ContextPath) -> bool,
    ) -> Vec<VirtualHost> {
        let mut others = Vec::new();
        for host in self.hosts.iter().filter(|host| !host.aliases.is_empty()) {
            let is_our_host = host.has_one_of(aliases);
            for (path, _) in host.contexts.iter().filter(|(p, _)| !(is_our_host && is_ours(p))) {
                let (aliases, contexts) = (host.aliases.clone(), vec![path.clone()]);
                others.push(VirtualHost { aliases, contexts });
            }
        }
        others
    }
}

// === impl Host ===

impl Host {
    fn has_one_of(&self, aliases: &[Alias]) -> bool {
        self.aliases.iter().any(|alias| aliases.contains(alias))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const INFO: &str = "\
Node: [1],Name: other,Balancer: mycluster,LBGroup: ,Host: 127.0.0.1,Port: 8209,Type: http,\
Flushpackets: Off,Flushwait: 10,Ping: 10,Smax: -1,Ttl: 60,Elected: 0,Read: 0,Transfered: 0,\
Connected: 0,Load: 100
Node: [2],Name: node1,Balancer: mycluster,LBGroup: ,Host: 127.0.0.1,Port: 8209,Type: http,\
Flushpackets: Off,Flushwait: 10,Ping: 10,Smax: -1,Ttl: 60,Elected: 0,Read: 0,Transfered: 0,\
Connected: 0,Load: 100
Vhost: [1:1:1], Alias: localhost
Vhost: [2:1:2], Alias: localhost
Vhost: [2:2:3], Alias: old.example.com
Context: [1:1:1], Context: /elsewhere, Status: ENABLED
Context: [2:1:2], Context: /shop, Status: STOPPED
Context: [2:1:3], Context: /gone, Status: ENABLED
Context: [2:2:4], Context: /shop, Status: ENABLED
";

    fn localhost() -> Vec<Alias> {
        vec!["localhost".parse().unwrap()]
    }

    #[test]
    fn only_the_rows_of_this_node_count() {
        let known = Knowledge::read(INFO, &"node1".parse().unwrap()).unwrap();
        let state = |path: &str| known.state_of(&localhost(), &path.parse().unwrap());
        assert!(known.has_node);
        assert_eq!(state("/shop"), Some(ContextStatus::Stopped));
        assert_eq!(state("/elsewhere"), None);
    }

    #[test]
    fn what_is_not_ours_is_on_another_host_or_of_another_path() {
        let known = Knowledge::read(INFO, &"node1".parse().unwrap()).unwrap();
        let others = known.others(&localhost(), |path| path.as_str() == "/shop");
        let others: Vec<String> =
            others.iter().map(|host| format!("{}{}", host.aliases[0], host.contexts[0])).collect();
        assert_eq!(others, ["localhost/gone", "old.example.com/shop"]);
    }

    #[test]
    fn a_balancer_that_has_never_heard_of_the_node_knows_nothing() {
        let known = Knowledge::read(INFO, &"node9".parse().unwrap()).unwrap();
        assert_eq!(known, Knowledge::default());
        assert!(Knowledge::read("Node: [much]", &"node9".parse().unwrap()).is_err());
    }
}
