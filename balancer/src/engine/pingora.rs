//! The first engine: pingora-proxy, HTTP/1.1 on both sides, with WebSocket upgrades.
//!
//! pingora-core hides the port of its listeners and owns the process's signals, so connections
//! come from our own accept loop and each is handed to Pingora's service (decision note 0003).

mod connection;
mod hooks;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use pingora_core::apps::{HttpServerApp as _, ReusedHttpStream};
use pingora_core::protocols::http::ServerSession;
use pingora_core::server::configuration::ServerConf;
use pingora_proxy::{HttpProxy, http_proxy};
use tokio::net::TcpStream;
use tokio::sync::watch;

use self::connection::Connection;
use self::hooks::Hooks;
use crate::accept;
use crate::config::Config;
use crate::proxy::Edge;

/// Most attempts that Pingora makes, whatever our policy says.
const MAX_ATTEMPTS: usize = 32;

/// Serves connections through Pingora.
pub(crate) struct PingoraEngine {
    proxy: Arc<HttpProxy<Hooks>>,
    /// Turns true when no connection is to be reused any more.
    closing: watch::Sender<bool>,
    idle_timeout: Duration,
    read_timeout: Duration,
}

impl PingoraEngine {
    pub(crate) fn new(edge: Arc<Edge>, config: &Config) -> PingoraEngine {
        let server = ServerConf {
            upstream_keepalive_pool_size: config.upstream.idle_connections,
            max_retries: MAX_ATTEMPTS,
            ..ServerConf::default()
        };
        PingoraEngine {
            idle_timeout: edge.policy.client_idle_timeout,
            read_timeout: edge.policy.client_read_timeout,
            proxy: Arc::new(http_proxy(&Arc::new(server), Hooks::new(edge))),
            closing: watch::Sender::new(false),
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

    fn session(&self, stream: Connection) -> ServerSession {
        let mut session = ServerSession::new_http1(Box::new(stream));
        session.set_keepalive(Some(self.idle_timeout.as_secs().max(1)));
        session
    }

    fn next(&self, reused: ReusedHttpStream) -> ServerSession {
        let (stream, settings) = reused.consume();
        let mut session = ServerSession::new_http1(stream);
        if let Some(settings) = settings {
            settings.apply_to_session(&mut session);
        }
        session
    }
}

impl accept::Engine for PingoraEngine {
    async fn serve(self: Arc<Self>, stream: TcpStream, client: SocketAddr) {
        let closing = self.closing.subscribe();
        let mut session = self.session(Connection::new(stream, client));
        loop {
            session.set_read_timeout(Some(self.read_timeout));
            let reused = self.proxy.process_new_http(session, &closing).await;
            let Some(reused) = reused else { return };
            session = self.next(reused);
        }
    }
}
