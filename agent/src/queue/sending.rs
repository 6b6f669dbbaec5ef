//! What a message may say of itself.

use std::time::Duration;

use bytes::Bytes;

use crate::engine::Token;
use crate::engine::queue::Msg;

/// What a message says of itself. By default nothing.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Sending {
    delay: Option<Duration>,
    ttl: Option<Duration>,
    group: Option<String>,
    id: Option<String>,
    by: Option<(String, Token)>,
}

// === impl Sending ===

impl Sending {
    /// Nothing.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// It is delivered only after so long.
    #[must_use]
    pub fn delay(mut self, delay: Duration) -> Self {
        self.delay = Some(delay);
        self
    }

    /// It is not delivered after so long.
    #[must_use]
    pub fn ttl(mut self, ttl: Duration) -> Self {
        self.ttl = Some(ttl);
        self
    }

    /// Messages of one group come in order, one at a time: the next when this one is done or dead.
    /// A name of at most 1,000 bytes.
    #[must_use]
    pub fn group(mut self, group: impl Into<String>) -> Self {
        self.group = Some(group.into());
        self
    }

    /// Of two messages with one id only the first counts, as long as the queue remembers it. At most
    /// 1,000 bytes. With an id a publication of unknown end is tried again by itself.
    #[must_use]
    pub fn id(mut self, id: impl Into<String>) -> Self {
        self.id = Some(id.into());
        self
    }

    /// It is published under a lease: refused ([`QueueError::Fenced`](super::QueueError::Fenced)), and
    /// never delivered, when the queue has seen a greater token of that name. For what a singleton or a
    /// job publishes: give its name and the token of its start, and one that was frozen and followed by
    /// another publishes nothing any more. A name of at most 1,000 bytes; the token lives as long as the
    /// queue, of 10,000 names at most.
    #[must_use]
    pub fn fenced_by(mut self, name: impl Into<String>, token: Token) -> Self {
        self.by = Some((name.into(), token));
        self
    }

    pub(super) fn with(self, body: Bytes) -> Msg {
        let Self { delay, ttl, group, id, by } = self;
        Msg { body, dedup: id, delay, ttl, group, by }
    }
}
