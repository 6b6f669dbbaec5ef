//! What runs: a term, from its start to its end.

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::future::BoxFuture;
use parking_lot::Mutex;
use serde::Serialize;
use tokio_util::sync::CancellationToken;

use crate::cluster::{CodecError, codec};
use crate::engine::Token;

/// Why a service failed, in its own words.
pub type Failure = Box<dyn std::error::Error + Send + Sync>;

/// A service with a start and a stop.
#[async_trait]
pub trait Service: Send + Sync + 'static {
    /// Begins it. It may return when it has begun, or go on until `term` is stopped. An error before
    /// that gives the service to another member.
    ///
    /// # Errors
    /// In the service's own words, for the log.
    async fn start(&self, term: Term) -> Result<(), Failure>;

    /// Ends it; called once for each start that did not fail. It has ended when both have returned.
    async fn stop(&self) {}
}

/// The time in which this member runs a service: from its start until it shall stop.
#[derive(Clone, Debug)]
pub struct Term {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    name: String,
    node: String,
    token: Token,
    stop: CancellationToken,
    value: Arc<Mutex<Option<Bytes>>>,
}

// === impl Term ===

impl Term {
    pub(super) fn new(
        name: &str,
        node: &str,
        token: Token,
        value: Arc<Mutex<Option<Bytes>>>,
    ) -> Self {
        let (name, node, stop) = (name.to_owned(), node.to_owned(), CancellationToken::new());
        Self { inner: Arc::new(Inner { name, node, token, stop, value }) }
    }

    /// The singleton's name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.inner.name
    }

    /// This member's name.
    #[must_use]
    pub fn node(&self) -> &str {
        &self.inner.node
    }

    /// Greater than that of every earlier term, on whatever member. Give it to what shall not take
    /// an earlier one's writes any more: [`Cache::fenced_by`](crate::Cache::fenced_by).
    #[must_use]
    pub fn token(&self) -> Token {
        self.inner.token
    }

    /// Returns when the service shall stop. A process that is frozen learns of it when it goes on:
    /// until then its token guards what checks it.
    pub async fn stopped(&self) {
        self.inner.stop.cancelled().await;
    }

    /// Whether it may go on.
    #[must_use]
    pub fn is_active(&self) -> bool {
        !self.inner.stop.is_cancelled()
    }

    /// What [`Singleton::value`](super::Singleton::value) says from now on, on every member, while
    /// this one runs it.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn publish<T: Serialize>(&self, value: &T) -> Result<(), CodecError> {
        let bytes = codec::encode(value)?.into();
        // One that was told to stop says nothing beside its successor on this member.
        if self.is_active() {
            *self.inner.value.lock() = Some(bytes);
        }
        Ok(())
    }

    /// The same term, with an end of its own.
    pub(super) fn child(&self) -> Self {
        let Inner { name, node, token, value, .. } = &*self.inner;
        Self::new(name, node, *token, value.clone())
    }

    pub(super) fn stop(&self) {
        self.inner.stop.cancel();
        *self.inner.value.lock() = None;
    }
}

/// One term of a service, whole.
pub(super) async fn run(service: Arc<dyn Service>, term: Term) -> Result<(), Failure> {
    let started = service.start(term.clone());
    tokio::pin!(started);
    tokio::select! {
        biased;
        started = started.as_mut() => {
            started?;
            term.stopped().await;
            service.stop().await;
            Ok(())
        }
        () = term.stopped() => {
            let ((), started) = futures_util::future::join(service.stop(), started).await;
            started
        }
    }
}

pub(super) type Start = dyn Fn(Term) -> BoxFuture<'static, Result<(), Failure>> + Send + Sync;
pub(super) type Stop = dyn Fn() -> BoxFuture<'static, ()> + Send + Sync;

/// A service out of closures.
pub(super) struct Closures {
    pub(super) start: Box<Start>,
    pub(super) stop: Option<Box<Stop>>,
}

#[async_trait]
impl Service for Closures {
    async fn start(&self, term: Term) -> Result<(), Failure> {
        (self.start)(term).await
    }

    async fn stop(&self) {
        if let Some(stop) = &self.stop {
            stop().await;
        }
    }
}
