//! Sessions whose values go to the store and come back: told to listeners by the session's primary.

use muster_grid::Bytes;

use super::follow::Heard;
use super::manager::Inner;
use crate::engine::map::MemoryChange;

impl Inner {
    /// What is in memory has changed.
    pub(super) fn memory_changed(&self, heard: Heard<MemoryChange>) {
        let Some(events) = &self.events else { return };
        let text = |id: &Bytes| String::from_utf8_lossy(id).into_owned();
        match heard {
            Heard::Told(MemoryChange::Passivated(id)) if self.leads(&id) => {
                events.passivated(text(&id));
            }
            Heard::Told(MemoryChange::Activated(id)) if self.leads(&id) => {
                events.activated(text(&id));
            }
            // A backup's copy: its primary tells of its own.
            Heard::Told(MemoryChange::Passivated(_) | MemoryChange::Activated(_)) => {}
            Heard::Missed(missed) => {
                let application = &self.application;
                tracing::warn!(missed, application, "passivations were not told to listeners");
            }
        }
    }

    pub(super) fn leads(&self, id: &[u8]) -> bool {
        let me = self.engine.group().local().id;
        self.map.owners(id).first().is_some_and(|primary| primary.id == me)
    }
}
