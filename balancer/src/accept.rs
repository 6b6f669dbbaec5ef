//! The public listener: our own accept loop, in front of whichever engine serves.
//!
//! It owns the socket (port 0 in tests; later also PROXY protocol and the hand-over to a new
//! process), bounds the connections, and ends in an order that loses nothing: first the backlog
//! is taken, then nothing more.

use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt as _;
use prometheus_client::metrics::gauge::Gauge;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// How long a failed accept (no more file descriptors) is waited out.
const PAUSE: Duration = Duration::from_millis(100);

/// How many connections may wait in the kernel's backlog.
const BACKLOG: u32 = 4096;

/// Who serves a connection.
pub(crate) trait Engine: Send + Sync + 'static {
    /// Serves one connection to its end.
    fn serve(
        self: Arc<Self>,
        stream: TcpStream,
        client: SocketAddr,
    ) -> impl Future<Output = ()> + Send + 'static;
}

/// Opens a listening socket that a restart can open again at once.
pub(crate) fn bind(address: SocketAddr) -> std::io::Result<TcpListener> {
    let socket = match address {
        SocketAddr::V4(_) => tokio::net::TcpSocket::new_v4()?,
        SocketAddr::V6(_) => tokio::net::TcpSocket::new_v6()?,
    };
    socket.set_reuseaddr(true)?;
    // What is accepted inherits it, which saves a system call for each connection.
    socket.set_nodelay(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

/// Accepts until `stop`, then what is in the backlog, then nothing more.
pub(crate) async fn run<E: Engine>(
    listener: TcpListener,
    engine: Arc<E>,
    permits: Arc<Semaphore>,
    connections: TaskTracker,
    open: Gauge,
    stop: CancellationToken,
) {
    let accept = async || {
        // A permit first: at the bound further clients wait in the backlog.
        let permit = permits.clone().acquire_owned().await.ok()?;
        Some((permit, listener.accept().await))
    };
    loop {
        let accepted = tokio::select! {
            _ = stop.cancelled() => break,
            accepted = accept() => accepted,
        };
        match accepted {
            Some((permit, Ok((stream, client)))) => {
                let (engine, open) = (engine.clone(), open.clone());
                connections.spawn(async move {
                    open.inc();
                    engine.serve(stream, client).await;
                    open.dec();
                    drop(permit);
                });
            }
            Some((_, Err(error))) => {
                tracing::warn!(%error, "cannot accept a connection");
                tokio::time::sleep(PAUSE).await;
            }
            None => return,
        }
    }
    while let Some(Ok((stream, client))) = listener.accept().now_or_never() {
        connections.spawn(engine.clone().serve(stream, client));
    }
}
