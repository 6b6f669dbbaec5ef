//! A connection to a node: one that waits in the pool, or a new one.

use std::future::{Future as _, poll_fn};
use std::io;
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;

use tokio::net::TcpStream;

use super::Worker;
use super::stream::Stream;
use super::timer::Timer;
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
    let mut connecting = pin!(TcpStream::connect(target.socket));
    let connected = poll_fn(|cx| match connecting.as_mut().poll(cx) {
        Poll::Ready(connected) => Poll::Ready(connected),
        Poll::Pending => timer.poll_late(cx).map(|_| Err(io::ErrorKind::TimedOut.into())),
    });
    let connected = connected.await.and_then(|stream| {
        stream.set_nodelay(true)?;
        Ok(stream)
    });
    timer.spare_node();
    match connected {
        Ok(stream) => Ok(Connected { stream: Stream::Plain(stream), reused: false }),
        Err(error) if probe::is_ours(&error) => Err(NotConnected::Ours(error)),
        Err(error) => Err(NotConnected::Refused(error)),
    }
}
