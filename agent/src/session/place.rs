//! Where an application's sessions are deployed: what their cookie says of it.

use muster_protocol::mcmp::{BalancerSettings, NodeConfig};
use muster_protocol::names::{ContextPath, Route, StickyName};

/// The node and the context that serve the sessions, and the names that balancers look for.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Place {
    /// The node's; none where no agent is.
    pub(crate) route: Option<Route>,
    /// Where the application is mounted.
    pub(crate) context: Option<ContextPath>,
    /// The cookie's name.
    pub(crate) cookie: StickyName,
    /// The path parameter's name.
    pub(crate) parameter: StickyName,
}

impl Place {
    /// Where a node's sessions are, but for the context.
    pub(crate) fn of(node: &NodeConfig) -> Self {
        let BalancerSettings { cookie, path, .. } = node.settings.clone();
        Self { route: Some(node.route.clone()), context: None, cookie, parameter: path }
    }

    /// In this context.
    pub(crate) fn at(&self, context: Option<ContextPath>) -> Self {
        Self { context, ..self.clone() }
    }
}

impl Default for Place {
    fn default() -> Self {
        let BalancerSettings { cookie, path, .. } = BalancerSettings::default();
        Self { route: None, context: None, cookie, parameter: path }
    }
}
