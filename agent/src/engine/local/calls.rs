//! Commands done by this process.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use muster_cluster::MemberId;
use parking_lot::Mutex;
use tokio::sync::{Semaphore, mpsc, oneshot};
use tokio_util::sync::CancellationToken;

use crate::engine::MOST_NAME;
use crate::engine::dispatch::{Answers, CallError, Dispatch, Handler, Targets};

/// Commands that this process does at a time, at most.
const MOST_RUNNING: usize = 4096;

/// The handlers of this process by service, and how many of their commands may run.
pub(crate) struct Services {
    handlers: Mutex<HashMap<String, Arc<dyn Handler>>>,
    running: Arc<Semaphore>,
}

/// A command that was begun.
pub(crate) type Running = oneshot::Receiver<Result<Bytes, CallError>>;

// === impl Services ===

impl Default for Services {
    fn default() -> Self {
        let running = Arc::new(Semaphore::new(MOST_RUNNING));
        Self { handlers: Mutex::default(), running }
    }
}

impl Services {
    pub(crate) fn register(&self, service: &str, handler: Arc<dyn Handler>) {
        if !(1..=MOST_NAME).contains(&service.len()) {
            // The trait has no error for it, and every call of it is refused in this sentence.
            tracing::warn!(service, "a service's name must have 1 to 128 bytes: not registered");
            return;
        }
        self.handlers.lock().insert(service.to_owned(), handler);
    }

    pub(crate) fn unregister(&self, service: &str) {
        self.handlers.lock().remove(service);
    }

    /// Does a command in a task of its own: nobody who stops waiting ends it halfway. `done` is
    /// called once, with what it came to.
    pub(crate) fn begin(
        &self,
        me: MemberId,
        from: MemberId,
        service: &str,
        command: Bytes,
        done: impl FnOnce(Result<Bytes, String>) + Send + 'static,
    ) -> Result<(), CallError> {
        let handler = self.handlers.lock().get(service).cloned();
        let Some(handler) = handler else {
            return Err(CallError::NoService { member: me, service: service.to_owned() });
        };
        let Ok(permit) = self.running.clone().try_acquire_owned() else {
            return Err(CallError::Refused("too many commands are under way"));
        };
        let mut done = Done(Some(done));
        tokio::spawn(async move {
            let answer = handler.handle(from, command).await;
            drop(permit);
            done.say(answer);
        });
        Ok(())
    }
}

/// Says what a command came to: also when its handler panicked.
struct Done<F: FnOnce(Result<Bytes, String>)>(Option<F>);

impl<F: FnOnce(Result<Bytes, String>)> Done<F> {
    fn say(&mut self, answer: Result<Bytes, String>) {
        if let Some(done) = self.0.take() {
            done(answer);
        }
    }
}

impl<F: FnOnce(Result<Bytes, String>)> Drop for Done<F> {
    fn drop(&mut self) {
        self.say(Err("the handler panicked".to_owned()));
    }
}

/// What a command that was begun here comes to.
pub(crate) async fn outcome(
    begun: Result<Running, CallError>,
    deadline: Duration,
    closed: &CancellationToken,
) -> Result<Bytes, CallError> {
    let running = begun?;
    tokio::select! {
        biased;
        answer = running => answer.unwrap_or(Err(CallError::Closed)),
        () = closed.cancelled() => Err(CallError::Closed),
        () = tokio::time::sleep(deadline) => Err(CallError::Late(deadline)),
    }
}

/// Commands to the only member.
pub(super) struct LocalCalls {
    me: MemberId,
    services: Services,
    closed: CancellationToken,
}

// === impl LocalCalls ===

impl LocalCalls {
    pub(super) fn new(me: MemberId, closed: CancellationToken) -> Self {
        Self { me, services: Services::default(), closed }
    }

    fn begin(&self, member: MemberId, service: &str, command: Bytes) -> Result<Running, CallError> {
        if self.closed.is_cancelled() {
            return Err(CallError::Closed);
        }
        if member != self.me {
            return Err(CallError::Left(member));
        }
        let (answer, running) = oneshot::channel();
        self.services.begin(self.me, self.me, service, command, |done| {
            // Whoever waits no more does not want to know.
            let _ = answer.send(done.map_err(CallError::Failed));
        })?;
        Ok(running)
    }
}

#[async_trait]
impl Dispatch for LocalCalls {
    fn register(&self, service: &str, handler: Arc<dyn Handler>) {
        self.services.register(service, handler);
    }

    fn unregister(&self, service: &str) {
        self.services.unregister(service);
    }

    async fn call(
        &self,
        member: MemberId,
        service: &str,
        command: Bytes,
        deadline: Duration,
    ) -> Result<Bytes, CallError> {
        outcome(self.begin(member, service, command), deadline, &self.closed).await
    }

    async fn cast(
        &self,
        targets: Targets,
        service: &str,
        command: Bytes,
        deadline: Duration,
    ) -> Answers {
        let targets = match targets {
            Targets::All => vec![self.me],
            Targets::AllBut(others) if others.contains(&self.me) => Vec::new(),
            Targets::AllBut(_) => vec![self.me],
            Targets::Some(members) => members,
        };
        let (answer, answers) = mpsc::channel(targets.len().max(1));
        for member in targets {
            let begun = self.begin(member, service, command.clone());
            let (answer, closed) = (answer.clone(), self.closed.clone());
            tokio::spawn(async move {
                let outcome = outcome(begun, deadline, &closed).await;
                // There is room for each, and nobody need want them.
                let _ = answer.send((member, outcome)).await;
            });
        }
        Answers::new(answers)
    }
}
