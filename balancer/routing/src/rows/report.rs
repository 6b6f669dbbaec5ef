//! The rows as MCMP's two reports.

use muster_protocol::mcmp::{
    ContextStatus, Dump, DumpBalancer, DumpContext, DumpHost, DumpNode, Info, InfoContext,
    InfoNode, InfoVhost,
};

use super::{HostRow, NodeRow, Rows};
use crate::context::ContextState;

impl Rows {
    /// INFO: nodes with their counters.
    pub fn info(&self) -> Info {
        let mut info =
            Info { nodes: self.nodes.iter().map(NodeRow::info).collect(), ..Info::default() };
        for (node, vhost, host) in self.hosts() {
            for alias in &host.aliases {
                let id = info.vhosts.len() as i64;
                info.vhosts.push(InfoVhost { node, vhost, id, alias: alias.to_string() });
            }
            for context in &host.contexts {
                let id = info.contexts.len() as i64;
                let path = context.path.to_string();
                info.contexts.push(InfoContext {
                    node,
                    vhost,
                    id,
                    path,
                    status: context.state.into(),
                });
            }
        }
        info
    }

    /// DUMP: the configuration.
    pub fn dump(&self) -> Dump {
        let balancers = (0..).zip(&self.balancers);
        let mut dump = Dump {
            balancers: balancers.map(|(id, (name, s))| DumpBalancer::of(id, name, s)).collect(),
            nodes: self.nodes.iter().map(|node| DumpNode::of(node.id.0, &node.config)).collect(),
            ..Dump::default()
        };
        for (node, vhost, host) in self.hosts() {
            for alias in &host.aliases {
                let id = dump.hosts.len() as u32;
                dump.hosts.push(DumpHost { id, alias: alias.to_string(), vhost, node });
            }
            for context in &host.contexts {
                let id = dump.contexts.len() as u32;
                let path = context.path.to_string();
                dump.contexts.push(DumpContext {
                    id,
                    path,
                    vhost,
                    node,
                    status: context.state.into(),
                });
            }
        }
        dump
    }

    /// Each virtual host with its node's id and its number on that node, from 1.
    fn hosts(&self) -> impl Iterator<Item = (u32, u32, &HostRow)> {
        self.nodes
            .iter()
            .flat_map(|node| (1..).zip(&node.hosts).map(|(vhost, host)| (node.id.0, vhost, host)))
    }
}

impl NodeRow {
    fn info(&self) -> InfoNode {
        InfoNode {
            elected: self.elected,
            read: self.read,
            transferred: self.transferred,
            connected: self.in_flight.into(),
            load: self.load,
            ..InfoNode::of(self.id.0, &self.config)
        }
    }
}

impl From<ContextState> for ContextStatus {
    fn from(state: ContextState) -> ContextStatus {
        match state {
            ContextState::Enabled => ContextStatus::Enabled,
            ContextState::Disabled => ContextStatus::Disabled,
            ContextState::Stopped => ContextStatus::Stopped,
        }
    }
}
