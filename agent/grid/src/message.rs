//! What members tell each other about rows.

use crate::batch::{Reply, Request};
use crate::segment::Place;
use crate::store::{Effect, WholeGroup};
use muster_cluster::{Epoch, RowId};
use serde::{Deserialize, Serialize};
use smallvec::SmallVec;
use std::sync::Arc;

/// Writes that follow on each other; mostly one.
pub type Items = SmallVec<[Option<Arc<Effect>>; 1]>;

/// Answers that go with writes; mostly none or one.
pub type Answers = SmallVec<[AnswerWith; 1]>;

/// An answer to the only other owner, which needs no word of the primary's once it has the write that
/// the answer waits for: then all owners have it.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct AnswerWith {
    /// What was asked.
    pub attempt: u64,
    /// The incarnation that asked.
    pub life: u64,
    /// The write that it waits for.
    pub point: u64,
    /// The answer.
    pub reply: Reply,
}

/// A primary's copy at the beginning of an epoch.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Begun {
    /// Since which epoch it has led the row without a break. Its writes are numbered on since then.
    pub reign: Epoch,
    /// Whoever has all its writes up to this one or a later one goes on from there.
    pub base: u64,
    /// Its last write before this epoch.
    pub seq: u64,
    /// The digest of its copy after that write.
    pub digest: u64,
}

/// The groups of (after, to], as they were after one write.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Chunk {
    /// After which place.
    pub after: Option<Place>,
    /// Up to which; none for the end.
    pub to: Option<Place>,
    /// After which write.
    pub as_of: u64,
    /// All groups between.
    pub groups: Vec<WholeGroup>,
}

/// Between the members of a view.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum Message {
    /// Do this for me.
    Ask {
        /// Unique for the asker's life.
        attempt: u64,
        /// The incarnation that is asked: a later one does not know what the earlier one did.
        life: u64,
        /// What.
        request: Arc<Request>,
    },
    /// Done.
    Answer {
        /// What was asked.
        attempt: u64,
        /// The incarnation that asked: a later one counts its attempts anew.
        life: u64,
        /// The answer.
        reply: Reply,
    },
    /// From the primary: my copy at the beginning of this epoch. Say when yours is the same.
    Sync {
        /// The epoch.
        epoch: Epoch,
        /// The row.
        row: RowId,
        /// What that is.
        begun: Box<Begun>,
    },
    /// To the primary: send the groups after this place.
    Pull {
        /// The epoch.
        epoch: Epoch,
        /// The row.
        row: RowId,
        /// After which place; none for the beginning.
        after: Option<Place>,
    },
    /// Some groups, whole.
    Chunk {
        /// The epoch.
        epoch: Epoch,
        /// The row.
        row: RowId,
        /// The groups.
        chunk: Box<Chunk>,
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
        items: Items,
        /// Answers to the receiver's own questions that stand once it has these writes.
        answers: Answers,
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
    /// From the primary, whose shelf does not give a group: what is it with you?
    Want {
        /// The epoch.
        epoch: Epoch,
        /// The row.
        row: RowId,
        /// Where the group is.
        place: Place,
    },
    /// This is it. Whoever wanted it sees by its digest whether it is what is missing.
    Have {
        /// The epoch.
        epoch: Epoch,
        /// The row.
        row: RowId,
        /// The group.
        whole: Box<WholeGroup>,
    },
    /// I have all up to this one, but my journal has not taken some: in the place of
    /// [`Message::Appended`], so that nobody hears one without the other.
    Unkept {
        /// The epoch.
        epoch: Epoch,
        /// The row.
        row: RowId,
        /// The last one.
        upto: u64,
        /// The last of those that it has not taken.
        seqs: Vec<u64>,
    },
}

impl Message {
    /// Whether it goes by the lane for bulk, so that it never holds up a call.
    #[must_use]
    pub fn is_bulk(&self) -> bool {
        matches!(self, Self::Chunk { .. } | Self::Pull { .. } | Self::Have { .. })
    }
}
