//! How nodes are drained (`[drain]`).

use std::time::Duration;

use super::reader::{Section, duration};
use super::{DAY, SECOND};

/// `[drain]`.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Drain {
    /// How long a drain waits where an operator does not say otherwise, 1 s to 7 days. Default
    /// 10 min.
    #[serde(with = "humantime_serde")]
    pub deadline: Duration,
    /// For how long no request may have come before the sessions of a node that does not report
    /// them are taken to be gone, 0 s to 1 day. Default 1 min.
    #[serde(with = "humantime_serde")]
    pub quiet: Duration,
}

impl Default for Drain {
    fn default() -> Self {
        Drain { deadline: Duration::from_secs(600), quiet: Duration::from_secs(60) }
    }
}

impl Drain {
    pub(super) fn read(section: &mut Section<'_, '_>) -> Drain {
        let default = Drain::default();
        Drain {
            deadline: section.read("deadline", default.deadline, duration(SECOND..=7 * DAY)),
            quiet: section.read("quiet", default.quiet, duration(Duration::ZERO..=DAY)),
        }
    }
}
