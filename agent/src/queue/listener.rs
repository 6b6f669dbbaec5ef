//! Handlers at work until they are stopped.

use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Weak};
use std::time::Duration;

use futures_util::FutureExt as _;
use parking_lot::Mutex;
use tokio::sync::Mutex as AsyncMutex;
use tokio::task::{JoinError, JoinSet};
use tokio::time::{Instant, timeout_at};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::{debug, warn};

use super::envelope::{self, ReplyTo};
use super::received::Ending;
use super::{Message, Queue, Received, request};
use crate::engine::queue::Delivery;

/// Settings of a listener. Each has a default.
#[derive(Debug)]
#[must_use = "it does nothing until it is started"]
pub struct ListenerBuilder<T> {
    queue: Queue<T>,
    settings: Settings,
}

#[derive(Clone, Copy, Debug)]
struct Settings {
    concurrency: usize,
    credits: Option<usize>,
    backoff: Duration,
    most_backoff: Duration,
    grace: Duration,
}

/// A listener at work. Dropping it ends it: what nobody has begun is given back at once, what a
/// handler is at is handled to its end within the grace.
#[derive(Debug)]
#[must_use = "dropping it ends the listener"]
pub struct Listener {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    stop: CancellationToken,
    tasks: TaskTracker,
}

/// The listeners of a process, which stop when it leaves the cluster.
#[derive(Debug, Default)]
pub(crate) struct Listeners {
    all: Mutex<Vec<Weak<Inner>>>,
}

/// What a handler makes of a message.
enum Outcome {
    Done(Option<Result<Vec<u8>, String>>),
    Failed(String),
}

// === impl ListenerBuilder ===

impl<T: Message> ListenerBuilder<T> {
    pub(super) fn new(queue: Queue<T>) -> Self {
        let settings = Settings {
            concurrency: 1,
            credits: None,
            backoff: Duration::from_millis(100),
            most_backoff: Duration::from_secs(30),
            grace: Duration::from_secs(5),
        };
        Self { queue, settings }
    }

    /// Messages that are handled at a time. Default: 1.
    pub fn concurrency(mut self, concurrency: usize) -> Self {
        self.settings.concurrency = concurrency.max(1);
        self
    }

    /// Messages that this member may have at a time, handled or waiting for a handler here: more than
    /// the concurrency where they are handled faster than they come. Those that wait are not
    /// another's, and their time runs. Default: as many as the concurrency.
    pub fn credits(mut self, credits: usize) -> Self {
        self.settings.credits = Some(credits);
        self
    }

    /// The pause before a message comes again whose handler failed: doubled with each try, up to the
    /// second one. Default: 100 ms, 30 s.
    pub fn backoff(mut self, first: Duration, most: Duration) -> Self {
        (self.settings.backoff, self.settings.most_backoff) = (first, most.max(first));
        self
    }

    /// How long handlers may go on when the listener ends; those that are not done then are stopped
    /// and their messages given back. Default: 5 s.
    pub fn grace(mut self, grace: Duration) -> Self {
        self.settings.grace = grace;
        self
    }

    /// Gives messages to a handler: see [`Queue::listen`]. What it answers goes nowhere.
    pub fn start<H, F, R, E>(self, handler: H) -> Listener
    where
        H: Fn(Received<T>) -> F + Send + Sync + 'static,
        F: Future<Output = Result<R, E>> + Send + 'static,
        R: Send + 'static,
        E: std::fmt::Display + Send + 'static,
    {
        self.handle(handler, |handled| match handled {
            Ok(_) => Outcome::Done(None),
            Err(error) => Outcome::Failed(error.to_string()),
        })
    }

    /// Gives messages to a handler whose answer goes to whoever waits for it ([`Queue::request`]). An
    /// error is an answer too, and the message is done with it; where nobody waits, or after a panic,
    /// it comes again.
    pub fn respond<H, F, R, E>(self, handler: H) -> Listener
    where
        H: Fn(Received<T>) -> F + Send + Sync + 'static,
        F: Future<Output = Result<R, E>> + Send + 'static,
        R: Message,
        E: std::fmt::Display + Send + 'static,
    {
        self.handle(handler, |handled| {
            let answer = match handled {
                Ok(answer) => envelope::plain(&answer).map_err(|error| error.to_string()),
                Err(error) => Err(error.to_string()),
            };
            Outcome::Done(Some(answer))
        })
    }

    /// With what becomes of a message whose handler came to its end.
    fn handle<H, F, R, E>(self, handler: H, outcome: fn(Result<R, E>) -> Outcome) -> Listener
    where
        H: Fn(Received<T>) -> F + Send + Sync + 'static,
        F: Future<Output = Result<R, E>> + Send + 'static,
        R: 'static,
        E: 'static,
    {
        let handler = Arc::new(handler);
        self.run(move |received| {
            let handled = AssertUnwindSafe(handler(received)).catch_unwind();
            async move {
                match handled.await {
                    Ok(handled) => outcome(handled),
                    Err(_) => Outcome::Failed("its handler panicked".to_owned()),
                }
            }
        })
    }

    fn run<H, F>(self, handler: H) -> Listener
    where
        H: Fn(Received<T>) -> F + Send + Sync + 'static,
        F: Future<Output = Outcome> + Send + 'static,
    {
        let inner = Arc::new(Inner { stop: CancellationToken::new(), tasks: TaskTracker::new() });
        let cluster = self.queue.cluster.clone();
        cluster.listeners().add(&inner);
        let (settings, stop) = (self.settings, inner.stop.clone());
        let worker = Worker { queue: self.queue, settings, handler, stop };
        inner.tasks.spawn(Arc::new(worker).run());
        inner.tasks.close();
        Listener { inner }
    }
}

// === impl Listener ===

impl Listener {
    /// Ends it: no message comes any more. Returns when its handlers are done, or the grace is over.
    pub async fn stop(self) {
        self.inner.stop().await;
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        self.inner.stop.cancel();
    }
}

impl Inner {
    async fn stop(&self) {
        self.stop.cancel();
        self.tasks.wait().await;
    }
}

// === impl Listeners ===

impl Listeners {
    fn add(&self, listener: &Arc<Inner>) {
        let mut all = self.all.lock();
        all.retain(|listener| listener.strong_count() > 0);
        all.push(Arc::downgrade(listener));
    }

    /// Ends all of them, all at once.
    pub(crate) async fn stop(&self) {
        let all: Vec<Arc<Inner>> = self.all.lock().drain(..).filter_map(|l| l.upgrade()).collect();
        all.iter().for_each(|listener| listener.stop.cancel());
        for listener in all {
            listener.stop().await;
        }
    }
}

/// What a listener's task does.
struct Worker<T, H> {
    queue: Queue<T>,
    settings: Settings,
    handler: H,
    stop: CancellationToken,
}

/// A message that a handler is at: given back at once when the handler is stopped.
struct Handled {
    ending: Ending,
    tries: u32,
}

impl<T, H, F> Worker<T, H>
where
    T: Message,
    H: Fn(Received<T>) -> F + Send + Sync + 'static,
    F: Future<Output = Outcome> + Send + 'static,
{
    async fn run(self: Arc<Self>) {
        let Settings { concurrency, credits, grace, .. } = self.settings;
        let mut consumer = self.queue.below.consume(credits.unwrap_or(concurrency).max(1)).await;
        let mut handlers = JoinSet::new();
        loop {
            while handlers.len() >= concurrency {
                tokio::select! {
                    () = self.stop.cancelled() => break,
                    ended = handlers.join_next() => told(ended),
                }
            }
            tokio::select! {
                // A message that came is not taken after the end.
                biased;
                () = self.stop.cancelled() => break,
                delivery = consumer.next() => match delivery {
                    Some(delivery) => _ = handlers.spawn(self.clone().handle(delivery)),
                    None => break,
                },
            }
            while let Some(ended) = handlers.try_join_next() {
                told(Some(ended));
            }
        }
        drop(consumer);
        let ends = Instant::now() + grace;
        while let Ok(Some(ended)) = timeout_at(ends, handlers.join_next()).await {
            told(Some(ended));
        }
        if !handlers.is_empty() {
            warn!(
                queue = self.queue.name(),
                handlers = handlers.len(),
                "handlers did not end in time: \
                their messages are given back"
            );
        }
        // A handler that is stopped leaves its message to be given back.
        handlers.shutdown().await;
    }

    async fn handle(self: Arc<Self>, delivery: Delivery) {
        let Delivery { body, tries, group, ending } = delivery;
        let ending: Ending = Arc::new(AsyncMutex::new(ending));
        let handled = Handled { ending: ending.clone(), tries };
        let (reply_to, value) = match envelope::open(&body) {
            Ok(read) => read,
            Err(error) => {
                let why = error.to_string();
                return self.end(handled, None, Outcome::Failed(why)).await;
            }
        };
        let guard = GiveBack { handled: Some(handled), runtime: tokio::runtime::Handle::current() };
        let outcome = (self.handler)(Received { value, tries, group, ending }).await;
        if let Some(handled) = guard.done() {
            self.end(handled, reply_to, outcome).await;
        }
    }

    /// Done, or to come again.
    async fn end(&self, handled: Handled, reply_to: Option<ReplyTo>, outcome: Outcome) {
        let mut ending = handled.ending.lock().await;
        let name = self.queue.name();
        let ended = match outcome {
            Outcome::Done(answer) => {
                if let (Some(to), Some(answer)) = (reply_to, answer) {
                    request::answer(&self.queue.cluster, to, answer).await;
                    ending.ack().await
                } else {
                    ending.ack().await
                }
            }
            Outcome::Failed(why) => {
                let pause = self.settings.pause(handled.tries);
                warn!(
                    queue = name,
                    tries = handled.tries,
                    why,
                    ?pause,
                    "a message was not handled"
                );
                ending.nack(pause).await
            }
        };
        if let Err(error) = ended {
            debug!(queue = name, %error, "the end of a message was not taken: it may come again");
        }
    }
}

fn told(ended: Option<Result<(), JoinError>>) {
    if let Some(Err(error)) = ended {
        warn!(%error, "a listener's handler ended badly");
    }
}

impl Settings {
    /// The pause after a failed try: doubled each time.
    fn pause(&self, tries: u32) -> Duration {
        let doubled = 1_u32.checked_shl(tries.saturating_sub(1)).unwrap_or(u32::MAX);
        self.backoff.saturating_mul(doubled).min(self.most_backoff)
    }
}

/// Gives a message back when its handler is stopped.
struct GiveBack {
    handled: Option<Handled>,
    runtime: tokio::runtime::Handle,
}

impl GiveBack {
    fn done(mut self) -> Option<Handled> {
        self.handled.take()
    }
}

impl Drop for GiveBack {
    fn drop(&mut self) {
        let Some(handled) = self.handled.take() else { return };
        self.runtime.spawn(async move {
            let mut ending = handled.ending.lock().await;
            // When it is not heard, its time is over sooner or later.
            let _ = ending.nack(Duration::ZERO).await;
        });
    }
}
