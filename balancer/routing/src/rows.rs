//! What is registered, in rows: one source for page, JSON, INFO and DUMP.

mod report;

use std::sync::Arc;

use muster_protocol::mcmp::{BalancerSettings, NodeConfig};
use muster_protocol::names::{Alias, BalancerName, ContextPath};

use crate::Moment;
use crate::cluster::Seated;
use crate::context::{ContextState, HostEntry};
use crate::drain::Drain;
use crate::health::Health;
use crate::node::{Availability, NodeId};
use crate::overrides::{BalancerOverride, NodeOverride};
use crate::owner::Owner;
use crate::registry::{Member, Registry};
use crate::word::{About, Key, Say, Subject, UnixMs};

/// Everything, at one moment.
#[derive(Debug, Clone)]
pub struct Rows {
    /// Balancer names with their settings, by name.
    pub balancers: Vec<(BalancerName, BalancerSettings)>,
    /// What is overridden of them, in the same order.
    pub overrides: Vec<BalancerToldRow>,
    /// Nodes in the order in which they came.
    pub nodes: Vec<NodeRow>,
}

/// One node.
#[derive(Debug, Clone)]
pub struct NodeRow {
    /// Which registration.
    pub id: NodeId,
    /// What holds of it: what it said of itself, but for what operators say.
    pub config: NodeConfig,
    /// Whether it stands in the configuration file.
    pub is_static: bool,
    /// Who registered it; of a static node nobody.
    pub owner: Option<Owner>,
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
    /// Sessions that it holds, where it says so.
    pub sessions: Option<u64>,
    /// Its place in a cluster, where it says so.
    pub seated: Option<Arc<Seated>>,
    /// How long ago its last STATUS came.
    pub status_age: Option<Moment>,
    /// Its virtual hosts.
    pub hosts: Vec<HostRow>,
    /// What operators said of it.
    pub told: ToldRow,
}

/// What operators said of a balancer name.
#[derive(Debug, Clone)]
pub struct BalancerToldRow {
    /// The settings of the last CONFIG.
    pub reported: BalancerSettings,
    /// What holds instead.
    pub overrides: BalancerOverride,
}

/// What operators said of a node.
#[derive(Debug, Clone, Default)]
pub struct ToldRow {
    /// What holds instead of what it reports.
    pub overrides: NodeOverride,
    /// What it reports, where something else holds.
    pub reported: Option<Box<NodeConfig>>,
    /// The load that it reports, where there is any.
    pub reported_load: Option<i32>,
    /// The word for the whole node, if one stands.
    pub word: Option<WordRow>,
    /// Its drain, under way, or over while its word stands.
    pub drain: Option<Box<Drain>>,
}

/// A word that stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WordRow {
    /// What.
    pub say: Say,
    /// By whom.
    pub by: std::sync::Arc<str>,
    /// Since when.
    pub since_ms: UnixMs,
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
    /// Which it would take if no operator had said otherwise.
    pub own_state: ContextState,
    /// The word for it, if one stands; the later of it and of the node's word holds.
    pub word: Option<WordRow>,
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
            overrides: self.balancers.keys().map(|name| self.balancer_told(name)).collect(),
            nodes: self.members.keys().map(|id| self.node_row(*id, now)).collect(),
        }
    }

    fn node_row(&self, id: NodeId, now: Moment) -> NodeRow {
        let member = &self.members[&id];
        NodeRow {
            id,
            config: (*member.effective).clone(),
            is_static: member.is_static,
            owner: member.claim.as_ref().map(|claim| claim.owner.clone()),
            health: member.health,
            load: match (member.health, member.load()) {
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
            sessions: member.sessions,
            seated: self.seated(id).cloned(),
            status_age: member.last_status.map(|then| now.saturating_sub(then)),
            hosts: self.host_rows(member),
            told: self.told(member),
        }
    }

    fn told(&self, member: &Member) -> ToldRow {
        let overrides = member.overrides().clone();
        let subject = Subject::node(member.config.route.clone());
        ToldRow {
            reported: (!overrides.is_empty()).then(|| Box::new((*member.config).clone())),
            reported_load: member.load.map(|load| load.number()),
            overrides,
            drain: self.drain(&subject).map(|drain| Box::new(drain.clone())),
            word: self.word(subject),
        }
    }

    fn balancer_told(&self, name: &BalancerName) -> BalancerToldRow {
        BalancerToldRow {
            reported: self.reported.get(name).map(|s| (**s).clone()).unwrap_or_default(),
            overrides: self.words().balancer(name).cloned().unwrap_or_default(),
        }
    }

    fn word(&self, subject: Subject) -> Option<WordRow> {
        let word = self.words().get(&Key::State(subject))?;
        match word.about {
            About::State { say: Say::Free, .. } | About::Node { .. } | About::Balancer { .. } => {
                None
            }
            About::State { say, .. } => {
                Some(WordRow { say, by: word.by.clone(), since_ms: word.stamp.at_ms })
            }
        }
    }
}

impl Registry {
    fn host_rows(&self, member: &Member) -> Vec<HostRow> {
        let route = &member.config.route;
        // Most nodes have no word, and then nothing is looked up for each of their contexts.
        let has_words = self.words().of(route).next().is_some();
        let context = |host: &HostEntry, path: &ContextPath, own_state: ContextState| {
            let slot = member.slots.get(path);
            let subject = |alias: &Alias| Subject {
                route: route.clone(),
                context: Some((alias.clone(), path.clone())),
            };
            let word = || host.aliases.iter().find_map(|alias| self.word(subject(alias)));
            ContextRow {
                path: path.clone(),
                state: own_state.min(member.held.ceiling(&host.aliases, path)),
                own_state,
                word: has_words.then(word).flatten(),
                in_flight: slot.map_or(0, |slot| slot.in_flight()),
                requests: slot.map_or(0, |slot| slot.requests()),
                answers: slot.map_or([0; 6], |slot| slot.answers()),
            }
        };
        let host = |host: &HostEntry| HostRow {
            aliases: host.aliases.clone(),
            contexts: host.contexts.iter().map(|(path, own)| context(host, path, *own)).collect(),
        };
        member.hosts.iter().map(host).collect()
    }
}
