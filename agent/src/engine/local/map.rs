//! Entries in the memory of this process.

use std::hash::BuildHasher;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

use async_trait::async_trait;
use muster_grid::batch::Entries;
use muster_grid::{Bytes, Op, Rev, Watched};
use parking_lot::Mutex;
use tokio::runtime::Handle;
use tokio::sync::{Notify, broadcast, oneshot};
use tokio::time::{Instant, timeout};
use tokio_util::sync::CancellationToken;

use super::claim::Claim;
use super::shard::{Answer, Shard, check_size};
use crate::engine::group::{Group, Member};
use crate::engine::map::{
    Batch, Change, Changes, Checkout, Cursor, Ending, Kind, Map, MapError, MapSpec, MapStats, Page,
    Read, Watch, clear, mint,
};

/// Parts that are locked apart, so that threads seldom wait for each other.
const SHARDS: usize = 64;
/// Groups of one page.
const PAGE: usize = 256;

/// A map in the memory of this process.
pub(crate) struct LocalMap {
    spec: MapSpec,
    group: Arc<dyn Group>,
    shards: Vec<Mutex<Shard>>,
    hasher: foldhash::fast::RandomState,
    changes: broadcast::Sender<Change>,
    ends: broadcast::Sender<Change>,
    counted: Counted,
    /// Something is due earlier than before.
    earlier: Arc<Notify>,
    closed: CancellationToken,
}

/// What is counted without a shard's lock.
#[derive(Default)]
struct Counted {
    hits: AtomicU64,
    misses: AtomicU64,
    prepares: AtomicU64,
    commits: AtomicU64,
}

// === impl LocalMap ===

impl LocalMap {
    /// A map whose timers run until it is dropped or the engine is closed.
    pub(crate) fn start(
        spec: MapSpec,
        group: Arc<dyn Group>,
        closed: CancellationToken,
        runtime: &Handle,
    ) -> Arc<Self> {
        let map = Arc::new(Self {
            changes: broadcast::Sender::new(spec.watch_capacity),
            ends: broadcast::Sender::new(spec.watch_capacity),
            spec,
            group,
            shards: (0..SHARDS).map(|_| Mutex::default()).collect(),
            hasher: foldhash::fast::RandomState::default(),
            counted: Counted::default(),
            earlier: Arc::default(),
            closed: closed.clone(),
        });
        runtime.spawn(keep_time(Arc::downgrade(&map), map.earlier.clone(), closed));
        map
    }

    /// Drops entries without a word to anybody: what another member changed is stale here. Those
    /// of a checked out group go too; its commit then finds what it expects gone, or writes anew.
    pub(crate) fn evict(&self, group: &[u8], keys: &[Bytes]) {
        self.with(group, |shard, now| shard.evict(group, keys, now));
    }

    /// Drops everything in the same way.
    pub(crate) fn evict_all(&self) {
        for shard in &self.shards {
            self.within(shard, Shard::evict_all);
        }
    }

    fn shard(&self, group: &[u8]) -> &Mutex<Shard> {
        let at = self.hasher.hash_one(group) as usize % SHARDS;
        &self.shards[at]
    }

    /// Does something with a group's shard, and tells what came of it while nobody else can.
    fn with<T>(&self, group: &[u8], work: impl FnOnce(&mut Shard, Instant) -> T) -> T {
        self.within(self.shard(group), work)
    }

    fn within<T>(&self, shard: &Mutex<Shard>, work: impl FnOnce(&mut Shard, Instant) -> T) -> T {
        let mut shard = shard.lock();
        shard.watched = self.watched();
        let before = shard.next();
        let done = work(&mut shard, Instant::now());
        for change in shard.told.drain(..) {
            // The last watcher may just have gone.
            if matches!(change.kind, Kind::Expired(_)) {
                let _ = self.ends.send(change.clone());
            }
            let _ = self.changes.send(change);
        }
        let after = shard.next();
        if after.is_some() && before.is_none_or(|before| after < Some(before)) {
            self.earlier.notify_one();
        }
        done
    }

    fn watched(&self) -> Option<Watched> {
        if self.changes.receiver_count() > 0 {
            return Some(Watched::All);
        }
        (self.ends.receiver_count() > 0).then_some(Watched::Ends)
    }

    fn open(&self) -> Result<(), MapError> {
        if self.closed.is_cancelled() { Err(MapError::Closed) } else { Ok(()) }
    }

    fn count(&self, found: bool) {
        let counter = if found { &self.counted.hits } else { &self.counted.misses };
        counter.fetch_add(1, Ordering::Relaxed);
    }

    /// Waits for what comes later. Whatever arrives when nobody waits any more is given back.
    async fn later<T>(
        &self,
        gift: oneshot::Receiver<T>,
        wait: Duration,
        give_back: impl FnMut(T),
    ) -> Result<T, MapError> {
        let mut claim = Claim::new(gift, give_back);
        tokio::select! {
            biased;
            gift = timeout(wait, claim.take()) => match gift {
                Ok(gift) => gift.ok_or(MapError::Closed),
                Err(_) => claim.last_call().ok_or(MapError::Locked),
            },
            () = self.closed.cancelled() => Err(MapError::Closed),
        }
    }
}

/// Ends what is over at its time, for those who watch and for those who wait.
async fn keep_time(map: Weak<LocalMap>, earlier: Arc<Notify>, closed: CancellationToken) {
    loop {
        let Some(next) = map.upgrade().map(|map| {
            let due = |shard| map.within(shard, Shard::expire);
            map.shards.iter().filter_map(due).min()
        }) else {
            return;
        };
        let due = async {
            match next {
                Some(next) => tokio::time::sleep_until(next).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = closed.cancelled() => return,
            () = earlier.notified() => {}
            () = due => {}
        }
    }
}

impl Drop for LocalMap {
    fn drop(&mut self) {
        self.earlier.notify_one();
    }
}

#[async_trait]
impl Map for LocalMap {
    fn spec(&self) -> &MapSpec {
        &self.spec
    }

    async fn get(&self, group: &[u8], _: Read) -> Result<Entries, MapError> {
        self.open()?;
        let entries = self.with(group, |shard, now| shard.entries(group, now));
        self.count(!entries.entries.is_empty());
        Ok(entries)
    }

    fn peek(&self, group: &[u8], key: &[u8]) -> Option<Option<Bytes>> {
        if self.closed.is_cancelled() {
            return None;
        }
        let value = self.shard(group).lock().peek(group, key);
        self.count(value.is_some());
        Some(value)
    }

    async fn write(&self, batch: Batch) -> Result<Rev, MapError> {
        self.open()?;
        check_size(&batch)?;
        let group = batch.group.clone();
        match self.with(&group, |shard, now| shard.write(batch, now)) {
            Answer::Now(written) => written,
            // It has happened when it arrives: there is nothing to give back.
            Answer::Later(gift) => self.later(gift, self.spec.deadline, |_| ()).await?,
        }
    }

    async fn checkout(
        &self,
        group: &[u8],
        wait: Duration,
        hold: Duration,
    ) -> Result<Checkout, MapError> {
        self.open()?;
        let name: Bytes = group.into();
        check_size(&Batch { group: name.clone(), ops: Vec::new(), token: None })?;
        self.counted.prepares.fetch_add(1, Ordering::Relaxed);
        let answer =
            self.with(group, |shard, now| shard.checkout(&name, hold, !wait.is_zero(), now))?;
        let checkout = match answer {
            Answer::Now(checkout) => checkout,
            Answer::Later(gift) => {
                let give_back = |checkout: Checkout| {
                    let fence = checkout.fence;
                    let _ = self.with(group, |shard, now| shard.release(group, fence, now));
                };
                self.later(gift, wait, give_back).await?
            }
        };
        self.count(!checkout.entries.entries.is_empty());
        Ok(checkout)
    }

    async fn commit(
        &self,
        checkout: &mut Checkout,
        ops: Vec<Op>,
        ending: Ending,
    ) -> Result<Rev, MapError> {
        self.open()?;
        let batch = Batch { group: checkout.group.clone(), ops, token: None };
        check_size(&batch)?;
        let kept = (ending == Ending::Keep).then(|| batch.ops.clone());
        let fence = checkout.fence;
        let rev =
            self.with(&checkout.group, |shard, now| shard.commit(batch, fence, ending, now))?;
        checkout.moved_on(kept, rev);
        self.counted.commits.fetch_add(1, Ordering::Relaxed);
        Ok(rev)
    }

    async fn release(&self, checkout: &Checkout) -> Result<(), MapError> {
        self.open()?;
        let fence = checkout.fence;
        self.with(&checkout.group, |shard, now| shard.release(&checkout.group, fence, now))
    }

    fn mint_local(&self) -> Bytes {
        mint()[..].into()
    }

    fn owners(&self, _: &[u8]) -> Vec<Member> {
        vec![self.group.local()]
    }

    fn watch(&self, watch: Watch) -> Changes {
        match watch {
            Watch::Primary | Watch::Copies => self.changes.subscribe(),
            Watch::Ends => self.ends.subscribe(),
        }
    }

    async fn scan(&self, cursor: Cursor) -> Result<Page, MapError> {
        self.open()?;
        let Some(shard) = self.shards.get(cursor.part as usize) else { return Ok(Page::default()) };
        let after = cursor.after.as_deref();
        let (groups, more) = self.within(shard, |shard, now| shard.after(after, PAGE, now));
        let next = match groups.last() {
            Some((last, _)) if more => {
                Some(Cursor { part: cursor.part, after: Some(last.clone()) })
            }
            _ if (cursor.part as usize) + 1 < SHARDS => {
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
        let load = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let mut stats = MapStats {
            hits: load(&self.counted.hits),
            misses: load(&self.counted.misses),
            prepares: load(&self.counted.prepares),
            commits: load(&self.counted.commits),
            ..MapStats::default()
        };
        for shard in &self.shards {
            let counts = shard.lock().counts;
            stats.groups += counts.groups;
            stats.entries += counts.entries;
            stats.bytes += counts.bytes;
            stats.puts += counts.puts;
            stats.removes += counts.removes;
            stats.expired += counts.expired;
            stats.rollbacks += counts.rollbacks;
        }
        (stats.primary_groups, stats.primary_entries) = (stats.groups, stats.entries);
        stats
    }
}
