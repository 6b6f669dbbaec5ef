//! The bridge to nodes that speak AJP, for the engine that does not.
//!
//! Pingora serves clients of HTTP/2, and speaks HTTP/1 to a node of AJP over a pipe in memory; at
//! the pipe's other end our own engine reads it as it would a client, and speaks AJP to that very
//! node ([`super::http1::bridge`]). The node is connected to before Pingora gets its end, so a
//! node that is gone is a failed connect for both.
//!
//! Each worker has a bridge of its own: both ends are on one thread, with that thread's pool.

use std::cell::RefCell;
use std::io::{self, ErrorKind};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use async_trait::async_trait;
use pingora_core::connectors::l4::Connect;
use pingora_core::protocols::l4::socket::SocketAddr;
use pingora_core::protocols::l4::stream::Stream;
use pingora_core::protocols::l4::virt::{VirtualSockOpt, VirtualSocket, VirtualSocketStream};
use pingora_core::{Error, ErrorType, Result};
use tokio::io::{AsyncRead, AsyncWrite, DuplexStream, ReadBuf};
use tokio::sync::{mpsc, oneshot};

use super::http1::Caller;
use crate::proxy::exchange::Target;
use crate::tls::TlsFacts;

/// Most requests of a worker that wait to be let onto the bridge; more wait with Pingora.
const QUEUE: usize = 1024;

thread_local! {
    /// Where this worker's bridge begins.
    static OWN: RefCell<Option<mpsc::Sender<Order>>> = const { RefCell::new(None) };
}

/// Connects a request of Pingora's with a node that speaks AJP.
#[derive(Debug, Clone)]
pub(crate) struct BridgeConnect {
    /// The node.
    pub(crate) target: Target,
    /// How long the connect may take.
    pub(crate) within: Duration,
    /// Whether it must be a new connection.
    pub(crate) is_fresh: bool,
    /// The real client.
    pub(crate) caller: Caller,
    /// What is known of its TLS.
    pub(crate) tls: Option<Arc<TlsFacts>>,
}

/// A request that wants to be let onto the bridge.
#[derive(Debug)]
pub(crate) struct Order {
    pub(crate) wish: BridgeConnect,
    /// Gets Pingora's end of the pipe.
    pub(crate) reply: oneshot::Sender<io::Result<DuplexStream>>,
}

/// Pingora's end of the pipe.
#[derive(Debug)]
struct BridgeSocket(DuplexStream);

/// Opens the bridge of this thread, instead of the one that it had. To be called on the thread of
/// a worker, which serves the orders.
pub(crate) fn open() -> mpsc::Receiver<Order> {
    let (sender, orders) = mpsc::channel(QUEUE);
    OWN.with_borrow_mut(|own| *own = Some(sender));
    orders
}

#[async_trait]
impl Connect for BridgeConnect {
    async fn connect(&self, _address: &SocketAddr) -> Result<Stream> {
        const NONE: &str = "this thread has no bridge";
        let closed = || Error::explain(ErrorType::InternalError, NONE);
        let bridge = OWN.with_borrow(Clone::clone).ok_or_else(closed)?;
        let (reply, replied) = oneshot::channel();
        let order = Order { wish: self.clone(), reply };
        bridge.send(order).await.map_err(|_| closed())?;
        match replied.await.map_err(|_| closed())? {
            Ok(pipe) => Ok(VirtualSocketStream::new(Box::new(BridgeSocket(pipe))).into()),
            Err(error) => Err(Error::because(kind(&error), "connect", error)),
        }
    }
}

/// The error that Pingora's own connect gives: what is not the node's doing is a `SocketError`.
fn kind(error: &io::Error) -> ErrorType {
    match error.kind() {
        _ if crate::probe::is_ours(error) => ErrorType::SocketError,
        ErrorKind::TimedOut => ErrorType::ConnectTimedout,
        ErrorKind::HostUnreachable | ErrorKind::NetworkUnreachable => ErrorType::ConnectNoRoute,
        _ => ErrorType::ConnectRefused,
    }
}

impl AsyncRead for BridgeSocket {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        room: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(cx, room)
    }
}

impl AsyncWrite for BridgeSocket {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(cx)
    }
}

impl VirtualSocket for BridgeSocket {
    fn set_socket_option(&self, _option: VirtualSockOpt) -> io::Result<()> {
        // A pipe has none.
        Ok(())
    }
}
