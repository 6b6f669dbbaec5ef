//! A small HTTP/1 server for our own answers: MCMP and the manager. Bounded in connections, in
//! the time that a head may take, in the time that a client may take nothing of an answer, and in
//! the time that it takes to stop.

use std::io::{Error, ErrorKind, Result};
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::Router;
use axum::extract::ConnectInfo;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::time::Sleep;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tower::ServiceExt as _;

/// How long a failed accept (no more file descriptors) is waited out.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Bounds of a listener.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Bounds {
    /// Most connections at once; further ones wait in the kernel's backlog.
    pub(crate) max_connections: usize,
    /// How long a connection may take to send a head, stay idle between two, or take nothing of an
    /// answer.
    pub(crate) idle_timeout: Duration,
}

/// What a connection goes through before its first request.
pub(crate) trait Door: Clone + Send + Sync + 'static {
    /// What requests are read from.
    type Stream: AsyncRead + AsyncWrite + Unpin + Send + 'static;
    /// What was learned of the client; each request carries it as an extension.
    type Known: Clone + Send + Sync + 'static;

    /// Lets a connection in, or not. It must come to an end by itself.
    fn enter(
        &self,
        stream: TcpStream,
        client: SocketAddr,
    ) -> impl Future<Output = Option<(Self::Stream, Self::Known)>> + Send;
}

/// Serves the routes to those whom the door lets in, until `stop`; open connections finish the
/// request that they are at.
pub(crate) async fn run_behind(
    door: impl Door,
    listener: Arc<TcpListener>,
    routes: Router,
    bounds: Bounds,
    stop: CancellationToken,
) {
    let permits = Arc::new(Semaphore::new(bounds.max_connections));
    let connections = TaskTracker::new();
    loop {
        let accept = async {
            let permit = permits.clone().acquire_owned().await.ok()?;
            Some((permit, listener.accept().await))
        };
        let accepted = tokio::select! {
            _ = stop.cancelled() => break,
            accepted = accept => accepted,
        };
        match accepted {
            Some((permit, Ok((stream, client)))) => {
                let serve =
                    serve(door.clone(), stream, client, routes.clone(), bounds, stop.clone());
                connections.spawn(async move {
                    serve.await;
                    drop(permit);
                });
            }
            Some((_, Err(error))) => {
                tracing::warn!(%error, "cannot accept a connection");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
            None => break,
        }
    }
    connections.close();
    connections.wait().await;
}

async fn serve(
    door: impl Door,
    stream: TcpStream,
    client: SocketAddr,
    routes: Router,
    bounds: Bounds,
    stop: CancellationToken,
) {
    let _ = stream.set_nodelay(true);
    let entered = tokio::select! {
        entered = door.enter(stream, client) => entered,
        _ = stop.cancelled() => None,
    };
    let Some((stream, known)) = entered else { return };
    let stream = Taken { stream, within: bounds.idle_timeout, stuck: None };
    let service = routes.map_request(move |mut request: http::Request<hyper::body::Incoming>| {
        request.extensions_mut().insert(ConnectInfo(client));
        request.extensions_mut().insert(known.clone());
        request
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        // Names as the recorded balancers write them, for clients that compare them by case.
        .title_case_headers(true)
        .header_read_timeout(bounds.idle_timeout)
        .serve_connection(TokioIo::new(stream), TowerToHyperService::new(service));
    let mut connection = std::pin::pin!(connection);
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        _ = stop.cancelled() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%client, %error, "connection ended");
    }
}

/// A stream whose writes fail once the other side has taken nothing for so long. hyper bounds
/// heads only.
struct Taken<S> {
    stream: S,
    within: Duration,
    /// Runs while a write waits.
    stuck: Option<Pin<Box<Sleep>>>,
}

impl<S> Taken<S> {
    fn bound<T>(&mut self, polled: Poll<Result<T>>, context: &mut Context<'_>) -> Poll<Result<T>> {
        if polled.is_ready() {
            self.stuck = None;
            return polled;
        }
        let within = self.within;
        let stuck = self.stuck.get_or_insert_with(|| Box::pin(tokio::time::sleep(within)));
        ready!(stuck.as_mut().poll(context));
        Poll::Ready(Err(Error::new(ErrorKind::TimedOut, "the client takes nothing of its answer")))
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Taken<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Taken<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<Result<usize>> {
        let polled = Pin::new(&mut self.stream).poll_write(context, bytes);
        self.bound(polled, context)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[std::io::IoSlice<'_>],
    ) -> Poll<Result<usize>> {
        let polled = Pin::new(&mut self.stream).poll_write_vectored(context, bytes);
        self.bound(polled, context)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Result<()>> {
        let polled = Pin::new(&mut self.stream).poll_flush(context);
        self.bound(polled, context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    use super::*;

    const PATIENCE: Duration = Duration::from_secs(60);

    /// Everybody is let in.
    #[derive(Debug, Clone, Copy)]
    struct Open;

    impl Door for Open {
        type Stream = TcpStream;
        type Known = ();

        async fn enter(&self, stream: TcpStream, _: SocketAddr) -> Option<(TcpStream, ())> {
            Some((stream, ()))
        }
    }

    /// To everybody.
    async fn run(
        listener: Arc<TcpListener>,
        routes: Router,
        bounds: Bounds,
        stop: CancellationToken,
    ) {
        run_behind(Open, listener, routes, bounds, stop).await;
    }

    /// Room for one connection, which is given up soon.
    const NARROW: Bounds = Bounds { max_connections: 1, idle_timeout: Duration::from_millis(100) };

    #[tokio::test]
    async fn a_client_that_takes_nothing_of_its_answer_gives_way_to_the_next() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let large = || async { "x".repeat(64 << 20) };
        let routes = Router::new().fallback(|| async { "small" });
        let routes = routes.route("/large", axum::routing::get(large));
        let stop = CancellationToken::new();
        let running = tokio::spawn(run(Arc::new(listener), routes, NARROW, stop.clone()));

        let ask = async |path| {
            let mut stream = TcpStream::connect(address).await.unwrap();
            let request = format!("GET {path} HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n");
            stream.write_all(request.as_bytes()).await.unwrap();
            stream
        };
        let _deaf = ask("/large").await;
        let mut next = ask("/").await;
        let mut answer = String::new();
        let read = next.read_to_string(&mut answer);
        tokio::time::timeout(PATIENCE, read).await.unwrap().unwrap();
        assert!(answer.ends_with("\r\n\r\nsmall"), "{answer}");

        stop.cancel();
        tokio::time::timeout(PATIENCE, running).await.unwrap().unwrap();
    }
}
