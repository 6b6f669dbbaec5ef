//! CONFIG: a node comes, changes, or takes the place of one that is gone.

use std::sync::Arc;

use muster_protocol::mcmp::{Load, NodeConfig, VirtualHost};

use super::{ApplyError, Heard, Member, Outcome, Registry};
use crate::Moment;
use crate::context::{ContextState, Hosts, MAX_ALIASES};
use crate::health::{Health, Probed};
use crate::node::{Live, NodeId};
use crate::owner::{Claim, Right, Sender};

impl Registry {
    /// Adds a node of the configuration file with its contexts enabled.
    ///
    /// # Errors
    /// When its route or address is taken, or a table is full; nothing has changed then.
    pub fn add_static(
        &mut self,
        config: NodeConfig,
        load: Load,
        now: Moment,
    ) -> Result<(), ApplyError> {
        let id = self.configure_as(&config, None, &Heard::default(), true, now)?;
        let member = self.members.get_mut(&id).expect("it was just added");
        member.load = Some(load);
        if let Some(message) = &config.virtual_host {
            member.hosts.set(message, ContextState::Enabled);
        }
        self.refresh(id, now);
        self.publish();
        Ok(())
    }

    pub(super) fn configure(
        &mut self,
        config: &NodeConfig,
        by: Option<&Sender>,
        heard: &Heard,
        now: Moment,
    ) -> Result<Outcome, ApplyError> {
        self.configure_as(config, by, heard, false, now).map(|_| Outcome::Done)
    }

    /// Nodes that stand in the way: the route's own at another address, for another balancer name
    /// or of another owner, and another's at this address. Never two nodes of one route. Each gives way when it
    /// does not answer; the one at this address also when it has sent no STATUS for long.
    pub(super) fn rivals(&self, config: &NodeConfig, by: Option<&Sender>) -> Vec<NodeId> {
        let is_foreign = |id: &NodeId| {
            let member = &self.members[id];
            !member.is_same(config) || member.right_to(config, by) != Right::Own
        };
        let of_route = self.id(&config.route).filter(is_foreign);
        let at_address =
            self.at_address(config).filter(|id| self.members[id].config.route != config.route);
        of_route.into_iter().chain(at_address).collect()
    }

    fn configure_as(
        &mut self,
        config: &NodeConfig,
        by: Option<&Sender>,
        heard: &Heard,
        is_static: bool,
        now: Moment,
    ) -> Result<NodeId, ApplyError> {
        let rivals = self.rivals(config, by);
        for rival in &rivals {
            self.check_rival(config, by, *rival, heard, now)?;
        }
        let known = self.id(&config.route).filter(|id| !rivals.contains(id));
        if let Some(id) = known
            && self.members[&id].is_static
        {
            return Err(ApplyError::Static(config.route.clone()));
        }
        self.check_room(config, known, &rivals)?;

        for rival in rivals {
            self.remove(rival);
        }
        let id = known.unwrap_or_else(|| self.add(config, is_static, now));
        let member = self.members.get_mut(&id).expect("it is known or was just added");
        member.config = Arc::new(config.clone());
        self.override_node(id);
        let held = self.held(&config.route);
        let member = self.members.get_mut(&id).expect("it is known or was just added");
        member.held = held;
        member.claim = by.map(Claim::of).or(member.claim.take());
        if let Some(message) = &config.virtual_host {
            let before = member.hosts.key_count(self.table.use_alias);
            member.hosts.create(message);
            self.contexts += member.hosts.key_count(self.table.use_alias) - before;
        }
        self.clusters.put(id, by.and_then(|sender| sender.seated.clone()));
        self.adopt_settings(config, id, now);
        self.refresh(id, now);
        Ok(id)
    }

    /// A rival gives way to whoever has a right to it, when it was asked and did not answer. One at the same address gives way
    /// also when it has sent no STATUS for `silent_after`: a worker that came back under a new
    /// route answers the probe of the old one itself.
    fn check_rival(
        &self,
        config: &NodeConfig,
        by: Option<&Sender>,
        rival: NodeId,
        heard: &Heard,
        now: Moment,
    ) -> Result<(), ApplyError> {
        let member = &self.members[&rival];
        let own = &member.config;
        if member.is_static {
            return Err(ApplyError::Static(own.route.clone()));
        }
        let right = member.right_to(config, by);
        if right == Right::None {
            return Err(ApplyError::NotOwner(own.route.clone()));
        }
        if heard.of(rival).is_some_and(|probed| probed != Probed::Answered) {
            return Ok(());
        }
        let has_address_only = own.route != config.route;
        if has_address_only && member.silence(now) >= self.timing.silent_after {
            return Ok(());
        }
        Err(match own.route == config.route {
            true if right != Right::Own => ApplyError::NotOwner(own.route.clone()),
            true => ApplyError::RouteTaken {
                route: own.route.clone(),
                address: own.address.clone(),
                balancer: own.balancer.clone(),
            },
            false => {
                ApplyError::AddressTaken { owner: own.route.clone(), address: own.address.clone() }
            }
        })
    }

    fn check_room(
        &self,
        config: &NodeConfig,
        known: Option<NodeId>,
        rivals: &[NodeId],
    ) -> Result<(), ApplyError> {
        let Registry { limits, members, table, .. } = self;
        if known.is_none() && members.len() - rivals.len() >= limits.nodes {
            return Err(ApplyError::Full { what: "nodes", limit: limits.nodes });
        }
        let nothing = Hosts::default();
        let hosts = known.map_or(&nothing, |id| &members[&id].hosts);
        let freed = rivals.iter().map(|id| members[id].hosts.key_count(table.use_alias)).sum();
        self.check_contexts(hosts, config.virtual_host.as_ref(), freed)
    }

    pub(super) fn check_contexts(
        &self,
        hosts: &Hosts,
        message: Option<&VirtualHost>,
        freed: usize,
    ) -> Result<(), ApplyError> {
        let use_alias = self.table.use_alias;
        let added = message.map(|message| hosts.added_by(message, use_alias)).unwrap_or_default();
        if added.aliases > MAX_ALIASES {
            return Err(ApplyError::Full { what: "aliases of a virtual host", limit: MAX_ALIASES });
        }
        match self.contexts - freed + added.keys > self.limits.contexts {
            true => Err(ApplyError::Full { what: "contexts", limit: self.limits.contexts }),
            false => Ok(()),
        }
    }

    pub(super) fn add(&mut self, config: &NodeConfig, is_static: bool, now: Moment) -> NodeId {
        let id = NodeId(self.next_id);
        self.next_id += 1;
        self.by_route.insert(config.route.clone(), id);
        self.by_address.insert((config.address.host.clone(), config.address.port), id);
        self.members.insert(id, Member::new(config, is_static, now));
        id
    }

    /// The last CONFIG's settings hold for all nodes of the balancer name: for those other than
    /// its own node from here.
    pub(super) fn adopt_settings(&mut self, config: &NodeConfig, own: NodeId, now: Moment) {
        let known = self.reported.get(&config.balancer);
        if known.is_some_and(|settings| **settings == config.settings) {
            return;
        }
        self.reported.insert(config.balancer.clone(), Arc::new(config.settings.clone()));
        self.settle_settings(&config.balancer, Some(own), now);
    }

    pub(super) fn at_address(&self, config: &NodeConfig) -> Option<NodeId> {
        let address = &config.address;
        self.by_address.get(&(address.host.clone(), address.port)).copied()
    }
}

impl Member {
    fn new(config: &NodeConfig, is_static: bool, now: Moment) -> Member {
        Member {
            config: Arc::new(config.clone()),
            effective: Arc::new(config.clone()),
            overrides: Default::default(),
            held: Default::default(),
            is_static,
            claim: None,
            hosts: Hosts::default(),
            slots: Default::default(),
            live: Arc::new(Live::default()),
            health: Health::Checking,
            since: now,
            load: None,
            sessions: None,
            bound_sessions: None,
            warming: None,
            last_status: None,
            next_probe: now,
            probed_since: None,
            answered: 0,
            heard: Default::default(),
            cluster_members: None,
            is_doubted: false,
            is_cut_off: false,
            node: None,
        }
    }

    /// What whoever sends this CONFIG may do with this node.
    fn right_to(&self, config: &NodeConfig, by: Option<&Sender>) -> Right {
        let is_in_place = self.config.address == config.address;
        by.map_or(Right::Own, |sender| self.right_of(sender, is_in_place))
    }

    /// Whether a CONFIG may change this node in place.
    pub(super) fn is_same(&self, config: &NodeConfig) -> bool {
        self.config.address == config.address && self.config.balancer == config.balancer
    }
}
