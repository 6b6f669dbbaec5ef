//! Key groups that a caller has checked out, written in one batch; and what became of a write whose
//! answer was lost with an owner. Sessions, components and identities are written in this way.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use muster_grid::batch::Entries;
use muster_grid::{Bytes, Op};

use crate::engine::map::{Batch, Checkout, Ending, MapError, Read};
use crate::engine::{Engine, Map};

/// How often a write that was cut off by a view change is tried again.
const TRIES: u32 = 3;

/// A map's checkouts.
#[derive(Clone, Copy)]
pub(crate) struct Checkouts<'a> {
    pub(crate) engine: &'a Arc<dyn Engine>,
    pub(crate) map: &'a Arc<dyn Map>,
    /// How long to wait for a group that another has.
    pub(crate) wait: Duration,
    /// After so long it is another's to take.
    pub(crate) hold: Duration,
}

/// A group that is this caller's. Dropping it gives it back unchanged.
pub(crate) struct Held {
    map: Arc<dyn Map>,
    checkout: Checkout,
    is_over: bool,
}

// === impl Checkouts ===

impl Checkouts<'_> {
    /// The group's lock and its entries. Nobody confirms what is in it before the commit does; that
    /// nothing is in it is confirmed.
    pub(crate) async fn check_out(&self, group: &[u8]) -> Result<Held, MapError> {
        for _ in 0..TRIES {
            let checkout = self.map.checkout(group, self.wait, self.hold).await?;
            let held = Held { map: self.map.clone(), checkout, is_over: false };
            // A primary that was replaced and does not know it yet has nothing of what was created
            // since: that there is no such group all owners must say.
            if !held.entries().entries.is_empty()
                || self.map.get(group, Read::Confirmed).await?.entries.is_empty()
            {
                return Ok(held);
            }
        }
        Err(MapError::Unavailable)
    }

    /// Writes a group that nobody knows yet; one of its operations expects that its key is absent.
    /// `has_stood` knows the entries that it would leave.
    pub(crate) async fn create(
        &self,
        group: &Bytes,
        ops: Vec<Op>,
        has_stood: impl Fn(&Entries) -> bool,
    ) -> Result<(), MapError> {
        for _ in 0..TRIES {
            match self.map.write(Batch::new(group, ops.clone())).await {
                Ok(_) => return Ok(()),
                Err(MapError::Unknown) => {}
                // An earlier try has stood after all.
                Err(MapError::Conflict { .. }) => {
                    let there = self.map.get(group, Default::default()).await?;
                    return if has_stood(&there) { Ok(()) } else { Err(MapError::Fenced) };
                }
                Err(error) => return Err(error),
            }
        }
        Err(MapError::Unknown)
    }

    /// Writes under a checkout and ends it. When the owner died meanwhile, the checkout died with
    /// it: then it is taken again, and the write goes on only where nobody has written in between,
    /// and this member has been in the view all the while. A member that was frozen or cut off is
    /// not: its clients were served elsewhere.
    ///
    /// # Errors
    /// [`MapError::Fenced`]: another has written since, and nothing of this was.
    pub(crate) async fn commit(
        &self,
        mut held: Held,
        ops: Vec<Op>,
        has_stood: impl Fn(&Entries) -> bool,
    ) -> Result<(), MapError> {
        let life = self.engine.group().local().id;
        let mut may_stand = false;
        for _ in 0..TRIES {
            let seen = held.checkout.entries.clone();
            match self.map.commit(&mut held.checkout, ops.clone(), Ending::Release).await {
                Ok(_) => {
                    held.is_over = true;
                    return Ok(());
                }
                Err(error @ (MapError::Fenced | MapError::Unknown)) => {
                    // Nobody knows whether the group is still this caller's: then it is given back.
                    held.is_over = error == MapError::Fenced;
                    may_stand |= error == MapError::Unknown;
                    if self.engine.group().local().id != life {
                        return Err(error);
                    }
                }
                Err(error) => return Err(error),
            }
            let group = held.checkout.group.clone();
            drop(held);
            held = self.check_out(&group).await?;
            // What is seen here may be this member's own copy alone, which is about to be replaced:
            // what stands is written once more all the same, and so proven with all owners.
            let stands = may_stand && has_stood(held.entries());
            if !stands && values(held.entries()) != values(&seen) {
                return Err(MapError::Fenced);
            }
        }
        Err(MapError::Unknown)
    }
}

/// Entries by their values: revisions may differ after a merge.
fn values(entries: &Entries) -> Vec<(&Bytes, &Bytes)> {
    entries.entries.iter().map(|(key, (value, _))| (key, value)).collect()
}

// === impl Held ===

impl Held {
    /// The group.
    pub(crate) fn group(&self) -> &Bytes {
        &self.checkout.group
    }

    /// What is in it.
    pub(crate) fn entries(&self) -> &Entries {
        &self.checkout.entries
    }
}

impl fmt::Debug for Held {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Held").field("group", self.group()).finish_non_exhaustive()
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        if self.is_over {
            return;
        }
        // Without a runtime the hold's end gives it back.
        let Ok(runtime) = tokio::runtime::Handle::try_current() else { return };
        let (map, checkout) = (self.map.clone(), self.checkout.clone());
        runtime.spawn(async move {
            if let Err(error) = map.release(&checkout).await {
                let name = &map.spec().name;
                tracing::debug!(%error, map = name, "a group is given back by its hold's end");
            }
        });
    }
}
