//! The whole registry as a document, for the process that comes after this one: the next binary,
//! or the next start after a crash.
//!
//! What only means something to this process stays behind: requests in flight, and where elections
//! stand (all nodes start level). Nodes are written as the messages that would register them, so
//! their values are checked again by the one parser when the document is read.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;

use muster_protocol::mcmp::parse::parse_within;
use muster_protocol::mcmp::{Address, Command, Load, NodeConfig, Scheme, write};
use muster_protocol::names::{Alias, BalancerName, ContextPath, Domain, Route};
use serde::{Deserialize, Serialize};

use super::{Limits, Member, Registry};
use crate::Moment;
use crate::context::{ContextState, HostEntry, Hosts};
use crate::drain::Drain;
use crate::health::{Health, Timing};
use crate::load::SlowStart;
use crate::node::{Live, NodeId, Slot};
use crate::owner::{BadOwner, Claim};
use crate::word::Word;

/// The version of the document. It rises when an older reader would misunderstand a newer writer;
/// a new field with a default is no reason.
pub const VERSION: u32 = 1;

/// Most bytes of a node's message.
const MAX_MESSAGE: usize = 64 * 1024 * 1024;

/// Why a document is no registry.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SnapshotError {
    /// It was written by a program that knows more, or something else, than this one.
    #[error("its version is {found}, and this program reads version {VERSION} only")]
    Version {
        /// What it says.
        found: u32,
    },
    /// It is no such document.
    #[error("it cannot be read: {0}")]
    Document(String),
    /// A node in it is at fault.
    #[error("node {route}: {reason}")]
    Node {
        /// Which.
        route: String,
        /// What is wrong.
        reason: String,
    },
}

/// Whether nodes are taken to stand as they stood.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trust {
    /// The document is of this moment.
    AsTheyStood,
    /// It may be old: each node is probed before it takes traffic.
    ProbeFirst,
}

/// A registry as it stood.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Snapshot {
    version: u32,
    /// The registry's clock.
    now: Moment,
    /// The count of tables.
    tables: u64,
    next_id: u32,
    window_closed: Moment,
    nodes: Vec<NodeShot>,
    /// The settings that balancer names last reported, as messages.
    settings: Vec<String>,
    /// The domains of nodes that are gone, the oldest first.
    gone: Vec<(Route, Domain)>,
    /// What operators said.
    words: Vec<Word>,
    drains: Vec<Drain>,
    drained: Vec<Drain>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct NodeShot {
    id: u32,
    /// The message that registers it.
    config: String,
    is_static: bool,
    /// Who registered it, and from where.
    owner: Option<(String, IpAddr)>,
    hosts: Vec<HostShot>,
    slots: Vec<(ContextPath, SlotShot)>,
    live: LiveShot,
    health: HealthShot,
    since: Moment,
    load: Option<i32>,
    sessions: Option<u64>,
    #[serde(default)]
    bound_sessions: Option<u64>,
    warming: Option<(Moment, Moment)>,
    last_status: Option<Moment>,
    next_probe: Moment,
    answered: u64,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct HostShot {
    aliases: Vec<Alias>,
    contexts: Vec<(ContextPath, StateShot)>,
}

#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum StateShot {
    Stopped,
    Disabled,
    Enabled,
}

#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum HealthShot {
    Checking,
    Up,
    Suspect(u8),
    Down(Moment),
}

/// What a node's requests have counted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct LiveShot {
    pub(crate) elected: u64,
    pub(crate) read: u64,
    pub(crate) transferred: u64,
    pub(crate) answered: u64,
    pub(crate) failed: u64,
    #[serde(default)]
    pub(crate) lost: u64,
}

/// What a context's requests have counted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct SlotShot {
    pub(crate) requests: u64,
    pub(crate) answers: [u64; 6],
}

// === impl Snapshot ===

impl Snapshot {
    /// Reads a document.
    ///
    /// # Errors
    /// [`SnapshotError`]; the version is looked at first, so that a document of another program is
    /// called that.
    pub fn read(document: &[u8]) -> Result<Snapshot, SnapshotError> {
        #[derive(Deserialize)]
        struct Versioned {
            version: u32,
        }
        let fault = |error: serde_json::Error| SnapshotError::Document(error.to_string());
        let Versioned { version } = serde_json::from_slice(document).map_err(fault)?;
        match version {
            VERSION => serde_json::from_slice(document).map_err(fault),
            found => Err(SnapshotError::Version { found }),
        }
    }

    /// Writes the document.
    pub fn write(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("numbers, texts and lists always become JSON")
    }

    /// What the registry's clock showed.
    pub fn now(&self) -> Moment {
        self.now
    }

    /// How many nodes there are.
    pub fn nodes(&self) -> usize {
        self.nodes.len()
    }
}

// === impl Registry ===

impl Registry {
    /// Everything as it stands.
    pub fn snapshot(&self, now: Moment) -> Snapshot {
        // Whole, so that whoever adds a field decides whether it belongs here.
        let Registry {
            limits: _,
            timing: _,
            members,
            by_route: _,
            by_address: _,
            balancers: _,
            reported,
            words,
            draining: _,
            drains,
            history,
            index: _,
            touched: _,
            gone,
            contexts: _,
            next_id,
            window_closed,
            version,
            rebuilds: _,
            table,
            forgotten: _,
            // Nodes say it again with their next STATUS.
            clusters: _,
            left_out: _,
            left_out_by_word: _,
            is_in_haste: _,
        } = self;
        let domain = |route: &Route| Some((route.clone(), table.gone.get(route)?.clone()));
        Snapshot {
            version: VERSION,
            now,
            tables: *version,
            next_id: *next_id,
            window_closed: *window_closed,
            nodes: members.iter().map(|(id, member)| member.shot(*id)).collect(),
            settings: reported.iter().map(|(name, settings)| stand_in(name, settings)).collect(),
            gone: gone.iter().filter_map(domain).collect(),
            words: words.iter().cloned().collect(),
            drains: drains.values().cloned().collect(),
            drained: history.iter().cloned().collect(),
        }
    }

    /// A registry that goes on where the snapshot ends, at `now` by the snapshot's clock. Bounds
    /// hold for what comes later: what stands in the snapshot is taken as it is.
    ///
    /// # Errors
    /// [`SnapshotError::Node`] for a node that could not have registered so.
    pub fn restore(
        snapshot: &Snapshot,
        trust: Trust,
        (limits, timing): (Limits, Timing),
        use_alias: bool,
        now: Moment,
    ) -> Result<Registry, SnapshotError> {
        let mut registry = Registry::new(limits, timing, use_alias);
        registry.window_closed = snapshot.window_closed;
        for settings in &snapshot.settings {
            let config = config(settings)?;
            registry.reported.insert(config.balancer, Arc::new(config.settings));
        }
        let names: Vec<BalancerName> = registry.reported.keys().cloned().collect();
        names.iter().for_each(|name| registry.settle_settings(name, None, now));
        for node in &snapshot.nodes {
            registry.put_back(node, trust, now)?;
        }
        for (route, domain) in &snapshot.gone {
            registry.gone.push_back(route.clone());
            registry.table.gone.insert_mut(route.clone(), domain.clone());
        }
        registry.next_id = registry.next_id.max(snapshot.next_id);
        let Snapshot { words, drains, drained, .. } = snapshot.clone();
        registry.resume(words, drains, drained, now);
        registry.version = registry.version.max(snapshot.tables + 1);
        Ok(registry)
    }

    fn put_back(
        &mut self,
        node: &NodeShot,
        trust: Trust,
        now: Moment,
    ) -> Result<(), SnapshotError> {
        let config = config(&node.config)?;
        let fault = |reason: &str| SnapshotError::Node {
            route: config.route.to_string(),
            reason: reason.to_owned(),
        };
        let id = NodeId(node.id);
        if self.members.contains_key(&id) || self.id(&config.route).is_some() {
            return Err(fault("it is there twice"));
        }
        if self.at_address(&config).is_some() {
            return Err(fault("another node has its address"));
        }
        if node.id == u32::MAX {
            return Err(fault("there is no number after its own"));
        }
        self.next_id = node.id;
        self.add(&config, node.is_static, now);
        self.next_id = self.next_id.max(node.id + 1);
        let member = self.member_mut(id);
        member.take(node, now).map_err(|reason| fault(&reason))?;
        if trust == Trust::ProbeFirst {
            member.doubt(now);
        }
        self.contexts += self.members[&id].hosts.key_count(self.table.use_alias);
        // The settings that stand may be of another node's message.
        if !self.reported.contains_key(&config.balancer) {
            self.adopt_settings(&config, id, now);
        }
        self.refresh(id, now);
        Ok(())
    }
}

// === impl Member ===

impl Member {
    fn shot(&self, id: NodeId) -> NodeShot {
        // Whole, so that whoever adds a field decides whether it belongs here.
        let Member {
            config,
            effective: _,
            overrides: _,
            held: _,
            is_static,
            claim,
            hosts,
            slots,
            live,
            health,
            since,
            load,
            sessions,
            bound_sessions,
            warming,
            last_status,
            next_probe,
            probed_since: _,
            answered,
            heard: _,
            cluster_members: _,
            is_doubted: _,
            is_cut_off: _,
            node: _,
        } = self;
        NodeShot {
            id: id.0,
            config: write(&Command::Config(Box::new((**config).clone()))).body,
            is_static: *is_static,
            owner: claim.as_ref().map(|claim| (claim.owner.to_string(), claim.from)),
            hosts: hosts.iter().map(HostShot::of).collect(),
            slots: slots.iter().map(|(path, slot)| (path.clone(), slot.shot())).collect(),
            live: live.shot(),
            health: HealthShot::of(*health),
            since: *since,
            load: load.map(Load::number),
            sessions: *sessions,
            bound_sessions: *bound_sessions,
            warming: warming.map(SlowStart::parts),
            last_status: *last_status,
            next_probe: *next_probe,
            answered: *answered,
        }
    }

    fn take(&mut self, node: &NodeShot, now: Moment) -> Result<(), String> {
        let load = |number: i32| {
            Load::from_number(number.into()).ok_or_else(|| format!("{number} is no load"))
        };
        self.load = node.load.map(load).transpose()?;
        let claim = |(owner, from): &(String, IpAddr)| {
            let owner = owner.parse().map_err(|error: BadOwner| error.to_string())?;
            Ok::<_, String>(Claim { owner, from: *from })
        };
        self.claim = node.owner.as_ref().map(claim).transpose()?;
        (self.sessions, self.bound_sessions) = (node.sessions, node.bound_sessions);
        self.hosts = Hosts::restored(node.hosts.iter().map(HostShot::entry).collect());
        let slots = node.slots.iter();
        self.slots =
            slots.map(|(path, shot)| (path.clone(), Arc::new(Slot::restored(shot)))).collect();
        self.live = Arc::new(Live::restored(&node.live));
        self.health = node.health.health();
        self.since = node.since;
        self.warming = node.warming.and_then(|(since, lasts)| SlowStart::begin(since, lasts));
        self.last_status = node.last_status;
        // A probe that was under way is not heard of any more.
        self.next_probe = node.next_probe.min(now + Moment::from_secs(1));
        self.answered = node.answered;
        Ok(())
    }

    /// Nothing is known of it but what it said.
    fn doubt(&mut self, now: Moment) {
        self.health = Health::Checking;
        self.since = now;
        self.last_status = None;
        self.warming = None;
        self.next_probe = now;
    }
}

/// The settings of a balancer name, in the message of a node that is none.
fn stand_in(name: &BalancerName, settings: &muster_protocol::mcmp::BalancerSettings) -> String {
    let host = "none".parse().expect("it is a good host");
    let address = Address { scheme: Scheme::Http, host, port: 1 };
    let mut config = NodeConfig::new("none".parse().expect("it is a good route"), address);
    config.balancer = name.clone();
    config.settings = settings.clone();
    write(&Command::Config(Box::new(config))).body
}

fn config(message: &str) -> Result<NodeConfig, SnapshotError> {
    match parse_within("CONFIG", "/", message.as_bytes(), MAX_MESSAGE) {
        Ok(Command::Config(config)) => Ok(*config),
        Ok(_) => Err(SnapshotError::Document("a node's message is no CONFIG".to_owned())),
        Err(error) => {
            let route = HashMap::<String, String>::from_iter(
                message.split('&').filter_map(|pair| pair.split_once('=')).map(|(key, value)| {
                    (key.to_owned(), value.chars().take(100).collect::<String>())
                }),
            );
            let route = route.get("JVMRoute").cloned().unwrap_or_default();
            Err(SnapshotError::Node { route, reason: error.to_string() })
        }
    }
}

// === impl HostShot, HealthShot ===

impl HostShot {
    fn of(host: &HostEntry) -> HostShot {
        let state = |state| match state {
            ContextState::Stopped => StateShot::Stopped,
            ContextState::Disabled => StateShot::Disabled,
            ContextState::Enabled => StateShot::Enabled,
        };
        let contexts = host.contexts.iter();
        HostShot {
            aliases: host.aliases.clone(),
            contexts: contexts.map(|(path, own)| (path.clone(), state(*own))).collect(),
        }
    }

    fn entry(&self) -> HostEntry {
        let state = |state| match state {
            StateShot::Stopped => ContextState::Stopped,
            StateShot::Disabled => ContextState::Disabled,
            StateShot::Enabled => ContextState::Enabled,
        };
        let contexts = self.contexts.iter();
        HostEntry {
            aliases: self.aliases.clone(),
            contexts: contexts.map(|(path, own)| (path.clone(), state(*own))).collect(),
        }
    }
}

impl HealthShot {
    fn of(health: Health) -> HealthShot {
        match health {
            Health::Checking => HealthShot::Checking,
            Health::Up => HealthShot::Up,
            Health::Suspect(timeouts) => HealthShot::Suspect(timeouts),
            Health::Down(since) => HealthShot::Down(since),
        }
    }

    fn health(self) -> Health {
        match self {
            HealthShot::Checking => Health::Checking,
            HealthShot::Up => Health::Up,
            HealthShot::Suspect(timeouts) => Health::Suspect(timeouts),
            HealthShot::Down(since) => Health::Down(since),
        }
    }
}
