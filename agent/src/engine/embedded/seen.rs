//! The node's views as the seam's.

use std::sync::Arc;

use muster_cluster::{Epoch, MemberId, ViewId};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::engine::group::{Group, Member, View};
use crate::node::{Node, NodeState};
use crate::watching::changed;

/// Who is there, as the node sees it.
pub(super) struct Seen {
    node: Node,
    /// For those who watch; who asks is told by the node at once.
    views: watch::Sender<Arc<View>>,
}

// === impl Seen ===

impl Seen {
    /// Follows a node until the engine is closed.
    pub(super) fn start(node: &Node, closed: CancellationToken) -> Arc<Self> {
        let views = watch::Sender::new(Arc::new(view(node, &node.state().borrow())));
        let seen = Arc::new(Self { node: node.clone(), views });
        // Not the node itself: its last clone stops it.
        let (mut state, weak) = (node.state(), Arc::downgrade(&seen));
        tokio::spawn(async move {
            while changed(&mut state, &closed).await {
                let Some(seen) = weak.upgrade() else { return };
                let next = view(&seen.node, &state.borrow_and_update());
                seen.views.send_if_modified(|present| {
                    let is_news = **present != next;
                    if is_news {
                        *present = Arc::new(next);
                    }
                    is_news
                });
            }
        });
        seen
    }
}

impl Group for Seen {
    fn local(&self) -> Member {
        let state = self.node.state();
        let state = state.borrow();
        local(&self.node, &state)
    }

    fn life(&self) -> MemberId {
        self.node.me()
    }

    fn view(&self) -> Arc<View> {
        let state = self.node.state();
        let now = view(&self.node, &state.borrow());
        let told = self.views.borrow();
        if now == **told { told.clone() } else { Arc::new(now) }
    }

    fn watch(&self) -> watch::Receiver<Arc<View>> {
        self.views.subscribe()
    }
}

fn view(node: &Node, state: &NodeState) -> View {
    let merges = state.merges;
    match &state.view {
        Some(view) => View {
            id: view.id(),
            members: view.members.iter().map(member).collect(),
            is_quorate: state.is_quorate,
            merges,
        },
        None => {
            let id = ViewId { epoch: Epoch::default(), coordinator: state.me };
            View { id, members: vec![local(node, state)], is_quorate: false, merges }
        }
    }
}

fn local(node: &Node, state: &NodeState) -> Member {
    let found = state.view.as_ref().and_then(|view| view.member(state.me.node));
    match found.filter(|member| member.id == state.me) {
        Some(found) => member(found),
        None => Member {
            id: state.me,
            name: node.name().into(),
            address: node.address().into(),
            join: 0,
        },
    }
}

/// A member as the seam knows it.
pub(super) fn member(member: &muster_cluster::view::Member) -> Member {
    Member {
        id: member.id,
        name: member.name.clone(),
        address: member.address.clone(),
        join: member.join,
    }
}
