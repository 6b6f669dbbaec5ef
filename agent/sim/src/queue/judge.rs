//! What was promised of a queue: nothing acknowledged is lost, only the first delivery of a message
//! has no mark, none without a mark comes after the message was done, groups come in order.

use super::{QueueCounts, Queues};
use crate::world::{Time, World};
use muster_grid::queue::{Answer, Ticket};
use std::collections::BTreeMap;

/// A message, as its producer and its consumers know it.
#[derive(Default)]
struct Known {
    group: Option<u8>,
    has_id: bool,
    begun: Time,
    /// When it was acknowledged.
    published: Option<Time>,
    /// Somebody has it, or had it, without a mark.
    was_unmarked: bool,
    /// Somebody said that it is done.
    is_ending: bool,
    /// That was confirmed.
    is_done: bool,
    /// A journal has not taken it.
    is_refused: bool,
}

/// All messages.
#[derive(Default)]
pub(super) struct Ledger {
    messages: BTreeMap<u32, Known>,
    last: u32,
    /// When all members have ended last.
    pub(super) restarted: Time,
    pub(super) counts: QueueCounts,
}

// === impl Ledger ===

impl Ledger {
    /// Somebody begins to publish: the message's number.
    pub(super) fn begin(&mut self, now: Time, group: Option<u8>, has_id: bool) -> u32 {
        self.last += 1;
        self.messages.insert(self.last, Known { group, has_id, begun: now, ..Known::default() });
        self.last
    }

    pub(super) fn published(&mut self, now: Time, number: u32, answer: &Answer) {
        let Some(known) = self.messages.get_mut(&number) else { return };
        match answer {
            Answer::Published(_) => {
                known.published = Some(now);
                self.counts.published += 1;
            }
            Answer::Unknown => self.counts.unknown += 1,
            Answer::NotKept => {
                known.is_refused = true;
                self.counts.refused += 1;
            }
            _ => {}
        }
    }

    /// Somebody says that a message is done.
    pub(super) fn ends(&mut self, number: u32) {
        if let Some(known) = self.messages.get_mut(&number) {
            known.is_ending = true;
        }
    }

    /// That stands.
    pub(super) fn done(&mut self, number: u32) {
        if let Some(known) = self.messages.get_mut(&number) {
            self.counts.done += u64::from(!known.is_done);
            known.is_done = true;
        }
    }

    /// A home gives a message; what is wrong with that.
    pub(super) fn gives(&mut self, number: u32, ticket: Ticket, is_strict: bool) -> Option<String> {
        let known = self.messages.get_mut(&number)?;
        let is_late = is_strict && ticket.tries == 1 && known.is_done;
        is_late.then(|| format!("message {number} is given without a mark after it was done"))
    }

    /// A consumer gets a message; what is wrong with that.
    pub(super) fn given(&mut self, number: u32, ticket: Ticket, is_strict: bool) -> Option<String> {
        self.counts.given += 1;
        self.counts.marked += u64::from(ticket.tries > 1);
        let known = self.messages.get_mut(&number)?;
        self.counts.again += u64::from(known.is_done);
        if known.is_refused && ticket.tries == 1 {
            return Some(format!("message {number} came although it was refused"));
        }
        let was_unmarked = known.was_unmarked;
        known.was_unmarked |= ticket.tries == 1;
        // With an id it is published again after a split, perhaps to each side.
        if ticket.tries == 1 && was_unmarked && (is_strict || !known.has_id) {
            return Some(format!("message {number} came twice without a mark"));
        }
        let (group, begun, restarted) = (known.group?, known.begun, self.restarted);
        // Whoever comes back late with what the others do not have brings it late.
        let is_of_life = |at: Time| restarted <= at && at < begun;
        let is_before =
            |other: &Known| other.group == Some(group) && other.published.is_some_and(is_of_life);
        let mut before = self.messages.iter().filter(|(_, other)| is_before(other));
        let early = before.find(|(_, other)| !other.is_ending).map(|(number, _)| *number);
        early.filter(|_| is_strict).map(|first| {
            format!("message {number} of group {group} came before {first}, which was not done")
        })
    }

    /// Messages that were acknowledged and that nobody said to be done.
    pub(super) fn open(&self) -> Vec<u32> {
        let is_open = |known: &Known| known.published.is_some() && !known.is_ending;
        self.messages.iter().filter(|(_, known)| is_open(known)).map(|(n, _)| *n).collect()
    }
}

impl Queues {
    /// Checks what is known at the end, when nothing is left in the queue.
    pub fn judge(&mut self, world: &mut World) {
        let lost = self.ledger.open();
        if !lost.is_empty() {
            world.wrong.push(format!("messages {lost:?} were acknowledged and are lost"));
        }
    }
}
