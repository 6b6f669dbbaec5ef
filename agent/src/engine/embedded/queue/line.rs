//! One queue at this member: its station behind a lock. Whoever has an event locks it; what is to be
//! done is done outside of the lock, in its order, by whoever was there first.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Weak};
use std::time::Duration;

use muster_cluster::{Epoch, MemberId, Moment};
use muster_grid::queue::{
    Act, Address, Answer, Frame, QueueRules, Settings, Station, Stats, Ticket,
};
use muster_grid::segment::Place;
use muster_grid::{Bytes, Group, Put, Reply, Request, Shelf, Shelved, Space};
use parking_lot::Mutex;
use tokio::runtime::Handle;
use tokio::sync::{Notify, mpsc, oneshot};
use tokio_util::sync::CancellationToken;

use crate::channel::{Lane, service};
use crate::engine::queue::JournalStats;
use crate::node::{Node, ReplyHandler};

/// A write ends when this member stops being the primary; this only bounds it.
const DEADLINE: Duration = Duration::from_secs(60);

/// What a consumer is given.
pub(super) type Given = (Ticket, Bytes);

/// One queue at this member.
pub(in super::super) struct Line {
    me: Weak<Self>,
    pub(super) node: Node,
    pub(in super::super) space: Space,
    inner: Mutex<Inner>,
    /// Something is due earlier than it was.
    earlier: Arc<Notify>,
    pub(super) closed: CancellationToken,
    runtime: Handle,
}

struct Inner {
    station: Station,
    calls: BTreeMap<u64, oneshot::Sender<Answer>>,
    consumers: BTreeMap<u64, mpsc::UnboundedSender<Given>>,
    is_performing: bool,
    /// When the timer looks at it.
    planned: Option<Moment>,
}

/// Something to be done outside of the lock.
enum Deed {
    /// From one life of this member to one of another.
    Send(MemberId, MemberId, Frame),
    Led(u64, Epoch, Request),
    Read(u64, Epoch, Option<Place>),
    Done(oneshot::Sender<Answer>, Answer),
    Given(mpsc::UnboundedSender<Given>, Given),
}

// === impl Line ===

impl Line {
    pub(super) fn new(
        node: Node,
        space: Space,
        settings: Settings,
        earlier: Arc<Notify>,
        closed: CancellationToken,
    ) -> Arc<Self> {
        let station = Station::new(node.me(), space, settings, QueueRules::default());
        let inner = Inner {
            station,
            calls: BTreeMap::new(),
            consumers: BTreeMap::new(),
            is_performing: false,
            planned: None,
        };
        let (inner, runtime) = (Mutex::new(inner), Handle::current());
        Arc::new_cyclic(|me| Self { me: me.clone(), node, space, inner, earlier, closed, runtime })
    }

    /// Something is asked; none when the engine is closed.
    pub(super) async fn call(
        &self,
        ask: impl FnOnce(&mut Station, Moment) -> u64,
    ) -> Option<Answer> {
        self.begin(ask)?.await.ok()
    }

    fn begin(
        &self,
        ask: impl FnOnce(&mut Station, Moment) -> u64,
    ) -> Option<oneshot::Receiver<Answer>> {
        let (sender, answer) = oneshot::channel();
        self.with(|inner, now| {
            // Under the lock: whoever closes it has either seen this call or is seen by it.
            if self.closed.is_cancelled() {
                return None;
            }
            let call = ask(&mut inner.station, now);
            inner.calls.insert(call, sender);
            Some(answer)
        })
    }

    /// A consumer with so many credits.
    pub(super) fn consume(&self, credits: u32) -> (u64, mpsc::UnboundedReceiver<Given>) {
        // Its credits bound it.
        let (sender, given) = mpsc::unbounded_channel();
        let consumer = self.with(|inner, now| {
            let consumer = inner.station.consume(credits, now);
            if !self.closed.is_cancelled() {
                inner.consumers.insert(consumer, sender);
            }
            consumer
        });
        (consumer, given)
    }

    /// A consumer is gone, and nobody has seen these.
    pub(super) fn gone(&self, consumer: u64, untouched: Vec<Ticket>) {
        self.with(|inner, now| {
            inner.consumers.remove(&consumer);
            inner.station.gone(consumer, untouched, now);
        });
    }

    pub(super) fn dropped(&self, consumer: u64, ticket: Ticket) {
        self.with(|inner, _| inner.station.dropped(consumer, ticket));
    }

    /// A life of another member said something to a life of this one.
    pub(super) fn frame(&self, from: MemberId, to: u64, frame: Frame) {
        self.with(|inner, now| inner.station.frame(from, to, frame, now));
    }

    /// From now on this member writes down what it keeps of the queue. As a home it begins once
    /// [`Line::restored`] is said.
    pub(super) fn keep(&self, name: &str, shelf: Arc<dyn Shelf>) {
        let queue = name.to_owned();
        let tell = move |shelved| {
            if let Shelved::Failed { error, .. } = shelved {
                tracing::error!(queue, %error, "the journal of a queue failed: publications are \
                    refused while it does, and what it has not taken is tried again");
            }
        };
        self.node.set_journal(self.space, shelf, Arc::new(tell));
        self.with(|inner, now| inner.station.keep(now));
    }

    /// What an earlier process of any member left is given back, or was waited for long enough.
    pub(in super::super) fn restored(&self) {
        self.with(|inner, now| inner.station.restored(now));
    }

    /// Gives some messages of an earlier process, unless the queue has some of their group.
    pub(in super::super) async fn give(
        &self,
        group: Bytes,
        entries: Vec<(Bytes, Put)>,
        deadline: Duration,
    ) -> Reply {
        let group = Group::named(self.space, group);
        match self.node.request(Request::Get(group.clone()), deadline).await {
            Reply::Entries(found) if found.entries.is_empty() => {}
            other => return other,
        }
        // As from the other side of a split: the home hears of it.
        let entries = entries.into_iter().collect();
        self.node.request(Request::Merge { group, entries, token: 0 }, deadline).await
    }

    pub(super) fn journal(&self) -> JournalStats {
        self.node.with_grid(|grid, _| JournalStats {
            errors: grid.shelf_stats(self.space).unwrap_or_default().errors,
            lacking: grid.lacking(self.space),
        })
    }

    pub(super) fn led(&self) -> Option<Stats> {
        self.inner.lock().station.stats()
    }

    /// A group of the other side of a split.
    pub(super) fn merged(&self, group: &Group) {
        if let Some(whole) = self.node.with_grid(|grid, now| grid.whole_led(group, now)) {
            self.with(|inner, now| inner.station.merged(whole, now));
        }
    }

    /// Looks at the view.
    pub(super) fn view(&self) {
        let salt = rand::random();
        self.with(|inner, now| {
            let (me, view, reign) = self.node.with_core(|core, _| {
                let row = core.grid().row_of(self.space, b"");
                let reign = row.and_then(|row| core.grid().reign(row));
                (core.membership().me(), core.membership().view().cloned(), reign)
            });
            inner.station.view(me, view.as_deref(), reign, salt, now);
        });
    }

    /// Does what is due; when the next thing is.
    pub(super) fn tick(&self) -> Option<Moment> {
        self.with(|inner, now| {
            if inner.station.next().is_some_and(|next| next <= now) {
                inner.station.tick(now);
            }
            // Whoever ticks sleeps until then: it need not be woken for it.
            inner.planned = inner.station.next();
        });
        self.inner.lock().planned
    }

    /// Nobody is answered or given anything any more.
    pub(super) fn close(&self) {
        let mut inner = self.inner.lock();
        inner.calls.clear();
        inner.consumers.clear();
    }

    fn with<R>(&self, event: impl FnOnce(&mut Inner, Moment) -> R) -> R {
        let mut inner = self.inner.lock();
        let result = event(&mut inner, self.node.now());
        if inner.is_performing {
            // Whoever is at it sees what this event wants done.
            return result;
        }
        inner.is_performing = true;
        loop {
            let deeds = inner.deeds();
            if deeds.is_empty() {
                break;
            }
            drop(inner);
            self.perform(deeds);
            inner = self.inner.lock();
        }
        inner.is_performing = false;
        let next = inner.station.next();
        if next.is_some() && inner.planned.is_none_or(|planned| next < Some(planned)) {
            inner.planned = next;
            self.earlier.notify_one();
        }
        result
    }

    fn perform(&self, deeds: VecDeque<Deed>) {
        for deed in deeds {
            match deed {
                Deed::Send(from, to, frame) => self.send(from, to, frame),
                Deed::Led(id, reign, request) => {
                    let Some(me) = self.me.upgrade() else { return };
                    self.node.request_led((me, id), reign, request, DEADLINE);
                }
                Deed::Read(reading, reign, after) => self.read(reading, reign, after),
                // Whoever asked or consumed may have gone away.
                Deed::Done(asker, answer) => _ = asker.send(answer),
                Deed::Given(consumer, given) => _ = consumer.send(given),
            }
        }
    }

    fn send(&self, from: MemberId, to: MemberId, frame: Frame) {
        let [from, life] = [from, to].map(|id| id.incarnation);
        let address = Address { cache: self.space.cache, from, to: life };
        let write = |buffer: &mut Vec<u8>| frame.encode(address, buffer);
        if let Err(why) = self.node.send_with(to.node, service::QUEUES, 0, Lane::Calls, write) {
            tracing::debug!(%to, %why, "a queue's frame was not sent");
            self.inner.lock().station.not_sent(frame, to, self.node.now());
        }
    }

    /// A page at a time, each on a turn of its own: a row may be large.
    fn read(&self, reading: u64, reign: Epoch, after: Option<Place>) {
        let Some(me) = self.me.upgrade() else { return };
        self.runtime.spawn(async move {
            let page = me.node.with_grid(|grid, now| {
                let row = grid.row_of(me.space, b"")?;
                grid.page_led(me.space, row, reign, after, now)
            });
            me.with(|inner, now| inner.station.read(reading, page, after, now));
        });
    }
}

impl ReplyHandler for Line {
    fn replied(&self, id: u64, reply: Reply) {
        self.with(|inner, now| inner.station.written(id, &reply, now));
    }
}

// === impl Inner ===

impl Inner {
    /// What the station wants done, with whom it is for.
    fn deeds(&mut self) -> VecDeque<Deed> {
        let mut deeds = VecDeque::new();
        while let Some(act) = self.station.poll() {
            match act {
                Act::Send { from, to, frame } => deeds.push_back(Deed::Send(from, to, frame)),
                Act::Led { id, reign, request } => deeds.push_back(Deed::Led(id, reign, request)),
                Act::Read { reading, reign, after } => {
                    deeds.push_back(Deed::Read(reading, reign, after));
                }
                Act::Done { call, answer } => {
                    let asker = self.calls.remove(&call);
                    deeds.extend(asker.map(|asker| Deed::Done(asker, answer)));
                }
                Act::Given { consumer, ticket, value } => {
                    let to = self.consumers.get(&consumer).cloned();
                    deeds.extend(to.map(|to| Deed::Given(to, (ticket, value))));
                }
            }
        }
        deeds
    }
}
