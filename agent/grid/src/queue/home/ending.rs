//! What becomes of deliveries: done, to come again, or too often.

use super::super::entries::{self, Kind};
use super::super::{Answer, Ending, Number, Ticket};
use super::writes::Then;
use super::{Asked, Home, State, Stored, Timer};
use crate::batch::Op;
use muster_cluster::Moment;
use smallvec::SmallVec;
use std::time::Duration;

impl Home {
    pub(super) fn end(
        &mut self,
        asked: Asked,
        ticket: Ticket,
        ending: Ending,
        is_again: bool,
        now: Moment,
    ) {
        let number = ticket.number;
        let Some(stored) = self.messages.get_mut(&number) else {
            // Whoever asks once more may have been heard the first time.
            let answer = if is_again { Answer::Ended } else { Answer::Expired };
            return self.answer_proven(asked, answer, now);
        };
        let is_its = stored.tries == ticket.tries;
        match (&mut stored.state, ending) {
            (State::Leaving(calls), Ending::Done) if is_again && is_its => calls.push(asked),
            (State::Out(..), Ending::Done) if is_its => self.leave(number, asked),
            // An earlier home has given it, and this one has not yet.
            (State::Waiting, Ending::Done)
                if stored.is_found && ticket.tries >= stored.recorded =>
            {
                self.leave(number, asked);
            }
            (State::Out(..), Ending::Again(after)) if is_its => {
                self.come_back(number, after, now);
                self.answer(asked, Answer::Ended);
            }
            (State::Out(_, until), Ending::Longer) if is_its => {
                let later = now.saturating_add(self.settings.visibility);
                let earlier = std::mem::replace(until, later);
                self.timers.remove(&(earlier, number, Timer::Visible));
                self.timers.insert((later, number, Timer::Visible));
                self.answer(asked, Answer::Ended);
            }
            _ => self.answer(asked, Answer::Expired),
        }
    }

    /// Done: it goes once that is written.
    fn leave(&mut self, number: Number, asked: Asked) {
        self.take_back(number);
        self.ready.remove(&number);
        self.found.remove(&number);
        let Some(stored) = self.messages.get_mut(&number) else { return };
        stored.state = State::Leaving(vec![asked]);
        self.outs += 1;
        let (block, ops) = (stored.block.clone(), removals(number, stored));
        self.change(block, ops, Then::Left(number));
    }

    /// That it is done stands with all owners.
    pub(super) fn left(&mut self, number: Number, now: Moment) {
        let Some(stored) = self.messages.get_mut(&number) else { return };
        let State::Leaving(calls) = &mut stored.state else { return };
        let calls = std::mem::take(calls);
        self.outs -= 1;
        self.counts.done += 1;
        self.remove(number, now);
        for asked in calls {
            self.answer(asked, Answer::Ended);
        }
    }

    /// It was not done: it comes again, or it has come too often or too late.
    pub(super) fn come_back(&mut self, number: Number, after: Duration, now: Moment) {
        // What is being written about it comes first.
        let is_out = |stored: &Stored| matches!(stored.state, State::Out(..));
        if !self.messages.get(&number).is_some_and(is_out) {
            return;
        }
        self.take_back(number);
        let most = self.settings.most_tries;
        let Some(stored) = self.messages.get_mut(&number) else { return };
        if stored.ends.is_some_and(|ends| ends <= now) {
            return self.expire(number, now);
        }
        if stored.tries >= most {
            return self.bury(number);
        }
        stored.due = (!after.is_zero()).then(|| now.saturating_add(after));
        self.offer(number, now);
    }

    /// Its time is over. The grid removes the message by itself.
    pub(super) fn expire(&mut self, number: Number, now: Moment) {
        let Some(stored) = self.messages.get(&number) else { return };
        let (block, ops) = (stored.block.clone(), removals(number, stored));
        self.counts.expired += 1;
        self.change(block, ops, Then::Nothing);
        self.remove(number, now);
    }

    /// Nothing of it stays in memory; the next of its group may be given.
    pub(super) fn remove(&mut self, number: Number, now: Moment) {
        let Some(stored) = self.messages.remove(&number) else { return };
        self.ready.remove(&number);
        self.found.remove(&number);
        for (at, timer) in [(stored.due, Timer::Due), (stored.ends, Timer::Ttl)] {
            at.map(|at| self.timers.remove(&(at, number, timer)));
        }
        let Some(group) = stored.group else { return };
        let Some(order) = self.groups.get_mut(&group) else { return };
        if order.front() == Some(&number) {
            order.pop_front();
        } else {
            order.retain(|other| *other != number);
        }
        match order.front().copied() {
            Some(first) => self.offer(first, now),
            None => _ = self.groups.remove(&group),
        }
    }
}

/// Everything that is written of a message.
pub(super) fn removals(number: Number, stored: &Stored) -> SmallVec<[Op; 2]> {
    let remove = |kind| entries::remove(entries::key(kind, number.seq));
    let mut ops = SmallVec::new();
    ops.push(remove(Kind::Message));
    if stored.recorded > 0 {
        ops.push(remove(Kind::Tries));
    }
    if stored.has_delay {
        ops.push(remove(Kind::Delay));
    }
    ops
}
