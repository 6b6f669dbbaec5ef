//! Whoever has a grid that maps are shells over: a member of a cluster, or one that is alone.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use muster_cluster::{MemberId, Moment, View};
use muster_grid::{Changes, Grid, Memory, Reply, Request, Shelved, Space, Watched};

use crate::node::Node;

/// A grid, its clock, and who is told what comes of it.
pub(crate) trait Rows: Clone + Unpin + Send + Sync + 'static {
    /// Asks the grid. Answered by the deadline, whatever happens.
    fn request(
        &self,
        request: Request,
        deadline: Duration,
    ) -> impl Future<Output = Reply> + Send + 'static;

    /// Looks at the grid, under its lock: be quick.
    fn with_grid<R>(&self, look: impl FnOnce(&Grid, Moment) -> R) -> R;

    /// Changes settings of the grid.
    fn with_grid_mut<R>(&self, change: impl FnOnce(&mut Grid, Moment) -> R) -> R;

    /// The view in force.
    fn view(&self) -> Option<Arc<View>>;

    /// This member's present life.
    fn me(&self) -> MemberId;

    /// Changes of a cache go to this handler from now on, in order, under the grid's lock.
    fn on_changes(
        &self,
        space: Space,
        watched: Watched,
        handler: Arc<dyn Fn(Changes) + Send + Sync>,
    );

    /// A cache's memory is bounded, and what its shelf does goes to this handler.
    fn set_memory(&self, space: Space, memory: Memory, handler: Arc<dyn Fn(Shelved) + Send + Sync>);
}

impl Rows for Node {
    fn request(
        &self,
        request: Request,
        deadline: Duration,
    ) -> impl Future<Output = Reply> + Send + 'static {
        let node = self.clone();
        async move { Node::request(&node, request, deadline).await }
    }

    fn with_grid<R>(&self, look: impl FnOnce(&Grid, Moment) -> R) -> R {
        Node::with_grid(self, look)
    }

    fn with_grid_mut<R>(&self, change: impl FnOnce(&mut Grid, Moment) -> R) -> R {
        Node::with_grid_mut(self, change)
    }

    fn view(&self) -> Option<Arc<View>> {
        self.state().borrow().view.clone()
    }

    fn me(&self) -> MemberId {
        Node::me(self)
    }

    fn on_changes(
        &self,
        space: Space,
        watched: Watched,
        handler: Arc<dyn Fn(Changes) + Send + Sync>,
    ) {
        Node::on_changes(self, space, watched, handler);
    }

    fn set_memory(
        &self,
        space: Space,
        memory: Memory,
        handler: Arc<dyn Fn(Shelved) + Send + Sync>,
    ) {
        Node::set_memory(self, space, memory, handler);
    }
}
