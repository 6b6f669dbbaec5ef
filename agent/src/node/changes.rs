//! Listeners of caches: whoever wants to be told of what changes in one.

use std::collections::HashMap;
use std::sync::Arc;

use muster_grid::watch::Changes;
use muster_grid::{Shelved, Space};
use parking_lot::RwLock;

/// Is told of each change of one cache.
pub(crate) type ChangeHandler = Arc<dyn Fn(Changes) + Send + Sync>;

/// Is told what one cache's shelf does.
pub(crate) type ShelfHandler = Arc<dyn Fn(Shelved) + Send + Sync>;

/// Who is told of which cache's changes, and of which one's shelf.
#[derive(Default)]
pub(crate) struct ChangeHandlers {
    handlers: RwLock<HashMap<Space, ChangeHandler>>,
    shelves: RwLock<HashMap<Space, ShelfHandler>>,
}

impl ChangeHandlers {
    pub(crate) fn set(&self, space: Space, handler: ChangeHandler) {
        self.handlers.write().insert(space, handler);
    }

    pub(crate) fn set_shelf(&self, space: Space, handler: ShelfHandler) {
        self.shelves.write().insert(space, handler);
    }

    pub(crate) fn tell_shelved(&self, shelved: Shelved) {
        let space = match &shelved {
            Shelved::Passivated(group) | Shelved::Activated(group) => group.space,
            Shelved::Failed { space, .. } => *space,
        };
        if let Some(handler) = self.shelves.read().get(&space) {
            handler(shelved);
        }
    }

    pub(crate) fn tell(&self, changes: Changes) {
        if let Some(handler) = self.handlers.read().get(&changes.group.space) {
            handler(changes);
        }
    }
}
