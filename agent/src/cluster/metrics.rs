//! A member in numbers, as OpenMetrics text: for its management, and for a back end's own `/metrics`.
//! Names begin with `muster_`; caches are a label, keys and groups never are.

use std::fmt;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric, text};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::Registry;

use crate::component::ComponentStats;
use crate::engine::{Engine, MapStats, View};
use crate::job::RunCounts;
use crate::singleton;

/// What is shown, as it was at one moment.
#[derive(Debug)]
struct Shown {
    members: i64,
    is_quorate: bool,
    merges: u64,
    caches: Vec<(String, MapStats)>,
    components: Vec<(String, ComponentStats)>,
    singletons: Vec<OfSingleton>,
    jobs: Vec<(String, RunCounts)>,
}

/// A singleton's name, what is counted of it here, and whether it runs here.
type OfSingleton = (String, singleton::Counts, bool);

/// A number of each cache: its name, what it says, where it stands.
type Number<S = MapStats> = (&'static str, &'static str, fn(&S) -> u64);

/// What only rises.
const COUNTERS: [Number; 13] = [
    ("cache_hits", "Reads that found something", |stats| stats.hits),
    ("cache_misses", "Reads that did not", |stats| stats.misses),
    ("cache_puts", "Values written", |stats| stats.puts),
    ("cache_removes", "Entries removed", |stats| stats.removes),
    ("cache_expired", "Entries whose time was over", |stats| stats.expired),
    ("cache_rpcs", "Calls to other members", |stats| stats.rpcs),
    ("cache_rpc_failures", "Calls to other members that failed", |stats| stats.rpc_failures),
    ("cache_prepares", "Checkouts", |stats| stats.prepares),
    ("cache_commits", "Commits", |stats| stats.commits),
    ("cache_passivations", "Groups whose values went to the shelf", |stats| stats.passivations),
    ("cache_activations", "Groups whose values came back", |stats| stats.activations),
    ("cache_shelf_errors", "What the shelf did not do", |stats| stats.shelf_errors),
    ("cache_rollbacks", "Checkouts that ended without a commit", |stats| stats.rollbacks),
];

/// What there is.
const GAUGES: [Number; 5] = [
    ("cache_entries", "Entries in copies kept here", |stats| stats.entries),
    ("cache_primary_entries", "Entries whose primary this is", |stats| stats.primary_entries),
    ("cache_groups_in_memory", "Groups in memory, where that is bounded", |stats| {
        stats.groups_in_memory
    }),
    ("cache_groups_on_shelf", "Groups whose values are on the shelf", |s| s.groups_on_shelf),
    ("cache_bytes", "Bytes of keys and values kept here", |stats| stats.bytes),
];

/// What only rises, of each kind of component. How many there are, a cache's numbers say.
const OF_COMPONENTS: [Number<ComponentStats>; 3] = [
    ("component_created", "Components created", |stats| stats.created),
    ("component_removed", "Components removed by a caller", |stats| stats.removed),
    ("component_calls", "Calls of components", |stats| stats.calls),
];

/// What only rises, of each singleton.
const OF_SINGLETONS: [Number<singleton::Counts>; 4] = [
    ("singleton_starts", "Starts of a singleton here", |counts| counts.starts),
    ("singleton_failures", "Failures of a singleton here", |counts| counts.failures),
    ("singleton_leases_lost", "Leases lost while a singleton ran here", |counts| counts.lost),
    ("singleton_cut_off", "Stops that took too long", |counts| counts.cut_off),
];

/// What only rises, of each job.
const OF_JOBS: [Number<RunCounts>; 2] = [
    ("job_runs_done", "Runs of a job here that came to a good end", |counts| counts.done),
    ("job_runs_failed", "Runs of a job here that failed", |counts| counts.failed),
];

/// The text, of this member, its caches, its components, its singletons and its jobs.
pub(crate) fn text(
    engine: &dyn Engine,
    components: Vec<(String, ComponentStats)>,
    singletons: Vec<OfSingleton>,
    jobs: Vec<(String, RunCounts)>,
) -> String {
    let view: &View = &engine.group().view();
    let stats =
        |map: &std::sync::Arc<dyn crate::engine::Map>| (map.spec().name.clone(), map.stats());
    let mut registry = Registry::with_prefix("muster");
    registry.register_collector(Box::new(Shown {
        members: i64::try_from(view.members.len()).unwrap_or(i64::MAX),
        is_quorate: view.is_quorate,
        merges: view.merges,
        caches: engine.maps().iter().map(stats).collect(),
        components,
        singletons,
        jobs,
    }));
    let mut written = String::new();
    // A string takes all that is written to it.
    let _ = text::encode(&mut written, &registry);
    written
}

impl Collector for Shown {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let encoder = &mut encoder;
        let gauge = |encoder: &mut DescriptorEncoder<'_>, name: &str, help: &str, value: i64| {
            let metric = encoder.encode_descriptor(name, help, None, MetricType::Gauge)?;
            ConstGauge::new(value).encode(metric)
        };
        gauge(encoder, "cluster_members", "Members of the view", self.members)?;
        let help = "Whether enough voters are in sight";
        gauge(encoder, "cluster_quorate", help, i64::from(self.is_quorate))?;
        let merges = "Merges of two sides that this member has seen";
        let metric =
            encoder.encode_descriptor("cluster_merges", merges, None, MetricType::Counter)?;
        ConstCounter::new(self.merges).encode(metric)?;
        for (name, help, value) in COUNTERS {
            let of = |stats: &MapStats| ConstCounter::new(value(stats));
            self.of_caches(encoder, (name, help, MetricType::Counter), of)?;
        }
        let of_components = if self.components.is_empty() { &[][..] } else { &OF_COMPONENTS };
        for (name, help, value) in of_components {
            let mut family = encoder.encode_descriptor(name, help, None, MetricType::Counter)?;
            for (kind, stats) in &self.components {
                let labels = [("component", kind.as_str())];
                let counter = ConstCounter::new(value(stats));
                counter.encode(family.encode_family(&labels)?)?;
            }
        }
        self.of_singletons(encoder)?;
        let of_jobs = if self.jobs.is_empty() { &[][..] } else { &OF_JOBS };
        for (name, help, value) in of_jobs {
            let mut family = encoder.encode_descriptor(name, help, None, MetricType::Counter)?;
            for (job, counts) in &self.jobs {
                let labels = [("job", job.as_str())];
                ConstCounter::new(value(counts)).encode(family.encode_family(&labels)?)?;
            }
        }
        for (name, help, value) in GAUGES {
            let of =
                |stats: &MapStats| ConstGauge::new(i64::try_from(value(stats)).unwrap_or(i64::MAX));
            self.of_caches(encoder, (name, help, MetricType::Gauge), of)?;
        }
        Ok(())
    }
}

impl Shown {
    fn of_singletons(&self, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
        if self.singletons.is_empty() {
            return Ok(());
        }
        for (name, help, value) in OF_SINGLETONS {
            let mut family = encoder.encode_descriptor(name, help, None, MetricType::Counter)?;
            for (singleton, counts, _) in &self.singletons {
                let labels = [("singleton", singleton.as_str())];
                ConstCounter::new(value(counts)).encode(family.encode_family(&labels)?)?;
            }
        }
        let help = "Whether a singleton runs here";
        let mut family =
            encoder.encode_descriptor("singleton_running", help, None, MetricType::Gauge)?;
        self.singletons.iter().try_for_each(|(singleton, _, is_running)| {
            let labels = [("singleton", singleton.as_str())];
            ConstGauge::new(i64::from(*is_running)).encode(family.encode_family(&labels)?)
        })
    }

    fn of_caches<M: EncodeMetric>(
        &self,
        encoder: &mut DescriptorEncoder<'_>,
        (name, help, kind): (&str, &str, MetricType),
        metric: impl Fn(&MapStats) -> M,
    ) -> fmt::Result {
        let mut family = encoder.encode_descriptor(name, help, None, kind)?;
        self.caches.iter().try_for_each(|(cache, stats)| {
            let labels = [("cache", cache.as_str())];
            metric(stats).encode(family.encode_family(&labels)?)
        })
    }
}
