//! Which members offer a service.

use std::fmt;
use std::sync::{Arc, Weak};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use muster_cluster::MemberId;
use parking_lot::Mutex;
use thiserror::Error;
use tokio::sync::{Notify, watch};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::codec;
use super::offers::{MOST_NAME, MOST_OFFERS, Offers, Snapshot, Told};
use crate::engine::{CallError, Dispatch, Engine, Group, Handler, Member};

/// Under this name members tell each other what they offer.
const SERVICE: &str = "muster.offers";
/// How long a member may take to say that it knows.
const DEADLINE: Duration = Duration::from_secs(5);
/// After how long one that did not is told again.
const AGAIN: Duration = Duration::from_millis(200);

/// Which members offer a service. Each member is told by each other what that one offers, and knows
/// it as long as that life is in its view: a provider that leaves, is killed or is cut off is gone
/// with the view that has it no more, and a newcomer is told all.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() {
/// # use muster_agent::Cluster;
/// let cluster = Cluster::builder("node1").local();
/// let offer = cluster.services().offer("reports").unwrap();
/// offer.is_known().await;
/// assert_eq!(cluster.services().providers("reports"), [cluster.me()]);
/// drop(offer);
/// assert!(cluster.services().providers("reports").is_empty());
/// # }
/// ```
#[derive(Clone)]
pub struct ServiceRegistry {
    inner: Arc<Registry>,
}

/// What the registry's task, its handler and its users share.
pub(super) struct Registry {
    group: Arc<dyn Group>,
    dispatch: Arc<dyn Dispatch>,
    offers: Mutex<Offers>,
    snapshot: watch::Sender<Arc<Snapshot>>,
    /// The version that every other member of the view knows.
    known: watch::Sender<u64>,
    /// This member offers something else.
    changed: Notify,
    closed: CancellationToken,
}

/// A service that this member offers until this is dropped.
#[derive(Debug)]
pub struct Offer {
    registry: ServiceRegistry,
    service: String,
    version: u64,
}

/// The providers of one service, as they change.
#[derive(Debug)]
pub struct Providers {
    service: String,
    snapshots: Snapshots,
    last: Vec<MemberId>,
}

/// What members offer, one moment after the other.
#[derive(Debug)]
pub(crate) struct Snapshots {
    receiver: watch::Receiver<Arc<Snapshot>>,
    closed: CancellationToken,
}

/// Why a service is not offered.
#[derive(Clone, PartialEq, Eq, Debug, Error)]
pub enum OfferError {
    /// The name is empty or too long.
    #[error("service {0:?} has a bad name: 1 to 256 bytes are possible")]
    Name(String),
    /// This member offers too many.
    #[error("this member offers {MOST_OFFERS} services: more are not possible")]
    TooMany,
}

// === impl ServiceRegistry ===

impl ServiceRegistry {
    /// A registry over an engine; its task ends with `closed`.
    pub(super) fn start(engine: &dyn Engine, closed: CancellationToken) -> Self {
        let (group, dispatch) = (engine.group(), engine.dispatch());
        let offers = Offers::new(crate::wall::us());
        let snapshot = offers.snapshot(&group.view(), group.local().id);
        let inner = Arc::new(Registry {
            group,
            dispatch: dispatch.clone(),
            offers: Mutex::new(offers),
            snapshot: watch::Sender::new(Arc::new(snapshot)),
            known: watch::Sender::new(0),
            changed: Notify::new(),
            closed: closed.clone(),
        });
        // Not the registry itself, which has the dispatcher: nobody would ever be the last to go.
        dispatch.register(SERVICE, Arc::new(Listener(Arc::downgrade(&inner))));
        tokio::spawn(tell(inner.clone(), closed));
        Self { inner }
    }

    /// Offers a service until the answer is dropped. It may be offered several times.
    ///
    /// # Errors
    /// See [`OfferError`].
    pub fn offer(&self, service: &str) -> Result<Offer, OfferError> {
        if service.is_empty() || service.len() > MOST_NAME {
            return Err(OfferError::Name(service.to_owned()));
        }
        let mut offers = self.inner.offers.lock();
        if !offers.offer(service) {
            return Err(OfferError::TooMany);
        }
        let version = offers.mine().version;
        self.inner.tell_here(&offers);
        self.inner.changed.notify_one();
        Ok(Offer { registry: self.clone(), service: service.to_owned(), version })
    }

    /// Who offers it, oldest first, as far as this member knows.
    #[must_use]
    pub fn providers(&self, service: &str) -> Vec<Member> {
        self.inner.snapshot.borrow().providers.get(service).cloned().unwrap_or_default()
    }

    /// Who offers it, as that changes.
    #[must_use]
    pub fn watch(&self, service: &str) -> Providers {
        let mut snapshots = self.snapshots();
        let last = ids(&snapshots.now(), service);
        Providers { service: service.to_owned(), snapshots, last }
    }

    /// All services that somebody offers, by name.
    #[must_use]
    pub fn services(&self) -> Vec<String> {
        self.inner.snapshot.borrow().providers.keys().cloned().collect()
    }

    pub(crate) fn snapshots(&self) -> Snapshots {
        let closed = self.inner.closed.clone();
        Snapshots { receiver: self.inner.snapshot.subscribe(), closed }
    }
}

impl fmt::Debug for ServiceRegistry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServiceRegistry").field("services", &self.services()).finish()
    }
}

// === impl Registry ===

impl Registry {
    /// Something has changed: for those who watch here.
    fn tell_here(&self, offers: &Offers) {
        let (view, local) = (self.group.view(), self.group.local().id);
        let snapshot = offers.snapshot(&view, local);
        self.snapshot.send_if_modified(|present| {
            let is_news = **present != snapshot;
            if is_news {
                *present = Arc::new(snapshot);
            }
            is_news
        });
        if offers.due(&view, local).is_empty() {
            self.known.send_replace(offers.mine().version);
        }
    }

    fn with(&self, work: impl FnOnce(&mut Offers)) {
        let mut offers = self.offers.lock();
        work(&mut offers);
        self.tell_here(&offers);
    }
}

/// Hears what the others offer, and answers with what this one does.
struct Listener(Weak<Registry>);

#[async_trait]
impl Handler for Listener {
    async fn handle(&self, from: MemberId, command: Bytes) -> Result<Bytes, String> {
        let told: Told = codec::decode(&command).map_err(|error| error.to_string())?;
        let registry = self.0.upgrade().ok_or("the cluster was left")?;
        let mut offers = registry.offers.lock();
        offers.heard(from, told)?;
        registry.tell_here(&offers);
        codec::encode(&offers.mine()).map(Bytes::from).map_err(|error| error.to_string())
    }
}

/// Tells every member of the view until it knows.
async fn tell(registry: Arc<Registry>, closed: CancellationToken) {
    let mut views = registry.group.watch();
    let mut calls = JoinSet::new();
    let mut under_way: Vec<MemberId> = Vec::new();
    loop {
        let view = views.borrow_and_update().clone();
        let local = registry.group.local().id;
        registry.with(|offers| offers.view(&view, local));
        let (due, told) = {
            let offers = registry.offers.lock();
            (offers.due(&view, local), offers.mine())
        };
        for member in due {
            if !under_way.contains(&member) {
                under_way.push(member);
                calls.spawn(call(registry.dispatch.clone(), local, member, told.clone()));
            }
        }
        tokio::select! {
            () = closed.cancelled() => return,
            Ok(()) = views.changed() => {}
            () = registry.changed.notified() => {}
            Some(Ok((member, (by, version), answer))) = calls.join_next() => {
                under_way.retain(|other| *other != member);
                // What was told by an earlier life is not known of this one.
                if let Ok(told) = answer
                    && by == registry.group.local().id
                {
                    registry.with(|offers| {
                        offers.acknowledged(member, version);
                        // It answered as a member does; what it says is checked as any other's.
                        let _ = offers.heard(member, told);
                    });
                }
            }
        }
    }
}

async fn call(
    dispatch: Arc<dyn Dispatch>,
    by: MemberId,
    member: MemberId,
    told: Told,
) -> (MemberId, (MemberId, u64), Result<Told, CallError>) {
    let version = told.version;
    let command = codec::encode(&told).unwrap_or_default();
    let answer = dispatch.call(member, SERVICE, command.into(), DEADLINE).await;
    let read =
        |bytes: Bytes| codec::decode(&bytes).map_err(|error| CallError::Failed(error.to_string()));
    let answer = answer.and_then(read);
    if let Err(error) = &answer {
        tracing::debug!(%member, %error, "a member does not know yet what this one offers");
        tokio::time::sleep(AGAIN).await;
    }
    (member, (by, version), answer)
}

// === impl Offer ===

impl Offer {
    /// Its service.
    #[must_use]
    pub fn service(&self) -> &str {
        &self.service
    }

    /// Returns when every member of the view knows of it, or the cluster was left.
    pub async fn is_known(&self) {
        let registry = &self.registry.inner;
        let mut known = registry.known.subscribe();
        tokio::select! {
            _ = known.wait_for(|known| *known >= self.version) => {}
            () = registry.closed.cancelled() => {}
        }
    }
}

impl Drop for Offer {
    fn drop(&mut self) {
        self.registry.inner.with(|offers| offers.withdraw(&self.service));
        self.registry.inner.changed.notify_one();
    }
}

// === impl Providers ===

impl Providers {
    /// Who offers it now, oldest first.
    #[must_use]
    pub fn now(&self) -> Vec<Member> {
        let snapshot = self.snapshots.receiver.borrow();
        snapshot.providers.get(&self.service).cloned().unwrap_or_default()
    }

    /// Waits until others offer it than before, and says who; none when the cluster was left.
    pub async fn changed(&mut self) -> Option<Vec<Member>> {
        loop {
            let now = ids(&*self.snapshots.next().await?, &self.service);
            if now != self.last {
                self.last = now;
                return Some(self.now());
            }
        }
    }
}

// === impl Snapshots ===

impl Snapshots {
    pub(crate) fn now(&mut self) -> Arc<Snapshot> {
        self.receiver.borrow_and_update().clone()
    }

    pub(crate) async fn next(&mut self) -> Option<Arc<Snapshot>> {
        tokio::select! {
            changed = self.receiver.changed() => changed.ok()?,
            () = self.closed.cancelled() => return None,
        }
        Some(self.now())
    }
}

fn ids(snapshot: &Snapshot, service: &str) -> Vec<MemberId> {
    snapshot.providers.get(service).into_iter().flatten().map(|member| member.id).collect()
}
