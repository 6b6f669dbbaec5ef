//! The rules on which everything rests, as values. Shells use [`Rules::default`]; a simulation puts
//! a weaker one in its place to show that its checkers notice.

use muster_cluster::{Epoch, NodeId};
use std::time::Duration;

/// The rules.
#[derive(Clone, Copy, Debug)]
pub struct Rules {
    /// Whether a write or read of this epoch is taken, with the installed and the promised epoch.
    pub takes: fn(installed: Epoch, promised: Epoch, epoch: Epoch) -> bool,
    /// Whether a copy does the writes of this sender, given its primary in the installed epoch. The
    /// check of the epoch says it already; it is cheap to say it twice.
    pub follows: fn(primary: NodeId, from: NodeId) -> bool,
    /// How far the row is acknowledged, given its last write, whether every other owner has said
    /// that its copy is the primary's, and the last write that all others have.
    pub acknowledged: fn(last: u64, are_synced: bool, everywhere: u64) -> Option<u64>,
    /// Whether a commit stands, given whether its checkout is the one that counts.
    pub commits: fn(is_held: bool) -> bool,
    /// Whether a lease may go to another, given how long ago it was renewed.
    pub lease_over: fn(since: Duration, lease: Duration) -> bool,
}

impl Default for Rules {
    fn default() -> Self {
        Self { takes, follows, acknowledged, commits, lease_over }
    }
}

fn takes(installed: Epoch, promised: Epoch, epoch: Epoch) -> bool {
    installed == epoch && promised == epoch
}

fn follows(primary: NodeId, from: NodeId) -> bool {
    primary == from
}

fn acknowledged(_last: u64, are_synced: bool, everywhere: u64) -> Option<u64> {
    are_synced.then_some(everywhere)
}

fn commits(is_held: bool) -> bool {
    is_held
}

fn lease_over(since: Duration, lease: Duration) -> bool {
    since >= lease
}
