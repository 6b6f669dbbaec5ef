//! Sessions whose values go to the store and come back: told to listeners by the session's primary.

use std::sync::Weak;

use muster_grid::Bytes;
use tokio::sync::broadcast::error::RecvError;
use tokio_util::sync::CancellationToken;

use super::manager::Inner;
use crate::engine::map::{MemoryChange, MemoryChanges};

/// Follows what is in memory until the sessions are dropped or stopped.
pub(super) async fn follow(
    sessions: Weak<Inner>,
    mut changes: MemoryChanges,
    closed: CancellationToken,
) {
    loop {
        let change = tokio::select! {
            change = changes.recv() => change,
            () = closed.cancelled() => return,
        };
        let Some(inner) = sessions.upgrade() else { return };
        match change {
            Ok(change) => inner.memory_changed(&change),
            Err(RecvError::Lagged(missed)) => {
                let application = &inner.application;
                tracing::warn!(missed, application, "passivations were not told to listeners");
            }
            Err(RecvError::Closed) => return,
        }
    }
}

impl Inner {
    fn memory_changed(&self, change: &MemoryChange) {
        let Some(events) = &self.events else { return };
        let text = |id: &Bytes| String::from_utf8_lossy(id).into_owned();
        match change {
            MemoryChange::Passivated(id) if self.leads(id) => events.passivated(text(id)),
            MemoryChange::Activated(id) if self.leads(id) => events.activated(text(id)),
            // A backup's copy: its primary tells of its own.
            MemoryChange::Passivated(_) | MemoryChange::Activated(_) => {}
        }
    }

    fn leads(&self, id: &[u8]) -> bool {
        let me = self.engine.group().local().id;
        self.map.owners(id).first().is_some_and(|primary| primary.id == me)
    }
}
