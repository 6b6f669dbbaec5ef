//! Maps of each member's own, whose changes drop the others' copies. Nothing is shared but the news
//! that something has changed: what a copy is of stands elsewhere, such as in a database.
//!
//! A put or a removal is a change. A put where nothing may be is none: it keeps what was loaded from
//! elsewhere, and drops nobody's copy.

use std::collections::HashMap;
use std::sync::{Arc, Weak};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes as Frame;
use muster_cluster::MemberId;
use muster_grid::batch::Entries;
use muster_grid::{Bytes, Expect, Op, Rev};
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};

use super::calls::Calls;
use crate::cluster::codec;
use crate::engine::dispatch::{CallError, Dispatch, Handler, Targets};
use crate::engine::group::Member;
use crate::engine::local::{Own, WeakOwn};
use crate::engine::map::{
    Batch, Changes, Checkout, Cursor, Ending, Map, MapError, MapSpec, MapStats, MemoryChanges,
    Page, Read, Watch,
};

/// Under this name members tell each other what is stale.
const SERVICE: &str = "muster.stale";

/// What has changed.
#[derive(Debug, Serialize, Deserialize)]
struct News {
    map: String,
    /// Group and keys; none: everything.
    what: Option<(Bytes, Vec<Bytes>)>,
}

/// Tells the others what is stale with them, and hears what is stale here.
pub(super) struct Stale {
    calls: Arc<Calls>,
    maps: Mutex<HashMap<String, WeakOwn>>,
}

/// A map of this member's own, whose changes drop the others' copies.
pub(super) struct StaleMap {
    own: Own,
    stale: Arc<Stale>,
    failed: std::sync::atomic::AtomicU64,
    told: std::sync::atomic::AtomicU64,
}

// === impl Stale ===

impl Stale {
    pub(super) fn start(calls: Arc<Calls>) -> Arc<Self> {
        let stale = Arc::new(Self { calls: calls.clone(), maps: Mutex::default() });
        calls.register(SERVICE, Arc::new(Ear(Arc::downgrade(&stale))));
        stale
    }

    /// Returns when every other member of the view has dropped its copies or left: how many were
    /// told, and how many did not answer.
    async fn tell(&self, news: &News, deadline: Duration) -> Result<(u64, u64), MapError> {
        let others = Targets::AllBut(vec![self.calls.me()]);
        let command = codec::encode(news).map_err(|why| MapError::TooLarge(why.to_string()))?;
        let answers = self.calls.cast(others, SERVICE, command.into(), deadline).await.all().await;
        let is_done = |answer: &Result<Frame, CallError>| {
            // Who has no such service has no copy either.
            matches!(answer, Ok(_) | Err(CallError::Left(_) | CallError::NoService { .. }))
        };
        let failed = answers.iter().filter(|(_, answer)| !is_done(answer)).count();
        Ok((answers.len() as u64, failed as u64))
    }
}

struct Ear(Weak<Stale>);

#[async_trait]
impl Handler for Ear {
    async fn handle(&self, _: MemberId, command: Frame) -> Result<Frame, String> {
        let news: News = codec::decode(&command).map_err(|error| error.to_string())?;
        let map = self.0.upgrade().and_then(|stale| stale.maps.lock().get(&news.map)?.upgrade());
        match (map, news.what) {
            (Some(map), Some((group, keys))) => map.evict(&group, &keys),
            (Some(map), None) => map.evict_all(),
            (None, _) => {}
        }
        Ok(Frame::new())
    }
}

// === impl StaleMap ===

impl StaleMap {
    pub(super) fn start(own: Own, stale: Arc<Stale>) -> Arc<Self> {
        stale.maps.lock().insert(own.map().spec().name.clone(), own.downgrade());
        let (failed, told) = Default::default();
        Arc::new(Self { own, stale, failed, told })
    }

    /// Tells the others. Who does not answer may go on with an old copy: then nobody can say what
    /// came of it.
    async fn tell(&self, what: Option<(Bytes, Vec<Bytes>)>) -> Result<(), MapError> {
        use std::sync::atomic::Ordering::Relaxed;
        if what.as_ref().is_some_and(|(_, keys)| keys.is_empty()) {
            return Ok(());
        }
        let news = News { map: self.own.map_ref().spec().name.clone(), what };
        let (told, failed) = self.stale.tell(&news, self.own.map_ref().spec().deadline).await?;
        self.told.fetch_add(told, Relaxed);
        self.failed.fetch_add(failed, Relaxed);
        if failed == 0 { Ok(()) } else { Err(MapError::Unknown) }
    }
}

/// The keys of operations that change what others may have copies of.
fn changed(ops: &[Op]) -> Vec<Bytes> {
    let changes = ops.iter().filter(|op| op.expect != Expect::Absent || op.put.is_none());
    changes.map(|op| op.key.clone()).collect()
}

#[async_trait]
impl Map for StaleMap {
    fn spec(&self) -> &MapSpec {
        self.own.map_ref().spec()
    }

    async fn get(&self, group: &[u8], read: Read) -> Result<Entries, MapError> {
        self.own.map_ref().get(group, read).await
    }

    fn peek(&self, group: &[u8], key: &[u8]) -> Option<Option<Bytes>> {
        self.own.map_ref().peek(group, key)
    }

    async fn write(&self, batch: Batch) -> Result<Rev, MapError> {
        let what = (batch.group.clone(), changed(&batch.ops));
        let rev = self.own.map_ref().write(batch).await?;
        self.tell(Some(what)).await?;
        Ok(rev)
    }

    async fn checkout(
        &self,
        group: &[u8],
        wait: Duration,
        hold: Duration,
    ) -> Result<Checkout, MapError> {
        self.own.map_ref().checkout(group, wait, hold).await
    }

    async fn commit(
        &self,
        checkout: &mut Checkout,
        ops: Vec<Op>,
        ending: Ending,
    ) -> Result<Rev, MapError> {
        let what = (checkout.group.clone(), changed(&ops));
        let rev = self.own.map_ref().commit(checkout, ops, ending).await?;
        self.tell(Some(what)).await?;
        Ok(rev)
    }

    async fn release(&self, checkout: &Checkout) -> Result<(), MapError> {
        self.own.map_ref().release(checkout).await
    }

    fn mint_local(&self) -> Bytes {
        self.own.map_ref().mint_local()
    }

    fn owners(&self, group: &[u8]) -> Vec<Member> {
        self.own.map_ref().owners(group)
    }

    fn watch(&self, watch: Watch) -> Changes {
        self.own.map_ref().watch(watch)
    }

    fn watch_memory(&self) -> MemoryChanges {
        self.own.map_ref().watch_memory()
    }

    async fn restored(&self) {
        self.own.map_ref().restored().await;
    }

    async fn scan(&self, cursor: Cursor) -> Result<Page, MapError> {
        self.own.map_ref().scan(cursor).await
    }

    async fn clear(&self) -> Result<(), MapError> {
        self.own.map_ref().clear().await?;
        self.tell(None).await
    }

    fn stats(&self) -> MapStats {
        use std::sync::atomic::Ordering::Relaxed;
        let (rpcs, rpc_failures) = (self.told.load(Relaxed), self.failed.load(Relaxed));
        MapStats { rpcs, rpc_failures, ..self.own.map_ref().stats() }
    }
}
