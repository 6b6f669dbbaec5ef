//! The shell that makes [`muster_grid::Core`] a running member: sockets, clock, disk, and whoever
//! asks.
//!
//! There is no loop and no queue before the core: whoever has an event (a caller's request, frames
//! that one read gave, a beat) locks the core, gives it the event and does what comes of it. Frames
//! are appended to buffers, answers complete futures, both without waiting; nothing is awaited under
//! the lock. What must stand on disk is written by a blocking thread, and what comes after it waits
//! until it stands there.
//!
//! | file | idea |
//! |---|---|
//! | `settings` | what a node is told, and why it does not start |
//! | `disk` | the data directory |
//! | `inner`, `shared` | the core behind its lock; an event in, actions done |
//! | `join` | links come about: listening and dialling |
//! | `read` | frames that came |
//! | `redial` | after a close: is the process gone? |
//! | `tick` | the beat |
//! | `changes` | listeners of caches |
//! | `state` | what a node tells those who watch it |

mod changes;
pub(crate) mod disk;
mod inner;
mod join;
mod read;
mod redial;
pub(crate) mod settings;
mod shared;
pub(crate) mod state;
#[cfg(test)]
mod tests;
mod tick;

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use bytes::Bytes;
use muster_cluster::membership::Standing as CoreStanding;
use muster_cluster::{Config, Epoch, MemberId, Moment, NodeId};
use muster_grid::{Core, Event, Grid, Memory, Reply, Request, Rev, Rules, Shelf, Space, Watched};
use parking_lot::{Mutex, RwLock};
use rand::Rng as _;
use slab::Slab;
use tokio::net::TcpListener;
use tokio::sync::{Notify, Semaphore, broadcast, oneshot, watch};
use tokio::time::timeout;
use tokio_util::sync::{CancellationToken, DropGuard};
use tokio_util::task::TaskTracker;

#[allow(unused_imports, reason = "for the services above")]
pub(crate) use crate::channel::{MutualTls, Secret};
pub(crate) use muster_cluster::message::Wish;
#[allow(unused_imports, reason = "for the services above")]
pub(crate) use settings::{NodeError, NodeLimits, NodeSettings};
pub(crate) use state::{NodeState, NodeStats, Standing};

use crate::channel::book::Book;
use crate::channel::counts::Counts;
use crate::channel::links::Links;
use crate::channel::secure::Security;
use crate::channel::told::Told;
use crate::channel::{Lane, NotSent, service};
use crate::failure::Detector;
use changes::{ChangeHandler, ChangeHandlers, ShelfHandler};
use disk::Disk;
use inner::{Asker, Flush, Inner};
use shared::{Numbers, Shared};

/// Lost leases that a slow listener may be behind.
const MOST_LOST_LEASES: usize = 256;

/// Takes the frames of one service, on the task that reads them: it must not block, and what takes
/// long it gives to a task of its own.
pub(crate) trait FrameHandler: Send + Sync {
    /// A frame came.
    fn frame(&self, from: MemberId, id: u64, payload: Bytes);
}

/// Takes answers of the grid, outside of its lock, on the task that brought them: it must not block.
pub(crate) trait ReplyHandler: Send + Sync {
    /// An answer came. None comes when the node stops.
    fn replied(&self, id: u64, reply: Reply);
}

/// A running member of a cluster. Cheap to clone; when the last clone is dropped it stops as if it
/// were killed, without handing anything over: see [`Node::leave`].
#[derive(Clone)]
pub(crate) struct Node {
    shared: Arc<Shared>,
    _stop: Arc<DropGuard>,
}

impl Node {
    /// Starts. It looks for nobody by itself: see [`Node::found`]. Alone it founds a cluster after
    /// the detection time. Must be called within a tokio runtime, whose tasks it uses.
    ///
    /// # Errors
    /// See [`NodeError`]: then nothing runs.
    pub(crate) async fn start(settings: NodeSettings) -> Result<Node, NodeError> {
        settings.check()?;
        let security = Security::new(settings.secret.clone(), settings.tls.as_ref())?;
        let disk = open_disk(&settings).await?;
        let bind = |error| NodeError::Bind { address: settings.bind, error };
        let listener = TcpListener::bind(settings.bind).await.map_err(bind)?;
        let local = listener.local_addr().map_err(bind)?;
        let shared = Arc::new(assemble(settings, security, &disk, local)?);
        // What the core wants done before its first event, such as its first writing.
        shared.with(Flush::Now, |_, _| ());
        let probed = Arc::new(tick::Probed(Arc::downgrade(&shared)));
        shared.handlers.write()[usize::from(service::FAILURE)] = Some(probed);
        shared.tasks.spawn(join::listen(shared.clone(), listener));
        shared.tasks.spawn(join::keep_dialling(shared.clone()));
        shared.tasks.spawn(tick::beat(shared.clone()));
        shared.tasks.spawn(close_at_end(shared.clone(), disk));
        let stop = Arc::new(shared.stop.clone().drop_guard());
        Ok(Node { shared, _stop: stop })
    }

    /// This member's present life.
    pub(crate) fn me(&self) -> MemberId {
        self.shared.state.borrow().me
    }

    /// The node's name.
    pub(crate) fn name(&self) -> &str {
        &self.shared.settings.name
    }

    /// The cluster's name.
    pub(crate) fn cluster(&self) -> &str {
        &self.shared.settings.cluster
    }

    /// Where it listens.
    pub(crate) fn local_addr(&self) -> SocketAddr {
        self.shared.local
    }

    /// `host:port` at which the others reach it.
    pub(crate) fn address(&self) -> &str {
        &self.shared.address
    }

    /// Somebody may listen there (`host:port`): dialled now, and again with growing pauses of at
    /// most 5 s, for a minute after it was found the last time. At most 256 addresses are kept.
    pub(crate) fn found(&self, address: &str) {
        let now = self.shared.now();
        self.shared.book.lock().found(address, None, now);
        self.shared.dial.notify_one();
    }

    /// Asks the grid. Answered by the deadline, whatever happens; [`Reply::Unknown`] when the node
    /// stops meanwhile. Dropping the future takes nothing back.
    pub(crate) async fn request(&self, request: Request, deadline: Duration) -> Reply {
        let (asker, answer) = oneshot::channel();
        self.ask(asker, request, deadline);
        answer.await.unwrap_or(Reply::Unknown)
    }

    fn ask(&self, asker: oneshot::Sender<Reply>, request: Request, deadline: Duration) {
        self.ask_by(Asker::Future(asker), deadline, |id, deadline| Event::Request {
            id,
            request,
            deadline,
        });
    }

    /// Asks the grid as the primary that this member is since that epoch: see
    /// [`Grid::request_led`].
    pub(crate) fn request_led(
        &self,
        (handler, number): (Arc<dyn ReplyHandler>, u64),
        reign: Epoch,
        request: Request,
        deadline: Duration,
    ) {
        self.ask_by(Asker::Handler(handler, number), deadline, |id, deadline| Event::Led {
            id,
            request,
            reign,
            deadline,
        });
    }

    fn ask_by(&self, asker: Asker, deadline: Duration, event: impl FnOnce(u64, Moment) -> Event) {
        let shared = &self.shared;
        if shared.stop.is_cancelled() {
            return asker.send(Reply::Unavailable);
        }
        let mut inner = shared.inner.lock();
        let now = shared.now();
        let id = inner.asked.insert(asker) as u64;
        let event = event(id, now.saturating_add(deadline));
        inner.core.handle(event, now);
        shared.perform(&mut inner);
        let out = std::mem::take(&mut inner.out);
        // Others that wait for answers are likely to ask in the same moment as this one.
        let flush = if inner.asked.len() > 1 { Flush::Soon } else { Flush::Now };
        drop(inner);
        out.deliver(flush);
    }

    /// The node's clock.
    pub(crate) fn now(&self) -> Moment {
        self.shared.now()
    }

    /// Looks at the grid, under the lock of the core: be quick.
    pub(crate) fn with_grid<R>(&self, look: impl FnOnce(&Grid, Moment) -> R) -> R {
        let inner = self.shared.inner.lock();
        look(inner.core.grid(), self.shared.now())
    }

    /// Changes settings of the grid, such as policies. What the grid wants done comes of it.
    pub(crate) fn with_grid_mut<R>(&self, change: impl FnOnce(&mut Grid, Moment) -> R) -> R {
        self.shared.with(Flush::Now, |inner, now| change(inner.core.grid_mut(), now))
    }

    /// Looks at the whole core, under its lock: for monitoring.
    pub(crate) fn with_core<R>(&self, look: impl FnOnce(&Core, Moment) -> R) -> R {
        let inner = self.shared.inner.lock();
        look(&inner.core, self.shared.now())
    }

    /// What it tells those who watch it.
    pub(crate) fn state(&self) -> watch::Receiver<NodeState> {
        self.shared.state.subscribe()
    }

    /// From now on frames of a service go to this handler. Services are in `channel::service`;
    /// those of the core and of links have no handler.
    pub(crate) fn serve(&self, service: u16, handler: Arc<dyn FrameHandler>) {
        let mut handlers = self.shared.handlers.write();
        if let Some(place) = handlers.get_mut(usize::from(service)) {
            *place = Some(handler);
        }
    }

    /// Sends a frame. Frames to one node on one lane arrive in their order, or not at all when the
    /// link breaks. It goes out together with whatever others send at this moment.
    ///
    /// # Errors
    /// See [`NotSent`]: then nothing was sent.
    pub(crate) fn send(
        &self,
        to: NodeId,
        service: u16,
        id: u64,
        lane: Lane,
        payload: &[u8],
    ) -> Result<(), NotSent> {
        self.send_with(to, service, id, lane, |buffer| buffer.extend_from_slice(payload))
    }

    /// The same, written where it goes out from.
    ///
    /// # Errors
    /// As for [`Node::send`].
    pub(crate) fn send_with(
        &self,
        to: NodeId,
        service: u16,
        id: u64,
        lane: Lane,
        write: impl FnOnce(&mut Vec<u8>),
    ) -> Result<(), NotSent> {
        let write = |_: u8, buffer: &mut Vec<u8>| write(buffer);
        if let Some(conn) = self.shared.links.send(to, lane, service, id, write)? {
            conn.out.flush_soon();
        }
        Ok(())
    }

    /// From now on changes of a cache go to this handler, in order, under the lock of the core: it
    /// must not block, and ask nothing of the node.
    pub(crate) fn on_changes(&self, space: Space, watched: Watched, handler: ChangeHandler) {
        self.shared.changed.set(space, handler);
        self.with_grid_mut(|grid, _| grid.watch(space, watched));
    }

    /// From now on a cache's memory is bounded, and what its shelf does goes to this handler, under
    /// the lock of the core: it must not block, and ask nothing of the node.
    pub(crate) fn set_memory(&self, space: Space, memory: Memory, handler: ShelfHandler) {
        self.shared.changed.set_shelf(space, handler);
        self.with_grid_mut(|grid, now| grid.set_memory(space, memory, now));
    }

    /// From now on a cache has a journal ([`Grid::set_journal`]), and what its shelf does goes to this
    /// handler, as with [`Node::set_memory`].
    pub(crate) fn set_journal(&self, space: Space, shelf: Arc<dyn Shelf>, handler: ShelfHandler) {
        self.shared.changed.set_shelf(space, handler);
        self.with_grid_mut(|grid, now| grid.set_journal(space, shelf, now));
    }

    /// Leases that could not be renewed in time: name and token.
    pub(crate) fn lease_lost(&self) -> broadcast::Receiver<(muster_grid::Bytes, Rev)> {
        self.shared.lease_lost.subscribe()
    }

    /// An operator's wish. What comes of it is seen in [`Node::state`]: another electorate in the
    /// view, or `not_granted`.
    pub(crate) fn wish(&self, wish: Wish) {
        self.shared.tell(muster_cluster::Event::Wish(wish));
    }

    /// Whether what it must not forget stands on a disk.
    pub(crate) fn is_on_disk(&self) -> bool {
        self.shared.writer.is_some()
    }

    /// Hands over what it owns and leaves; waits for that at most until the deadline. Then it stops
    /// in any case. True when it has left in order.
    pub(crate) async fn leave(&self, deadline: Duration) -> bool {
        let mut state = self.state();
        self.shared.tell(muster_cluster::Event::Leave);
        let over = |state: &NodeState| match state.standing {
            Standing::Left | Standing::Refused(_) | Standing::Failed(_) => true,
            Standing::Out | Standing::In => false,
        };
        let _ = timeout(deadline, state.wait_for(over)).await;
        let has_left = state.borrow().standing == Standing::Left;
        let is_last = state.borrow().view.as_ref().is_some_and(|view| view.members.len() == 1);
        if is_last || !has_left {
            // Nobody has taken it: what a shelf keeps is found there.
            self.with_grid_mut(|grid, now| grid.shelve_all(now));
        }
        self.stop().await;
        has_left
    }

    /// Stops as if it were killed; returns when its tasks have ended.
    pub(crate) async fn stop(&self) {
        self.shared.stop.cancel();
        self.shared.tasks.wait().await;
    }

    /// What it has done.
    pub(crate) fn stats(&self) -> NodeStats {
        let shared = &self.shared;
        let read = |number: &std::sync::atomic::AtomicU64| number.load(Ordering::Relaxed);
        NodeStats {
            links: shared.links.len(),
            calls: shared.counts.stats(Lane::Calls),
            bulk: shared.counts.stats(Lane::Bulk),
            unlinked: read(&shared.counts.unlinked),
            refused: read(&shared.counts.refused),
            malformed: read(&shared.counts.malformed),
            suspicions: read(&shared.numbers.suspicions),
            views: read(&shared.numbers.views),
            persists: read(&shared.numbers.persists),
            persist_time: shared.persist_time(),
        }
    }
}

async fn open_disk(settings: &NodeSettings) -> Result<Disk, NodeError> {
    let Some(path) = settings.data_dir.clone() else { return Ok(Disk::memory()) };
    let opened = tokio::task::spawn_blocking(move || Disk::open(&path)).await;
    match opened {
        Ok(disk) => Ok(disk?),
        Err(error) => Err(NodeError::BadValue {
            field: "data directory",
            value: String::new(),
            why: error.to_string(),
        }),
    }
}

fn assemble(
    settings: NodeSettings,
    security: Security,
    disk: &Disk,
    local: SocketAddr,
) -> Result<Shared, NodeError> {
    let address = settings.advertised.clone().unwrap_or_else(|| local.to_string());
    let me = MemberId { node: disk.node, incarnation: disk.durable.incarnation };
    let usual = Config::new(me, &settings.name);
    // Within one detection a newcomer must hear of the cluster a few times: it founds its own when it
    // has not.
    let often = settings.detection / 4;
    let config = Config {
        address: address.as_str().into(),
        weight: settings.weight,
        tables: settings.tables(),
        segments: settings.segments,
        quorum: settings.quorum,
        detection: settings.detection,
        greet: usual.greet.min(often),
        retry: usual.retry.min(often),
        ..usual
    };
    let limits = settings.limits.grid.clone();
    let durable = disk.durable.clone();
    let core = Core::new(config, durable, limits, Rules::default(), Moment::ZERO)?;
    let out = CoreStanding::Out { since: Moment::ZERO };
    let state = NodeState {
        view: None,
        me,
        is_quorate: false,
        merges: 0,
        standing: Standing::of(&out),
        lost_rows: 0,
        not_granted: (0, None),
    };
    let inner = Inner {
        core,
        asked: Slab::new(),
        held: VecDeque::new(),
        is_writing: false,
        has_failed: false,
        out: inner::Out::default(),
    };
    let counts = Arc::new(Counts::default());
    let greeting = Arc::new(Semaphore::new(settings.limits.most_greeting));
    let mut book = Book::new(me.node);
    if let Some(view) = &disk.durable.accepted {
        // Those of its last view are most likely still there.
        for member in view.members.iter().filter(|member| member.id.node != me.node) {
            book.found(&member.address, None, Moment::ZERO);
        }
    }
    let (boot, detection) = (rand::rng().random(), settings.detection);
    Ok(Shared {
        settings,
        security,
        local,
        address,
        boot,
        inner: Mutex::new(inner),
        state: watch::Sender::new(state),
        lease_lost: broadcast::Sender::new(MOST_LOST_LEASES),
        links: Links::new(counts.clone()),
        book: Mutex::new(book),
        told: Told::default(),
        detector: Mutex::new(Detector::new(me, detection, boot)),
        counts,
        handlers: RwLock::new(vec![None; usize::from(service::MOST)]),
        changed: ChangeHandlers::default(),
        greeting,
        dial: Notify::new(),
        stop: CancellationToken::new(),
        tasks: TaskTracker::new(),
        writer: disk.writer(),
        begin: Instant::now(),
        numbers: Numbers::default(),
    })
}

/// When the node stops, its links end, whoever waits gets no answer, and then its data directory is
/// free for another.
async fn close_at_end(shared: Arc<Shared>, disk: Disk) {
    shared.stop.cancelled().await;
    shared.links.close();
    shared.inner.lock().asked.clear();
    shared.tasks.close();
    drop(disk);
}
