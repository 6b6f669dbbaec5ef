//! The choice of a node for a request: owner, then same domain, then anyone, then standby.
//!
//! Deciding changes nothing; whoever sends the request counts it ([`Decision::count`]).
//! Reference: choosing the node for a request, points 1 to 4.

use std::sync::Arc;

use muster_protocol::mcmp::BalancerSettings;
use muster_protocol::names::Domain;

use crate::context::ContextState;
use crate::elect::{Candidate, Elected, Pool};
use crate::node::{Availability, InFlight, Live, Node, NodeId, Slot};
use crate::session;
use crate::table::{Entry, RoutingTable};

/// What a decision needs of a request.
#[derive(Debug, Clone, Copy)]
pub struct Request<'r> {
    /// The Host header; it counts only where host names are used.
    pub host: &'r str,
    /// The path without the query.
    pub path: &'r str,
    /// The Cookie headers.
    pub cookies: &'r [&'r str],
    /// Nodes that failed this request already.
    pub tried: &'r [NodeId],
    /// Most requests that a node may carry; 0 for no bound.
    pub max_in_flight: u32,
}

/// A node for a request.
#[derive(Debug, Clone)]
pub struct Decision<'t> {
    /// The node.
    pub node: &'t Arc<Node>,
    /// Why this one.
    pub how: How,
    /// The context that the request is for.
    pub entry: &'t Entry,
    /// Whether the session id is to be taken out of the request: it leaves its domain, and
    /// the balancer's settings say so (StickySessionRemove).
    pub strip_session: bool,
    slot: &'t Arc<Slot>,
    elected: Option<Elected<'t>>,
}

/// Why a node was chosen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum How {
    /// It owns the request's session.
    Owner,
    /// The request has no session, and this node was next.
    Elected,
    /// The owner is not usable: a node of its domain.
    SameDomain,
    /// The owner is not usable, nor anybody in its domain: any node.
    Failover,
    /// Nobody else is usable.
    Standby,
    /// Nobody is enabled: a node that takes old sessions only.
    LastDisabled,
}

/// Why no node can take a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// Nobody ever mounted a context there: 404.
    #[error("no context for this path")]
    NoContext,
    /// There is the context, but nobody who may take the request now: 503, after the wait that
    /// the balancer name's WaitWorker says.
    #[error("no node can take the request")]
    NoNode {
        /// How long to wait for a node.
        wait: std::time::Duration,
    },
    /// Every node that may take the request carries as many as it may: 503 after a bounded wait.
    #[error("every node is busy")]
    Busy,
}

/// Finds the node for a request.
///
/// # Errors
/// A [`Refusal`] when nobody may take it.
pub fn decide<'t>(table: &'t RoutingTable, request: &Request<'_>) -> Result<Decision<'t>, Refusal> {
    let entry = table.entry(request.host, request.path).ok_or(Refusal::NoContext)?;
    let choice = Choice { table, entry, request };
    match choice.session() {
        Session::None => choice.newcomer(),
        Session::Known(owner) => choice.known(owner),
        Session::Gone(domain) => choice.elsewhere(domain),
        Session::Unknown => choice.stranger(),
    }
}

/// One decision on its way.
struct Choice<'t, 'r> {
    table: &'t RoutingTable,
    entry: &'t Entry,
    request: &'r Request<'r>,
}

/// What the request's session ids say.
enum Session<'t> {
    /// There is none, or sessions do not stick.
    None,
    /// Its node is registered.
    Known(&'t Arc<Node>),
    /// Its node was, and this was its domain.
    Gone(&'t Domain),
    /// Nobody knows its node.
    Unknown,
}

impl<'t> Choice<'t, '_> {
    fn session(&self) -> Session<'t> {
        let mut best = Session::None;
        for settings in self.entry.settings.iter().filter(|settings| settings.sticky) {
            let (cookie, path) = (settings.cookie.as_str(), settings.path.as_str());
            let routes = session::routes(self.request.cookies, cookie, self.request.path, path);
            for route in routes {
                match route.map(|route| (self.table.node(route), self.table.gone.get(route))) {
                    Some((Some(node), _)) if self.owner(node).is_some() => {
                        return Session::Known(node);
                    }
                    Some((Some(node), _)) if !matches!(best, Session::Known(_)) => {
                        best = Session::Known(node);
                    }
                    Some((None, Some(domain)))
                        if matches!(best, Session::None | Session::Unknown) =>
                    {
                        best = Session::Gone(domain);
                    }
                    _ if matches!(best, Session::None) => best = Session::Unknown,
                    _ => {}
                }
            }
        }
        best
    }

    /// The session's node is registered.
    fn known(&self, owner: &'t Arc<Node>) -> Result<Decision<'t>, Refusal> {
        if let Some(slot) = self.owner(owner) {
            return match owner.live.is_full(self.request.max_in_flight) {
                false => Ok(self.decision(owner, slot, How::Owner)),
                true => Err(Refusal::Busy),
            };
        }
        let domain = owner.config.domain.as_ref();
        if !owner.settings.sticky_force {
            return self.within(domain).map_or_else(|| self.outside(&owner.settings), Ok);
        }
        let within = self.within(domain).or_else(|| self.forced_standby(owner));
        within.ok_or_else(|| self.refusal(domain.and_then(|domain| self.entry.domains.get(domain))))
    }

    /// The session's node is gone, but its domain is known.
    fn elsewhere(&self, domain: &'t Domain) -> Result<Decision<'t>, Refusal> {
        let settings = self.settings();
        self.within(Some(domain)).map_or_else(|| self.outside(settings), Ok)
    }

    /// The owner, if it may take its own session: enabled or disabled, usable, not tried.
    fn owner(&self, node: &'t Arc<Node>) -> Option<&'t Arc<Slot>> {
        let (state, slot) = self.context_of(node)?;
        let takes_it = state != ContextState::Stopped;
        let is_usable = matches!(node.availability, Availability::Usable(_));
        (takes_it && is_usable && !self.request.tried.contains(&node.id)).then_some(slot)
    }

    /// With StickySessionForce an owner on standby is better than a refusal.
    fn forced_standby(&self, owner: &'t Arc<Node>) -> Option<Decision<'t>> {
        let (state, slot) = self.context_of(owner)?;
        let fits = state != ContextState::Stopped
            && owner.availability == Availability::Standby
            && self.fits(owner.id, &owner.live);
        fits.then(|| self.decision(owner, slot, How::Owner))
    }

    fn context_of(&self, node: &'t Arc<Node>) -> Option<(ContextState, &'t Arc<Slot>)> {
        node.context(&self.entry.key)
    }

    fn within(&self, domain: Option<&Domain>) -> Option<Decision<'t>> {
        self.elect(self.entry.domains.get(domain?)?, How::SameDomain)
    }

    /// Out of the owner's domain: any node, then standby, then whoever is left.
    fn outside(&self, settings: &BalancerSettings) -> Result<Decision<'t>, Refusal> {
        let mut decision = self.anyone(How::Failover).or_else(|| self.last_disabled());
        if let Some(decision) = &mut decision {
            decision.strip_session = settings.sticky_remove;
        }
        decision.ok_or_else(|| self.refusal(Some(&self.entry.usable)))
    }

    /// A session that nobody knows: as a new request, but a node that takes old sessions only
    /// will do when nobody is enabled.
    fn stranger(&self) -> Result<Decision<'t>, Refusal> {
        let decision = self.anyone(How::Elected).or_else(|| self.last_disabled());
        decision.ok_or_else(|| self.refusal(Some(&self.entry.usable)))
    }

    /// A request without a session.
    fn newcomer(&self) -> Result<Decision<'t>, Refusal> {
        self.anyone(How::Elected).ok_or_else(|| self.refusal(Some(&self.entry.usable)))
    }

    fn anyone(&self, how: How) -> Option<Decision<'t>> {
        let elected = self.elect(&self.entry.usable, how);
        elected.or_else(|| self.elect(&self.entry.standby, How::Standby))
    }

    fn last_disabled(&self) -> Option<Decision<'t>> {
        let nobody_enabled = self.entry.usable.is_empty() && self.entry.standby.is_empty();
        nobody_enabled.then(|| self.elect(&self.entry.disabled, How::LastDisabled)).flatten()
    }

    fn elect(&self, pool: &'t Pool, how: How) -> Option<Decision<'t>> {
        let elected = pool.elect(|id, live| self.fits(id, live))?;
        let Candidate { node, slot } = elected.candidate();
        Some(Decision { elected: Some(elected), ..self.decision(node, slot, how) })
    }

    fn fits(&self, id: NodeId, live: &Live) -> bool {
        !self.request.tried.contains(&id) && !live.is_full(self.request.max_in_flight)
    }

    fn decision(&self, node: &'t Arc<Node>, slot: &'t Arc<Slot>, how: How) -> Decision<'t> {
        Decision { node, how, entry: self.entry, strip_session: false, slot, elected: None }
    }

    /// Busy if somebody in the pool could have taken it but for the bound.
    fn refusal(&self, pool: Option<&Pool>) -> Refusal {
        let untried = |id: NodeId, _: &Live| !self.request.tried.contains(&id);
        match pool.and_then(|pool| pool.elect(untried)) {
            Some(_) => Refusal::Busy,
            None => Refusal::NoNode { wait: self.settings().wait_worker },
        }
    }

    /// The settings for requests without an owner: those of the first balancer name.
    fn settings(&self) -> &'t BalancerSettings {
        self.entry.settings.first().expect("an entry has nodes, and each has settings")
    }
}

// === impl Decision ===

impl Decision<'_> {
    /// Counts the request, which is on its way to the node from now until the value is dropped.
    pub fn count(&self) -> InFlight {
        match (&self.elected, self.node.availability) {
            (Some(elected), _) => elected.count(),
            (None, Availability::Usable(share)) => {
                self.entry.usable.count_unelected(share, self.node.id);
            }
            (None, Availability::Standby | Availability::Unusable) => {}
        }
        InFlight::start(&self.node.live, self.slot)
    }
}
