//! Who moves the bytes. Every policy is in `proxy`; an engine is a thin shell around it.

pub(crate) mod bridge;
pub(crate) mod http1;
pub(crate) mod pingora;

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;

pub(crate) use self::http1::Caller;
pub(crate) use self::http1::stream::Stream;
use self::http1::{HandedOver, Phase, Worker};
use crate::config::listen::Engine as Wanted;
use crate::world::{World, Worlds};

/// Both engines, as all workers share them.
#[derive(Clone)]
pub(crate) struct Engines {
    pub(crate) worlds: Worlds,
    phase: Arc<Phase>,
}

/// One worker's part of both.
pub(crate) struct WorkerEngine {
    own: RefCell<Rc<Worker>>,
}

impl Engines {
    pub(crate) fn new(worlds: Worlds) -> Engines {
        Engines { worlds, phase: Arc::default() }
    }

    /// The part of one thread. To be called on it.
    pub(crate) fn worker(&self) -> WorkerEngine {
        let own = Worker::new(self.worlds.clone(), self.phase.clone());
        WorkerEngine { own: RefCell::new(Rc::new(own)) }
    }

    /// From now on answers say `Connection: close`.
    pub(crate) fn close_after_answers(&self) {
        self.phase.close_after_answers();
        self.worlds.now().pingora.close_after_answers();
    }

    /// Closes the connections that wait for a request.
    pub(crate) async fn close_idle(&self) {
        self.phase.close_idle();
        self.worlds.kept().pingora.close_idle().await;
    }
}

impl WorkerEngine {
    /// Keeps time, and the bridge between the engines: to be run beside the connections, for as
    /// long as they are served.
    pub(crate) async fn keep_time(self: Rc<Self>) {
        let own = self.own.borrow().clone();
        let carry = own.clone().carry(bridge::open());
        tokio::join!(own.keep_time(), carry);
    }

    /// Our own engine's part, by the configuration as it is now.
    fn own(&self) -> Rc<Worker> {
        let mut own = self.own.borrow_mut();
        if let Some(renewed) = own.renewed() {
            *own = renewed;
        }
        own.clone()
    }

    /// A client's handshake has failed.
    pub(crate) fn count_unsecured(&self) {
        self.own.borrow().count_unsecured();
    }

    /// Serves a connection to its end, with whichever engine it is for.
    pub(crate) async fn serve(&self, stream: Stream, caller: Caller, world: &World) {
        let World { pingora, wanted, .. } = world;
        if stream.is_h2() {
            return Box::pin(pingora.clone().serve_h2(stream, Vec::new(), caller)).await;
        }
        if *wanted == Wanted::Pingora {
            return Box::pin(pingora.clone().serve(stream, Vec::new(), caller)).await;
        }
        let Some(given) = self.own().serve(stream, caller).await else { return };
        let HandedOver { stream, read, is_h2 } = given;
        match is_h2 {
            true => Box::pin(pingora.clone().serve_h2(stream, read, caller)).await,
            false => Box::pin(pingora.clone().serve(stream, read, caller)).await,
        }
    }
}
