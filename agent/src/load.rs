//! The load factor: what a node says of itself with every STATUS.
//!
//! A [`LoadMetric`] is a source of numbers (cpu, requests in flight, sessions, your own) with a
//! capacity and a weight. At each status tick every metric is read once, its values are averaged
//! over their [`history`] with a decay, and the weighted mean becomes the factor: 100 for a free
//! node, 1 for an overloaded one, and -1 when a metric cannot be read (reference: MCMP, load
//! factor).
//!
//! The arithmetic is pure: the time of the tick comes in as an argument.

pub(crate) mod factor;
pub(crate) mod history;
pub(crate) mod metric;
pub(crate) mod traffic;

pub use metric::{LoadMetric, Metric, SessionGauge, Unreadable};

pub(crate) use factor::{Averaging, Meter};
pub(crate) use traffic::Traffic;

use muster_protocol::mcmp::Load;

/// Where a node's load factor comes from.
#[derive(Debug)]
pub(crate) enum LoadSource {
    /// Always the same.
    Fixed(Load),
    /// Computed from metrics at each tick.
    Metrics(Vec<LoadMetric>),
}

impl LoadSource {
    /// The number of sessions, if one of the metrics reads it.
    pub(crate) fn sessions(&self) -> Option<SessionGauge> {
        match self {
            LoadSource::Fixed(_) => None,
            LoadSource::Metrics(metrics) => metrics.iter().find_map(LoadMetric::session_gauge),
        }
    }
}
