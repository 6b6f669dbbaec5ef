//! The first engine: pingora-proxy, HTTP/1.1 on both sides, with WebSocket upgrades.
//!
//! pingora-core hides the port of its listeners and owns the process's signals, so connections
//! come from our own accept loop and each is handed to Pingora's service (decision note 0003).

mod connection;
mod hooks;
mod upgrade;

use std::net::SocketAddr;
use std::sync::Arc;

use pingora_core::apps::{HttpServerApp as _, ServerApp as _};
use pingora_core::protocols::http::ServerSession;
use pingora_core::server::configuration::ServerConf;
use pingora_proxy::{HttpProxy, http_proxy};
use tokio::sync::watch;

use self::connection::{Connection, HeadLimits};
use self::hooks::Hooks;
use crate::config::Config;
use crate::engine::http1::stream::Stream;
use crate::proxy::Edge;

/// Most attempts that Pingora makes, whatever our policy says.
const MAX_ATTEMPTS: usize = 32;

/// Serves connections through Pingora.
pub(crate) struct PingoraEngine {
    proxy: Arc<HttpProxy<Hooks>>,
    /// Turns true when no connection is to be reused any more.
    closing: watch::Sender<bool>,
    edge: Arc<Edge>,
}

impl PingoraEngine {
    pub(crate) fn new(edge: Arc<Edge>, config: &Config) -> PingoraEngine {
        let server = ServerConf {
            upstream_keepalive_pool_size: config.upstream.idle_connections,
            max_retries: MAX_ATTEMPTS,
            ..ServerConf::default()
        };
        PingoraEngine {
            proxy: Arc::new(http_proxy(&Arc::new(server), Hooks::new(edge.clone()))),
            closing: watch::Sender::new(false),
            edge,
        }
    }

    /// From now on answers say `Connection: close`.
    pub(crate) fn close_after_answers(&self) {
        self.closing.send_replace(true);
    }

    /// Closes the connections that wait for a request.
    pub(crate) async fn close_idle(&self) {
        self.proxy.http_cleanup().await;
    }

    /// Bounds the next request of a connection. Each time anew: Pingora waits without end for the
    /// second request of an HTTP/1.1 client.
    fn bound(&self, session: &mut ServerSession) {
        let policy = &self.edge.policy;
        session.set_keepalive(Some(policy.client_idle_timeout.as_secs().max(1)));
        session.set_read_timeout(Some(policy.client_read_timeout));
        session.set_write_timeout(Some(policy.client_read_timeout));
        session.set_pipelining_enabled(true);
        if let Some(connection) = connection::of(session) {
            connection.expect_head();
        }
    }
}

impl PingoraEngine {
    /// Serves HTTP/1 on a connection to its end. `read` was read from it before.
    pub(crate) async fn serve(self: Arc<Self>, stream: Stream, read: Vec<u8>, client: SocketAddr) {
        let closing = self.closing.subscribe();
        let policy = &self.edge.policy;
        let limits =
            HeadLimits { within: policy.client_head_timeout, bytes: policy.max_head_bytes };
        let connection = Connection::http1(stream, client, read, limits);
        let mut session = ServerSession::new_http1(Box::new(connection));
        loop {
            self.bound(&mut session);
            let Some(reused) = self.proxy.process_new_http(session, &closing).await else { return };
            let (stream, settings) = reused.consume();
            session = ServerSession::new_http1(stream);
            if let Some(settings) = settings {
                settings.apply_to_session(&mut session);
            }
        }
    }

    /// Serves HTTP/2 on a connection to its end. `read` was read from it before.
    pub(crate) async fn serve_h2(
        self: Arc<Self>,
        stream: Stream,
        read: Vec<u8>,
        client: SocketAddr,
    ) {
        let closing = self.closing.subscribe();
        let connection = Connection::http2(stream, client, read);
        self.proxy.process_new(Box::new(connection), &closing).await;
    }
}
