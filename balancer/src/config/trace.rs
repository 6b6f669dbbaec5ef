//! Which trace a request is part of, and who is told of it (`[trace]`).

use std::time::Duration;

use http::Uri;
use serde::Serializer;
use toml::de::DeValue;

use super::SECOND;
use super::reader::{Section, count, duration, number, text};

/// `[trace]`: W3C Trace Context with nodes, and spans for a collector of OpenTelemetry.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
pub struct Trace {
    /// `"pass"`: nodes get the `traceparent` and `tracestate` of clients as they are. `"continue"`: nodes
    /// get a child of the client's, or a new trace where it has none that is valid; the access log
    /// names the trace. With an `endpoint` always `"continue"`. Default `"pass"`.
    pub context: TraceContext,
    /// Where spans are sent as OTLP over HTTP in JSON, such as `"http://127.0.0.1:4318/v1/traces"`:
    /// `http` alone, so a collector on this machine or on a network of one's own. Default none: no
    /// spans are sent.
    #[serde(serialize_with = "show_endpoint", skip_serializing_if = "Option::is_none")]
    pub endpoint: Option<Endpoint>,
    /// Which part of the traces that begin here is recorded, 0 to 1. What a client has begun is
    /// recorded where its `traceparent` says so. Default 0.1.
    pub ratio: f64,
    /// What spans call this service, 1 to 100 bytes. Default `"muster"`.
    pub service_name: String,
    /// Most requests whose spans wait to be sent, 1 to 1,000,000; more are dropped and counted.
    /// Default 4,096.
    pub queue: usize,
    /// Most requests whose spans are sent at once, 1 to 10,000. Default 512.
    pub batch: usize,
    /// How long spans may wait for others, 10 ms to 1 minute. Default 1 s.
    #[serde(with = "humantime_serde")]
    pub interval: Duration,
    /// How long the collector may take to answer, 10 ms to 1 minute. Default 5 s.
    #[serde(with = "humantime_serde")]
    pub timeout: Duration,
}

/// What is done with the trace of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum TraceContext {
    /// Nothing.
    #[default]
    Pass,
    /// It goes on with a span of our own.
    Continue,
}

/// Where a collector listens: `http://host:port/path`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoint(Uri);

// === impl Trace ===

impl Default for Trace {
    fn default() -> Trace {
        Trace {
            context: TraceContext::Pass,
            endpoint: None,
            ratio: 0.1,
            service_name: "muster".to_owned(),
            queue: 4096,
            batch: 512,
            interval: SECOND,
            timeout: 5 * SECOND,
        }
    }
}

impl Trace {
    pub(super) fn read(section: &mut Section<'_, '_>) -> Trace {
        const LEAST: Duration = Duration::from_millis(10);
        let default = Trace::default();
        let waits = || duration(LEAST..=60 * SECOND);
        Trace {
            context: section.read("context", default.context, TraceContext::read),
            endpoint: section.maybe("endpoint", Endpoint::read),
            ratio: section.read("ratio", default.ratio, number(0.0..=1.0)),
            service_name: section.read("service_name", default.service_name, |value| {
                match text(value)? {
                    name if (1..=100).contains(&name.len()) => Ok(name.to_owned()),
                    name => Err(format!("{name:?} is out of bounds: 1 to 100 bytes")),
                }
            }),
            queue: section.read("queue", default.queue, count(1..=1_000_000)),
            batch: section.read("batch", default.batch, count(1..=10_000)),
            interval: section.read("interval", default.interval, waits()),
            timeout: section.read("timeout", default.timeout, waits()),
        }
    }

    /// Whether requests get a span of our own.
    pub fn is_on(&self) -> bool {
        self.context == TraceContext::Continue || self.endpoint.is_some()
    }
}

// === impl TraceContext ===

impl TraceContext {
    fn read(value: &DeValue<'_>) -> Result<TraceContext, String> {
        match text(value)? {
            "pass" => Ok(TraceContext::Pass),
            "continue" => Ok(TraceContext::Continue),
            other => Err(format!("{other:?} is none of pass, continue")),
        }
    }
}

// === impl Endpoint ===

impl Endpoint {
    fn read(value: &DeValue<'_>) -> Result<Endpoint, String> {
        let given = text(value)?;
        let bad = || format!("{given:?} is no URL (\"http://127.0.0.1:4318/v1/traces\")");
        let uri: Uri = given.parse().map_err(|_| bad())?;
        match (uri.scheme_str(), uri.host()) {
            (Some("http"), Some(host)) if !host.is_empty() => Ok(Endpoint(uri)),
            (Some("https"), _) => Err(format!(
                "{given:?}: spans are sent over http only; a collector on this machine can pass them on"
            )),
            _ => Err(bad()),
        }
    }

    /// The host, an IPv6 address without its brackets, and the port.
    pub fn address(&self) -> (&str, u16) {
        let host = self.0.host().unwrap_or_default();
        (host.trim_start_matches('[').trim_end_matches(']'), self.0.port_u16().unwrap_or(80))
    }

    /// Host and port as they were written.
    pub fn authority(&self) -> &str {
        self.0.authority().map_or("", http::uri::Authority::as_str)
    }

    /// The path, with a query if there is one.
    pub fn path(&self) -> &str {
        self.0.path_and_query().map_or("/", http::uri::PathAndQuery::as_str)
    }
}

impl std::fmt::Display for Endpoint {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.0)
    }
}

fn show_endpoint<S: Serializer>(
    endpoint: &Option<Endpoint>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    match endpoint {
        Some(endpoint) => serializer.collect_str(endpoint),
        None => serializer.serialize_none(),
    }
}
