//! The threads that carry traffic: each has a runtime, listening sockets and an engine of its own,
//! and shares nothing with the others on the way of a request but the routing table and counters.

use std::net::TcpListener;
use std::rc::Rc;
use std::sync::Arc;

use tokio::runtime::{Builder, Runtime};
use tokio::sync::Semaphore;
use tokio::task::LocalSet;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tokio_util::task::task_tracker::TaskTrackerToken;

use crate::accept;
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

/// Starts a worker that accepts from these listeners.
///
/// # Errors
/// When there can be no thread, or no runtime on it.
pub(crate) fn start(
    number: usize,
    listeners: Vec<TcpListener>,
    shared: Shared,
) -> std::io::Result<()> {
    let runtime = Builder::new_current_thread().enable_all().build()?;
    let listeners = adopt(&runtime, listeners)?;
    // Held from before the thread runs: an end that comes at once waits for its loops too.
    let token = shared.accepting.token();
    let thread = std::thread::Builder::new().name(format!("worker-{number}"));
    thread.spawn(move || {
        LocalSet::new().block_on(&runtime, work(listeners, shared, token));
    })?;
    Ok(())
}

fn adopt(
    runtime: &Runtime,
    listeners: Vec<TcpListener>,
) -> std::io::Result<Vec<tokio::net::TcpListener>> {
    let _entered = runtime.enter();
    listeners.into_iter().map(tokio::net::TcpListener::from_std).collect()
}

async fn work(
    listeners: Vec<tokio::net::TcpListener>,
    shared: Shared,
    accepting: TaskTrackerToken,
) {
    let worker = Rc::new(shared.engines.worker());
    tokio::task::spawn_local(worker.clone().keep_time());
    for listener in listeners {
        let accepting = accepting.clone();
        let accept = accept::run(
            listener,
            worker.clone(),
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
