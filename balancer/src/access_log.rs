//! The access log: one line a request, in the common log format with what a balancer adds, or as an
//! object in JSON (`line`).
//!
//! Lines gather in memory and a thread of their own writes them a few times a second, so that a
//! request costs no system call and a slow disk holds nobody up. What does not fit is dropped and
//! counted. Our own writer rather than a library's: those send each line through a channel and
//! wake a thread for it (decision 0004).

mod line;

use std::fs::OpenOptions;
use std::io::{self, Write};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, OnceLock, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use prometheus_client::metrics::counter::Counter;

use self::line::Clock;
pub(crate) use self::line::Line;
use crate::config::{self, AccessFormat};

/// How long a line may wait before it is written.
const FLUSH_INTERVAL: Duration = Duration::from_millis(200);

/// At this many bytes the writer is woken early.
const WAKE_AT: usize = 256 * 1024;

/// Most bytes that wait.
const MAX_WAITING: usize = 8 * 1024 * 1024;

/// How long the end waits until what is left is written.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// Where lines go. Dropping it writes what is left, and waits a second at most for that: the
/// reader of a pipe may have stopped to read, and no balancer stays for it.
#[derive(Debug)]
pub(crate) struct AccessLog {
    shared: Arc<Shared>,
    /// Whether lines are in JSON.
    is_json: AtomicBool,
}

#[derive(Debug, Default)]
struct Shared {
    /// Counts lines that were lost.
    lost: OnceLock<Counter>,
    waiting: Mutex<Waiting>,
    wake: Condvar,
    end: Condvar,
}

#[derive(Debug, Default)]
struct Waiting {
    lines: Vec<u8>,
    dropped: u64,
    clock: Clock,
    is_closed: bool,
    /// What the lines to come are written to.
    next: Option<Output>,
    /// The writer has written everything.
    is_ended: bool,
}

/// What lines are written to.
pub(crate) struct Output(Box<dyn Write + Send>);

// === impl AccessLog ===

impl AccessLog {
    /// Opens the log; `None` when it is off.
    ///
    /// # Errors
    /// When the file cannot be opened or the thread not started.
    pub(crate) fn open(config: &config::Log) -> io::Result<Option<AccessLog>> {
        let Some(Output(output)) = Output::open(&config.access)? else { return Ok(None) };
        let log = AccessLog::to(output)?;
        log.set_format(config.access_format);
        Ok(Some(log))
    }

    fn to(output: Box<dyn Write + Send>) -> io::Result<AccessLog> {
        let shared = Arc::new(Shared::default());
        let own = shared.clone();
        let writer = std::thread::Builder::new().name("access-log".into());
        writer.spawn(move || {
            write_until_closed(&own, output);
            own.lock().is_ended = true;
            own.end.notify_one();
        })?;
        Ok(AccessLog { shared, is_json: AtomicBool::new(false) })
    }

    /// Lines that come from now on go there.
    pub(crate) fn switch(&self, output: Output) {
        self.shared.lock().next = Some(output);
        self.shared.wake.notify_one();
    }

    /// Lines that come from now on look so.
    pub(crate) fn set_format(&self, format: AccessFormat) {
        self.is_json.store(format == AccessFormat::Json, Ordering::Relaxed);
    }

    /// Whether a line says more than the common format has room for.
    pub(crate) fn is_long(&self) -> bool {
        self.is_json.load(Ordering::Relaxed)
    }

    /// Lines that are lost are counted there. The first counter that is given counts.
    pub(crate) fn count_lost(&self, lost: &Counter) {
        let _ = self.shared.lost.set(lost.clone());
    }

    /// Adds a line.
    pub(crate) fn write(&self, line: &Line<'_>) {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let mut waiting = self.shared.lock();
        if waiting.lines.len() >= MAX_WAITING {
            waiting.dropped += 1;
            self.shared.lose(1);
            return;
        }
        let Waiting { lines, clock, .. } = &mut *waiting;
        match self.is_long() {
            false => line.append_common(clock.common(now), lines),
            true => line.append_json(clock, now, lines),
        }
        if lines.len() >= WAKE_AT {
            self.shared.wake.notify_one();
        }
    }
}

impl Drop for AccessLog {
    fn drop(&mut self) {
        let mut waiting = self.shared.lock();
        waiting.is_closed = true;
        self.shared.wake.notify_one();
        let wrote = self.shared.end.wait_timeout_while(waiting, LAST_WORDS, |w| !w.is_ended);
        if !wrote.unwrap_or_else(PoisonError::into_inner).0.is_ended {
            tracing::warn!("nobody takes the access log: its last lines are lost");
        }
    }
}

impl Shared {
    fn lose(&self, lines: u64) {
        if let Some(lost) = self.lost.get() {
            lost.inc_by(lines);
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Output {
    /// Opens it; `None` when the log is off.
    ///
    /// # Errors
    /// When the file cannot be opened.
    pub(crate) fn open(target: &config::AccessLog) -> io::Result<Option<Output>> {
        Ok(Some(Output(match target {
            config::AccessLog::Off => return Ok(None),
            config::AccessLog::Stdout => Box::new(io::stdout()),
            config::AccessLog::File(path) => {
                Box::new(OpenOptions::new().append(true).create(true).open(path)?)
            }
        })))
    }
}

impl std::fmt::Debug for Output {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Output")
    }
}

fn write_until_closed(shared: &Shared, mut output: Box<dyn Write + Send>) {
    let mut lines = Vec::new();
    loop {
        let mut waiting = shared.lock();
        if waiting.lines.is_empty() && !waiting.is_closed && waiting.next.is_none() {
            let woken = shared.wake.wait_timeout(waiting, FLUSH_INTERVAL);
            waiting = woken.unwrap_or_else(PoisonError::into_inner).0;
        }
        std::mem::swap(&mut lines, &mut waiting.lines);
        let (dropped, is_closed) = (std::mem::take(&mut waiting.dropped), waiting.is_closed);
        let next = waiting.next.take();
        drop(waiting);

        if let Err(error) = output.write_all(&lines).and_then(|()| output.flush()) {
            tracing::error!(%error, "cannot write the access log");
            shared.lose(lines.iter().filter(|byte| **byte == b'\n').count() as u64);
        }
        // What had come by then belongs to the one before.
        if let Some(Output(next)) = next {
            output = next;
        }
        if dropped > 0 {
            tracing::warn!(dropped, "the access log is too slow: lines are lost");
        }
        if is_closed && lines.is_empty() {
            return;
        }
        lines.clear();
        if !is_closed {
            std::thread::sleep(FLUSH_INTERVAL.min(Duration::from_millis(20)));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::line::tests::line;
    use super::*;

    fn to(output: impl Write + Send + 'static) -> AccessLog {
        AccessLog::to(Box::new(output)).unwrap()
    }

    fn file(path: &std::path::Path) -> AccessLog {
        let access = config::AccessLog::File(path.to_owned());
        let config = config::Log { access, ..config::Log::default() };
        AccessLog::open(&config).unwrap().unwrap()
    }

    /// Takes nothing until it is let go.
    struct Stuck(std::sync::mpsc::Receiver<()>);

    impl Write for Stuck {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            let _ = self.0.recv();
            Err(io::ErrorKind::BrokenPipe.into())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_log_that_nobody_takes_does_not_hold_up_the_end() {
        let (reader, stuck) = std::sync::mpsc::channel();
        let log = to(Stuck(stuck));
        log.write(&line(b"/"));
        let (ended, end) = std::sync::mpsc::channel();
        std::thread::spawn(move || {
            drop(log);
            ended.send(())
        });
        let end = end.recv_timeout(Duration::from_secs(60));
        drop(reader);
        assert_eq!(end, Ok(()));
    }

    #[test]
    fn lines_that_are_lost_are_counted() {
        let (reader, stuck) = std::sync::mpsc::channel();
        let log = to(Stuck(stuck));
        let dropped = Counter::default();
        log.count_lost(&dropped);
        let long = vec![b'x'; 1 << 20];
        for _ in 0..20 {
            log.write(&line(&long));
        }
        assert!(dropped.get() >= 3, "{}", dropped.get());
        drop(reader);
        drop(log);
        assert_eq!(dropped.get(), 20, "what was not written is lost too");
    }

    #[test]
    fn every_line_is_written_before_the_log_closes() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("access.log");
        let log = file(&path);
        (0..1000).for_each(|_| log.write(&line(b"/")));
        drop(log);
        assert_eq!(std::fs::read_to_string(path).unwrap().lines().count(), 1000);
    }
}
