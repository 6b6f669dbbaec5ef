//! The queue to the collector, and the thread that sends what is in it.
//!
//! A request that is over leaves its spans in the queue, or drops and counts them where it is full;
//! it never waits. What the collector does not take in time is lost and counted.

use std::io;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{Request, StatusCode, header};
use http_body_util::Full;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use tokio::net::TcpStream;
use tokio::runtime::{Builder, Runtime};
use tokio::time::timeout;

use super::otlp;
use super::span::Spans;
use crate::config::{self, Endpoint};

/// How long the end waits for the last spans to be sent.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// Requests by what became of their spans: `sent`; `dropped`, for the queue was full; `failed`, for
/// the collector did not take them.
pub(crate) type SpanCounters = Family<[(&'static str, &'static str); 1], Counter>;

/// The end of the queue that requests see. Dropping it sends what is left, and waits a second at
/// most for that.
#[derive(Debug)]
pub(super) struct Exporter {
    queue: Option<SyncSender<Box<Spans>>>,
    counters: SpanCounters,
    /// Told of the thread's end. Locked by nobody but the one who drops it.
    ended: Mutex<Receiver<()>>,
}

/// Sends batches to the collector.
struct Sender {
    endpoint: Endpoint,
    service: String,
    batch: usize,
    interval: Duration,
    timeout: Duration,
    counters: SpanCounters,
    runtime: Runtime,
    /// Whether the last batch was taken: a collector that is gone is told of once.
    is_heard: bool,
}

/// Why a batch was not taken.
#[derive(Debug, thiserror::Error)]
enum NotTaken {
    #[error("it cannot be connected to")]
    Connect(#[from] io::Error),
    #[error("it does not speak HTTP")]
    Http(#[from] hyper::Error),
    #[error("it answered {0}")]
    Status(StatusCode),
    #[error("it did not answer in time")]
    Late,
    #[error("its address cannot be asked for")]
    Request(#[from] http::Error),
}

// === impl Exporter ===

impl Exporter {
    /// Starts the thread.
    pub(super) fn start(
        endpoint: Endpoint,
        config: &config::Trace,
        counters: SpanCounters,
    ) -> io::Result<Exporter> {
        let (queue, waiting) = sync_channel(config.queue);
        let (end, ended) = sync_channel(1);
        let mut sender = Sender {
            endpoint,
            service: config.service_name.clone(),
            batch: config.batch,
            interval: config.interval,
            timeout: config.timeout,
            counters: counters.clone(),
            runtime: Builder::new_current_thread().enable_all().build()?,
            is_heard: true,
        };
        std::thread::Builder::new().name("trace-export".into()).spawn(move || {
            sender.run(&waiting);
            // Nobody waits where the balancer has gone already.
            let _ = end.try_send(());
        })?;
        Ok(Exporter { queue: Some(queue), counters, ended: Mutex::new(ended) })
    }

    /// Leaves spans for the collector.
    pub(super) fn send(&self, spans: Spans) {
        let is_queued = self.queue.as_ref().is_some_and(|q| q.try_send(Box::new(spans)).is_ok());
        if !is_queued {
            count(&self.counters, "dropped", 1);
        }
    }
}

impl Drop for Exporter {
    fn drop(&mut self) {
        self.queue = None;
        let ended = self.ended.get_mut().unwrap_or_else(PoisonError::into_inner);
        if ended.recv_timeout(LAST_WORDS) == Err(RecvTimeoutError::Timeout) {
            tracing::warn!("the collector of traces does not take the last spans: they are lost");
        }
    }
}

// === impl Sender ===

impl Sender {
    /// Until the queue has ended and is empty.
    fn run(&mut self, waiting: &Receiver<Box<Spans>>) {
        while let Ok(first) = waiting.recv() {
            let mut batch = vec![*first];
            let until = Instant::now() + self.interval;
            while batch.len() < self.batch {
                let left = until.saturating_duration_since(Instant::now());
                match waiting.recv_timeout(left) {
                    Ok(spans) => batch.push(*spans),
                    Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => break,
                }
            }
            self.send(&batch);
        }
    }

    fn send(&mut self, batch: &[Spans]) {
        let body = Bytes::from(otlp::body(batch, &self.service));
        let requests = batch.len() as u64;
        let taken = self.runtime.block_on(async {
            let post = post(&self.endpoint, body);
            timeout(self.timeout, post).await.unwrap_or(Err(NotTaken::Late))
        });
        match taken {
            Ok(()) => {
                count(&self.counters, "sent", requests);
                if !std::mem::replace(&mut self.is_heard, true) {
                    tracing::info!(endpoint = %self.endpoint, "spans are taken again");
                }
            }
            Err(error) => {
                count(&self.counters, "failed", requests);
                if std::mem::replace(&mut self.is_heard, false) {
                    let endpoint = &self.endpoint;
                    let error: &dyn std::error::Error = &error;
                    tracing::warn!(%endpoint, error, "the collector takes no spans: they are lost");
                }
            }
        }
    }
}

fn count(counters: &SpanCounters, outcome: &'static str, requests: u64) {
    counters.get_or_create(&[("outcome", outcome)]).inc_by(requests);
}

/// One batch, on a connection of its own: there is one a second, or one for hundreds of requests.
async fn post(endpoint: &Endpoint, body: Bytes) -> Result<(), NotTaken> {
    let stream = TcpStream::connect(endpoint.address()).await?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    let request = Request::post(endpoint.path())
        .header(header::HOST, endpoint.authority())
        .header(header::CONTENT_TYPE, "application/json")
        .header(header::CONNECTION, "close")
        .body(Full::new(body))?;
    let answered = async {
        let answer = sender.send_request(request).await?;
        match answer.status() {
            status if status.is_success() => Ok(()),
            status => Err(NotTaken::Status(status)),
        }
    };
    tokio::select! {
        answered = answered => answered,
        Err(error) = connection => Err(error.into()),
    }
}
