//! The election: the node with the least work for its load factor wins.
//!
//! Nodes of equal share form a *class*; a class weighs its share times its nodes. Each request
//! moves its class forward by `1 / weight`, and the class that is furthest behind is next (stride
//! scheduling), so loads 75 and 25 give 3,000 and 1,000 of 4,000 requests. Within a class the
//! nodes take turns, and requests in flight break ties. There are at most 100 classes and a look
//! at [`WINDOW`] nodes of one of them, so the cost does not grow with the number of nodes.
//!
//! Requests that stay with the owner of their session count too: whoever has many sessions gets
//! fewer new ones. [`LEAD`] bounds how much of that is remembered. A newcomer, and
//! a node whose share changed, starts level with the others: no run of requests to it alone.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use crate::node::{Live, Node, NodeId, Slot};

/// How many nodes of a class an election looks at, as long as one of them is free.
pub const WINDOW: usize = 4;

/// How many requests ahead of the others a node or class may be: so long may a run of new sessions
/// to the others be.
pub const LEAD: u64 = 8;

/// What one request costs a class of weight 1. Sums wrap, and only differences count.
const STRIDE_OF_WEIGHT_ONE: u64 = 1 << 40;

/// Differences below this are ties: they come from rounding. The smallest stride is 16 times it.
const TIE: i64 = 1 << 16;

/// The usable nodes of one context, ready for elections.
#[derive(Debug, Default)]
pub struct Pool {
    /// By falling share.
    classes: Vec<Class>,
}

#[derive(Debug)]
struct Class {
    share: u8,
    stride: u64,
    /// By rising id.
    members: Vec<Member>,
    clock: Arc<Clock>,
}

/// Outlives a change of the pool, as long as the class has members.
#[derive(Debug, Default)]
struct Clock {
    pass: AtomicU64,
    cursor: AtomicUsize,
}

/// What an election looks at stands here and not behind the node: with thousands of nodes each
/// further pointer is a miss of the cache.
#[derive(Debug)]
struct Member {
    id: NodeId,
    live: Arc<Live>,
    candidate: Candidate,
    /// Requests since the start, or since the node started level with the others.
    turn: Arc<AtomicU64>,
}

/// A node with the context that a request is for.
#[derive(Debug, Clone)]
pub struct Candidate {
    /// The node.
    pub node: Arc<Node>,
    /// Its context.
    pub slot: Arc<Slot>,
}

/// Whom an election chose. Nothing is counted until [`Elected::count`].
#[derive(Debug, Clone, Copy)]
pub struct Elected<'p> {
    class: &'p Class,
    member: &'p Member,
}

// === impl Pool ===

impl Pool {
    /// A pool of candidates with their shares (1 to 100), by rising node id, that goes on where
    /// `before` is.
    pub(crate) fn build(mut candidates: Vec<(u8, &Candidate)>, before: Option<&Pool>) -> Pool {
        // Stable: within a class the ids keep rising.
        candidates.sort_by_key(|(share, _)| std::cmp::Reverse(*share));
        let level = before.and_then(Pool::least_pass).unwrap_or(0);
        let of_class = candidates.chunk_by(|(one, _), (other, _)| one == other);
        let build = |candidates: &[(u8, &Candidate)]| {
            let share = candidates[0].0;
            Class::build(share, candidates, before.and_then(|pool| pool.class(share)), level)
        };
        Pool { classes: of_class.map(build).collect() }
    }

    /// Whether there is nobody to elect.
    pub fn is_empty(&self) -> bool {
        self.classes.is_empty()
    }

    /// The node that is next among those that fit; `None` when none fits.
    pub fn elect(&self, fits: impl Fn(NodeId, &Live) -> bool) -> Option<Elected<'_>> {
        let mut passed_over: u128 = 0;
        loop {
            let open = self.open(passed_over);
            let least = open.clone().map(|(_, class)| class.clock.pass()).reduce(least)?;
            let mut chosen: Option<Elected<'_>> = None;
            for (at, class) in open {
                if ahead(class.clock.pass(), least) > TIE {
                    continue;
                }
                passed_over |= 1 << at;
                let Some(member) = class.choose(&fits) else { continue };
                let rival = Elected { class, member };
                if chosen.is_none_or(|best| rival.in_flight() < best.in_flight()) {
                    chosen = Some(rival);
                }
            }
            if chosen.is_some() {
                return chosen;
            }
        }
    }

    /// Counts a request that went to this node without an election, because it owns the session.
    /// The node gets fewer new ones, but never so much fewer that the others are flooded: what
    /// would put it more than [`LEAD`] requests ahead is not counted.
    pub fn count_unelected(&self, share: u8, id: NodeId) {
        let Some(class) = self.class(share) else { return };
        let Some(member) = class.member(id) else { return };
        let least = self.least_pass().unwrap_or_default();
        if ahead(class.clock.pass(), least) < (LEAD * class.stride) as i64 {
            class.clock.pass.fetch_add(class.stride, Ordering::Relaxed);
        }
        if member.turn.load(Ordering::Relaxed) < class.next_turn() + LEAD {
            member.turn.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Bounds what the next window remembers of this one: nobody is more than [`LEAD`] requests
    /// ahead. Call it every few seconds.
    pub fn close_window(&self) {
        let passes = self.classes.iter().map(|class| class.clock.pass());
        let Some(most) = passes.reduce(most) else { return };
        let slowest = self.classes.iter().map(|class| class.stride).max().unwrap_or(0);
        let floor = most.wrapping_sub(LEAD * slowest);
        for class in &self.classes {
            class.clock.lift(floor);
            class.close_window();
        }
    }

    fn open(&self, passed_over: u128) -> impl Iterator<Item = (usize, &Class)> + Clone {
        self.classes.iter().enumerate().filter(move |(at, _)| passed_over & (1 << at) == 0)
    }

    fn class(&self, share: u8) -> Option<&Class> {
        let at = self.classes.binary_search_by(|class| share.cmp(&class.share)).ok()?;
        Some(&self.classes[at])
    }

    fn least_pass(&self) -> Option<u64> {
        self.classes.iter().map(|class| class.clock.pass()).reduce(least)
    }
}

// === impl Class ===

impl Class {
    fn build(
        share: u8,
        candidates: &[(u8, &Candidate)],
        before: Option<&Class>,
        level: u64,
    ) -> Class {
        let turns = known_turns(candidates, before);
        let of_known = turns.iter().flatten().map(|turn| turn.load(Ordering::Relaxed));
        let turn_of_newcomers = of_known.max().unwrap_or(0);
        let members = candidates.iter().zip(turns).map(|((_, candidate), turn)| Member {
            id: candidate.node.id,
            live: candidate.node.live.clone(),
            candidate: Candidate::clone(candidate),
            turn: turn.unwrap_or_else(|| Arc::new(AtomicU64::new(turn_of_newcomers))),
        });
        let members: Vec<Member> = members.collect();
        let clock = before.map(|class| class.clock.clone());
        Class {
            share,
            stride: STRIDE_OF_WEIGHT_ONE / (u64::from(share) * members.len() as u64),
            members,
            clock: clock.unwrap_or_else(|| Arc::new(Clock::at(level))),
        }
    }

    fn member(&self, id: NodeId) -> Option<&Member> {
        let at = self.members.binary_search_by_key(&id, |member| member.id).ok()?;
        Some(&self.members[at])
    }

    /// The fewest turns among the members that an election looks at next.
    fn next_turn(&self) -> u64 {
        let turns = self.in_turn().take(WINDOW).map(|member| member.turn.load(Ordering::Relaxed));
        turns.min().unwrap_or_default()
    }

    /// The members, beginning with the one whose turn it is.
    fn in_turn(&self) -> impl Iterator<Item = &Member> + Clone {
        let start = self.clock.cursor.load(Ordering::Relaxed) % self.members.len();
        let (earlier, from_here) = self.members.split_at(start);
        from_here.iter().chain(earlier)
    }

    /// The member with the fewest turns among the next ones, or else anybody who fits.
    fn choose(&self, fits: impl Fn(NodeId, &Live) -> bool) -> Option<&Member> {
        let in_turn = self.in_turn();
        let near = in_turn.clone().take(WINDOW).filter(|m| fits(m.id, &m.live));
        near.min_by_key(|m| (m.turn.load(Ordering::Relaxed), m.live.in_flight()))
            .or_else(|| in_turn.skip(WINDOW).find(|m| fits(m.id, &m.live)))
    }

    fn close_window(&self) {
        let turns = || self.members.iter().map(|member| member.turn.load(Ordering::Relaxed));
        let floor = turns().max().unwrap_or(0).saturating_sub(LEAD);
        for member in &self.members {
            member.turn.fetch_max(floor, Ordering::Relaxed);
        }
    }
}

/// The turns of those who were in the class before. Both are by rising id.
fn known_turns(
    candidates: &[(u8, &Candidate)],
    before: Option<&Class>,
) -> Vec<Option<Arc<AtomicU64>>> {
    let mut earlier = before.map_or(&[][..], |class| &class.members).iter().peekable();
    let turn_of = |(_, candidate): &(u8, &Candidate)| {
        let id = candidate.node.id;
        while earlier.next_if(|member| member.id < id).is_some() {}
        earlier.next_if(|member| member.id == id).map(|member| member.turn.clone())
    };
    candidates.iter().map(turn_of).collect()
}

// === impl Clock ===

impl Clock {
    fn at(pass: u64) -> Clock {
        Clock { pass: AtomicU64::new(pass), cursor: AtomicUsize::new(0) }
    }

    fn pass(&self) -> u64 {
        self.pass.load(Ordering::Relaxed)
    }

    fn lift(&self, floor: u64) {
        let behind = ahead(floor, self.pass());
        if behind > 0 {
            self.pass.fetch_add(behind as u64, Ordering::Relaxed);
        }
    }
}

// === impl Elected ===

impl<'p> Elected<'p> {
    /// Whom the election chose.
    pub fn candidate(&self) -> &'p Candidate {
        &self.member.candidate
    }

    /// Counts the request, which is on its way to the node.
    pub fn count(&self) {
        self.class.clock.pass.fetch_add(self.class.stride, Ordering::Relaxed);
        self.class.clock.cursor.fetch_add(1, Ordering::Relaxed);
        self.member.turn.fetch_add(1, Ordering::Relaxed);
    }

    fn in_flight(&self) -> u32 {
        self.member.live.in_flight()
    }
}

// === passes, which wrap ===

fn ahead(one: u64, other: u64) -> i64 {
    one.wrapping_sub(other) as i64
}

fn least(one: u64, other: u64) -> u64 {
    if ahead(one, other) <= 0 { one } else { other }
}

fn most(one: u64, other: u64) -> u64 {
    if ahead(one, other) >= 0 { one } else { other }
}
