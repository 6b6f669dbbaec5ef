//! The file of the audit log, written by a thread of its own: a slow disk holds up neither a node
//! nor an operator. What does not fit is dropped, counted and told.

use std::fs::OpenOptions;
use std::io::{self, Write};
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

/// Most lines that wait to be written.
const MOST_WAITING: usize = 10_000;

/// How long the end waits for the last lines.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// The writer. Dropping it writes what is left, within a second.
#[derive(Debug)]
pub(super) struct Writer {
    lines: Option<SyncSender<String>>,
    dropped: Arc<AtomicU64>,
    ended: Mutex<Receiver<()>>,
    _thread: JoinHandle<()>,
}

impl Writer {
    /// Opens the file at its end.
    pub(super) fn open(path: &Path) -> io::Result<Writer> {
        Writer::to(Box::new(OpenOptions::new().append(true).create(true).open(path)?))
    }

    pub(super) fn to(output: Box<dyn Write + Send>) -> io::Result<Writer> {
        let (lines, waiting) = sync_channel(MOST_WAITING);
        let (end, ended) = sync_channel(1);
        let dropped = Arc::new(AtomicU64::new(0));
        let counted = dropped.clone();
        let thread = std::thread::Builder::new().name("audit-log".into()).spawn(move || {
            write_all(output, &waiting, &counted);
            let _ = end.send(());
        })?;
        Ok(Writer { lines: Some(lines), dropped, ended: Mutex::new(ended), _thread: thread })
    }

    /// Adds a line; never waits.
    pub(super) fn write(&self, line: String) {
        let Some(lines) = &self.lines else { return };
        match lines.try_send(line) {
            Ok(()) => {}
            Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) => {
                self.dropped.fetch_add(1, Ordering::Relaxed);
            }
        }
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        drop(self.lines.take());
        let ended = self.ended.get_mut().unwrap_or_else(PoisonError::into_inner);
        if ended.recv_timeout(LAST_WORDS) == Err(RecvTimeoutError::Timeout) {
            tracing::warn!("nobody takes the audit log: its last lines are lost");
        }
    }
}

fn write_all(mut output: Box<dyn Write + Send>, waiting: &Receiver<String>, dropped: &AtomicU64) {
    while let Ok(line) = waiting.recv() {
        if let Err(error) = output.write_all(line.as_bytes()).and_then(|()| output.flush()) {
            tracing::error!(%error, "cannot write the audit log");
        }
        let lost = dropped.swap(0, Ordering::Relaxed);
        if lost > 0 {
            tracing::error!(lost, "the audit log is too slow: lines are lost");
        }
    }
}
