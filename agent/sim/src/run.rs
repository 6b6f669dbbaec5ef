//! One schedule, from its seed to its verdict.

use crate::case::{Case, Kind};
use crate::client::Clients;
use crate::faults::{blackout, fault, heal, heal_all};
use crate::happening::Happening;
use crate::judge::{LeaseWatch, converged, judge};
use crate::queue::{QueueCounts, Queues};
use crate::session::{SessionCounts, Sessions};
use crate::world::{Counts, MS, Time, World};

/// What came of one schedule, or of many.
#[derive(Clone, Debug, Default)]
pub struct Verdict {
    /// What was wrong, each with its seed.
    pub wrong: Vec<String>,
    /// Schedules.
    pub schedules: u64,
    /// What happened.
    pub counts: Counts,
    /// Acknowledged changes.
    pub acknowledged: u64,
    /// Operations that were checked.
    pub operations: u64,
    /// Leases given or renewed.
    pub leases: u64,
    /// What was done with sessions.
    pub sessions: SessionCounts,
    /// What was done with queues.
    pub queues: QueueCounts,
    /// The story, if it was wanted.
    pub trace: Option<String>,
}

impl Verdict {
    /// Adds another one.
    pub fn add(&mut self, other: Verdict) {
        self.wrong.extend(other.wrong);
        self.schedules += other.schedules;
        self.acknowledged += other.acknowledged;
        self.operations += other.operations;
        self.leases += other.leases;
        self.sessions = self.sessions.plus(other.sessions);
        self.queues = self.queues.plus(other.queues);
        let (sum, more) = (&mut self.counts, other.counts);
        sum.kills += more.kills;
        sum.cuts += more.cuts;
        sum.views += more.views;
        sum.leaves += more.leaves;
        sum.renewals += more.renewals;
        sum.passivations += more.passivations;
        sum.shelf_errors += more.shelf_errors;
        sum.grid = sum.grid.plus(more.grid);
    }

    /// All of it in one line.
    #[must_use]
    pub fn line(&self) -> String {
        let (counts, grid, sessions) = (&self.counts, &self.counts.grid, &self.sessions);
        format!(
            "{}: {} schedules, {} violations; {} kills, {} cuts, {} promotions, {} transfers, \
             {} epoch refusals, {} merges, {} writes; {} views, {} leaves, {} renewals, \
             {} operations checked, {} acknowledged, {} leases, {} expired, \
             {} resumed transfers, {} waited checkouts, {} fenced; sessions: {} created \
             ({} minted local), {} served, {} moved, {} retried, {} at two members, {} removed, \
             {} rotated, {} commits fenced, {} tried again, {} holds compared, {} counts compared; \
             queues: {} published, {} of unknown end, {} given, {} marked, {} done, {} homes, \
             {} refused, {} again after they were done, {} restarts of all",
            if self.wrong.is_empty() { "PASS" } else { "FAIL" },
            self.schedules,
            self.wrong.len(),
            counts.kills,
            counts.cuts,
            grid.promotions,
            grid.transfers,
            grid.epoch_refusals,
            grid.merged,
            grid.writes,
            counts.views,
            counts.leaves,
            counts.renewals,
            self.operations,
            self.acknowledged,
            self.leases,
            grid.expired,
            grid.resumed,
            grid.waited,
            grid.fenced,
            sessions.created,
            sessions.minted_local,
            sessions.served,
            sessions.moved,
            sessions.retried,
            sessions.doubled,
            sessions.removed,
            sessions.rotated,
            sessions.fenced,
            sessions.again,
            sessions.compared,
            sessions.counted,
            self.queues.published,
            self.queues.unknown,
            self.queues.given,
            self.queues.marked,
            self.queues.done,
            self.queues.homes,
            self.queues.refused,
            self.queues.again,
            self.queues.restarts,
        )
    }
}

/// How long the cluster may take to be whole again.
const PATIENCE: Time = 60_000 * MS;

/// Everybody outside the cluster.
struct Outside {
    clients: Clients,
    sessions: Sessions,
    queues: Queues,
    leases: LeaseWatch,
}

impl Outside {
    fn new(world: &mut World) -> Self {
        let clients = Clients::new(world);
        let sessions = Sessions::new(world);
        Self { clients, sessions, queues: Queues::new(world), leases: LeaseWatch::default() }
    }

    fn stop(&mut self) {
        (self.clients.stopped, self.sessions.stopped) = (true, true);
        self.queues.stopped = true;
    }

    fn are_idle(&self) -> bool {
        self.clients.are_idle() && self.sessions.are_idle() && self.queues.are_idle()
    }

    /// False when all has been read.
    fn read_all(&mut self, world: &mut World) -> bool {
        if world.case.has_journals {
            return false;
        }
        self.clients.read_all(world) || self.sessions.read_all(world)
    }
}

/// Runs one schedule.
#[must_use]
pub fn run(case: &Case, wants_trace: bool) -> Verdict {
    let mut world = World::new(case.clone(), wants_trace);
    let shown = format!("{case:?}");
    world.tell(|| shown);
    let mut outside = Outside::new(&mut world);
    let begin = world.rng.u64(1_500 * MS..2_500 * MS);
    world.at(begin, Happening::Fault);
    let ends = begin + case.faulty_ms * MS;
    if case.has_journals {
        for _ in 0..world.rng.u8(1..=2) {
            let at = world.rng.u64(begin..ends);
            world.at(at, Happening::Blackout);
        }
    }
    while world.now < ends && world.wrong.is_empty() {
        step(&mut world, &mut outside, true);
    }
    heal_all(&mut world);
    // A little longer under load, then quiet.
    let quiet = world.now + 500 * MS;
    while world.now < quiet && world.wrong.is_empty() {
        step(&mut world, &mut outside, false);
    }
    outside.stop();
    let patience = world.now + PATIENCE;
    let mut look_at = world.now;
    while world.wrong.is_empty() {
        step(&mut world, &mut outside, false);
        if world.now < look_at {
            continue;
        }
        look_at = world.now + 100 * MS;
        let why = match converged(&world) {
            Ok(()) if outside.are_idle() && !outside.read_all(&mut world) => break,
            Ok(()) => format!("clients wait for answers; {}", outside.queues.waits_for()),
            Err(why) => why,
        };
        if world.now > patience {
            tell_all(&mut world);
            world.wrong.push(format!("not whole again in {} s: {why}", PATIENCE / MS / 1_000));
        }
    }
    if world.wrong.is_empty() {
        judge(&mut world, &outside.clients);
        outside.sessions.judge(&mut world);
        outside.queues.judge(&mut world);
    }
    verdict(world, &outside)
}

/// Who stands where, for the story's end.
fn tell_all(world: &mut World) {
    let lines: Vec<String> = (world.cores())
        .map(|(at, core)| {
            let member = core.membership();
            let view = member.view().map(|view| (view.epoch, view.members.len()));
            let (me, promised, standing) = (member.me(), member.promised(), member.standing());
            let waits = member.waits_for();
            format!(
                "m{} is {me}, {standing:?}, in {view:?}, promised {promised}, waits {waits:?}",
                at + 1
            )
        })
        .collect();
    for line in lines {
        world.tell(|| line);
    }
}

fn step(world: &mut World, outside: &mut Outside, faulty: bool) {
    let Some(happening) = world.next_happening() else {
        world.wrong.push("nothing happens any more".into());
        return;
    };
    let Outside { clients, sessions, queues, leases } = outside;
    match world.happen(happening) {
        Some(Happening::Fault) if faulty => fault(world),
        Some(Happening::Blackout) => {
            blackout(world);
            queues.blackout(world.now);
        }
        Some(Happening::Heal) => heal(world),
        Some(Happening::Client { client }) => clients.wake(world, client),
        Some(Happening::Browser { browser }) => sessions.wake(world, browser),
        Some(Happening::Queue { slot, boot }) => queues.wake(world, slot, boot),
        Some(Happening::Said(said)) => queues.hear(world, said),
        Some(Happening::Visit { visit }) => sessions.on(world, &mut clients.histories, visit),
        _ => {}
    }
    queues.look(world);
    while !world.replies.is_empty() {
        for (id, reply) in std::mem::take(&mut world.replies) {
            if !queues.answer(world, id, &reply)
                && !sessions.answer(world, &mut clients.histories, id, &reply)
            {
                clients.answer(world, id, &reply);
            }
        }
    }
    leases.look(world);
}

fn verdict(mut world: World, outside: &Outside) -> Verdict {
    world.end();
    if world.counts.grid.repairs > 0 {
        // Nothing damages a copy here but the cluster itself.
        world.wrong.push(format!("{} copies had drifted", world.counts.grid.repairs));
    }
    let seed = world.case.seed;
    let histories = &outside.clients.histories;
    Verdict {
        wrong: world.wrong.iter().map(|wrong| format!("seed {seed}: {wrong}")).collect(),
        schedules: 1,
        counts: world.counts,
        acknowledged: histories.acknowledged,
        operations: match world.case.kind {
            Kind::Splits => 0,
            Kind::Crashes | Kind::Quorum => {
                histories.groups.values().map(|history| history.len() as u64).sum()
            }
        },
        leases: histories.leases,
        sessions: outside.sessions.counts,
        queues: outside.queues.counts(),
        trace: world.trace,
    }
}
