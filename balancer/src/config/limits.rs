//! Bounds of the way to a node (`[upstream]`) and of trying again (`[retry]`).

use std::time::Duration;

use muster_protocol::names::{ContextPath, NameError};

use super::ajp::Ajp;
use super::reader::{Section, count, duration, number};
use super::tls::NodeTls;
use super::{DAY, SECOND};

/// `[upstream]`: connections to nodes.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Upstream {
    /// How long a connect may take, 1 ms to 1 hour. Default 2 s.
    #[serde(with = "humantime_serde")]
    pub connect_timeout: Duration,
    /// How long a node may be silent, 1 ms to 1 day; a node's own `Timeout` counts where it has
    /// one. Default 60 s.
    #[serde(with = "humantime_serde")]
    pub read_timeout: Duration,
    /// How long an exchange may take in all, 1 ms to 365 days; upgraded connections and gRPC calls
    /// over HTTP/2 are not bound by it. Default 10 min.
    #[serde(with = "humantime_serde")]
    pub total_timeout: Duration,
    /// How long an upgraded connection (a WebSocket) or a gRPC call over HTTP/2 may be silent,
    /// 1 ms to 365 days. Default 1 hour.
    #[serde(with = "humantime_serde")]
    pub tunnel_timeout: Duration,
    /// Most idle connections that are kept in all, 0 to 1,000,000. Default 8,192: enough for
    /// some to each of 1,000 nodes.
    pub idle_connections: usize,
    /// How long an idle connection is kept, 1 ms to 1 day. Default 60 s.
    #[serde(with = "humantime_serde")]
    pub idle_timeout: Duration,
    /// Most requests in flight to one node, up to 1,000,000; 0 is no limit. Default 0.
    pub max_in_flight: usize,
    /// Most requests that wait for a node below its limit, 0 to 1,000,000. Default 1,024.
    pub queue_length: usize,
    /// How long such a request waits before it gets 503, 0 s to 1 hour. Default 1 s.
    #[serde(with = "humantime_serde")]
    pub queue_wait: Duration,
    /// How nodes of the schemes https and h2 are spoken to.
    pub tls: NodeTls,
    /// How nodes of the scheme ajp are spoken to.
    pub ajp: Ajp,
}

/// `[retry]`: which failures may be tried again.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
pub struct Retry {
    /// Retries for each request, 0 to 1: 0.2 is one for five. Default 0.2.
    pub budget_ratio: f64,
    /// Retries per second that are free of the ratio, 0 to 1,000,000. Default 10.
    pub budget_floor: usize,
    /// Contexts whose requests are tried again after a failed connect only. Default none.
    #[serde(serialize_with = "super::show_names")]
    pub connect_only: Vec<ContextPath>,
}

// === impl Upstream ===

impl Default for Upstream {
    fn default() -> Self {
        Upstream {
            connect_timeout: Duration::from_secs(2),
            read_timeout: Duration::from_secs(60),
            total_timeout: Duration::from_secs(600),
            tunnel_timeout: Duration::from_secs(3600),
            idle_connections: 8192,
            idle_timeout: Duration::from_secs(60),
            max_in_flight: 0,
            queue_length: 1024,
            queue_wait: Duration::from_secs(1),
            tls: NodeTls::default(),
            ajp: Ajp::default(),
        }
    }
}

impl Upstream {
    pub(super) fn read(section: &mut Section<'_, '_>) -> Upstream {
        let default = Upstream::default();
        let wait = |most| duration(SECOND / 1000..=most);
        let million = || count(0..=1_000_000);
        Upstream {
            connect_timeout: section.read(
                "connect_timeout",
                default.connect_timeout,
                wait(3600 * SECOND),
            ),
            read_timeout: section.read("read_timeout", default.read_timeout, wait(DAY)),
            total_timeout: section.read("total_timeout", default.total_timeout, wait(365 * DAY)),
            tunnel_timeout: section.read("tunnel_timeout", default.tunnel_timeout, wait(365 * DAY)),
            idle_connections: section.read("idle_connections", default.idle_connections, million()),
            idle_timeout: section.read("idle_timeout", default.idle_timeout, wait(DAY)),
            max_in_flight: section.read("max_in_flight", default.max_in_flight, million()),
            queue_length: section.read("queue_length", default.queue_length, million()),
            queue_wait: section.read(
                "queue_wait",
                default.queue_wait,
                duration(Duration::ZERO..=3600 * SECOND),
            ),
            tls: section.section("tls", NodeTls::read),
            ajp: section.section("ajp", Ajp::read),
        }
    }
}

// === impl Retry ===

impl Default for Retry {
    fn default() -> Self {
        Retry { budget_ratio: 0.2, budget_floor: 10, connect_only: Vec::new() }
    }
}

impl Retry {
    pub(super) fn read(section: &mut Section<'_, '_>) -> Retry {
        let default = Retry::default();
        let context = |text: &str| text.parse().map_err(|error: NameError| error.to_string());
        Retry {
            budget_ratio: section.read("budget_ratio", default.budget_ratio, number(0.0..=1.0)),
            budget_floor: section.read("budget_floor", default.budget_floor, count(0..=1_000_000)),
            connect_only: section.list("connect_only", Vec::new(), 0..=10_000, context),
        }
    }
}
