//! Leases: at most one holder of a name. A lease is an entry of the grid, so that who holds it and
//! with which token survives every crash; when it was last renewed is the primary's memory. A new
//! primary counts from when the one before last told its copy something new: a renewal is answered
//! once every owner has taken it, so that none of which a holder knows is later. Where it may have
//! missed a view it counts from its own.
//!
//! The primary counts the whole lease (2 s) from the moment it executed the renewal, the holder
//! a part of it (1.5 s) from the moment it asked, each by its own clock. So the holder has stopped
//! before another begins, as long as no clock runs faster than another by a third.

use crate::batch::{Put, Rev};
use crate::segment::{Bytes, Group, Space};
use muster_cluster::{MemberId, Moment, NodeId};
use std::collections::BTreeMap;
use std::time::Duration;

/// The space of the cluster's own entries.
pub const SPACE: Space = Space { table: 0, cache: 0 };
/// The one key of a lease's group.
pub const KEY: &[u8] = b"holder";

/// The group that keeps a lease.
#[must_use]
pub fn group(name: &[u8]) -> Group {
    Group::new(SPACE, name)
}

/// A holder as an entry's value.
#[must_use]
pub fn holder(member: MemberId) -> Put {
    let mut bytes = member.node.0.to_le_bytes().to_vec();
    bytes.extend(member.incarnation.to_le_bytes());
    Put::new(&bytes)
}

/// The holder that a value names.
#[must_use]
pub fn read_holder(value: &[u8]) -> Option<MemberId> {
    let (node, incarnation) = value.split_first_chunk::<16>()?;
    Some(MemberId {
        node: NodeId(u128::from_le_bytes(*node)),
        incarnation: u64::from_le_bytes(incarnation.try_into().ok()?),
    })
}

/// The leases that this member holds, by its own clock.
#[derive(Clone, Debug, Default)]
pub struct Holding {
    held: BTreeMap<Bytes, (Rev, Moment)>,
    /// The last token of a name that was given back: an answer to an earlier question may come late.
    resigned: BTreeMap<Bytes, Rev>,
}

/// Names whose resignation is remembered, at most.
const MOST_RESIGNED: usize = 4096;

impl Holding {
    /// The lease was given or renewed; it was asked for at `asked`.
    pub fn renewed(&mut self, name: Bytes, token: Rev, asked: Moment, hold: Duration) {
        if self.resigned.get(&name).is_some_and(|resigned| token <= *resigned) {
            return;
        }
        let until = asked + hold;
        match self.held.get_mut(&name) {
            Some((old, _)) if *old > token => {}
            Some((old, ends)) if *old == token => *ends = until.max(*ends),
            _ => {
                self.held.insert(name, (token, until));
            }
        }
    }

    /// It is not held any more, whatever the token.
    pub fn lost(&mut self, name: &[u8]) {
        self.held.remove(name);
    }

    /// This token is over; a later one may be held.
    pub fn lost_token(&mut self, name: &[u8], token: Rev) {
        if self.held.get(name).is_some_and(|(held, _)| *held <= token) {
            self.held.remove(name);
        }
    }

    /// This token is given back, and not believed in again, whatever answers are still under way.
    pub fn resign(&mut self, name: &Bytes, token: Rev) {
        self.lost_token(name, token);
        let resigned = self.resigned.entry(name.clone()).or_default();
        *resigned = token.max(*resigned);
        if self.resigned.len() > MOST_RESIGNED {
            // The older the token, the less there can be under way.
            let oldest = self.resigned.iter().min_by_key(|(_, token)| **token);
            if let Some(name) = oldest.map(|(name, _)| name.clone()) {
                self.resigned.remove(&name);
            }
        }
    }

    /// The token, while the lease is held.
    #[must_use]
    pub fn token(&self, name: &[u8], now: Moment) -> Option<Rev> {
        self.held.get(name).filter(|(_, until)| now < *until).map(|(token, _)| *token)
    }

    /// Takes those whose time is over.
    pub fn over(&mut self, now: Moment) -> Vec<(Bytes, Rev)> {
        let over: Vec<(Bytes, Rev)> = (self.held.iter())
            .filter(|(_, (_, until))| now >= *until)
            .map(|(name, (token, _))| (name.clone(), *token))
            .collect();
        for (name, _) in &over {
            self.held.remove(name);
        }
        over
    }

    /// Gives up all: this life is over.
    pub fn clear(&mut self) {
        self.held.clear();
        self.resigned.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_given_back_is_not_held_again_by_an_answer_that_comes_late() {
        let (name, hold): (Bytes, _) = (b"job"[..].into(), Duration::from_secs(1));
        let (old, new) = (Rev { epoch: 2, seq: 1 }, Rev { epoch: 2, seq: 4 });
        let mut holding = Holding::default();
        holding.renewed(name.clone(), old, Moment::ZERO, hold);
        holding.resign(&name, old);
        holding.renewed(name.clone(), old, Moment::from_millis(500), hold);
        assert_eq!(holding.token(&name, Moment::from_millis(600)), None);
        holding.renewed(name.clone(), new, Moment::from_millis(700), hold);
        holding.lost_token(&name, old);
        assert_eq!(holding.token(&name, Moment::from_millis(800)), Some(new));
    }
}
