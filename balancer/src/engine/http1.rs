//! Our own HTTP/1 engine: one task for each client connection, on a thread that owns everything
//! the task touches.
//!
//! A [`Worker`] is one thread's part: buffers, clock, idle connections to nodes. What a request
//! may do is decided in `proxy`, what its bytes mean in `muster-http1`; this is the shell between
//! the two and the sockets. Nothing here is shared with another thread but the edge.
//!
//! | file | idea |
//! |---|---|
//! | `client` | a client's connection between two requests |
//! | `request` | one request: gate, choice, attempts, log |
//! | `relay` | the bytes of one attempt, both ways at once |
//! | `answer` | our own answers, and an end that loses none |
//! | `pool`, `connect` | connections to nodes |
//! | `bridge` | requests of the other engine to nodes that this one speaks to |
//! | `buffer`, `timer`, `stream` | what all of them stand on |

mod answer;
mod bridge;
mod buffer;
mod client;
mod connect;
mod pool;
mod relay;
mod request;
pub(crate) mod stream;
mod timer;

use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

use tokio::sync::mpsc;

use self::buffer::Buffers;
use self::client::Client;
use self::pool::Pool;
use self::stream::Stream;
use self::timer::{Clock, TICK};
use crate::engine::bridge::Order;
use crate::proxy::Edge;
use crate::world::Worlds;

/// Between two looks for idle connections that ended, in ticks.
const SWEEP: u64 = 10;

/// How far the end of the balancer has come; the same for all workers.
#[derive(Debug, Default)]
pub(crate) struct Phase(AtomicU8);

/// One thread's part of the engine, by one reading of the configuration.
#[derive(Debug, Clone)]
pub(crate) struct Worker {
    edge: Arc<Edge>,
    worlds: Worlds,
    buffers: Rc<Buffers>,
    clock: Rc<Clock>,
    pool: Rc<Pool>,
    phase: Arc<Phase>,
}

/// Who a connection is from.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Caller {
    /// The peer, or whom the PROXY protocol named.
    pub(crate) address: SocketAddr,
    /// Whether the PROXY protocol says that the client came over TLS.
    pub(crate) is_tls: bool,
}

/// A connection for the other engine.
#[derive(Debug)]
pub(crate) struct HandedOver {
    pub(crate) stream: Stream,
    /// What was read from it and not used.
    pub(crate) read: Vec<u8>,
    /// HTTP/2 with prior knowledge; HTTP/1 otherwise.
    pub(crate) is_h2: bool,
}

impl Phase {
    const CLOSING: u8 = 1;
    const IDLE_CLOSED: u8 = 2;

    /// From now on answers say `Connection: close`.
    pub(crate) fn close_after_answers(&self) {
        self.0.fetch_max(Phase::CLOSING, Ordering::Relaxed);
    }

    /// Closes the connections that wait for a request.
    pub(crate) fn close_idle(&self) {
        self.0.fetch_max(Phase::IDLE_CLOSED, Ordering::Relaxed);
    }

    fn is_closing(&self) -> bool {
        self.0.load(Ordering::Relaxed) >= Phase::CLOSING
    }

    fn is_idle_closed(&self) -> bool {
        self.0.load(Ordering::Relaxed) >= Phase::IDLE_CLOSED
    }
}

impl Worker {
    /// A worker of the world as it is now.
    pub(crate) fn new(worlds: Worlds, phase: Arc<Phase>) -> Worker {
        let world = worlds.now();
        let (edge, pool) = (world.edge.clone(), Rc::new(Pool::new(world.idle)));
        drop(world);
        Worker { edge, worlds, buffers: Rc::default(), clock: Clock::new(), pool, phase }
    }

    /// The same worker by the configuration as it is now, where that is another one.
    pub(crate) fn renewed(&self) -> Option<Rc<Worker>> {
        let world = self.worlds.now();
        if Arc::ptr_eq(&world.edge, &self.edge) {
            return None;
        }
        self.pool.set_limit(world.idle);
        Some(Rc::new(Worker { edge: world.edge.clone(), ..self.clone() }))
    }

    /// Serves a connection to its end, or until it is to be handed over: then with the bytes that
    /// were read and not used.
    pub(crate) async fn serve(
        self: Rc<Self>,
        stream: Stream,
        caller: Caller,
    ) -> Option<HandedOver> {
        let client = Client::new(stream, caller, &self);
        let client = client::serve(client, self).await?;
        let read = client.data().to_vec();
        let is_h2 = read.starts_with(b"PRI ");
        Some(HandedOver { stream: client.stream, read, is_h2 })
    }

    /// Carries requests of the other engine to nodes: to be run beside the
    /// connections, for as long as they are served.
    pub(crate) async fn carry(self: Rc<Self>, orders: mpsc::Receiver<Order>) {
        bridge::run(self, orders).await;
    }

    /// A client's handshake has failed.
    pub(crate) fn count_unsecured(&self) {
        self.edge.metrics.unsecured.inc();
    }

    /// Keeps time: to be run beside the connections, for as long as they are served.
    pub(crate) async fn keep_time(self: Rc<Self>) {
        let mut ticks = tokio::time::interval(TICK);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut left_out = self.edge.published.left_out();
        for count in 0_u64.. {
            ticks.tick().await;
            self.clock.tick(self.phase.is_idle_closed());
            let now = self.edge.published.left_out();
            if std::mem::replace(&mut left_out, now) != now {
                self.clock.wake_waiting();
            }
            if count % SWEEP == 0 {
                self.pool.sweep(self.clock.now());
            }
        }
    }
}
