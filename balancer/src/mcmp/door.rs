//! Who may connect to the listener of nodes: the networks that are allowed, over TLS where there
//! is a certificate.

use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, ReadBuf};
use tokio::net::TcpStream;
use tokio::sync::Semaphore;
use tokio_rustls::server::TlsStream;

use super::lock::Known;
use super::quiet::Quiet;
use crate::metrics::Metrics;
use crate::server::Door;
use crate::tls::TlsMcmp;
use crate::trusted::Networks;

/// Strangers that are told so at once; further ones are closed without a word, so that they take
/// no node's place.
const STRANGERS: usize = 64;

/// How long a stranger is listened to.
const FAREWELL: Duration = Duration::from_secs(1);

/// What a stranger is told. It is no SYNTAX: a node whose network is allowed later comes back.
const REFUSED: &[u8] = b"HTTP/1.1 403 Forbidden\r\nVersion: 0.2.1\r\nType: MEM\r\n\
    Mess: MEM: this network is not in mcmp.allow\r\nContent-Length: 0\r\n\
    Connection: close\r\n\r\n";

/// The door of the listener; clones are the same one.
#[derive(Debug, Clone)]
pub(crate) struct NodeDoor(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    /// Everybody where there is none.
    allow: Networks,
    tls: Option<Arc<TlsMcmp>>,
    strangers: Semaphore,
    metrics: Arc<Metrics>,
    quiet: Arc<Quiet>,
}

/// A connection with or without TLS.
#[derive(Debug)]
pub(crate) enum Stream {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

// === impl NodeDoor ===

impl NodeDoor {
    pub(crate) fn new(
        allow: Networks,
        tls: Option<Arc<TlsMcmp>>,
        metrics: Arc<Metrics>,
        quiet: Arc<Quiet>,
    ) -> NodeDoor {
        let strangers = Semaphore::new(STRANGERS);
        NodeDoor(Arc::new(Shared { allow, tls, strangers, metrics, quiet }))
    }

    async fn turn_away(&self, stream: TcpStream, client: SocketAddr) {
        self.note("network", client, &"its network is not in mcmp.allow");
        let Ok(_permit) = self.0.strangers.try_acquire() else { return };
        if self.0.tls.is_none() {
            let _ = tokio::time::timeout(FAREWELL, say_no(stream)).await;
        }
    }

    fn note(&self, reason: &'static str, client: SocketAddr, error: &dyn std::fmt::Display) {
        self.0.metrics.mcmp_refused(reason);
        if let Some(left_out) = self.0.quiet.line(Instant::now()) {
            tracing::warn!(%client, reason, %error, left_out, "connection of a node refused");
        }
    }
}

impl Door for NodeDoor {
    type Stream = Stream;
    type Known = Known;

    async fn enter(&self, stream: TcpStream, client: SocketAddr) -> Option<(Stream, Known)> {
        if !self.0.allow.is_empty() && !self.0.allow.contains(client.ip()) {
            self.turn_away(stream, client).await;
            return None;
        }
        let Some(tls) = &self.0.tls else {
            return Some((Stream::Plain(stream), Known { certificate: None }));
        };
        match tls.accept(stream).await {
            Ok((stream, certificate)) => {
                let certificate = certificate.map(Arc::from);
                Some((Stream::Tls(Box::new(stream)), Known { certificate }))
            }
            Err(error) => {
                self.note("tls", client, &error);
                None
            }
        }
    }
}

/// Reads on for a moment, since an unread message would take the answer away with it.
async fn say_no(mut stream: TcpStream) -> std::io::Result<()> {
    stream.write_all(REFUSED).await?;
    stream.shutdown().await?;
    let mut unread = [0; 4096];
    while stream.read(&mut unread).await? > 0 {}
    Ok(())
}

// === impl Stream ===

impl AsyncRead for Stream {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<std::io::Result<()>> {
        match self.get_mut() {
            Stream::Plain(stream) => Pin::new(stream).poll_read(context, buffer),
            Stream::Tls(stream) => Pin::new(stream).poll_read(context, buffer),
        }
    }
}

impl AsyncWrite for Stream {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<std::io::Result<usize>> {
        match self.get_mut() {
            Stream::Plain(stream) => Pin::new(stream).poll_write(context, bytes),
            Stream::Tls(stream) => Pin::new(stream).poll_write(context, bytes),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        match self.get_mut() {
            Stream::Plain(stream) => Pin::new(stream).poll_flush(context),
            Stream::Tls(stream) => Pin::new(stream).poll_flush(context),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        match self.get_mut() {
            Stream::Plain(stream) => Pin::new(stream).poll_shutdown(context),
            Stream::Tls(stream) => Pin::new(stream).poll_shutdown(context),
        }
    }
}
