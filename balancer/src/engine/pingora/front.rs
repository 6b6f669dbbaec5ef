//! The front of HTTP/2: one connection of a client, and its requests, each a task of its own.
//!
//! Pingora's own loop shows no way to bound a connection's first bytes, its floods, or a client
//! that is slow within a body, so the loop is ours, on the same HTTP/2 library. Requests then go
//! through Pingora's proxy as those of HTTP/1 do.

mod gate;
mod meter;
mod pace;
mod stream;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use h2::RecvStream;
use h2::server::{Builder, Connection, SendResponse};
use http::Request;
use pingora_core::apps::HttpServerApp as _;
use pingora_core::protocols::Digest;
use pingora_core::protocols::http::ServerSession;
use pingora_http::RequestHeader;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until, timeout};

use self::meter::{Alarm, Metered};
use self::stream::ClientStream;
use super::PingoraEngine;
use crate::engine::http1::Caller;
use crate::engine::http1::stream::Stream;
use crate::tls::TlsFacts;

pub(super) use self::pace::{Pace, is_grpc};

/// Requests of one connection at once.
const MAX_STREAMS: u32 = 100;

/// Bytes of a request's body that a client may send ahead.
const STREAM_WINDOW: u32 = 256 * 1024;

/// The same for all requests of a connection together.
const CONNECTION_WINDOW: u32 = 1024 * 1024;

/// Bytes of an answer that wait to be written, for each request.
const SEND_BUFFER: usize = 256 * 1024;

/// What the frames of a connection may waste that are small and that no node has taken yet, 256
/// bytes each at most: some 8,000 messages of gRPC.
const SMALL_FRAMES: usize = 2 * 1024 * 1024;

/// Errors of a client that cost it only the stream, over the life of its connection. One that
/// makes us reset stream after stream (MadeYouReset) comes no further.
const MAX_STREAM_ERRORS: usize = 100;

/// Requests that are taken back before we have looked at them, at once.
const MAX_UNSEEN_RESETS: usize = 20;

/// How long a client may take to hear our last words.
const GOODBYE: Duration = Duration::from_secs(1);

/// A client's connection.
struct Front {
    engine: Arc<PingoraEngine>,
    connection: Connection<Metered, Bytes>,
    alarm: Arc<Alarm>,
    digest: Arc<Digest>,
    /// What AJP nodes are told of the client's TLS.
    tls: Option<Arc<TlsFacts>>,
    closing: watch::Receiver<bool>,
    /// The requests under way.
    requests: JoinSet<()>,
    /// When it is over with nothing under way.
    idle_until: Instant,
    is_leaving: bool,
}

/// Serves a connection to its end. `read` was read from it before.
pub(super) async fn serve(
    engine: Arc<PingoraEngine>,
    stream: Stream,
    read: Vec<u8>,
    caller: Caller,
) {
    let digest = Arc::new(digest(&stream, caller));
    let tls = stream.tls_facts().map(Arc::new);
    let alarm = Arc::new(Alarm::default());
    let metered = Metered::new(stream, read, alarm.clone());
    let policy = &engine.edge.policy;
    let begun = builder(policy.head_limits.bytes).handshake(metered);
    let connection = match timeout(policy.client_head_timeout, begun).await {
        Ok(Ok(connection)) => connection,
        Ok(Err(error)) => return tracing::debug!(%error, "no HTTP/2 with a client"),
        Err(_) => return tracing::debug!("a client of HTTP/2 does not begin"),
    };
    let front = Front {
        closing: engine.closing.subscribe(),
        idle_until: Instant::now() + policy.client_idle_timeout,
        engine,
        connection,
        alarm,
        digest,
        tls,
        requests: JoinSet::new(),
        is_leaving: false,
    };
    front.run().await;
}

/// What the client is told of our bounds.
fn builder(max_head_bytes: usize) -> Builder {
    let mut builder = Builder::new();
    builder
        .max_header_list_size(u32::try_from(max_head_bytes).unwrap_or(u32::MAX))
        .max_concurrent_streams(MAX_STREAMS)
        .initial_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_send_buffer_size(SEND_BUFFER)
        .data_frame_budget(SMALL_FRAMES)
        .max_local_error_reset_streams(Some(MAX_STREAM_ERRORS))
        .max_pending_accept_reset_streams(MAX_UNSEEN_RESETS);
    builder
}

/// What is known of the connection below.
fn digest(stream: &Stream, caller: Caller) -> Digest {
    Digest {
        ssl_digest: super::ssl_digest(stream, caller),
        socket_digest: Some(super::socket_digest(stream, caller)),
        ..Digest::default()
    }
}

// === impl Front ===

impl Front {
    /// Takes requests until the client has gone, or is sent away.
    async fn run(mut self) {
        // The channel of a balancer that is ending already has nothing new to tell.
        if *self.closing.borrow_and_update() {
            self.leave();
        }
        loop {
            let is_idle = self.requests.is_empty();
            tokio::select! {
                biased;
                () = self.alarm.heard() => return self.send_away().await,
                Ok(()) = self.closing.changed(), if !self.is_leaving => self.leave(),
                accepted = self.connection.accept() => match accepted {
                    Some(Ok((request, answer))) => self.begin(request, answer),
                    Some(Err(error)) => {
                        tracing::debug!(%error, "HTTP/2 with a client ends");
                        break;
                    }
                    None => break,
                },
                Some(_) = self.requests.join_next(), if !is_idle => self.rest(),
                () = sleep_until(self.idle_until), if is_idle => match self.is_leaving {
                    true => break,
                    false => self.leave(),
                },
            }
        }
        self.end().await;
    }

    /// Without their connection the requests end soon, and tell the log how.
    async fn end(self) {
        let Front { connection, mut requests, .. } = self;
        drop(connection);
        while requests.join_next().await.is_some() {}
    }

    /// Serves a request beside the others.
    fn begin(&mut self, request: Request<RecvStream>, answer: SendResponse<Bytes>) {
        let (mut parts, body) = request.into_parts();
        let policy = &self.engine.edge.policy;
        let admitted = gate::admit(&mut parts, &policy.head_limits);
        let pace = Pace::new(&parts.headers, policy, Instant::now());
        if let Err(bad) = admitted {
            // Refused where all requests are, so that it is logged and counted as they are.
            parts.extensions.insert(bad);
        }
        if let Some(tls) = &self.tls {
            parts.extensions.insert(tls.clone());
        }
        let head = RequestHeader::from(parts);
        let patience = policy.client_read_timeout;
        let stream = ClientStream::new(head, body, answer, pace, self.digest.clone(), patience);
        let session = ServerSession::new_custom(Box::new(stream));
        let (proxy, closing) = (self.engine.proxy.clone(), self.closing.clone());
        self.requests.spawn(async move {
            proxy.process_new_http(session, &closing).await;
        });
    }

    /// A request is over; perhaps it was the last.
    fn rest(&mut self) {
        let policy = &self.engine.edge.policy;
        let patience = if self.is_leaving { GOODBYE } else { policy.client_idle_timeout };
        self.idle_until = Instant::now() + patience;
    }

    /// Takes no new requests; those under way go on.
    fn leave(&mut self) {
        self.is_leaving = true;
        self.connection.graceful_shutdown();
        self.idle_until = Instant::now() + GOODBYE;
    }

    /// Tells a client that floods us so, and is rid of it.
    async fn send_away(mut self) {
        let client =
            self.digest.socket_digest.as_ref().and_then(|digest| digest.peer_addr().cloned());
        tracing::info!(?client, "a client of HTTP/2 floods us and is sent away");
        self.connection.abrupt_shutdown(h2::Reason::ENHANCE_YOUR_CALM);
        let closed = std::future::poll_fn(|cx| self.connection.poll_closed(cx));
        let _ = timeout(GOODBYE, closed).await;
        self.end().await;
    }
}
