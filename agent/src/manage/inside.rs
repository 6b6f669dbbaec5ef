//! What only the engine of the members themselves knows: rows, voters, what was lost.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use muster_cluster::message::Wish;
use muster_cluster::{NodeId, RowId, View};
use tokio::time::timeout;

use crate::node::{Node, NodeState};

/// The inside of an engine whose data the members keep themselves.
#[async_trait]
pub trait Inside: Send + Sync + 'static {
    /// The view in force, with its rows and voters.
    fn view(&self) -> Option<Arc<View>>;

    /// Rows that began empty although they had owners, in views that this member proposed.
    fn lost_rows(&self) -> u64;

    /// Values that did not survive on this member when two sides of a split met.
    fn overridden(&self) -> u64;

    /// Of these rows, how many key groups this member's copies have; none where it has no copy.
    fn groups(&self, rows: &[RowId]) -> Vec<Option<u64>>;

    /// Makes a wish of an operator come true.
    ///
    /// # Errors
    /// Why it was not granted, or that it is not known by then.
    async fn grant(&self, wish: Wish, within: Duration) -> Result<(), String>;
}

/// Whether a view that is in force is what an operator wished for.
fn is_granted(view: &View, wish: Wish) -> bool {
    match wish {
        Wish::Quorum { quorum, .. } => view.electorate.quorum == quorum,
        Wish::Forget(node) => !knows(view, node),
    }
}

/// Whether a node is in the view or votes.
pub(super) fn knows(view: &View, node: NodeId) -> bool {
    view.member(node).is_some() || view.electorate.known.contains_key(&node)
}

/// A wish that was not heard, since the coordinator changed, is said again after so long.
const SAY_AGAIN: Duration = Duration::from_secs(1);

#[async_trait]
impl Inside for Node {
    fn view(&self) -> Option<Arc<View>> {
        self.state().borrow().view.clone()
    }

    fn lost_rows(&self) -> u64 {
        self.state().borrow().lost_rows
    }

    fn overridden(&self) -> u64 {
        self.with_grid(|grid, _| grid.stats().overridden)
    }

    fn groups(&self, rows: &[RowId]) -> Vec<Option<u64>> {
        self.with_grid(|grid, _| {
            rows.iter().map(|row| grid.groups(*row).map(|groups| groups as u64)).collect()
        })
    }

    async fn grant(&self, wish: Wish, within: Duration) -> Result<(), String> {
        let mut state = self.state();
        let refused = state.borrow_and_update().not_granted.0;
        let answered = |state: &NodeState| {
            let is_granted = state.view.as_ref().is_some_and(|view| is_granted(view, wish));
            is_granted || state.not_granted.0 != refused
        };
        let said = async {
            loop {
                self.wish(wish);
                if let Ok(state) = timeout(SAY_AGAIN, state.wait_for(answered)).await {
                    return state.map(|state| state.clone());
                }
            }
        };
        let late = || format!("it is not known within {within:?} whether that can be: look again");
        let state = timeout(within, said).await.map_err(|_| late())?;
        let state = state.map_err(|_| "the member has ended".to_owned())?;
        match state.view.as_ref().is_some_and(|view| is_granted(view, wish)) {
            true => Ok(()),
            false => Err(state.not_granted.1.map_or_else(late, |why| why.to_string())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::node::NodeSettings;

    const PATIENCE: Duration = Duration::from_secs(60);

    fn quorum(quorum: u16) -> Wish {
        Wish::Quorum { quorum: Some(quorum), forced: false }
    }

    #[tokio::test]
    async fn a_quorum_is_granted_by_a_view_or_refused_with_its_reason() {
        let detection = Duration::from_millis(200);
        let bind = ([127, 0, 0, 1], 0).into();
        let settings = NodeSettings { bind, detection, ..NodeSettings::new("one") };
        let node = Node::start(settings).await.expect("it starts");
        node.state().wait_for(|state| state.view.is_some()).await.expect("it founds a cluster");
        node.grant(quorum(1), PATIENCE).await.expect("one of one");
        let view = Inside::view(&node).expect("it is in");
        assert_eq!((view.electorate.quorum, view.electorate.known.len()), (Some(1), 1));
        let refused = node.grant(quorum(5), PATIENCE).await.expect_err("five of one");
        assert_eq!(refused, "the quorum 5 is more than the 1 known nodes");
        assert_eq!(node.groups(&[0, 1]), [Some(0), Some(0)]);
        assert_eq!((node.lost_rows(), node.overridden()), (0, 0));
        node.stop().await;
    }
}
