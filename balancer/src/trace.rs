//! Which trace a request is part of, and the spans that tell of it.
//!
//! | module | idea |
//! |---|---|
//! | `context` | W3C Trace Context, a pure function |
//! | `span` | what is told of a request and of each of its attempts |
//! | `otlp` | spans as a collector reads them |
//! | `export` | the queue to the collector, and who sends |
//!
//! Off by default: then nothing of this is on the way of a request, and what clients say of traces
//! reaches nodes as it is.

mod context;
mod export;
mod otlp;
mod span;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Instant, SystemTime};

use muster_http1::TraceLines;
use muster_routing::node::Node;

pub use self::context::{Context, Parent, Ratio, SpanId, TraceId};
use self::export::Exporter;
pub(crate) use self::export::SpanCounters;
use self::span::{Attempt, Request, Spans};
use crate::config;
use crate::proxy::Ending;

/// Begins and ends the traces of requests.
#[derive(Debug)]
pub(crate) struct Tracer {
    ratio: Ratio,
    exporter: Option<Exporter>,
}

/// The trace of a request under way.
#[derive(Debug)]
pub(crate) struct Trace {
    context: Context,
    /// The span of the attempt under way.
    child: SpanId,
    /// What is told of it at its end, where it is recorded.
    recorded: Option<Recorded>,
}

#[derive(Debug)]
struct Recorded {
    began: SystemTime,
    host: Box<str>,
    is_tls: bool,
    attempts: Vec<Attempt>,
}

/// What a trace begins with.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Opening<'r> {
    /// The client's `traceparent`, where there is one of it.
    pub(crate) parent: Option<&'r [u8]>,
    /// Whom the request asked for.
    pub(crate) host: &'r str,
    /// Whether the client came over TLS.
    pub(crate) is_tls: bool,
}

/// How a traced request ended, beside what the log is told.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Closing<'r> {
    pub(crate) ending: Ending<'r>,
    pub(crate) started: Instant,
    pub(crate) context: Option<&'r str>,
    /// Why it got an answer of our own.
    pub(crate) refused: Option<&'static str>,
}

// === impl Tracer ===

impl Tracer {
    /// `None` when traces are off.
    ///
    /// # Errors
    /// When the thread that sends cannot be started.
    pub(crate) fn start(
        config: &config::Trace,
        counters: SpanCounters,
    ) -> std::io::Result<Option<Tracer>> {
        if !config.is_on() {
            return Ok(None);
        }
        let exporter = match &config.endpoint {
            Some(endpoint) => Some(Exporter::start(endpoint.clone(), config, counters)?),
            None => None,
        };
        Ok(Some(Tracer { ratio: Ratio::new(config.ratio), exporter }))
    }

    /// The trace of a request that came in.
    pub(crate) fn begin(&self, opening: Opening<'_>) -> Trace {
        let Opening { parent, host, is_tls } = opening;
        let context = Context::follow(parent.and_then(Parent::parse), self.ratio, rand::random());
        let is_recorded = self.exporter.is_some() && context.is_sampled();
        let recorded = is_recorded.then(|| Recorded {
            began: SystemTime::now(),
            host: host.into(),
            is_tls,
            attempts: Vec::new(),
        });
        Trace { context, child: context.span, recorded }
    }

    /// The request is over: what is recorded of it goes to the queue.
    pub(crate) fn end(&self, trace: Trace, closing: Closing<'_>) {
        let (Some(exporter), Some(recorded)) = (&self.exporter, trace.recorded) else { return };
        let Recorded { began, host, is_tls, mut attempts } = recorded;
        let Closing { ending, started, context, refused } = closing;
        let ended = Instant::now();
        if let Some(last) = attempts.last_mut().filter(|last| last.ended.is_none()) {
            last.ended = Some(ended);
            match refused {
                None => last.status = ending.status,
                Some(word) => last.error = Some(word),
            }
        }
        let (path, query) = split(ending.target);
        let request = Request {
            method: ending.method.into(),
            path,
            query,
            host,
            is_tls,
            version: ending.version,
            client: ending.client,
            route: context.map(Into::into),
            status: ending.status,
            refused,
        };
        let clock = span::Clock { began, started };
        exporter.send(Spans { context: trace.context, clock, ended, request, attempts });
    }
}

/// Path and query of a target.
fn split(target: &[u8]) -> (Box<str>, Option<Box<str>>) {
    let target = String::from_utf8_lossy(target);
    match target.split_once('?') {
        Some((path, query)) => (path.into(), Some(query.into())),
        None => (target.into(), None),
    }
}

// === impl Trace ===

impl Trace {
    const NAME: &'static [u8] = b"traceparent: ";

    /// The id of the trace.
    pub(crate) fn id(&self) -> TraceId {
        self.context.trace
    }

    /// An attempt begins at this node.
    pub(crate) fn attempt(&mut self, node: &Arc<Node>, socket: SocketAddr, how: &'static str) {
        self.child = SpanId::of(rand::random());
        if let Some(recorded) = &mut self.recorded {
            let (node, id, started) = (node.clone(), self.child, Instant::now());
            let attempt =
                Attempt { id, node, socket, how, started, ended: None, status: None, error: None };
            recorded.attempts.push(attempt);
        }
    }

    /// The attempt has failed, for this reason.
    pub(crate) fn failed(&mut self, why: &'static str) {
        if let Some(last) = self.recorded.as_mut().and_then(|recorded| recorded.attempts.last_mut())
        {
            last.ended = Some(Instant::now());
            last.error = Some(why);
        }
    }

    /// Which of the client's lines a node must not be told.
    pub(crate) fn lines(&self) -> TraceLines {
        match self.context.parent {
            Some(_) => TraceLines::Continued,
            None => TraceLines::Begun,
        }
    }

    /// The `traceparent` of the attempt under way.
    pub(crate) fn value(&self) -> [u8; 55] {
        self.context.traceparent(self.child)
    }

    /// The same as a header line, with its CRLF.
    pub(crate) fn line(&self) -> [u8; 70] {
        let mut line = [0; 70];
        let (name, rest) = line.split_at_mut(Self::NAME.len());
        name.copy_from_slice(Self::NAME);
        rest[..55].copy_from_slice(&self.value());
        rest[55..].copy_from_slice(b"\r\n");
        line
    }
}
