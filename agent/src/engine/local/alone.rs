//! A group of one.

use std::sync::Arc;

use muster_cluster::{Epoch, MemberId, NodeId, ViewId};
use tokio::sync::watch;

use crate::engine::group::{Group, Member, View};

/// A group of one: its only view stands from the start and for good.
pub(crate) struct Alone {
    view: watch::Sender<Arc<View>>,
}

impl Alone {
    pub(crate) fn new(name: &str) -> Self {
        let id = MemberId { node: NodeId(rand::random()), incarnation: 1 };
        let member = Member { id, name: name.into(), address: "".into(), join: 1 };
        let epoch = Epoch { counter: 1, join: 1, by: id };
        let id = ViewId { epoch, coordinator: id };
        let view = View { id, members: vec![member], is_quorate: true, merges: 0 };
        Self { view: watch::Sender::new(Arc::new(view)) }
    }
}

impl Group for Alone {
    fn local(&self) -> Member {
        self.view.borrow().coordinator().clone()
    }

    fn view(&self) -> Arc<View> {
        self.view.borrow().clone()
    }

    fn watch(&self) -> watch::Receiver<Arc<View>> {
        self.view.subscribe()
    }
}
