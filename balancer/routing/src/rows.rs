//! What is registered, in rows: one source for page, JSON, INFO and DUMP.

mod report;

use muster_protocol::mcmp::{BalancerSettings, NodeConfig};
use muster_protocol::names::{Alias, BalancerName, ContextPath};

use crate::Moment;
use crate::context::ContextState;
use crate::health::Health;
use crate::node::{Availability, NodeId};
use crate::registry::Registry;

/// Everything, at one moment.
#[derive(Debug, Clone)]
pub struct Rows {
    /// Balancer names with their settings, by name.
    pub balancers: Vec<(BalancerName, BalancerSettings)>,
    /// Nodes in the order in which they came.
    pub nodes: Vec<NodeRow>,
}

/// One node.
#[derive(Debug, Clone)]
pub struct NodeRow {
    /// Which registration.
    pub id: NodeId,
    /// What it said of itself.
    pub config: NodeConfig,
    /// Whether it stands in the configuration file.
    pub is_static: bool,
    /// How it stands.
    pub health: Health,
    /// The load factor to show: 1 to 100, 0 standby, -1 in an error state or down, -2 while it is
    /// checked for the first time.
    pub load: i32,
    /// Its share now, slow start included.
    pub availability: Availability,
    /// Requests that were sent to it.
    pub elected: u64,
    /// Requests that ended without an answer.
    pub failed: u64,
    /// Requests that are at it now.
    pub in_flight: u32,
    /// Bytes of answers from it.
    pub read: u64,
    /// Bytes of request bodies to it.
    pub transferred: u64,
    /// How long ago its last STATUS came.
    pub status_age: Option<Moment>,
    /// Its virtual hosts.
    pub hosts: Vec<HostRow>,
}

/// One virtual host of a node.
#[derive(Debug, Clone)]
pub struct HostRow {
    /// Its names.
    pub aliases: Vec<Alias>,
    /// What is mounted on it, by path.
    pub contexts: Vec<ContextRow>,
}

/// One context of a virtual host.
#[derive(Debug, Clone)]
pub struct ContextRow {
    /// Where it is mounted.
    pub path: ContextPath,
    /// Which requests it takes.
    pub state: ContextState,
    /// Requests of it that are at the node now.
    pub in_flight: u32,
    /// Requests of it that were sent to the node.
    pub requests: u64,
    /// Answers by the first digit of the status; at 0 those that ended without one.
    pub answers: [u64; 6],
}

impl Registry {
    /// Everything as it stands.
    pub fn rows(&self, now: Moment) -> Rows {
        let balancers = self.balancers.iter();
        Rows {
            balancers: balancers.map(|(name, s)| (name.clone(), (**s).clone())).collect(),
            nodes: self.members.keys().map(|id| self.node_row(*id, now)).collect(),
        }
    }

    fn node_row(&self, id: NodeId, now: Moment) -> NodeRow {
        let member = &self.members[&id];
        NodeRow {
            id,
            config: (*member.config).clone(),
            is_static: member.is_static,
            health: member.health,
            load: match (member.health, member.load) {
                (Health::Checking, _) | (_, None) => -2,
                (Health::Down(_), _) => -1,
                (Health::Up | Health::Suspect(_), Some(load)) => load.number(),
            },
            availability: member.availability(now),
            elected: member.live.elected(),
            failed: member.live.failed(),
            in_flight: member.live.in_flight(),
            read: member.live.read(),
            transferred: member.live.transferred(),
            status_age: member.last_status.map(|then| now.saturating_sub(then)),
            hosts: member.host_rows(),
        }
    }
}

impl crate::registry::Member {
    fn host_rows(&self) -> Vec<HostRow> {
        let context = |(path, state): (&ContextPath, &ContextState)| {
            let slot = self.slots.get(path);
            ContextRow {
                path: path.clone(),
                state: *state,
                in_flight: slot.map_or(0, |slot| slot.in_flight()),
                requests: slot.map_or(0, |slot| slot.requests()),
                answers: slot.map_or([0; 6], |slot| slot.answers()),
            }
        };
        let host = |host: &crate::context::HostEntry| HostRow {
            aliases: host.aliases.clone(),
            contexts: host.contexts.iter().map(context).collect(),
        };
        self.hosts.iter().map(host).collect()
    }
}
