//! What a node tells those who watch it.

use std::sync::Arc;
use std::time::Duration;

use muster_cluster::membership::Standing as CoreStanding;
use muster_cluster::{MemberId, Refusal, View};

use crate::channel::LaneStats;

/// Where the node stands.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Standing {
    /// It has no view: just started, or on its way to another side.
    Out,
    /// It is in the cluster.
    In,
    /// It was refused. Only a new start helps.
    Refused(Refusal),
    /// It has left.
    Left,
    /// What it must not forget does not stand on its disk: it says nothing any more.
    Failed(String),
}

/// What a node tells those who watch it. A slow one sees the latest.
#[derive(Clone, Debug)]
pub(crate) struct NodeState {
    /// The view in force.
    pub(crate) view: Option<Arc<View>>,
    /// This member's present life.
    pub(crate) me: MemberId,
    /// Whether enough voters are in sight.
    pub(crate) is_quorate: bool,
    /// How many merges of two sides this member has seen.
    pub(crate) merges: u64,
    /// Where it stands.
    pub(crate) standing: Standing,
    /// Rows that began empty although they had owners, as far as this member proposed the views.
    pub(crate) lost_rows: u64,
    /// Operators' wishes that were not granted, and why the last one was not.
    pub(crate) not_granted: (u64, Option<Refusal>),
}

/// What a node has done, in numbers that only rise.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) struct NodeStats {
    /// Peers that are linked now.
    pub(crate) links: usize,
    /// The lane for calls.
    pub(crate) calls: LaneStats,
    /// The lane for bulk.
    pub(crate) bulk: LaneStats,
    /// Frames for nodes that are not linked.
    pub(crate) unlinked: u64,
    /// Connections that were refused, by this side or the other.
    pub(crate) refused: u64,
    /// Frames that could not be read.
    pub(crate) malformed: u64,
    /// Suspicions of the failure detector.
    pub(crate) suspicions: u64,
    /// Views installed.
    pub(crate) views: u64,
    /// Writes of the file that must not be forgotten.
    pub(crate) persists: u64,
    /// The time that they took together.
    pub(crate) persist_time: Duration,
}

impl Standing {
    /// Where the core says that it stands.
    pub(crate) fn of(standing: &CoreStanding) -> Self {
        match standing {
            CoreStanding::Out { .. } => Self::Out,
            CoreStanding::In => Self::In,
            CoreStanding::Refused(why) => Self::Refused(why.clone()),
            CoreStanding::Left => Self::Left,
        }
    }
}
