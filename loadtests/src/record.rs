//! What came back: latencies, failures by class, nodes, and answers from the wrong node.

use std::collections::BTreeMap;
use std::time::Duration;

use hdrhistogram::Histogram;
use http::StatusCode;

use crate::testkit::client::{Answer, Failure};

/// The longest latency that is told apart, in microseconds; longer ones count as this.
const LONGEST_US: u64 = 3_600_000_000;
/// Most node names that are counted one by one.
const MOST_NODES: usize = 20_000;

/// How an exchange went wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Class {
    /// No connection.
    Connect,
    /// The connection ended without an answer.
    Reset,
    /// No whole answer in time.
    Timeout,
    /// A status of 400 or more.
    Status(u16),
    /// The body was cut short or too large.
    Body,
    /// The run ended before the request could be sent (open loop only).
    Unsent,
}

/// What a run, or one connection of it, has seen.
#[derive(Debug, Clone)]
pub struct Record {
    latency: Histogram<u64>,
    /// Good answers.
    pub ok: u64,
    /// Exchanges that went wrong.
    pub failures: BTreeMap<Class, u64>,
    /// Good answers by the node that gave them.
    pub nodes: BTreeMap<String, u64>,
    /// Good answers from another node than the owner of the session that was sent.
    pub misrouted: u64,
    /// Good answers by which a session had to begin anew although one was sent.
    pub lost_sessions: u64,
    /// Bytes of bodies in good answers.
    pub bytes: u64,
}

// === impl Class ===

impl Class {
    /// The class of a failure.
    pub fn of(failure: &Failure) -> Class {
        match failure {
            Failure::Connect { .. } => Class::Connect,
            Failure::Reset { .. } | Failure::Request { .. } => Class::Reset,
            Failure::Timeout { .. } => Class::Timeout,
            Failure::Body { .. } => Class::Body,
        }
    }

    /// Its name in reports: `connect`, `503` ...
    pub fn name(self) -> String {
        match self {
            Class::Connect => "connect".to_owned(),
            Class::Reset => "reset".to_owned(),
            Class::Timeout => "timeout".to_owned(),
            Class::Status(code) => code.to_string(),
            Class::Body => "body".to_owned(),
            Class::Unsent => "unsent".to_owned(),
        }
    }
}

// === impl Record ===

impl Default for Record {
    fn default() -> Self {
        let latency = Histogram::new_with_bounds(1, LONGEST_US, 3);
        Record {
            latency: latency.expect("the bounds of the histogram are good ones"),
            ok: 0,
            failures: BTreeMap::new(),
            nodes: BTreeMap::new(),
            misrouted: 0,
            lost_sessions: 0,
            bytes: 0,
        }
    }
}

impl Record {
    /// Notes an exchange: its latency, what came back, and the owner route of the session that
    /// went with the request.
    pub fn note(
        &mut self,
        latency: Duration,
        result: &Result<Answer, Failure>,
        owner: Option<&str>,
    ) {
        match result {
            Err(failure) => self.fail(Class::of(failure)),
            Ok(answer) if answer.status >= StatusCode::BAD_REQUEST => {
                self.fail(Class::Status(answer.status.as_u16()));
            }
            Ok(answer) => {
                self.latency.saturating_record(latency.as_micros() as u64);
                self.note_good(answer, owner);
            }
        }
    }

    /// Counts a failure.
    pub fn fail(&mut self, class: Class) {
        *self.failures.entry(class).or_default() += 1;
    }

    /// Takes in what another connection has seen.
    pub fn merge(&mut self, other: Record) {
        self.latency.add(&other.latency).expect("all records have the same bounds");
        self.ok += other.ok;
        self.misrouted += other.misrouted;
        self.lost_sessions += other.lost_sessions;
        self.bytes += other.bytes;
        for (class, count) in other.failures {
            *self.failures.entry(class).or_default() += count;
        }
        for (node, count) in other.nodes {
            *self.nodes.entry(node).or_default() += count;
        }
    }

    /// Failures of all classes.
    pub fn failed(&self) -> u64 {
        self.failures.values().sum()
    }

    /// Failures of one class.
    pub fn failed_by(&self, class: Class) -> u64 {
        self.failures.get(&class).copied().unwrap_or(0)
    }

    /// Good answers of one node.
    pub fn by(&self, node: &str) -> u64 {
        self.nodes.get(node).copied().unwrap_or(0)
    }

    /// The latency that this share of the good answers, 0.0 to 1.0, did not exceed.
    pub fn latency(&self, share: f64) -> Duration {
        Duration::from_micros(self.latency.value_at_quantile(share))
    }

    fn note_good(&mut self, answer: &Answer, owner: Option<&str>) {
        self.ok += 1;
        self.bytes += answer.body.len() as u64;
        let node = answer.node();
        if let Some(owner) = owner {
            self.misrouted += u64::from(node.as_deref() != Some(owner));
            let json = answer.header("content-type").is_some_and(|kind| kind.contains("json"));
            let began = json.then(|| answer.json()).flatten().map(|body| began(&body));
            self.lost_sessions += u64::from(began == Some(true));
        }
        if let Some(node) = node
            && (self.nodes.len() < MOST_NODES || self.nodes.contains_key(&node))
        {
            *self.nodes.entry(node).or_default() += 1;
        }
    }
}

/// Whether an answer comes from a session that has just begun. A Tomcat calls a session new until its
/// first request has wholly ended, which the client's second one may be sooner than: that one counts 2.
fn began(body: &serde_json::Value) -> bool {
    let is_first = body.get("count").and_then(serde_json::Value::as_u64).is_none_or(|n| n <= 1);
    is_first && body.get("new").and_then(serde_json::Value::as_bool) == Some(true)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_that_is_called_new_but_has_counted_on_is_not_lost() {
        let body = |text| serde_json::from_str::<serde_json::Value>(text).unwrap();
        assert!(began(&body(r#"{"new":true,"count":1}"#)) && began(&body(r#"{"new":true}"#)));
        assert!(!began(&body(r#"{"new":true,"count":2}"#)));
        assert!(!began(&body(r#"{"new":false,"count":1}"#)));
    }

    fn answer(status: u16, node: &str) -> Result<Answer, Failure> {
        let mut headers = http::HeaderMap::new();
        headers.insert("x-node", node.parse().unwrap());
        headers.insert("content-type", "application/json".parse().unwrap());
        let status = StatusCode::from_u16(status).unwrap();
        Ok(Answer { status, headers, body: "{\"new\":true}".into() })
    }

    #[test]
    fn an_answer_from_another_node_than_the_owner_is_misrouted() {
        let mut record = Record::default();
        record.note(Duration::from_millis(1), &answer(200, "a"), None);
        record.note(Duration::from_millis(1), &answer(200, "a"), Some("a"));
        record.note(Duration::from_millis(1), &answer(200, "b"), Some("a"));
        assert_eq!((record.ok, record.misrouted, record.lost_sessions), (3, 1, 2));
        assert_eq!((record.by("a"), record.by("b")), (2, 1));
    }

    #[test]
    fn failures_are_counted_by_class_and_have_no_latency() {
        let mut record = Record::default();
        record.note(Duration::from_secs(9), &answer(503, "a"), None);
        let within = Duration::from_secs(1);
        record.note(Duration::from_secs(9), &Err(Failure::Timeout { within }), None);
        let mut sum = Record::default();
        sum.note(Duration::from_millis(2), &answer(200, "a"), None);
        sum.merge(record);
        assert_eq!(sum.failed(), 2);
        assert_eq!(sum.failed_by(Class::Status(503)), 1);
        assert_eq!(sum.failed_by(Class::Timeout), 1);
        assert_eq!(sum.latency(1.0).as_millis(), 2);
    }
}
