//! What clients saw.

use crate::linear::{Operation, State};
use crate::world::Time;
use muster_grid::{Fence, Group, Rev};
use std::collections::BTreeMap;

/// A put of a value that expires, or a read.
#[derive(Clone, Copy, Debug)]
pub struct Expiry {
    /// When it was called.
    pub called: Time,
    /// When it returned, if its end is known.
    pub returned: Option<Time>,
    /// The value put or seen; none for a read that saw nothing.
    pub value: Option<u32>,
    /// The time to live of a put; none for a read.
    pub ttl: Option<Time>,
}

/// A commit under a checkout.
#[derive(Clone, Copy, Debug)]
pub struct Commit {
    /// The group's revision after it.
    pub rev: Rev,
    /// The checkout's fence.
    pub fence: Fence,
}

/// A checkout that was confirmed.
#[derive(Clone, Copy, Debug)]
pub struct Confirmed {
    /// When it was called.
    pub called: Time,
    /// When it returned.
    pub returned: Time,
    /// Its fence.
    pub fence: Fence,
}

/// A write with a token.
#[derive(Clone, Copy, Debug)]
pub struct Tokened {
    /// The token.
    pub token: u128,
    /// When it was called.
    pub called: Time,
    /// When it returned, if its end is known.
    pub returned: Option<Time>,
    /// The revision that it made; none when it was fenced, or its end is not known.
    pub rev: Option<Rev>,
    /// It was fenced.
    pub is_fenced: bool,
}

/// Everything that clients saw.
#[derive(Default)]
pub struct Histories {
    /// Linearizable groups.
    pub groups: BTreeMap<Group, Vec<Operation>>,
    /// Values with a time to live.
    pub expiring: BTreeMap<Group, Vec<Expiry>>,
    /// Commits under checkouts.
    pub commits: BTreeMap<Group, Vec<Commit>>,
    /// Confirmed checkouts.
    pub confirmed: BTreeMap<Group, Vec<Confirmed>>,
    /// Writes with a token.
    pub tokens: BTreeMap<Group, Vec<Tokened>>,
    /// What was seen by reads that may be old.
    pub local: Vec<(Group, Time, State)>,
    /// Acknowledged changes.
    pub acknowledged: u64,
    /// Leases that were given.
    pub leases: u64,
}
