//! What `muster nodes`, `muster drain` and the others take on the command line.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Subcommand};

use super::cluster::Cluster;

/// Whom to ask, and how to answer.
#[derive(Debug, Clone, Args)]
pub(crate) struct Whom {
    /// The manager [default: manager.listen of -c FILE, else http://127.0.0.1:6667]
    #[arg(long, value_name = "URL")]
    pub(super) url: Option<String>,
    /// The balancer's configuration file, which says where its manager listens
    #[arg(short, long, value_name = "FILE")]
    pub(super) config: Option<PathBuf>,
    /// The name to log in with; needs --password-file
    #[arg(long, value_name = "NAME", requires = "password_file")]
    pub(super) user: Option<String>,
    /// File with the password in its first line
    #[arg(long, value_name = "FILE", requires = "user")]
    pub(super) password_file: Option<PathBuf>,
    /// File with a token in its first line, in the place of name and password
    #[arg(long, value_name = "FILE", conflicts_with = "user")]
    pub(super) token_file: Option<PathBuf>,
    /// PEM file of the authorities of the manager's certificate [default: the system's]
    #[arg(long, value_name = "FILE")]
    pub(super) ca: Option<PathBuf>,
    /// How long to wait for an answer
    #[arg(long, value_name = "TIME", default_value = "10s", value_parser = humantime::parse_duration)]
    pub(super) timeout: Duration,
    /// Answer in JSON
    #[arg(long)]
    pub(super) json: bool,
}

/// A node, one of its contexts, or all nodes of a group.
#[derive(Debug, Clone, Args)]
pub(crate) struct Target {
    /// The node
    #[arg(required_unless_present = "group", conflicts_with = "group")]
    pub(super) node: Option<String>,
    /// Only this context of the node, such as /shop
    #[arg(long, value_name = "PATH", requires = "node")]
    pub(super) context: Option<String>,
    /// With --context: a name of its virtual host
    #[arg(long, value_name = "NAME", requires = "context")]
    pub(super) alias: Option<String>,
    /// All nodes of this load-balancing group; "" for those without one
    #[arg(long, value_name = "GROUP")]
    pub(super) group: Option<String>,
}

/// What operators ask a running balancer for.
#[derive(Debug, Subcommand)]
pub(crate) enum Ask {
    /// Show the nodes
    Nodes(Whom),
    /// Show the contexts of all nodes
    Contexts(Whom),
    /// Show the balancer names with their settings
    Balancers(Whom),
    /// Show drains, and the last that are over
    Drains(Whom),
    /// Show the other balancers, and what they show otherwise
    Peers(Whom),
    /// Follow what happens until interrupted, or show what happened
    Events {
        #[command(flatten)]
        whom: Whom,
        /// Show what is there and end
        #[arg(long)]
        once: bool,
    },
    /// Show the last entries of the audit log
    Audit {
        #[command(flatten)]
        whom: Whom,
        /// How many, 1 to 1000
        #[arg(long, value_name = "N", default_value = "100")]
        limit: usize,
    },
    /// Let contexts take all requests
    Enable {
        #[command(flatten)]
        target: Target,
        #[command(flatten)]
        whom: Whom,
    },
    /// Let contexts take old sessions only
    Disable {
        #[command(flatten)]
        target: Target,
        #[command(flatten)]
        whom: Whom,
    },
    /// Let contexts take no requests; those in flight finish
    Stop {
        #[command(flatten)]
        target: Target,
        #[command(flatten)]
        whom: Whom,
    },
    /// Let old sessions end, then take no requests
    Drain(Drain),
    /// Forget a node, until it registers again
    Remove {
        /// The node
        node: String,
        #[command(flatten)]
        whom: Whom,
    },
    /// Let other properties hold than nodes report
    Override(Override),
    /// Let the balancer read its configuration again
    Reload(Whom),
    /// Ask a cluster of back ends, by any one of its members
    Cluster(Cluster),
}

#[derive(Debug, Args)]
pub(crate) struct Drain {
    #[command(flatten)]
    pub(super) target: Target,
    /// How long to wait for sessions, such as 5m [default: drain.deadline of the balancer]
    #[arg(long, value_name = "TIME", value_parser = humantime::parse_duration)]
    pub(super) deadline: Option<Duration>,
    /// Wait until it is over: exit code 0 when nothing was left, 4 when something was or the drain
    /// was taken back, 3 when --wait-timeout is over first
    #[arg(long)]
    pub(super) wait: bool,
    /// With --wait: how long at most
    #[arg(long, value_name = "TIME", default_value = "1h", value_parser = humantime::parse_duration)]
    pub(super) wait_timeout: Duration,
    /// Take the drain back
    #[arg(long, conflicts_with_all = ["deadline", "wait", "now"])]
    pub(super) cancel: bool,
    /// Wait no longer: stop what drains
    #[arg(long, conflicts_with_all = ["deadline", "wait"])]
    pub(super) now: bool,
    #[command(flatten)]
    pub(super) whom: Whom,
}

#[derive(Debug, Args)]
pub(crate) struct Override {
    /// The node
    #[arg(required_unless_present = "balancer", conflicts_with = "balancer")]
    pub(super) node: Option<String>,
    /// A balancer name, in the place of a node
    #[arg(long, value_name = "NAME")]
    pub(super) balancer: Option<String>,
    /// What holds, such as load=50, ping_ms=2000 or sticky_session_force=false
    #[arg(long = "set", value_name = "NAME=VALUE", required_unless_present = "reset")]
    pub(super) set: Vec<String>,
    /// Let everything be what is reported
    #[arg(long, conflicts_with = "set")]
    pub(super) reset: bool,
    #[command(flatten)]
    pub(super) whom: Whom,
}
