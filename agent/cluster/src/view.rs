//! The agreed value: who is there, who votes, and who owns which row.

use crate::id::{Epoch, MemberId, NodeId};
use crate::rows::RowId;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Names one view.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct ViewId {
    /// The attempt that became this view.
    pub epoch: Epoch,
    /// Its oldest member.
    pub coordinator: MemberId,
}

/// A process in the cluster.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Member {
    /// Node and life.
    pub id: MemberId,
    /// Its unique name.
    pub name: Box<str>,
    /// Where its channel listens. Opaque here.
    pub address: Box<str>,
    /// Rises with every join: the order of the members.
    pub join: u64,
    /// Its share of the rows, 1..=1000; 100 is usual.
    pub weight: u16,
    /// It asked to leave and hands its rows over.
    pub leaving: bool,
}

/// Whose votes count, and how many are needed.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Electorate {
    /// The cluster quorum: none, or how many of `known` must agree.
    pub quorum: Option<u16>,
    /// Known nodes, here or away, and their names. Without quorum it is empty: nobody away counts.
    pub known: BTreeMap<NodeId, Box<str>>,
}

impl Electorate {
    /// Whether these nodes are enough.
    pub fn satisfied<'a>(&self, votes: impl Iterator<Item = &'a NodeId>) -> bool {
        match self.quorum {
            None => true,
            Some(quorum) => {
                votes.filter(|node| self.known.contains_key(node)).count() >= usize::from(quorum)
            }
        }
    }
}

/// How many members keep a table's rows.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum Copies {
    /// That many: the mode `distributed`.
    Some(u8),
    /// Each member: the mode `replicated`.
    Every,
}

/// Who keeps one row.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Row {
    /// The primary, then the backups. They hold every acknowledged write. Where none of them is a
    /// member (only with a quorum) the row waits for their return.
    pub owners: Vec<NodeId>,
    /// Who is being filled. They get every write, and count as owners only in a later view.
    pub pending: Vec<NodeId>,
    /// It begins empty with this view: the first view, or nobody was left who held it.
    pub fresh: bool,
    /// Who was dropped by views that are not known to stand, oldest first. If such a view never
    /// stood, nothing was written without them, and what they hold is whole.
    pub doubts: Vec<Doubt>,
}

/// Owners that a view left out. Of a row that began empty and waits for its owners, one that names
/// nobody is a mark: with that view it began.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Doubt {
    /// The view.
    pub epoch: Epoch,
    /// Whom it left out.
    pub owners: Vec<NodeId>,
}

impl Doubt {
    /// Whether it says no more than when a row began empty.
    #[must_use]
    pub fn is_mark(&self) -> bool {
        self.owners.is_empty()
    }
}

impl Row {
    /// Whether a node may be asked for the row's data when its owners are all away.
    #[must_use]
    pub fn may_need(&self, node: NodeId) -> bool {
        self.doubts.iter().any(|doubt| doubt.owners.contains(&node))
    }

    /// Whether a node may not leave yet: it keeps this row, or may have the only copy of it while all
    /// owners are away.
    pub fn binds(&self, node: NodeId, is_member: impl Fn(NodeId) -> bool) -> bool {
        let is_orphan = || !self.owners.iter().any(|owner| is_member(*owner));
        self.has(node) || (self.may_need(node) && is_orphan())
    }

    /// Whether a node owns this row or is being filled.
    #[must_use]
    pub fn has(&self, node: NodeId) -> bool {
        self.owners.contains(&node) || self.pending.contains(&node)
    }
}

/// One agreed view.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct View {
    /// The attempt that became it.
    pub epoch: Epoch,
    /// Oldest first; never empty.
    pub members: Vec<Member>,
    /// The join number of the next newcomer.
    pub next_join: u64,
    /// Who votes.
    pub electorate: Electorate,
    /// While a change of the electorate is not known to stand: the one before, which must agree too.
    pub before: Option<Electorate>,
    /// Each table's copies.
    pub tables: Vec<Copies>,
    /// Rows in each table.
    pub segments: u16,
    /// All rows, table after table.
    pub rows: Vec<Row>,
    /// Members of another side came in with data of theirs.
    pub merged: bool,
}

impl View {
    /// Its name.
    #[must_use]
    pub fn id(&self) -> ViewId {
        ViewId { epoch: self.epoch, coordinator: self.coordinator().id }
    }

    /// The oldest member.
    #[must_use]
    pub fn coordinator(&self) -> &Member {
        &self.members[0]
    }

    /// Whether certainly no view came between this one and one that its owners accepted: a proposal
    /// counts one more than the view that it goes on from, and more than whatever was promised.
    #[must_use]
    pub fn is_next_after(&self, other: &View) -> bool {
        self.epoch.counter == other.epoch.counter + 1
    }

    /// Whether everybody who ever came, each in the life in which it came, is a member: nothing was
    /// lost yet.
    #[must_use]
    pub fn has_all_who_came(&self) -> bool {
        usize::try_from(self.next_join).is_ok_and(|next| next == self.members.len() + 1)
    }

    /// The member of a node, whichever life of it.
    #[must_use]
    pub fn member(&self, node: NodeId) -> Option<&Member> {
        self.members.iter().find(|member| member.id.node == node)
    }

    /// Whether exactly this life of a node is a member.
    #[must_use]
    pub fn has(&self, id: MemberId) -> bool {
        self.member(id.node).is_some_and(|member| member.id == id)
    }

    /// The member that takes this row's reads and writes.
    #[must_use]
    pub fn primary(&self, row: RowId) -> Option<MemberId> {
        let owner = self.rows.get(usize::from(row))?.owners.first()?;
        self.member(*owner).map(|member| member.id)
    }

    /// The copies of the table that a row belongs to.
    #[must_use]
    pub fn copies(&self, row: RowId) -> Copies {
        let table = usize::from(row) / usize::from(self.segments.max(1));
        self.tables.get(table).copied().unwrap_or(Copies::Some(2))
    }

    /// The rows of a table; empty where there is no such table.
    #[must_use]
    pub fn rows_of(&self, table: u8) -> std::ops::Range<RowId> {
        if usize::from(table) >= self.tables.len() {
            return 0..0;
        }
        let begin = u16::from(table) * self.segments;
        begin..begin + self.segments
    }

    /// The table of a row.
    #[must_use]
    pub fn table_of(&self, row: RowId) -> u8 {
        u8::try_from(row / self.segments.max(1)).unwrap_or(u8::MAX)
    }

    /// Whether a node's vote counts, or counted before a change that is not known to stand.
    #[must_use]
    pub fn may_vote(&self, node: NodeId) -> bool {
        self.electorate.known.contains_key(&node)
            || self.before.as_ref().is_some_and(|before| before.known.contains_key(&node))
    }

    /// Whether all rows have as many owners as they should, and nobody is being filled.
    #[must_use]
    pub fn is_settled(&self) -> bool {
        self.rows.iter().all(|row| row.pending.is_empty())
    }
}
