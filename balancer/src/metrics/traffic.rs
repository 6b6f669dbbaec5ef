//! How many requests were served, how many of them failed, and how long they took.
//!
//! Counted without a lock, for every request does it; read as a whole, for `/metrics` and for
//! whoever wants the rates and quantiles of the last seconds: the difference of two readings.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use prometheus_client::encoding::{EncodeMetric, MetricEncoder, NoLabelSet};
use prometheus_client::metrics::MetricType;

/// The upper bounds of the buckets, in microseconds; one more bucket has none.
const BOUNDS: [u64; 33] = [
    100, 150, 250, 350, 500, 750, //
    1_000, 1_500, 2_500, 3_500, 5_000, 7_500, //
    10_000, 15_000, 25_000, 35_000, 50_000, 75_000, //
    100_000, 150_000, 250_000, 350_000, 500_000, 750_000, //
    1_000_000, 1_500_000, 2_500_000, 3_500_000, 5_000_000, 7_500_000, //
    10_000_000, 30_000_000, 60_000_000,
];

/// How many buckets there are.
pub const BUCKETS: usize = BOUNDS.len() + 1;

/// Counts requests that are over.
#[derive(Debug)]
pub(crate) struct Traffic {
    buckets: [AtomicU64; BUCKETS],
    micros: AtomicU64,
    errors: AtomicU64,
}

/// A reading. Each of its counts only rises, so the difference of two is what came between.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TrafficTotals {
    /// Requests that are over.
    pub requests: u64,
    /// Those of them whose client was told a status of 5xx, by a node or by us.
    pub errors: u64,
    /// Requests by how long they took, the quickest first; see [`TrafficTotals::quantile`].
    pub buckets: [u64; BUCKETS],
    /// What they took in all, in microseconds.
    micros: u64,
}

// === impl Traffic ===

impl Default for Traffic {
    fn default() -> Traffic {
        Traffic {
            buckets: std::array::from_fn(|_| AtomicU64::new(0)),
            micros: AtomicU64::new(0),
            errors: AtomicU64::new(0),
        }
    }
}

impl Traffic {
    /// A request is over, and its client was told `status`, if any.
    pub(crate) fn count(&self, took: Duration, status: Option<u16>) {
        let micros = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        let bucket = BOUNDS.partition_point(|bound| *bound < micros);
        self.buckets[bucket].fetch_add(1, Ordering::Relaxed);
        self.micros.fetch_add(micros, Ordering::Relaxed);
        if status.is_some_and(|status| status >= 500) {
            self.errors.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// What was counted so far.
    pub(crate) fn totals(&self) -> TrafficTotals {
        let read = |count: &AtomicU64| count.load(Ordering::Relaxed);
        // Before the requests, so that there are never more errors than requests.
        let (errors, micros) = (read(&self.errors), read(&self.micros));
        let buckets = std::array::from_fn(|at| read(&self.buckets[at]));
        TrafficTotals { requests: buckets.iter().sum(), errors, buckets, micros }
    }
}

impl EncodeMetric for Traffic {
    fn encode(&self, mut encoder: MetricEncoder<'_>) -> fmt::Result {
        let totals = self.totals();
        let bounds = BOUNDS.iter().map(|micros| *micros as f64 / 1e6).chain([f64::MAX]);
        let buckets: Vec<(f64, u64)> = bounds.zip(totals.buckets).collect();
        let sum = totals.micros as f64 / 1e6;
        encoder.encode_histogram::<NoLabelSet>(sum, totals.requests, &buckets, None)
    }

    fn metric_type(&self) -> MetricType {
        MetricType::Histogram
    }
}

// === impl TrafficTotals ===

impl TrafficTotals {
    /// What came since an earlier reading.
    ///
    /// ```
    /// # let metrics = muster_balancer::metrics::Metrics::default();
    /// let before = metrics.traffic();
    /// let now = metrics.traffic();
    /// assert_eq!(now.since(&before).requests, 0);
    /// assert_eq!(now.since(&before).quantile(0.99), None);
    /// ```
    pub fn since(&self, earlier: &TrafficTotals) -> TrafficTotals {
        TrafficTotals {
            requests: self.requests.saturating_sub(earlier.requests),
            errors: self.errors.saturating_sub(earlier.errors),
            buckets: std::array::from_fn(|at| self.buckets[at].saturating_sub(earlier.buckets[at])),
            micros: self.micros.saturating_sub(earlier.micros),
        }
    }

    /// The time that a part of the requests, 0 to 1, did not exceed; `None` without requests. Within
    /// a bucket they are taken to be spread evenly, so it is off by a third at most; of what took
    /// longer than a minute it says a minute.
    pub fn quantile(&self, part: f64) -> Option<Duration> {
        let rank = (part.clamp(0.0, 1.0) * self.requests as f64).max(1.0);
        let mut before = 0.0;
        let mut low = 0;
        for (count, bound) in self.buckets.iter().map(|count| *count as f64).zip(BOUNDS) {
            if count > 0.0 && before + count >= rank {
                let within = (rank - before) / count * (bound - low) as f64;
                return Some(Duration::from_micros(low + within as u64));
            }
            before += count;
            low = bound;
        }
        (self.requests > 0).then_some(Duration::from_micros(low))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counted(times: &[(u64, Option<u16>)]) -> Traffic {
        let traffic = Traffic::default();
        for (micros, status) in times {
            traffic.count(Duration::from_micros(*micros), *status);
        }
        traffic
    }

    #[test]
    fn a_status_of_5xx_is_an_error_whoever_told_it_and_nothing_else_is() {
        let times = [(1, Some(200)), (1, Some(404)), (1, None), (1, Some(500)), (1, Some(503))];
        let totals = counted(&times).totals();
        assert_eq!((totals.requests, totals.errors), (5, 2));
    }

    #[test]
    fn what_came_between_two_readings_is_their_difference() {
        let traffic = counted(&[(90, Some(200)), (400, Some(502))]);
        let before = traffic.totals();
        traffic.count(Duration::from_micros(400), Some(200));
        let between = traffic.totals().since(&before);
        assert_eq!((between.requests, between.errors, between.buckets[4]), (1, 0, 1));
        assert_eq!(before.since(&traffic.totals()).requests, 0, "never less than nothing");
    }

    #[test]
    fn a_quantile_lies_in_the_bucket_of_its_request() {
        let mut times = vec![(900, Some(200)); 98];
        times.extend([(20_000, Some(200)), (2_000_000, Some(200))]);
        let totals = counted(&times).totals();
        let at = |part| totals.quantile(part).unwrap().as_micros();
        assert!((750..=1_000).contains(&at(0.5)), "{}", at(0.5));
        assert!((15_000..=25_000).contains(&at(0.99)), "{}", at(0.99));
        assert!((1_500_000..=2_500_000).contains(&at(1.0)), "{}", at(1.0));
        assert_eq!(counted(&[(u64::MAX, None)]).totals().quantile(0.5).unwrap().as_secs(), 60);
    }

    #[test]
    fn a_bound_belongs_to_its_bucket() {
        let totals = counted(&[(100, None), (101, None), (0, None)]).totals();
        assert_eq!(totals.buckets[..2], [2, 1]);
    }
}
