//! A connection to a node: one that waits in the pool, or a new one.

use std::future::{Future, poll_fn};
use std::io;
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;

use muster_protocol::ajp::{PING, PONG};
use muster_protocol::mcmp::Scheme;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::Worker;
use super::stream::Stream;
use super::timer::Timer;
use crate::config::Alpn;
use crate::probe;
use crate::proxy::exchange::Target;

/// An AJP connection that has been idle for longer is pinged before it is used, in milliseconds.
const PING_AFTER: u64 = 1000;

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
    let is_ajp = target.node.config.address.scheme == Scheme::Ajp;
    let pooled = (!fresh).then(|| worker.pool.take(target.node.id, target.socket, timer.now()));
    let mut left = within;
    if let Some((stream, idle)) = pooled.flatten() {
        if !is_ajp || idle < PING_AFTER {
            return Ok(Connected { stream, reused: true });
        }
        let asked = timer.now();
        // A way that is closed to this connection may be open to a new one: there is time for both.
        if let Ok(stream) = timed(timer, within / 2, ping(stream)).await {
            return Ok(Connected { stream, reused: true });
        }
        let took = Duration::from_millis(timer.now().saturating_sub(asked));
        left = within.saturating_sub(took).max(within / 4);
    }
    match timed(timer, left, new(worker, target)).await {
        Ok(stream) => Ok(Connected { stream, reused: false }),
        Err(error) if probe::is_ours(&error) => Err(NotConnected::Ours(error)),
        Err(error) => Err(NotConnected::Refused(error)),
    }
}

async fn timed<T>(
    timer: &Timer,
    within: Duration,
    work: impl Future<Output = io::Result<T>>,
) -> io::Result<T> {
    timer.node_within(within);
    let mut work = pin!(work);
    let done = poll_fn(|cx| match work.as_mut().poll(cx) {
        Poll::Ready(done) => Poll::Ready(done),
        Poll::Pending => timer.poll_late(cx).map(|_| Err(io::ErrorKind::TimedOut.into())),
    });
    let done = done.await;
    timer.spare_node();
    done
}

/// Asks a node that speaks AJP whether it serves the connection: one that hangs still lets others
/// connect, and a request that it never saw may go elsewhere whatever its method.
async fn ping(mut stream: Stream) -> io::Result<Stream> {
    stream.write_all(&PING).await?;
    let mut answer = [0; PONG.len()];
    stream.read_exact(&mut answer).await?;
    match answer == PONG {
        true => Ok(stream),
        false => Err(io::ErrorKind::InvalidData.into()),
    }
}

async fn new(worker: &Worker, target: &Target) -> io::Result<Stream> {
    let stream = TcpStream::connect(target.socket).await?;
    stream.set_nodelay(true)?;
    let address = &target.node.config.address;
    match address.scheme {
        Scheme::Ajp => return ping(Stream::Plain(stream)).await,
        Scheme::Http | Scheme::H2 | Scheme::H2c => return Ok(Stream::Plain(stream)),
        Scheme::Https => {}
    }
    // Boxed: few nodes are spoken to over TLS, and a handshake is large.
    let handshake = Box::pin(worker.edge.node_tls.handshake(stream, address, Alpn::Http1));
    Ok(Stream::NodeTls(Box::new(handshake.await?)))
}
