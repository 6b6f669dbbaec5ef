//! A connection to a node: one that waits in the pool, or a new one.

use std::future::{Future as _, poll_fn};
use std::io;
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;

use muster_protocol::mcmp::Scheme;
use tokio::net::TcpStream;

use super::Worker;
use super::stream::Stream;
use super::timer::Timer;
use crate::config::Alpn;
use crate::probe;
use crate::proxy::exchange::Target;

/// A connection for one attempt.
#[derive(Debug)]
pub(super) struct Connected {
    pub(super) stream: Stream,
    /// Whether it has carried requests before: the node may be about to close it.
    pub(super) reused: bool,
}

/// Why there is none.
#[derive(Debug)]
pub(super) enum NotConnected {
    /// The node did not take it.
    Refused(io::Error),
    /// The fault is on our side: no files, no ports.
    Ours(io::Error),
}

/// Takes a connection out of the pool, unless it must be `fresh`, or makes one within `within`.
pub(super) async fn connect(
    worker: &Worker,
    timer: &Timer,
    target: &Target,
    fresh: bool,
    within: Duration,
) -> Result<Connected, NotConnected> {
    let pooled = (!fresh).then(|| worker.pool.take(target.node.id, target.socket, timer.now()));
    if let Some(stream) = pooled.flatten() {
        return Ok(Connected { stream, reused: true });
    }
    timer.node_within(within);
    let mut connecting = pin!(new(worker, target));
    let connected = poll_fn(|cx| match connecting.as_mut().poll(cx) {
        Poll::Ready(connected) => Poll::Ready(connected),
        Poll::Pending => timer.poll_late(cx).map(|_| Err(io::ErrorKind::TimedOut.into())),
    });
    let connected = connected.await;
    timer.spare_node();
    match connected {
        Ok(stream) => Ok(Connected { stream, reused: false }),
        Err(error) if probe::is_ours(&error) => Err(NotConnected::Ours(error)),
        Err(error) => Err(NotConnected::Refused(error)),
    }
}

async fn new(worker: &Worker, target: &Target) -> io::Result<Stream> {
    let stream = TcpStream::connect(target.socket).await?;
    stream.set_nodelay(true)?;
    let address = &target.node.config.address;
    if address.scheme != Scheme::Https {
        return Ok(Stream::Plain(stream));
    }
    // Boxed: few nodes are spoken to over TLS, and a handshake is large.
    let handshake = Box::pin(worker.edge.node_tls.handshake(stream, address, Alpn::Http1));
    Ok(Stream::NodeTls(Box::new(handshake.await?)))
}
