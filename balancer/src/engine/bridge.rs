//! The bridge to the nodes that our own engine speaks to, for clients that Pingora serves.
//!
//! Pingora serves clients of HTTP/2. Answers of nodes are to be read by our own strict reader,
//! whoever asked, and AJP is spoken by our own engine alone; so Pingora speaks HTTP/1 over a pipe in
//! memory, and at the pipe's other end our own engine reads it as it would a client, and speaks AJP,
//! HTTP/1 or HTTPS to the node that was chosen ([`super::http1::bridge`]). The node is connected to
//! before Pingora gets its end, so a node that is gone is a failed connect for both. Where our
//! engine must break off, the pipe ends, and [`Broken`] says why.
//!
//! Each worker has a bridge of its own: both ends are on one thread, with that thread's pool.

use std::cell::RefCell;
use std::io::{self, ErrorKind};
use std::pin::Pin;
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll};
use std::time::Duration;

use async_trait::async_trait;
use muster_routing::retry::Failure;
use pingora_core::connectors::l4::Connect;
use pingora_core::protocols::l4::socket::SocketAddr;
use pingora_core::protocols::l4::stream::Stream;
use pingora_core::protocols::l4::virt::{VirtualSockOpt, VirtualSocket, VirtualSocketStream};
use pingora_core::{Error, ErrorType, Result};
use tokio::io::{AsyncRead, AsyncWrite, DuplexStream, ReadBuf};
use tokio::sync::{mpsc, oneshot};

use super::http1::Caller;
use crate::proxy::Refused;
use crate::proxy::exchange::Target;
use crate::tls::TlsFacts;

/// Most requests of a worker that wait to be let onto the bridge; more wait with Pingora.
const QUEUE: usize = 1024;

thread_local! {
    /// Where this worker's bridge begins.
    static OWN: RefCell<Option<mpsc::Sender<Order>>> = const { RefCell::new(None) };
}

/// Why our own engine broke a request off before its client was told anything.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Cause {
    /// The node's doing.
    Failed(Failure),
    /// The client's, or a bound of ours.
    Refused(Refused),
}

/// Where the one engine leaves its reason for the other.
#[derive(Debug, Default)]
pub(crate) struct Broken(OnceLock<Cause>);

/// Connects a request of Pingora's with a node over the bridge.
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
    pub(crate) broken: Arc<Broken>,
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

// === impl Broken ===

impl Broken {
    /// Leaves a reason. The first one counts.
    pub(crate) fn leave(&self, cause: Cause) {
        let _ = self.0.set(cause);
    }

    /// The reason, where there is one.
    pub(crate) fn cause(&self) -> Option<Cause> {
        self.0.get().copied()
    }
}

// === impl BridgeConnect ===

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

// === impl BridgeSocket ===

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
