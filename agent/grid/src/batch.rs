//! What may be asked of a group, and the answers.

use crate::bounds::MOST_OPS;
use crate::lease;
use crate::segment::{Bytes, Group, Place, Space};
use muster_cluster::{MemberId, RowId, View};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;
use thiserror::Error;

/// A revision: of an entry, or of a group. Rises with every change; never used twice.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
pub struct Rev {
    /// The counter of the epoch in which it was written.
    pub epoch: u64,
    /// Its place among the row's writes of that epoch.
    pub seq: u64,
}

impl fmt::Debug for Rev {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.epoch, self.seq)
    }
}

/// The token of a checkout. It rises with every checkout of a group.
#[derive(
    Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default, Serialize, Deserialize,
)]
pub struct Fence {
    /// The counter of the epoch in which it was given.
    pub epoch: u64,
    /// Its number in that epoch.
    pub number: u64,
}

/// What an entry must look like for an operation to happen.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum Expect {
    /// Anything.
    Any,
    /// There is none.
    Absent,
    /// It has this revision.
    Rev(Rev),
}

/// A new value.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(from = "SentPut", into = "SentPut")]
pub struct Put {
    /// The value.
    pub value: Bytes,
    /// It goes so long after it was written.
    pub ttl: Option<Duration>,
    /// It goes when it was not read or written for so long.
    pub idle: Option<Duration>,
    /// The writer's wall clock in ms, for the merge policy `latest`. Below 2^63.
    pub stamp: u64,
    /// The group lives by this entry: when its time is over, every entry of the group goes with it,
    /// in one change. Nothing without a `ttl` or `idle`.
    pub ends_group: bool,
}

/// A [`Put`] on the wire. That the group ends with it is the highest bit of the stamp, which no
/// clock reaches: a release without that notion reads and passes on the same bytes.
#[derive(Serialize, Deserialize)]
#[serde(rename = "Put")]
struct SentPut {
    value: Bytes,
    ttl: Option<Duration>,
    idle: Option<Duration>,
    stamp: u64,
}

/// The bit of [`SentPut::stamp`].
const ENDS_GROUP: u64 = 1 << 63;

impl Put {
    /// A value that stays.
    #[must_use]
    pub fn new(value: &[u8]) -> Self {
        Self::of(value.into())
    }

    /// A value that stays and is shared.
    #[must_use]
    pub fn of(value: Bytes) -> Self {
        Self { value, ttl: None, idle: None, stamp: 0, ends_group: false }
    }

    /// Whether it goes by itself at some time.
    #[must_use]
    pub fn expires(&self) -> bool {
        self.ttl.is_some() || self.idle.is_some()
    }
}

impl From<SentPut> for Put {
    fn from(sent: SentPut) -> Self {
        let SentPut { value, ttl, idle, stamp } = sent;
        let ends_group = stamp & ENDS_GROUP != 0;
        Self { value, ttl, idle, stamp: stamp & !ENDS_GROUP, ends_group }
    }
}

impl From<Put> for SentPut {
    fn from(put: Put) -> Self {
        let Put { value, ttl, idle, stamp, ends_group } = put;
        let ends_group = if ends_group { ENDS_GROUP } else { 0 };
        Self { value, ttl, idle, stamp: stamp & !ENDS_GROUP | ends_group }
    }
}

/// One operation of a batch.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Op {
    /// The key within the group.
    pub key: Bytes,
    /// On what condition.
    pub expect: Expect,
    /// The new value, or its removal.
    pub put: Option<Put>,
}

/// These values where nothing is, as operations of batches that are no larger than may be.
pub fn where_absent(values: &[(Bytes, Put)]) -> impl Iterator<Item = Vec<Op>> {
    let op = |(key, put): &(Bytes, Put)| {
        let (key, put) = (key.clone(), Some(put.clone()));
        Op { key, expect: Expect::Absent, put }
    };
    values.chunks(MOST_OPS).map(move |values| values.iter().map(op).collect())
}

/// Changes to one group that happen together or not at all.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Batch {
    /// The group.
    pub group: Group,
    /// At most 1,024 operations.
    pub ops: Vec<Op>,
    /// Under which checkout, and the group's revision that it gave.
    pub under: Option<(Fence, Rev)>,
    /// Whether that checkout ends with it.
    pub release: bool,
    /// Nothing happens when the group was written with a greater token; it remembers this one. A
    /// group that was ever written with a token remembers it, even without entries, as long as its
    /// row keeps an owner.
    pub token: Option<u128>,
}

impl Batch {
    /// A batch outside a checkout, without a token.
    #[must_use]
    pub fn new(group: Group, ops: Vec<Op>) -> Self {
        Self { group, ops, under: None, release: false, token: None }
    }
}

/// What is wanted of a lease.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum LeaseWish {
    /// To hold it, if nobody else does.
    Campaign,
    /// To hold it on.
    Renew(Rev),
    /// To hold it no longer.
    Resign(Rev),
}

/// Something asked of the grid.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum Request {
    /// The entries of a group. Confirmed with every owner: it sees what was acknowledged before.
    Get(Group),
    /// The entries as this member has them, if it is an owner: may be old.
    GetLocal(Group),
    /// Changes.
    Write(Batch),
    /// The lock of a group, and its entries.
    Checkout {
        /// The group.
        group: Group,
        /// It ends by itself after so long.
        hold: Duration,
        /// Whether the primary confirms with every owner first. Without, what is read is proven
        /// by the commit only.
        confirm: bool,
        /// How long to wait for it while another has it, in the order in which the primary was
        /// asked. Then, or at once where it is zero: `Locked`.
        wait: Duration,
    },
    /// The end of a checkout without changes.
    Release(Group, Fence),
    /// A lease.
    Lease {
        /// Its name.
        name: Bytes,
        /// What is wanted.
        wish: LeaseWish,
    },
    /// Entries of the other side of a split.
    Merge {
        /// The group.
        group: Group,
        /// Its entries there.
        entries: BTreeMap<Bytes, Put>,
        /// The highest token it was written with there; 0 for none.
        token: u128,
    },
    /// The groups of a cache in one row, in the order of their places, confirmed like a read. The
    /// rows of a table: [`muster_cluster::View::rows_of`].
    Scan {
        /// The cache.
        space: Space,
        /// The row.
        row: RowId,
        /// After the group of this name, whether it is still there or not; none for the beginning.
        after: Option<Bytes>,
        /// Groups at most, at least one. A page ends earlier with the group that brings it over
        /// [`crate::Limits::chunk`].
        most: u32,
    },
}

impl Request {
    /// The row that it is about.
    #[must_use]
    pub fn row(&self, view: &View) -> RowId {
        match self {
            Self::Get(group)
            | Self::GetLocal(group)
            | Self::Checkout { group, .. }
            | Self::Release(group, _)
            | Self::Merge { group, .. } => group.row(view),
            Self::Write(batch) => batch.group.row(view),
            Self::Lease { name, .. } => Place::of(lease::SPACE, name).row(lease::SPACE.table, view),
            Self::Scan { row, .. } => *row,
        }
    }

    /// The group that it is about.
    #[must_use]
    pub fn group(&self) -> Option<&Group> {
        match self {
            Self::Get(group)
            | Self::GetLocal(group)
            | Self::Checkout { group, .. }
            | Self::Release(group, _)
            | Self::Merge { group, .. } => Some(group),
            Self::Write(batch) => Some(&batch.group),
            Self::Lease { .. } | Self::Scan { .. } => None,
        }
    }

    /// Whether it may be done twice without harm. A checkout may when its primary is gone, and the
    /// lock with it.
    #[must_use]
    pub fn is_repeatable(&self) -> bool {
        match self {
            Self::Get(_) | Self::GetLocal(_) | Self::Merge { .. } => true,
            Self::Checkout { .. } | Self::Scan { .. } => true,
            Self::Write(_) | Self::Release(..) | Self::Lease { .. } => false,
        }
    }
}

/// Why a request is malformed.
#[derive(Clone, PartialEq, Eq, Debug, Error, Serialize, Deserialize)]
pub enum TooLarge {
    /// A name or key.
    #[error("a name or key has {0} bytes: at most 1024 are possible")]
    Name(usize),
    /// A value.
    #[error("a value has {0} bytes: at most {1} are possible")]
    Value(usize, usize),
    /// Operations.
    #[error("a batch has {0} operations: at most 1024 are possible")]
    Ops(usize),
    /// All of a batch.
    #[error("a batch has {0} bytes: at most {1} are possible")]
    Batch(usize, usize),
}

/// The entries of a group, and its revision.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Entries {
    /// Values with their revisions.
    pub entries: BTreeMap<Bytes, (Bytes, Rev)>,
    /// The group's revision: that of its last change.
    pub rev: Rev,
}

/// An answer.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum Reply {
    /// What is there.
    Entries(Entries),
    /// It stands with all owners: the group's new revision.
    Written(Rev),
    /// It is yours.
    Checkout {
        /// What is there.
        entries: Entries,
        /// The token for the commit.
        fence: Fence,
    },
    /// The checkout is over.
    Released,
    /// An expectation did not hold: nothing was changed.
    Conflict {
        /// Which operation.
        at: usize,
    },
    /// The checkout is over or another's, or the token is older than the group's: nothing was
    /// changed.
    Fenced,
    /// Another has the group: nothing was changed.
    Locked,
    /// The lease is the asker's; the token only rises.
    Leased(Rev),
    /// The lease is another's.
    Held(MemberId),
    /// The lease is not the asker's any more.
    NotHeld,
    /// Too few voters are in sight: nothing was changed.
    NotQuorate,
    /// Nobody could take it before its deadline: nothing was changed.
    Unavailable,
    /// A bound was reached: nothing was changed.
    Busy,
    /// It is too large: nothing was changed.
    TooLarge(TooLarge),
    /// It may have happened or not.
    Unknown,
    /// Between members: ask the right one, or later. It did not happen.
    Retry,
    /// A page of a scan: names and entries, in order.
    Groups {
        /// The groups.
        groups: Vec<(Bytes, Entries)>,
        /// Whether the row has no more.
        is_last: bool,
    },
    /// It stands with all owners, the group's new revision, but the journal of one of them has not taken
    /// it: see [`crate::Grid::set_journal`].
    Unkept(Rev),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_put_is_the_same_bytes_as_before_groups_could_end_with_it() {
        let ttl = Some(Duration::from_secs(3));
        let put = Put { ttl, stamp: 5, ..Put::new(b"v") };
        let bytes = postcard::to_stdvec(&put).unwrap();
        assert_eq!(bytes, [1, b'v', 1, 3, 0, 0, 5]);
        let ends = Put { ends_group: true, ..put.clone() };
        let mut sent = postcard::to_stdvec(&ends).unwrap();
        assert_eq!(postcard::from_bytes::<Put>(&sent), Ok(ends));
        // What a release without that notion reads.
        let old: (Bytes, Option<Duration>, Option<Duration>, u64) =
            postcard::from_bytes(&sent).unwrap();
        assert_eq!((&*old.0, old.1, old.2), (&b"v"[..], ttl, None));
        sent.splice(6.., [5]);
        assert_eq!(postcard::from_bytes::<Put>(&sent), Ok(put));
    }
}
