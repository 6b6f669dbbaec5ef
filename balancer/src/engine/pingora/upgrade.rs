//! The connection to a node for a request that asks for an upgrade (WebSocket).
//!
//! Pingora queues "no body" for such a request and reads the answer at the same time. If the 101
//! is there before the queue is looked at, it takes "no body" for the end of the tunnel and closes
//! it: about one in two hundred at a near and quick node. So the first read of such a connection
//! says "not yet" once, which lets the queue go first.
//!
//! The tunnel may be silent for long, but not the answer that opens it: until its first byte the
//! ordinary bound of a node's silence counts, and Pingora is given the tunnel's.

use std::future::Future as _;
use std::io::ErrorKind;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use async_trait::async_trait;
use pingora_core::connectors::l4::Connect;
use pingora_core::protocols::l4::socket::SocketAddr;
use pingora_core::protocols::l4::stream::Stream;
use pingora_core::protocols::l4::virt::{VirtualSockOpt, VirtualSocket, VirtualSocketStream};
use pingora_core::{Error, ErrorType, OrErr as _, Result};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::{Sleep, timeout};

/// Connects for an upgrade.
#[derive(Debug)]
pub(super) struct UpgradeConnect {
    /// How long the connect may take.
    pub(super) connect: Duration,
    /// How long the node may take for the first byte of its answer.
    pub(super) answer: Duration,
}

#[derive(Debug)]
struct UpgradeSocket {
    io: TcpStream,
    has_waited: bool,
    /// Until the first byte of the answer.
    deadline: Option<Pin<Box<Sleep>>>,
}

#[async_trait]
impl Connect for UpgradeConnect {
    async fn connect(&self, address: &SocketAddr) -> Result<Stream> {
        let SocketAddr::Inet(address) = address else {
            return Error::e_explain(ErrorType::ConnectError, "a node has an IP address");
        };
        let io = timeout(self.connect, TcpStream::connect(address)).await;
        let io = io.or_err(ErrorType::ConnectTimedout, "connect")?;
        let io = io.map_err(|error| Error::because(kind(&error), "connect", error))?;
        let _ = io.set_nodelay(true);
        let deadline = Some(Box::pin(tokio::time::sleep(self.answer)));
        let socket = UpgradeSocket { io, has_waited: false, deadline };
        Ok(VirtualSocketStream::new(Box::new(socket)).into())
    }
}

/// The error that Pingora's own connect gives: what is not the node's doing is a `SocketError`.
fn kind(error: &std::io::Error) -> ErrorType {
    match error.kind() {
        ErrorKind::ConnectionRefused | ErrorKind::ConnectionReset => ErrorType::ConnectRefused,
        ErrorKind::HostUnreachable | ErrorKind::NetworkUnreachable => ErrorType::ConnectNoRoute,
        _ => ErrorType::SocketError,
    }
}

impl AsyncRead for UpgradeSocket {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<std::io::Result<()>> {
        if !self.has_waited {
            self.has_waited = true;
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        let read = Pin::new(&mut self.io).poll_read(cx, buffer);
        if read.is_ready() {
            self.deadline = None;
            return read;
        }
        match self.deadline.as_mut().map(|deadline| deadline.as_mut().poll(cx)) {
            Some(Poll::Ready(())) => Poll::Ready(Err(ErrorKind::TimedOut.into())),
            Some(Poll::Pending) | None => Poll::Pending,
        }
    }
}

impl AsyncWrite for UpgradeSocket {
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
}

impl VirtualSocket for UpgradeSocket {
    fn set_socket_option(&self, option: VirtualSockOpt) -> std::io::Result<()> {
        match option {
            VirtualSockOpt::NoDelay => self.io.set_nodelay(true),
            // Keep-alive probes, and whatever else Pingora may think of later.
            _ => Ok(()),
        }
    }
}
