//! What `/metrics` shows. Base units; labels node, context, outcome; never a path or a session id.
//!
//! Requests touch a handful of atomics. What is counted by node and context is read from the
//! registry's rows when somebody asks, so nothing is looked up by label on the way.

mod traffic;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use muster_routing::node::Availability;
use muster_routing::rows::{ContextRow, NodeRow};
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric, MetricEncoder};
use prometheus_client::metrics::counter::{ConstCounter, Counter};
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::{ConstGauge, Gauge};
use prometheus_client::metrics::{MetricType, TypedMetric};
use prometheus_client::registry::{Registry, Unit};

use crate::published::Published;
use crate::trace::SpanCounters;

use self::traffic::Traffic;
pub use self::traffic::{BUCKETS, TrafficTotals};

/// Handles that the rest of the balancer counts with.
#[derive(Debug, Default)]
pub struct Metrics {
    traffic: Traffic,
    refused: Family<[(&'static str, &'static str); 1], Counter>,
    retries: Family<[(&'static str, &'static str); 1], Counter>,
    mcmp: Family<[(&'static str, String); 2], Counter>,
    mcmp_refused: Family<[(&'static str, &'static str); 1], Counter>,
    /// Open connections of clients.
    pub(crate) connections: Gauge,
    /// Requests that wait for a node.
    pub(crate) waiting: Gauge,
    /// Connections of clients that have as many as they may have.
    pub(crate) capped: Counter,
    /// Lines of the access log that were lost.
    pub(crate) lost_lines: Counter,
    /// What became of the spans of requests.
    pub(crate) spans: SpanCounters,
    /// Connects to nodes that failed.
    pub(crate) unconnected: Counter,
    /// Handshakes of clients that failed.
    pub(crate) unsecured: Counter,
    /// Datagrams that told nodes of this balancer.
    pub(crate) advertised: Counter,
    /// Datagrams that could not be sent.
    pub(crate) advertise_failed: Counter,
}

impl Metrics {
    /// All metrics, ready to be shown.
    pub fn registry(self: &Arc<Metrics>, published: &Arc<Published>) -> Registry {
        let mut registry = Registry::with_prefix("muster");
        registry.register_with_unit(
            "request_duration",
            "From a request's head to the end of its answer",
            Unit::Seconds,
            Requests(self.clone()),
        );
        registry.register("refused", "Requests that no node got, by reason", self.refused.clone());
        registry.register("retries", "Attempts after the first, by cause", self.retries.clone());
        registry.register(
            "mcmp_messages",
            "MCMP messages, by method and status",
            self.mcmp.clone(),
        );
        registry.register(
            "mcmp_refused",
            "MCMP messages and connections refused, by reason",
            self.mcmp_refused.clone(),
        );
        registry.register("connections", "Open connections of clients", self.connections.clone());
        registry.register("waiting", "Requests that wait for a node", self.waiting.clone());
        registry.register(
            "capped",
            "Connections refused because their client has as many as it may have",
            self.capped.clone(),
        );
        registry.register(
            "connect_failures",
            "Connects to nodes that failed, their TLS among them",
            self.unconnected.clone(),
        );
        registry.register(
            "tls_handshake_failures",
            "TLS handshakes with clients that failed",
            self.unsecured.clone(),
        );
        registry.register(
            "access_log_lost_lines",
            "Lines of the access log that were lost, for it is too slow or cannot be written",
            self.lost_lines.clone(),
        );
        registry.register(
            "traces",
            "Recorded requests, by what became of their spans",
            self.spans.clone(),
        );
        registry.register_collector(Box::new(Errors(self.clone())));
        registry.register(
            "advertised",
            "Datagrams that told nodes of this balancer",
            self.advertised.clone(),
        );
        registry.register(
            "advertise_failed",
            "Datagrams that could not be sent",
            self.advertise_failed.clone(),
        );
        registry.register_collector(Box::new(Nodes(published.clone())));
        registry
    }

    /// What was served so far: two readings tell the rates and quantiles of the time between.
    pub fn traffic(&self) -> TrafficTotals {
        self.traffic.totals()
    }

    pub(crate) fn answered(&self, took: Duration, status: Option<u16>) {
        self.traffic.count(took, status);
    }

    pub(crate) fn refused(&self, reason: &'static str) {
        self.refused.get_or_create(&[("reason", reason)]).inc();
    }

    pub(crate) fn retried(&self, cause: &'static str) {
        self.retries.get_or_create(&[("cause", cause)]).inc();
    }

    pub(crate) fn mcmp_refused(&self, reason: &'static str) {
        self.mcmp_refused.get_or_create(&[("reason", reason)]).inc();
    }

    #[cfg(test)]
    pub(crate) fn mcmp_refusals(&self, reason: &'static str) -> u64 {
        self.mcmp_refused.get_or_create(&[("reason", reason)]).get()
    }

    /// Methods that are none of MCMP's share one label: a client must not make up labels.
    pub(crate) fn mcmp(&self, method: &str, status: u16) {
        let known = muster_protocol::mcmp::method(method);
        let labels =
            [("method", known.unwrap_or("other").to_owned()), ("status", status.to_string())];
        self.mcmp.get_or_create(&labels).inc();
    }
}

/// The histogram of durations.
#[derive(Debug)]
struct Requests(Arc<Metrics>);

impl EncodeMetric for Requests {
    fn encode(&self, encoder: MetricEncoder<'_>) -> fmt::Result {
        self.0.traffic.encode(encoder)
    }

    fn metric_type(&self) -> MetricType {
        MetricType::Histogram
    }
}

/// The errors among the requests.
struct Errors(Arc<Metrics>);

impl fmt::Debug for Errors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Errors")
    }
}

impl Collector for Errors {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let help = "Requests whose client was told a status of 5xx, by a node or by the balancer";
        let kind = ConstCounter::<u64>::TYPE;
        let counter = encoder.encode_descriptor("errors", help, None, kind)?;
        ConstCounter::new(self.0.traffic().errors).encode(counter)
    }
}

/// Counts by node and context, read from the rows.
struct Nodes(Arc<Published>);

impl fmt::Debug for Nodes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Nodes")
    }
}

type Labels<'r> = [(&'static str, &'r str); 3];

impl Collector for Nodes {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let nodes = self.0.rows().nodes;
        gauge(&mut encoder, &nodes, "node_up", "1 when requests may be sent to it", |node| {
            i64::from(node.availability != Availability::Unusable)
        })?;
        gauge(
            &mut encoder,
            &nodes,
            "node_load",
            "Load factor; 0 standby, -1 error, -2 checking",
            |node| node.load.into(),
        )?;
        gauge(&mut encoder, &nodes, "node_in_flight", "Requests at the node", |node| {
            node.in_flight.into()
        })?;
        counter(&mut encoder, &nodes, "node_elected", "Requests sent to the node", |node| {
            node.elected
        })?;
        counter(
            &mut encoder,
            &nodes,
            "node_failed",
            "Attempts that ended without an answer",
            |node| node.failed,
        )?;
        counter(&mut encoder, &nodes, "node_read_bytes", "Bytes of answers", |node| node.read)?;
        counter(&mut encoder, &nodes, "node_sent_bytes", "Bytes of requests' bodies", |node| {
            node.transferred
        })?;
        answers(&mut encoder, &nodes)
    }
}

fn gauge(
    encoder: &mut DescriptorEncoder<'_>,
    nodes: &[NodeRow],
    name: &str,
    help: &str,
    value: impl Fn(&NodeRow) -> i64,
) -> fmt::Result {
    let mut family = encoder.encode_descriptor(name, help, None, MetricType::Gauge)?;
    let values = nodes.iter().map(|node| (node, ConstGauge::new(value(node))));
    by_node(&mut family, values)
}

fn counter(
    encoder: &mut DescriptorEncoder<'_>,
    nodes: &[NodeRow],
    name: &str,
    help: &str,
    value: impl Fn(&NodeRow) -> u64,
) -> fmt::Result {
    let mut family = encoder.encode_descriptor(name, help, None, MetricType::Counter)?;
    let values = nodes.iter().map(|node| (node, ConstCounter::new(value(node))));
    by_node(&mut family, values)
}

fn by_node<'r, M: EncodeMetric>(
    family: &mut MetricEncoder<'_>,
    mut values: impl Iterator<Item = (&'r NodeRow, M)>,
) -> fmt::Result {
    values.try_for_each(|(node, metric)| {
        let labels = [("node", node.config.route.as_str())];
        metric.encode(family.encode_family(&labels)?)
    })
}

fn answers(encoder: &mut DescriptorEncoder<'_>, nodes: &[NodeRow]) -> fmt::Result {
    const OUTCOMES: [&str; 6] = ["none", "1xx", "2xx", "3xx", "4xx", "5xx"];
    let help = "Answers to clients, by node, context and class of the status";
    let kind = ConstCounter::<u64>::TYPE;
    let mut family = encoder.encode_descriptor("answers", help, None, kind)?;
    for (node, context) in nodes.iter().flat_map(contexts) {
        for (outcome, count) in OUTCOMES.into_iter().zip(context.answers) {
            let labels: Labels<'_> = [
                ("node", node.config.route.as_str()),
                ("context", context.path.as_str()),
                ("outcome", outcome),
            ];
            ConstCounter::new(count).encode(family.encode_family(&labels)?)?;
        }
    }
    Ok(())
}

/// A node's contexts by path; one that stands on several hosts is counted once.
fn contexts(node: &NodeRow) -> Vec<(&NodeRow, &ContextRow)> {
    let mut contexts: Vec<&ContextRow> =
        node.hosts.iter().flat_map(|host| &host.contexts).collect();
    contexts.sort_by(|one, other| one.path.cmp(&other.path));
    contexts.dedup_by(|one, other| one.path == other.path);
    contexts.into_iter().map(|context| (node, context)).collect()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::config::Config;
    use crate::probe::Prober;
    use crate::start::{limits, timing};

    #[test]
    fn every_metric_stands_in_the_documentation_by_its_name() {
        const DOCUMENTED: &str = include_str!("../../docs/observability.md");
        let config = Config::default();
        let (limits, timing) = (limits(&config), timing(&config));
        let routes = muster_routing::registry::Registry::new(limits, timing, false);
        let prober = Prober::new(Duration::from_secs(1));
        let published = Arc::new(Published::new(routes, prober, 1));
        let mut shown = String::new();
        let metrics = Arc::new(Metrics::default()).registry(&published);
        prometheus_client::encoding::text::encode(&mut shown, &metrics).unwrap();
        let kinds = shown.lines().filter_map(|line| line.strip_prefix("# TYPE "));
        let missing: Vec<String> = kinds
            .map(|kind| match kind.split_once(' ').unwrap() {
                (name, "counter") => format!("`{name}_total` | counter |"),
                (name, kind) => format!("`{name}` | {kind} |"),
            })
            .filter(|row| !DOCUMENTED.contains(row))
            .collect();
        assert!(missing.is_empty(), "docs/observability.md lacks {missing:?}");
    }
}
