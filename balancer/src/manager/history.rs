//! What was counted over the last five minutes and the last hour, in rings: in all and by node.
//!
//! | | 5 minutes | 1 hour | bytes, full |
//! |---|---|---|---|
//! | in all | 150 steps of 2 s | 120 steps of 30 s | 6,480 |
//! | each node | 75 steps of 4 s | 60 steps of 60 s | 2,160 |
//!
//! So 10,000 nodes take 22 MB, and no more however long the balancer runs. Pure: whoever reads the
//! counters hands them in, at each [`TICK`].

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use muster_protocol::names::Route;
use muster_web_ui::page::{Pace, Series, Window};

use crate::metrics::TrafficTotals;

/// How often the counters are read.
pub(super) const TICK: Duration = Duration::from_secs(2);

/// Steps of a ring, and how many ticks a step has.
const ALL_FINE: Shape = Shape { steps: 150, ticks: 1 };
const ALL_COARSE: Shape = Shape { steps: 120, ticks: 15 };
const NODE_FINE: Shape = Shape { steps: 75, ticks: 2 };
const NODE_COARSE: Shape = Shape { steps: 60, ticks: 30 };

/// The numbers that are shown as now are those of so many ticks: 10 s.
const NOW_TICKS: u32 = 5;

/// A reading of the counters of one node; all but `in_flight` only rise.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Counts {
    pub(super) requests: u64,
    pub(super) errors: u64,
    pub(super) bytes: u64,
    pub(super) in_flight: u32,
}

/// The rings.
#[derive(Debug, Default)]
pub(super) struct History {
    ticks: u64,
    all: Total,
    nodes: HashMap<Route, Track>,
}

#[derive(Debug, Default)]
struct Total {
    track: Track,
    fine: VecDeque<(f32, f32)>,
    coarse: VecDeque<(f32, f32)>,
    last: Option<TrafficTotals>,
    /// At the last step of the coarse ring.
    coarse_last: Option<TrafficTotals>,
    /// The last readings, to say what is now.
    recent: VecDeque<TrafficTotals>,
}

/// The rings of one node, or of all.
#[derive(Debug, Default)]
struct Track {
    fine: Ring,
    coarse: Ring,
    /// What was added since the last step of each.
    seen: u64,
}

#[derive(Debug, Default)]
struct Ring {
    steps: VecDeque<Point>,
    /// The counters at the end of the last step.
    last: Option<Counts>,
}

/// What came in a step. Sixteen bytes: there are many.
#[derive(Debug, Clone, Copy, Default)]
struct Point {
    requests: u32,
    errors: u32,
    in_flight: u32,
    kib: f32,
}

#[derive(Debug, Clone, Copy)]
struct Shape {
    steps: usize,
    ticks: u32,
}

// === impl History ===

impl History {
    /// Takes the readings of a tick. Nodes that are not among them are forgotten.
    pub(super) fn tick(
        &mut self,
        totals: TrafficTotals,
        nodes: impl IntoIterator<Item = (Route, Counts)>,
    ) {
        self.ticks += 1;
        let mut sum = Counts::default();
        for (route, counts) in nodes {
            sum.bytes = sum.bytes.saturating_add(counts.bytes);
            sum.in_flight = sum.in_flight.saturating_add(counts.in_flight);
            let track = self.nodes.entry(route).or_default();
            track.take(counts, self.ticks, NODE_FINE, NODE_COARSE);
            track.seen = self.ticks;
        }
        self.nodes.retain(|_, track| track.seen == self.ticks);
        self.nodes.shrink_to(self.nodes.len() * 2);
        self.all.take(sum, totals, self.ticks);
    }

    /// What goes through in all.
    pub(super) fn all(&self, window: Window) -> Pace {
        let (ring, shape, times) = match window {
            Window::Minutes => (&self.all.track.fine, ALL_FINE, &self.all.fine),
            Window::Hour => (&self.all.track.coarse, ALL_COARSE, &self.all.coarse),
        };
        let mut pace = ring.pace(window, shape);
        pace.series.p50 = times.iter().map(|(half, _)| *half).collect();
        pace.series.p99 = times.iter().map(|(_, most)| *most).collect();
        self.all.track.fine.now(&mut pace, ALL_FINE);
        if let (Some(now), Some(then)) = (self.all.recent.back(), self.all.recent.front()) {
            let lately = now.since(then);
            pace.p50_seconds = lately.quantile(0.5).map(|time| time.as_secs_f64());
            pace.p99_seconds = lately.quantile(0.99).map(|time| time.as_secs_f64());
        }
        pace
    }

    /// What goes to a node; nothing for one that has just come.
    pub(super) fn node(&self, route: &Route, window: Window) -> Pace {
        let Some(track) = self.nodes.get(route) else {
            return Pace { window, ..Pace::default() };
        };
        let (ring, shape) = match window {
            Window::Minutes => (&track.fine, NODE_FINE),
            Window::Hour => (&track.coarse, NODE_COARSE),
        };
        let mut pace = ring.pace(window, shape);
        track.fine.now(&mut pace, NODE_FINE);
        pace
    }
}

// === impl Total ===

impl Total {
    fn take(&mut self, mut sum: Counts, totals: TrafficTotals, ticks: u64) {
        // Requests that no node got count too: what clients see.
        (sum.requests, sum.errors) = (totals.requests, totals.errors);
        self.track.take(sum, ticks, ALL_FINE, ALL_COARSE);
        if let Some(last) = &self.last {
            push(&mut self.fine, quantiles(&totals.since(last)), ALL_FINE.steps);
        }
        self.last = Some(totals);
        if ALL_COARSE.ends(ticks) {
            if let Some(last) = &self.coarse_last {
                push(&mut self.coarse, quantiles(&totals.since(last)), ALL_COARSE.steps);
            }
            self.coarse_last = Some(totals);
        }
        push(&mut self.recent, totals, NOW_TICKS as usize + 1);
    }
}

fn quantiles(came: &TrafficTotals) -> (f32, f32) {
    let seconds = |part| came.quantile(part).map_or(0.0, |time| time.as_secs_f32());
    (seconds(0.5), seconds(0.99))
}

// === impl Track ===

impl Track {
    fn take(&mut self, counts: Counts, ticks: u64, fine: Shape, coarse: Shape) {
        for (ring, shape) in [(&mut self.fine, fine), (&mut self.coarse, coarse)] {
            // A newcomer's first reading is where it begins.
            if ring.last.is_none() || shape.ends(ticks) {
                ring.step(counts, shape);
            }
        }
    }
}

// === impl Ring ===

impl Ring {
    fn step(&mut self, now: Counts, shape: Shape) {
        // Counters that fell are those of a node that came anew under the same name.
        if let Some(last) = self.last.filter(|last| last.requests <= now.requests) {
            let came =
                |now: u64, then: u64| u32::try_from(now.saturating_sub(then)).unwrap_or(u32::MAX);
            let point = Point {
                requests: came(now.requests, last.requests),
                errors: came(now.errors, last.errors),
                in_flight: now.in_flight,
                kib: now.bytes.saturating_sub(last.bytes) as f32 / 1024.0,
            };
            push(&mut self.steps, point, shape.steps);
        }
        self.last = Some(now);
    }

    fn pace(&self, window: Window, shape: Shape) -> Pace {
        let seconds = shape.seconds();
        let each = |value: fn(&Point) -> f32| self.steps.iter().map(value).collect::<Vec<_>>();
        let rates = |value: fn(&Point) -> f32| {
            self.steps.iter().map(|point| value(point) / seconds).collect::<Vec<_>>()
        };
        let sum = |value: fn(&Point) -> u32| self.steps.iter().map(|p| u64::from(value(p))).sum();
        Pace {
            window,
            requests: sum(|point| point.requests),
            errors: sum(|point| point.errors),
            series: Series {
                requests: rates(|point| point.requests as f32),
                errors: rates(|point| point.errors as f32),
                in_flight: each(|point| point.in_flight as f32),
                bytes: rates(|point| point.kib * 1024.0),
                p50: Vec::new(),
                p99: Vec::new(),
            },
            ..Pace::default()
        }
    }

    /// The rates of the last seconds.
    fn now(&self, pace: &mut Pace, shape: Shape) {
        let steps = (NOW_TICKS.div_ceil(shape.ticks) as usize).min(self.steps.len());
        let lately = || self.steps.iter().rev().take(steps);
        let seconds = f64::from(shape.seconds()) * steps.max(1) as f64;
        let rate = |value: fn(&Point) -> f64| lately().map(value).sum::<f64>() / seconds;
        pace.requests_per_second = rate(|point| point.requests.into());
        pace.errors_per_second = rate(|point| point.errors.into());
        pace.bytes_per_second = rate(|point| f64::from(point.kib) * 1024.0);
    }
}

fn push<T>(ring: &mut VecDeque<T>, value: T, most: usize) {
    if ring.len() >= most {
        ring.pop_front();
    }
    if ring.len() == ring.capacity() {
        // Exactly what is needed: a ring that grows by doubling would waste a third.
        ring.reserve_exact((ring.len() / 2 + 8).min(most - ring.len()));
    }
    ring.push_back(value);
}

// === impl Shape ===

impl Shape {
    fn ends(self, ticks: u64) -> bool {
        ticks.is_multiple_of(self.ticks.into())
    }

    fn seconds(self) -> f32 {
        self.ticks as f32 * TICK.as_secs_f32()
    }
}

/// The history as it is shared.
pub(super) type Shared = Arc<std::sync::Mutex<History>>;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::Metrics;

    fn counts(requests: u64) -> Counts {
        Counts { requests, errors: requests / 10, bytes: requests * 1024, in_flight: 3 }
    }

    fn route(name: &str) -> Route {
        name.parse().unwrap()
    }

    #[test]
    fn rates_are_those_of_the_last_seconds_and_series_reach_as_far_as_they_say() {
        let (metrics, mut history) = (Metrics::default(), History::default());
        for tick in 0..2_000_u64 {
            metrics.answered(Duration::from_millis(8), Some(if tick % 2 == 0 { 200 } else { 503 }));
            history.tick(metrics.traffic(), [(route("a"), counts(tick * 40))]);
        }
        let all = history.all(Window::Minutes);
        assert_eq!((all.series.requests.len(), all.series.p99.len()), (150, 150));
        assert_eq!((all.requests, all.errors), (150, 75));
        assert!((all.requests_per_second - 0.5).abs() < 1e-6, "{all:?}");
        let median = all.p50_seconds.unwrap();
        assert!((0.005..=0.012).contains(&median), "{median}");

        let hour = history.all(Window::Hour);
        assert_eq!((hour.series.requests.len(), hour.requests), (120, 1_800));
        let node = history.node(&route("a"), Window::Minutes);
        assert_eq!((node.series.requests.len(), node.requests, node.errors), (75, 6_000, 600));
        assert!((node.requests_per_second - 20.0).abs() < 1e-6, "{node:?}");
        assert!((node.bytes_per_second - 20.0 * 1024.0).abs() < 1.0, "{node:?}");
        assert_eq!(history.node(&route("a"), Window::Hour).series.requests.len(), 60);
    }

    #[test]
    fn a_node_that_is_gone_is_forgotten_and_one_that_comes_again_begins_anew() {
        let (totals, mut history) = (Metrics::default().traffic(), History::default());
        for requests in [900, 1_000, 1_100, 5, 25, 45, 65] {
            history.tick(totals, [(route("a"), counts(requests))]);
        }
        let node = history.node(&route("a"), Window::Minutes);
        assert_eq!(node.requests, 100 + 40, "{:?}", node.series.requests);
        history.tick(totals, []);
        assert!(history.nodes.is_empty());
        assert_eq!(history.node(&route("a"), Window::Minutes), Pace::default());
    }

    #[test]
    fn the_memory_of_a_node_is_what_the_head_of_this_file_says() {
        let (totals, mut history) = (Metrics::default().traffic(), History::default());
        for tick in 0..3_000 {
            history.tick(totals, [(route("a"), counts(tick))]);
        }
        let bytes = |ring: &Ring| ring.steps.capacity() * size_of::<Point>();
        let track = &history.nodes[&route("a")];
        assert_eq!(size_of::<Point>(), 16);
        let rings = bytes(&track.fine) + bytes(&track.coarse);
        assert!(rings <= 2_200, "{rings} bytes");
        assert_eq!(bytes(&history.all.track.fine) + bytes(&history.all.track.coarse), 4_320);
    }
}
