//! The access log: one line a request, in the common log format with what a balancer adds.
//!
//! ```text
//! 127.0.0.1 - - [22/Nov/2026:10:00:00 +0000] "GET /shop HTTP/1.1" 200 1024 0.001234 node1 owner
//! ```
//! After the size: seconds until the answer was sent, the node, and why it was chosen.
//!
//! Lines gather in memory and a thread of their own writes them a few times a second, so that a
//! request costs no system call and a slow disk holds nobody up. What does not fit is dropped and
//! counted. Our own writer rather than a library's: those send each line through a channel and
//! wake a thread for it (decision 0004).

use std::fs::OpenOptions;
use std::io::{self, Write};
use std::net::IpAddr;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use jiff::Timestamp;

use crate::config;
use crate::text::{push_ip, push_number, push_seconds};

/// How long a line may wait before it is written.
const FLUSH_INTERVAL: Duration = Duration::from_millis(200);

/// At this many bytes the writer is woken early.
const WAKE_AT: usize = 256 * 1024;

/// Most bytes that wait.
const MAX_WAITING: usize = 8 * 1024 * 1024;

/// How long the end waits until what is left is written.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// What a line says.
#[derive(Debug, Clone, Copy)]
pub struct Line<'r> {
    /// Who asked.
    pub client: Option<IpAddr>,
    /// The method.
    pub method: &'r str,
    /// Path and query as they came.
    pub target: &'r [u8],
    /// `HTTP/1.1` and the like.
    pub version: &'static str,
    /// The status; `None` when the client left before one.
    pub status: Option<u16>,
    /// Bytes of the answer's body.
    pub bytes: u64,
    /// From the head to the end of the answer.
    pub took: Duration,
    /// The node that answered, or was asked last.
    pub node: Option<&'r str>,
    /// Why that node, or why none.
    pub how: &'static str,
}

/// What lines are written to.
pub struct Output(Box<dyn Write + Send>);

/// Where lines go. Dropping it writes what is left, and waits a second at most for that: the
/// reader of a pipe may have stopped to read, and no balancer stays for it.
#[derive(Debug)]
pub struct AccessLog {
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    waiting: Mutex<Waiting>,
    wake: Condvar,
    end: Condvar,
}

#[derive(Debug, Default)]
struct Waiting {
    lines: Vec<u8>,
    dropped: u64,
    /// The second that `clock` shows.
    second: u64,
    clock: String,
    is_closed: bool,
    /// What the lines to come are written to.
    next: Option<Output>,
    /// The writer has written everything.
    is_ended: bool,
}

impl AccessLog {
    /// Opens the log; `None` when it is off.
    ///
    /// # Errors
    /// When the file cannot be opened or the thread not started.
    pub fn open(target: &config::AccessLog) -> io::Result<Option<AccessLog>> {
        Output::open(target)?.map(|Output(output)| AccessLog::to(output)).transpose()
    }

    /// Lines that come from now on go there.
    pub fn switch(&self, output: Output) {
        self.shared.lock().next = Some(output);
        self.shared.wake.notify_one();
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
        Ok(AccessLog { shared })
    }

    /// Adds a line.
    pub fn write(&self, line: &Line<'_>) {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let mut waiting = self.shared.lock();
        if waiting.lines.len() >= MAX_WAITING {
            waiting.dropped += 1;
            return;
        }
        let Waiting { lines, second, clock, .. } = &mut *waiting;
        if *second != now.as_secs() {
            (*second, *clock) = (now.as_secs(), clock_face(now.as_secs()));
        }
        line.append(clock, lines);
        if lines.len() >= WAKE_AT {
            self.shared.wake.notify_one();
        }
    }
}

impl Output {
    /// Opens it; `None` when the log is off.
    ///
    /// # Errors
    /// When the file cannot be opened.
    pub fn open(target: &config::AccessLog) -> io::Result<Option<Output>> {
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
    fn lock(&self) -> std::sync::MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
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

fn clock_face(second: u64) -> String {
    let time = Timestamp::from_second(second as i64).unwrap_or_default();
    time.strftime("%d/%b/%Y:%H:%M:%S +0000").to_string()
}

impl Line<'_> {
    fn append(&self, clock: &str, to: &mut Vec<u8>) {
        match self.client {
            Some(client) => push_ip(client, to),
            None => to.push(b'-'),
        }
        let add = |text: &str, to: &mut Vec<u8>| to.extend_from_slice(text.as_bytes());
        add(" - - [", to);
        add(clock, to);
        add("] \"", to);
        add(self.method, to);
        to.push(b' ');
        append_escaped(self.target, b'"', to);
        to.push(b' ');
        add(self.version, to);
        add("\" ", to);
        match self.status {
            Some(status) => push_number(status.into(), to),
            None => to.push(b'-'),
        }
        to.push(b' ');
        push_number(self.bytes, to);
        to.push(b' ');
        push_seconds(self.took, to);
        to.push(b' ');
        append_escaped(self.node.unwrap_or("-").as_bytes(), b' ', to);
        to.push(b' ');
        add(self.how, to);
        to.push(b'\n');
    }
}

/// Nothing that a client or a node sends may forge a line, or end its column before `end` does.
fn append_escaped(text: &[u8], end: u8, to: &mut Vec<u8>) {
    let is_plain = |byte: &u8| (0x20..0x7f).contains(byte) && *byte != b'\\' && *byte != end;
    if text.iter().all(is_plain) {
        return to.extend_from_slice(text);
    }
    for &byte in text {
        match byte {
            b'\\' | 0..=0x1f | 0x7f.. => {
                let _ = write!(to, "\\x{byte:02x}");
            }
            _ if byte == end => {
                let _ = write!(to, "\\x{byte:02x}");
            }
            _ => to.push(byte),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(target: &[u8]) -> Line<'_> {
        Line {
            client: Some(IpAddr::from([127, 0, 0, 1])),
            method: "GET",
            target,
            version: "HTTP/1.1",
            status: Some(200),
            bytes: 12,
            took: Duration::from_micros(1234),
            node: Some("node1"),
            how: "owner",
        }
    }

    #[test]
    fn a_line_has_the_common_form_and_what_a_balancer_adds() {
        let mut text = Vec::new();
        line(b"/shop?a=1").append(&clock_face(1_800_000_000), &mut text);
        assert_eq!(
            String::from_utf8(text).unwrap(),
            "127.0.0.1 - - [15/Jan/2027:08:00:00 +0000] \"GET /shop?a=1 HTTP/1.1\" 200 12 \
             0.001234 node1 owner\n"
        );
    }

    #[test]
    fn a_target_cannot_forge_a_line() {
        let mut text = Vec::new();
        append_escaped(b"/a\" 200\r\n\\x", b'"', &mut text);
        assert_eq!(text, b"/a\\x22 200\\x0d\\x0a\\x5cx");
    }

    #[test]
    fn the_name_of_a_node_cannot_forge_a_column() {
        let mut text = Vec::new();
        let named = Line { node: Some("a owner\n"), ..line(b"/") };
        named.append(&clock_face(1_800_000_000), &mut text);
        let text = String::from_utf8(text).unwrap();
        assert!(text.ends_with(" 200 12 0.001234 a\\x20owner\\x0a owner\n"), "{text}");
    }

    #[test]
    fn a_log_that_nobody_takes_does_not_hold_up_the_end() {
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
        let (reader, stuck) = std::sync::mpsc::channel();
        let log = AccessLog::to(Box::new(Stuck(stuck))).unwrap();
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
    fn every_line_is_written_before_the_log_closes() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("access.log");
        let log = AccessLog::open(&config::AccessLog::File(path.clone())).unwrap().unwrap();
        (0..1000).for_each(|_| log.write(&line(b"/")));
        drop(log);
        assert_eq!(std::fs::read_to_string(path).unwrap().lines().count(), 1000);
    }
}
