//! Listeners of caches: whoever wants to be told of what changes in one.

use std::collections::HashMap;
use std::sync::Arc;

use muster_grid::Space;
use muster_grid::watch::Changes;
use parking_lot::RwLock;

/// Is told of each change of one cache.
pub(crate) type ChangeHandler = Arc<dyn Fn(Changes) + Send + Sync>;

/// Who is told of which cache's changes.
#[derive(Default)]
pub(crate) struct ChangeHandlers {
    handlers: RwLock<HashMap<Space, ChangeHandler>>,
}

impl ChangeHandlers {
    pub(crate) fn set(&self, space: Space, handler: ChangeHandler) {
        self.handlers.write().insert(space, handler);
    }

    pub(crate) fn tell(&self, changes: Changes) {
        if let Some(handler) = self.handlers.read().get(&changes.group.space) {
            handler(changes);
        }
    }
}
