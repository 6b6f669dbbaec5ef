//! Who asked what, when, and what came of it: the lines that the judge reads.

use std::io::{self, Write as _};
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::clock::{Nanos, now};

/// What came of an operation. In doubt it is unknown: a timeout that is called a failure accuses the
/// innocent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Outcome {
    /// It happened, and the answer is valid.
    Ok,
    /// It surely did not happen and never will.
    Fail,
    /// It may have happened, or may yet.
    Unknown,
}

/// One operation.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Entry {
    /// What was tried: `write`, `read`, `cas`, `incr`, `acquire` ...
    pub op: &'static str,
    /// Of what.
    pub key: String,
    /// Argument or result.
    pub value: Value,
    /// Before it was sent.
    pub start: Nanos,
    /// After the answer came.
    pub end: Nanos,
    /// What came of it.
    pub ok: Outcome,
    /// Who asked. A client has one operation open at a time.
    pub client: String,
}

/// A history that many clients write at once.
#[derive(Debug, Default)]
pub struct History {
    entries: Mutex<Vec<Entry>>,
}

// === impl Entry ===

impl Entry {
    /// One that is known to have happened between two instants.
    pub fn done(
        client: impl Into<String>,
        op: &'static str,
        key: &str,
        (start, end): (Nanos, Nanos),
        value: Value,
    ) -> Entry {
        Entry { op, key: key.to_owned(), value, start, end, ok: Outcome::Ok, client: client.into() }
    }
}

// === impl History ===

impl History {
    /// An empty one.
    pub fn new() -> History {
        History::default()
    }

    /// Notes an operation that ends now.
    pub fn note(
        &self,
        client: &str,
        op: &'static str,
        key: &str,
        start: Nanos,
        (ok, value): (Outcome, Value),
    ) {
        let (key, client) = (key.to_owned(), client.to_owned());
        self.push(Entry { op, key, value, start, end: now(), ok, client });
    }

    /// Notes an operation whose end is known.
    pub fn push(&self, entry: Entry) {
        self.entries().push(entry);
    }

    /// How many operations of a kind there are that happened; all kinds for an empty name.
    pub fn count_ok(&self, op: &str) -> usize {
        let is_one = |entry: &&Entry| entry.ok == Outcome::Ok && (op.is_empty() || entry.op == op);
        self.entries().iter().filter(is_one).count()
    }

    /// The keys that it speaks of, each once.
    pub fn keys(&self) -> Vec<String> {
        let mut keys: Vec<_> = self.entries().iter().map(|entry| entry.key.clone()).collect();
        keys.sort();
        keys.dedup();
        keys
    }

    /// Writes it for the judge.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn save(&self, file: &Path) -> io::Result<()> {
        let mut out = io::BufWriter::new(std::fs::File::create(file)?);
        for entry in self.entries().iter() {
            serde_json::to_writer(&mut out, entry)?;
            out.write_all(b"\n")?;
        }
        out.flush()
    }

    fn entries(&self) -> MutexGuard<'_, Vec<Entry>> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_line_is_what_the_judge_reads() {
        let history = History::new();
        history.push(Entry {
            op: "cas",
            key: "r1".into(),
            value: json!(["a-1", "b-2"]),
            start: 5,
            end: 9,
            ok: Outcome::Unknown,
            client: "b".into(),
        });
        let file = tempfile::NamedTempFile::new().unwrap();
        history.save(file.path()).unwrap();
        let line = std::fs::read_to_string(file.path()).unwrap();
        let wanted = concat!(
            r#"{"op":"cas","key":"r1","value":["a-1","b-2"],"start":5,"end":9,"#,
            r#""ok":"unknown","client":"b"}"#,
            "\n"
        );
        assert_eq!(line, wanted);
        assert_eq!((history.count_ok(""), history.keys()), (0, vec!["r1".to_owned()]));
    }
}
