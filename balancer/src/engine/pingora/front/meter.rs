//! The meter: what a client costs in frames that move nothing.
//!
//! Every kind of flood of HTTP/2 is many frames that are cheap to send and dear to answer: pings,
//! settings, resets, priorities, empty data. So the frames are counted on their way in, against a
//! balance that useful traffic fills: requests, data, and the bytes that the client is sent. Who
//! has used it up gets GOAWAY (ENHANCE_YOUR_CALM). Frames that the HTTP/2 library bounds itself
//! (CONTINUATION, the size of header lists) are left to it.
//!
//! Only the heads of frames are read, nine bytes each; their content passes unread.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::Notify;
use tokio::time::Instant;

use crate::engine::http1::stream::Stream;

/// The balance of a new connection, and the most that it can rise to.
const MOST: i64 = 2_000;

/// What time adds to the balance in a second: a client may ping now and then for good.
const PER_SECOND: i64 = 50;

/// Bytes to the client that add one: a client opens its window with a frame for every few
/// kilobytes that it took.
const BYTES_FOR_ONE: u64 = 512;

/// What the start of a request adds.
const REQUEST: i64 = 2;

/// What a reset takes: a request that is taken back at once costs us, and perhaps a node, more
/// than the client. With [`REQUEST`] added, some 250 in a row end the connection.
const RESET: i64 = 10;

/// Bytes of the preface that begins a connection.
const PREFACE: usize = 24;

/// Bytes of a frame's head.
const HEAD: usize = 9;

/// Whether a client has gone too far. Shared between its connection's bytes and its tasks.
#[derive(Debug, Default)]
pub(super) struct Alarm {
    rings: AtomicBool,
    heard: Notify,
}

/// A client's connection whose frames are counted.
pub(super) struct Metered {
    stream: Stream,
    /// What was read before, and is still to be read.
    read: Vec<u8>,
    frames: Frames,
    alarm: Arc<Alarm>,
    written: u64,
}

/// Finds the heads of frames in the bytes, and keeps the balance.
struct Frames {
    balance: i64,
    since: Instant,
    /// Bytes of the preface or of a frame's content that are still to come.
    skip: usize,
    head: [u8; HEAD],
    /// How much of the next head is there.
    filled: usize,
}

// === impl Alarm ===

impl Alarm {
    fn ring(&self) {
        self.rings.store(true, Ordering::Relaxed);
        self.heard.notify_one();
    }

    pub(super) fn rings(&self) -> bool {
        self.rings.load(Ordering::Relaxed)
    }

    /// Waits until it rings, which may be never.
    pub(super) async fn heard(&self) {
        while !self.rings() {
            self.heard.notified().await;
        }
    }
}

// === impl Frames ===

impl Frames {
    fn new(now: Instant) -> Frames {
        Frames { balance: MOST, since: now, skip: PREFACE, head: [0; HEAD], filled: 0 }
    }

    /// Follows what was read. False when the balance is used up.
    fn see(&mut self, mut bytes: &[u8], now: Instant) -> bool {
        let before = self.balance;
        while !bytes.is_empty() {
            let skipped = self.skip.min(bytes.len());
            self.skip -= skipped;
            bytes = &bytes[skipped..];
            let taken = bytes.len().min(HEAD - self.filled);
            self.head[self.filled..self.filled + taken].copy_from_slice(&bytes[..taken]);
            self.filled += taken;
            bytes = &bytes[taken..];
            if self.filled == HEAD {
                self.filled = 0;
                let length = usize::from(self.head[0]) << 16
                    | usize::from(self.head[1]) << 8
                    | usize::from(self.head[2]);
                self.skip = length;
                self.add(worth(self.head[3], length));
            }
        }
        if self.balance < before || self.balance < 0 {
            self.let_time_add(now);
        }
        self.balance >= 0
    }

    fn let_time_add(&mut self, now: Instant) {
        let millis = now.saturating_duration_since(self.since).as_millis();
        let earned = i64::try_from(millis).unwrap_or(i64::MAX).saturating_mul(PER_SECOND) / 1_000;
        if earned > 0 {
            self.since = now;
            self.add(earned);
        }
    }

    fn add(&mut self, worth: i64) {
        self.balance = self.balance.saturating_add(worth).min(MOST);
    }
}

/// What a frame adds to the balance or takes from it (RFC 9113, 6).
fn worth(kind: u8, length: usize) -> i64 {
    const DATA: u8 = 0;
    const HEADERS: u8 = 1;
    const RST_STREAM: u8 = 3;
    const CONTINUATION: u8 = 9;
    match kind {
        DATA if length > 0 => 1,
        HEADERS => REQUEST,
        RST_STREAM => -RESET,
        // Bounded for each request by the library.
        CONTINUATION => 0,
        _ => -1,
    }
}

// === impl Metered ===

impl Metered {
    pub(super) fn new(stream: Stream, read: Vec<u8>, alarm: Arc<Alarm>) -> Metered {
        let frames = Frames::new(Instant::now());
        Metered { stream, read, frames, alarm, written: 0 }
    }

    fn count(&mut self, bytes: &[u8]) {
        if !self.frames.see(bytes, Instant::now()) && !self.alarm.rings() {
            self.alarm.ring();
        }
    }

    /// After the alarm nothing is read any more but to be dropped: a socket that is closed with
    /// bytes unread may lose the GOAWAY.
    fn drop_what_comes(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        const MOST_READS: usize = 16;
        let mut bytes = [0; 4 * 1024];
        for _ in 0..MOST_READS {
            let mut room = ReadBuf::new(&mut bytes);
            match Pin::new(&mut self.stream).poll_read(cx, &mut room) {
                Poll::Ready(Ok(())) if !room.filled().is_empty() => {}
                Poll::Ready(ended) => return Poll::Ready(ended),
                Poll::Pending => break,
            }
        }
        Poll::Pending
    }

    fn wrote(&mut self, count: usize) {
        self.written += count as u64;
        let earned = self.written / BYTES_FOR_ONE;
        if earned > 0 {
            self.written %= BYTES_FOR_ONE;
            self.frames.add(i64::try_from(earned).unwrap_or(MOST));
        }
    }
}

impl AsyncRead for Metered {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.alarm.rings() {
            return self.drop_what_comes(cx);
        }
        let before = buffer.filled().len();
        let read = match self.read.is_empty() {
            true => Pin::new(&mut self.stream).poll_read(cx, buffer),
            false => {
                let count = self.read.len().min(buffer.remaining());
                buffer.put_slice(&self.read[..count]);
                self.read.drain(..count);
                Poll::Ready(Ok(()))
            }
        };
        self.count(&buffer.filled()[before..]);
        read
    }
}

impl AsyncWrite for Metered {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(cx, bytes);
        if let Poll::Ready(Ok(count)) = written {
            self.wrote(count);
        }
        written
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn frame(kind: u8, length: usize) -> Vec<u8> {
        let mut frame = vec![0, (length >> 8) as u8, length as u8, kind, 0, 0, 0, 0, 1];
        frame.resize(HEAD + length, b'x');
        frame
    }

    fn begun(now: Instant) -> Frames {
        let mut frames = Frames::new(now);
        assert!(frames.see(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", now));
        frames
    }

    #[test]
    fn pings_and_resets_without_end_use_the_balance_up() {
        let now = Instant::now();
        let mut frames = begun(now);
        let pings = (0..10_000).take_while(|_| frames.see(&frame(6, 8), now)).count();
        assert_eq!(pings, 2_000);
        let mut frames = begun(now);
        let rapid = [frame(1, 20), frame(3, 4)].concat();
        let resets = (0..10_000).take_while(|_| frames.see(&rapid, now)).count();
        // The first request adds nothing to a full balance.
        assert_eq!(resets, 249);
    }

    #[test]
    fn frames_are_found_however_their_bytes_arrive() {
        let now = Instant::now();
        let bytes = [frame(6, 8), frame(0, 300), frame(4, 0), frame(3, 4)].concat();
        let mut whole = begun(now);
        whole.see(&bytes, now);
        let mut single = begun(now);
        for byte in &bytes {
            single.see(std::slice::from_ref(byte), now);
        }
        assert_eq!(whole.balance, MOST - 11);
        assert_eq!((single.balance, single.skip), (whole.balance, 0));
    }

    #[test]
    fn time_lets_a_client_ping_for_good() {
        let mut now = Instant::now();
        let mut frames = begun(now);
        for _ in 0..100_000 {
            now += Duration::from_millis(25);
            assert!(frames.see(&frame(6, 8), now));
        }
    }

    #[test]
    fn a_client_may_open_its_window_for_what_it_takes() {
        let now = Instant::now();
        let mut frames = begun(now);
        for _ in 0..100_000 {
            frames.add(2);
            assert!(frames.see(&[frame(8, 4), frame(8, 4)].concat(), now));
        }
    }
}
