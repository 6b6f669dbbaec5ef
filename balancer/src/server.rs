//! A small HTTP/1 server for our own answers: MCMP and the manager. Bounded in connections, in
//! the time that a head may take, and in the time that it takes to stop.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::ConnectInfo;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
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
    /// How long a connection may take to send a head, or stay idle between two.
    pub(crate) idle_timeout: Duration,
}

/// Serves the routes until `stop`; open connections finish the request that they are at.
pub(crate) async fn run(
    listener: TcpListener,
    routes: Router,
    bounds: Bounds,
    stop: CancellationToken,
) {
    let permits = Arc::new(Semaphore::new(bounds.max_connections));
    let connections = TaskTracker::new();
    loop {
        let Ok(permit) = permits.clone().acquire_owned().await else { break };
        let accepted = tokio::select! {
            _ = stop.cancelled() => break,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((stream, client)) => {
                let serve = serve(stream, client, routes.clone(), bounds, stop.clone());
                connections.spawn(async move {
                    serve.await;
                    drop(permit);
                });
            }
            Err(error) => {
                tracing::warn!(%error, "cannot accept a connection");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
    connections.close();
    connections.wait().await;
}

async fn serve(
    stream: TcpStream,
    client: SocketAddr,
    routes: Router,
    bounds: Bounds,
    stop: CancellationToken,
) {
    let _ = stream.set_nodelay(true);
    let service = routes.map_request(move |mut request: http::Request<hyper::body::Incoming>| {
        request.extensions_mut().insert(ConnectInfo(client));
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
