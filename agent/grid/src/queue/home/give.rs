//! Messages go out: the oldest to the consumer whose turn it is, never more than its credits.

use super::super::entries::{self, Kind};
use super::super::frame::ToClient;
use super::super::{Number, Ticket};
use super::writes::{Then, What, Write};
use super::{AGAIN, Home, State, Timer, Who};
use crate::segment::Bytes;
use muster_cluster::Moment;

impl Home {
    /// A consumer, and what it has of an earlier home.
    pub(super) fn come(&mut self, who: Who, credits: u32, held: &[Ticket], now: Moment) {
        let eater = self.consumers.entry(who).or_default();
        eater.credits = usize::try_from(credits).unwrap_or(usize::MAX).max(1);
        for ticket in held {
            self.holds(who, *ticket, now);
        }
        self.enlist(who);
    }

    /// What it was given by an earlier home is out with it.
    fn holds(&mut self, who: Who, ticket: Ticket, now: Moment) {
        let until = now.saturating_add(self.settings.visibility);
        let number = ticket.number;
        let Some(stored) = self.messages.get_mut(&number) else { return };
        if stored.state != State::Waiting || !stored.is_found || ticket.tries < stored.recorded {
            return;
        }
        (stored.state, stored.is_found) = (State::Out(who, until), false);
        stored.tries = ticket.tries.max(1);
        self.outs += 1;
        self.ready.remove(&number);
        self.found.remove(&number);
        self.timers.insert((until, number, Timer::Visible));
        self.consumers.entry(who).or_default().has.insert(number);
    }

    /// It consumes no more. What nobody has seen comes back as if it had not been given; the rest
    /// stays its own until its time is over.
    pub(super) fn gone(&mut self, who: Who, untouched: &[Ticket], now: Moment) {
        self.consumers.remove(&who);
        for ticket in untouched {
            self.undo(who, *ticket, now);
        }
    }

    /// A delivery that did not leave this member.
    pub(in super::super) fn not_given(&mut self, who: Who, ticket: Ticket, now: Moment) {
        if let Some(stored) = self.messages.get_mut(&ticket.number) {
            stored.due = Some(now.saturating_add(AGAIN));
        }
        self.undo(who, ticket, now);
    }

    /// A delivery that nobody has seen.
    fn undo(&mut self, who: Who, ticket: Ticket, now: Moment) {
        let number = ticket.number;
        let Some(stored) = self.messages.get_mut(&number) else { return };
        if !matches!(&stored.state, State::Out(of, _) if *of == who && stored.tries == ticket.tries)
        {
            return;
        }
        stored.tries = stored.tries.saturating_sub(1);
        self.take_back(number);
        self.offer(number, now);
    }

    /// Makes a message ready, if it is the first of its group and its delay is over.
    pub(super) fn offer(&mut self, number: Number, now: Moment) {
        let Some(stored) = self.messages.get(&number) else { return };
        let is_first = (stored.group.as_ref())
            .and_then(|group| self.groups.get(group)?.front())
            .is_none_or(|first| *first == number);
        if stored.state != State::Waiting || (!is_first && self.rules.keeps_order) {
            return;
        }
        if let Some(due) = stored.due.filter(|due| *due > now) {
            self.timers.insert((due, number, Timer::Due));
        } else if stored.is_found {
            self.found.insert(number);
        } else {
            self.ready.insert(number);
        }
    }

    fn enlist(&mut self, who: Who) {
        let Some(eater) = self.consumers.get_mut(&who) else { return };
        if eater.has.len() < eater.credits && !eater.is_hungry {
            eater.is_hungry = true;
            self.hungry.push_back(who);
        }
    }

    /// Gives what is ready to those who may have more.
    pub(super) fn feed(&mut self, now: Moment) {
        loop {
            let found = if now >= self.settled_at { self.found.first() } else { None };
            let Some(number) = found.or(self.ready.first()).copied() else { return };
            let Some(who) = self.hungry.front().copied() else { return };
            if self.rules.gives_under_lease && now >= self.gives_until {
                return self.confirm(now);
            }
            self.hungry.pop_front();
            if let Some(eater) = self.consumers.get_mut(&who) {
                eater.is_hungry = false;
                if eater.has.len() < eater.credits {
                    eater.has.insert(number);
                    self.enlist(who);
                    self.give(number, who, now);
                }
            }
        }
    }

    /// Whether this member is still the primary.
    pub(super) fn confirm(&mut self, now: Moment) {
        if !self.is_confirming {
            self.is_confirming = true;
            self.ask_grid(Write { batch: None, asked: now, what: What::Confirm });
        }
    }

    /// Gives it; what is not the first delivery is written before.
    fn give(&mut self, number: Number, who: Who, now: Moment) {
        self.ready.remove(&number);
        self.found.remove(&number);
        let Some(stored) = self.messages.get_mut(&number) else { return };
        stored.tries += 1;
        stored.is_found = false;
        self.outs += 1;
        if stored.tries == 1 || stored.tries <= stored.recorded {
            return self.send(number, who, now);
        }
        stored.state = State::Recording(who);
        let (block, tries) =
            (stored.block.clone(), Bytes::from(&u64::from(stored.tries).to_be_bytes()));
        let key = entries::key(Kind::Tries, number.seq);
        self.change(block, [entries::put(key, tries, None)], Then::Recorded(number));
    }

    /// It is written that it is given once more.
    pub(super) fn recorded(&mut self, number: Number, now: Moment) {
        let Some(stored) = self.messages.get_mut(&number) else { return };
        stored.recorded = stored.recorded.max(stored.tries);
        let State::Recording(who) = stored.state else { return };
        let has_left = !self.consumers.get(&who).is_some_and(|eater| eater.has.contains(&number));
        // The time that the write took counts against the lease.
        let is_late = self.rules.gives_under_lease && now >= self.gives_until;
        if has_left || is_late {
            // It is given under this number the next time.
            stored.tries = stored.tries.saturating_sub(1);
            self.take_back(number);
            self.offer(number, now);
        } else {
            self.send(number, who, now);
        }
    }

    fn send(&mut self, number: Number, who: Who, now: Moment) {
        let until = now.saturating_add(self.settings.visibility);
        let Some(stored) = self.messages.get_mut(&number) else { return };
        stored.state = State::Out(who, until);
        let (ticket, value) = (Ticket { number, tries: stored.tries }, stored.value.clone());
        self.counts.delivered += 1;
        self.counts.redelivered += u64::from(stored.tries > 1);
        self.timers.insert((until, number, Timer::Visible));
        let (member, consumer) = who;
        let give = ToClient::Give { consumer, ticket, value };
        self.out.push_back(super::Out::Send(member, give));
    }

    /// Ends a delivery, whichever way, and gives its consumer the credit back.
    pub(super) fn take_back(&mut self, number: Number) {
        let Some(stored) = self.messages.get_mut(&number) else { return };
        let who = match &stored.state {
            State::Recording(who) => *who,
            State::Out(who, until) => {
                self.timers.remove(&(*until, number, Timer::Visible));
                *who
            }
            State::Unwritten
            | State::Refused(_)
            | State::Waiting
            | State::Leaving(_)
            | State::Burying => return,
        };
        stored.state = State::Waiting;
        self.outs -= 1;
        if let Some(eater) = self.consumers.get_mut(&who) {
            eater.has.remove(&number);
        }
        self.enlist(who);
    }
}
