//! What is on its way out on one connection. Frames are appended to a buffer by whoever has some,
//! and go out with one write of everything that has gathered: by whoever appended, when nobody else
//! is likely to add more, or else by the connection's own task once the others had their turn.

use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use socket2::SockRef;
use thiserror::Error;
use tokio::sync::Notify;
use tokio::time::timeout;

use super::frame::{self, TooLong};
use super::stream::Sink;

/// A buffer that grew beyond this for a large frame is let go afterwards.
const KEPT: usize = 1 << 20;

/// Why a frame was not sent.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Error)]
pub(crate) enum NotSent {
    /// No link to that node.
    #[error("there is no link to that node")]
    NoLink,
    /// It does not read as fast as others send.
    #[error("too much is on its way to that node already")]
    Full,
    /// It is larger than any frame may be.
    #[error(transparent)]
    TooLong(#[from] TooLong),
}

/// What a try to write came to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Flushed {
    /// Everything is with the kernel, or somebody else is at it.
    Done,
    /// The kernel takes no more for now.
    Blocked,
    /// The connection is closed.
    Closed,
}

#[derive(Debug, Default)]
struct Writing {
    bytes: Vec<u8>,
    at: usize,
}

/// The outgoing half of one connection.
#[derive(Debug)]
pub(crate) struct Outgoing {
    gathered: Mutex<Vec<u8>>,
    writing: Mutex<Writing>,
    sink: Sink,
    wake: Notify,
    closed: AtomicBool,
    most_queued: usize,
    most_frame: usize,
}

impl Outgoing {
    pub(crate) fn new(sink: Sink, most_queued: usize, most_frame: usize) -> Self {
        Self {
            gathered: Mutex::default(),
            writing: Mutex::default(),
            sink,
            wake: Notify::new(),
            closed: AtomicBool::new(false),
            most_queued,
            most_frame,
        }
    }

    /// Appends a frame. True when it is the first one of those that gather: whoever is told so sees
    /// to it that they go out, by [`Self::flush`] or [`Self::flush_soon`].
    ///
    /// # Errors
    /// See [`NotSent`]. Nothing is appended then.
    pub(crate) fn append(
        &self,
        service: u16,
        id: u64,
        write: impl FnOnce(&mut Vec<u8>),
    ) -> Result<(bool, usize), NotSent> {
        let mut gathered = self.gathered.lock();
        let before = gathered.len();
        if before >= self.most_queued {
            return Err(NotSent::Full);
        }
        frame::append(&mut gathered, service, id, self.most_frame, write)?;
        Ok((before == 0, gathered.len() - before))
    }

    /// Writes what has gathered, as far as the kernel takes it; the rest goes out by the
    /// connection's own task.
    pub(crate) fn flush(&self) {
        match self.try_flush() {
            Flushed::Done => {}
            Flushed::Blocked => self.wake.notify_one(),
            Flushed::Closed => self.close(),
        }
    }

    /// Has it written by the connection's own task, once tasks that are ready had their turn.
    pub(crate) fn flush_soon(&self) {
        self.wake.notify_one();
    }

    /// Ends the connection, both ways: its reading task sees it and tells.
    pub(crate) fn close(&self) {
        if !self.closed.swap(true, Ordering::AcqRel) {
            // A socket that is not connected any more is as closed as it can be.
            let _ = SockRef::from(self.sink.socket().as_ref()).shutdown(std::net::Shutdown::Both);
            self.wake.notify_one();
        }
    }

    /// The connection's own task: ends when the connection is closed, and closes it when its peer
    /// takes nothing for `stalled`.
    pub(crate) async fn run(&self, stalled: Duration) {
        loop {
            self.wake.notified().await;
            // Whoever else is about to append gets its turn first.
            tokio::task::yield_now().await;
            loop {
                if self.closed.load(Ordering::Acquire) {
                    return;
                }
                match self.try_flush() {
                    Flushed::Done => break,
                    Flushed::Closed => return self.close(),
                    Flushed::Blocked => {
                        if !matches!(
                            timeout(stalled, self.sink.socket().writable()).await,
                            Ok(Ok(()))
                        ) {
                            return self.close();
                        }
                    }
                }
            }
        }
    }

    fn try_flush(&self) -> Flushed {
        loop {
            // Whoever has it looks once more after giving it back.
            let Some(mut writing) = self.writing.try_lock() else { return Flushed::Done };
            loop {
                if writing.at == writing.bytes.len() {
                    if writing.refill(&self.gathered, &self.sink).is_err() {
                        return Flushed::Closed;
                    }
                    if writing.bytes.is_empty() {
                        break;
                    }
                }
                match self.sink.socket().try_write(&writing.bytes[writing.at..]) {
                    Ok(0) => return Flushed::Closed,
                    Ok(written) => writing.at += written,
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                        return Flushed::Blocked;
                    }
                    Err(_) => return Flushed::Closed,
                }
            }
            drop(writing);
            if self.gathered.lock().is_empty() {
                return Flushed::Done;
            }
        }
    }
}

impl Writing {
    /// Takes what has gathered, and leaves an empty buffer for more.
    fn refill(&mut self, gathered: &Mutex<Vec<u8>>, sink: &Sink) -> io::Result<()> {
        self.at = 0;
        self.bytes.clear();
        if self.bytes.capacity() > KEPT {
            self.bytes = Vec::new();
        }
        std::mem::swap(&mut self.bytes, &mut gathered.lock());
        self.bytes = sink.seal(std::mem::take(&mut self.bytes))?;
        Ok(())
    }
}
