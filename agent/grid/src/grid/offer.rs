//! A member that joined the other side of a split gives it what it had, some groups at a time.

use super::ask::Caller;
use super::{Entries, Grid};
use crate::batch::{Reply, Request};
use crate::lease;
use crate::segment::Group;
use crate::store::Store;
use muster_cluster::Moment;
use std::time::Duration;

/// How long the grid tries to give one group before it begins anew.
const MERGE_DEADLINE: Duration = Duration::from_secs(10);
/// Groups that are given at the same time.
const MOST_OFFERED: usize = 64;

/// A group with its entries and its token.
pub(super) struct Offer {
    group: Group,
    entries: Entries,
    token: u128,
}

impl Grid {
    /// Keeps a row's groups to be given. Leases are not: they are the cluster's.
    pub(super) fn keep_offers(&mut self, table: u8, store: &Store, now: Moment) {
        for whole in store.whole_after(table, None, now) {
            if whole.group.space == lease::SPACE {
                continue;
            }
            if self.offers.len() >= self.limits.most_offers {
                self.stats.not_offered += 1;
                continue;
            }
            let entries = whole.entries.into_iter().map(|(key, _, put)| (key, put)).collect();
            self.offers.push_back(Offer { group: whole.group, entries, token: whole.token });
        }
    }

    /// Gives what the other side does not have.
    pub(super) fn offer(&mut self, now: Moment) {
        if self.view.is_none() {
            return;
        }
        for _ in self.offering..MOST_OFFERED {
            let Some(Offer { group, entries, token }) = self.offers.pop_front() else { return };
            let request = Request::Merge { group, entries, token };
            self.offering += 1;
            self.begin(Caller::Merge, request, now + MERGE_DEADLINE, now);
        }
    }

    /// One was given, or is to be given again.
    pub(super) fn offered_one(&mut self, request: &Request, reply: &Reply) {
        self.offering -= 1;
        if let (Reply::Unavailable | Reply::Unknown, Request::Merge { group, entries, token }) =
            (reply, request)
        {
            let (group, entries, token) = (group.clone(), entries.clone(), *token);
            self.offers.push_back(Offer { group, entries, token });
        }
    }

    /// How many groups are still to be given to the other side.
    #[must_use]
    pub fn offered(&self) -> usize {
        self.offers.len() + self.offering
    }
}
