//! The grid of a member that is alone, for a map of which not all is in memory: what goes to the shelf,
//! and when, is decided where it is for members that share.

use std::sync::{Arc, Weak};
use std::time::Duration;

use muster_cluster::{Copies, Electorate, Epoch, Member, MemberId, Moment, Row, View};
use muster_grid::batch::where_absent;
use muster_grid::grid::Out;
use muster_grid::store::Record;
use muster_grid::{
    Batch, Bytes, Changes, Grid, Group, Limits, Memory, Reply, Request, Rules, Shelf, ShelfError,
    Shelved, Space, Watched, life,
};
use parking_lot::Mutex;
use slab::Slab;
use tokio::runtime::Handle;
use tokio::sync::oneshot;
use tokio::time::{Instant, MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::engine::embedded::Rows;

/// The one cache of this grid.
pub(crate) const CACHE: u32 = 1;
/// Parts in which what is over goes, some of each with every beat.
const SEGMENTS: u16 = 16;
/// How often the grid is told that time has passed.
const BEAT: Duration = Duration::from_millis(50);

/// Who is told of changes.
type OnChanges = Arc<dyn Fn(Changes) + Send + Sync>;
/// Who is told what the shelf does.
type OnShelved = Arc<dyn Fn(Shelved) + Send + Sync>;

/// A grid without other members. Clones are the same one.
#[derive(Clone)]
pub(crate) struct Lone {
    inner: Arc<Inner>,
}

struct Inner {
    state: Mutex<State>,
    view: Arc<View>,
    begin: Instant,
}

struct State {
    grid: Grid,
    asked: Slab<oneshot::Sender<Reply>>,
    on_changes: Option<OnChanges>,
    on_shelved: Option<OnShelved>,
}

// === impl Lone ===

impl Lone {
    /// A grid whose time goes on until it is dropped or closed.
    pub(crate) fn start(me: MemberId, closed: CancellationToken, runtime: &Handle) -> Self {
        let view = Arc::new(alone(me));
        let mut grid = Grid::new(me, Limits::default(), Rules::default(), Epoch::default());
        grid.install(&view, Moment::ZERO);
        grid.quorate(true, Moment::ZERO);
        let (asked, on_changes, on_shelved) = (Slab::new(), None, None);
        let state = Mutex::new(State { grid, asked, on_changes, on_shelved });
        let inner = Arc::new(Inner { state, view, begin: Instant::now() });
        runtime.spawn(beat(Arc::downgrade(&inner), closed));
        Self { inner }
    }

    /// Gives back what an earlier process left on the shelf, but for what is over.
    pub(crate) fn give_back(&self, space: Space, map: &str, shelf: &dyn Shelf) {
        let (mut given, mut over, mut failed) = (0_u64, 0_u64, 0_u64);
        for key in shelf.left() {
            let is_stamp = life::named(&key).is_none_or(|(_, _, is_stamp)| is_stamp);
            match if is_stamp { Ok(None) } else { self.give_one(space, &key, shelf) } {
                Ok(Some(true)) => given += 1,
                Ok(Some(false)) => over += 1,
                Ok(None) => {}
                Err(error) => {
                    warn!(map, %error, "something that was kept could not be given back");
                    failed += 1;
                    continue;
                }
            }
            if let Err(error) = shelf.remove(&key) {
                warn!(map, %error, "what was given back is still on the shelf");
            }
        }
        if given + over + failed > 0 {
            info!(map, given, over, failed, "what was kept is given back");
        }
    }

    /// Whether there was anything left of it.
    fn give_one(
        &self,
        space: Space,
        key: &[u8],
        shelf: &dyn Shelf,
    ) -> Result<Option<bool>, ShelfError> {
        let Some(left) = shelf.get_left(key)? else { return Ok(None) };
        let record = Record::decode(&left.record)?;
        let entries = record.after(left.age);
        let group = Group::named(space, record.name);
        let token = (record.token > 0).then_some(record.token);
        for ops in where_absent(&entries) {
            let batch = Batch { token, ..Batch::new(group.clone(), ops) };
            let (asker, mut answer) = oneshot::channel();
            self.ask(asker, Request::Write(batch), Duration::ZERO);
            match answer.try_recv() {
                Ok(Reply::Written(_) | Reply::Conflict { .. } | Reply::Fenced) => {}
                other => return Err(ShelfError(format!("it was not taken: {other:?}"))),
            }
        }
        Ok(Some(!entries.is_empty()))
    }

    /// Drops entries without a word to anybody.
    pub(crate) fn evict(&self, space: Space, group: &[u8], keys: &[Bytes]) {
        let group = Group::new(space, group);
        self.with_grid_mut(|grid, now| grid.evict(&group, keys, now));
    }

    /// Drops everything in the same way.
    pub(crate) fn evict_all(&self, space: Space) {
        self.with_grid_mut(|grid, now| grid.evict_all(space, now));
    }

    fn ask(&self, asker: oneshot::Sender<Reply>, request: Request, deadline: Duration) {
        self.inner.with(|state, now| {
            let id = state.asked.insert(asker) as u64;
            state.grid.request(id, request, now.saturating_add(deadline), now);
        });
    }
}

impl Rows for Lone {
    fn request(
        &self,
        request: Request,
        deadline: Duration,
    ) -> impl Future<Output = Reply> + Send + 'static {
        let lone = self.clone();
        async move {
            let (asker, answer) = oneshot::channel();
            lone.ask(asker, request, deadline);
            answer.await.unwrap_or(Reply::Unknown)
        }
    }

    fn with_grid<R>(&self, look: impl FnOnce(&Grid, Moment) -> R) -> R {
        let state = self.inner.state.lock();
        look(&state.grid, self.inner.now())
    }

    fn with_grid_mut<R>(&self, change: impl FnOnce(&mut Grid, Moment) -> R) -> R {
        self.inner.with(|state, now| change(&mut state.grid, now))
    }

    fn view(&self) -> Option<Arc<View>> {
        Some(self.inner.view.clone())
    }

    fn me(&self) -> MemberId {
        self.inner.view.coordinator().id
    }

    fn on_changes(&self, space: Space, watched: Watched, handler: OnChanges) {
        self.inner.with(|state, _| {
            state.on_changes = Some(handler);
            state.grid.watch(space, watched);
        });
    }

    fn set_memory(&self, space: Space, memory: Memory, handler: OnShelved) {
        self.inner.with(|state, now| {
            state.on_shelved = Some(handler);
            state.grid.set_memory(space, memory, now);
        });
    }
}

// === impl Inner ===

impl Inner {
    fn now(&self) -> Moment {
        self.begin.elapsed()
    }

    /// Gives the grid something, and does what comes of it.
    fn with<R>(&self, give: impl FnOnce(&mut State, Moment) -> R) -> R {
        let mut state = self.state.lock();
        let now = self.now();
        let given = give(&mut state, now);
        state.grid.make_room(now);
        while let Some(out) = state.grid.poll() {
            match out {
                Out::Reply { id, reply } => {
                    let slot = usize::try_from(id).unwrap_or(usize::MAX);
                    if let Some(asker) = state.asked.try_remove(slot) {
                        // Nobody may be waiting any more.
                        let _ = asker.send(reply);
                    }
                }
                Out::Changed(changes) => {
                    state.on_changes.iter().for_each(|told| told(changes.clone()));
                }
                Out::Shelved(shelved) => {
                    state.on_shelved.iter().for_each(|told| told(shelved.clone()));
                }
                // There is nobody else.
                Out::Send { .. } | Out::Complete(_) | Out::Late(_) | Out::LeaseLost { .. } => {}
            }
        }
        given
    }
}

impl Drop for Inner {
    /// What a shelf keeps is found there.
    fn drop(&mut self) {
        let now = self.begin.elapsed();
        self.state.get_mut().grid.shelve_all(now);
    }
}

async fn beat(inner: Weak<Inner>, closed: CancellationToken) {
    let mut beat = interval(BEAT);
    beat.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            _ = beat.tick() => {}
            () = closed.cancelled() => return,
        }
        let Some(inner) = inner.upgrade() else { return };
        inner.with(|state, now| state.grid.tick(now));
    }
}

/// The view of a member that is alone.
fn alone(me: MemberId) -> View {
    let name = "alone".into();
    let member = Member { id: me, name, address: "".into(), join: 1, weight: 100, leaving: false };
    let row = Row { owners: vec![me.node], fresh: true, ..Row::default() };
    View {
        epoch: Epoch { counter: 1, join: 1, by: me },
        members: vec![member],
        next_join: 2,
        electorate: Electorate::default(),
        before: None,
        // As a cluster has them.
        tables: vec![Copies::Some(1), Copies::Every],
        segments: SEGMENTS,
        rows: vec![row; 2 * usize::from(SEGMENTS)],
        merged: false,
    }
}
