//! The tokens of leases that it was published with: whoever publishes with an older one than the queue has
//! seen is one that was frozen or cut off, and has been followed by another.
//!
//! The greatest token of a name is written with the messages that brought it, and its entry stays in
//! their group until a greater one stands.

use super::super::entries;
use super::super::{Answer, FencedBy, MOST_LEASES};
use super::Home;
use super::writes::Then;
use crate::batch::Op;
use crate::segment::{Bytes, Group};
use foldhash::fast::FixedState;
use std::collections::HashMap;

/// What a queue knows of leases, by their names.
#[derive(Default)]
pub(super) struct Fences {
    all: HashMap<Bytes, Fence, FixedState>,
}

/// A lease.
#[derive(Default)]
struct Fence {
    /// The greatest token that was seen.
    seen: u128,
    /// The greatest one that stands, and in which group.
    stands: Option<(u128, Group)>,
}

/// The entry that says so.
pub(super) fn op(by: &FencedBy) -> Op {
    let token = Bytes::from(&by.token.to_be_bytes());
    entries::put(entries::fence_key(&by.name), token, None)
}

// === impl Fences ===

impl Fences {
    /// Whether something may be published under a lease, or why not.
    pub(super) fn passes(&self, by: &FencedBy) -> Result<(), Answer> {
        match self.all.get(&by.name) {
            Some(fence) if by.token < fence.seen => Err(Answer::Fenced),
            None if self.all.len() >= MOST_LEASES => Err(Answer::Full(MOST_LEASES as u64)),
            Some(_) | None => Ok(()),
        }
    }

    /// Something is published under it: from now on nothing under an earlier one is.
    pub(super) fn sees(&mut self, by: &FencedBy) {
        let fence = self.all.entry(by.name.clone()).or_default();
        fence.seen = fence.seen.max(by.token);
    }

    /// Whether that does not stand yet.
    pub(super) fn raises(&self, by: &FencedBy) -> bool {
        let stands = self.all.get(&by.name).and_then(|fence| fence.stands.as_ref());
        stands.is_none_or(|(token, _)| by.token > *token)
    }

    /// It stands in a group. The group in which an entry of that name is of no use any more.
    fn stand(&mut self, by: &FencedBy, group: &Group) -> Option<Group> {
        let fence = self.all.entry(by.name.clone()).or_default();
        fence.seen = fence.seen.max(by.token);
        let Some((token, of)) = &mut fence.stands else {
            fence.stands = Some((by.token, group.clone()));
            return None;
        };
        if of == group {
            *token = by.token.max(*token);
            None
        } else if *token >= by.token {
            Some(group.clone())
        } else {
            *token = by.token;
            Some(std::mem::replace(of, group.clone()))
        }
    }
}

impl Home {
    /// Tokens that were written with messages, or found beside them.
    pub(super) fn fences_stand(&mut self, raised: Vec<FencedBy>, group: Option<&Group>) {
        let Some(group) = group else { return };
        for by in raised {
            if let Some(old) = self.fences.stand(&by, group) {
                let op = entries::remove(entries::fence_key(&by.name));
                self.change(Some(old), [op], Then::Nothing);
            }
        }
    }
}
