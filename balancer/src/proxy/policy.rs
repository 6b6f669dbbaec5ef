//! What the configuration says of requests, and what of it a node may shorten for itself.

use std::time::Duration;

use muster_http1::HeadLimits;
use muster_protocol::mcmp::NodeConfig;
use muster_protocol::names::ContextPath;

use crate::config::{Ajp, Config};
use crate::trusted::Networks;

/// The bounds of every request, whichever engine serves it.
#[derive(Debug, Clone)]
pub(crate) struct Policy {
    connect_timeout: Duration,
    pub(crate) read_timeout: Duration,
    pub(crate) total_timeout: Duration,
    idle_timeout: Duration,
    pub(crate) tunnel_timeout: Duration,
    pub(crate) client_head_timeout: Duration,
    pub(crate) client_read_timeout: Duration,
    pub(crate) client_idle_timeout: Duration,
    pub(crate) client_body: BodyPace,
    pub(crate) max_in_flight: u32,
    pub(crate) queue_length: usize,
    pub(crate) queue_wait: Duration,
    pub(crate) connect_only: Vec<ContextPath>,
    pub(crate) head_limits: HeadLimits,
    body_limit: Option<usize>,
    pub(crate) trusted: Networks,
    pub(crate) ajp: Ajp,
}

/// How slowly a client may send its body.
#[derive(Debug, Clone, Copy)]
pub(crate) struct BodyPace {
    /// How long nothing may come.
    pub(crate) silence: Duration,
    /// How long it may be slower than the rate, in all.
    pub(crate) grace: Duration,
    /// Bytes per second.
    pub(crate) rate: u64,
}

// === impl Policy ===

impl Policy {
    pub(crate) fn of(config: &Config) -> Policy {
        let Config { http, upstream, retry, .. } = config;
        Policy {
            connect_timeout: upstream.connect_timeout,
            read_timeout: upstream.read_timeout,
            total_timeout: upstream.total_timeout,
            idle_timeout: upstream.idle_timeout,
            tunnel_timeout: upstream.tunnel_timeout,
            client_head_timeout: http.header_timeout,
            client_read_timeout: http.read_timeout,
            client_idle_timeout: http.idle_timeout,
            client_body: BodyPace {
                silence: http.read_timeout,
                grace: http.body_grace,
                rate: http.min_body_rate as u64,
            },
            max_in_flight: u32::try_from(upstream.max_in_flight).unwrap_or(u32::MAX),
            queue_length: upstream.queue_length,
            queue_wait: upstream.queue_wait,
            connect_only: retry.connect_only.clone(),
            head_limits: HeadLimits { bytes: http.max_head_bytes, ..HeadLimits::default() },
            body_limit: http.body_limit,
            trusted: http.trusted_proxies.clone(),
            ajp: upstream.ajp.clone(),
        }
    }

    /// How long a connect to the node may take.
    pub(crate) fn connect_within(&self, node: &NodeConfig) -> Duration {
        shorter(self.connect_timeout, node.ping)
    }

    /// How long the node may be silent; it may ask for longer than others have.
    pub(crate) fn node_silence(&self, node: &NodeConfig) -> Duration {
        node.timeout.unwrap_or(self.read_timeout)
    }

    /// How long an idle connection to the node is kept.
    pub(crate) fn keep_within(&self, node: &NodeConfig) -> Duration {
        shorter(self.idle_timeout, node.ttl)
    }

    /// Whether a body of so many bytes is longer than the configuration allows.
    pub(crate) fn is_too_long(&self, bytes: u64) -> bool {
        self.body_limit.is_some_and(|limit| bytes > limit as u64)
    }
}

// === impl BodyPace ===

impl BodyPace {
    /// How long the next bytes may take, where `received` came so far and were `waited` for. Only
    /// time that is spent waiting for the client is to be counted.
    pub(crate) fn left(&self, received: u64, waited: Duration) -> Duration {
        let earned = Duration::from_millis(received.saturating_mul(1_000) / self.rate.max(1));
        (self.grace + earned).saturating_sub(waited).min(self.silence)
    }
}

/// The balancer's bound, or the node's own if that is shorter; zero means that it has none.
fn shorter(bound: Duration, of_node: Duration) -> Duration {
    if of_node.is_zero() { bound } else { bound.min(of_node) }
}
