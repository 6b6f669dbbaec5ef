//! A member in numbers, as OpenMetrics text: for its management, and for a back end's own `/metrics`.
//! Names begin with `muster_`; caches, applications, kinds of components, single sign-ons, singletons,
//! jobs and queues are labels, keys and groups never are.

use std::fmt;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric, text};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::Registry;

use crate::component::ComponentStats;
use crate::engine::{Engine, JournalStats, MapStats, QueueStats, View};
use crate::job::RunCounts;
use crate::manage::{Counted, Tallies};
use crate::session::SessionStats;
use crate::singleton;
use crate::sso::SsoStats;

/// What is shown, as it was at one moment.
#[derive(Debug)]
struct Shown {
    members: i64,
    is_quorate: bool,
    merges: u64,
    caches: Vec<(String, MapStats)>,
    sessions: Vec<(String, SessionStats)>,
    components: Vec<(String, ComponentStats)>,
    identities: Vec<(String, SsoStats)>,
    singletons: Vec<(String, Singleton)>,
    jobs: Vec<(String, RunCounts)>,
    /// Those whose home this is.
    queues: Vec<(String, QueueStats)>,
    journals: Vec<(String, JournalStats)>,
}

/// What is counted of a singleton here, and whether it runs here.
type Singleton = (singleton::Counts, bool);

/// A number of each cache or deployment: its name, what it says, where it stands.
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

/// What only rises, of the sessions of each application.
const OF_SESSIONS: [Number<SessionStats>; 14] = [
    ("session_created", "Sessions created", |stats| stats.created),
    ("session_invalidated", "Sessions ended by a request", |stats| stats.invalidated),
    ("session_expired", "Sessions whose time was over", |stats| stats.expired),
    ("session_commits", "Sessions written", |stats| stats.commits),
    ("session_found_again", "Commits found to stand after a lost answer", |s| s.found_again),
    ("session_lost", "Commits refused, or of which nobody could tell", |stats| stats.lost),
    ("session_lost_after_answer", "Commits that failed after their answer", |stats| {
        stats.lost_after_answer
    }),
    ("session_rejected", "Requests that waited for their session in vain", |s| s.rejected),
    ("session_dropped_events", "Events that listeners were too slow for", |s| s.dropped_events),
    ("session_store_saves", "Sessions that the store has taken", |stats| stats.store_saves),
    ("session_store_loads", "Sessions that came back from the store", |stats| stats.store_loads),
    ("session_store_passivations", "Sessions that went from memory to the store", |stats| {
        stats.store_passivations
    }),
    ("session_store_errors", "Calls that the store did not do", |stats| stats.store_errors),
    ("session_store_conflicts", "Sessions that another cluster has written", |stats| {
        stats.store_conflicts
    }),
];

/// What only rises, of each kind of component.
const OF_COMPONENTS: [Number<ComponentStats>; 4] = [
    ("component_created", "Components created", |stats| stats.created),
    ("component_removed", "Components removed by a caller", |stats| stats.removed),
    ("component_expired", "Components that were idle for too long", |stats| stats.expired),
    ("component_calls", "Calls of components", |stats| stats.calls),
];

/// What only rises, of the identities of each single sign-on.
const OF_IDENTITIES: [Number<SsoStats>; 4] = [
    ("identity_created", "Logins", |stats| stats.created),
    ("identity_ended", "Identities ended, mostly by a logout", |stats| stats.ended),
    ("identity_expired", "Identities that nobody asked for for too long", |s| s.expired),
    ("identity_uses", "Requests that had their identity", |stats| stats.uses),
];

/// What only rises, of each singleton.
const OF_SINGLETONS: [Number<Singleton>; 4] = [
    ("singleton_starts", "Starts of a singleton here", |(counts, _)| counts.starts),
    ("singleton_failures", "Failures of a singleton here", |(counts, _)| counts.failures),
    ("singleton_leases_lost", "Leases lost while a singleton ran here", |(counts, _)| counts.lost),
    ("singleton_cut_off", "Stops that took too long", |(counts, _)| counts.cut_off),
];

/// What only rises, of each job.
const OF_JOBS: [Number<RunCounts>; 2] = [
    ("job_runs_done", "Runs of a job here that came to a good end", |counts| counts.done),
    ("job_runs_failed", "Runs of a job here that failed", |counts| counts.failed),
];

/// What only rises, of each queue whose home this is.
const OF_QUEUES: [Number<QueueStats>; 7] = [
    ("queue_published", "Messages published", |stats| stats.published),
    ("queue_duplicates", "Publications that were there already", |stats| stats.duplicates),
    ("queue_delivered", "Messages delivered", |stats| stats.delivered),
    ("queue_redelivered", "Messages delivered that may have been before", |s| s.redelivered),
    ("queue_done", "Messages that a consumer has done", |stats| stats.done),
    ("queue_expired", "Messages whose time was over", |stats| stats.expired),
    ("queue_buried", "Messages that became dead letters", |stats| stats.buried),
];

/// What there is of each.
const QUEUES: [Number<QueueStats>; 4] = [
    ("queue_ready", "Messages that wait to be delivered", |stats| stats.ready),
    ("queue_in_flight", "Messages delivered and not done", |stats| stats.out),
    ("queue_dead", "Dead letters", |stats| stats.dead),
    ("queue_consumers", "Consumers on all members", |stats| {
        stats.consumers.iter().map(|(_, consumers, _)| u64::from(*consumers)).sum()
    }),
];

/// Of each queue that this member writes down.
const OF_JOURNALS: [Number<JournalStats>; 1] =
    [("queue_journal_errors", "What a queue's journal did not do", |stats| stats.errors)];
const JOURNALS: [Number<JournalStats>; 1] =
    [("queue_journal_lacking", "Groups of messages that the journal still lacks", |stats| {
        stats.lacking
    })];

/// How many there are whose primary this is.
const SESSIONS: [Number<SessionStats>; 2] = [
    ("session_active", "Sessions whose primary this is", |stats| stats.active),
    ("session_store_unsaved", "Sessions of which the store must still be told", |stats| {
        stats.store_unsaved
    }),
];
const COMPONENTS: [Number<ComponentStats>; 1] =
    [("component_active", "Components whose primary this is", |stats| stats.active)];
const IDENTITIES: [Number<SsoStats>; 1] =
    [("identity_active", "Identities whose primary this is", |stats| stats.active)];

/// Whether it runs here.
const SINGLETONS: [Number<Singleton>; 1] =
    [("singleton_running", "Whether a singleton runs here", |(_, is_running)| {
        u64::from(*is_running)
    })];

/// The text, of this member, its caches, its deployments, its singletons, its jobs and its queues.
pub(crate) fn text(
    engine: &dyn Engine,
    deployments: &Tallies,
    singletons: Vec<(String, singleton::Counts, bool)>,
    jobs: Vec<(String, RunCounts)>,
) -> String {
    let view: &View = &engine.group().view();
    let stats =
        |map: &std::sync::Arc<dyn crate::engine::Map>| (map.spec().name.clone(), map.stats());
    let mut shown = Shown {
        members: i64::try_from(view.members.len()).unwrap_or(i64::MAX),
        is_quorate: view.is_quorate,
        merges: view.merges,
        caches: engine.maps().iter().map(stats).collect(),
        sessions: Vec::new(),
        components: Vec::new(),
        identities: Vec::new(),
        singletons: (singletons.into_iter())
            .map(|(name, counts, is_running)| (name, (counts, is_running)))
            .collect(),
        jobs,
        queues: (engine.queues().iter())
            .filter_map(|queue| Some((queue.spec().name.clone(), queue.led()?)))
            .collect(),
        journals: (engine.queues().iter())
            .filter_map(|queue| Some((queue.spec().name.clone(), queue.journal()?)))
            .collect(),
    };
    for (name, counted) in deployments.all() {
        match counted {
            Counted::Sessions(stats) => shown.sessions.push((name, stats)),
            Counted::Components(stats) => shown.components.push((name, stats)),
            Counted::Identities(stats) => shown.identities.push((name, stats)),
        }
    }
    let mut registry = Registry::with_prefix("muster");
    registry.register_collector(Box::new(shown));
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
        all(encoder, ("cache", &self.caches), &COUNTERS, &GAUGES)?;
        all(encoder, ("application", &self.sessions), &OF_SESSIONS, &SESSIONS)?;
        all(encoder, ("component", &self.components), &OF_COMPONENTS, &COMPONENTS)?;
        all(encoder, ("sso", &self.identities), &OF_IDENTITIES, &IDENTITIES)?;
        all(encoder, ("singleton", &self.singletons), &OF_SINGLETONS, &SINGLETONS)?;
        all(encoder, ("job", &self.jobs), &OF_JOBS, &[])?;
        all(encoder, ("queue", &self.queues), &OF_QUEUES, &QUEUES)?;
        all(encoder, ("queue", &self.journals), &OF_JOURNALS, &JOURNALS)
    }
}

/// Numbers of things of one kind, which the label names; nothing where there are none.
fn all<S>(
    encoder: &mut DescriptorEncoder<'_>,
    (label, things): (&str, &[(String, S)]),
    counters: &[Number<S>],
    gauges: &[Number<S>],
) -> fmt::Result {
    if things.is_empty() {
        return Ok(());
    }
    for (name, help, value) in counters {
        let of = |stats: &S| ConstCounter::new(value(stats));
        each(encoder, (name, help, MetricType::Counter), (label, things), of)?;
    }
    for (name, help, value) in gauges {
        let of = |stats: &S| ConstGauge::new(i64::try_from(value(stats)).unwrap_or(i64::MAX));
        each(encoder, (name, help, MetricType::Gauge), (label, things), of)?;
    }
    Ok(())
}

/// One number of each.
fn each<S, M: EncodeMetric>(
    encoder: &mut DescriptorEncoder<'_>,
    (name, help, kind): (&str, &str, MetricType),
    (label, things): (&str, &[(String, S)]),
    metric: impl Fn(&S) -> M,
) -> fmt::Result {
    let mut family = encoder.encode_descriptor(name, help, None, kind)?;
    things.iter().try_for_each(|(thing, stats)| {
        let labels = [(label, thing.as_str())];
        metric(stats).encode(family.encode_family(&labels)?)
    })
}
