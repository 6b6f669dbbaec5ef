//! The other engine: pingora-proxy, for what our own does not speak.
//!
//! It serves clients of HTTP/2, and requests whose node speaks HTTP/2. With `http.engine =
//! "pingora"` it serves all.
//!
//! pingora-core hides the port of its listeners and owns the process's signals, so connections
//! come from our own accept loop and each is handed to Pingora's service (decision note 0003).
//!
//! | module | idea |
//! |---|---|
//! | `front` | a client's connection of HTTP/2: its requests, its floods, its bounds |
//! | `connection` | a client's connection of HTTP/1: strict heads and bodies |
//! | `answer` | strict heads of answers |
//! | `own` | answers of our own |
//! | `asked` | what is asked of sessions and errors |
//! | `hooks` | Pingora's questions, answered by the policy |
//! | `way` | whether an attempt goes over the bridge |
//! | `peer` | how a node is connected to |
//! | `traced` | the trace of a request in its head |
//! | `upgrade` | the same for a request that becomes a tunnel |

mod answer;
mod asked;
mod connection;
mod front;
mod hooks;
mod own;
mod peer;
mod traced;
mod upgrade;
mod way;

use std::sync::Arc;

use muster_http1::BadRequest;
use pingora_core::apps::{HttpServerApp as _, HttpServerOptions};
use pingora_core::protocols::SocketDigest;
use pingora_core::protocols::http::ServerSession;
use pingora_core::protocols::tls::SslDigest;
use pingora_core::server::configuration::ServerConf;
use pingora_proxy::{HttpProxy, http_proxy};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use self::connection::{Connection, Next};
use self::hooks::Hooks;
use crate::config::Config;
use crate::engine::http1::Caller;
use crate::engine::http1::stream::Stream;
use crate::proxy::{Edge, Ending, Refused};

/// Most attempts that Pingora makes, whatever our policy says.
const MAX_ATTEMPTS: usize = 32;

/// Serves connections through Pingora, by one reading of the configuration.
pub(crate) struct PingoraEngine {
    proxy: Arc<HttpProxy<Hooks>>,
    /// Turns true when no connection is to be reused any more.
    closing: watch::Sender<bool>,
    /// Ends the connections that wait for a request.
    idle_closed: CancellationToken,
    edge: Arc<Edge>,
}

impl PingoraEngine {
    pub(crate) fn new(edge: Arc<Edge>, config: &Config) -> PingoraEngine {
        let (closing, idle_closed) = (watch::Sender::new(false), CancellationToken::new());
        PingoraEngine::with(edge, config, closing, idle_closed)
    }

    /// What it becomes by a reload, for the connections to come. Both end when one is told to.
    pub(crate) fn after_reload(&self, edge: Arc<Edge>, config: &Config) -> PingoraEngine {
        PingoraEngine::with(edge, config, self.closing.clone(), self.idle_closed.clone())
    }

    fn with(
        edge: Arc<Edge>,
        config: &Config,
        closing: watch::Sender<bool>,
        idle_closed: CancellationToken,
    ) -> PingoraEngine {
        let server = ServerConf {
            upstream_keepalive_pool_size: config.upstream.idle_connections,
            max_retries: MAX_ATTEMPTS,
            ..ServerConf::default()
        };
        let mut proxy =
            http_proxy(&Arc::new(server), Hooks::new(edge.clone(), &config.upstream.tls));
        // CONNECT is refused where every other request is.
        let mut options = HttpServerOptions::default();
        options.allow_connect_method_proxying = true;
        proxy.server_options = Some(options);
        PingoraEngine { proxy: Arc::new(proxy), closing, idle_closed, edge }
    }

    /// From now on answers say `Connection: close`, and clients of HTTP/2 hear GOAWAY.
    pub(crate) fn close_after_answers(&self) {
        self.closing.send_replace(true);
    }

    /// Closes the connections that wait for a request.
    pub(crate) async fn close_idle(&self) {
        self.idle_closed.cancel();
        self.proxy.http_cleanup().await;
    }

    /// Bounds the request of a connection.
    fn bound(&self, session: &mut ServerSession) {
        let policy = &self.edge.policy;
        session.set_keepalive(Some(policy.client_idle_timeout.as_secs().max(1)));
        session.set_read_timeout(Some(policy.client_read_timeout));
        session.set_write_timeout(Some(policy.client_read_timeout));
    }

    /// Serves HTTP/1 on a connection to its end. `read` was read from it before.
    pub(crate) async fn serve(self: Arc<Self>, stream: Stream, read: Vec<u8>, caller: Caller) {
        let closing = self.closing.subscribe();
        let mut connection = Box::new(Connection::new(stream, read, caller));
        loop {
            let next = tokio::select! {
                biased;
                next = connection.next(&self.edge.policy) => next,
                () = self.idle_closed.cancelled() => return,
            };
            match next {
                Next::Request => {}
                Next::Bad(BadRequest::Preface) if !connection.is_tls() => {
                    let (stream, read) = connection.into_parts();
                    return Box::pin(self.serve_h2(stream, read, caller)).await;
                }
                Next::Bad(bad) => return self.refuse(&mut connection, bad, caller).await,
                Next::Over => return,
            }
            let mut session = ServerSession::new_http1(connection);
            self.bound(&mut session);
            let Some(reused) = self.proxy.process_new_http(session, &closing).await else { return };
            let (stream, _) = reused.consume();
            let Ok(again) = stream.into_any().downcast::<Connection>() else { return };
            connection = again;
        }
    }

    /// Serves HTTP/2 on a connection to its end. `read` was read from it before.
    pub(crate) async fn serve_h2(self: Arc<Self>, stream: Stream, read: Vec<u8>, caller: Caller) {
        front::serve(self, stream, read, caller).await;
    }

    /// Tells a client that its request cannot be read.
    async fn refuse(&self, connection: &mut Connection, bad: BadRequest, caller: Caller) {
        let mut exchange = self.edge.begin();
        let refused = Refused::Malformed(bad);
        exchange.refused = Some(refused);
        let mut answer = Vec::new();
        refused.write(false, true, &mut answer);
        let sent = connection.end_with(&answer, &self.edge.policy).await;
        self.edge.end(&mut exchange, Ending::unread(caller.address.ip(), refused, sent));
    }
}

/// What is known of a client's socket.
fn socket_digest(stream: &Stream, caller: Caller) -> Arc<SocketDigest> {
    let digest = SocketDigest::from_raw_fd(stream.raw_fd());
    // Known already, so that nobody asks the kernel.
    let _ = digest.peer_addr.set(Some(caller.address.into()));
    Arc::new(digest)
}

/// What Pingora and the hooks know of a client's TLS. Behind a PROXY header that tells of TLS, no
/// more than that.
fn ssl_digest(stream: &Stream, caller: Caller) -> Option<Arc<SslDigest>> {
    let known = stream.tls_facts().map(|facts| (facts.cipher, facts.version));
    let (cipher, version) = known.or(caller.is_tls.then_some(("", "")))?;
    Some(Arc::new(SslDigest::new(cipher, version, None, None, Vec::new())))
}
