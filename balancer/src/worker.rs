//! The threads that carry traffic: each has a runtime, listening sockets and an engine of its own,
//! and shares nothing with the others on the way of a request but the routing table and counters.

use std::net::TcpListener;
use std::rc::Rc;
use std::sync::Arc;
use std::thread::JoinHandle;

use tokio::runtime::{Builder, Runtime};
use tokio::sync::Semaphore;
use tokio::task::LocalSet;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tokio_util::task::task_tracker::TaskTrackerToken;

use crate::accept;
use crate::door::{Door, Entrance};
use crate::engine::Engines;
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
    /// The accept loops.
    pub(crate) accepting: TaskTracker,
    /// Ends the accept loops.
    pub(crate) stop: CancellationToken,
    /// Ends the threads, and cuts what connections are left.
    pub(crate) end: CancellationToken,
}

/// A worker's socket of a public listener.
pub(crate) struct Listener {
    pub(crate) socket: TcpListener,
    pub(crate) entrance: Arc<Entrance>,
}

type Adopted = (tokio::net::TcpListener, Arc<Entrance>);

/// Starts a worker that accepts from these listeners.
///
/// # Errors
/// When there can be no thread, or no runtime on it.
pub(crate) fn start(
    number: usize,
    listeners: Vec<Listener>,
    shared: Shared,
) -> std::io::Result<JoinHandle<()>> {
    let runtime = Builder::new_current_thread().enable_all().build()?;
    let listeners = adopt(&runtime, listeners)?;
    // Held from before the thread runs: an end that comes at once waits for its loops too.
    let token = shared.accepting.token();
    let thread = std::thread::Builder::new().name(format!("worker-{number}"));
    thread.spawn(move || {
        LocalSet::new().block_on(&runtime, work(listeners, shared, token));
    })
}

fn adopt(runtime: &Runtime, listeners: Vec<Listener>) -> std::io::Result<Vec<Adopted>> {
    let _entered = runtime.enter();
    let adopt =
        |Listener { socket, entrance }| Ok((tokio::net::TcpListener::from_std(socket)?, entrance));
    listeners.into_iter().map(adopt).collect()
}

async fn work(listeners: Vec<Adopted>, shared: Shared, accepting: TaskTrackerToken) {
    let engine = Rc::new(shared.engines.worker());
    tokio::task::spawn_local(engine.clone().keep_time());
    for (listener, entrance) in listeners {
        let accepting = accepting.clone();
        let accept = accept::run(
            listener,
            Rc::new(Door { engine: engine.clone(), entrance }),
            shared.permits.clone(),
            shared.connections.clone(),
            shared.metrics.connections.clone(),
            shared.stop.clone(),
        );
        tokio::task::spawn_local(async move {
            accept.await;
            drop(accepting);
        });
    }
    drop(accepting);
    shared.end.cancelled().await;
}
