//! The rules on which everything rests, as values. Shells use [`Rules::default`]; a simulation puts
//! a weaker one in its place to show that its checkers notice.

use muster_cluster::Epoch;
use std::time::Duration;

/// What a copy knows of one peer of its row.
#[derive(Clone, Copy, Debug)]
pub struct PeerState {
    /// It owns the row; otherwise it is being filled.
    pub is_owner: bool,
    /// It has said that its copy is the primary's.
    pub is_synced: bool,
    /// The last write of this epoch that it has.
    pub has: u64,
}

/// The rules.
#[derive(Clone, Copy, Debug)]
pub struct Rules {
    /// Whether a write or read of this epoch is taken, with the installed and the promised epoch.
    pub takes: fn(installed: Epoch, promised: Epoch, epoch: Epoch) -> bool,
    /// How far the row is acknowledged, given its last write; none while an owner is not synced.
    pub acknowledged: fn(last: u64, peers: &[PeerState]) -> Option<u64>,
    /// Whether a lease may go to another, given how long ago it was renewed.
    pub lease_over: fn(since: Duration, lease: Duration) -> bool,
}

impl Default for Rules {
    fn default() -> Self {
        Self { takes, acknowledged, lease_over }
    }
}

fn takes(installed: Epoch, promised: Epoch, epoch: Epoch) -> bool {
    installed == epoch && promised == epoch
}

fn acknowledged(last: u64, peers: &[PeerState]) -> Option<u64> {
    if peers.iter().any(|peer| peer.is_owner && !peer.is_synced) {
        return None;
    }
    Some(peers.iter().map(|peer| peer.has).min().unwrap_or(last))
}

fn lease_over(since: Duration, lease: Duration) -> bool {
    since >= lease
}
