//! Tells an outcome: a few lines for people, one JSON object for programs.

use std::collections::BTreeMap;
use std::fmt::{self, Write as _};
use std::time::Duration;

use serde::Serialize;

use crate::generator::Outcome;

/// The shares of answers whose latency is told.
const SHARES: [(&str, f64); 6] =
    [("p50", 0.5), ("p90", 0.9), ("p99", 0.99), ("p99.9", 0.999), ("p99.99", 0.9999), ("max", 1.0)];

/// An outcome in figures.
#[derive(Debug, Clone, Serialize)]
pub struct Report {
    /// From the first request to the last answer.
    pub elapsed_s: f64,
    /// Good answers.
    pub ok: u64,
    /// Good answers a second.
    pub per_second: f64,
    /// Exchanges that went wrong, all classes.
    pub failed: u64,
    /// The same by class.
    pub failures: BTreeMap<String, u64>,
    /// Good answers by node.
    pub nodes: BTreeMap<String, u64>,
    /// Good answers from another node than the session's owner.
    pub misrouted: u64,
    /// Sessions that had to begin anew.
    pub lost_sessions: u64,
    /// Bytes of bodies in good answers.
    pub bytes: u64,
    /// Connections opened.
    pub connections_opened: u64,
    /// Latency of good answers in milliseconds, by share.
    pub latency_ms: BTreeMap<&'static str, f64>,
}

impl Report {
    /// The figures of an outcome.
    pub fn of(outcome: &Outcome) -> Report {
        let record = &outcome.record;
        let millis = |time: Duration| time.as_secs_f64() * 1000.0;
        let elapsed_s = outcome.elapsed.as_secs_f64();
        Report {
            elapsed_s,
            ok: record.ok,
            per_second: record.ok as f64 / elapsed_s.max(1e-9),
            failed: record.failed(),
            failures: record.failures.iter().map(|(c, n)| (c.name(), *n)).collect(),
            nodes: record.nodes.clone(),
            misrouted: record.misrouted,
            lost_sessions: record.lost_sessions,
            bytes: record.bytes,
            connections_opened: outcome.opened,
            latency_ms: SHARES.iter().map(|(n, s)| (*n, millis(record.latency(*s)))).collect(),
        }
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "{} good answers in {:.2} s, {:.0} a second, {} bytes, {} connections opened",
            self.ok, self.elapsed_s, self.per_second, self.bytes, self.connections_opened
        )?;
        let mut latency = String::new();
        for (name, _) in SHARES {
            write!(latency, "  {name} {:.2}", self.latency_ms[name])?;
        }
        writeln!(f, "latency ms:{latency}")?;
        writeln!(f, "misrouted {}, lost sessions {}", self.misrouted, self.lost_sessions)?;
        for (node, count) in &self.nodes {
            let share = *count as f64 * 100.0 / self.ok.max(1) as f64;
            writeln!(f, "node {node}: {count} ({share:.2} %)")?;
        }
        write!(f, "failed {}", self.failed)?;
        for (class, count) in &self.failures {
            write!(f, ", {class}: {count}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::{Class, Record};

    #[test]
    fn people_and_programs_read_the_same_figures() {
        let mut record = Record::default();
        record.fail(Class::Status(503));
        record.fail(Class::Connect);
        record.fail(Class::Connect);
        let outcome = Outcome { record, elapsed: Duration::from_secs(2), opened: 3 };
        let report = Report::of(&outcome);
        assert!(report.to_string().ends_with("failed 3, 503: 1, connect: 2"), "{report}");
        let json = serde_json::to_value(&report).unwrap();
        assert_eq!(json["failures"]["connect"], 2);
        assert_eq!(json["latency_ms"]["p99.9"], 0.0);
    }
}
