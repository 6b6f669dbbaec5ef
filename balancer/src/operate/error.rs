//! Why a verb is refused. Nothing has changed then.

use http::StatusCode;
use muster_protocol::names::{BalancerName, ContextPath, Route};
use muster_routing::overrides::OutOfBounds;
use muster_routing::registry::ApplyError;
use muster_routing::word;

use super::Role;

/// Why a verb is refused. Nothing has changed then.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OperateError {
    /// Whoever asks may not.
    #[error("a {0} may change nothing here")]
    NotAllowed(Role),
    /// A value that cannot be.
    #[error("{field}: {why}")]
    Bad {
        /// Which.
        field: &'static str,
        /// What is wrong with it.
        why: String,
    },
    /// The node is not registered, or no longer.
    #[error("no node is registered with the route {0}")]
    NoNode(Route),
    /// The node has no such context on such a host, or no longer.
    #[error("the node {route} has no context {path} on this virtual host")]
    NoContext {
        /// The node.
        route: Route,
        /// The context.
        path: ContextPath,
    },
    /// No node is in the group, or no longer.
    #[error("no node is registered in this group")]
    NoGroup,
    /// No node registered for the balancer name.
    #[error("no node is registered for the balancer {0}")]
    NoBalancer(BalancerName),
    /// There is no drain under way.
    #[error("{0} does not drain")]
    NoDrain(String),
    /// What is stopped has nothing to drain.
    #[error("{0} is stopped already")]
    Stopped(String),
    /// An overriding value that may not be.
    #[error(transparent)]
    OutOfBounds(#[from] OutOfBounds),
    /// There are too many words.
    #[error(transparent)]
    Full(#[from] word::Full),
    /// The registry does not do it.
    #[error(transparent)]
    Apply(#[from] ApplyError),
    /// The configuration that is on disk cannot be used.
    #[error("the configuration cannot be used: {0}")]
    Reload(String),
    /// This balancer was started in a way that has no such verb.
    #[error("this balancer cannot {0}")]
    Unavailable(&'static str),
}

impl OperateError {
    /// The one table from refusals to HTTP.
    pub fn status(&self) -> StatusCode {
        match self {
            OperateError::NotAllowed(_) => StatusCode::FORBIDDEN,
            OperateError::Bad { .. } | OperateError::OutOfBounds(_) => StatusCode::BAD_REQUEST,
            OperateError::NoNode(_)
            | OperateError::NoContext { .. }
            | OperateError::NoGroup
            | OperateError::NoBalancer(_) => StatusCode::NOT_FOUND,
            OperateError::NoDrain(_)
            | OperateError::Stopped(_)
            | OperateError::Full(_)
            | OperateError::Apply(_) => StatusCode::CONFLICT,
            OperateError::Reload(_) => StatusCode::UNPROCESSABLE_ENTITY,
            OperateError::Unavailable(_) => StatusCode::NOT_IMPLEMENTED,
        }
    }

    /// One word for it, that programs may rely on.
    pub fn word(&self) -> &'static str {
        match self {
            OperateError::NotAllowed(_) => "not_allowed",
            OperateError::Bad { .. } => "bad_value",
            OperateError::OutOfBounds(_) => "out_of_bounds",
            OperateError::NoNode(_) => "no_node",
            OperateError::NoContext { .. } => "no_context",
            OperateError::NoGroup => "no_group",
            OperateError::NoBalancer(_) => "no_balancer",
            OperateError::NoDrain(_) => "no_drain",
            OperateError::Stopped(_) => "already_stopped",
            OperateError::Full(_) => "full",
            OperateError::Apply(_) => "refused",
            OperateError::Reload(_) => "bad_configuration",
            OperateError::Unavailable(_) => "unavailable",
        }
    }

    /// The field that is at fault, where one is.
    pub fn field(&self) -> Option<&'static str> {
        match self {
            OperateError::Bad { field, .. } => Some(field),
            OperateError::OutOfBounds(bad) => Some(bad.field),
            _ => None,
        }
    }
}
