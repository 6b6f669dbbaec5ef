//! Who is there: in the cluster, or of those who have a cache or offer a service.

use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use super::offers::Snapshot;
use super::registry::{ServiceRegistry, Snapshots};
use crate::engine::{Member, View};

/// Who is there: all members of the cluster, or those that have a cache or offer a service. Members
/// of a part are in the order of the whole, and it always has this member.
#[derive(Clone, Debug)]
pub struct Group {
    registry: ServiceRegistry,
    service: Option<String>,
}

/// One view after another.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ViewChange {
    /// The view before.
    pub previous: Arc<View>,
    /// The view now.
    pub current: Arc<View>,
    /// Two sides of a split have met.
    pub merged: bool,
}

/// Views as they change. A slow reader sees the latest, and misses none that lasts.
#[derive(Debug)]
pub struct ViewChanges {
    service: Option<String>,
    snapshots: Snapshots,
    last: Arc<View>,
}

/// A listener that is called until this is dropped.
#[derive(Debug)]
#[must_use = "dropping it ends the listener"]
pub struct Listening {
    stop: CancellationToken,
}

// === impl Group ===

impl Group {
    pub(super) fn new(registry: ServiceRegistry, service: Option<String>) -> Self {
        Self { registry, service }
    }

    /// This member.
    #[must_use]
    pub fn local(&self) -> Member {
        let snapshot = self.registry.snapshots().now();
        let local = snapshot.view.member(snapshot.local).cloned();
        local.unwrap_or_else(|| snapshot.view.coordinator().clone())
    }

    /// The view in force.
    #[must_use]
    pub fn view(&self) -> Arc<View> {
        part(&self.registry.snapshots().now(), self.service.as_deref())
    }

    /// Later views: told when members come or go, when two sides of a split have met, and when
    /// enough voters are in sight or no more.
    #[must_use]
    pub fn changes(&self) -> ViewChanges {
        let mut snapshots = self.registry.snapshots();
        let last = part(&snapshots.now(), self.service.as_deref());
        ViewChanges { service: self.service.clone(), snapshots, last }
    }

    /// Calls a listener for each of [`Group::changes`], one after the other. It must not block.
    pub fn listen(&self, mut listener: impl FnMut(ViewChange) + Send + 'static) -> Listening {
        let (mut changes, stop) = (self.changes(), CancellationToken::new());
        let stopped = stop.clone();
        tokio::spawn(async move {
            loop {
                tokio::select! {
                    () = stopped.cancelled() => return,
                    change = changes.next() => match change {
                        Some(change) => listener(change),
                        None => return,
                    },
                }
            }
        });
        Listening { stop }
    }
}

// === impl ViewChanges ===

impl ViewChanges {
    /// The next change; none when the cluster was left.
    pub async fn next(&mut self) -> Option<ViewChange> {
        loop {
            let current = part(&*self.snapshots.next().await?, self.service.as_deref());
            let key = |view: &View| (view.members.clone(), view.is_quorate, view.merges);
            if key(&current) != key(&self.last) {
                let previous = std::mem::replace(&mut self.last, current.clone());
                let merged = current.merges > previous.merges;
                return Some(ViewChange { previous, current, merged });
            }
        }
    }
}

impl Drop for Listening {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

fn part(snapshot: &Snapshot, service: Option<&str>) -> Arc<View> {
    let Some(service) = service else { return snapshot.view.clone() };
    let providers = snapshot.providers.get(service).map_or(&[][..], |providers| providers);
    let is_in = |member: &&Member| member.id == snapshot.local || providers.contains(member);
    let members: Vec<Member> = snapshot.view.members.iter().filter(is_in).cloned().collect();
    if members.is_empty() {
        // Between two lives this member is in no view: the whole one is the best that is known.
        return snapshot.view.clone();
    }
    Arc::new(View { members, ..(*snapshot.view).clone() })
}
