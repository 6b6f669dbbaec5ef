//! Who is there.

use std::sync::Arc;

use muster_cluster::{MemberId, NodeId, ViewId};
use tokio::sync::watch;

/// A process in the cluster.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Member {
    /// Its node and which of its lives.
    pub id: MemberId,
    /// Its name, unique in the cluster.
    pub name: Box<str>,
    /// Where its channel listens, `host:port`; empty where there is none.
    pub address: Box<str>,
    /// Rises with every join: the order of the members.
    pub join: u64,
}

/// One agreed list of members.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct View {
    /// Its name. Epochs only rise, except where two sides of a split meet.
    pub id: ViewId,
    /// Oldest first, never empty; the first is the coordinator.
    pub members: Vec<Member>,
    /// Whether enough voters are in sight; always true without a cluster quorum.
    pub is_quorate: bool,
    /// How many merges of two sides this member has seen: it has risen where two sides met.
    pub merges: u64,
}

impl View {
    /// The oldest member.
    #[must_use]
    pub fn coordinator(&self) -> &Member {
        &self.members[0]
    }

    /// A member by its id.
    #[must_use]
    pub fn member(&self, id: MemberId) -> Option<&Member> {
        self.members.iter().find(|member| member.id == id)
    }
}

/// Who is there, one view after the other.
pub trait Group: Send + Sync {
    /// This member. Its life changes when it was dropped and came back.
    fn local(&self) -> Member;

    /// This member's present life: [`Group::local`]'s id, for those who ask often.
    fn life(&self) -> MemberId {
        self.local().id
    }

    /// The view in force. Before the first one: this member alone, not quorate.
    fn view(&self) -> Arc<View>;

    /// Every later view. A slow reader sees the latest only, and misses none that lasts.
    fn watch(&self) -> watch::Receiver<Arc<View>>;
}

/// Whether an operator who says this means that node: by its name, or by its id in hexadecimal.
pub(crate) fn is_called(node: NodeId, name: &str, text: &str) -> bool {
    name == text || format!("{:032x}", node.0) == text
}
