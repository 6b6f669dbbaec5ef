//! Checkouts: who may write a group now. Locks live in the primary's memory alone, so that taking
//! one costs no call. What makes that safe is the commit: it goes through all owners, and names the
//! checkout's fence and the revision that it saw.

use crate::batch::{Fence, Rev};
use crate::segment::Place;
use foldhash::fast::FixedState;
use muster_cluster::{MemberId, Moment};
use std::collections::{HashMap, HashSet};

/// Groups whose checkouts a primary remembers, at most.
const MOST_REMEMBERED: usize = 4096;

/// One checkout.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Lock {
    /// Its token.
    pub fence: Fence,
    /// Whose it is.
    pub holder: MemberId,
    /// The number of the attempt by which it was asked for.
    pub attempt: u64,
    /// When it ends by itself.
    pub ends: Moment,
}

/// The checkouts of one row, at its primary. Two groups of one place, one pair in 2^64, share theirs.
#[derive(Clone, Debug, Default)]
pub struct Locks {
    held: HashMap<Place, Lock, FixedState>,
    given: HashSet<Place, FixedState>,
    number: u64,
    epoch: u64,
    /// Since which epoch this member has been the primary without a break.
    since: u64,
}

impl Locks {
    /// A new primary knows no checkouts.
    #[must_use]
    pub fn new(epoch: u64) -> Self {
        Self { epoch, since: epoch, ..Self::default() }
    }

    /// The same primary in a later view. Whoever has left holds nothing any more.
    pub fn go_on(&mut self, epoch: u64, is_member: impl Fn(MemberId) -> bool) {
        self.epoch = epoch;
        self.number = 0;
        self.held.retain(|_, lock| is_member(lock.holder));
    }

    /// The checkout of a group, if there is one.
    pub fn of(&mut self, place: Place, now: Moment) -> Option<Lock> {
        if self.held.is_empty() {
            return None;
        }
        let lock = *self.held.get(&place)?;
        if lock.ends <= now {
            self.held.remove(&place);
            return None;
        }
        Some(lock)
    }

    /// Gives a checkout of a group that nobody has.
    pub fn give(
        &mut self,
        place: Place,
        (holder, attempt): (MemberId, u64),
        ends: Moment,
    ) -> Fence {
        self.number += 1;
        let fence = Fence { epoch: self.epoch, number: self.number };
        self.held.insert(place, Lock { fence, holder, attempt, ends });
        if self.given.len() <= MOST_REMEMBERED {
            self.given.insert(place);
        }
        fence
    }

    /// Whether a commit may stand: the checkout is still the one; or it was given by an earlier
    /// primary, nobody else has had the group since, and the group is as it was.
    pub fn allows(&mut self, place: Place, under: (Fence, Rev), rev: Rev, now: Moment) -> bool {
        let (fence, seen) = under;
        match self.of(place, now) {
            Some(lock) => lock.fence == fence,
            None => {
                fence.epoch < self.since
                    && seen == rev
                    && self.given.len() <= MOST_REMEMBERED
                    && !self.given.contains(&place)
            }
        }
    }

    /// Ends a checkout. False when it was not this one, or over already.
    pub fn release(&mut self, place: Place, fence: Fence, now: Moment) -> bool {
        let is_it = self.of(place, now).is_some_and(|lock| lock.fence == fence);
        if is_it {
            self.held.remove(&place);
        }
        is_it
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::segment::Space;

    #[test]
    fn a_commit_of_an_earlier_primarys_checkout_stands_only_while_nothing_came_between() {
        let (group, other) = (
            Place::of(Space { table: 0, cache: 1 }, b"a"),
            Place::of(Space { table: 0, cache: 1 }, b"b"),
        );
        let (rev, now) = (Rev { epoch: 3, seq: 9 }, Moment::ZERO);
        let old = Fence { epoch: 4, number: 1 };
        let mut locks = Locks::new(5);
        assert!(locks.allows(group, (old, rev), rev, now));
        assert!(!locks.allows(group, (old, Rev { epoch: 3, seq: 8 }), rev, now));
        assert!(!locks.allows(group, (Fence { epoch: 5, number: 1 }, rev), rev, now));
        let fence = locks.give(group, (MemberId::default(), 1), Moment::from_secs(1));
        assert!(fence > old);
        assert!(locks.release(group, fence, now) && !locks.release(group, fence, now));
        assert!(!locks.allows(group, (old, rev), rev, now));
        assert!(locks.allows(other, (old, rev), rev, now));
    }
}
