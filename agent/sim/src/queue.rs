//! A queue whose members die, freeze and are cut off: producers and consumers on each machine, and
//! what they were promised. Each machine has a station beside its core, as a shell drives it.

mod journal;
mod judge;
mod station;

use crate::happening::Happening;
use crate::world::{MS, Time, World};
use journal::{Giver, Paper, Told};
use judge::Ledger;
use muster_cluster::{Epoch, MemberId, Moment, NodeId};
use muster_grid::Space;
use muster_grid::queue::{Answer, Ending, Message, Publication, Question, Station, Ticket};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

/// The queue's space.
const SPACE: Space = Space { table: 0, cache: 900 };
/// Requests of stations have numbers from here on, below those of sessions.
const FIRST_ID: u64 = 1 << 62;
/// How often a station looks at the clock.
const LOOK: Time = 20 * MS;
/// How long a publication or an ending may take.
const DEADLINE: Duration = Duration::from_millis(6_000);
/// Milliseconds of a delay at most: more than it takes to find another home.
const MOST_DELAY: u64 = 2_500;
/// A message has a group of so many.
const GROUPS: u8 = 3;

/// What was done with queues, in numbers.
#[derive(Clone, Copy, Debug, Default)]
pub struct QueueCounts {
    /// Publications that were acknowledged.
    pub published: u64,
    /// Publications of unknown end.
    pub unknown: u64,
    /// Deliveries.
    pub given: u64,
    /// Of those, with a mark.
    pub marked: u64,
    /// Messages that were done.
    pub done: u64,
    /// Members that became the home.
    pub homes: u64,
    /// Publications that a journal has not taken.
    pub refused: u64,
    /// Messages that came again, marked, after they were done.
    pub again: u64,
    /// Ends of all members at once.
    pub restarts: u64,
}

impl QueueCounts {
    /// The sum of two.
    #[must_use]
    pub fn plus(self, other: Self) -> Self {
        Self {
            published: self.published + other.published,
            unknown: self.unknown + other.unknown,
            given: self.given + other.given,
            marked: self.marked + other.marked,
            done: self.done + other.done,
            homes: self.homes + other.homes,
            refused: self.refused + other.refused,
            again: self.again + other.again,
            restarts: self.restarts + other.restarts,
        }
    }
}

/// A station and whoever uses it, for the life of a process.
struct Place {
    boot: u32,
    station: Station,
    seen: Option<(MemberId, Option<Epoch>, Option<Epoch>)>,
    was_home: bool,
    /// The publication under way: what it publishes.
    producing: Option<(u64, u32)>,
    /// The producer does nothing until then.
    produces_at: Time,
    consumer: Option<u64>,
    /// Deliveries that their consumer is at, until when.
    held: Vec<(Time, u64, Ticket, u32)>,
    /// Endings under way: of which message, and whether it is done.
    ending: BTreeMap<u64, (u32, bool)>,
    asking: Option<u64>,
    /// Where machines have journals.
    giver: Option<Giver>,
}

/// The queue, and what is known of it.
pub struct Queues {
    places: Vec<Option<Place>>,
    /// Requests of stations at their cores.
    asked: BTreeMap<u64, (usize, u32, u64)>,
    next_id: u64,
    /// When the last frame from one machine to another arrives.
    arrivals: BTreeMap<(usize, usize), Time>,
    ledger: Ledger,
    /// The journals, by the machines' identities.
    papers: BTreeMap<NodeId, Arc<Paper>>,
    told: Told,
    /// At the end: what the home says that is left.
    left: Option<u64>,
    /// Whose consumers the home says that it knows.
    fed: BTreeSet<MemberId>,
    /// Producers begin nothing new, and consumers end everything well.
    pub stopped: bool,
}

// === impl Queues ===

impl Queues {
    /// A queue, if the case says so.
    #[must_use]
    pub fn new(world: &World) -> Self {
        Self {
            places: world.slots.iter().map(|_| None).collect(),
            asked: BTreeMap::new(),
            next_id: FIRST_ID,
            arrivals: BTreeMap::new(),
            ledger: Ledger::default(),
            papers: BTreeMap::new(),
            told: Told::default(),
            left: None,
            fed: BTreeSet::new(),
            stopped: false,
        }
    }

    /// What was done.
    #[must_use]
    pub fn counts(&self) -> QueueCounts {
        self.ledger.counts
    }

    /// Whether nothing is under way and nothing is left, and the home knows of every consumer.
    #[must_use]
    pub fn are_idle(&self) -> bool {
        let is_idle = |place: &Place| {
            let is_fed = place.consumer.is_none() || self.fed.contains(&place.station.me());
            let is_done = place.held.is_empty() && place.ending.is_empty();
            place.producing.is_none() && is_done && is_fed
        };
        let has_queues = self.places.iter().any(Option::is_some);
        let is_empty = !has_queues || self.left == Some(0);
        is_empty && self.places.iter().flatten().all(is_idle)
    }

    /// What it is not idle for.
    #[must_use]
    pub fn waits_for(&self) -> String {
        let under_way: Vec<String> = (self.places.iter().flatten())
            .map(|place| {
                let Place { producing, held, ending, .. } = place;
                format!("{producing:?} {} held {} ending", held.len(), ending.len())
            })
            .collect();
        let (left, open, fed) = (self.left, self.ledger.open(), &self.fed);
        format!("queue: {left:?} left, not done {open:?}, {under_way:?}, consumers of {fed:?}")
    }

    /// All members are gone at once.
    pub fn blackout(&mut self, now: Time) {
        self.told.clear();
        self.ledger.restarted = now;
        self.ledger.counts.restarts += 1;
    }

    /// Producer and consumer of a machine go on.
    pub fn wake(&mut self, world: &mut World, slot: usize, boot: u32) {
        if !world.is_life(slot, boot) {
            return;
        }
        if let Some(later) = world.frozen(slot) {
            return world.at(later, Happening::Queue { slot, boot });
        }
        self.with(world, slot, |station, now| station.tick(now));
        self.give_back(world, slot);
        self.produce(world, slot);
        self.consume(world, slot);
        if self.stopped {
            self.ask(world, slot);
        }
        let jitter = world.rng.u64(0..5 * MS);
        world.at(world.now + LOOK + jitter, Happening::Queue { slot, boot });
    }

    fn produce(&mut self, world: &mut World, slot: usize) {
        let Some(place) = &mut self.places[slot] else { return };
        if self.stopped || place.producing.is_some() || world.now < place.produces_at {
            return;
        }
        place.produces_at = world.now + world.rng.u64(10 * MS..150 * MS);
        let group = (world.rng.u8(0..3) == 0).then(|| world.rng.u8(0..GROUPS));
        let has_id = world.rng.u8(0..4) == 0;
        let delay = world.rng.u8(0..8) == 0;
        let delay = delay.then(|| Duration::from_millis(world.rng.u64(1..MOST_DELAY)));
        let number = self.ledger.begin(world.now, group, has_id);
        let named = group.map(|group| group.to_string());
        let value = Message::new(named.as_deref(), &number.to_le_bytes()).value().clone();
        let dedup = has_id.then(|| number.to_le_bytes().as_slice().into());
        let publication = Publication { value, dedup, delay, ttl: None };
        let call = self
            .with(world, slot, |station, now| station.publish(publication, now + DEADLINE, now));
        if let (Some(call), Some(place)) = (call, &mut self.places[slot]) {
            place.producing = Some((call, number));
        }
        self.perform(world, slot);
    }

    fn consume(&mut self, world: &mut World, slot: usize) {
        let Some(place) = &mut self.places[slot] else { return };
        let due: Vec<_> = place.held.extract_if(.., |(at, ..)| *at <= world.now).collect();
        for (_, consumer, ticket, number) in due {
            let ending = match world.rng.u8(0..20) {
                _ if self.stopped => Some(Ending::Done),
                0 => Some(Ending::Again(Duration::from_millis(world.rng.u64(0..300)))),
                1 => Some(Ending::Longer),
                2 => None,
                _ => Some(Ending::Done),
            };
            self.end(world, slot, (consumer, ticket, number), ending);
        }
        let Some(place) = &mut self.places[slot] else { return };
        let goes = !self.stopped && world.rng.u16(0..300) == 0;
        match place.consumer {
            Some(consumer) if goes => {
                place.consumer = None;
                self.with(world, slot, |station, now| station.gone(consumer, Vec::new(), now));
            }
            None => {
                let credits = world.rng.u32(1..6);
                let consumer = self.with(world, slot, |station, now| station.consume(credits, now));
                if let Some(place) = &mut self.places[slot] {
                    place.consumer = consumer;
                }
            }
            Some(_) => {}
        }
        self.perform(world, slot);
    }

    fn end(
        &mut self,
        world: &mut World,
        slot: usize,
        (consumer, ticket, number): (u64, Ticket, u32),
        ending: Option<Ending>,
    ) {
        let Some(ending) = ending else {
            self.with(world, slot, |station, _| station.dropped(consumer, ticket));
            return;
        };
        if ending == Ending::Done {
            self.ledger.ends(number);
        }
        let call = self.with(world, slot, |station, now| {
            station.end(consumer, ticket, ending, now + DEADLINE, now)
        });
        let Some(place) = &mut self.places[slot] else { return };
        if ending == Ending::Longer {
            let later = world.now + world.rng.u64(10 * MS..500 * MS);
            place.held.push((later, consumer, ticket, number));
        } else if let Some(call) = call {
            place.ending.insert(call, (number, ending == Ending::Done));
        }
    }

    /// At the end: what is left?
    fn ask(&mut self, world: &mut World, slot: usize) {
        let Some(place) = &self.places[slot] else { return };
        if slot != 0 || place.asking.is_some() {
            return;
        }
        let asked = self
            .with(world, slot, |station, now| station.ask(Question::Stats, now + DEADLINE, now));
        if let Some(place) = &mut self.places[slot] {
            place.asking = asked;
        }
        self.perform(world, slot);
    }

    /// A call of a machine's producer or consumer is done.
    fn done(&mut self, world: &mut World, slot: usize, call: u64, answer: &Answer) {
        let Some(place) = &mut self.places[slot] else { return };
        if place.asking == Some(call) {
            place.asking = None;
            if let Answer::Stats(stats) = answer {
                self.left = Some(stats.ready + stats.out);
                self.fed = stats.consumers.iter().map(|(member, ..)| *member).collect();
                world.tell(|| format!("m{} hears that the queue has {stats:?}", slot + 1));
            }
        } else if let Some((_, number)) = place.producing.take_if(|(of, _)| *of == call) {
            self.left = None;
            world.tell(|| format!("m{} published {number}: {answer:?}", slot + 1));
            self.ledger.published(world.now, number, answer);
        } else if let Some((number, is_done)) = place.ending.remove(&call) {
            world.tell(|| format!("m{} ended {number}, done {is_done}: {answer:?}", slot + 1));
            if is_done && *answer == Answer::Ended {
                self.ledger.done(number);
            }
        }
    }

    fn with<R>(
        &mut self,
        world: &World,
        slot: usize,
        event: impl FnOnce(&mut Station, Moment) -> R,
    ) -> Option<R> {
        let now = world.clock(slot);
        self.places[slot].as_mut().map(|place| event(&mut place.station, now))
    }
}
