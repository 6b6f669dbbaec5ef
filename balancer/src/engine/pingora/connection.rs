//! A client's connection as Pingora wants it: buffered writes, and the client's address.
//!
//! Reads are not buffered here: Pingora reads heads and bodies into buffers of its own, and an
//! idle connection should hold none. But they are bounded while a head is read: Pingora's own
//! bounds are a minute for each *read* and a mebibyte, so that a byte now and then would hold a
//! connection for good.

use std::fmt;
use std::future::Future as _;
use std::net::SocketAddr;
use std::os::fd::AsRawFd as _;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use async_trait::async_trait;
use pingora_core::protocols::ALPN;
use pingora_core::protocols::http::ServerSession;
use pingora_core::protocols::raw_connect::ProxyDigest;
use pingora_core::protocols::tls::SslDigest;
use pingora_core::protocols::{
    GetProxyDigest, GetSocketDigest, GetTimingDigest, Peek, Shutdown, SocketDigest, Ssl,
    TimingDigest, UniqueID, UniqueIDType,
};
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt, BufWriter, ReadBuf};
use tokio::time::Sleep;

use crate::engine::http1::stream::Stream;

/// A head and a small body leave in one system call; larger writes go past the buffer.
const WRITE_BUFFER: usize = 4 * 1024;

/// Heads up to so many times the limit are still read, so that the client can be told 431.
const SLACK: usize = 4;

/// A connection of a client.
pub(super) struct Connection {
    io: BufWriter<Stream>,
    /// What was read before it came here, and is still to be read.
    read: Vec<u8>,
    is_h2: bool,
    digest: Arc<SocketDigest>,
    tls: Option<Arc<SslDigest>>,
    limits: HeadLimits,
    /// Bytes of the head that is being read, from 1; 0 outside of a head. An atomic, for the
    /// hooks see a connection by reference only.
    head: AtomicUsize,
    /// Runs from the first time that a head was waited for in its middle.
    deadline: Option<Pin<Box<Sleep>>>,
}

/// What a head may take.
#[derive(Debug, Clone, Copy)]
pub(super) struct HeadLimits {
    /// From its first byte.
    pub(super) within: Duration,
    /// In bytes.
    pub(super) bytes: usize,
}

/// The connection under a session.
pub(super) fn of(session: &ServerSession) -> Option<&Connection> {
    session.stream().and_then(|stream| (**stream).as_any().downcast_ref())
}

impl Connection {
    /// A connection on which HTTP/1 is spoken, and of which `read` was read before.
    pub(super) fn http1(
        stream: Stream,
        client: SocketAddr,
        read: Vec<u8>,
        limits: HeadLimits,
    ) -> Connection {
        Connection::new(stream, client, read, limits, false)
    }

    /// A connection on which HTTP/2 is spoken, and of which `read` was read before.
    pub(super) fn http2(stream: Stream, client: SocketAddr, read: Vec<u8>) -> Connection {
        let limits = HeadLimits { within: Duration::MAX, bytes: usize::MAX };
        Connection::new(stream, client, read, limits, true)
    }

    fn new(
        stream: Stream,
        client: SocketAddr,
        read: Vec<u8>,
        limits: HeadLimits,
        is_h2: bool,
    ) -> Connection {
        let digest = SocketDigest::from_raw_fd(stream.socket().as_raw_fd());
        // Known already, so that nobody asks the kernel.
        let _ = digest.peer_addr.set(Some(client.into()));
        let tls = stream.tls_facts().map(|facts| {
            Arc::new(SslDigest::new(facts.cipher, facts.version, None, None, Vec::new()))
        });
        Connection {
            io: BufWriter::with_capacity(WRITE_BUFFER, stream),
            read,
            is_h2,
            digest: Arc::new(digest),
            tls,
            limits,
            head: AtomicUsize::new(0),
            deadline: None,
        }
    }

    /// From now on what comes is a head.
    pub(super) fn expect_head(&self) {
        self.head.store(1, Ordering::Relaxed);
    }

    /// The head is there; what comes now is bounded otherwise.
    pub(super) fn head_is_read(&self) {
        self.head.store(0, Ordering::Relaxed);
    }

    /// Bounds a read within a head.
    fn poll_head(
        &mut self,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
        so_far: usize,
    ) -> Poll<std::io::Result<()>> {
        let before = buffer.filled().len();
        let read = Pin::new(self.io.get_mut()).poll_read(cx, buffer);
        if read.is_ready() {
            let so_far = so_far + buffer.filled().len() - before;
            self.head.store(so_far, Ordering::Relaxed);
            return match so_far > self.limits.bytes.saturating_mul(SLACK) {
                true => Poll::Ready(Err(std::io::ErrorKind::InvalidData.into())),
                false => read,
            };
        }
        if so_far == 1 {
            // Between requests: Pingora's keep-alive timeout counts.
            self.deadline = None;
            return Poll::Pending;
        }
        let within = self.limits.within;
        let deadline = self.deadline.get_or_insert_with(|| Box::pin(tokio::time::sleep(within)));
        match deadline.as_mut().poll(cx) {
            Poll::Ready(()) => Poll::Ready(Err(std::io::ErrorKind::TimedOut.into())),
            Poll::Pending => Poll::Pending,
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
    ) -> Poll<std::io::Result<()>> {
        if !self.read.is_empty() {
            let count = self.read.len().min(buffer.remaining());
            buffer.put_slice(&self.read[..count]);
            self.read.drain(..count);
            return Poll::Ready(Ok(()));
        }
        match self.head.load(Ordering::Relaxed) {
            0 => Pin::new(self.io.get_mut()).poll_read(cx, buffer),
            so_far => self.poll_head(cx, buffer, so_far),
        }
    }
}

impl AsyncWrite for Connection {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<std::io::Result<usize>> {
        Pin::new(&mut self.io).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        parts: &[std::io::IoSlice<'_>],
    ) -> Poll<std::io::Result<usize>> {
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
        self.io.get_ref().socket().as_raw_fd()
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

    fn selected_alpn_proto(&self) -> Option<ALPN> {
        self.is_h2.then_some(ALPN::H2)
    }
}

impl Peek for Connection {}
