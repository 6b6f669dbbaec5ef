//! Journals of the queue: a shelf that outlives its machine's processes, and gives back what an earlier
//! one left as the embedded engine does. Who has kept what is known to all here; everything else goes
//! by the grid.

use super::{DEADLINE, Queues, SPACE};
use crate::world::{MS, Time, World};
use fastrand::Rng;
use muster_cluster::{Epoch, MemberId, NodeId};
use muster_grid::store::Record;
use muster_grid::{
    Event, Fate, Group, Left, Lives, Place, Reply, Request, Shelf, ShelfError, Stamp, life,
};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Of 1,000 puts and removals so many fail, on every second machine.
const FAILS: u32 = 30;
/// How long the others that had the same are waited for.
const OTHERS: Time = 10_000 * MS;
/// How long members are waited for that have not told of a journal.
const SEEN: Time = 2_000 * MS;

/// What is on a machine's disk.
pub(super) struct Paper {
    inner: Mutex<Written>,
}

struct Written {
    rng: Rng,
    fails: u32,
    /// The world's time, when it was looked at last.
    now: Time,
    records: BTreeMap<Vec<u8>, (Vec<u8>, Time)>,
    left: BTreeSet<Vec<u8>>,
}

/// How far a process is in giving back what an earlier one left.
pub(super) struct Giver {
    phase: Phase,
    stamps: Vec<Stamp>,
    others: BTreeSet<NodeId>,
    records: Vec<(Stamp, Vec<u8>)>,
    todo: VecDeque<Vec<u8>>,
    /// The request under way.
    asks: Option<u64>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Phase {
    /// It is in no view yet.
    Outside,
    /// It waits for those who had the same.
    Waiting(Time),
    /// It gives; what the row's life is.
    Giving(Option<Option<Epoch>>),
    /// It waits for the others to have given.
    Given(Time),
    Done,
}

/// What members have told each other since they were all gone.
#[derive(Default)]
pub(super) struct Told(BTreeMap<MemberId, (Vec<Stamp>, bool)>);

// === impl Paper ===

impl Paper {
    pub(super) fn new(seed: u64) -> Arc<Self> {
        let fails = if seed.is_multiple_of(2) { FAILS } else { 0 };
        let (rng, records) = (Rng::with_seed(seed), BTreeMap::new());
        let left = BTreeSet::new();
        Arc::new(Self { inner: Mutex::new(Written { rng, fails, now: 0, records, left }) })
    }

    fn inner(&self) -> MutexGuard<'_, Written> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Another process has it.
    fn opens(&self, now: Time) {
        let mut inner = self.inner();
        inner.now = now;
        inner.left = inner.records.keys().cloned().collect();
    }

    fn turn(&self) -> Result<MutexGuard<'_, Written>, ShelfError> {
        let mut inner = self.inner();
        let fails = inner.fails;
        match inner.rng.u32(0..1_000) < fails {
            true => Err(ShelfError("it fails now and then".to_owned())),
            false => Ok(inner),
        }
    }
}

impl Shelf for Paper {
    fn put(&self, key: &[u8], record: &[u8]) -> Result<(), ShelfError> {
        let mut inner = self.turn()?;
        let now = inner.now;
        inner.records.insert(key.into(), (record.into(), now));
        inner.left.remove(key);
        Ok(())
    }

    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, ShelfError> {
        Ok(self.inner().records.get(key).map(|(record, _)| record.clone()))
    }

    fn remove(&self, key: &[u8]) -> Result<(), ShelfError> {
        let mut inner = self.turn()?;
        inner.records.remove(key);
        inner.left.remove(key);
        Ok(())
    }

    fn keeps(&self) -> bool {
        true
    }

    fn left(&self) -> Vec<Vec<u8>> {
        self.inner().left.iter().cloned().collect()
    }

    fn get_left(&self, key: &[u8]) -> Result<Option<Left>, ShelfError> {
        let inner = self.inner();
        let found = inner.records.get(key).filter(|_| inner.left.contains(key));
        Ok(found.map(|(record, put)| {
            let age = Duration::from_micros(inner.now.saturating_sub(*put));
            Left { record: record.clone(), age }
        }))
    }
}

// === impl Giver ===

impl Giver {
    /// Of a process that begins, with what its machine's journal has.
    pub(super) fn new(paper: &Paper, now: Time) -> Self {
        paper.opens(now);
        let (mut stamps, mut records) = (BTreeMap::new(), Vec::new());
        for key in paper.left() {
            let Some((store, _, is_stamp)) = life::named(&key) else { continue };
            let left = paper.get_left(&key).ok().flatten();
            match left.filter(|_| is_stamp).map(|left| Stamp::decode(&left.record)) {
                Some(Ok(stamp)) => _ = stamps.insert(store, stamp),
                Some(Err(_)) => {}
                None => records.push((store, key)),
            }
        }
        let unknown = Stamp { row: u16::MAX, born: None, last: u64::MAX, others: Vec::new() };
        let of = |store: u64| stamps.get(&store).unwrap_or(&unknown).clone();
        let records = records.into_iter().map(|(store, key)| (of(store), key)).collect();
        let stamps: Vec<Stamp> = stamps.into_values().collect();
        let others = stamps.iter().flat_map(Stamp::kept_by).collect();
        let (phase, todo) = (Phase::Outside, VecDeque::new());
        Self { phase, stamps, others, records, todo, asks: None }
    }

    fn has_something(&self) -> bool {
        !self.stamps.is_empty() || !self.records.is_empty()
    }
}

// === impl Told ===

impl Told {
    /// All members are gone, and what they told with them.
    pub(super) fn clear(&mut self) {
        self.0.clear();
    }

    fn by_others(&self, me: MemberId) -> Vec<(Stamp, bool)> {
        let others = self.0.iter().filter(|(id, _)| id.node != me.node);
        let stamps =
            others.flat_map(|(_, (stamps, given))| stamps.iter().map(|s| (s.clone(), *given)));
        stamps.collect()
    }
}

// === impl Queues ===

impl Queues {
    /// A process goes on giving back what an earlier one left. Its queue begins once all have done so.
    pub(super) fn give_back(&mut self, world: &mut World, slot: usize) {
        let Some(me) = world.slots[slot].core.as_ref().map(|core| core.membership().me()) else {
            return;
        };
        let view =
            world.slots[slot].core.as_ref().and_then(|core| core.membership().view().cloned());
        let Some(paper) = self.papers.get(&world.slots[slot].node).cloned() else { return };
        paper.inner().now = world.now;
        let told = &mut self.told;
        let Some(place) = &mut self.places[slot] else { return };
        let Some(giver) = &mut place.giver else { return };
        match giver.phase {
            Phase::Outside if view.is_some() => {
                told.0.insert(me, (giver.stamps.clone(), !giver.has_something()));
                giver.phase = match giver.has_something() {
                    true => Phase::Waiting(world.now),
                    false => Phase::Given(world.now),
                };
            }
            Phase::Waiting(since) => {
                let has_told = |node: &NodeId| told.0.keys().any(|id| id.node == *node);
                if giver.others.iter().all(has_told) || world.now > since + OTHERS {
                    giver.phase = Phase::Giving(None);
                }
            }
            Phase::Giving(None) if giver.asks.is_none() => {
                let row = view.as_ref().map(|view| Place::of(SPACE, b"").row(SPACE.table, view));
                let group = view
                    .zip(row)
                    .and_then(|(view, row)| Lives::new(view.segments).group(SPACE.table, row));
                let request = group.map(Request::Get);
                self.asks(world, slot, request);
            }
            Phase::Giving(Some(_)) if giver.asks.is_none() => {
                let Some(key) = giver.todo.front() else {
                    told.0.insert(me, (giver.stamps.clone(), true));
                    giver.phase = Phase::Given(world.now);
                    return;
                };
                let group = read(&paper, key).map(|(group, _)| Request::Get(group));
                self.asks(world, slot, group);
            }
            Phase::Given(since) => {
                let have = |id: MemberId| told.0.get(&id).is_some_and(|(_, given)| *given);
                let is_late = world.now > since + SEEN;
                let all = view.as_ref().is_some_and(|view| {
                    let mut members = view.members.iter();
                    members.all(|of| have(of.id) || (is_late && !told.0.contains_key(&of.id)))
                });
                // One that has gone in the middle of it is waited for: it may come back.
                let mut last: BTreeMap<NodeId, bool> = BTreeMap::new();
                last.extend(told.0.iter().map(|(id, (_, given))| (id.node, *given)));
                if all && (last.into_values().all(|given| given) || world.now > since + OTHERS) {
                    giver.phase = Phase::Done;
                    self.with(world, slot, |station, now| station.restored(now));
                    world.tell(|| format!("m{}'s queue is given back", slot + 1));
                    self.perform(world, slot);
                }
            }
            Phase::Outside | Phase::Giving(_) | Phase::Done => {}
        }
    }

    /// Asks the grid for a giver. What cannot be asked is passed over.
    fn asks(&mut self, world: &mut World, slot: usize, request: Option<Request>) {
        let Some(giver) = self.places[slot].as_mut().and_then(|place| place.giver.as_mut()) else {
            return;
        };
        let Some(request) = request else {
            giver.todo.pop_front();
            return;
        };
        self.next_id += 1;
        giver.asks = Some(self.next_id);
        let deadline = world.clock(slot) + DEADLINE;
        world.give(slot, Event::Request { id: self.next_id, request, deadline });
    }

    /// An answer of a core, if it is one to a giver.
    pub(super) fn answer_giver(&mut self, world: &mut World, id: u64, reply: &Reply) -> bool {
        let asks = |place: &Option<super::Place>| {
            place.as_ref().and_then(|place| place.giver.as_ref()?.asks) == Some(id)
        };
        let Some(slot) = self.places.iter().position(asks) else { return false };
        let Some(paper) = self.papers.get(&world.slots[slot].node).cloned() else { return true };
        let Some(me) = world.slots[slot].core.as_ref().map(|core| core.membership().me()) else {
            return true;
        };
        let others = self.told.by_others(me);
        let Some(giver) = self.places[slot].as_mut().and_then(|place| place.giver.as_mut()) else {
            return true;
        };
        giver.asks = None;
        if let Some(key) = giver.todo.front() {
            let what = messages(&paper, key);
            world.tell(|| format!("m{} gives {what:?} back: {reply:?}", slot + 1));
        }
        match (giver.phase, reply) {
            (Phase::Giving(None), Reply::Entries(entries)) => {
                let born = life::born(entries);
                giver.phase = Phase::Giving(Some(born));
                for (stamp, key) in std::mem::take(&mut giver.records) {
                    let fate = stamp.fate(born, &others);
                    world.tell(|| {
                        let (born, last) = (stamp.born.map(|born| born.counter), stamp.last);
                        let what = messages(&paper, &key);
                        format!("m{} has {what:?} of {born:?} up to {last}: {fate:?}", slot + 1)
                    });
                    match fate {
                        Fate::Given => giver.todo.push_back(key),
                        Fate::Stale | Fate::Late => _ = paper.remove(&key),
                    }
                }
            }
            (Phase::Giving(Some(_)), Reply::Entries(entries)) if entries.entries.is_empty() => {
                let merge = giver.todo.front().and_then(|key| read(&paper, key));
                let merge = merge.map(|(group, record)| {
                    let age = paper.get_left(giver.todo.front().map_or(&[][..], |key| key));
                    let age = age.ok().flatten().map_or(Duration::ZERO, |left| left.age);
                    let entries = record.after(age).into_iter().collect();
                    Request::Merge { group, entries, token: 0 }
                });
                self.asks(world, slot, merge);
            }
            (Phase::Giving(Some(_)), Reply::Entries(_) | Reply::Written(_) | Reply::Released) => {
                if let Some(key) = giver.todo.pop_front() {
                    let _ = paper.remove(&key);
                }
            }
            // It stays for the next process.
            (Phase::Giving(Some(_)), Reply::Unkept(_)) => _ = giver.todo.pop_front(),
            // Again, at the next look.
            _ => {}
        }
        true
    }
}

/// The messages of a record.
fn messages(paper: &Paper, key: &[u8]) -> Vec<u32> {
    let entries = read(paper, key).map(|(_, record)| record.entries).unwrap_or_default();
    entries.into_iter().filter_map(|entry| super::station::read(entry.put.value)).collect()
}

/// A group that was left, and its record.
fn read(paper: &Paper, key: &[u8]) -> Option<(Group, Record)> {
    let left = paper.get_left(key).ok().flatten()?;
    let record = Record::decode(&left.record).ok()?;
    Some((Group::named(SPACE, record.name.clone()), record))
}
