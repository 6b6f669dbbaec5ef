//! Messages come in: numbered as they come, written some at a time, acknowledged once they stand.

use super::super::entries::{self, Kind, Message};
use super::super::{Answer, FencedBy, Number, Publication, UNKEPT};
use super::ending::removals;
use super::writes::{Then, What, Write};
use super::{Asked, Home, Journal, State, Stored, Timer, fences};
use crate::batch::{Batch, Op};
use crate::segment::{Bytes, Group};
use foldhash::fast::FixedState;
use muster_cluster::Moment;
use std::collections::{BTreeSet, HashMap};

/// Messages that share a group at most.
const MOST_OF_BLOCK: usize = 128;
/// A group is full with the message that brings it over so many bytes.
const BYTES_OF_BLOCK: usize = 256 << 10;
/// Writes of publications under way at once. Few, so that many messages share one.
const MOST_PUBLISHING: usize = 2;
/// De-duplication ids that a home remembers, at most: the oldest go first.
const MOST_IDS: usize = 1_000_000;

/// A publication that is not on its way yet.
pub(super) struct Waiting {
    pub(super) asked: Asked,
    number: Number,
    publication: Publication,
    by: Option<FencedBy>,
}

/// The group that messages go to, until it is full.
pub(super) struct Block {
    group: Group,
    count: usize,
    bytes: usize,
}

/// De-duplication ids.
#[derive(Default)]
pub(super) struct Ids {
    all: HashMap<Bytes, Id, FixedState>,
    of: HashMap<Number, Bytes, FixedState>,
    until: BTreeSet<(Moment, Bytes)>,
}

struct Id {
    /// None while the first one is being written.
    until: Option<Moment>,
    /// Others with this id that wait for what becomes of the first.
    followers: Vec<Asked>,
    /// Where an earlier home wrote it: nobody here knows whether journals have it.
    found_in: Option<Group>,
}

impl Home {
    pub(super) fn publish(
        &mut self,
        asked: Asked,
        publication: Publication,
        by: Option<FencedBy>,
        now: Moment,
    ) {
        let Some(message) = Message::read(publication.value.clone()) else {
            return self.answer(asked, Answer::Unavailable);
        };
        match self.journal {
            Journal::No | Journal::Kept => {}
            Journal::Lacking(since) if now < since.saturating_add(UNKEPT) => {
                return self.answer(asked, Answer::Elsewhere);
            }
            Journal::Lacking(_) => return self.answer(asked, Answer::NotKept),
        }
        self.ids.forget(now);
        if let Some(id) = &publication.dedup
            && let Some(present) = self.ids.all.get_mut(id)
        {
            if present.until.is_some() {
                self.counts.duplicates += 1;
                if self.journal != Journal::No
                    && let Some(group) = present.found_in.clone()
                {
                    // Any change of its group puts all of it into the journals once more.
                    let nothing = entries::remove(entries::key(Kind::Tries, 0));
                    return self.change(Some(group), [nothing], Then::Kept(asked));
                }
                return self.answer_proven(asked, Answer::Published(false), now);
            }
            return present.followers.push(asked);
        }
        match by.as_ref().map_or(Ok(()), |by| self.fences.passes(by)) {
            Ok(()) => {}
            Err(Answer::Fenced) => return self.answer_proven(asked, Answer::Fenced, now),
            Err(answer) => return self.answer(asked, answer),
        }
        let count = self.messages.len() as u64;
        if count >= self.settings.most {
            return self.answer(asked, Answer::Full(count));
        }
        if let Some(by) = &by {
            self.fences.sees(by);
        }
        self.last += 1;
        let number = Number { epoch: self.epoch, seq: self.last, salt: self.salt };
        if let Some(id) = &publication.dedup {
            self.ids.begin(id.clone(), number);
        }
        let group = message.group().map(Bytes::from);
        if let Some(group) = &group {
            self.groups.entry(group.clone()).or_default().push_back(number);
        }
        let after = |time: Option<std::time::Duration>| time.map(|time| now.saturating_add(time));
        let stored = Stored {
            value: publication.value.clone(),
            group,
            block: None,
            tries: 0,
            recorded: 0,
            is_found: false,
            has_delay: publication.delay.is_some(),
            due: after(publication.delay),
            ends: after(publication.ttl),
            state: State::Unwritten,
        };
        self.messages.insert(number, stored);
        self.unwritten += 1;
        self.waiting.push_back(Waiting { asked, number, publication, by });
    }

    /// Writes what waits, some writes at a time.
    pub(super) fn write_publications(&mut self, now: Moment) {
        while self.publishing < MOST_PUBLISHING
            && let Some(first) = self.waiting.front()
        {
            let number = first.number;
            let Some(mut block) = self.block.take().or_else(|| self.new_block(number)) else {
                self.is_over = true;
                return;
            };
            let (mut ops, mut published, mut raised) = (Vec::new(), Vec::new(), Vec::new());
            while block.has_room()
                && let Some(waiting) = self.waiting.pop_front()
            {
                block.count += 1;
                block.bytes += waiting.publication.value.len();
                if let Some(stored) = self.messages.get_mut(&waiting.number) {
                    stored.block = Some(block.group.clone());
                }
                published.push((waiting.asked, waiting.number));
                if let Some(by) = waiting.by.as_ref().filter(|by| self.fences.raises(by)) {
                    ops.push(fences::op(by));
                    raised.push(by.clone());
                }
                self.ops_of(waiting, &mut ops);
            }
            if !self.rules.acknowledges_late {
                for (asked, _) in &published {
                    self.answer(*asked, Answer::Published(true));
                }
            }
            let batch = Batch::new(block.group.clone(), ops);
            // In a journal all of a group is put with each of its changes, and of two of its records the
            // older one must have all that the later one has.
            if block.has_room() && self.journal == Journal::No {
                self.block = Some(block);
            }
            self.publishing += 1;
            let what = What::Publish(published, raised);
            self.ask_grid(Write { batch: Some(batch), asked: now, what });
        }
    }

    fn new_block(&self, first: Number) -> Option<Block> {
        let group = entries::block(self.space, self.segments, first)?;
        Some(Block { group, count: 0, bytes: 0 })
    }

    fn ops_of(&self, waiting: Waiting, ops: &mut Vec<Op>) {
        let Waiting { number, publication, .. } = waiting;
        let Publication { value, dedup, delay, ttl } = publication;
        ops.push(entries::put(entries::key(Kind::Message, number.seq), value, ttl));
        if let Some(delay) = delay {
            let key = entries::key(Kind::Delay, number.seq);
            ops.push(entries::put(key, Bytes::default(), Some(delay)));
        }
        if let Some(id) = dedup {
            let seq = Bytes::from(&number.seq.to_be_bytes());
            let window = self.settings.dedup_window;
            ops.push(entries::put(entries::id_key(&id), seq, Some(window)));
        }
    }

    /// All owners have them.
    pub(super) fn published(&mut self, published: Vec<(Asked, Number)>, now: Moment) {
        let window = now.saturating_add(self.settings.dedup_window);
        self.counts.published += published.len() as u64;
        for (asked, number) in published {
            if self.rules.acknowledges_late {
                self.answer(asked, Answer::Published(true));
            }
            for follower in self.ids.stands(number, window) {
                self.counts.duplicates += 1;
                self.answer(follower, Answer::Published(false));
            }
            let Some(stored) = self.messages.get_mut(&number) else { continue };
            stored.state = State::Waiting;
            self.unwritten -= 1;
            let ends = stored.ends.map(|ends| (ends, number, Timer::Ttl));
            self.timers.extend(ends);
            self.offer(number, now);
        }
    }

    /// A journal has not taken them: they go before they are given, and their publishers hear so.
    pub(super) fn not_kept(&mut self, published: Vec<(Asked, Number)>) {
        for (asked, number) in published {
            let Some(stored) = self.messages.get_mut(&number) else { continue };
            stored.state = State::Refused(asked);
            let mut ops = removals(number, stored);
            ops.extend(self.ids.of.get(&number).map(|id| entries::remove(entries::id_key(id))));
            let block = stored.block.clone();
            self.change(block, ops, Then::Refused(number));
        }
    }

    /// Nothing of it stands any more.
    pub(super) fn refused(&mut self, number: Number, now: Moment) {
        let Some(State::Refused(asked)) = self.messages.get(&number).map(|s| s.state.clone())
        else {
            return;
        };
        self.not_published(vec![(asked, number)], &Answer::NotKept, now);
    }

    /// Nothing of it was written.
    pub(super) fn not_published(
        &mut self,
        published: Vec<(Asked, Number)>,
        answer: &Answer,
        now: Moment,
    ) {
        for (asked, number) in published {
            self.answer(asked, answer.clone());
            for follower in self.ids.failed(number) {
                self.answer(follower, answer.clone());
            }
            self.unwritten -= 1;
            self.remove(number, now);
        }
    }
}

// === impl Block ===

impl Block {
    fn has_room(&self) -> bool {
        self.count < MOST_OF_BLOCK && self.bytes < BYTES_OF_BLOCK
    }
}

// === impl Ids ===

impl Ids {
    fn begin(&mut self, id: Bytes, number: Number) {
        self.of.insert(number, id.clone());
        self.all.insert(id, Id { until: None, followers: Vec::new(), found_in: None });
    }

    fn stands(&mut self, number: Number, until: Moment) -> Vec<Asked> {
        let Some(id) = self.of.remove(&number) else { return Vec::new() };
        let Some(present) = self.all.get_mut(&id) else { return Vec::new() };
        present.until = Some(until);
        self.until.insert((until, id));
        std::mem::take(&mut present.followers)
    }

    pub(super) fn failed(&mut self, number: Number) -> Vec<Asked> {
        let Some(id) = self.of.remove(&number) else { return Vec::new() };
        self.all.remove(&id).map(|present| present.followers).unwrap_or_default()
    }

    /// One that an earlier home has written.
    pub(super) fn found(&mut self, id: Bytes, until: Moment, group: &Group) {
        if !self.all.contains_key(&id) {
            self.until.insert((until, id.clone()));
            let found_in = Some(group.clone());
            self.all.insert(id, Id { until: Some(until), followers: Vec::new(), found_in });
        }
    }

    /// Those whose time is over, and the oldest of too many.
    pub(super) fn forget(&mut self, now: Moment) {
        while let Some((until, _)) = self.until.first()
            && (*until <= now || self.until.len() > MOST_IDS)
        {
            if let Some((_, id)) = self.until.pop_first() {
                self.all.remove(&id);
            }
        }
    }

    /// All who wait for what becomes of another's publication.
    pub(super) fn followers(&mut self) -> Vec<Asked> {
        self.all.values_mut().flat_map(|id| std::mem::take(&mut id.followers)).collect()
    }
}
