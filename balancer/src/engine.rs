//! Who moves the bytes. Every policy is in `proxy`; an engine is a thin shell around it.

pub(crate) mod bridge;
pub(crate) mod http1;
pub(crate) mod pingora;

use std::rc::Rc;
use std::sync::Arc;

pub(crate) use self::http1::Caller;
pub(crate) use self::http1::stream::Stream;
use self::http1::{HandedOver, Phase, Worker};
use self::pingora::PingoraEngine;
use crate::config::Config;
use crate::config::listen::Engine as Wanted;
use crate::proxy::Edge;

/// Both engines, as all workers share them.
#[derive(Clone)]
pub(crate) struct Engines {
    edge: Arc<Edge>,
    pingora: Arc<PingoraEngine>,
    phase: Arc<Phase>,
    wanted: Wanted,
    /// Idle connections to nodes that each worker may keep.
    idle: usize,
}

/// One worker's engines.
pub(crate) struct WorkerEngine {
    own: Rc<Worker>,
    pingora: Arc<PingoraEngine>,
    wanted: Wanted,
}

impl Engines {
    pub(crate) fn new(edge: Arc<Edge>, config: &Config) -> Engines {
        Engines {
            pingora: Arc::new(PingoraEngine::new(edge.clone(), config)),
            edge,
            phase: Arc::default(),
            wanted: config.http.engine,
            idle: config.upstream.idle_connections.div_ceil(config.threads.max(1)),
        }
    }

    /// The part of one thread. To be called on it.
    pub(crate) fn worker(&self) -> WorkerEngine {
        let own = Worker::new(self.edge.clone(), self.phase.clone(), self.idle);
        WorkerEngine { own: Rc::new(own), pingora: self.pingora.clone(), wanted: self.wanted }
    }

    /// From now on answers say `Connection: close`.
    pub(crate) fn close_after_answers(&self) {
        self.phase.close_after_answers();
        self.pingora.close_after_answers();
    }

    /// Closes the connections that wait for a request.
    pub(crate) async fn close_idle(&self) {
        self.phase.close_idle();
        self.pingora.close_idle().await;
    }
}

impl WorkerEngine {
    /// Keeps time, and the bridge between the engines: to be run beside the connections, for as
    /// long as they are served.
    pub(crate) async fn keep_time(self: Rc<Self>) {
        let carry = self.own.clone().carry(bridge::open());
        tokio::join!(self.own.clone().keep_time(), carry);
    }

    /// Serves a connection to its end, with whichever engine it is for.
    pub(crate) async fn serve(&self, stream: Stream, caller: Caller) {
        let WorkerEngine { own, pingora, wanted } = self;
        if stream.is_h2() {
            return Box::pin(pingora.clone().serve_h2(stream, Vec::new(), caller)).await;
        }
        if *wanted == Wanted::Pingora {
            return Box::pin(pingora.clone().serve(stream, Vec::new(), caller)).await;
        }
        let Some(given) = own.clone().serve(stream, caller).await else { return };
        let HandedOver { stream, read, is_h2 } = given;
        match is_h2 {
            true => Box::pin(pingora.clone().serve_h2(stream, read, caller)).await,
            false => Box::pin(pingora.clone().serve(stream, read, caller)).await,
        }
    }
}
