//! What the doctor looks at, as plain values.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::SystemTime;

use crate::config::Config;

/// Everything that was gathered.
#[derive(Debug, Clone)]
pub(crate) struct Facts {
    /// What is in effect; the defaults where the file cannot be used.
    pub(crate) config: Config,
    /// What is wrong with the file, each with its line.
    pub(crate) config_faults: Vec<String>,
    /// The machine's clock.
    pub(crate) now: SystemTime,
    /// Whether the clock follows others; `None` where nobody says.
    pub(crate) clock_is_synchronized: Option<bool>,
    /// The listeners, and whether their addresses can be bound now.
    pub(crate) listeners: Vec<Listener>,
    /// Certificates that can be read.
    pub(crate) certificates: Vec<Certificate>,
    /// Most files that a process may open, once it has raised its limit.
    pub(crate) open_files: Option<u64>,
    /// The way of each advertise, and why it is not there.
    pub(crate) multicast: Vec<(String, Result<(), String>)>,
    /// Files that are written, and why they cannot be.
    pub(crate) written: Vec<(&'static str, PathBuf, Result<(), String>)>,
    /// The running balancer.
    pub(crate) running: Running,
}

/// A configured address.
#[derive(Debug, Clone)]
pub(crate) struct Listener {
    pub(crate) key: &'static str,
    pub(crate) address: SocketAddr,
    pub(crate) bound: Bound,
}

/// What came of an attempt to bind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Bound {
    Free,
    Taken,
    Denied,
    NoSuchAddress,
    Other(String),
}

/// A certificate of the configuration.
#[derive(Debug, Clone)]
pub(crate) struct Certificate {
    pub(crate) key: String,
    pub(crate) file: PathBuf,
    pub(crate) names: usize,
    pub(crate) from: SystemTime,
    pub(crate) until: SystemTime,
}

/// What the manager of a running balancer said.
#[derive(Debug, Clone)]
pub(crate) enum Running {
    /// The configuration has no manager to ask.
    Unasked,
    /// Nobody answers there.
    Silent { manager: SocketAddr, reason: String },
    /// It answers.
    Answers {
        manager: SocketAddr,
        /// Status and text of `/readyz`.
        ready: (u16, String),
        /// The nodes, or why they cannot be seen.
        nodes: Result<Vec<Node>, String>,
    },
}

/// A node, as the manager shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Node {
    pub(crate) route: String,
    pub(crate) address: String,
    /// `up`, `down` and so on.
    pub(crate) state: String,
    /// Paths with their states, on whatever host.
    pub(crate) contexts: Vec<(String, String)>,
}

// === impl Running ===

impl Running {
    pub(crate) fn is_there(&self) -> bool {
        matches!(self, Running::Answers { .. })
    }
}

/// The nodes in the manager's JSON, wherever in it they stand.
pub(crate) fn nodes(state: &serde_json::Value) -> Vec<Node> {
    let mut nodes = Vec::new();
    gather(state, &mut nodes);
    nodes
}

fn gather(value: &serde_json::Value, into: &mut Vec<Node>) {
    match value {
        serde_json::Value::Array(all) => all.iter().for_each(|value| gather(value, into)),
        serde_json::Value::Object(fields) => match node(value) {
            Some(node) => into.push(node),
            None => fields.values().for_each(|value| gather(value, into)),
        },
        _ => {}
    }
}

fn node(value: &serde_json::Value) -> Option<Node> {
    let text = |key: &str| Some(value.get(key)?.as_str()?.to_owned());
    let hosts = value.get("virtual_hosts")?.as_array()?;
    let contexts = hosts.iter().filter_map(|host| host.get("contexts")?.as_array()).flatten();
    let context = |context: &serde_json::Value| {
        let text = |key: &str| Some(context.get(key)?.as_str()?.to_owned());
        Some((text("path")?, text("state")?))
    };
    Some(Node {
        route: text("route")?,
        address: text("address").unwrap_or_default(),
        state: text("state")?,
        contexts: contexts.filter_map(context).collect(),
    })
}
