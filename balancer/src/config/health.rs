//! How nodes are watched (`[health]`).

use std::time::Duration;

use humantime::format_duration;

use super::reader::{Section, duration};
use super::{DAY, SECOND};

/// `[health]`.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Health {
    /// Between two probes of a node that is up, 10 ms to 1 day. Default 5 s.
    #[serde(with = "humantime_serde")]
    pub probe_interval: Duration,
    /// Between two probes of a node that is left out, 10 ms to 1 day. Default 1 s.
    #[serde(with = "humantime_serde")]
    pub revive_interval: Duration,
    /// How long a probe may take, 1 ms to 1 hour; a node's own `ping` counts where it is shorter.
    /// Default 2 s.
    #[serde(with = "humantime_serde")]
    pub probe_timeout: Duration,
    /// A registered node without a STATUS for so long is suspect, 100 ms to 1 day. Default 30 s.
    #[serde(with = "humantime_serde")]
    pub silent_after: Duration,
    /// A registered node that is down for so long is forgotten, 100 ms to 365 days, longer than
    /// `silent_after`. Default 10 min.
    #[serde(with = "humantime_serde")]
    pub forget_after: Duration,
    /// How long a newcomer or a revived node warms up, 0 s (not at all) to 1 day. Default 5 s.
    #[serde(with = "humantime_serde")]
    pub slow_start: Duration,
}

// === impl Health ===

impl Default for Health {
    fn default() -> Self {
        Health {
            probe_interval: Duration::from_secs(5),
            revive_interval: Duration::from_secs(1),
            probe_timeout: Duration::from_secs(2),
            silent_after: Duration::from_secs(30),
            forget_after: Duration::from_secs(600),
            slow_start: Duration::from_secs(5),
        }
    }
}

impl Health {
    pub(super) fn read(section: &mut Section<'_, '_>) -> Health {
        let default = Health::default();
        let every = || duration(SECOND / 100..=DAY);
        let silence = |most| duration(SECOND / 10..=most);
        let health = Health {
            probe_interval: section.read("probe_interval", default.probe_interval, every()),
            revive_interval: section.read("revive_interval", default.revive_interval, every()),
            probe_timeout: section.read(
                "probe_timeout",
                default.probe_timeout,
                duration(SECOND / 1000..=3600 * SECOND),
            ),
            silent_after: section.read("silent_after", default.silent_after, silence(DAY)),
            forget_after: section.read("forget_after", default.forget_after, silence(365 * DAY)),
            slow_start: section.read(
                "slow_start",
                default.slow_start,
                duration(Duration::ZERO..=DAY),
            ),
        };
        let (forget, silent) = (health.forget_after, health.silent_after);
        if forget <= silent {
            let (forget, silent) = (format_duration(forget), format_duration(silent));
            let message = format!("{forget} is not longer than health.silent_after, {silent}");
            section.fault("forget_after", message);
        }
        health
    }
}
