//! What members tell each other about rows.

use crate::batch::{Reply, Request};
use crate::segment::Group;
use crate::store::{Effect, WholeGroup};
use muster_cluster::{Epoch, RowId};
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// Between the members of a view.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum Message {
    /// Do this for me.
    Ask {
        /// Unique for the asker's life.
        attempt: u64,
        /// What.
        request: Request,
    },
    /// Done.
    Answer {
        /// What was asked.
        attempt: u64,
        /// The answer.
        reply: Reply,
    },
    /// From the primary: my copy at the beginning of this epoch. Say when yours is the same.
    Sync {
        /// The epoch.
        epoch: Epoch,
        /// The row.
        row: RowId,
        /// The digest of the primary's copy before its first write of the epoch.
        digest: u64,
    },
    /// To the primary: send the groups after this one.
    Pull {
        /// The epoch.
        epoch: Epoch,
        /// The row.
        row: RowId,
        /// After which group; none for the beginning.
        after: Option<Group>,
    },
    /// Some groups, whole.
    Chunk {
        /// The epoch.
        epoch: Epoch,
        /// The row.
        row: RowId,
        /// After which group.
        after: Option<Group>,
        /// Up to which; none for the end.
        to: Option<Group>,
        /// All groups between, as they were after this write of the epoch.
        as_of: u64,
        /// The groups.
        groups: Arc<Vec<WholeGroup>>,
    },
    /// My copy is the primary's.
    Synced {
        /// The epoch.
        epoch: Epoch,
        /// The row.
        row: RowId,
    },
    /// Writes, in order. An empty one is a read's question whether this is still the epoch.
    Append {
        /// The epoch.
        epoch: Epoch,
        /// The row.
        row: RowId,
        /// The number of the first.
        first: u64,
        /// The writes.
        items: Vec<Option<Arc<Effect>>>,
    },
    /// I have all up to this one.
    Appended {
        /// The epoch.
        epoch: Epoch,
        /// The row.
        row: RowId,
        /// The last one.
        upto: u64,
    },
    /// From the primary, now and then: is your copy still mine?
    Check {
        /// The epoch.
        epoch: Epoch,
        /// The row.
        row: RowId,
        /// After which write.
        seq: u64,
        /// The primary's digest then.
        digest: u64,
    },
}

impl Message {
    /// Whether it goes by the lane for bulk, so that it never holds up a call.
    #[must_use]
    pub fn is_bulk(&self) -> bool {
        matches!(self, Self::Chunk { .. } | Self::Pull { .. })
    }
}
