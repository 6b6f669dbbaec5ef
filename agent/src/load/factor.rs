//! From metrics to the load factor: `100 - load`, where load is the weighted mean of the metrics'
//! averages in percent, from 0 to 99.

use std::sync::Arc;
use std::time::Instant;

use muster_protocol::mcmp::Load;

use super::history::History;
use super::metric::{Bound, LoadMetric, Unreadable};
use super::traffic::Traffic;

/// How a metric's values are averaged; the same for all metrics of a node.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Averaging {
    /// Values kept beside the newest one.
    pub(crate) history: usize,
    /// By how much each older value counts less.
    pub(crate) decay: f64,
    /// The factor, 0 to 100, that the history pretends at the start; `None` for no pretence.
    pub(crate) initial_load: Option<u8>,
}

impl Default for Averaging {
    /// 9 values and the newest, decay 2, and a history that begins with full load.
    fn default() -> Self {
        Averaging { history: 9, decay: 2.0, initial_load: Some(0) }
    }
}

/// Reads the metrics at each tick and remembers their histories.
#[derive(Debug)]
pub(crate) struct Meter {
    gauges: Vec<Gauge>,
}

#[derive(Debug)]
struct Gauge {
    metric: Bound,
    capacity: f64,
    weight: u32,
    history: History,
}

// === impl Meter ===

impl Meter {
    /// A meter of these metrics; rates count from `now` on.
    pub(crate) fn new(
        metrics: Vec<LoadMetric>,
        averaging: Averaging,
        traffic: &Arc<Traffic>,
        now: Instant,
    ) -> Meter {
        let prefill = averaging.initial_load.map(|factor| 1.0 - f64::from(factor.min(100)) / 100.0);
        let gauge = |metric: LoadMetric| Gauge {
            capacity: metric.capacity,
            weight: metric.weight,
            metric: metric.bind(traffic, now),
            history: History::new(averaging.history, averaging.decay, prefill),
        };
        Meter { gauges: metrics.into_iter().filter(|m| m.weight > 0).map(gauge).collect() }
    }

    /// Reads every metric once and gives the factor. A metric that cannot be read keeps its
    /// history, and the caller says [`Load::Broken`].
    pub(crate) fn tick(&mut self, now: Instant) -> Result<Load, Unreadable> {
        let (mut sum, mut weights) = (0.0, 0.0);
        for gauge in &mut self.gauges {
            gauge.history.push(gauge.metric.read(now)? / gauge.capacity);
            sum += gauge.history.average() * f64::from(gauge.weight);
            weights += f64::from(gauge.weight);
        }
        Ok(Load::Usable(factor(if weights > 0.0 { sum / weights } else { 0.0 })))
    }
}

/// The factor, 1 to 100, for a load in which 1.0 is the full capacity.
fn factor(load: f64) -> u8 {
    // Anything over 99 % is 1: the node is full, but neither broken nor a standby.
    let percent = (100.0 * load).round().clamp(0.0, 99.0);
    100 - percent as u8
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn meter(metrics: Vec<LoadMetric>, averaging: Averaging) -> (Meter, Instant, Arc<Traffic>) {
        let (traffic, now) = (Arc::new(Traffic::default()), Instant::now());
        (Meter::new(metrics, averaging, &traffic, now), now, traffic)
    }

    fn fixed(value: f64) -> LoadMetric {
        LoadMetric::custom(move |_: Instant| Ok(value))
    }

    fn ticks(meter: &mut Meter, now: Instant, count: usize) -> Vec<i32> {
        (0..count).map(|_| meter.tick(now).expect("readable").number()).collect()
    }

    const PLAIN: Averaging = Averaging { history: 9, decay: 2.0, initial_load: None };

    #[test]
    fn a_free_node_ramps_up_as_the_recorded_tomcat_does() {
        let (mut meter, now, _) = meter(vec![fixed(0.0)], Averaging::default());
        assert_eq!(ticks(&mut meter, now, 9), [50, 75, 88, 94, 97, 99, 99, 100, 100]);
    }

    #[test]
    fn an_initial_load_of_one_hundred_starts_free() {
        let averaging = Averaging { initial_load: Some(100), ..Averaging::default() };
        let (mut meter, now, _) = meter(vec![fixed(0.0)], averaging);
        assert_eq!(ticks(&mut meter, now, 2), [100, 100]);
    }

    #[test]
    fn without_initial_load_the_first_value_is_the_load() {
        let (mut meter, now, _) = meter(vec![fixed(0.4)], PLAIN);
        assert_eq!(ticks(&mut meter, now, 2), [60, 60]);
    }

    #[test]
    fn an_overloaded_node_is_at_one_and_never_at_zero() {
        let (mut meter, now, _) = meter(vec![fixed(7.0)], PLAIN);
        assert_eq!(ticks(&mut meter, now, 1), [1]);
    }

    #[test]
    fn a_metric_weighs_what_its_weight_says_over_its_capacity() {
        // (3 * 40/100 + 1 * 8/10) / 4 = 0.5
        let metrics =
            vec![fixed(40.0).capacity(100.0).weight(3), fixed(8.0).capacity(10.0).weight(1)];
        let (mut meter, now, _) = meter(metrics, PLAIN);
        assert_eq!(ticks(&mut meter, now, 1), [50]);
    }

    #[test]
    fn a_metric_without_weight_is_not_even_read() {
        let broken = LoadMetric::custom(|_: Instant| Err(Unreadable::new("disk", "no disk")));
        let (mut meter, now, _) = meter(vec![broken.weight(0), fixed(0.2)], PLAIN);
        assert_eq!(ticks(&mut meter, now, 1), [80]);
    }

    #[test]
    fn a_metric_that_cannot_be_read_says_so() {
        let broken = LoadMetric::custom(|_: Instant| Err(Unreadable::new("disk", "no disk")));
        let (mut meter, now, _) = meter(vec![broken], PLAIN);
        assert_eq!(
            meter.tick(now).unwrap_err().to_string(),
            "the metric disk has no value: no disk"
        );
    }

    #[test]
    fn a_value_that_is_no_number_is_unreadable() {
        let (mut meter, now, _) = meter(vec![fixed(f64::NAN)], PLAIN);
        assert!(meter.tick(now).is_err());
    }

    #[test]
    fn rates_count_since_the_last_tick() {
        let metrics = vec![LoadMetric::requests().capacity(10.0)];
        let (mut meter, start, traffic) = meter(metrics, Averaging { history: 0, ..PLAIN });
        for _ in 0..40 {
            traffic.request_began();
        }
        let later = start + Duration::from_secs(10);
        assert_eq!(ticks(&mut meter, later, 1), [60], "4 requests a second of 10");
        assert_eq!(ticks(&mut meter, later + Duration::from_secs(10), 1), [100], "none since");
    }
}
