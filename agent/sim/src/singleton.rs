//! Singletons under a seeded, faulty world: five members with a quorum of three, views that each
//! member sees late, words that are lost, cuts, kills, bodies that hang. Leases are as the grid gives
//! them ([`muster_grid::lease`]), which the rest of the simulation checks; here they are one table that
//! only the larger side reaches.
//!
//! Judged: at most one body at a time, tokens that rise, and, when all is whole again, a provider
//! within a bound, which is the preferred one.

mod acts;

use std::time::Duration;

use muster_cluster::{MemberId, Moment, NodeId};
use muster_singleton::{Bounds, Candidate, Elected, Event, Outcome, Policy, Preference, Singleton};

const MEMBERS: usize = 5;
const QUORUM: usize = 3;
/// Time goes on by so much.
const STEP: Moment = Moment::from_millis(5);
/// Faults come and go for so long.
const FAULTS: Moment = Moment::from_secs(25);
/// Afterwards a provider is there within this time, and the preferred one in twice the time: a lease
/// ends, a view is agreed on, a word that was lost before is missed and said again.
const HEALS: Moment = Moment::from_secs(6);
/// A lease as its primary counts it, and as its holder does.
const LEASE: Moment = Moment::from_millis(2_000);
const HOLDS: Moment = Moment::from_millis(1_500);
const RENEWS: Moment = Moment::from_millis(500);
/// The one that is preferred.
const PREFERRED: usize = 2;

/// What a schedule came to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Story {
    /// Bodies that were started.
    pub starts: u64,
    /// Bodies that had to be cut off.
    pub cut_off: u64,
    /// Leases that were lost.
    pub lost: u64,
    /// Members that were killed.
    pub kills: u64,
    /// What went wrong, in words.
    pub wrong: Vec<String>,
}

struct Machine {
    life: MemberId,
    singleton: Singleton,
    offers: bool,
    /// Whether a try for the lease is under way.
    held: Option<Held>,
    body: Option<Body>,
    /// What it sees, and since when it will see what is.
    seen: Vec<MemberId>,
    is_quorate: bool,
}

#[derive(Clone, Copy)]
struct Held {
    token: u128,
    until: Moment,
    renew: Moment,
}

#[derive(Clone, Copy)]
struct Body {
    token: u128,
    /// When it ends, once it was told to; never by itself.
    ends: Option<Moment>,
}

enum Mail {
    /// Whom it is for is a life: another one of that node does not hear it.
    Word {
        from: usize,
        to: MemberId,
        by: MemberId,
        word: Elected,
    },
    /// The answer to a word, or that none came in time.
    Answer {
        to: usize,
        by: MemberId,
        version: u64,
        is_taken: bool,
    },
    Ask {
        from: usize,
        life: MemberId,
    },
    Leased {
        to: usize,
        life: MemberId,
        token: Option<u128>,
        asked: Moment,
    },
    /// The view and the offers, as they were when it was sent.
    See {
        to: usize,
        members: Vec<MemberId>,
        is_quorate: bool,
    },
}

struct Lease {
    holder: Option<(MemberId, u128)>,
    renewed: Moment,
    tokens: u128,
}

struct World {
    chance: fastrand::Rng,
    now: Moment,
    machines: Vec<Option<Machine>>,
    /// Which side each is on.
    sides: [u8; MEMBERS],
    /// All is whole again: no word is lost any more.
    is_whole: bool,
    mail: Vec<(Moment, Mail)>,
    lease: Lease,
    joins: u64,
    last_token: u128,
    /// What was told of who sees whom: told anew where it changes.
    told: Vec<(Vec<MemberId>, bool)>,
    /// When the last of it arrives: news do not overtake each other.
    arrives: [Moment; MEMBERS],
    story: Story,
}

/// One schedule.
#[must_use]
pub fn run(seed: u64) -> Story {
    let mut world = World::new(seed);
    let mut next_fault = Moment::ZERO;
    while world.now < FAULTS {
        if world.now >= next_fault {
            world.fault();
            next_fault = world.now + Duration::from_millis(world.chance.u64(100..3_000));
        }
        world.step();
    }
    world.heal();
    let healed = world.now;
    let mut has_run = false;
    while world.now < healed + HEALS {
        world.step();
        has_run |= !world.running().is_empty();
    }
    if !has_run {
        world.wrong("nobody has run it since all was healed");
    }
    while world.now < healed + HEALS + HEALS {
        world.step();
    }
    if world.running() != [PREFERRED] {
        let running = world.running();
        world.wrong(&format!("{running:?} runs it, and {PREFERRED} is preferred"));
    }
    world.story
}

// === impl World ===

impl World {
    fn new(seed: u64) -> Self {
        let mut world = Self {
            chance: fastrand::Rng::with_seed(seed),
            now: Moment::ZERO,
            machines: (0..MEMBERS).map(|_| None).collect(),
            sides: [0; MEMBERS],
            is_whole: false,
            mail: Vec::new(),
            lease: Lease { holder: None, renewed: Moment::ZERO, tokens: 0 },
            joins: 0,
            last_token: 0,
            told: vec![(Vec::new(), false); MEMBERS],
            arrives: [Moment::ZERO; MEMBERS],
            story: Story::default(),
        };
        (0..MEMBERS).for_each(|at| world.begin(at));
        world
    }

    fn wrong(&mut self, what: &str) {
        self.story.wrong.push(format!("at {:?}: {what}", self.now));
    }

    fn begin(&mut self, at: usize) {
        self.joins += 1;
        let node = NodeId(at as u128 + 1);
        let life = MemberId { node, incarnation: self.joins };
        let preferences = vec![Preference::Name(format!("node{PREFERRED}"))];
        let policy = Policy { preferences, ..Policy::default() };
        let bounds = Bounds { stop: Duration::from_millis(800), ..Bounds::default() };
        let (chance, version) = (self.chance.u64(..), self.joins << 32);
        self.machines[at] = Some(Machine {
            life,
            singleton: Singleton::new(policy, bounds, chance, version),
            offers: false,
            held: None,
            body: None,
            seen: Vec::new(),
            is_quorate: false,
        });
        self.told[at] = (Vec::new(), false);
    }

    fn fault(&mut self) {
        match self.chance.u8(0..6) {
            0 | 1 => self.sides = std::array::from_fn(|_| self.chance.u8(0..2)),
            2 => self.sides = [0; MEMBERS],
            3 | 4 => {
                let victim = self.chance.usize(0..MEMBERS);
                let holder = self.running().first().copied();
                let victim = holder.filter(|_| self.chance.bool()).unwrap_or(victim);
                if self.machines[victim].take().is_some() {
                    self.story.kills += 1;
                }
            }
            _ => self.revive(),
        }
    }

    fn revive(&mut self) {
        for at in 0..MEMBERS {
            if self.machines[at].is_none() {
                self.begin(at);
            }
        }
    }

    fn heal(&mut self) {
        (self.sides, self.is_whole) = ([0; MEMBERS], true);
        self.revive();
    }

    fn step(&mut self) {
        self.now += STEP;
        self.tell_views();
        let now = self.now;
        let (due, later) =
            std::mem::take(&mut self.mail).into_iter().partition(|(at, _)| *at <= now);
        self.mail = later;
        let due: Vec<(Moment, Mail)> = due;
        for (_, mail) in due {
            self.deliver(mail);
        }
        for at in 0..MEMBERS {
            self.live(at);
        }
    }

    /// Who is up on the side of a member.
    fn beside(&self, at: usize) -> Vec<usize> {
        let is_there =
            |other: &usize| self.machines[*other].is_some() && self.sides[*other] == self.sides[at];
        (0..MEMBERS).filter(is_there).collect()
    }

    fn reaches_leases(&self, at: usize) -> bool {
        self.beside(at).len() >= QUORUM
    }

    /// Each learns of a change some time later, and each at another time: quickly of a death, after the
    /// detection of a cut.
    fn tell_views(&mut self) {
        for to in 0..MEMBERS {
            if self.machines[to].is_none() {
                continue;
            }
            let beside = self.beside(to);
            let is_quorate = beside.len() >= QUORUM;
            let offers = |at: &usize| self.machines[*at].as_ref().is_some_and(|one| one.offers);
            // Those of a side that is too small see what they saw: their view cannot change.
            let members: Vec<MemberId> = match is_quorate {
                true => beside.iter().filter(|at| offers(at)).map(|at| self.life(*at)).collect(),
                false => self.told[to].0.clone(),
            };
            if self.told[to] == (members.clone(), is_quorate) {
                continue;
            }
            self.told[to] = (members.clone(), is_quorate);
            let after = Duration::from_millis(self.chance.u64(5..2_500));
            let arrives = (self.now + after).max(self.arrives[to]);
            self.arrives[to] = arrives;
            self.mail.push((arrives, Mail::See { to, members, is_quorate }));
        }
    }

    fn with(&mut self, at: usize, work: impl FnOnce(&mut Machine, Moment)) {
        let now = self.now;
        if let Some(machine) = &mut self.machines[at] {
            work(machine, now);
            self.perform(at);
        }
    }

    fn deliver(&mut self, mail: Mail) {
        match mail {
            Mail::See { to, members, is_quorate } => {
                self.with(to, |machine, _| {
                    (machine.seen, machine.is_quorate) = (members, is_quorate)
                });
                self.look(to);
            }
            Mail::Word { from, to, by, word } => {
                let at = self.place(to).filter(|at| self.sides[*at] == self.sides[from]);
                let mut is_taken = None;
                if let Some(at) = at {
                    self.with(at, |machine, now| {
                        is_taken = Some(machine.singleton.told(by, word, now));
                    });
                }
                self.answer(from, to, word.version, is_taken);
            }
            Mail::Answer { to, by, version, is_taken } => {
                let event = Event::Answered { by, version, is_taken };
                self.with(to, |machine, now| machine.singleton.handle(event, now));
            }
            Mail::Ask { from, life } => self.campaign(from, life),
            Mail::Leased { to, life, token, asked } => {
                if self.machines[to].as_ref().is_none_or(|machine| machine.life != life) {
                    return;
                }
                self.with(to, |machine, now| {
                    // What comes later than it lasts is no lease.
                    let token = token.filter(|_| now < asked + HOLDS);
                    machine.held = token.map(|token| Held {
                        token,
                        until: asked + HOLDS,
                        renew: now + RENEWS,
                    });
                    machine.singleton.handle(Event::Leased(token), now);
                });
            }
        }
    }

    fn life(&self, at: usize) -> MemberId {
        self.machines[at].as_ref().map(|machine| machine.life).unwrap_or_default()
    }

    /// What the primary of the lease says.
    fn campaign(&mut self, from: usize, life: MemberId) {
        if self.life(from) != life {
            return;
        }
        let asked = self.now;
        let is_free = match self.lease.holder {
            Some((holder, _)) => {
                holder == life || self.now >= self.lease.renewed.saturating_add(LEASE)
            }
            None => true,
        };
        let mut token = None;
        if self.reaches_leases(from) && is_free {
            self.lease.tokens += 1;
            self.lease.renewed = self.now;
            self.lease.holder = Some((life, self.lease.tokens));
            token = Some(self.lease.tokens);
        }
        // An answer comes always: a try has a deadline of its own.
        let after = Duration::from_millis(self.chance.u64(1..300));
        self.mail.push((self.now + after, Mail::Leased { to: from, life, token, asked }));
    }

    fn look(&mut self, at: usize) {
        let Some(machine) = &self.machines[at] else { return };
        let (me, is_quorate) = (machine.life, machine.is_quorate);
        let mut seen = machine.seen.clone();
        // The later it joined the later it stands.
        seen.sort_by_key(|life| life.incarnation);
        let candidate = |id: MemberId| {
            let name = format!("node{}", id.node.0 - 1).into();
            Candidate { id, name, address: "".into() }
        };
        let candidates = seen.into_iter().map(candidate).collect();
        let event = Event::Candidates { me, candidates, is_quorate };
        self.with(at, |machine, now| machine.singleton.handle(event, now));
    }

    /// Time passes at a member: its lease is renewed or lost, its body ends, its machine ticks.
    fn live(&mut self, at: usize) {
        let reaches = self.reaches_leases(at);
        let (now, life) = (self.now, self.life(at));
        let Some(machine) = &mut self.machines[at] else { return };
        if let Some(held) = &mut machine.held {
            let is_its = self.lease.holder == Some((life, held.token));
            if now >= held.renew && reaches && is_its {
                self.lease.renewed = now;
                (held.until, held.renew) = (now + HOLDS, now + RENEWS);
            }
            if now >= held.until {
                let token = held.token;
                machine.held = None;
                self.story.lost += 1;
                machine.singleton.handle(Event::Lost(token), now);
            }
        }
        if let Some(Body { token, ends: Some(ends) }) = machine.body
            && now >= ends
        {
            machine.body = None;
            machine.singleton.handle(Event::Ended(token, Outcome::Stopped), now);
        }
        if machine.singleton.wake().is_some_and(|wake| now >= wake) {
            machine.singleton.handle(Event::Tick, now);
        }
        self.perform(at);
    }

    /// Whether something said is lost.
    fn loses(&mut self) -> bool {
        !self.is_whole && self.chance.u8(0..20) == 0
    }

    /// Where a life is, if it is still on.
    fn place(&self, life: MemberId) -> Option<usize> {
        (0..MEMBERS).find(|at| self.life(*at) == life)
    }

    fn running(&self) -> Vec<usize> {
        let runs = |at: &usize| self.machines[*at].as_ref().is_some_and(|one| one.body.is_some());
        (0..MEMBERS).filter(runs).collect()
    }
}
