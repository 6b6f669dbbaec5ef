//! What a button asks for becomes commands for the registry, the same that nodes send.
//!
//! A node's own *-APP creates what it names; an operator's must not, for he means what he saw.
//! So each target is looked up in the rows first.

use http::StatusCode;
use muster_protocol::mcmp::{App, Command, Scope, Verb, VirtualHost};
use muster_protocol::names::{Alias, ContextPath, Domain, NameError, Route};
use muster_routing::rows::{HostRow, NodeRow, Rows};
use muster_web_ui::action::{self, Action, Target};

/// Why an action leads to no command. Nothing has changed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum VerbError {
    /// A name that no node, alias or context can have.
    #[error(transparent)]
    Name(#[from] NameError),
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
}

impl VerbError {
    pub(super) fn status(&self) -> StatusCode {
        match self {
            VerbError::Name(_) => StatusCode::BAD_REQUEST,
            VerbError::NoNode(_) | VerbError::NoContext { .. } | VerbError::NoGroup => {
                StatusCode::NOT_FOUND
            }
        }
    }
}

/// The commands that an action means, at least one; in the order of the nodes for a group.
pub(super) fn commands(action: &Action, rows: &Rows) -> Result<Vec<Command>, VerbError> {
    let verb = verb(action.verb);
    let app = |route, scope| Command::App(App { verb, route, scope });
    match &action.target {
        Target::Context { route, aliases, path } => {
            let node = node(rows, route)?;
            let scope = Scope::Contexts(virtual_host(node, aliases, path)?);
            Ok(vec![app(node.config.route.clone(), scope)])
        }
        Target::Node(route) => Ok(vec![app(node(rows, route)?.config.route.clone(), Scope::Node)]),
        Target::Group(domain) => {
            let domain = domain.as_deref().map(str::parse::<Domain>).transpose()?;
            let members = rows.nodes.iter().filter(|node| node.config.domain == domain);
            let commands: Vec<Command> =
                members.map(|node| app(node.config.route.clone(), Scope::Node)).collect();
            match commands.is_empty() {
                true => Err(VerbError::NoGroup),
                false => Ok(commands),
            }
        }
    }
}

fn verb(verb: action::Verb) -> Verb {
    match verb {
        action::Verb::Enable => Verb::Enable,
        action::Verb::Disable => Verb::Disable,
        action::Verb::Stop => Verb::Stop,
    }
}

fn node<'r>(rows: &'r Rows, route: &str) -> Result<&'r NodeRow, VerbError> {
    let route: Route = route.parse()?;
    let found = rows.nodes.iter().find(|node| node.config.route == route);
    found.ok_or(VerbError::NoNode(route))
}

fn virtual_host(node: &NodeRow, aliases: &[String], path: &str) -> Result<VirtualHost, VerbError> {
    let aliases = aliases.iter().map(|alias| alias.parse()).collect::<Result<Vec<Alias>, _>>()?;
    let path: ContextPath = path.parse()?;
    let has = |host: &&HostRow| {
        aliases.iter().all(|alias| host.aliases.contains(alias))
            && host.contexts.iter().any(|context| context.path == path)
    };
    match node.hosts.iter().find(has) {
        Some(_) => Ok(VirtualHost { aliases, contexts: vec![path] }),
        None => Err(VerbError::NoContext { route: node.config.route.clone(), path }),
    }
}
