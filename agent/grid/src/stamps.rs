//! What is written beside a row's records on a shelf that keeps them: of which life of the row they
//! are, and how far they follow it.

use crate::life::{Lives, Stamp};
use crate::store::Store;
use muster_cluster::{NodeId, RowId, RowSet, View};
use std::sync::Arc;

/// What a member's stamps are made of.
#[derive(Debug, Default)]
pub(crate) struct Stamps {
    lives: Lives,
    me: NodeId,
    view: Option<Arc<View>>,
    /// The rows that this member has all of.
    whole: RowSet,
}

// === impl Stamps ===

impl Stamps {
    /// A view stands.
    pub(crate) fn see(&mut self, view: &Arc<View>, me: NodeId) {
        if !self.lives.are_for(view.segments) {
            self.lives = Lives::new(view.segments);
        }
        (self.view, self.me) = (Some(view.clone()), me);
    }

    /// These rows are whole.
    pub(crate) fn are_whole(&mut self, rows: &RowSet) {
        self.whole = rows.clone();
    }

    pub(crate) fn lives(&self) -> &Lives {
        &self.lives
    }

    /// The table of a row.
    pub(crate) fn table_of(&self, row: RowId) -> Option<u8> {
        self.view.as_ref().map(|view| view.table_of(row))
    }

    /// How far a row's records follow it: to the view in force, or as far as they did.
    pub(crate) fn last(&self, row: RowId, before: Option<u64>) -> u64 {
        // A row whose owners are all away may be whole here, as it was before they went on with it.
        let keeps =
            |view: &&Arc<View>| view.rows.get(usize::from(row)).is_some_and(|row| row.has(self.me));
        let view = self.view.as_ref().filter(|_| self.whole.contains(row)).filter(keeps);
        view.map_or(before.unwrap_or(0), |view| view.epoch.counter)
    }

    /// A row's stamp.
    pub(crate) fn of(&self, row: RowId, store: &Store, last: u64) -> Stamp {
        let Some(view) = &self.view else {
            return Stamp { row, born: None, last, others: Vec::new() };
        };
        let owners = view.rows.get(usize::from(row)).map_or(&[][..], |row| &row.owners);
        let others = owners.iter().copied().filter(|owner| *owner != self.me).collect();
        Stamp { row, born: self.lives.of(store, row, view), last, others }
    }
}
