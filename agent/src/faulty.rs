//! For tests: maps whose owner dies at a commit, and an engine whose member is dropped from the view.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use async_trait::async_trait;
use muster_cluster::MemberId;
use muster_grid::batch::Entries;
use muster_grid::{Bytes, Op, Rev};
use parking_lot::Mutex;
use tokio::sync::Semaphore;

use crate::engine::group::{Group, Member, View};
use crate::engine::map::{
    Batch, Changes, Checkout, Cursor, Ending, Map, MapError, MapSpec, MapStats, Page, Read, Watch,
};
use crate::engine::{
    Dispatch, Engine, EngineError, Guarantees, Leases, Local, Queue, QueueSpec, Sites, Topics,
};

/// What becomes of one write or commit.
#[derive(Clone, Debug)]
pub(crate) enum Fault {
    /// None.
    Well,
    /// It stands, and its answer is lost with the owner; so is the checkout.
    Done(MapError),
    /// It does not stand.
    NotDone(MapError),
    /// It does not stand, and somebody else writes this before anybody asks again.
    Overtaken(MapError, Batch),
    /// It does not stand, and this member comes back as another life.
    Renewed(MapError),
}

/// A map whose writes meet faults, one after the other, then none.
pub(crate) struct Faulty {
    below: Arc<dyn Map>,
    group: Arc<Lives>,
    faults: Arc<Faults>,
    /// Commits wait for one of these.
    pub(crate) gate: Semaphore,
}

/// A group of one, of many lives.
struct Lives {
    below: Arc<dyn Group>,
    number: AtomicU64,
}

type Faults = Mutex<VecDeque<Fault>>;

/// An engine of one process whose maps' writes meet faults, one after the other, then none.
pub(crate) struct Frail {
    below: Local,
    group: Arc<Lives>,
    faults: Arc<Faults>,
}

// === impl Frail ===

impl Frail {
    pub(crate) fn new(faults: Vec<Fault>) -> Self {
        let below = Local::new("frail");
        let group = Arc::new(Lives { below: below.group(), number: AtomicU64::new(1) });
        Self { below, group, faults: Arc::new(Mutex::new(faults.into())) }
    }

    pub(crate) fn faulty(&self, spec: MapSpec) -> Result<Arc<Faulty>, EngineError> {
        let (below, group) = (self.below.map(spec)?, self.group.clone());
        let gate = Semaphore::new(Semaphore::MAX_PERMITS);
        Ok(Arc::new(Faulty { below, group, faults: self.faults.clone(), gate }))
    }
}

// === impl Faulty ===

impl Faulty {
    pub(crate) fn meets(&self, faults: impl IntoIterator<Item = Fault>) {
        self.faults.lock().extend(faults);
    }

    /// What is to happen after a write did not stand.
    async fn after(&self, fault: Fault) -> MapError {
        match fault {
            Fault::Well => MapError::Unknown,
            Fault::Done(error) | Fault::NotDone(error) => error,
            Fault::Overtaken(error, batch) => {
                self.below.write(batch).await.unwrap();
                error
            }
            Fault::Renewed(error) => {
                self.group.number.fetch_add(1, Ordering::Relaxed);
                error
            }
        }
    }
}

#[async_trait]
impl Map for Faulty {
    fn spec(&self) -> &MapSpec {
        self.below.spec()
    }

    async fn get(&self, group: &[u8], read: Read) -> Result<Entries, MapError> {
        self.below.get(group, read).await
    }

    fn peek(&self, group: &[u8], key: &[u8]) -> Option<Option<Bytes>> {
        self.below.peek(group, key)
    }

    async fn write(&self, batch: Batch) -> Result<Rev, MapError> {
        let fault = self.faults.lock().pop_front();
        let Some(fault) = fault.filter(|fault| !matches!(fault, Fault::Well)) else {
            return self.below.write(batch).await;
        };
        if matches!(fault, Fault::Done(_)) {
            self.below.write(batch).await?;
        }
        Err(self.after(fault).await)
    }

    async fn checkout(
        &self,
        group: &[u8],
        wait: std::time::Duration,
        hold: std::time::Duration,
    ) -> Result<Checkout, MapError> {
        self.below.checkout(group, wait, hold).await
    }

    async fn commit(
        &self,
        checkout: &mut Checkout,
        ops: Vec<Op>,
        ending: Ending,
    ) -> Result<Rev, MapError> {
        drop(self.gate.acquire().await);
        let fault = self.faults.lock().pop_front();
        let Some(fault) = fault.filter(|fault| !matches!(fault, Fault::Well)) else {
            return self.below.commit(checkout, ops, ending).await;
        };
        match fault {
            Fault::Done(_) => _ = self.below.commit(checkout, ops, ending).await?,
            _ => self.below.release(checkout).await?,
        }
        Err(self.after(fault).await)
    }

    async fn release(&self, checkout: &Checkout) -> Result<(), MapError> {
        self.below.release(checkout).await
    }

    fn mint_local(&self) -> Bytes {
        self.below.mint_local()
    }

    fn owners(&self, group: &[u8]) -> Vec<Member> {
        self.below.owners(group)
    }

    fn watch(&self, watch: Watch) -> Changes {
        self.below.watch(watch)
    }

    async fn scan(&self, cursor: Cursor) -> Result<Page, MapError> {
        self.below.scan(cursor).await
    }

    async fn clear(&self) -> Result<(), MapError> {
        self.below.clear().await
    }

    fn stats(&self) -> MapStats {
        self.below.stats()
    }
}

impl Group for Lives {
    fn local(&self) -> Member {
        self.below.local()
    }

    fn life(&self) -> MemberId {
        let incarnation = self.number.load(Ordering::Relaxed);
        MemberId { incarnation, ..self.below.life() }
    }

    fn view(&self) -> Arc<View> {
        self.below.view()
    }

    fn watch(&self) -> tokio::sync::watch::Receiver<Arc<View>> {
        self.below.watch()
    }
}

#[async_trait]
impl Engine for Frail {
    fn name(&self) -> &'static str {
        "frail"
    }

    fn guarantees(&self) -> Guarantees {
        self.below.guarantees()
    }

    fn group(&self) -> Arc<dyn Group> {
        self.group.clone()
    }

    fn dispatch(&self) -> Arc<dyn Dispatch> {
        self.below.dispatch()
    }

    fn topics(&self) -> Arc<dyn Topics> {
        self.below.topics()
    }

    fn leases(&self) -> Arc<dyn Leases> {
        self.below.leases()
    }

    fn map(&self, spec: MapSpec) -> Result<Arc<dyn Map>, EngineError> {
        Ok(self.faulty(spec)?)
    }

    fn queue(&self, spec: QueueSpec) -> Result<Arc<dyn Queue>, EngineError> {
        self.below.queue(spec)
    }

    fn sites(&self) -> Option<Arc<dyn Sites>> {
        self.below.sites()
    }

    async fn shutdown(&self) {
        self.below.shutdown().await;
    }
}
