//! What an earlier process of this member left on a map's shelf, or in its journal of a queue, is given
//! back, where the cluster has not gone on without it.
//!
//! Each row's records say of which life of the row they are ([`Stamp`]). Members tell each other their
//! stamps in a map of the cluster's own; each gives what is its to give ([`Stamp::fate`]), only where
//! nothing is, and tells when it is done. See docs/decisions/0014-sessions-outlive-a-restart.md.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, Weak};
use std::time::Duration;

use futures_util::{StreamExt as _, stream};
use muster_cluster::{Epoch, MemberId, NodeId, RowId, View};
use muster_grid::batch::{Entries, where_absent};
use muster_grid::store::Record;
use muster_grid::{
    Bytes, Expect, Fate, Lives, Op, Place, Put, Reply, Request, Shelf, ShelfError, Space, Stamp,
    life,
};
use parking_lot::Mutex;
use tokio::sync::watch;
use tokio::time::{Instant, sleep};
use tracing::{error, info, warn};

use super::queue::Line;
use crate::cluster::codec;
use crate::engine::leases::Token;
use crate::engine::map::{Batch, Cursor, Map, MapError};
use crate::node::Node;

/// The map in which members tell each other what they have kept.
pub(super) const MAP: &str = "muster/kept";
/// How long the others that had the same are waited for before this member gives what it has.
const OTHERS: Duration = Duration::from_secs(10);
/// How long members are waited for that have not told of any such map: they may have none.
const SEEN: Duration = Duration::from_secs(2);
/// Between two looks.
const LOOK: Duration = Duration::from_millis(50);
/// How long one group is tried to be given.
const GROUP: Duration = Duration::from_secs(600);
/// Groups that are given at the same time.
const AT_ONCE: usize = 64;
/// A member's stamps.
const STAMPS: &[u8] = b"s";
/// It has given what was its to give.
const GIVEN: &[u8] = b"g";

/// Members' stamps are kept for so long: whoever comes later with the same gives it once more.
const TOLD: Duration = Duration::from_secs(30 * 24 * 3_600);
/// How far records follow their row that nobody can say of.
const UNKNOWN: u64 = u64::MAX;

/// What giving back needs.
pub(super) struct Giving {
    pub(super) node: Node,
    pub(super) space: Space,
    pub(super) shelf: Arc<dyn Shelf>,
    pub(super) taker: Taker,
    pub(super) name: String,
    /// The map named [`MAP`].
    pub(super) told: Arc<dyn Map>,
}

/// To whom it is given.
pub(super) enum Taker {
    Map(Weak<dyn Map>),
    Queue(Weak<Line>),
}

/// What was left: per store, its stamp and its records.
type Stores = BTreeMap<u64, (Stamp, Vec<Vec<u8>>)>;
/// Other members' stamps, by their lives, and whether each has given.
type Others = BTreeMap<MemberId, (Vec<Stamp>, bool)>;

/// What became of the groups.
#[derive(Debug, Default)]
struct Counts {
    given: u64,
    /// Something is there under their names.
    present: u64,
    stale: u64,
    late: u64,
    over: u64,
    /// They stay on the shelf for the next start.
    failed: u64,
}

/// What became of one, or why it was not to be given.
type Judged = Result<Result<Done, Fate>, ShelfError>;

/// What became of one that was to be given.
enum Done {
    Given,
    Present,
    Over,
}

// === impl Counts ===

impl Counts {
    fn count(&mut self, done: &Judged) {
        let counter = match done {
            Ok(Ok(Done::Given)) => &mut self.given,
            Ok(Ok(Done::Present)) => &mut self.present,
            Ok(Ok(Done::Over)) => &mut self.over,
            Ok(Err(Fate::Late)) => &mut self.late,
            Ok(Err(Fate::Stale | Fate::Given)) => &mut self.stale,
            Err(_) => &mut self.failed,
        };
        *counter += 1;
    }
}

// === impl Giving ===

impl Giving {
    /// Gives all back, and tells when every member that is there has.
    pub(super) async fn run(self, restored: watch::Sender<bool>) {
        let stores = self.left();
        let me = self.node.me();
        let known = stores.values().map(|(stamp, _)| stamp).filter(|stamp| stamp.last < UNKNOWN);
        let stamps: Vec<Stamp> = known.cloned().collect();
        let others: BTreeSet<NodeId> = stamps.iter().flat_map(Stamp::kept_by).collect();
        if self.tell(me, &stamps, stores.is_empty()).await.is_err() {
            return;
        }
        if !stores.is_empty() {
            let are_all = |found: &Others| {
                others.iter().all(|other| found.keys().any(|id| id.node == *other))
            };
            let Some(found) = self.others(are_all).await else { return };
            let counts = self.give_all(stores, &found).await;
            self.told(&counts);
            if self.tell(me, &stamps, true).await.is_err() {
                return;
            }
            self.remove_stamps();
        }
        let (node, ends) = (self.node.clone(), Instant::now() + SEEN);
        let have_given = |found: &Others| {
            let Some(view) = node.state().borrow().view.clone() else { return false };
            let is_told = |id: MemberId| id == me || found.contains_key(&id);
            // One that has gone in the middle of it is waited for: it may come back.
            let last: BTreeMap<NodeId, bool> =
                found.iter().map(|(id, (_, has_given))| (id.node, *has_given)).collect();
            (Instant::now() >= ends || view.members.iter().all(|member| is_told(member.id)))
                && last.into_values().all(|has_given| has_given)
        };
        if self.others(have_given).await.is_some() {
            // Nobody may be waiting.
            let _ = restored.send(true);
        }
    }

    /// What is on the shelf. A row's records whose stamp cannot be read count as of a life that nobody
    /// knows.
    fn left(&self) -> Stores {
        let (mut stamps, mut records) = (HashMap::new(), BTreeMap::<u64, Vec<Vec<u8>>>::new());
        for key in self.shelf.left() {
            match life::named(&key) {
                Some((store, cache, true)) if cache == self.space.cache => {
                    stamps.insert(store, self.stamp(&key));
                }
                Some((store, cache, false)) if cache == self.space.cache => {
                    records.entry(store).or_default().push(key);
                }
                _ => {}
            }
        }
        let unknown = Stamp { row: RowId::MAX, born: None, last: UNKNOWN, others: Vec::new() };
        let stamps = stamps.into_iter().filter_map(|(store, stamp)| Some((store, stamp?)));
        // Those of nothing too: they say that what others have of the row has ended.
        let mut stores: Stores =
            stamps.map(|(store, stamp)| (store, (stamp, Vec::new()))).collect();
        for (store, keys) in records {
            stores.entry(store).or_insert_with(|| (unknown.clone(), Vec::new())).1 = keys;
        }
        stores
    }

    /// Stamps of what is not there any more go.
    fn remove_stamps(&self) {
        let left = self.shelf.left();
        let named = || left.iter().filter_map(|key| Some((life::named(key)?, key)));
        let has_records: BTreeSet<u64> = named()
            .filter(|((_, _, is_stamp), _)| !is_stamp)
            .map(|((store, ..), _)| store)
            .collect();
        for ((store, cache, is_stamp), key) in named() {
            if is_stamp && cache == self.space.cache && !has_records.contains(&store) {
                self.remove(key);
            }
        }
    }

    fn stamp(&self, key: &[u8]) -> Option<Stamp> {
        let read = self.shelf.get_left(key);
        let stamp = read.and_then(|left| left.map(|left| Stamp::decode(&left.record)).transpose());
        stamp.unwrap_or_else(|error| {
            self.failed(&error);
            None
        })
    }

    /// Tells the others what was kept here.
    async fn tell(&self, me: MemberId, stamps: &[Stamp], has_given: bool) -> Result<(), MapError> {
        let stamps = codec::encode(&stamps).map_err(|why| MapError::TooLarge(why.to_string()))?;
        let op = |key: &[u8], put| Op { key: key.into(), expect: Expect::Any, put };
        let put = |value: &[u8]| Put { ttl: Some(TOLD), ends_group: true, ..Put::new(value) };
        let ops = vec![op(STAMPS, Some(put(&stamps))), op(GIVEN, has_given.then(|| put(b"")))];
        // Of each life its own: what an earlier one has given stays told.
        let (node, life) = (me.node.0.to_le_bytes(), me.incarnation.to_le_bytes());
        let group = [self.name.as_bytes(), &[0], &node, &life].concat();
        loop {
            match self.told.write(Batch::new(&group, ops.clone())).await {
                Ok(_) => return Ok(()),
                Err(MapError::Closed) => return Err(MapError::Closed),
                Err(_) => sleep(LOOK).await,
            }
        }
    }

    /// What the others have told, once it is enough or it was waited for long enough. None at the end
    /// of this member.
    async fn others(&self, is_enough: impl Fn(&Others) -> bool) -> Option<Others> {
        let ends = Instant::now() + OTHERS;
        loop {
            match self.look().await {
                Ok(found) if is_enough(&found) || Instant::now() >= ends => return Some(found),
                Err(MapError::Closed) => return None,
                _ => sleep(LOOK).await,
            }
        }
    }

    async fn look(&self) -> Result<Others, MapError> {
        let (mut found, mut cursor) = (Others::new(), Some(Cursor::default()));
        let prefix = [self.name.as_bytes(), &[0]].concat();
        while let Some(place) = cursor {
            let page = self.told.scan(place).await?;
            for (group, entries) in page.groups {
                let id = group.strip_prefix(&prefix[..]).and_then(member);
                let Some(id) = id.filter(|id| id.node != self.node.me().node) else { continue };
                found.extend(read(&entries).map(|told| (id, told)));
            }
            cursor = page.next;
        }
        Ok(found)
    }

    async fn give_all(&self, stores: Stores, others: &Others) -> Counts {
        let others: Vec<(Stamp, bool)> = (others.values())
            .flat_map(|(stamps, given)| stamps.iter().map(|stamp| (stamp.clone(), *given)))
            .collect();
        let (counts, lives) = (Mutex::new(Counts::default()), Mutex::new(HashMap::new()));
        let records = stores.into_values().flat_map(|(stamp, keys)| {
            let stamp = Arc::new(stamp);
            keys.into_iter().map(move |key| (stamp.clone(), key))
        });
        stream::iter(records)
            .for_each_concurrent(AT_ONCE, async |(stamp, key)| {
                let done = self.judge(&stamp, &key, &others, &lives).await;
                counts.lock().count(&done);
                match done {
                    Ok(_) => self.remove(&key),
                    Err(error) => self.failed(&error),
                }
            })
            .await;
        counts.into_inner()
    }

    /// Gives one group where it is to be given.
    async fn judge(
        &self,
        stamp: &Stamp,
        key: &[u8],
        others: &[(Stamp, bool)],
        lives: &Mutex<HashMap<RowId, Option<Epoch>>>,
    ) -> Judged {
        let Some(hash) = key.get(12..).and_then(|hash| hash.try_into().ok()) else {
            return Ok(Err(Fate::Stale));
        };
        let place = Place { cache: self.space.cache, hash: u64::from_be_bytes(hash) };
        let now = self.life(place, lives).await?;
        match stamp.fate(now, others) {
            Fate::Given => self.give(key).await.map(Ok),
            other => Ok(Err(other)),
        }
    }

    /// With which view the row began that keeps a place now.
    async fn life(
        &self,
        place: Place,
        lives: &Mutex<HashMap<RowId, Option<Epoch>>>,
    ) -> Result<Option<Epoch>, ShelfError> {
        let ends = Instant::now() + GROUP;
        loop {
            let view: Option<Arc<View>> = self.node.state().borrow().view.clone();
            if let Some(view) = view {
                let row = place.row(self.space.table, &view);
                if let Some(known) = lives.lock().get(&row) {
                    return Ok(*known);
                }
                let group = Lives::new(view.segments).group(self.space.table, row);
                let Some(group) = group else { return Ok(None) };
                if let Reply::Entries(entries) = self.node.request(Request::Get(group), GROUP).await
                {
                    let born = life::born(&entries);
                    lives.lock().insert(row, born);
                    return Ok(born);
                }
            }
            if Instant::now() >= ends || self.taker.is_gone() {
                return Err(ShelfError("no owner of its row could be asked".to_owned()));
            }
            sleep(LOOK).await;
        }
    }

    async fn give(&self, key: &[u8]) -> Result<Done, ShelfError> {
        let Some(left) = self.shelf.get_left(key)? else { return Ok(Done::Over) };
        let record = Record::decode(&left.record)?;
        let entries = record.after(left.age);
        if entries.is_empty() {
            return Ok(Done::Over);
        }
        let map = match &self.taker {
            Taker::Map(map) => map,
            Taker::Queue(line) => return give_messages(line, record.name, entries).await,
        };
        let token = (record.token > 0).then_some(Token(record.token));
        for ops in where_absent(&entries) {
            let batch = Batch { group: record.name.clone(), ops, token };
            if let Done::Present = self.write(map, batch).await? {
                return Ok(Done::Present);
            }
        }
        Ok(Done::Given)
    }

    async fn write(&self, map: &Weak<dyn Map>, batch: Batch) -> Result<Done, ShelfError> {
        let ends = Instant::now() + GROUP;
        loop {
            let Some(map) = map.upgrade() else {
                return Err(ShelfError("the map is gone".to_owned()));
            };
            match map.write(batch.clone()).await {
                Ok(_) => return Ok(Done::Given),
                Err(MapError::Conflict { .. } | MapError::Fenced) => return Ok(Done::Present),
                Err(error @ (MapError::Closed | MapError::TooLarge(_))) => {
                    return Err(ShelfError(error.to_string()));
                }
                // Where it did happen, it is present the next time.
                Err(error) if Instant::now() >= ends => return Err(ShelfError(error.to_string())),
                Err(_) => sleep(LOOK).await,
            }
        }
    }

    fn remove(&self, key: &[u8]) {
        if let Err(error) = self.shelf.remove(key) {
            self.failed(&error);
        }
    }

    fn failed(&self, error: &ShelfError) {
        warn!(map = self.name, %error, "something that was kept could not be given back");
    }

    fn told(&self, counts: &Counts) {
        let Counts { given, present, stale, late, over, failed } = *counts;
        let map = &self.name;
        info!(map, given, present, stale, late, over, failed, "what was kept is given back");
        if failed > 0 {
            error!(map, failed, "groups could not be given back: they stay on the shelf");
        }
    }
}

impl Taker {
    fn is_gone(&self) -> bool {
        match self {
            Self::Map(map) => map.strong_count() == 0,
            Self::Queue(line) => line.strong_count() == 0,
        }
    }
}

/// Gives the messages of one group to their queue.
async fn give_messages(
    line: &Weak<Line>,
    name: Bytes,
    entries: Vec<(Bytes, Put)>,
) -> Result<Done, ShelfError> {
    let ends = Instant::now() + GROUP;
    loop {
        let Some(line) = line.upgrade() else {
            return Err(ShelfError("the queue is gone".to_owned()));
        };
        match line.give(name.clone(), entries.clone(), GROUP).await {
            Reply::Written(_) => return Ok(Done::Given),
            Reply::Entries(_) | Reply::Released => return Ok(Done::Present),
            // It is there; but what is here goes only once it is in a journal again.
            Reply::Unkept(_) => {
                return Err(ShelfError("the journal of an owner has not taken it".to_owned()));
            }
            Reply::TooLarge(why) => return Err(ShelfError(why.to_string())),
            // Where it did happen, it is present the next time.
            other if Instant::now() >= ends => return Err(ShelfError(format!("{other:?}"))),
            _ => sleep(LOOK).await,
        }
    }
}

/// A member's stamps, and whether it has given.
fn read(entries: &Entries) -> Option<(Vec<Stamp>, bool)> {
    let (stamps, _) = entries.entries.get(STAMPS)?;
    let stamps = codec::decode(stamps).ok()?;
    Some((stamps, entries.entries.contains_key(GIVEN)))
}

/// Whose stamps a group is of.
fn member(name: &[u8]) -> Option<MemberId> {
    let (node, incarnation) = name.split_first_chunk()?;
    let node = NodeId(u128::from_le_bytes(*node));
    Some(MemberId { node, incarnation: u64::from_le_bytes(incarnation.try_into().ok()?) })
}
