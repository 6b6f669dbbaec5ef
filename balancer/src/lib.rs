//! The balancer: an edge proxy whose nodes register themselves over MCMP.
//!
//! A shell around the pure rules of `muster-routing`: it owns sockets, clocks, tasks and logs.
//! [`Balancer::start`] binds the listeners and gives a [`Running`] with their addresses;
//! [`serve`] is what the binary does with it.
//!
//! | module | idea |
//! |---|---|
//! | `start`, `running`, `serve` | the life: from a configuration to a balancer that runs, its end, and what the binary does |
//! | `life`, `reload` | what it consists of while it runs, and how that is changed |
//! | `side` | the parts beside the traffic: how they begin, begin anew, and end |
//! | `world` | what the configuration makes of traffic: one value, replaced whole |
//! | `listeners` | the sockets |
//! | `worker` | the threads that carry it |
//! | `accept`, `server` | listeners: the public one, and those that we answer ourselves |
//! | `proxy` | what is done with a request: choose, wait, retry, headers, refusals |
//! | `engine` | who moves its bytes |
//! | `published` | the registry's one writer, and the table that requests read |
//! | `mcmp` | messages of nodes |
//! | `advertise` | tells nodes over multicast where messages are taken |
//! | `probe`, `health` | whether nodes are there |
//! | `operate`, `audit` | what operators ask for, done and written down |
//! | `manager` | page, API and metrics for operators |

pub mod audit;
pub mod caps;
pub mod cli;
pub mod config;
pub mod metrics;
pub mod operate;
pub mod probe;
pub mod proxy;
pub mod proxy_protocol;
pub mod published;
pub mod reload;
pub mod tls;
pub mod trace;
pub mod trusted;

mod accept;
mod access_log;
mod advertise;
mod api;
mod client;
mod cluster;
mod doctor;
mod door;
mod engine;
mod handover;
mod health;
mod life;
mod listeners;
mod manager;
pub mod mcmp;
mod peers;
mod running;
mod serve;
mod server;
mod shutdown;
mod side;
mod start;
mod support;
mod systemd;
mod telemetry;
mod text;
mod upgrade;
mod warm;
mod worker;
mod world;

pub use reload::{Reloaded, Reloader};
pub use running::Running;
pub use serve::serve;
pub use start::{Balancer, StartError};
pub use upgrade::{UpgradeError, Upgrader};

/// What VERSION, the page and the log call this program.
pub const PRODUCT: &str = concat!("muster/", env!("CARGO_PKG_VERSION"));
