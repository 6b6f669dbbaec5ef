//! Where a group lives: a function of the view.

use crate::segment::{Group, Place, Space};
use muster_cluster::{MemberId, NodeId, RowId, View};
use std::sync::Arc;

/// The view, asked about groups.
#[derive(Clone, Debug)]
pub struct Topology {
    view: Arc<View>,
}

impl Topology {
    /// The topology of a view.
    #[must_use]
    pub fn new(view: Arc<View>) -> Self {
        Self { view }
    }

    /// The row of a group.
    #[must_use]
    pub fn row(&self, group: &Group) -> RowId {
        group.row(&self.view)
    }

    /// Who takes a group's reads and writes; none while all its owners are away.
    #[must_use]
    pub fn primary(&self, group: &Group) -> Option<MemberId> {
        self.view.primary(self.row(group))
    }

    /// Who takes the reads and writes of a group that is only a name yet. Without an allocation: a
    /// name whose primary is a certain member is found by trying some.
    #[must_use]
    pub fn primary_of(&self, space: Space, name: &[u8]) -> Option<MemberId> {
        self.view.primary(Place::of(space, name).row(space.table, &self.view))
    }

    /// Who owns a group, the primary first.
    #[must_use]
    pub fn owners(&self, group: &Group) -> &[NodeId] {
        self.view.rows.get(usize::from(self.row(group))).map_or(&[], |row| &row.owners)
    }

    /// The view.
    #[must_use]
    pub fn view(&self) -> &Arc<View> {
        &self.view
    }
}

/// Who must have a batch before it is acknowledged: a function of the batch's group and the
/// topology. The primary executes it; the others are told its effect.
#[must_use]
pub fn plan(group: &Group, topology: &Topology) -> Option<Plan> {
    let row = topology.row(group);
    let primary = topology.primary(group)?;
    let kept = topology.view.rows.get(usize::from(row))?;
    let others = (kept.owners.iter().chain(&kept.pending).copied())
        .filter(|node| *node != primary.node && topology.view.member(*node).is_some())
        .collect();
    Some(Plan { row, primary, others })
}

/// Where one batch goes.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Plan {
    /// The row.
    pub row: RowId,
    /// Who executes it.
    pub primary: MemberId,
    /// Backups, and members that are being filled: one message to each.
    pub others: Vec<NodeId>,
}
