//! A member that joined the other side of a split gives it what it had, some groups at a time.

use super::ask::Caller;
use super::{Entries, Grid};
use crate::batch::{Put, Reply, Request};
use crate::lease;
use crate::life;
use crate::segment::{Group, Space};
use crate::store::{Record, RecordEntry, RecordKey, Store};
use muster_cluster::Moment;
use std::time::Duration;

/// How long the grid tries to give one group before it begins anew.
const MERGE_DEADLINE: Duration = Duration::from_secs(10);
/// Groups that are given at the same time.
const MOST_OFFERED: usize = 64;

/// A record that cannot be read is tried so often; then the group is counted as lost.
const MOST_TRIES: u32 = 100;

/// A group that is to be given.
pub(super) enum Offer {
    /// With its entries and its token.
    Here { group: Group, entries: Entries, token: u128 },
    /// It is on the shelf.
    Shelved { space: Space, record: RecordKey, tries: u32 },
}

impl Grid {
    /// Keeps a row's groups to be given. Leases are not, nor are the lives of rows: they are the cluster's.
    pub(super) fn keep_offers(&mut self, table: u8, store: &Store, now: Moment) {
        for whole in store.whole_in_memory(table, now) {
            if whole.group.space == lease::SPACE || life::is_life(&whole.group) {
                continue;
            }
            let entries = whole.entries.into_iter().map(|(key, _, put)| (key, put)).collect();
            self.keep_offer(Offer::Here { group: whole.group, entries, token: whole.token });
        }
        for place in store.cold_places() {
            let space = Space { table, cache: place.cache };
            if let Some(record) = store.record_key(place) {
                self.keep_offer(Offer::Shelved { space, record, tries: 0 });
            }
        }
    }

    fn keep_offer(&mut self, offer: Offer) {
        if self.offers.len() >= self.limits.most_offers {
            self.stats.not_offered += 1;
        } else {
            self.offers.push_back(offer);
        }
    }

    /// What an offer is about; none for what cannot be read, which is counted as lost.
    fn unpack(&mut self, offer: Offer, now: Moment) -> Option<(Group, Entries, u128)> {
        let (space, record, tries) = match offer {
            Offer::Here { group, entries, token } => return Some((group, entries, token)),
            Offer::Shelved { space, record, tries } => (space, record, tries),
        };
        let found = self.shelves.take(space.cache, &record, now);
        let Ok(found) = found.and_then(|found| Record::decode(&found)) else {
            if tries < MOST_TRIES {
                let again = Offer::Shelved { space, record, tries: tries + 1 };
                self.offers.push_back(again);
            } else {
                self.stats.not_offered += 1;
            }
            return None;
        };
        let sent = |entry: RecordEntry| {
            let ttl = entry.ends.map(|ends| ends.saturating_sub(now));
            (entry.key, Put { ttl, ..entry.put })
        };
        let entries = found.entries.into_iter().map(sent).collect();
        Some((Group::named(space, found.name), entries, found.token))
    }

    /// Gives what the other side does not have.
    pub(super) fn offer(&mut self, now: Moment) {
        if self.view.is_none() {
            return;
        }
        for _ in self.offering..MOST_OFFERED {
            let Some(offer) = self.offers.pop_front() else { return };
            let Some((group, entries, token)) = self.unpack(offer, now) else { continue };
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
            self.offers.push_back(Offer::Here { group, entries, token });
        }
    }

    /// How many groups are still to be given to the other side.
    #[must_use]
    pub fn offered(&self) -> usize {
        self.offers.len() + self.offering
    }
}
