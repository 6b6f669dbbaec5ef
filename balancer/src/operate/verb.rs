//! What operators may ask for, as checked values.

use std::fmt;
use std::time::Duration;

use muster_protocol::names::{Alias, BalancerName, ContextPath, Domain, Route};
use muster_routing::overrides::{BalancerOverride, NodeOverride};

use super::OperateError;

/// What is asked for.
#[derive(Debug, Clone, PartialEq)]
pub enum Verb {
    /// All requests, whatever the node said until now.
    Enable(Target),
    /// Old sessions only.
    Disable(Target),
    /// No requests; those in flight finish.
    Stop(Target),
    /// Old sessions only until nothing is left or the deadline is over; then no requests.
    Drain {
        /// Of whom.
        target: Target,
        /// How long to wait; without it, as long as `drain.deadline` says.
        deadline: Option<Duration>,
    },
    /// A drain is taken back, and the states before are there again.
    CancelDrain(Target),
    /// A drain waits no longer.
    StopNow(Target),
    /// A node is forgotten, until it registers again.
    Remove(Route),
    /// Other properties of a node hold than it reports; those that are not given stay.
    OverrideNode {
        /// Which.
        route: Route,
        /// What holds.
        overrides: NodeOverride,
    },
    /// A node's properties are what it reports.
    ResetNode(Route),
    /// Other settings of a balancer name hold than its nodes report; those not given stay.
    OverrideBalancer {
        /// Which.
        name: BalancerName,
        /// What holds.
        overrides: BalancerOverride,
    },
    /// A balancer name's settings are what its nodes report.
    ResetBalancer(BalancerName),
    /// The configuration is read again.
    Reload,
}

/// For whom.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    /// A context of a node, on the virtual host that has all these aliases.
    Context {
        /// The node.
        route: Route,
        /// Names of the virtual host.
        aliases: Vec<Alias>,
        /// Where it is mounted.
        path: ContextPath,
    },
    /// All contexts of a node.
    Node(Route),
    /// All nodes of a load-balancing group, or those without one.
    Group(Option<Domain>),
}

impl Target {
    /// A node by its name.
    ///
    /// # Errors
    /// Where no node can have such a name.
    pub fn node(route: &str) -> Result<Target, OperateError> {
        parsed("route", route).map(Target::Node)
    }

    /// A group by its name.
    ///
    /// # Errors
    /// Where no group can have such a name.
    pub fn group(domain: Option<&str>) -> Result<Target, OperateError> {
        Ok(Target::Group(domain.map(|domain| parsed("group", domain)).transpose()?))
    }

    /// A context by names.
    ///
    /// # Errors
    /// Where no context can have such names.
    pub fn context(
        route: &str,
        aliases: &[impl AsRef<str>],
        path: &str,
    ) -> Result<Target, OperateError> {
        let aliases = aliases.iter().map(|alias| parsed("alias", alias.as_ref()));
        Ok(Target::Context {
            route: parsed("route", route)?,
            aliases: aliases.collect::<Result<_, _>>()?,
            path: parsed("context", path)?,
        })
    }
}

/// A name, or what is wrong with it and in which field.
pub(crate) fn parsed<T: std::str::FromStr>(
    field: &'static str,
    text: &str,
) -> Result<T, OperateError>
where
    T::Err: fmt::Display,
{
    text.parse().map_err(|error: T::Err| OperateError::Bad { field, why: error.to_string() })
}

impl Verb {
    /// One word, for log, audit and page.
    pub fn word(&self) -> &'static str {
        match self {
            Verb::Enable(_) => "enable",
            Verb::Disable(_) => "disable",
            Verb::Stop(_) => "stop",
            Verb::Drain { .. } => "drain",
            Verb::CancelDrain(_) => "cancel_drain",
            Verb::StopNow(_) => "stop_now",
            Verb::Remove(_) => "remove",
            Verb::OverrideNode { .. } | Verb::OverrideBalancer { .. } => "override",
            Verb::ResetNode(_) | Verb::ResetBalancer(_) => "reset",
            Verb::Reload => "reload",
        }
    }

    /// For whom, in words.
    pub fn target(&self) -> String {
        match self {
            Verb::Enable(target)
            | Verb::Disable(target)
            | Verb::Stop(target)
            | Verb::Drain { target, .. }
            | Verb::CancelDrain(target)
            | Verb::StopNow(target) => target.to_string(),
            Verb::Remove(route) | Verb::OverrideNode { route, .. } | Verb::ResetNode(route) => {
                format!("node {route}")
            }
            Verb::OverrideBalancer { name, .. } | Verb::ResetBalancer(name) => {
                format!("balancer {name}")
            }
            Verb::Reload => "configuration".to_owned(),
        }
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Target::Context { route, aliases, path } => {
                let host = aliases.first().map(Alias::as_str).unwrap_or_default();
                write!(f, "context {path} on {host} of node {route}")
            }
            Target::Node(route) => write!(f, "node {route}"),
            Target::Group(Some(domain)) => write!(f, "group {domain}"),
            Target::Group(None) => f.write_str("nodes without a group"),
        }
    }
}
