//! A client's connection of HTTP/1 as Pingora wants it: strict heads, checked bodies, buffered
//! writes, and the client's address.
//!
//! Pingora reads heads and bodies more leniently than our own engine, so it is given none that it
//! could read otherwise: each head is read here, by the same codec, and told on as that codec
//! writes it; of the body exactly the bytes that belong to it, without extensions and trailers of
//! chunks. What comes after waits for its turn.

use std::fmt;
use std::future::{Future as _, poll_fn};
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use async_trait::async_trait;
use muster_http1::{
    BadRequest, BodyReader, Keep, RequestChanges, RequestHead, Version, parse_request,
    worth_parsing,
};
use pingora_core::protocols::http::ServerSession;
use pingora_core::protocols::raw_connect::ProxyDigest;
use pingora_core::protocols::tls::SslDigest;
use pingora_core::protocols::{
    GetProxyDigest, GetSocketDigest, GetTimingDigest, Peek, Shutdown, SocketDigest, Ssl,
    TimingDigest, UniqueID, UniqueIDType,
};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt, BufWriter, ReadBuf};
use tokio::time::{Instant, Sleep, sleep_until, timeout, timeout_at};

use super::front::Pace;
use crate::engine::http1::Caller;
use crate::engine::http1::stream::Stream;
use crate::proxy::{Policy, Refused};
use crate::tls::TlsFacts;

/// A head and a small body leave in one system call; larger writes go past the buffer.
const WRITE_BUFFER: usize = 4 * 1024;

/// How much of a head is read at once.
const READ: usize = 4 * 1024;

/// A connection of a client.
pub(super) struct Connection {
    io: BufWriter<Stream>,
    /// What the client sent and is not looked at: the next head, or what follows the body.
    raw: Vec<u8>,
    /// What Pingora is to read next.
    ready: Vec<u8>,
    /// Where the body of the request ends.
    body: BodyReader,
    pace: Option<Pace>,
    deadline: Option<Pin<Box<Sleep>>>,
    fault: Option<Refused>,
    is_last: bool,
    digest: Arc<SocketDigest>,
    tls: Option<Arc<SslDigest>>,
}

/// What a client sent.
#[derive(Debug)]
pub(super) enum Next {
    /// A request, which Pingora can read now.
    Request,
    Bad(BadRequest),
    /// Nothing, or not in time, or not all of it.
    Over,
}

/// The connection under a session.
pub(super) fn of(session: &ServerSession) -> Option<&Connection> {
    session.stream().and_then(|stream| (**stream).as_any().downcast_ref())
}

// === impl Connection ===

impl Connection {
    /// A connection of which `raw` was read before.
    pub(super) fn new(stream: Stream, raw: Vec<u8>, caller: Caller) -> Connection {
        Connection {
            digest: super::socket_digest(&stream, caller),
            tls: super::ssl_digest(&stream, caller),
            io: BufWriter::with_capacity(WRITE_BUFFER, stream),
            raw,
            ready: Vec::new(),
            body: BodyReader::none(),
            pace: None,
            deadline: None,
            fault: None,
            is_last: false,
        }
    }

    /// Waits for the next head, within the policy's bounds.
    pub(super) async fn next(&mut self, policy: &Policy) -> Next {
        let limits = &policy.head_limits;
        let mut seen = 0;
        let mut until = self.head_until(policy);
        loop {
            if worth_parsing(&self.raw, seen, limits) {
                match parse_request(&self.raw, limits) {
                    Ok(Some(head)) => return self.begin(&head, policy),
                    Ok(None) => {}
                    Err(bad) => return Next::Bad(bad),
                }
            }
            seen = self.raw.len();
            match timeout_at(until, poll_fn(|cx| self.poll_more(cx))).await {
                Ok(Ok(1..)) if seen == 0 => until = self.head_until(policy),
                Ok(Ok(1..)) => {}
                Ok(Ok(0) | Err(_)) | Err(_) => return Next::Over,
            }
        }
    }

    /// Why the request cannot go on, where that was found within its body.
    pub(super) fn fault(&self) -> Option<Refused> {
        self.fault
    }

    /// Whether no other request may follow: this one asks for a tunnel.
    pub(super) fn is_last(&self) -> bool {
        self.is_last
    }

    /// What AJP nodes are told of the client's TLS.
    pub(super) fn tls_facts(&self) -> Option<TlsFacts> {
        self.io.get_ref().tls_facts()
    }

    pub(super) fn is_tls(&self) -> bool {
        self.io.get_ref().is_tls()
    }

    /// The connection below, and what was read from it and not used.
    pub(super) fn into_parts(self) -> (Stream, Vec<u8>) {
        (self.io.into_inner(), self.raw)
    }

    /// Sends an answer after which there is no other, and ends the connection in order: a socket
    /// that is closed with bytes unread resets the connection, and the answer is lost with it.
    /// So what the client still sends is read and dropped, for a time.
    pub(super) async fn end_with(&mut self, answer: &[u8], policy: &Policy) -> bool {
        const LINGER: std::time::Duration = std::time::Duration::from_secs(5);
        let send = async {
            self.io.write_all(answer).await?;
            self.io.flush().await?;
            self.io.shutdown().await
        };
        let sent = matches!(timeout(policy.client_read_timeout, send).await, Ok(Ok(())));
        if sent {
            let mut dropped = [0; 1024];
            let stream = self.io.get_mut();
            let drained = async { while matches!(stream.read(&mut dropped).await, Ok(1..)) {} };
            let _ = timeout(LINGER, drained).await;
        }
        sent
    }

    fn head_until(&self, policy: &Policy) -> Instant {
        let within = match self.raw.is_empty() {
            true => policy.client_idle_timeout,
            false => policy.client_head_timeout,
        };
        Instant::now() + within
    }

    /// Reads what there is; 0 bytes are the end.
    fn poll_more(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        let mut bytes = [0; READ];
        let mut room = ReadBuf::new(&mut bytes);
        ready!(Pin::new(self.io.get_mut()).poll_read(cx, &mut room))?;
        self.raw.extend_from_slice(room.filled());
        Poll::Ready(Ok(room.filled().len()))
    }

    /// Makes the head ready, and what there is of the body.
    fn begin(&mut self, head: &RequestHead, policy: &Policy) -> Next {
        self.fault = None;
        self.ready.clear();
        write_head(head, &self.raw, &mut self.ready);
        self.is_last = head.upgrade.is_some();
        self.body = match self.is_last {
            true => BodyReader::until_close(),
            false => BodyReader::of_request(&head.body, Keep::Framing),
        };
        self.deadline = None;
        self.pace = (!self.is_last).then(|| Pace::exchange(policy, Instant::now()));
        self.raw.drain(..head.length);
        match self.body.take(&mut self.raw) {
            Ok(taken) => {
                self.ready.extend_from_slice(&self.raw[..taken.kept]);
                self.raw.drain(..taken.consumed);
            }
            // The head reaches no node either: the body's first read fails before.
            Err(_) => self.fault = Some(Refused::BadBody),
        }
        if self.raw.is_empty() {
            // An idle connection holds no buffer.
            self.raw = Vec::new();
        }
        Next::Request
    }

    /// Takes the body's bytes out of what was read behind `before`. The rest waits.
    fn take_body(&mut self, buffer: &mut ReadBuf<'_>, before: usize) -> io::Result<()> {
        let new = &mut buffer.filled_mut()[before..];
        let Ok(taken) = self.body.take(new) else {
            self.fault = Some(Refused::BadBody);
            return Err(io::ErrorKind::InvalidData.into());
        };
        self.raw.extend_from_slice(&new[taken.consumed..]);
        buffer.set_filled(before + taken.kept);
        if let Some(pace) = &mut self.pace {
            pace.client_spoke(Instant::now());
            self.deadline = None;
        }
        Ok(())
    }

    /// While the client is awaited: whether it is too slow with its body, or its whole exchange
    /// takes too long. What was written is told by then.
    fn poll_late(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if !self.io.buffer().is_empty() {
            // A fault shows itself at the next write.
            let _ = Pin::new(&mut self.io).poll_flush(cx);
        }
        let Some(pace) = &mut self.pace else { return Poll::Pending };
        let is_done = self.body.is_done();
        let deadline = self.deadline.get_or_insert_with(|| {
            let received = usize::try_from(self.body.data()).unwrap_or(usize::MAX);
            Box::pin(sleep_until(match is_done {
                true => pace.end(),
                false => pace.client_until(received, Instant::now()),
            }))
        });
        ready!(deadline.as_mut().poll(cx));
        self.fault = Some(if is_done { Refused::NodeSilent } else { Refused::ClientSlow });
        Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
    }
}

/// Writes the head for Pingora: as a node would get it, but of the client's version, and with what
/// the client said about the connection. Whom to believe about clients is not decided here.
fn write_head(head: &RequestHead, raw: &[u8], out: &mut Vec<u8>) {
    let lines: &[&[u8]] = match (head.version, head.keep_alive) {
        (Version::Http11, false) => &[b"Connection: close\r\n"],
        (Version::Http10, true) => &[b"Connection: keep-alive\r\n"],
        (Version::Http11, true) | (Version::Http10, false) => &[],
    };
    let changes = RequestChanges { keeps_forwarding: true, lines, ..RequestChanges::default() };
    head.write(raw, &changes, out);
    if head.version == Version::Http10 {
        let version = out.windows(2).position(|bytes| bytes == b"\r\n").unwrap_or_default();
        if let Some(digit) = version.checked_sub(1).and_then(|at| out.get_mut(at)) {
            *digit = b'0';
        }
    }
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Connection").field(&self.digest).finish()
    }
}

impl AsyncRead for Connection {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if !self.ready.is_empty() {
            let count = self.ready.len().min(buffer.remaining());
            buffer.put_slice(&self.ready[..count]);
            self.ready.drain(..count);
            return Poll::Ready(Ok(()));
        }
        if self.fault.is_some() {
            return Poll::Ready(Err(io::ErrorKind::InvalidData.into()));
        }
        if self.body.is_done() {
            // Only the end is of interest now; a request that comes ahead waits.
            while self.raw.is_empty() {
                match self.poll_more(cx) {
                    Poll::Ready(Ok(1..)) => {}
                    Poll::Ready(ended) => return Poll::Ready(ended.map(|_| ())),
                    Poll::Pending => return self.poll_late(cx),
                }
            }
            return self.poll_late(cx);
        }
        let before = buffer.filled().len();
        loop {
            match Pin::new(self.io.get_mut()).poll_read(cx, buffer) {
                Poll::Ready(read) => read?,
                Poll::Pending => return self.poll_late(cx),
            }
            if buffer.filled().len() == before {
                return Poll::Ready(Ok(()));
            }
            self.take_body(buffer, before)?;
            // Nothing to tell is not the end.
            if buffer.filled().len() > before {
                return Poll::Ready(Ok(()));
            }
            if self.body.is_done() {
                return self.poll_late(cx);
            }
        }
    }
}

impl AsyncWrite for Connection {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        parts: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write_vectored(cx, parts)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }
}

#[async_trait]
impl Shutdown for Connection {
    async fn shutdown(&mut self) {
        let _ = AsyncWriteExt::shutdown(&mut self.io).await;
    }
}

impl UniqueID for Connection {
    fn id(&self) -> UniqueIDType {
        self.io.get_ref().raw_fd()
    }
}

impl GetSocketDigest for Connection {
    fn get_socket_digest(&self) -> Option<Arc<SocketDigest>> {
        Some(self.digest.clone())
    }
}

impl GetTimingDigest for Connection {
    fn get_timing_digest(&self) -> Vec<Option<TimingDigest>> {
        Vec::new()
    }
}

impl GetProxyDigest for Connection {
    fn get_proxy_digest(&self) -> Option<Arc<ProxyDigest>> {
        None
    }
}

impl Ssl for Connection {
    fn get_ssl_digest(&self) -> Option<Arc<SslDigest>> {
        self.tls.clone()
    }
}

impl Peek for Connection {}
