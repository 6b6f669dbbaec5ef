//! What stands between the accept loop and the engine: who the client is, whether it may have
//! one more connection, and TLS.

use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpStream;

use crate::accept;
use crate::caps::Caps;
use crate::engine::{Caller, Stream, WorkerEngine};
use crate::proxy_protocol::receive;
use crate::tls::TlsFront;
use crate::trusted::Networks;
use crate::world::Worlds;

/// The rules of a public listener, the same for all workers.
#[derive(Debug)]
pub(crate) struct Entrance {
    /// Where clients speak TLS.
    pub(crate) tls: Option<TlsFront>,
    pub(crate) caps: Arc<Caps>,
    /// Who tells us the client's address first.
    pub(crate) proxies: Networks,
    /// How long that may take.
    pub(crate) header_timeout: Duration,
}

/// Where a public listener leads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Clients speak HTTP.
    Plain,
    /// Clients speak TLS first.
    Secure,
}

impl Kind {
    /// The configuration's key of such listeners.
    pub(crate) fn key(self) -> &'static str {
        match self {
            Kind::Plain => "http.listen",
            Kind::Secure => "tls.listen",
        }
    }
}

/// One worker's end of a public listener.
pub(crate) struct Door {
    pub(crate) engine: Rc<WorkerEngine>,
    pub(crate) worlds: Worlds,
    pub(crate) kind: Kind,
}

impl accept::Engine for Door {
    async fn serve(self: Rc<Self>, mut stream: TcpStream, peer: SocketAddr) {
        let world = self.worlds.kept();
        let entrance = match self.kind {
            Kind::Plain => &world.plain,
            Kind::Secure => match &world.secure {
                Some(entrance) => entrance,
                // The listener is on its way out, and its certificates are gone already.
                None => return,
            },
        };
        let caller = match entrance.proxies.contains(peer.ip()) {
            false => Ok(Caller { address: peer, is_tls: false }),
            true => Box::pin(entrance.named(&mut stream, peer)).await,
        };
        let caller = match caller {
            Ok(caller) => caller,
            Err(error) => return tracing::debug!(%peer, %error, "no PROXY header"),
        };
        let place = match entrance.caps.admit(caller.address.ip()) {
            Ok(place) => place,
            Err(error) => return tracing::debug!(%error, "a connection is refused"),
        };
        let stream = match &entrance.tls {
            None => Stream::Plain(stream),
            Some(front) => match Box::pin(front.accept(stream)).await {
                Ok(stream) => Stream::Tls(Box::new(stream)),
                Err(error) => {
                    self.engine.count_unsecured();
                    return tracing::debug!(%peer, %error, "no TLS with a client");
                }
            },
        };
        self.engine.serve(stream, caller, &world).await;
        drop(place);
    }
}

impl Entrance {
    /// Whom the PROXY header names.
    async fn named(&self, stream: &mut TcpStream, peer: SocketAddr) -> std::io::Result<Caller> {
        let header = tokio::time::timeout(self.header_timeout, receive(stream)).await??;
        Ok(Caller { address: header.source.unwrap_or(peer), is_tls: header.is_tls })
    }
}
