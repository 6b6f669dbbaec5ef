//! Spans as a collector reads them: OTLP in JSON.
//!
//! <https://opentelemetry.io/docs/specs/otlp/#json-protobuf-encoding>: ids in hexadecimal, 64-bit
//! numbers as text.

use serde_json::{Value as Json, json};

use super::span::{Attributes, Spans, Value};

/// Kinds of spans and the status of an error (opentelemetry-proto, trace.proto).
const SERVER: u8 = 2;
const CLIENT: u8 = 3;
const ERROR: u8 = 2;

/// The body of a request to the collector.
pub(super) fn body(batch: &[Spans], service: &str) -> Vec<u8> {
    let spans: Vec<Json> = batch.iter().flat_map(spans).collect();
    let version = env!("CARGO_PKG_VERSION");
    let about = [
        ("service.name", Value::Text(service.to_owned())),
        ("service.version", Value::Text(version.to_owned())),
    ];
    let all = json!({ "resourceSpans": [{
        "resource": { "attributes": attributes(about.into()) },
        "scopeSpans": [{ "scope": { "name": "muster", "version": version }, "spans": spans }],
    }] });
    all.to_string().into_bytes()
}

/// The request's span, and one for each attempt.
fn spans(of: &Spans) -> Vec<Json> {
    let Spans { context, clock, ended, request, attempts } = of;
    let trace = context.trace.to_string();
    let own = context.span.to_string();
    let times = |from, to| (clock.nanos(from).to_string(), clock.nanos(to).to_string());
    let (from, to) = times(clock.started, *ended);
    let mut all = vec![json!({
        "traceId": trace, "spanId": own,
        "parentSpanId": context.parent.map(|id| id.to_string()).unwrap_or_default(),
        "name": request.name(), "kind": SERVER,
        "startTimeUnixNano": from, "endTimeUnixNano": to,
        "attributes": attributes(request.attributes()), "status": status(request.is_error()),
    })];
    for (resend, attempt) in attempts.iter().enumerate() {
        let (from, to) = times(attempt.started, attempt.ended.unwrap_or(*ended));
        all.push(json!({
            "traceId": trace, "spanId": attempt.id.to_string(), "parentSpanId": own,
            "name": attempt.name(request), "kind": CLIENT,
            "startTimeUnixNano": from, "endTimeUnixNano": to,
            "attributes": attributes(attempt.attributes(request, resend)),
            "status": status(attempt.is_error()),
        }));
    }
    all
}

fn status(is_error: bool) -> Json {
    if is_error { json!({ "code": ERROR }) } else { json!({}) }
}

fn attributes(all: Attributes) -> Json {
    let value = |value| match value {
        Value::Text(text) => json!({ "stringValue": text }),
        Value::Number(number) => json!({ "intValue": number.to_string() }),
    };
    all.into_iter().map(|(key, own)| json!({ "key": key, "value": value(own) })).collect()
}
