//! What all tasks of a node share, and how an event becomes actions, and actions are done.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use muster_cluster::{Durable, MemberId, Moment, NodeId, View};
use muster_grid::message::{Answers, Message};
use muster_grid::{Action, Bytes, Event, Rev, Wire, wire};
use parking_lot::{Mutex, RwLock};
use tokio::sync::{Notify, Semaphore, broadcast, watch};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::{error, info, warn};

use super::FrameHandler;
use super::changes::ChangeHandlers;
use super::disk::Writer;
use super::inner::{Flush, Inner, Out};
use super::settings::NodeSettings;
use super::state::{NodeState, Standing};
use crate::channel::book::Book;
use crate::channel::counts::Counts;
use crate::channel::hello::{Hello, Lane};
use crate::channel::links::Links;
use crate::channel::outgoing::NotSent;
use crate::channel::secure::Security;
use crate::channel::service;
use crate::channel::told::Told;
use crate::failure::Detector;

/// What all tasks of a node share.
pub(crate) struct Shared {
    pub(crate) settings: NodeSettings,
    pub(crate) security: Security,
    pub(crate) local: SocketAddr,
    pub(crate) address: String,
    pub(crate) boot: u64,
    pub(crate) inner: Mutex<Inner>,
    pub(crate) state: watch::Sender<NodeState>,
    pub(crate) lease_lost: broadcast::Sender<(Bytes, Rev)>,
    pub(crate) links: Links,
    pub(crate) book: Mutex<Book>,
    pub(crate) told: Told,
    /// Taken after the core's lock, never before it.
    pub(crate) detector: Mutex<Detector>,
    pub(crate) counts: Arc<Counts>,
    pub(crate) handlers: RwLock<Vec<Option<Arc<dyn FrameHandler>>>>,
    pub(crate) changed: ChangeHandlers,
    pub(crate) greeting: Arc<Semaphore>,
    /// Somebody is to be dialled.
    pub(crate) dial: Notify,
    pub(crate) stop: CancellationToken,
    pub(crate) tasks: TaskTracker,
    pub(crate) writer: Option<Writer>,
    pub(crate) begin: Instant,
    pub(crate) numbers: Numbers,
}

/// Numbers of the node that only rise.
#[derive(Debug, Default)]
pub(crate) struct Numbers {
    pub(crate) suspicions: AtomicU64,
    pub(crate) views: AtomicU64,
    pub(crate) persists: AtomicU64,
    pub(crate) persist_us: AtomicU64,
}

impl Shared {
    /// The node's clock.
    pub(crate) fn now(&self) -> Moment {
        self.begin.elapsed()
    }

    /// This node's first words.
    pub(crate) fn hello(&self, lane: Lane) -> Hello {
        let state = self.state.borrow();
        Hello {
            cluster: self.settings.cluster.clone(),
            node: state.me.node.0,
            incarnation: state.me.incarnation,
            boot: self.boot,
            is_in: state.standing == Standing::In,
            name: self.settings.name.clone(),
            address: self.address.clone(),
            lane,
            proof: None,
        }
    }

    /// Gives the core what `give` has for it, and does what it wants done.
    pub(crate) fn with<R>(
        self: &Arc<Self>,
        flush: Flush,
        give: impl FnOnce(&mut Inner, Moment) -> R,
    ) -> R {
        let mut inner = self.inner.lock();
        // Read under the lock: the core's time never runs backwards.
        let given = give(&mut inner, self.now());
        self.perform(&mut inner);
        let out = std::mem::take(&mut inner.out);
        drop(inner);
        out.deliver(flush);
        given
    }

    /// Gives the core one event about membership.
    pub(crate) fn tell(self: &Arc<Self>, event: muster_cluster::Event) {
        self.with(Flush::Now, |inner, now| inner.core.handle(Event::Cluster(event), now));
    }

    /// Does what the core wants done; while something is being written to disk, what comes after it
    /// waits.
    pub(crate) fn perform(self: &Arc<Self>, inner: &mut Inner) {
        while let Some(action) = inner.core.poll_action() {
            if inner.is_writing || inner.has_failed {
                inner.held.push_back(action);
            } else {
                self.act(inner, action);
            }
        }
        if inner.has_failed {
            inner.held.clear();
        }
    }

    fn act(self: &Arc<Self>, inner: &mut Inner, action: Action) {
        match action {
            Action::Send { to, wire } => self.send(&mut inner.out, to, &wire),
            Action::Reply { id, reply } => {
                let slot = usize::try_from(id).unwrap_or(usize::MAX);
                if let Some(asker) = inner.asked.try_remove(slot) {
                    inner.out.done.push((asker, reply));
                }
            }
            Action::Persist(durable) => self.persist(inner, *durable),
            Action::Redial(id) => self.redial(id),
            Action::View(view) => self.installed(inner, view),
            Action::Renewed(id) => self.renewed(inner, id),
            Action::Quorate(is_quorate) => {
                self.state.send_modify(|state| state.is_quorate = is_quorate);
            }
            Action::LeaseLost { name, token } => {
                // Nobody may be listening.
                let _ = self.lease_lost.send((name, token));
            }
            // No cache is watched here yet.
            Action::Changed(changes) => self.changed.tell(changes),
            Action::Shelved(shelved) => self.changed.tell_shelved(shelved),
            Action::Lost(rows) => {
                warn!(rows = rows.len(), "rows begin empty: all their owners are gone");
                self.state.send_modify(|state| state.lost_rows += rows.len() as u64);
            }
            Action::Refused(why) => {
                error!(name = self.settings.name, %why, "this node cannot join the cluster");
                self.stands(inner);
            }
            Action::NotGranted(why) => {
                warn!(%why, "a change of the cluster was not granted");
                self.state.send_modify(|state| {
                    state.not_granted = (state.not_granted.0 + 1, Some(why));
                });
            }
            Action::Left => self.stands(inner),
        }
    }

    fn send(&self, out: &mut Out, to: NodeId, wire: &Wire) {
        let lane = match wire {
            Wire::Grid(message) if message.is_bulk() => Lane::Bulk,
            Wire::Grid(_) | Wire::Cluster(_) => Lane::Calls,
        };
        let sent = self.links.send(to, lane, service::CORE, 0, |version, buffer| {
            // It cannot fail: the version was agreed on, and memory is the only limit.
            let _ = wire::encode_as(version, wire, buffer);
        });
        match sent {
            Ok(conn) => out.dirty.extend(conn),
            Err(NotSent::TooLong(_)) => self.send_halves(out, to, wire),
            // The protocol sends again what was not answered.
            Err(NotSent::Full | NotSent::NoLink) => {}
        }
    }

    /// Writes that do not fit in one frame go in two.
    fn send_halves(&self, out: &mut Out, to: NodeId, wire: &Wire) {
        let Wire::Grid(Message::Append { epoch, row, first, items, answers }) = wire else {
            return;
        };
        if items.len() < 2 {
            return;
        }
        let (front, back) = items.split_at(items.len() / 2);
        let (epoch, row, middle) = (*epoch, *row, first + front.len() as u64);
        // Answers wait for their writes anyway: they go with the last.
        let halves = [(*first, front, Answers::new()), (middle, back, answers.clone())];
        for (first, items, answers) in halves {
            let items = items.iter().cloned().collect();
            self.send(out, to, &Wire::Grid(Message::Append { epoch, row, first, items, answers }));
        }
    }

    fn installed(self: &Arc<Self>, inner: &Inner, view: Arc<View>) {
        let now = self.now();
        self.numbers.views.fetch_add(1, Ordering::Relaxed);
        let names: Vec<&str> = view.members.iter().map(|member| &*member.name).collect();
        info!(epoch = view.epoch.counter, members = ?names, merged = view.merged, "a new view");
        {
            let mut book = self.book.lock();
            let me = book.me();
            for member in view.members.iter().filter(|member| member.id.node != me) {
                book.found(&member.address, Some(member.id.node), now);
            }
        }
        let standing = Standing::of(inner.core.membership().standing());
        self.state.send_modify(|state| {
            state.merges += u64::from(view.merged);
            state.view = Some(view);
            state.standing = standing;
        });
    }

    fn renewed(&self, inner: &mut Inner, id: MemberId) {
        info!(%id, "this member was dropped and comes back as a new life");
        let standing = Standing::of(inner.core.membership().standing());
        self.state.send_modify(|state| {
            (state.me, state.view, state.standing) = (id, None, standing);
        });
        self.detector.lock().renewed(id);
        let said = id.incarnation.to_le_bytes();
        inner.out.dirty.extend(self.links.send_on_all(
            service::LINK,
            service::LINK_RENEWED,
            |buffer| buffer.extend_from_slice(&said),
        ));
    }

    fn stands(&self, inner: &Inner) {
        let standing = Standing::of(inner.core.membership().standing());
        self.state.send_modify(|state| state.standing = standing);
    }

    fn persist(self: &Arc<Self>, inner: &mut Inner, durable: Durable) {
        let Some(writer) = self.writer.clone() else { return };
        inner.is_writing = true;
        let shared = self.clone();
        self.tasks.spawn_blocking(move || {
            let begin = Instant::now();
            let written = writer.write(&durable);
            let took = u64::try_from(begin.elapsed().as_micros()).unwrap_or(u64::MAX);
            shared.numbers.persists.fetch_add(1, Ordering::Relaxed);
            shared.numbers.persist_us.fetch_add(took, Ordering::Relaxed);
            shared.persisted(written.err().map(|error| error.to_string()));
        });
    }

    /// It stands on disk: what waited for it is done, up to the next that must stand there.
    fn persisted(self: &Arc<Self>, failure: Option<String>) {
        let mut inner = self.inner.lock();
        inner.is_writing = false;
        if let Some(failure) = failure {
            error!(failure, "this member stops: what it must not forget is not on its disk");
            inner.has_failed = true;
            inner.held.clear();
            inner.asked.clear();
            self.state.send_modify(|state| state.standing = Standing::Failed(failure));
            self.stop.cancel();
            return;
        }
        while !inner.is_writing
            && let Some(action) = inner.held.pop_front()
        {
            self.act(&mut inner, action);
        }
        let out = std::mem::take(&mut inner.out);
        drop(inner);
        out.deliver(Flush::Now);
    }

    /// Logs why there is no link with somebody, once for each reason.
    pub(crate) fn not_linked(&self, about: &str, why: &str) {
        self.counts.refused.fetch_add(1, Ordering::Relaxed);
        if self.told.is_new(about, why) {
            warn!(peer = about, why, "not linked");
        }
    }

    /// How long writing took, all together.
    pub(crate) fn persist_time(&self) -> Duration {
        Duration::from_micros(self.numbers.persist_us.load(Ordering::Relaxed))
    }
}
