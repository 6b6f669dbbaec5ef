//! The metrics: each a number that means nothing before it is divided by a capacity.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use super::traffic::Traffic;
use crate::session::Sessions;

/// A source of load of your own. It is read once a status tick, in the task that reports the
/// load: it must not block for long.
///
/// ```
/// use muster_agent::{LoadMetric, Unreadable};
/// # fn queue_length() -> Option<u32> { Some(3) }
/// let queue = LoadMetric::custom(|_now: std::time::Instant| match queue_length() {
///     Some(length) => Ok(f64::from(length)),
///     None => Err(Unreadable::new("queue", "it is closed")),
/// });
/// let queue = queue.capacity(100.0).weight(2);
/// ```
pub trait Metric: Send + 'static {
    /// The value before capacity. When it cannot be read the node reports -1, an error state in
    /// which no balancer uses it.
    fn read(&mut self, now: Instant) -> Result<f64, Unreadable>;
}

impl<F> Metric for F
where
    F: FnMut(Instant) -> Result<f64, Unreadable> + Send + 'static,
{
    fn read(&mut self, now: Instant) -> Result<f64, Unreadable> {
        self(now)
    }
}

/// Why a metric has no value.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the metric {metric} has no value: {reason}")]
pub struct Unreadable {
    metric: String,
    reason: String,
}

impl Unreadable {
    /// The metric of this name has no value for this reason.
    pub fn new(metric: impl Into<String>, reason: impl fmt::Display) -> Unreadable {
        Unreadable { metric: metric.into(), reason: reason.to_string() }
    }
}

/// A metric with the capacity that its values are divided by (1 by default) and the weight that
/// it has among the others (1 by default).
#[derive(Debug)]
pub struct LoadMetric {
    source: Source,
    pub(crate) capacity: f64,
    pub(crate) weight: u32,
}

enum Source {
    Cpu,
    Busyness,
    Requests,
    SendTraffic,
    ReceiveTraffic,
    Sessions(SessionGauge),
    Custom(Box<dyn Metric>),
}

/// The number of active sessions, which the application sets, or which its [`Sessions`] count.
/// Clones share the number.
///
/// ```
/// use muster_agent::{LoadMetric, SessionGauge};
/// let sessions = SessionGauge::default();
/// let metric = LoadMetric::sessions(&sessions).capacity(1000.0);
/// sessions.set(12);
/// assert_eq!(sessions.get(), 12);
/// ```
#[derive(Debug, Clone, Default)]
pub struct SessionGauge {
    set: Arc<AtomicU64>,
    counted: Vec<Sessions>,
}

/// A metric that has its counters.
pub(crate) enum Bound {
    Cpu,
    Busyness(Arc<Traffic>),
    Rate(Rate),
    Sessions(SessionGauge),
    Custom(Box<dyn Metric>),
}

/// A total that grows, read as growth per second.
pub(crate) struct Rate {
    traffic: Arc<Traffic>,
    total: fn(&Traffic) -> u64,
    unit: f64,
    last: u64,
    last_at: Instant,
}

// === impl LoadMetric ===

impl LoadMetric {
    /// The number of sessions, if that is what it reads.
    pub(crate) fn session_gauge(&self) -> Option<SessionGauge> {
        match &self.source {
            Source::Sessions(gauge) => Some(gauge.clone()),
            _ => None,
        }
    }

    fn new(source: Source) -> LoadMetric {
        LoadMetric { source, capacity: 1.0, weight: 1 }
    }

    /// The default: the load average of one minute, divided by the number of cores. Read from
    /// `/proc/loadavg`; a system without one needs another metric.
    pub fn cpu() -> LoadMetric {
        LoadMetric::new(Source::Cpu)
    }

    /// Requests in flight in the [layer](crate::Agent::layer). Set a capacity: the number of
    /// requests that fill the node.
    pub fn busyness() -> LoadMetric {
        LoadMetric::new(Source::Busyness)
    }

    /// Requests per second since the last tick, counted by the layer.
    pub fn requests() -> LoadMetric {
        LoadMetric::new(Source::Requests)
    }

    /// Bodies sent, in kB (1000 bytes) per second since the last tick, counted by the layer.
    pub fn send_traffic() -> LoadMetric {
        LoadMetric::new(Source::SendTraffic)
    }

    /// Bodies received, in kB (1000 bytes) per second since the last tick, counted by the layer.
    pub fn receive_traffic() -> LoadMetric {
        LoadMetric::new(Source::ReceiveTraffic)
    }

    /// Active sessions: those of `&Sessions`, or as the application sets them in a `&SessionGauge`.
    pub fn sessions(gauge: impl Into<SessionGauge>) -> LoadMetric {
        LoadMetric::new(Source::Sessions(gauge.into()))
    }

    /// A metric of your own: a [`Metric`], or a closure.
    pub fn custom(metric: impl Metric) -> LoadMetric {
        LoadMetric::new(Source::Custom(Box::new(metric)))
    }

    /// The value at which this metric alone would call the node full. It must be positive;
    /// [`start`](crate::Builder::start) refuses any other.
    pub fn capacity(mut self, capacity: f64) -> LoadMetric {
        self.capacity = capacity;
        self
    }

    /// How much this metric counts among the others; one of weight 0 is never read.
    pub fn weight(mut self, weight: u32) -> LoadMetric {
        self.weight = weight;
        self
    }

    pub(crate) fn bind(self, traffic: &Arc<Traffic>, now: Instant) -> Bound {
        let rate = |total: fn(&Traffic) -> u64, unit| {
            let traffic = Arc::clone(traffic);
            Bound::Rate(Rate { last: total(&traffic), traffic, total, unit, last_at: now })
        };
        match self.source {
            Source::Cpu => Bound::Cpu,
            Source::Busyness => Bound::Busyness(Arc::clone(traffic)),
            Source::Requests => rate(Traffic::requests, 1.0),
            Source::SendTraffic => rate(Traffic::bytes_sent, 1000.0),
            Source::ReceiveTraffic => rate(Traffic::bytes_received, 1000.0),
            Source::Sessions(gauge) => Bound::Sessions(gauge),
            Source::Custom(metric) => Bound::Custom(metric),
        }
    }
}

impl fmt::Debug for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Source::Cpu => "cpu",
            Source::Busyness => "busyness",
            Source::Requests => "requests",
            Source::SendTraffic => "send_traffic",
            Source::ReceiveTraffic => "receive_traffic",
            Source::Sessions(_) => "sessions",
            Source::Custom(_) => "custom",
        })
    }
}

// === impl SessionGauge ===

impl SessionGauge {
    /// There are this many active sessions now.
    pub fn set(&self, sessions: u64) {
        self.set.store(sessions, Ordering::Relaxed);
    }

    /// Those of this application too.
    #[must_use]
    pub fn and(mut self, sessions: &Sessions) -> SessionGauge {
        self.counted.push(sessions.clone());
        self
    }

    /// The number last set, and those that are counted.
    pub fn get(&self) -> u64 {
        let counted: u64 = self.counted.iter().map(Sessions::active).sum();
        self.set.load(Ordering::Relaxed) + counted
    }
}

impl From<&SessionGauge> for SessionGauge {
    fn from(gauge: &SessionGauge) -> SessionGauge {
        gauge.clone()
    }
}

impl From<&Sessions> for SessionGauge {
    fn from(sessions: &Sessions) -> SessionGauge {
        SessionGauge::default().and(sessions)
    }
}

// === impl Bound ===

impl Bound {
    /// The value before capacity: finite, and never below zero.
    pub(crate) fn read(&mut self, now: Instant) -> Result<f64, Unreadable> {
        let value = match self {
            Bound::Cpu => cpu()?,
            Bound::Busyness(traffic) => traffic.in_flight() as f64,
            Bound::Rate(rate) => rate.read(now),
            Bound::Sessions(gauge) => gauge.get() as f64,
            Bound::Custom(metric) => metric.read(now)?,
        };
        match value.is_finite() && value >= 0.0 {
            true => Ok(value),
            false => Err(Unreadable::new(format!("{self:?}"), format!("it says {value}"))),
        }
    }
}

impl fmt::Debug for Bound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Bound::Cpu => "cpu",
            Bound::Busyness(_) => "busyness",
            Bound::Rate(_) => "rate",
            Bound::Sessions(_) => "sessions",
            Bound::Custom(_) => "custom",
        })
    }
}

impl Rate {
    fn read(&mut self, now: Instant) -> f64 {
        let total = (self.total)(&self.traffic);
        let grown = total.saturating_sub(self.last) as f64;
        let seconds = now.saturating_duration_since(self.last_at).as_secs_f64();
        (self.last, self.last_at) = (total, now);
        // The very first tick comes at once: nothing has been counted over no time.
        if seconds > 0.0 { grown / self.unit / seconds } else { 0.0 }
    }
}

/// The load average of one minute over the number of cores.
fn cpu() -> Result<f64, Unreadable> {
    let text = std::fs::read_to_string("/proc/loadavg").map_err(|e| Unreadable::new("cpu", e))?;
    let cores = std::thread::available_parallelism().map_or(1, |cores| cores.get());
    parse_load_average(&text)
        .map(|average| average / cores as f64)
        .ok_or_else(|| Unreadable::new("cpu", format!("/proc/loadavg reads {text:?}")))
}

/// The first number of `0.32 0.41 0.55 2/731 12345`.
fn parse_load_average(text: &str) -> Option<f64> {
    text.split_ascii_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn the_load_average_of_one_minute_is_the_first_number() {
        assert_eq!(parse_load_average("0.32 0.41 0.55 2/731 12345\n"), Some(0.32));
        assert_eq!(parse_load_average(""), None);
        assert_eq!(parse_load_average("much"), None);
    }

    #[test]
    fn traffic_is_counted_in_kilobytes_of_a_thousand_bytes() {
        let (traffic, start) = (Arc::new(Traffic::default()), Instant::now());
        let mut sent = LoadMetric::send_traffic().bind(&traffic, start);
        let mut received = LoadMetric::receive_traffic().bind(&traffic, start);
        traffic.sent(50_000);
        traffic.received(20_000);
        let later = start + Duration::from_secs(10);
        assert_eq!(sent.read(later), Ok(5.0));
        assert_eq!(received.read(later), Ok(2.0));
    }

    #[test]
    fn a_tick_without_time_since_the_last_one_has_no_rate() {
        let (traffic, start) = (Arc::new(Traffic::default()), Instant::now());
        let mut requests = LoadMetric::requests().bind(&traffic, start);
        traffic.request_began();
        assert_eq!(requests.read(start), Ok(0.0));
    }

    #[test]
    fn busyness_is_what_is_in_flight_now() {
        let traffic = Arc::new(Traffic::default());
        let mut busyness = LoadMetric::busyness().bind(&traffic, Instant::now());
        traffic.request_began();
        traffic.request_began();
        traffic.request_ended();
        assert_eq!(busyness.read(Instant::now()), Ok(1.0));
    }

    #[test]
    fn sessions_are_what_the_application_says() {
        let (traffic, gauge) = (Arc::new(Traffic::default()), SessionGauge::default());
        let mut sessions = LoadMetric::sessions(&gauge).bind(&traffic, Instant::now());
        gauge.set(7);
        assert_eq!(sessions.read(Instant::now()), Ok(7.0));
    }

    #[test]
    fn a_negative_value_is_unreadable() {
        let traffic = Arc::new(Traffic::default());
        let mut metric = LoadMetric::custom(|_: Instant| Ok(-1.0)).bind(&traffic, Instant::now());
        let error = metric.read(Instant::now()).unwrap_err();
        assert_eq!(error.to_string(), "the metric custom has no value: it says -1");
    }
}
