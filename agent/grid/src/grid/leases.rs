//! Leases at the primary: who holds a name is an entry, when it was last renewed its memory.

use super::state::Role;
use super::{Asker, Grid, RowState};
use crate::batch::{LeaseWish, Put, Reply};
use crate::lease;
use crate::segment::{Bytes, Group};
use crate::store::{Effect, Puts};
use muster_cluster::{MemberId, Moment, RowId};

impl Grid {
    pub(super) fn lease_wish(
        &mut self,
        asker: Asker,
        row: RowId,
        name: &Bytes,
        wish: LeaseWish,
        now: Moment,
    ) {
        let (lease, over) = (self.limits.lease, self.rules.lease_over);
        // With a quorum only the lease's end counts: a refused redial is no proof beyond a cut.
        let counts_death = self.view.as_ref().is_some_and(|view| view.electorate.quorum.is_none());
        let group = lease::group(name);
        self.expire(row, &group, now);
        let Self { rows, dead, .. } = self;
        let Some(RowState { role: Role::Primary(primary), store, .. }) =
            rows.get_mut(usize::from(row))
        else {
            return;
        };
        let present = (store.entry(&group, lease::KEY))
            .and_then(|entry| Some((lease::read_holder(&entry.value)?, entry.rev)));
        let renewed = primary.renewed.get(name).copied().unwrap_or(primary.since);
        let is_over = |holder: MemberId| {
            over(now.saturating_sub(renewed), lease) || (counts_death && dead.contains(&holder))
        };
        // Who held a lease of a row whose owners have all lost it does not know yet.
        let may_be_held =
            primary.is_bereft && !counts_death && !over(now.saturating_sub(primary.since), lease);
        match (wish, present) {
            (LeaseWish::Campaign, None) if may_be_held => self.answer(asker, Reply::Retry, now),
            (LeaseWish::Campaign, Some((holder, _)))
                if holder != asker.member && !is_over(holder) =>
            {
                self.answer(asker, Reply::Held(holder), now);
            }
            // Its holder too gets a new token: it may have given the old one back, and not know
            // whether that was heard.
            (LeaseWish::Campaign, _) => {
                primary.renewed.insert(name.clone(), now);
                let put = lease::holder(asker.member);
                self.take_lease(asker, row, group, Some(put), now);
            }
            (LeaseWish::Renew(token), Some((holder, present)))
                if token == present && holder == asker.member =>
            {
                primary.renewed.insert(name.clone(), now);
                self.confirm(asker, row, Reply::Leased(token), now);
            }
            (LeaseWish::Resign(token), Some((_, present))) if token == present => {
                primary.renewed.remove(name);
                self.take_lease(asker, row, group, None, now);
            }
            (LeaseWish::Renew(_) | LeaseWish::Resign(_), _) => {
                self.answer(asker, Reply::NotHeld, now);
            }
        }
    }

    fn take_lease(
        &mut self,
        asker: Asker,
        row: RowId,
        group: Group,
        put: Option<Put>,
        now: Moment,
    ) {
        let rev = self.next_rev(row);
        let puts = Puts::from_buf([(lease::KEY.into(), put)]);
        let effect = Effect { group, rev, token: 0, is_expiry: false, puts };
        let point = self.append(row, Some(effect), now);
        self.wait(row, point, asker, Reply::Leased(rev), true, now);
    }
}
