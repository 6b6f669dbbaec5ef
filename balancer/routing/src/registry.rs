//! Who is registered. One writer; every change goes through here and leaves a new table.
//!
//! A command is applied in two steps, because some of them depend on whether a node answers:
//! [`Registry::questions`] says whom to ask, the shell asks them, and [`Registry::apply`] gets
//! what was [`Heard`]. On an error nothing has changed.

mod apps;
mod config;
mod doubt;
mod fixed;
mod lookup;
mod publish;
pub mod snapshot;
mod watch;
mod words;

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet, VecDeque};
use std::sync::Arc;

use foldhash::fast::RandomState;
use muster_protocol::cluster::Members;
use muster_protocol::mcmp::{Address, BalancerSettings, Command, Load, NodeConfig, Ping};
use muster_protocol::names::{BalancerName, ContextPath, NodeHost, Route};

use crate::Moment;
use crate::cluster::Clusters;
use crate::context::{ContextKey, Hosts};
use crate::drain::Drain;
use crate::health::{Health, Probed, Timing};
use crate::load::SlowStart;
use crate::node::{Live, Node, NodeId, Slot};
use crate::overrides::NodeOverride;
use crate::owner::{Claim, Right, Sender};
use crate::table::{Placement, RoutingTable};
use crate::word::{Subject, Words};

pub use lookup::{Standing, Tally};
pub use watch::ProbeOrder;

/// Bounds of the registry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Most nodes.
    pub nodes: usize,
    /// Most contexts, counted on each virtual host of each node, and where host names are used on
    /// each alias of it.
    pub contexts: usize,
    /// Most nodes that are gone whose domains are remembered.
    pub gone: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Limits { nodes: 10_000, contexts: 100_000, gone: 10_000 }
    }
}

/// The nodes, what they serve, and how they stand.
#[derive(Debug)]
pub struct Registry {
    limits: Limits,
    timing: Timing,
    pub(crate) members: BTreeMap<NodeId, Member>,
    by_route: HashMap<Route, NodeId, RandomState>,
    by_address: HashMap<(NodeHost, u16), NodeId, RandomState>,
    /// The settings that hold.
    pub(crate) balancers: BTreeMap<BalancerName, Arc<BalancerSettings>>,
    /// The settings that the last CONFIG reported.
    pub(crate) reported: BTreeMap<BalancerName, Arc<BalancerSettings>>,
    words: Words,
    /// Who was told to drain.
    draining: BTreeSet<Subject>,
    drains: BTreeMap<Subject, Drain>,
    history: VecDeque<Drain>,
    /// Who serves what, in which state.
    index: HashMap<ContextKey, BTreeMap<NodeId, Placement>, RandomState>,
    /// What the table does not show yet.
    touched: HashSet<ContextKey, RandomState>,
    /// Routes whose domains are remembered, the oldest first.
    gone: VecDeque<Route>,
    clusters: Clusters,
    contexts: usize,
    next_id: u32,
    window_closed: Moment,
    /// Counts tables.
    version: u64,
    /// Counts entries that were built.
    rebuilds: u64,
    table: RoutingTable,
    /// Nodes that were forgotten since somebody asked, [`Limits::gone`] at most.
    forgotten: Vec<Route>,
    /// Counts nodes that were left out while somebody may wait for them.
    left_out: u64,
    /// Of them, those by what members of a cluster say, since somebody asked.
    left_out_by_word: Vec<Route>,
    /// A probe is due that should not wait for its turn.
    is_in_haste: bool,
}

/// All that is kept of one node.
#[derive(Debug)]
pub(crate) struct Member {
    /// What it reports.
    pub(crate) config: Arc<NodeConfig>,
    /// What holds: the same, but for what operators say.
    pub(crate) effective: Arc<NodeConfig>,
    overrides: NodeOverride,
    /// What operators hold down.
    pub(crate) held: words::Held,
    /// Whether it stands in the configuration file.
    pub(crate) is_static: bool,
    /// Who registered it; of a static node nobody.
    pub(crate) claim: Option<Claim>,
    pub(crate) hosts: Hosts,
    pub(crate) slots: BTreeMap<ContextPath, Arc<Slot>>,
    pub(crate) live: Arc<Live>,
    pub(crate) health: Health,
    /// When it registered.
    since: Moment,
    /// The load last reported.
    pub(crate) load: Option<Load>,
    /// The sessions last reported.
    pub(crate) sessions: Option<u64>,
    /// Those of them that a drain waits for, where the node says so.
    pub(crate) bound_sessions: Option<u64>,
    warming: Option<SlowStart>,
    pub(crate) last_status: Option<Moment>,
    next_probe: Moment,
    /// When the probe was ordered that is under way.
    probed_since: Option<Moment>,
    /// Requests that it had answered when it was last looked at.
    answered: u64,
    heard: watch::LastHeard,
    /// Whom it sees in its cluster.
    cluster_members: Option<Members>,
    /// Whether others of its cluster go on without it, and it has not answered since.
    is_doubted: bool,
    /// Whether it says that it cannot serve, for it sees too few of its cluster.
    is_cut_off: bool,
    /// What the table has of it.
    node: Option<Arc<Node>>,
}

/// Whom to ask before a command can be applied.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Question {
    /// Which node.
    pub id: NodeId,
    /// Where it answers.
    pub address: Address,
    /// The bound that the node set for its answer; zero where it set none.
    pub within: Moment,
}

/// Which nodes were asked, and what was found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Heard(pub Vec<(NodeId, Probed)>);

impl Heard {
    fn of(&self, id: NodeId) -> Option<Probed> {
        self.0.iter().find(|(asked, _)| *asked == id).map(|(_, probed)| *probed)
    }
}

/// What a command led to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// It is done, and there is nothing to tell.
    Done,
    /// Contexts are stopped: so many of their requests are still at the node.
    Stopped {
        /// Requests in flight.
        requests: u64,
    },
    /// Whether who was asked about is there.
    Alive(bool),
    /// A report was asked for: see [`Registry::rows`].
    Report,
}

/// Why a command cannot be applied. Nothing has changed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ApplyError {
    /// No node has this route.
    #[error("Can't read node with \"{0}\" JVMRoute")]
    Unknown(Route),
    /// The route's node stands elsewhere, and still answers there.
    #[error("Node with \"{route}\" JVMRoute already exists at {address} for balancer {balancer}")]
    RouteTaken {
        /// The route.
        route: Route,
        /// Where its node answers.
        address: Address,
        /// For whom it registered.
        balancer: BalancerName,
    },
    /// The address belongs to another node, which still answers there.
    #[error("Another node, \"{owner}\", is registered at {address} and still answers")]
    AddressTaken {
        /// The other node.
        owner: Route,
        /// The address.
        address: Address,
    },
    /// The node belongs to somebody else, who still answers or whose right outlives it.
    #[error("Node \"{0}\" belongs to another: only its owner may change it")]
    NotOwner(Route),
    /// The node stands in the configuration file, and only that may change or remove it.
    #[error("Node \"{0}\" is static: only the configuration file changes it")]
    Static(Route),
    /// A table is full.
    #[error("No room for more {what}: the limit is {limit}")]
    Full {
        /// Which table.
        what: &'static str,
        /// How many it holds.
        limit: usize,
    },
}

impl Registry {
    /// An empty registry. With `use_alias` a request's host must be one of a context's aliases.
    pub fn new(limits: Limits, timing: Timing, use_alias: bool) -> Registry {
        Registry {
            limits,
            timing,
            members: BTreeMap::new(),
            by_route: HashMap::default(),
            by_address: HashMap::default(),
            balancers: BTreeMap::new(),
            reported: BTreeMap::new(),
            words: Words::default(),
            draining: BTreeSet::new(),
            drains: BTreeMap::new(),
            history: VecDeque::new(),
            index: HashMap::default(),
            touched: HashSet::default(),
            gone: VecDeque::new(),
            clusters: Clusters::default(),
            contexts: 0,
            next_id: 0,
            window_closed: Moment::ZERO,
            version: 0,
            rebuilds: 0,
            table: RoutingTable::new(use_alias),
            forgotten: Vec::new(),
            left_out: 0,
            left_out_by_word: Vec::new(),
            is_in_haste: false,
        }
    }

    /// The table as it stands. Cheap: it shares everything.
    pub fn table(&self) -> &RoutingTable {
        &self.table
    }

    /// Rises with each new table.
    pub fn version(&self) -> u64 {
        self.version
    }

    /// How many contexts of tables were built: what changes cost, each as much as the context has
    /// nodes.
    pub fn rebuilds(&self) -> u64 {
        self.rebuilds
    }

    /// Whom to ask before this command is applied. Asking nobody is always safe: a node that was
    /// not asked counts as one that still answers.
    pub fn questions(&self, command: &Command) -> Vec<Question> {
        self.questions_of(command, None)
    }

    /// The same for a command of somebody else than an operator.
    pub fn questions_from(&self, sender: &Sender, command: &Command) -> Vec<Question> {
        self.questions_of(command, Some(sender))
    }

    fn questions_of(&self, command: &Command, by: Option<&Sender>) -> Vec<Question> {
        let asked: Vec<NodeId> = match command {
            Command::Config(config) => self.rivals(config, by),
            Command::Status(status) => {
                status.route.as_ref().and_then(|route| self.id(route)).into_iter().collect()
            }
            Command::Ping(Ping::Node(route)) => self.id(route).into_iter().collect(),
            Command::Ping(Ping::Address { scheme, host, port }) => {
                let at = self.by_address.get(&(host.clone(), *port)).copied();
                let has_scheme =
                    |id: &NodeId| Some(self.members[id].config.address.scheme) == *scheme;
                at.filter(has_scheme).into_iter().collect()
            }
            Command::Ping(Ping::Balancer)
            | Command::App(_)
            | Command::Info
            | Command::Dump
            | Command::Version => Vec::new(),
        };
        asked.into_iter().map(|id| self.question(id)).collect()
    }

    /// Applies an operator's command, and leaves the table that follows from it.
    ///
    /// # Errors
    /// An [`ApplyError`]; nothing has changed then.
    pub fn apply(
        &mut self,
        command: &Command,
        heard: &Heard,
        now: Moment,
    ) -> Result<Outcome, ApplyError> {
        self.apply_of(command, None, heard, now)
    }

    /// Applies a command of a node, which may change its own routes only.
    ///
    /// # Errors
    /// An [`ApplyError`]; nothing has changed then.
    pub fn apply_from(
        &mut self,
        sender: &Sender,
        command: &Command,
        heard: &Heard,
        now: Moment,
    ) -> Result<Outcome, ApplyError> {
        self.seat(sender, command);
        self.apply_of(command, Some(sender), heard, now)
    }

    fn apply_of(
        &mut self,
        command: &Command,
        by: Option<&Sender>,
        heard: &Heard,
        now: Moment,
    ) -> Result<Outcome, ApplyError> {
        let outcome = match command {
            Command::Config(config) => self.configure(config, by, heard, now),
            Command::App(app) => {
                self.check_owner(&app.route, by).and_then(|()| self.apply_verb(app, now))
            }
            Command::Status(status) => self.status(status, by, heard, now),
            Command::Ping(ping) => self.ping(ping, heard),
            Command::Info | Command::Dump | Command::Version => Ok(Outcome::Report),
        };
        self.publish();
        outcome
    }

    /// Whether the sender may speak for this route; an operator may for any.
    fn check_owner(&self, route: &Route, by: Option<&Sender>) -> Result<(), ApplyError> {
        let (Some(id), Some(sender)) = (self.id(route), by) else { return Ok(()) };
        let member = &self.members[&id];
        match member.right_of(sender, false) {
            Right::Own => Ok(()),
            Right::WhenGone | Right::None if member.is_static => {
                Err(ApplyError::Static(route.clone()))
            }
            Right::WhenGone | Right::None => Err(ApplyError::NotOwner(route.clone())),
        }
    }

    fn ping(&self, ping: &Ping, heard: &Heard) -> Result<Outcome, ApplyError> {
        let alive = match ping {
            Ping::Balancer => true,
            Ping::Node(route) => {
                let id = self.id(route).ok_or_else(|| ApplyError::Unknown(route.clone()))?;
                heard.of(id) == Some(Probed::Answered)
            }
            Ping::Address { .. } => heard.0.iter().any(|(_, probed)| *probed == Probed::Answered),
        };
        Ok(Outcome::Alive(alive))
    }

    fn question(&self, id: NodeId) -> Question {
        let config = &self.members[&id].effective;
        Question { id, address: config.address.clone(), within: config.ping }
    }

    fn id(&self, route: &Route) -> Option<NodeId> {
        self.by_route.get(route).copied()
    }
}

impl Member {
    /// What a sender may do with this node. One of the configuration file is spoken for from this
    /// machine only.
    fn right_of(&self, sender: &Sender, is_in_place: bool) -> Right {
        match &self.claim {
            Some(claim) => claim.right_of(sender, is_in_place),
            None if self.is_static && !sender.from.is_loopback() => Right::None,
            None => Right::Own,
        }
    }
}
