//! The public listener: our own accept loop, one for each worker, in front of its engine.
//!
//! Each worker has a socket of its own on the address, and the kernel deals the connections out.
//! The loop bounds the connections and ends in an order that loses nothing: first the backlog is
//! taken, then nothing more.

use std::future::Future;
use std::io::ErrorKind;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use prometheus_client::metrics::gauge::Gauge;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// How long a failed accept (no more file descriptors) is waited out.
const PAUSE: Duration = Duration::from_millis(100);

/// How many connections may wait in the kernel's backlog.
const BACKLOG: u32 = 4096;

/// Who serves a connection, on the thread that accepted it.
pub(crate) trait Engine: 'static {
    /// Serves one connection to its end.
    fn serve(
        self: Rc<Self>,
        stream: TcpStream,
        client: SocketAddr,
    ) -> impl Future<Output = ()> + 'static;
}

/// Opens a listening socket that a restart can open again at once.
pub(crate) fn bind(address: SocketAddr) -> std::io::Result<TcpListener> {
    let socket = socket(address)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

/// Opens so many listening sockets on one address, among which the kernel deals out connections.
/// With port 0 all get the one free port that the first got.
pub(crate) fn bind_shared(
    mut address: SocketAddr,
    count: usize,
) -> std::io::Result<Vec<std::net::TcpListener>> {
    // Another process of this user could share the port without anybody's notice. This fails then.
    socket(address)?.bind(address)?;
    let mut listeners = Vec::with_capacity(count);
    for _ in 0..count {
        let listener = share(address)?;
        address = listener.local_addr()?;
        listeners.push(listener);
    }
    Ok(listeners)
}

/// Adds to sockets of one address until there are so many.
pub(crate) fn share_more(
    mut listeners: Vec<std::net::TcpListener>,
    count: usize,
) -> std::io::Result<Vec<std::net::TcpListener>> {
    let Some(first) = listeners.first() else { return Ok(listeners) };
    let address = first.local_addr()?;
    while listeners.len() < count {
        listeners.push(share(address)?);
    }
    Ok(listeners)
}

fn share(address: SocketAddr) -> std::io::Result<std::net::TcpListener> {
    let socket = socket(address)?;
    socket.set_reuseport(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)?.into_std()
}

fn socket(address: SocketAddr) -> std::io::Result<tokio::net::TcpSocket> {
    let socket = match address {
        SocketAddr::V4(_) => tokio::net::TcpSocket::new_v4()?,
        SocketAddr::V6(_) => tokio::net::TcpSocket::new_v6()?,
    };
    socket.set_reuseaddr(true)?;
    // What is accepted inherits it, which saves a system call for each connection.
    socket.set_nodelay(true)?;
    Ok(socket)
}

/// Accepts until `stop`, then what is in the backlog, then nothing more. It runs in a `LocalSet`,
/// and so do the connections.
pub(crate) async fn run<E: Engine>(
    listener: TcpListener,
    engine: Rc<E>,
    permits: Arc<Semaphore>,
    connections: TaskTracker,
    open: Gauge,
    stop: CancellationToken,
) {
    let serve = |permit: Option<OwnedSemaphorePermit>, stream, client| {
        let (engine, open) = (engine.clone(), Open::new(&open));
        connections.spawn_local(async move {
            engine.serve(stream, client).await;
            drop((open, permit));
        });
    };
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
            Some((permit, Ok((stream, client)))) => serve(Some(permit), stream, client),
            Some((_, Err(error))) => {
                tracing::warn!(%error, "cannot accept a connection");
                tokio::time::sleep(PAUSE).await;
            }
            None => return,
        }
    }
    // Who waits in the backlog would be reset with the socket, so the bound does not hold here.
    match waiting(listener) {
        Ok(waiting) => waiting.for_each(|(stream, client)| {
            serve(permits.clone().try_acquire_owned().ok(), stream, client)
        }),
        Err(error) => tracing::warn!(%error, "cannot accept the last connections"),
    }
}

/// Takes what is in the backlog now, at most as much as fits there. It asks the kernel itself: the
/// runtime hears of new connections later, and lets a task accept only so many in a row.
fn waiting(
    listener: TcpListener,
) -> std::io::Result<impl Iterator<Item = (TcpStream, SocketAddr)>> {
    let listener = listener.into_std()?;
    let accept = move |_| match listener.accept() {
        // One who has left already is nobody, and does not end the others' turn.
        Err(error) if error.kind() == ErrorKind::ConnectionAborted => Some(None),
        accepted => Some(Some(adopt(accepted).ok()?)),
    };
    Ok((0..BACKLOG).map_while(accept).flatten())
}

fn adopt(
    accepted: std::io::Result<(std::net::TcpStream, SocketAddr)>,
) -> std::io::Result<(TcpStream, SocketAddr)> {
    let (stream, client) = accepted?;
    stream.set_nonblocking(true)?;
    Ok((TcpStream::from_std(stream)?, client))
}

/// Counts a connection for as long as it is there, however its task ends.
struct Open(Gauge);

impl Open {
    fn new(gauge: &Gauge) -> Open {
        gauge.inc();
        Open(gauge.clone())
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.0.dec();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use tokio::task::LocalSet;

    use super::*;

    const PATIENCE: Duration = Duration::from_secs(60);

    /// Counts connections and keeps them until it is told to let go.
    #[derive(Default)]
    struct Keeps {
        seen: AtomicUsize,
        let_go: CancellationToken,
    }

    impl Engine for Keeps {
        async fn serve(self: Rc<Self>, _stream: TcpStream, _client: SocketAddr) {
            self.seen.fetch_add(1, Ordering::Relaxed);
            self.let_go.cancelled().await;
        }
    }

    struct Panics;

    impl Engine for Panics {
        async fn serve(self: Rc<Self>, _stream: TcpStream, _client: SocketAddr) {
            panic!("a defect of the engine");
        }
    }

    async fn ended(connections: &TaskTracker) {
        connections.close();
        tokio::time::timeout(PATIENCE, connections.wait()).await.unwrap();
    }

    #[tokio::test]
    async fn everyone_in_the_backlog_at_a_stop_is_served_whatever_the_bound() {
        const CLIENTS: usize = 300;
        let listener = bind(SocketAddr::from(([127, 0, 0, 1], 0))).unwrap();
        let address = listener.local_addr().unwrap();
        let connect = || std::net::TcpStream::connect_timeout(&address, PATIENCE).unwrap();
        let clients: Vec<_> = (0..CLIENTS).map(|_| connect()).collect();

        let engine = Rc::new(Keeps::default());
        let (open, connections) = (Gauge::default(), TaskTracker::new());
        let (permits, stop) = (Arc::new(Semaphore::new(10)), CancellationToken::new());
        stop.cancel();
        let (own, tracked) = (engine.clone(), connections.clone());
        let local = LocalSet::new();
        let running = run(listener, own, permits.clone(), tracked, open.clone(), stop);
        local.run_until(running).await;
        assert_eq!((connections.len(), open.get()), (CLIENTS, CLIENTS as i64));
        assert_eq!(permits.available_permits(), 0);

        engine.let_go.cancel();
        local.run_until(ended(&connections)).await;
        assert_eq!((engine.seen.load(Ordering::Relaxed), open.get()), (CLIENTS, 0));
        assert_eq!(permits.available_permits(), 10);
        drop(clients);
    }

    #[tokio::test]
    async fn a_connection_whose_task_panics_is_not_counted_any_more() {
        let listener = bind(SocketAddr::from(([127, 0, 0, 1], 0))).unwrap();
        let address = listener.local_addr().unwrap();
        let _client = std::net::TcpStream::connect_timeout(&address, PATIENCE).unwrap();
        let (open, connections) = (Gauge::default(), TaskTracker::new());
        let (permits, stop) = (Arc::new(Semaphore::new(1)), CancellationToken::new());
        stop.cancel();
        let running =
            run(listener, Rc::new(Panics), permits, connections.clone(), open.clone(), stop);
        let both = async {
            running.await;
            ended(&connections).await;
        };
        LocalSet::new().run_until(both).await;
        assert_eq!(open.get(), 0);
    }
}
