//! Maps whose entries members share: a shell over the grid.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use async_trait::async_trait;
use muster_cluster::NodeId;
use muster_grid::batch::Entries;
use muster_grid::{Bytes, Fence, Grid, Op, Policy, Reply, Request, Rev, Shelved, Space, Watched};
use tokio::sync::{broadcast, watch};
use tokio_util::sync::CancellationToken;
use tracing::error;

use super::Rows;
use super::seen::member;
use crate::engine::group::{Group, Member};
use crate::engine::map::{
    Batch, Change, Changes, Checkout, Cursor, Ending, Kind, Map, MapError, MapSpec, MapStats,
    MemoryChange, MemoryChanges, Merging, Mode, Page, Read, Watch, clear, mint,
};

/// Groups of a page.
const PAGE: u32 = 256;
/// Names that are tried for one whose primary is this member.
const MOST_MINTED: usize = 4096;

/// A map whose entries members share.
pub(crate) struct SharedMap<N: Rows> {
    spec: MapSpec,
    node: N,
    space: Space,
    group: Arc<dyn Group>,
    told: Arc<Told>,
    counted: Counted,
    /// Whether what was kept is given back.
    restored: watch::Receiver<bool>,
    closed: CancellationToken,
}

/// Who watches.
struct Told {
    primary: broadcast::Sender<Change>,
    copies: broadcast::Sender<Change>,
    ends: broadcast::Sender<Change>,
    memory: broadcast::Sender<MemoryChange>,
    expired: AtomicU64,
}

#[derive(Default)]
struct Counted {
    hits: AtomicU64,
    misses: AtomicU64,
    puts: AtomicU64,
    removes: AtomicU64,
    rpcs: AtomicU64,
    rpc_failures: AtomicU64,
    prepares: AtomicU64,
    commits: AtomicU64,
    rollbacks: AtomicU64,
}

// === impl SharedMap ===

impl<N: Rows> SharedMap<N> {
    pub(crate) fn start(
        spec: MapSpec,
        node: N,
        cache: u32,
        group: Arc<dyn Group>,
        restored: watch::Receiver<bool>,
        closed: CancellationToken,
    ) -> Arc<Self> {
        // As `NodeSettings::tables` has them.
        let table = u8::from(spec.mode == Mode::Replicated);
        let policy = match spec.merging {
            Merging::PreferMajor => Policy::PreferMajor,
            Merging::Latest => Policy::Latest,
            Merging::Custom(resolve) => Policy::Custom(resolve),
        };
        node.with_grid_mut(|grid, _| grid.set_policy(cache, policy));
        let told = Arc::new(Told {
            primary: broadcast::Sender::new(spec.watch_capacity),
            copies: broadcast::Sender::new(spec.watch_capacity),
            ends: broadcast::Sender::new(spec.watch_capacity),
            memory: broadcast::Sender::new(spec.watch_capacity),
            expired: AtomicU64::new(0),
        });
        let (space, counted) = (Space { table, cache }, Counted::default());
        if let Some(memory) = spec.memory.clone() {
            let (name, told) = (spec.name.clone(), told.clone());
            let handler = Arc::new(move |shelved| told.tell_shelved(&name, shelved));
            node.set_memory(space, memory, handler);
        }
        Arc::new(Self { spec, node, space, group, told, counted, restored, closed })
    }

    /// The grid below.
    pub(crate) fn rows(&self) -> &N {
        &self.node
    }

    /// Which cache of the grid it is.
    pub(crate) fn space(&self) -> Space {
        self.space
    }

    fn named(&self, group: Bytes) -> muster_grid::Group {
        muster_grid::Group::named(self.space, group)
    }

    /// Asks the grid about a group.
    async fn ask(
        &self,
        group: &[u8],
        request: Request,
        deadline: Duration,
    ) -> Result<Reply, MapError> {
        if self.closed.is_cancelled() {
            return Err(MapError::Closed);
        }
        let is_here = self.node.with_grid(|grid, _| grid.is_primary(self.space, group));
        let reply = self.node.request(request, deadline).await;
        self.answered(is_here, reply)
    }

    fn answered(&self, is_here: bool, reply: Reply) -> Result<Reply, MapError> {
        let failed = matches!(reply, Reply::Unavailable | Reply::Unknown);
        if !is_here {
            self.counted.rpcs.fetch_add(1, Ordering::Relaxed);
            self.counted.rpc_failures.fetch_add(u64::from(failed), Ordering::Relaxed);
        }
        if failed && self.closed.is_cancelled() {
            // It was asked before the end and answered by it.
            return Err(match reply {
                Reply::Unavailable => MapError::Closed,
                _ => MapError::Unknown,
            });
        }
        match reply {
            Reply::Conflict { at } => Err(MapError::Conflict { at }),
            Reply::Fenced => Err(MapError::Fenced),
            Reply::Locked => Err(MapError::Locked),
            Reply::NotQuorate => Err(MapError::NotQuorate),
            Reply::Unavailable => Err(MapError::Unavailable),
            Reply::Busy => Err(MapError::Busy),
            Reply::TooLarge(what) => Err(MapError::TooLarge(what.to_string())),
            Reply::Unknown => Err(MapError::Unknown),
            other => Ok(other),
        }
    }

    async fn write_batch(&self, batch: muster_grid::Batch) -> Result<Rev, MapError> {
        let puts = batch.ops.iter().filter(|op| op.put.is_some()).count() as u64;
        let removes = batch.ops.len() as u64 - puts;
        let name = batch.group.name.clone();
        match self.ask(&name, Request::Write(batch), self.spec.deadline).await? {
            Reply::Written(rev) => {
                self.counted.puts.fetch_add(puts, Ordering::Relaxed);
                self.counted.removes.fetch_add(removes, Ordering::Relaxed);
                Ok(rev)
            }
            _ => Err(MapError::Unknown),
        }
    }

    fn found(&self, found: bool) {
        let counter = if found { &self.counted.hits } else { &self.counted.misses };
        counter.fetch_add(1, Ordering::Relaxed);
    }

    fn watched(&self, watched: Watched) {
        let told = self.told.clone();
        self.node.on_changes(self.space, watched, Arc::new(move |changes| told.tell(changes)));
    }
}

impl Told {
    /// A primary tells what is acknowledged, a copy what it has.
    fn tell(&self, changes: muster_grid::Changes) {
        let muster_grid::Changes { group, rev, is_primary, entries } = changes;
        for (key, kind) in entries {
            let kind = match kind {
                muster_grid::Kind::Created(value) => Kind::Created(value),
                muster_grid::Kind::Changed(value) => Kind::Changed(value),
                muster_grid::Kind::Removed(was) => Kind::Removed(was),
                muster_grid::Kind::Expired(was) => {
                    self.expired.fetch_add(u64::from(is_primary), Ordering::Relaxed);
                    Kind::Expired(was)
                }
            };
            let change = Change { group: group.name.clone(), key, kind, rev };
            // Nobody may be listening.
            if is_primary && matches!(change.kind, Kind::Expired(_)) {
                let _ = self.ends.send(change.clone());
            }
            if is_primary {
                let _ = self.primary.send(change.clone());
            }
            let _ = self.copies.send(change);
        }
    }
}

impl Told {
    fn tell_shelved(&self, map: &str, shelved: Shelved) {
        let change = match shelved {
            Shelved::Passivated(group) => MemoryChange::Passivated(group.name),
            Shelved::Activated(group) => MemoryChange::Activated(group.name),
            Shelved::Failed { error, .. } => {
                error!(map, %error, "the shelf of a map failed: what is in memory stays there, what \
                    cannot be read is asked for again");
                return;
            }
        };
        // Nobody may be listening.
        let _ = self.memory.send(change);
    }
}

/// A checkout on its way: whoever stops waiting for it gives it back when it arrives.
struct Arriving<N: Rows> {
    reply: Option<Pin<Box<dyn Future<Output = Reply> + Send>>>,
    node: N,
    group: muster_grid::Group,
    deadline: Duration,
}

impl<N: Rows> Future for Arriving<N> {
    type Output = Reply;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Reply> {
        let Some(reply) = &mut self.reply else { return Poll::Ready(Reply::Unknown) };
        let polled = reply.as_mut().poll(context);
        if polled.is_ready() {
            self.reply = None;
        }
        polled
    }
}

impl<N: Rows> Drop for Arriving<N> {
    fn drop(&mut self) {
        let Some(reply) = self.reply.take() else { return };
        // Without a runtime the hold's end gives it back.
        let Ok(runtime) = tokio::runtime::Handle::try_current() else { return };
        let (node, group, deadline) = (self.node.clone(), self.group.clone(), self.deadline);
        runtime.spawn(async move {
            if let Reply::Checkout { fence, .. } = reply.await {
                node.request(Request::Release(group, fence), deadline).await;
            }
        });
    }
}

#[async_trait]
impl<N: Rows> Map for SharedMap<N> {
    fn spec(&self) -> &MapSpec {
        &self.spec
    }

    async fn get(&self, group: &[u8], read: Read) -> Result<Entries, MapError> {
        let named = self.named(group.into());
        let request = match read {
            Read::Confirmed => Request::Get(named),
            Read::Near => Request::GetLocal(named),
        };
        match self.ask(group, request, self.spec.deadline).await? {
            Reply::Entries(entries) => {
                self.found(!entries.entries.is_empty());
                Ok(entries)
            }
            _ => Err(MapError::Unknown),
        }
    }

    fn peek(&self, group: &[u8], key: &[u8]) -> Option<Option<Bytes>> {
        if self.closed.is_cancelled() {
            return None;
        }
        let look = |grid: &Grid, now| grid.peek(self.space, group, key, now);
        let value = self.node.with_grid(look)?;
        self.found(value.is_some());
        Some(value)
    }

    async fn write(&self, batch: Batch) -> Result<Rev, MapError> {
        let group = self.named(batch.group);
        let token = batch.token.map(|token| token.0);
        self.write_batch(muster_grid::Batch { token, ..muster_grid::Batch::new(group, batch.ops) })
            .await
    }

    async fn checkout(
        &self,
        group: &[u8],
        wait: Duration,
        hold: Duration,
    ) -> Result<Checkout, MapError> {
        if self.closed.is_cancelled() {
            return Err(MapError::Closed);
        }
        self.counted.prepares.fetch_add(1, Ordering::Relaxed);
        let named = self.named(group.into());
        // Not confirmed, so that it costs no call where this member is the primary: what it read is
        // proven by its commit.
        let request = Request::Checkout { group: named.clone(), hold, confirm: false, wait };
        let is_here = self.node.with_grid(|grid, _| grid.is_primary(self.space, group));
        let (node, deadline) = (self.node.clone(), self.spec.deadline);
        let reply = Arriving {
            reply: Some(Box::pin(node.request(request, wait.saturating_add(deadline)))),
            node,
            group: named,
            deadline,
        };
        match self.answered(is_here, reply.await)? {
            Reply::Checkout { entries, fence } => {
                self.found(!entries.entries.is_empty());
                Ok(Checkout { group: group.into(), entries, fence })
            }
            _ => Err(MapError::Unknown),
        }
    }

    async fn commit(
        &self,
        checkout: &mut Checkout,
        ops: Vec<Op>,
        ending: Ending,
    ) -> Result<Rev, MapError> {
        let kept = (ending == Ending::Keep).then(|| ops.clone());
        let group = self.named(checkout.group.clone());
        let under: Option<(Fence, Rev)> = Some((checkout.fence, checkout.entries.rev));
        let release = ending == Ending::Release;
        let batch = muster_grid::Batch { under, release, ..muster_grid::Batch::new(group, ops) };
        let rev = self.write_batch(batch).await?;
        checkout.moved_on(kept, rev);
        self.counted.commits.fetch_add(1, Ordering::Relaxed);
        Ok(rev)
    }

    async fn release(&self, checkout: &Checkout) -> Result<(), MapError> {
        let request = Request::Release(self.named(checkout.group.clone()), checkout.fence);
        match self.ask(&checkout.group, request, self.spec.deadline).await? {
            Reply::Released => {
                self.counted.rollbacks.fetch_add(1, Ordering::Relaxed);
                Ok(())
            }
            _ => Err(MapError::Unknown),
        }
    }

    fn mint_local(&self) -> Bytes {
        self.node.with_grid(|grid, _| {
            let mut minted = mint();
            for _ in 0..MOST_MINTED {
                if grid.is_primary(self.space, &minted) {
                    break;
                }
                minted = mint();
            }
            minted[..].into()
        })
    }

    fn owners(&self, group: &[u8]) -> Vec<Member> {
        let Some(view) = self.node.view() else { return vec![self.group.local()] };
        let row = self.named(group.into()).row(&view);
        let owners = view.rows.get(usize::from(row)).map_or(&[][..], |row| &row.owners);
        let local = self.group.local();
        let owner = |node: &NodeId| match *node == local.id.node {
            true => Some(local.clone()),
            false => view.member(*node).map(member),
        };
        owners.iter().filter_map(owner).collect()
    }

    fn watch(&self, watch: Watch) -> Changes {
        let changes = match watch {
            Watch::Primary => self.told.primary.subscribe(),
            Watch::Copies => self.told.copies.subscribe(),
            Watch::Ends => self.told.ends.subscribe(),
        };
        self.watched(if watch == Watch::Ends { Watched::Ends } else { Watched::All });
        changes
    }

    fn watch_memory(&self) -> MemoryChanges {
        let changes = self.told.memory.subscribe();
        self.node.with_grid_mut(|grid, _| grid.watch_memory(self.space, true));
        changes
    }

    async fn restored(&self) {
        let mut restored = self.restored.clone();
        tokio::select! {
            // It fails when this member ends first.
            _ = restored.wait_for(|is_done| *is_done) => {}
            () = self.closed.cancelled() => {}
        }
    }

    async fn scan(&self, cursor: Cursor) -> Result<Page, MapError> {
        if self.closed.is_cancelled() {
            return Err(MapError::Closed);
        }
        let view = self.node.view().ok_or(MapError::Unavailable)?;
        let mut rows = view.rows_of(self.space.table);
        let last = rows.len().saturating_sub(1);
        let Some(row) = rows.nth(cursor.part as usize) else { return Ok(Page::default()) };
        let mut most = PAGE;
        let (groups, is_last) = loop {
            let (space, after) = (self.space, cursor.after.clone());
            let request = Request::Scan { space, row, after, most };
            let reply = self.node.request(request, self.spec.deadline).await;
            match self.answered(view.primary(row) == Some(self.node.me()), reply)? {
                // A page may be of groups that only remember a token.
                Reply::Groups { groups, is_last: false } if groups.is_empty() => {
                    most = most.saturating_mul(4);
                }
                Reply::Groups { groups, is_last } => break (groups, is_last),
                _ => return Err(MapError::Unknown),
            }
        };
        let next = match groups.last() {
            Some((name, _)) if !is_last => {
                Some(Cursor { part: cursor.part, after: Some(name.clone()) })
            }
            _ if (cursor.part as usize) < last => {
                Some(Cursor { part: cursor.part + 1, after: None })
            }
            _ => None,
        };
        Ok(Page { groups, next })
    }

    async fn clear(&self) -> Result<(), MapError> {
        clear(self).await
    }

    fn stats(&self) -> MapStats {
        let look = |grid: &Grid, _| (grid.count(self.space), grid.shelf_stats(self.space));
        let ((all, led), shelf) = self.node.with_grid(look);
        let shelf = shelf.unwrap_or_default();
        let load = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let counted = &self.counted;
        MapStats {
            entries: all.entries,
            primary_entries: led.entries,
            groups: all.groups,
            primary_groups: led.groups,
            bytes: all.bytes,
            groups_in_memory: shelf.in_memory,
            groups_on_shelf: shelf.on_shelf,
            passivations: shelf.passivations,
            activations: shelf.activations,
            shelf_errors: shelf.errors,
            hits: load(&counted.hits),
            misses: load(&counted.misses),
            puts: load(&counted.puts),
            removes: load(&counted.removes),
            expired: load(&self.told.expired),
            rpcs: load(&counted.rpcs),
            rpc_failures: load(&counted.rpc_failures),
            prepares: load(&counted.prepares),
            commits: load(&counted.commits),
            rollbacks: load(&counted.rollbacks),
        }
    }
}
