//! The tasks beside the traffic: MCMP, the manager, probes and whatever else keeps a balancer
//! company. Each is told to stop by a token of its own, and all of them are waited for.

use tokio::task::JoinSet;
use tokio_util::sync::{CancellationToken, DropGuard};

/// The tasks beside the traffic. When it is dropped they are told to stop, and cut.
#[derive(Debug)]
pub(crate) struct Side {
    stop: CancellationToken,
    _stop: DropGuard,
    tasks: JoinSet<()>,
}

impl Default for Side {
    fn default() -> Self {
        let stop = CancellationToken::new();
        Side { _stop: stop.clone().drop_guard(), stop, tasks: JoinSet::new() }
    }
}

impl Side {
    /// Runs a task until its end; it ends soon after its token says so. To be called within a
    /// runtime. What it gives stops this task alone.
    pub(crate) fn spawn<F>(
        &mut self,
        task: impl FnOnce(CancellationToken) -> F,
    ) -> CancellationToken
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let stop = self.stop.child_token();
        self.tasks.spawn(task(stop.clone()));
        stop
    }

    /// Tells all of them to stop, and waits until they have.
    pub(crate) async fn end(mut self) {
        self.stop.cancel();
        while self.tasks.join_next().await.is_some() {}
    }
}
