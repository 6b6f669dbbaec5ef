//! The listener: so many connections, each with a bound for its heads and for its life.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hyper::server::conn::http1::Builder;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

use super::{Ground, Tls, routes};

/// For the handshake of TLS.
const HANDSHAKE: Duration = Duration::from_secs(10);

/// For the head of a request, the wait for the next one included.
const HEAD: Duration = Duration::from_secs(30);

/// Bytes of a head, and of what is buffered.
const MOST_HEAD: usize = 32 * 1024;

/// For one connection: whoever asks on connects again.
const LIFE: Duration = Duration::from_secs(600);

/// After an accept that failed, for want of files as a rule.
const PAUSE: Duration = Duration::from_millis(100);

pub(super) async fn run(listener: TcpListener, ground: Arc<Ground>, stop: CancellationToken) {
    let permits = Arc::new(Semaphore::new(ground.settings.most_connections));
    let (tasks, tls) = (ground.tasks.clone(), ground.settings.tls.clone());
    let service = TowerToHyperService::new(routes::router(ground));
    loop {
        let permit = tokio::select! {
            permit = permits.clone().acquire_owned() => permit,
            () = stop.cancelled() => return,
        };
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = stop.cancelled() => return,
        };
        let stream = match accepted {
            Ok((stream, _)) => stream,
            Err(error) => {
                tracing::debug!(%error, "a connection to the management was not accepted");
                tokio::time::sleep(PAUSE).await;
                continue;
            }
        };
        let (service, stop, tls) = (service.clone(), stop.clone(), tls.clone());
        tasks.spawn(async move {
            if let Err(error) = serve(stream, tls, service, stop).await {
                tracing::debug!(error, "a connection to the management ended");
            }
            drop(permit);
        });
    }
}

/// One connection; behind a handshake where there is TLS.
async fn serve(
    stream: TcpStream,
    tls: Option<Tls>,
    service: TowerToHyperService<Router>,
    stop: CancellationToken,
) -> Result<(), String> {
    let Some(tls) = tls else { return speak(stream, service, stop).await };
    let handshake = tokio::select! {
        handshake = tokio::time::timeout(HANDSHAKE, tls.acceptor().accept(stream)) => handshake,
        () = stop.cancelled() => return Ok(()),
    };
    let stream = handshake.map_err(|_| "the handshake takes too long".to_owned())?;
    speak(stream.map_err(|error| error.to_string())?, service, stop).await
}

async fn speak(
    stream: impl AsyncRead + AsyncWrite + Unpin,
    service: TowerToHyperService<Router>,
    stop: CancellationToken,
) -> Result<(), String> {
    let connection = Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD)
        .max_buf_size(MOST_HEAD)
        .serve_connection(TokioIo::new(stream), service);
    tokio::pin!(connection);
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = tokio::time::sleep(LIFE) => Ok(()),
        () = stop.cancelled() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    ended.map_err(|error| error.to_string())
}
