//! How this node stands in the cluster that keeps its sessions: a node that sees too few of the
//! others can write none, so its balancers send requests elsewhere until it can.

use std::future::pending;
use std::sync::Arc;

use futures_util::future::select_all;
use tokio::sync::watch;
use tracing::{info, warn};

use crate::deployed::Deployed;
use crate::engine::View;

/// Follows the clusters of the contexts' sessions.
#[derive(Debug)]
pub(crate) struct Standing {
    deployed: Deployed,
    contexts: watch::Receiver<()>,
    views: Vec<watch::Receiver<Arc<View>>>,
    is_able: bool,
}

// === impl Standing ===

impl Standing {
    /// From now on.
    pub(crate) fn of(deployed: Deployed) -> Standing {
        let (contexts, views) = (deployed.changes(), deployed.views());
        Standing { deployed, contexts, views, is_able: true }
    }

    /// Whether requests of all sessions can be served here; told in the log when that changes.
    pub(crate) fn is_able(&mut self) -> bool {
        let is_able = self.deployed.is_able();
        if std::mem::replace(&mut self.is_able, is_able) != is_able {
            match is_able {
                true => info!("sessions can be written again: balancers are told the load"),
                false => warn!(
                    "too few members are in sight to write sessions: balancers are told load -1"
                ),
            }
        }
        is_able
    }

    /// Returns when a cluster has another view, or the contexts have other sessions.
    pub(crate) async fn changed(&mut self) {
        loop {
            let views = async {
                match self.views.is_empty() {
                    true => pending().await,
                    false => {
                        let changes = self.views.iter_mut().map(|view| Box::pin(view.changed()));
                        let (changed, at, _) = select_all(changes).await;
                        (changed.is_ok(), at)
                    }
                }
            };
            tokio::select! {
                changed = self.contexts.changed() => {
                    if changed.is_err() {
                        // Nobody has contexts any more.
                        pending::<()>().await;
                    }
                    self.views = self.deployed.views();
                    return;
                }
                (is_there, at) = views => match is_there {
                    true => return,
                    // The cluster was left: there is nothing to follow.
                    false => drop(self.views.swap_remove(at)),
                },
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::session::Sessions;
    use crate::{Cluster, SessionDraining};

    #[tokio::test]
    async fn a_node_is_able_as_long_as_its_cluster_sees_enough_members() {
        let folder = tempfile::tempdir().unwrap();
        let member = |name: &str, peers: Vec<String>| {
            let member = Cluster::builder(name).port(0).no_management().quorum(2);
            let member = member.detection(Duration::from_millis(500));
            member.data_dir(folder.path().join(name)).members(peers)
        };
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        drop(listener);
        let address = format!("127.0.0.1:{port}");
        let one = member("one", vec![address.clone()]).port(port);
        let (one, two) = tokio::join!(one.join(), member("two", vec![address]).join());
        let (one, two) = (one.unwrap(), two.unwrap());

        let deployed = Deployed::new(SessionDraining::Default, None);
        let mut standing = Standing::of(deployed.clone());
        assert!(standing.is_able());
        let sessions = Sessions::builder("shop").cluster(&one).distributable(true);
        deployed.put("/shop".parse().unwrap(), sessions.start().unwrap());
        standing.changed().await;
        let said = |deployed: &Deployed| {
            let headers = deployed.headers().into_iter();
            headers.filter(|(name, _)| *name == "X-Muster-Members").map(|(_, ids)| ids).next()
        };
        while said(&deployed).is_none_or(|ids| ids.split(' ').count() != 2) {
            standing.changed().await;
        }
        assert!(standing.is_able());

        two.leave().await;
        while standing.is_able() {
            standing.changed().await;
        }
        assert_eq!(said(&deployed), None);
        deployed.remove(&"/shop".parse().unwrap());
        standing.changed().await;
        assert!(standing.is_able());
        one.leave().await;
    }
}
