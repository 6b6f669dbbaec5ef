//! What an operator says of a node or a balancer name instead of what they report.
//!
//! The reported value stays beside it, so that a reset shows it again, and a CONFIG that comes
//! later changes only what is reported.

use std::time::Duration;

use muster_protocol::mcmp::{BalancerSettings, Load, NodeConfig};
use serde::{Deserialize, Serialize};

/// Of a node. Times in milliseconds.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct NodeOverride {
    /// Load factor: 1 to 100, or 0 for hot standby.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub load: Option<u8>,
    /// Bound of a probe and of a connect, 1 ms to 1 hour.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ping_ms: Option<u64>,
    /// Bound of the node's silence, 1 ms to 1 day.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub timeout_ms: Option<u64>,
    /// How long to gather before a flush, 1 ms to 1 minute.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub flush_wait_ms: Option<u64>,
    /// Most idle connections that are kept, 0 to 1,000,000.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub smax: Option<u32>,
    /// How long an idle connection is kept, 1 ms to 1 day.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ttl_ms: Option<u64>,
}

/// Of a balancer name.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct BalancerOverride {
    /// Whether sessions stay with their node.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sticky_session: Option<bool>,
    /// Whether a session whose node is gone gets 503 instead of another node outside the domain.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sticky_session_force: Option<bool>,
    /// Whether the session id is stripped when a request leaves the domain of its node.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sticky_session_remove: Option<bool>,
    /// Retries after the first try, 0 to 100.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_attempts: Option<u32>,
    /// With no usable node, how long a request waits for one, 0 ms to 10 minutes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub wait_worker_ms: Option<u64>,
}

/// A value that may not be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{field} is {value}, and may be {low} to {high}")]
pub struct OutOfBounds {
    /// Which.
    pub field: &'static str,
    /// What was given.
    pub value: u64,
    /// The least.
    pub low: u64,
    /// The most.
    pub high: u64,
}

const MINUTE_MS: u64 = 60_000;
const DAY_MS: u64 = 24 * 60 * MINUTE_MS;

// === impl NodeOverride ===

impl NodeOverride {
    /// Whether nothing is overridden.
    pub fn is_empty(&self) -> bool {
        *self == NodeOverride::default()
    }

    /// Checks every value.
    ///
    /// # Errors
    /// The first that is out of its bounds.
    pub fn check(&self) -> Result<(), OutOfBounds> {
        within("load", self.load, 0, 100)?;
        within("ping_ms", self.ping_ms, 1, 60 * MINUTE_MS)?;
        within("timeout_ms", self.timeout_ms, 1, DAY_MS)?;
        within("flush_wait_ms", self.flush_wait_ms, 1, MINUTE_MS)?;
        within("smax", self.smax, 0, 1_000_000)?;
        within("ttl_ms", self.ttl_ms, 1, DAY_MS)
    }

    /// What holds where these values are given on top of it.
    pub fn with(&self, more: &NodeOverride) -> NodeOverride {
        NodeOverride {
            load: more.load.or(self.load),
            ping_ms: more.ping_ms.or(self.ping_ms),
            timeout_ms: more.timeout_ms.or(self.timeout_ms),
            flush_wait_ms: more.flush_wait_ms.or(self.flush_wait_ms),
            smax: more.smax.or(self.smax),
            ttl_ms: more.ttl_ms.or(self.ttl_ms),
        }
    }

    /// The configuration that holds.
    pub fn apply(&self, reported: &NodeConfig) -> NodeConfig {
        let ms = Duration::from_millis;
        NodeConfig {
            ping: self.ping_ms.map_or(reported.ping, ms),
            timeout: self.timeout_ms.map(ms).or(reported.timeout),
            flush_wait: self.flush_wait_ms.map_or(reported.flush_wait, ms),
            smax: self.smax.or(reported.smax),
            ttl: self.ttl_ms.map_or(reported.ttl, ms),
            ..reported.clone()
        }
    }

    /// The load that holds. A node that has not reported any has not been checked yet, and no word
    /// puts it to use.
    pub fn load(&self, reported: Option<Load>) -> Option<Load> {
        let reported = reported?;
        Some(self.load.and_then(|load| Load::from_number(load.into())).unwrap_or(reported))
    }
}

// === impl BalancerOverride ===

impl BalancerOverride {
    /// Whether nothing is overridden.
    pub fn is_empty(&self) -> bool {
        *self == BalancerOverride::default()
    }

    /// Checks every value.
    ///
    /// # Errors
    /// The first that is out of its bounds.
    pub fn check(&self) -> Result<(), OutOfBounds> {
        within("max_attempts", self.max_attempts, 0, 100)?;
        within("wait_worker_ms", self.wait_worker_ms, 0, 10 * MINUTE_MS)
    }

    /// What holds where these values are given on top of it.
    pub fn with(&self, more: &BalancerOverride) -> BalancerOverride {
        BalancerOverride {
            sticky_session: more.sticky_session.or(self.sticky_session),
            sticky_session_force: more.sticky_session_force.or(self.sticky_session_force),
            sticky_session_remove: more.sticky_session_remove.or(self.sticky_session_remove),
            max_attempts: more.max_attempts.or(self.max_attempts),
            wait_worker_ms: more.wait_worker_ms.or(self.wait_worker_ms),
        }
    }

    /// The settings that hold.
    pub fn apply(&self, reported: &BalancerSettings) -> BalancerSettings {
        BalancerSettings {
            sticky: self.sticky_session.unwrap_or(reported.sticky),
            sticky_force: self.sticky_session_force.unwrap_or(reported.sticky_force),
            sticky_remove: self.sticky_session_remove.unwrap_or(reported.sticky_remove),
            max_attempts: self.max_attempts.unwrap_or(reported.max_attempts),
            wait_worker: self.wait_worker_ms.map_or(reported.wait_worker, Duration::from_millis),
            ..reported.clone()
        }
    }
}

fn within<T: Into<u64> + Copy>(
    field: &'static str,
    value: Option<T>,
    low: u64,
    high: u64,
) -> Result<(), OutOfBounds> {
    match value.map(Into::into) {
        Some(value) if !(low..=high).contains(&value) => {
            Err(OutOfBounds { field, value, low, high })
        }
        Some(_) | None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_out_of_bounds_is_named() {
        let bad = NodeOverride { load: Some(101), ..NodeOverride::default() };
        assert_eq!(bad.check().unwrap_err().to_string(), "load is 101, and may be 0 to 100");
        let bad = BalancerOverride { max_attempts: Some(101), ..BalancerOverride::default() };
        assert_eq!(bad.check().unwrap_err().field, "max_attempts");
        assert_eq!(NodeOverride::default().check(), Ok(()));
    }

    #[test]
    fn a_load_is_put_only_on_a_node_that_has_reported_one() {
        let over = NodeOverride { load: Some(0), ..NodeOverride::default() };
        assert_eq!(over.load(None), None);
        assert_eq!(over.load(Some(Load::Broken)), Some(Load::Standby));
        assert_eq!(NodeOverride::default().load(Some(Load::Usable(7))), Some(Load::Usable(7)));
    }
}
