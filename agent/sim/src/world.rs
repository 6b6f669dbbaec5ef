//! Members, network, clocks, and the one queue of what happens next. Everything that is left to
//! chance comes from one generator: a seed is a story.

use crate::case::{Case, Kind};
use crate::client::CACHE;
use crate::happening::Happening;
use crate::network::Weather;
use crate::shelf::memory;
use fastrand::Rng;
use muster_cluster::{Config, Copies, Durable, MemberId, Moment, NodeId};
use muster_grid::{Action, Changes, Core, Event, Limits, Reply, Shelved, Space};
use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap};
use std::fmt::Write as _;
use std::time::Duration;

/// Microseconds since the world's beginning: nobody in it can read that clock.
pub type Time = u64;
/// One millisecond.
pub const MS: Time = 1_000;
/// So much under way at once says that members talk in a circle.
const MOST_UNDER_WAY: usize = 200_000;
const TICK: Time = 50 * MS;

/// One machine: a process runs on it, or not.
pub struct Slot {
    /// The node's name; it stays when its disk is lost.
    pub name: String,
    /// The node's present identity.
    pub node: NodeId,
    /// What is on its disk.
    pub disk: Durable,
    /// The process, while it runs.
    pub core: Option<Core>,
    /// Rises with every start.
    pub boot: u32,
    /// It does nothing until then.
    pub frozen_until: Time,
    /// It dies after so many actions.
    pub dies_after: Option<u32>,
    /// It asked to leave.
    pub leaves: bool,
    /// Its share of the rows.
    pub weight: u16,
    rate_ppm: u64,
    offset: Duration,
    pub(crate) heard: BTreeMap<MemberId, Moment>,
    pub(crate) suspected: BTreeSet<MemberId>,
    pub(crate) pinged: Time,
}

/// What has happened, in numbers.
#[derive(Clone, Copy, Debug, Default)]
pub struct Counts {
    /// Processes that died.
    pub kills: u64,
    /// Cuts of the network.
    pub cuts: u64,
    /// Views installed by anybody.
    pub views: u64,
    /// Members that left in order.
    pub leaves: u64,
    /// Members that began a new life without a restart.
    pub renewals: u64,
    /// Groups that went to a shelf, and came back.
    pub passivations: u64,
    /// What shelves did not do.
    pub shelf_errors: u64,
    /// From the grids of processes that are gone.
    pub grid: muster_grid::Stats,
}

/// Bounds what a member has in memory of the clients' cache and of that of sessions.
fn bound(core: &mut Core, seed: u64, at: usize, now: Moment) {
    for cache in [CACHE, CACHE + 1] {
        let memory = memory(seed.wrapping_mul(31) + at as u64);
        core.grid_mut().set_memory(Space { table: 0, cache }, memory, now);
    }
}

/// All of it.
pub struct World {
    /// What the seed means.
    pub case: Case,
    /// The only chance.
    pub rng: Rng,
    /// The time.
    pub now: Time,
    /// The machines.
    pub slots: Vec<Slot>,
    /// From whom to whom nothing goes.
    pub cut: BTreeSet<(usize, usize)>,
    /// The network's weather.
    pub weather: Weather,
    /// Numbers.
    pub counts: Counts,
    /// Answers that clients have not seen yet.
    pub replies: Vec<(u64, Reply)>,
    /// What listeners were told, and where.
    pub told: Vec<(usize, Changes)>,
    /// The story, when somebody wants to read it.
    pub trace: Option<String>,
    /// What was found to be wrong while it happened.
    pub wrong: Vec<String>,
    queue: BinaryHeap<Reverse<(Time, u64)>>,
    happenings: BTreeMap<u64, Happening>,
    number: u64,
    next_node: u128,
}

impl World {
    /// A world in which everybody is about to start.
    #[must_use]
    pub fn new(case: Case, wants_trace: bool) -> Self {
        let mut world = Self {
            rng: Rng::with_seed(case.seed),
            now: 0,
            slots: Vec::new(),
            cut: BTreeSet::new(),
            weather: Weather { loss: 0, doubled: 5, delay: 3 * MS },
            counts: Counts::default(),
            replies: Vec::new(),
            told: Vec::new(),
            trace: wants_trace.then(String::new),
            wrong: Vec::new(),
            queue: BinaryHeap::new(),
            happenings: BTreeMap::new(),
            number: 0,
            next_node: 1,
            case,
        };
        for at in 0..world.case.members {
            let node = world.new_node();
            let rate_ppm = world.rng.u64(920_000..1_080_000);
            let offset = Duration::from_secs(world.rng.u64(0..10_000));
            let weight = if world.case.is_weighted { world.rng.u16(20..=300) } else { 100 };
            world.slots.push(Slot {
                name: format!("m{}", at + 1),
                node,
                disk: Durable::default(),
                core: None,
                boot: 0,
                frozen_until: 0,
                dies_after: None,
                leaves: false,
                weight,
                rate_ppm,
                offset,
                heard: BTreeMap::new(),
                suspected: BTreeSet::new(),
                pinged: 0,
            });
            let begin = world.rng.u64(0..400 * MS);
            world.at(begin, Happening::Start { slot: at });
        }
        world
    }

    /// An identity that nobody had.
    pub fn new_node(&mut self) -> NodeId {
        self.next_node += 1;
        NodeId(self.next_node - 1)
    }

    /// Something will happen.
    pub fn at(&mut self, time: Time, happening: Happening) {
        self.number += 1;
        self.queue.push(Reverse((time, self.number)));
        self.happenings.insert(self.number, happening);
    }

    /// What happens next.
    pub fn next_happening(&mut self) -> Option<Happening> {
        let Reverse((time, number)) = self.queue.pop()?;
        self.now = self.now.max(time);
        if self.queue.len() > MOST_UNDER_WAY {
            let some = self.happenings.values().rev().step_by(97).take(40);
            let some: Vec<String> = some.map(|happening| format!("{happening:?}")).collect();
            self.tell(|| some.join("\n"));
            self.wrong.push("a storm: members answer each other without an end".into());
        }
        self.happenings.remove(&number)
    }

    /// A line of the story.
    pub fn tell(&mut self, line: impl FnOnce() -> String) {
        if let Some(trace) = &mut self.trace {
            let _ = writeln!(trace, "{:>10.3} {}", self.now as f64 / 1e6, line());
        }
    }

    /// A machine's own clock.
    #[must_use]
    pub fn clock(&self, slot: usize) -> Moment {
        let slot = &self.slots[slot];
        slot.offset + Duration::from_micros(self.now * slot.rate_ppm / 1_000_000)
    }

    /// Whether a process runs there.
    #[must_use]
    pub fn is_up(&self, slot: usize) -> bool {
        self.slots[slot].core.is_some()
    }

    /// The running processes.
    pub fn cores(&self) -> impl Iterator<Item = (usize, &Core)> {
        self.slots.iter().enumerate().filter_map(|(at, slot)| Some((at, slot.core.as_ref()?)))
    }

    pub(crate) fn slot_of(&self, node: NodeId) -> Option<usize> {
        self.slots.iter().position(|slot| slot.node == node)
    }

    /// Starts the process of a machine with what is on its disk.
    pub fn start(&mut self, at: usize) {
        let now = self.clock(at);
        let (case, slot) = (&self.case, &self.slots[at]);
        let id = MemberId { node: slot.node, incarnation: slot.disk.incarnation + 1 };
        let config = Config {
            tables: vec![Copies::Some(case.copies), Copies::Every],
            segments: case.segments,
            weight: slot.weight,
            quorum: case.quorum,
            detection: case.detection,
            greet: Duration::from_millis(250),
            retry: Duration::from_millis(100),
            late_pause: Duration::from_millis(1_000),
            ..Config::new(id, &slot.name)
        };
        let limits = Limits { chunk: 48, check: Duration::from_millis(1_000), ..Limits::default() };
        let core = Core::new(config, slot.disk.clone(), limits, case.rules(), now);
        let slot = &mut self.slots[at];
        slot.boot += 1;
        slot.heard.clear();
        slot.suspected.clear();
        slot.pinged = 0;
        slot.leaves = false;
        slot.dies_after = None;
        slot.frozen_until = 0;
        match core {
            Ok(mut core) => {
                if case.has_shelves {
                    bound(&mut core, case.seed, at, now);
                }
                slot.core = Some(core);
            }
            Err(error) => return self.wrong.push(format!("m{} does not start: {error}", at + 1)),
        }
        let boot = slot.boot;
        self.tell(|| format!("m{} starts as {id}", at + 1));
        self.perform(at);
        let hints: Vec<NodeId> = self.slots.iter().map(|slot| slot.node).collect();
        for node in hints {
            self.give(at, Event::Cluster(muster_cluster::Event::Hint(node)));
        }
        let jitter = self.rng.u64(0..TICK);
        self.at(self.now + jitter, Happening::Tick { slot: at, boot });
    }

    /// A process is gone, with all that it had in memory.
    pub fn kill(&mut self, at: usize, why: &str) {
        let Some(core) = self.slots[at].core.take() else { return };
        self.keep_counts(&core);
        let id = core.membership().me();
        self.tell(|| format!("m{} ({id}) {why}", at + 1));
        for other in 0..self.slots.len() {
            if other != at && self.is_up(other) && !self.cut.contains(&(at, other)) {
                let boot = self.slots[other].boot;
                let seen = self.now + self.rng.u64(MS..5 * MS);
                self.at(seen, Happening::Closed { slot: other, boot, id });
            }
        }
    }

    fn keep_counts(&mut self, core: &Core) {
        self.counts.grid = self.counts.grid.plus(core.grid().stats());
        for cache in [CACHE, CACHE + 1] {
            let stats = core.grid().shelf_stats(Space { table: 0, cache }).unwrap_or_default();
            self.counts.passivations += stats.passivations;
            self.counts.shelf_errors += stats.errors;
        }
    }

    /// Adds what the living have counted.
    pub fn end(&mut self) {
        for at in 0..self.slots.len() {
            if let Some(core) = self.slots[at].core.take() {
                self.keep_counts(&core);
            }
        }
    }

    /// Gives a process an event, and does what it wants done.
    pub fn give(&mut self, at: usize, event: Event) {
        let now = self.clock(at);
        let Some(core) = &mut self.slots[at].core else { return };
        core.handle(event, now);
        self.perform(at);
    }

    fn perform(&mut self, at: usize) {
        while let Some(action) = self.slots[at].core.as_mut().and_then(Core::poll_action) {
            if let Some(left) = &mut self.slots[at].dies_after {
                if *left == 0 {
                    self.slots[at].dies_after = None;
                    if crate::faults::can_die(self, at) {
                        self.counts.kills += 1;
                        return self.kill(at, "is killed between two actions");
                    }
                } else {
                    *left -= 1;
                }
            }
            self.act(at, action);
        }
    }

    fn act(&mut self, at: usize, action: Action) {
        match action {
            Action::Persist(durable) => self.slots[at].disk = *durable,
            Action::Send { to, wire } => {
                if let Some(to) = self.slot_of(to) {
                    self.packet(at, to, Some(wire));
                }
            }
            Action::Reply { id, reply } => self.replies.push((id, reply)),
            Action::Redial(id) => {
                let boot = self.slots[at].boot;
                let ends = self.now + self.rng.u64(MS..10 * MS);
                self.at(ends, Happening::Redial { slot: at, boot, id });
            }
            Action::View(view) => {
                self.counts.views += 1;
                self.tell(|| {
                    let members: Vec<String> = (view.members.iter())
                        .map(|member| format!("{}={}", member.name, member.id))
                        .collect();
                    let pending = view.rows.iter().filter(|row| !row.pending.is_empty()).count();
                    let fresh = view.rows.iter().filter(|row| row.fresh).count();
                    format!(
                        "m{} installs {} [{}], {pending} rows being filled, {fresh} fresh",
                        at + 1,
                        view.epoch,
                        members.join(" ")
                    )
                });
            }
            Action::Renewed(id) => {
                self.counts.renewals += 1;
                self.tell(|| format!("m{} lost its view and lives on as {id}", at + 1));
            }
            Action::Left => {
                self.counts.leaves += 1;
                self.kill(at, "has left");
                let back = self.now + self.rng.u64(100 * MS..1_000 * MS);
                self.at(back, Happening::Start { slot: at });
            }
            Action::Lost(rows) => {
                self.tell(|| format!("m{} proposes a view that lost {} rows", at + 1, rows.len()));
                if self.case.kind != Kind::Splits && !self.case.has_journals {
                    self.wrong.push(format!("{} rows lost although an owner lived", rows.len()));
                }
            }
            Action::Refused(why) => {
                self.wrong.push(format!("m{} is refused: {why}", at + 1));
            }
            Action::Quorate(is) => self.tell(|| format!("m{} quorate: {is}", at + 1)),
            Action::LeaseLost { name, token } => self.tell(|| {
                format!("m{} lost lease {} {token:?}", at + 1, String::from_utf8_lossy(&name))
            }),
            Action::Changed(changes) => self.told.push((at, changes)),
            Action::Shelved(shelved) => self.shelved(at, &shelved),
            Action::NotGranted(why) => self.tell(|| format!("m{} is not granted: {why}", at + 1)),
        }
    }

    fn shelved(&mut self, at: usize, shelved: &Shelved) {
        if let Shelved::Failed { error, .. } = shelved {
            self.tell(|| format!("m{}'s shelf: {error}", at + 1));
        }
    }

    /// What the world itself does with a happening; others are handed back.
    pub fn happen(&mut self, happening: Happening) -> Option<Happening> {
        match happening {
            Happening::Packet(packet) => self.arrive(packet),
            Happening::Tick { slot, boot } => self.tick(slot, boot),
            Happening::Closed { slot, boot, id } => {
                if self.is_life(slot, boot) {
                    self.give(slot, Event::Cluster(muster_cluster::Event::Closed(id)));
                }
            }
            Happening::Linked { slot, boot, node } => {
                if self.is_life(slot, boot) {
                    self.give(slot, Event::Linked(node));
                }
            }
            Happening::Redial { slot, boot, id } => {
                if self.is_life(slot, boot) {
                    let event = self.redialed(slot, id);
                    self.give(slot, Event::Cluster(event));
                }
            }
            Happening::Start { slot } => {
                if !self.is_up(slot) {
                    self.start(slot);
                }
            }
            other => return Some(other),
        }
        None
    }

    pub(crate) fn is_life(&self, slot: usize, boot: u32) -> bool {
        self.slots[slot].boot == boot && self.is_up(slot)
    }

    pub(crate) fn frozen(&self, slot: usize) -> Option<Time> {
        let until = self.slots[slot].frozen_until;
        (until > self.now).then_some(until)
    }

    fn tick(&mut self, slot: usize, boot: u32) {
        if !self.is_life(slot, boot) {
            return;
        }
        if let Some(later) = self.frozen(slot) {
            return self.at(later, Happening::Tick { slot, boot });
        }
        self.detect(slot);
        self.give(slot, Event::Cluster(muster_cluster::Event::Tick));
        let jitter = self.rng.u64(0..5 * MS);
        self.at(self.now + TICK + jitter, Happening::Tick { slot, boot });
    }
}
