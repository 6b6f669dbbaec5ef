//! The audit log: every action of an operator, every change by a node, and what the balancer does
//! by itself; what was refused, too. Who, what, when, from where, before and after.
//!
//! The last entries stay in memory for page and API; `log.audit` names a file that has them all,
//! a line of JSON each.

mod entry;
mod file;

use std::collections::VecDeque;
use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use tokio::sync::watch;

pub use entry::{Entry, Kind, Outcome};
use file::Writer;

/// Entries that are kept in memory, where the configuration does not say otherwise.
pub const KEPT: usize = 1_000;

/// The log. Shared by whoever does something worth writing down.
#[derive(Debug)]
pub struct Audit {
    kept: Mutex<Kept>,
    most: usize,
    file: Option<Writer>,
    last: watch::Sender<u64>,
}

#[derive(Debug, Default)]
struct Kept {
    entries: VecDeque<Arc<Entry>>,
    last: u64,
}

impl Default for Audit {
    /// In memory only.
    fn default() -> Self {
        Audit::new(KEPT, None)
    }
}

impl Audit {
    /// Keeps `most` entries in memory and writes all to the file.
    ///
    /// # Errors
    /// When the file cannot be opened or the thread not started.
    pub fn open(most: usize, file: Option<&Path>) -> io::Result<Audit> {
        Ok(Audit::new(most, file.map(Writer::open).transpose()?))
    }

    fn new(most: usize, file: Option<Writer>) -> Audit {
        Audit { kept: Mutex::default(), most, file, last: watch::Sender::new(0) }
    }

    /// Writes an entry down.
    pub fn record(&self, entry: Entry) {
        let mut kept = self.lock();
        kept.last += 1;
        let entry = Arc::new(entry.stamped(kept.last, SystemTime::now()));
        if kept.entries.len() >= self.most {
            kept.entries.pop_front();
        }
        kept.entries.push_back(entry.clone());
        // Under the lock, so that lines stand in the order of their numbers.
        if let Some(file) = &self.file {
            file.write(entry.to_line());
        }
        self.last.send_replace(kept.last);
    }

    /// The last entries, `most` of them, the oldest first.
    pub fn tail(&self, most: usize) -> Vec<Arc<Entry>> {
        let kept = self.lock();
        let skipped = kept.entries.len().saturating_sub(most);
        kept.entries.iter().skip(skipped).cloned().collect()
    }

    /// The entries after a number, `most` of them, the oldest first.
    pub fn since(&self, seq: u64, most: usize) -> Vec<Arc<Entry>> {
        let kept = self.lock();
        let after = kept.entries.iter().filter(|entry| entry.seq > seq);
        after.take(most).cloned().collect()
    }

    /// Wakes with each entry, and says its number.
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.last.subscribe()
    }

    fn lock(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stop(target: &str) -> Entry {
        let entry = Entry::new(Kind::Operator, "ann", "stop", target);
        entry.from(Some("127.0.0.1".into())).change("1 enabled", "1 stopped")
    }

    #[test]
    fn a_line_says_who_did_what_and_how_it_stands() {
        let entry = stop("node a").stamped(7, SystemTime::UNIX_EPOCH);
        assert_eq!(
            entry.to_line(),
            "{\"seq\":7,\"time\":\"1970-01-01T00:00:00.000Z\",\"kind\":\"operator\",\
             \"actor\":\"ann\",\"from\":\"127.0.0.1\",\"verb\":\"stop\",\"target\":\"node a\",\
             \"before\":\"1 enabled\",\"after\":\"1 stopped\",\"outcome\":\"done\"}\n"
        );
        let refused = Entry::new(Kind::Node, "n", "CONFIG", "n").refused("it is taken");
        assert!(refused.to_line().contains("\"outcome\":\"refused\",\"why\":\"it is taken\""));
    }

    #[test]
    fn a_hostile_name_can_forge_no_line_and_turn_none_around() {
        let entry = stop("a\",\n{\"seq\":8}\u{202e}\u{1f600}\u{7f}\u{2028}");
        let line = entry.to_line();
        assert_eq!(line.lines().count(), 1);
        assert!(line.trim_end().bytes().all(|byte| (0x20..0x7f).contains(&byte)), "{line}");
        let read: Entry = serde_json::from_str(&line).unwrap();
        assert_eq!(read.target, entry.target);
        let long = stop(&"ä".repeat(10_000));
        assert!(long.to_line().len() < 10_000);
    }

    #[test]
    fn only_the_last_entries_are_kept_and_each_has_its_number() {
        let audit = Audit::new(3, None);
        (0..5).for_each(|at| audit.record(stop(&at.to_string())));
        let seqs = |entries: Vec<Arc<Entry>>| entries.iter().map(|e| e.seq).collect::<Vec<_>>();
        assert_eq!(seqs(audit.tail(10)), [3, 4, 5]);
        assert_eq!(seqs(audit.tail(1)), [5]);
        assert_eq!(seqs(audit.since(3, 1)), [4]);
        assert_eq!(*audit.changes().borrow(), 5);
    }

    #[test]
    fn the_file_has_every_entry_once_the_log_is_closed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("audit.log");
        let audit = Audit::open(1, Some(&path)).unwrap();
        (0..1_000).for_each(|at| audit.record(stop(&at.to_string())));
        drop(audit);
        let text = std::fs::read_to_string(path).unwrap();
        let read: Vec<Entry> =
            text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert!(read.iter().map(|entry| entry.seq).eq(1..=1_000));
    }
}
