//! Key groups that a caller has checked out, written in one batch; and what became of a write whose
//! answer was lost with an owner. Sessions, components and identities are written in this way.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use muster_cluster::MemberId;
use muster_grid::batch::Entries;
use muster_grid::{Bytes, Op};

use crate::engine::map::{Batch, Checkout, Ending, MapError, Read};
use crate::engine::{Engine, Map};

/// What the map says, as an error of those who write in this way: all of them have these variants,
/// and two names of their own, for a group that was taken over and for what is too large.
macro_rules! from_map_error {
    ($error:ident, $taken_over:ident, $too_large:expr) => {
        impl From<$crate::engine::MapError> for $error {
            fn from(error: $crate::engine::MapError) -> Self {
                use $crate::engine::MapError;
                match error {
                    MapError::Locked | MapError::Busy => Self::Busy,
                    MapError::Fenced | MapError::Conflict { .. } => Self::$taken_over,
                    MapError::NotQuorate => Self::NotQuorate,
                    MapError::Unavailable | MapError::Closed => Self::Unavailable,
                    MapError::Unknown => Self::Unknown,
                    MapError::TooLarge(why) => $too_large(why),
                }
            }
        }
    };
}
pub(crate) use from_map_error;

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
    /// This member's life when it was checked out.
    life: MemberId,
    is_over: bool,
}

/// How a write came to stand.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Stood {
    /// It was written.
    Written,
    /// An earlier try had been, whose answer was lost.
    Found,
}

// === impl Checkouts ===

impl Checkouts<'_> {
    /// The group's lock and its entries. Nobody confirms what is in it before the commit does; that
    /// nothing is in it is confirmed.
    pub(crate) async fn check_out(&self, group: &[u8]) -> Result<Held, MapError> {
        for _ in 0..TRIES {
            // Read before: a life that ends during the wait counts as another.
            let life = self.engine.group().life();
            let checkout = self.map.checkout(group, self.wait, self.hold).await?;
            let held = Held { map: self.map.clone(), checkout, life, is_over: false };
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
    ///
    /// # Errors
    /// [`MapError::Unknown`]: it may stand, or will.
    pub(crate) async fn create(
        &self,
        group: &Bytes,
        ops: Vec<Op>,
        has_stood: impl Fn(&Entries) -> bool,
    ) -> Result<(), MapError> {
        let mut may_stand = false;
        for _ in 0..TRIES {
            match self.map.write(Batch::new(group, ops.clone())).await {
                Ok(_) => return Ok(()),
                Err(MapError::Unknown) => may_stand = true,
                // An earlier try has stood after all.
                Err(MapError::Conflict { .. }) => {
                    let there = self.map.get(group, Read::Confirmed).await?;
                    return if has_stood(&there) { Ok(()) } else { Err(MapError::Fenced) };
                }
                Err(_) if may_stand => return Err(MapError::Unknown),
                Err(error) => return Err(error),
            }
        }
        Err(MapError::Unknown)
    }

    /// Writes under a checkout and keeps it. Whoever was told of an error has lost it.
    ///
    /// # Errors
    /// [`MapError::Unknown`]: it was written or not. Any other: nothing was written.
    pub(crate) async fn keep(&self, mut held: Held, ops: Vec<Op>) -> Result<Held, MapError> {
        let kept = self.map.commit(&mut held.checkout, ops, Ending::Keep).await;
        held.is_over = kept == Err(MapError::Fenced);
        kept.map(|_| held)
    }

    /// As [`Checkouts::commit_if`], where nobody else has changed any value since.
    pub(crate) async fn commit(
        &self,
        held: Held,
        ops: Vec<Op>,
        has_stood: impl Fn(&Entries) -> bool,
    ) -> Result<Stood, MapError> {
        let is_same = |now: &Entries, seen: &Entries| values(now) == values(seen);
        self.commit_if(held, |_| ops.clone(), has_stood, is_same).await
    }

    /// Writes under a checkout and ends it. When the owner died meanwhile, the checkout died with
    /// it: then it is taken again, and the write goes on only where nobody has written in between
    /// (`is_same`, of what is there and what was seen), and this member has been in the view since
    /// the checkout. A member that was frozen or cut off has not: its clients were served elsewhere.
    ///
    /// # Errors
    /// [`MapError::Fenced`]: another has written since, and nothing of this was.
    /// [`MapError::Unknown`]: it was written or not. Any other: nothing was written.
    pub(crate) async fn commit_if(
        &self,
        mut held: Held,
        ops: impl Fn(&Entries) -> Vec<Op>,
        has_stood: impl Fn(&Entries) -> bool,
        is_same: impl Fn(&Entries, &Entries) -> bool,
    ) -> Result<Stood, MapError> {
        let life = held.life;
        // As long as no try may have happened, nothing has.
        let mut may_stand = false;
        let mut stands = false;
        let refused = |may_stand, error| if may_stand { MapError::Unknown } else { error };
        for _ in 0..TRIES {
            let ops = ops(held.entries());
            match self.map.commit(&mut held.checkout, ops, Ending::Release).await {
                Ok(_) => {
                    held.is_over = true;
                    return Ok(if stands { Stood::Found } else { Stood::Written });
                }
                Err(error @ (MapError::Fenced | MapError::Unknown)) => {
                    // Nobody knows whether the group is still this caller's: then it is given back.
                    held.is_over = error == MapError::Fenced;
                    may_stand |= error == MapError::Unknown;
                }
                Err(error) => return Err(refused(may_stand, error)),
            }
            if self.engine.group().life() != life {
                break;
            }
            let group = held.checkout.group.clone();
            let seen = std::mem::take(&mut held.checkout.entries);
            drop(held);
            held = self.check_out(&group).await.map_err(|error| refused(may_stand, error))?;
            // What is seen here may be this member's own copy alone, which is about to be replaced:
            // what stands is written once more all the same, and so proven with all owners.
            stands = may_stand && has_stood(held.entries());
            if !stands && !is_same(held.entries(), &seen) {
                break;
            }
        }
        Err(refused(may_stand, MapError::Fenced))
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
        // Who gives back needs the name and the fence, not what was in it.
        self.checkout.entries = Entries::default();
        let (map, checkout) = (self.map.clone(), self.checkout.clone());
        runtime.spawn(async move {
            if let Err(error) = map.release(&checkout).await {
                let name = &map.spec().name;
                tracing::debug!(%error, map = name, "a group is given back by its hold's end");
            }
        });
    }
}
