//! The messages of a queue in memory: who gets which, as a function of what is asked and when.
//! Nothing here waits or reads a clock.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet, VecDeque};
use std::time::Duration;

use bytes::Bytes;
use muster_grid::queue::{MOST_ID, MOST_LEASES};
use tokio::sync::oneshot;
use tokio::time::Instant;

use super::shard::later;
use crate::engine::leases::Token;
use crate::engine::queue::{DeadLetter, Msg, QueueError, QueueSpec, QueueStats};

/// A message at most.
pub(super) const MOST_BYTES: usize = 8 << 20;
/// De-duplication ids that are remembered, at most: the oldest go first.
const MOST_REMEMBERED: usize = 1_000_000;
/// Dead letters that are kept, at most: the oldest go first.
const MOST_DEAD: usize = 10_000;

/// What a consumer gets.
#[derive(Clone, Debug)]
pub(super) struct Given {
    pub(super) body: Bytes,
    pub(super) group: Option<String>,
    pub(super) ticket: Ticket,
}

/// Names one delivery of one message.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Ticket {
    pub(super) number: u64,
    pub(super) tries: u32,
}

/// The messages of a queue.
pub(super) struct Backlog {
    spec: QueueSpec,
    messages: HashMap<u64, Stored>,
    /// Those that may be delivered now, oldest first.
    ready: BTreeSet<u64>,
    /// The messages of each group in order. Only the first may be delivered.
    groups: HashMap<String, VecDeque<u64>>,
    timers: BTreeSet<(Instant, u64, Timer)>,
    out: u64,
    dead: BTreeMap<u64, DeadLetter>,
    counts: QueueStats,
    remembered: HashSet<String>,
    forget_at: VecDeque<(Instant, String)>,
    /// The greatest token of each lease under which something was published.
    fences: HashMap<String, Token>,
    consumers: HashMap<u64, Eater>,
    /// Consumers that wait and may have one more, in the order of asking.
    hungry: VecDeque<u64>,
    numbers: u64,
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Timer {
    /// Its delay is over.
    Due,
    /// Its time to live is over.
    Ttl,
    /// Its consumer had it for too long.
    Visible,
}

struct Stored {
    body: Bytes,
    group: Option<String>,
    tries: u32,
    due: Option<Instant>,
    ends: Option<Instant>,
    out: Option<(u64, Instant)>,
}

struct Eater {
    credits: usize,
    out: usize,
    waiting: Option<oneshot::Sender<Given>>,
    is_hungry: bool,
}

// === impl Backlog ===

impl Backlog {
    pub(super) fn new(spec: QueueSpec) -> Self {
        Self {
            spec,
            messages: HashMap::new(),
            ready: BTreeSet::new(),
            groups: HashMap::new(),
            timers: BTreeSet::new(),
            out: 0,
            dead: BTreeMap::new(),
            counts: QueueStats::default(),
            remembered: HashSet::new(),
            forget_at: VecDeque::new(),
            fences: HashMap::new(),
            consumers: HashMap::new(),
            hungry: VecDeque::new(),
            numbers: 0,
        }
    }

    /// Takes a message, unless one with its de-duplication id was there already.
    pub(super) fn publish(&mut self, message: Msg, now: Instant) -> Result<bool, QueueError> {
        let names = message.dedup.iter().chain(&message.group).map(String::len).sum::<usize>();
        let size = message.body.len() + names;
        if size > MOST_BYTES {
            return Err(QueueError::TooLarge(size, MOST_BYTES));
        }
        self.forget(now);
        if message.dedup.as_ref().is_some_and(|id| self.remembered.contains(id)) {
            self.counts.duplicates += 1;
            return Ok(false);
        }
        if let Some((name, token)) = &message.by {
            if name.len() > MOST_ID {
                return Err(QueueError::NameTooLong(name.len(), MOST_ID));
            }
            match self.fences.get(name) {
                Some(seen) if token < seen => return Err(QueueError::Fenced),
                None if self.fences.len() >= MOST_LEASES => {
                    return Err(QueueError::Full(MOST_LEASES));
                }
                Some(_) | None => {}
            }
        }
        if self.messages.len() >= self.spec.most {
            return Err(QueueError::Full(self.messages.len()));
        }
        if let Some((name, token)) = message.by {
            self.fences.insert(name, token);
        }
        if let Some(id) = message.dedup {
            self.forget_at.push_back((later(now, self.spec.dedup_window), id.clone()));
            self.remembered.insert(id);
        }
        self.numbers += 1;
        let number = self.numbers;
        let ends = message.ttl.map(|ttl| later(now, ttl));
        let due = message.delay.map(|delay| later(now, delay));
        self.timers.extend(ends.map(|ends| (ends, number, Timer::Ttl)));
        if let Some(group) = &message.group {
            self.groups.entry(group.clone()).or_default().push_back(number);
        }
        let (body, group) = (message.body, message.group);
        self.messages.insert(number, Stored { body, group, tries: 0, due, ends, out: None });
        self.counts.published += 1;
        self.offer(number, now);
        self.feed(now);
        Ok(true)
    }

    /// A consumer with so many credits.
    pub(super) fn come(&mut self, credits: usize) -> u64 {
        self.numbers += 1;
        let eater = Eater { credits, out: 0, waiting: None, is_hungry: false };
        self.consumers.insert(self.numbers, eater);
        self.numbers
    }

    /// It asks no more. What it has stays its own until its time is over.
    pub(super) fn go(&mut self, consumer: u64) {
        self.consumers.remove(&consumer);
    }

    /// A consumer waits for its next message.
    pub(super) fn ask(&mut self, consumer: u64, now: Instant) -> oneshot::Receiver<Given> {
        let (sender, receiver) = oneshot::channel();
        if let Some(eater) = self.consumers.get_mut(&consumer) {
            eater.waiting = Some(sender);
        }
        self.enlist(consumer);
        self.feed(now);
        receiver
    }

    /// What was given never arrived.
    pub(super) fn undo(&mut self, ticket: Ticket, now: Instant) {
        if self.take_out(ticket).is_ok() {
            if let Some(stored) = self.messages.get_mut(&ticket.number) {
                stored.tries -= 1;
            }
            self.offer(ticket.number, now);
            self.feed(now);
        }
    }

    /// Done.
    pub(super) fn ack(&mut self, ticket: Ticket, now: Instant) -> Result<(), QueueError> {
        self.take_out(ticket)?;
        self.counts.done += 1;
        self.remove(ticket.number, now);
        self.feed(now);
        Ok(())
    }

    /// Not done: it comes again after so long.
    pub(super) fn nack(
        &mut self,
        ticket: Ticket,
        after: Duration,
        now: Instant,
    ) -> Result<(), QueueError> {
        self.take_out(ticket)?;
        self.give_back(ticket.number, after, now);
        self.feed(now);
        Ok(())
    }

    /// Still at it.
    pub(super) fn extend(&mut self, ticket: Ticket, now: Instant) -> Result<(), QueueError> {
        let until = later(now, self.spec.visibility);
        let stored = self.delivered(ticket)?;
        if let Some((_, old)) = stored.out.as_mut() {
            let old = std::mem::replace(old, until);
            self.timers.remove(&(old, ticket.number, Timer::Visible));
            self.timers.insert((until, ticket.number, Timer::Visible));
        }
        Ok(())
    }

    /// Does what is due; when the next thing is.
    pub(super) fn pass(&mut self, now: Instant) -> Option<Instant> {
        self.forget(now);
        while let Some((at, number, timer)) = self.timers.first().copied() {
            if at > now {
                self.feed(now);
                return Some(at);
            }
            self.timers.pop_first();
            self.over(number, timer, now);
        }
        self.feed(now);
        None
    }

    /// When the next thing is due.
    pub(super) fn next(&self) -> Option<Instant> {
        self.timers.first().map(|(at, ..)| *at)
    }

    pub(super) fn stats(&self) -> QueueStats {
        let ready = self.messages.len() as u64 - self.out;
        let dead = self.dead.len() as u64;
        QueueStats { ready, out: self.out, dead, ..self.counts.clone() }
    }

    pub(super) fn dead_letters(&mut self, most: usize) -> Vec<Bytes> {
        let oldest = std::iter::from_fn(|| self.dead.pop_first());
        oldest.take(most).map(|(_, letter)| letter.body).collect()
    }

    pub(super) fn look_dead(&self, most: usize) -> Vec<DeadLetter> {
        self.dead.values().take(most).cloned().collect()
    }

    /// Dead letters leave: to be delivered again, or for good.
    pub(super) fn end_dead(&mut self, ids: &[String], is_requeued: bool, now: Instant) -> u64 {
        let mut ended = 0;
        for id in ids {
            let letter = id.parse().ok().and_then(|number: u64| self.dead.remove_entry(&number));
            let Some((number, DeadLetter { body, group, .. })) = letter else { continue };
            ended += 1;
            if is_requeued {
                if let Some(group) = &group {
                    self.groups.entry(group.clone()).or_default().push_back(number);
                }
                let stored = Stored { body, group, tries: 1, due: None, ends: None, out: None };
                self.messages.insert(number, stored);
                self.offer(number, now);
            }
        }
        self.feed(now);
        ended
    }

    /// How many consume, and how many messages they have.
    pub(super) fn consumers(&self) -> (u32, u64) {
        let count = u32::try_from(self.consumers.len()).unwrap_or(u32::MAX);
        (count, self.consumers.values().map(|eater| eater.out as u64).sum())
    }

    /// Nobody waits any more: the engine is closed.
    pub(super) fn close(&mut self) {
        self.consumers.clear();
    }

    fn over(&mut self, number: u64, timer: Timer, now: Instant) {
        let Some(stored) = self.messages.get_mut(&number) else { return };
        match timer {
            Timer::Due => self.offer(number, now),
            // One that is out may still be done; if it comes back its time is over then.
            Timer::Ttl if stored.out.is_some() => {}
            Timer::Ttl => {
                self.counts.expired += 1;
                self.remove(number, now);
            }
            Timer::Visible => {
                let ticket = Ticket { number, tries: stored.tries };
                if self.take_out(ticket).is_ok() {
                    self.give_back(number, Duration::ZERO, now);
                }
            }
        }
    }

    /// It was not done: it comes again, or it has come too often or too late.
    fn give_back(&mut self, number: u64, after: Duration, now: Instant) {
        let most_tries = self.spec.most_tries;
        let Some(stored) = self.messages.get_mut(&number) else { return };
        if stored.ends.is_some_and(|ends| ends <= now) {
            self.counts.expired += 1;
            return self.remove(number, now);
        }
        if stored.tries >= most_tries {
            let (body, group) = (stored.body.clone(), stored.group.clone());
            if self.dead.len() >= MOST_DEAD {
                self.dead.pop_first();
            }
            let letter = DeadLetter { id: number.to_string(), tries: stored.tries, group, body };
            self.dead.insert(number, letter);
            self.counts.buried += 1;
            return self.remove(number, now);
        }
        stored.due = (!after.is_zero()).then(|| later(now, after));
        self.offer(number, now);
    }

    /// Makes it ready, if it is the first of its group and its delay is over.
    fn offer(&mut self, number: u64, now: Instant) {
        let Some(stored) = self.messages.get(&number) else { return };
        let first = (stored.group.as_ref())
            .and_then(|group| self.groups.get(group)?.front())
            .is_none_or(|first| *first == number);
        if !first || stored.out.is_some() {
            return;
        }
        match stored.due.filter(|due| *due > now) {
            Some(due) => _ = self.timers.insert((due, number, Timer::Due)),
            None => _ = self.ready.insert(number),
        }
    }

    fn remove(&mut self, number: u64, now: Instant) {
        let Some(stored) = self.messages.remove(&number) else { return };
        self.ready.remove(&number);
        for (at, timer) in [(stored.due, Timer::Due), (stored.ends, Timer::Ttl)] {
            at.map(|at| self.timers.remove(&(at, number, timer)));
        }
        let Some(group) = stored.group else { return };
        let Some(order) = self.groups.get_mut(&group) else { return };
        order.retain(|other| *other != number);
        match order.front().copied() {
            Some(first) => self.offer(first, now),
            None => _ = self.groups.remove(&group),
        }
    }

    fn delivered(&mut self, ticket: Ticket) -> Result<&mut Stored, QueueError> {
        (self.messages.get_mut(&ticket.number))
            .filter(|stored| stored.out.is_some() && stored.tries == ticket.tries)
            .ok_or(QueueError::Expired)
    }

    /// Ends a delivery, whichever way, and gives its consumer the credit back.
    fn take_out(&mut self, ticket: Ticket) -> Result<(), QueueError> {
        let stored = self.delivered(ticket)?;
        let Some((consumer, until)) = stored.out.take() else { return Err(QueueError::Expired) };
        self.out -= 1;
        self.timers.remove(&(until, ticket.number, Timer::Visible));
        if let Some(eater) = self.consumers.get_mut(&consumer) {
            eater.out -= 1;
        }
        self.enlist(consumer);
        Ok(())
    }

    fn enlist(&mut self, consumer: u64) {
        let Some(eater) = self.consumers.get_mut(&consumer) else { return };
        if eater.waiting.is_some() && eater.out < eater.credits && !eater.is_hungry {
            eater.is_hungry = true;
            self.hungry.push_back(consumer);
        }
    }

    /// Gives what is ready to those who wait.
    fn feed(&mut self, now: Instant) {
        while let Some(number) = self.ready.first().copied() {
            let Some(consumer) = self.hungry.pop_front() else { return };
            let Some(eater) = self.consumers.get_mut(&consumer) else { continue };
            eater.is_hungry = false;
            let Some(waiting) = eater.waiting.take() else { continue };
            let Some(stored) = self.messages.get_mut(&number) else {
                self.ready.remove(&number);
                continue;
            };
            let ticket = Ticket { number, tries: stored.tries + 1 };
            let (body, group) = (stored.body.clone(), stored.group.clone());
            if waiting.send(Given { body, group, ticket }).is_err() {
                continue;
            }
            let until = later(now, self.spec.visibility);
            stored.tries += 1;
            self.counts.delivered += 1;
            self.counts.redelivered += u64::from(stored.tries > 1);
            stored.out = Some((consumer, until));
            eater.out += 1;
            self.out += 1;
            self.ready.remove(&number);
            self.timers.insert((until, number, Timer::Visible));
        }
    }

    fn forget(&mut self, now: Instant) {
        while let Some((at, _)) = self.forget_at.front()
            && (*at <= now || self.forget_at.len() > MOST_REMEMBERED)
        {
            if let Some((_, id)) = self.forget_at.pop_front() {
                self.remembered.remove(&id);
            }
        }
    }
}
