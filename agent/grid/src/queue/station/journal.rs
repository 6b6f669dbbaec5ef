//! The queue's journals: this member's own, and who of the row's owners has one.

use super::{Act, Reign, Station};
use crate::queue::Answer;
use crate::queue::frame::ToClient;
use muster_cluster::{MemberId, Moment, NodeId};
use std::collections::BTreeSet;

/// Who keeps the queue, where this member does.
#[derive(Default)]
pub(super) struct Keepers {
    /// What an earlier process left is given back.
    pub(super) is_restored: bool,
    /// Those in the view who have said that they have a journal.
    pub(super) told: BTreeSet<MemberId>,
}

// === impl Station ===

impl Station {
    /// This member has a journal of the queue ([`crate::Grid::set_journal`]). As a home it begins once
    /// what an earlier process left is given back: [`Station::restored`].
    pub fn keep(&mut self, now: Moment) {
        if self.journal.is_none() {
            self.journal = Some(Keepers::default());
            self.client.keep(now);
            // A home without a journal may be here already.
            self.begin_anew(now);
            self.settle(now);
        }
    }

    /// What an earlier process of any member left is given back, or was waited for long enough.
    pub fn restored(&mut self, now: Moment) {
        let Some(journal) = &mut self.journal else { return };
        if !std::mem::replace(&mut journal.is_restored, true)
            && let Some(Reign { since, reading: Some(reading), .. }) = &self.reign
        {
            let (reading, reign) = (reading.number, *since);
            self.out.push_back(Act::Read { reading, reign, after: None });
        }
        self.settle(now);
    }

    /// Tells the home whether all owners of its row have a journal.
    pub(super) fn are_kept(&mut self, now: Moment) {
        let (Some(journal), Some(reign)) = (&self.journal, &mut self.reign) else { return };
        let keeps = |owner: &NodeId| journal.told.iter().any(|id| id.node == *owner);
        reign.home.are_kept(self.owners.iter().all(keeps), now);
    }

    /// A member has a journal of the queue.
    pub(super) fn keeps(&mut self, from: MemberId, call: u64, now: Moment) {
        let answer = match &mut self.journal {
            Some(journal) => {
                journal.told.insert(from);
                Answer::Changed(1)
            }
            None => Answer::NotKept,
        };
        self.are_kept(now);
        self.tell(from, ToClient::Answers(vec![(call, answer)]), now);
    }
}
