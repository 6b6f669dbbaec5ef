//! The threads that carry traffic: each has a runtime, listening sockets and an engine of its own,
//! and shares nothing with the others on the way of a request but the routing table and counters.
//!
//! A worker listens where it is told to, from its start or later, and each of its sockets until the
//! listener's end.

use std::net::TcpListener;
use std::rc::Rc;
use std::sync::Arc;
use std::thread::JoinHandle;

use tokio::runtime::Builder;
use tokio::sync::{Semaphore, mpsc, oneshot};
use tokio::task::LocalSet;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tokio_util::task::task_tracker::TaskTrackerToken;

use crate::accept;
use crate::door::{Door, Kind};
use crate::engine::{Engines, WorkerEngine};
use crate::metrics::Metrics;

/// What the workers have in common.
#[derive(Clone)]
pub(crate) struct Shared {
    pub(crate) engines: Engines,
    pub(crate) metrics: Arc<Metrics>,
    /// One for each connection that may be open.
    pub(crate) permits: Arc<Semaphore>,
    /// The open connections.
    pub(crate) connections: TaskTracker,
    /// Ends the threads, and cuts what connections are left.
    pub(crate) end: CancellationToken,
}

/// What a worker is told.
pub(crate) enum Order {
    /// To accept from this listener.
    Listen(Listener),
    /// To say that it is there.
    Answer(oneshot::Sender<()>),
}

/// A worker's socket of a public listener.
pub(crate) struct Listener {
    pub(crate) socket: TcpListener,
    pub(crate) kind: Kind,
    /// Ends it, once what waits in its backlog is served.
    pub(crate) stop: CancellationToken,
    /// Held until it has ended.
    pub(crate) accepting: TaskTrackerToken,
}

/// A worker's thread, and how it is spoken to.
pub(crate) struct Worker {
    pub(crate) thread: JoinHandle<()>,
    pub(crate) orders: Orders,
}

/// How a worker is spoken to. It is told little, and seldom.
pub(crate) type Orders = mpsc::UnboundedSender<Order>;

/// Starts a worker, which does nothing until it is told where to listen.
///
/// # Errors
/// When there can be no thread, or no runtime on it.
pub(crate) fn start(number: usize, shared: Shared) -> std::io::Result<Worker> {
    let runtime = Builder::new_current_thread().enable_all().build()?;
    let (orders, told) = mpsc::unbounded_channel();
    let thread = std::thread::Builder::new().name(format!("worker-{number}"));
    let thread = thread.spawn(move || LocalSet::new().block_on(&runtime, work(told, shared)))?;
    Ok(Worker { thread, orders })
}

async fn work(mut orders: mpsc::UnboundedReceiver<Order>, shared: Shared) {
    let engine = Rc::new(shared.engines.worker());
    tokio::task::spawn_local(engine.clone().keep_time());
    loop {
        let order = tokio::select! {
            () = shared.end.cancelled() => return,
            Some(order) = orders.recv() => order,
        };
        match order {
            Order::Listen(listener) => listen(listener, engine.clone(), &shared),
            // Who asked may not wait any more.
            Order::Answer(reply) => drop(reply.send(())),
        }
    }
}

fn listen(listener: Listener, engine: Rc<WorkerEngine>, shared: &Shared) {
    let Listener { socket, kind, stop, accepting } = listener;
    let listener = match tokio::net::TcpListener::from_std(socket) {
        Ok(listener) => listener,
        Err(error) => return tracing::error!(%error, "a worker cannot listen"),
    };
    let accept = accept::run(
        listener,
        Rc::new(Door { engine, worlds: shared.engines.worlds.clone(), kind }),
        shared.permits.clone(),
        shared.connections.clone(),
        shared.metrics.connections.clone(),
        stop,
    );
    tokio::task::spawn_local(async move {
        accept.await;
        drop(accepting);
    });
}
