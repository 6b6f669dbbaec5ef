//! Browsers with sessions, and who stands before the members: each session's requests go to one
//! member at a time, as a balancer sends them, and to another one when that dies. Each request
//! takes the session's group, reads it, and commits metadata and attribute in one batch that also
//! gives the group back.

mod judge;
mod server;
mod visit;

use crate::client::Histories;
use crate::happening::Happening;
use crate::world::{MS, Time, World};
use muster_grid::{Fence, Group, Reply};
use std::collections::{BTreeMap, BTreeSet};
use visit::{End, Visit, Wish};

/// The key of the metadata: a number that each request changes.
const META: u32 = 0;
/// The key of the attribute: the counter.
const COUNT: u32 = 1;
/// The requests of visits have numbers from here on.
const FIRST_ID: u64 = 1 << 63;
/// How long a browser waits for an answer at most before its request goes elsewhere.
const PATIENCE: Time = 2_000 * MS;

/// What was done with sessions, in numbers.
#[derive(Clone, Copy, Debug, Default)]
pub struct SessionCounts {
    /// Requests that were answered.
    pub served: u64,
    /// Sessions that began.
    pub created: u64,
    /// Of those, with an id whose primary was the member that made it.
    pub minted_local: u64,
    /// Requests that went to another member than the last of their session.
    pub moved: u64,
    /// Requests sent once more because their member died.
    pub retried: u64,
    /// Requests sent to a second member while the first one had one of the same session.
    pub doubled: u64,
    /// Sessions that were removed.
    pub removed: u64,
    /// Ids that were changed.
    pub rotated: u64,
    /// Commits that were refused because their checkout was over.
    pub fenced: u64,
    /// Commits that were tried again after a failover.
    pub again: u64,
    /// Pairs of commits of one session that were compared.
    pub compared: u64,
    /// Counts that were compared with what their browser had seen.
    pub counted: u64,
}

/// A user with one session.
struct Browser {
    /// The member that served it last.
    home: usize,
    /// The session that its cookie names.
    cookie: Option<(Group, usize)>,
    /// Its requests under way.
    waits: BTreeSet<u64>,
    since: Time,
}

/// A session from its creation to its removal, under whatever ids.
#[derive(Debug, Default)]
struct Life {
    /// Its present group.
    group: Option<Group>,
    /// Increments that were acknowledged.
    acknowledged: u32,
    /// Increments of which nobody knows.
    unknown: u32,
    /// The highest count that a browser was shown.
    shown: u32,
    /// The counts of acknowledged increments.
    numbers: BTreeSet<u32>,
    /// Somebody asked to remove it.
    is_over: bool,
    /// A change of its id of which nobody knows: it stands under the old id or under the new one.
    is_split: bool,
}

/// A checkout whose commit stood: between these two instants nobody else had the group.
#[derive(Clone, Copy, Debug)]
struct Hold {
    visit: u64,
    granted: Time,
    committed: Time,
    fence: Fence,
}

/// A read of a group at the end, and the process that was asked.
#[derive(Clone, Debug)]
struct LastRead {
    group: Group,
    called: Time,
    slot: usize,
    boot: u32,
}

/// All browsers, and their requests at the members.
pub struct Sessions {
    browsers: Vec<Browser>,
    visits: BTreeMap<u64, Visit>,
    lives: Vec<Life>,
    /// Groups that somebody has asked to remove.
    removals: BTreeSet<Group>,
    holds: BTreeMap<Group, Vec<Hold>>,
    /// All groups there ever were, and which of them were read at the end.
    groups: Vec<Group>,
    reads: BTreeMap<u64, LastRead>,
    unread: Option<Vec<Group>>,
    finals: BTreeMap<Group, Option<u32>>,
    next_visit: u64,
    next_value: u32,
    /// Numbers.
    pub counts: SessionCounts,
    /// Browsers begin nothing new.
    pub stopped: bool,
}

// === impl SessionCounts ===

impl SessionCounts {
    /// Both together.
    #[must_use]
    pub fn plus(self, other: Self) -> Self {
        Self {
            served: self.served + other.served,
            created: self.created + other.created,
            minted_local: self.minted_local + other.minted_local,
            moved: self.moved + other.moved,
            retried: self.retried + other.retried,
            doubled: self.doubled + other.doubled,
            removed: self.removed + other.removed,
            rotated: self.rotated + other.rotated,
            fenced: self.fenced + other.fenced,
            again: self.again + other.again,
            compared: self.compared + other.compared,
            counted: self.counted + other.counted,
        }
    }
}

// === impl Sessions ===

impl Sessions {
    /// As many browsers as the case says.
    pub fn new(world: &mut World) -> Self {
        let count = world.slots.len();
        let browsers = (0..world.case.browsers)
            .map(|at| Browser { home: at % count, cookie: None, waits: BTreeSet::new(), since: 0 })
            .collect();
        for browser in 0..world.case.browsers {
            let begin = world.rng.u64(500 * MS..2_000 * MS);
            world.at(begin, Happening::Browser { browser });
        }
        Self {
            browsers,
            visits: BTreeMap::new(),
            lives: Vec::new(),
            removals: BTreeSet::new(),
            holds: BTreeMap::new(),
            groups: Vec::new(),
            reads: BTreeMap::new(),
            unread: None,
            finals: BTreeMap::new(),
            next_visit: 0,
            next_value: 1,
            counts: SessionCounts::default(),
            stopped: false,
        }
    }

    /// Whether nothing is under way.
    #[must_use]
    pub fn are_idle(&self) -> bool {
        self.visits.is_empty()
    }

    /// A browser goes on: it asks for something, or its balancer has waited long enough.
    pub fn wake(&mut self, world: &mut World, at: usize) {
        if self.stopped {
            return;
        }
        let pause = world.rng.u64(20 * MS..200 * MS);
        let browser = &mut self.browsers[at];
        if browser.waits.is_empty() {
            self.ask(world, at);
        } else if world.now > browser.since + PATIENCE {
            // What is under way goes on at its member, and nobody waits for it.
            browser.waits.clear();
            let wish = Wish::any(world);
            self.send(world, at, wish, false);
        }
        world.at(world.now + pause, Happening::Browser { browser: at });
    }

    fn ask(&mut self, world: &mut World, at: usize) {
        let is_sticky = world.is_up(self.browsers[at].home) && world.rng.u8(0..20) > 0;
        if !is_sticky && !self.choose_another(world, at) {
            return;
        }
        if self.browsers[at].cookie.is_none() {
            return self.send(world, at, Wish::Create, false);
        }
        let wish = Wish::any(world);
        self.send(world, at, wish, false);
        if world.rng.u8(0..8) == 0 {
            let home = self.browsers[at].home;
            let wish = if world.rng.bool() { Wish::Count } else { Wish::any(world) };
            if self.choose_another(world, at) {
                self.counts.doubled += u64::from(self.browsers[at].home != home);
                self.send(world, at, wish, false);
            }
        }
    }

    /// Another member that runs, where there is one.
    fn choose_another(&mut self, world: &mut World, at: usize) -> bool {
        let home = self.browsers[at].home;
        let up: Vec<usize> = world.cores().map(|(at, _)| at).filter(|at| *at != home).collect();
        let Some(other) = world.rng.choice(&up).copied() else { return world.is_up(home) };
        self.counts.moved += u64::from(self.browsers[at].cookie.is_some());
        self.browsers[at].home = other;
        true
    }

    /// A request goes to the browser's member.
    fn send(&mut self, world: &mut World, at: usize, wish: Wish, is_retry: bool) {
        let browser = &mut self.browsers[at];
        let slot = browser.home;
        let Some(core) = &world.slots[slot].core else { return };
        let member = core.membership().me();
        self.counts.retried += u64::from(is_retry);
        if browser.waits.is_empty() {
            browser.since = world.now;
        }
        let number = FIRST_ID + (self.next_visit << 8);
        self.next_visit += 1;
        browser.waits.insert(number);
        let boot = world.slots[slot].boot;
        let (group, life) = match browser.cookie.clone() {
            Some(cookie) => cookie,
            None => self.create(world, slot),
        };
        let seen = self.lives[life].shown;
        let visit = Visit::new(at, (slot, boot), wish, (group, life), seen, member);
        self.visits.insert(number, visit);
        self.arrive(world, number);
    }

    /// What a browser makes of the end of its request.
    fn ended(&mut self, world: &mut World, number: u64, visit: &Visit, end: End) {
        let at = visit.browser;
        let is_awaited = self.browsers[at].waits.remove(&number);
        match end {
            End::Served(group) => {
                self.counts.served += 1;
                if is_awaited && visit.wish == Wish::Remove {
                    self.forget(at, &visit.group);
                } else if is_awaited {
                    self.browsers[at].cookie = Some((group, visit.life));
                }
            }
            End::Gone => {
                if !self.removals.contains(&visit.group) && visit.wish != Wish::Create {
                    self.lost(world, visit);
                }
                self.forget(at, &visit.group);
            }
            End::Failed => {}
            End::Died if is_awaited && !self.stopped => {
                if self.choose_another(world, at) {
                    let wish =
                        if self.browsers[at].cookie.is_none() { Wish::Create } else { visit.wish };
                    self.send(world, at, wish, true);
                }
            }
            End::Died => {}
        }
    }

    /// The cookie is dropped, unless it names another session by now.
    fn forget(&mut self, at: usize, group: &Group) {
        if self.browsers[at].cookie.as_ref().is_some_and(|(of, _)| of == group) {
            self.browsers[at].cookie = None;
        }
    }

    /// An answer that came, if it is one to a visit.
    pub fn answer(
        &mut self,
        world: &mut World,
        histories: &mut Histories,
        id: u64,
        reply: &Reply,
    ) -> bool {
        if id < FIRST_ID {
            return false;
        }
        match self.reads.remove(&id) {
            Some(read) => self.has_read(world, histories, read, reply),
            None => self.go_on(world, histories, id, reply),
        }
        true
    }
}
