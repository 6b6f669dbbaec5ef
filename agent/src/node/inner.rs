//! The core, and the actions that wait for the disk. Whoever has an event locks it, gives it to the
//! core, and takes with him what is to be done outside of the lock.

use std::collections::VecDeque;
use std::sync::Arc;

use muster_grid::{Action, Core, Reply};
use slab::Slab;
use tokio::sync::oneshot;

use super::ReplyHandler;

use crate::channel::conn::Conn;

/// The core and what belongs to it.
pub(crate) struct Inner {
    /// The core.
    pub(crate) core: Core,
    /// Who waits for the answer to which request.
    pub(crate) asked: Slab<Asker>,
    /// Actions that wait until a file stands on disk.
    pub(crate) held: VecDeque<Action>,
    /// A file is being written.
    pub(crate) is_writing: bool,
    /// It could not be written: nothing is done any more.
    pub(crate) has_failed: bool,
    /// To be done outside of the lock.
    pub(crate) out: Out,
}

/// What is to be done outside of the lock.
#[derive(Default)]
pub(crate) struct Out {
    /// Connections with frames that nobody else writes.
    pub(crate) dirty: Vec<Arc<Conn>>,
    /// Answers.
    pub(crate) done: Vec<(Asker, Reply)>,
}

/// Who waits for an answer.
pub(crate) enum Asker {
    /// A future.
    Future(oneshot::Sender<Reply>),
    /// A handler, with the number that it knows the question by.
    Handler(Arc<dyn ReplyHandler>, u64),
}

impl Asker {
    pub(crate) fn send(self, reply: Reply) {
        match self {
            // Whoever asked may have gone away.
            Self::Future(asker) => _ = asker.send(reply),
            Self::Handler(handler, id) => handler.replied(id, reply),
        }
    }
}

/// When frames go out.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Flush {
    /// At once, by whoever has them.
    Now,
    /// Once tasks that are ready had their turn: they may add more.
    Soon,
}

impl Out {
    /// Does it.
    pub(crate) fn deliver(self, flush: Flush) {
        for conn in self.dirty {
            match flush {
                Flush::Now => conn.out.flush(),
                Flush::Soon => conn.out.flush_soon(),
            }
        }
        for (asker, reply) in self.done {
            asker.send(reply);
        }
    }
}
