//! What an earlier home, or the other side of a split, has left in the row.

use super::super::entries::{self, Key, Kind};
use super::super::{FencedBy, Message, Number};
use super::dead::Dead;
use super::writes::Then;
use super::{Home, SETTLING, State, Stored, Timer};
use crate::segment::{Bytes, Group};
use crate::store::WholeGroup;
use muster_cluster::Moment;
use std::collections::BTreeMap;
use std::time::Duration;

/// What is written of one message.
#[derive(Default)]
struct Found {
    value: Option<(Bytes, Option<Duration>)>,
    dead: Option<Bytes>,
    tries: u32,
    delay: Option<Duration>,
}

impl Home {
    /// A group of messages.
    pub(in super::super) fn find(&mut self, whole: WholeGroup, now: Moment) {
        let Some((epoch, salt)) = entries::read_block(&whole.group.name) else { return };
        let (mut all, mut fences) = (BTreeMap::<u64, Found>::new(), Vec::new());
        for (key, _, put) in whole.entries {
            match entries::read_key(&key) {
                Some(Key::Of(kind, seq)) => {
                    let found = all.entry(seq).or_default();
                    match kind {
                        Kind::Message => found.value = Some((put.value, put.ttl)),
                        Kind::Dead => found.dead = Some(put.value),
                        Kind::Delay => found.delay = put.ttl,
                        Kind::Tries => {
                            let tries = entries::number(&put.value);
                            found.tries = u32::try_from(tries).unwrap_or(u32::MAX);
                        }
                    }
                }
                Some(Key::Id(id)) => {
                    let window = put.ttl.unwrap_or(self.settings.dedup_window);
                    self.ids.found(id, now.saturating_add(window), &whole.group);
                }
                Some(Key::Fence(name)) => {
                    let token = entries::token(&put.value);
                    fences.push(FencedBy { name, token });
                }
                None => {}
            }
        }
        self.fences_stand(fences, Some(&whole.group));
        for (seq, found) in all {
            let number = Number { epoch, seq, salt };
            self.find_one(number, &whole.group, found, now);
        }
        self.keep_few();
    }

    fn find_one(&mut self, number: Number, block: &Group, found: Found, now: Moment) {
        if self.messages.contains_key(&number) || self.dead.contains_key(&number) {
            return;
        }
        if number.epoch == self.epoch {
            // A home of the same reign has taken it: what is taken now comes after it.
            self.last = self.last.max(number.seq);
        }
        let Found { value, dead, tries, delay } = found;
        if let Some(value) = dead {
            let dead = Dead { value, tries, block: block.clone() };
            self.dead.insert(number, dead);
            return;
        }
        let read = value.and_then(|(value, ttl)| Some((Message::read(value)?, ttl)));
        let Some((message, ttl)) = read else {
            // Its time was over while it was given.
            if tries > 0 {
                let key = entries::key(Kind::Tries, number.seq);
                self.change(Some(block.clone()), [entries::remove(key)], Then::Nothing);
            }
            return;
        };
        let group = message.group().map(Bytes::from);
        if let Some(group) = &group {
            let order = self.groups.entry(group.clone()).or_default();
            // Places are those of hashes: the order is that of the numbers.
            let at = order.partition_point(|other| *other < number);
            order.insert(at, number);
        }
        let ends = ttl.map(|ttl| now.saturating_add(ttl));
        self.timers.extend(ends.map(|ends| (ends, number, Timer::Ttl)));
        let marks = self.rules.marks_found;
        let stored = Stored {
            value: message.value().clone(),
            group,
            block: Some(block.clone()),
            tries: if marks { tries.max(1) } else { tries },
            recorded: tries,
            is_found: marks,
            has_delay: delay.is_some(),
            due: delay.map(|delay| now.saturating_add(delay)),
            ends,
            state: State::Waiting,
        };
        self.messages.insert(number, stored);
        if tries >= self.settings.most_tries {
            self.bury(number);
        }
    }

    /// All was found that there is.
    pub(in super::super) fn settle(&mut self, now: Moment) {
        if !self.messages.is_empty() {
            self.settled_at = now.saturating_add(SETTLING);
        }
        self.offer_found(now);
    }

    /// A group that comes from the other side of a split brings back what is being removed: it is
    /// removed once more.
    pub(in super::super) fn merge(&mut self, whole: WholeGroup, now: Moment) {
        let Some((epoch, salt)) = entries::read_block(&whole.group.name) else { return };
        for (key, ..) in &whole.entries {
            let Some(Key::Of(Kind::Message, seq)) = entries::read_key(key) else { continue };
            let number = Number { epoch, seq, salt };
            let Some(stored) = self.messages.get(&number) else { continue };
            if matches!(stored.state, State::Leaving(_) | State::Burying | State::Refused(_)) {
                let remove = entries::remove(key.clone());
                self.change(Some(whole.group.clone()), [remove], Then::Nothing);
            }
        }
        self.find(whole, now);
        self.offer_found(now);
    }

    /// What was found may be given, each in its turn.
    pub(in super::super) fn offer_found(&mut self, now: Moment) {
        let waiting: Vec<Number> = (self.messages.iter())
            .filter(|(_, stored)| stored.state == State::Waiting)
            .map(|(number, _)| *number)
            .collect();
        for number in waiting {
            self.offer(number, now);
        }
        self.go_on(now);
    }
}
