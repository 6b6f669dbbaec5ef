//! Dead letters: messages that were given too often. They stay until somebody looks after them.

use super::super::entries::{self, Kind};
use super::super::{Answer, DeadLetter, Message, Number};
use super::ending::removals;
use super::writes::Then;
use super::{Asked, Home, State, Stored};
use crate::batch::Op;
use crate::segment::{Bytes, Group};
use muster_cluster::Moment;

/// Dead letters that are kept, at most: the oldest go first.
const MOST_DEAD: usize = 10_000;
/// An answer ends with the dead letter that brings it over so many bytes.
const BYTES_OF_ANSWER: usize = 1 << 20;

/// A dead letter.
pub(super) struct Dead {
    pub(super) value: Bytes,
    pub(super) tries: u32,
    pub(super) block: Group,
}

/// Something done to several of them, in several writes.
pub(super) struct Task {
    pub(super) asked: Asked,
    left: usize,
    answer: Answer,
}

impl Home {
    /// It becomes a dead letter once that is written.
    pub(super) fn bury(&mut self, number: Number) {
        self.ready.remove(&number);
        self.found.remove(&number);
        let Some(stored) = self.messages.get_mut(&number) else { return };
        stored.state = State::Burying;
        let mut ops = removals(number, stored);
        let tries = Bytes::from(&u64::from(stored.tries).to_be_bytes());
        ops.retain(|op| op.key != entries::key(Kind::Tries, number.seq));
        ops.push(entries::put(entries::key(Kind::Tries, number.seq), tries, None));
        ops.push(entries::put(entries::key(Kind::Dead, number.seq), stored.value.clone(), None));
        let block = stored.block.clone();
        self.change(block, ops, Then::Buried(number));
    }

    pub(super) fn buried(&mut self, number: Number, now: Moment) {
        let Some(Stored { value, tries, block, .. }) = self.messages.get(&number) else { return };
        if let Some(block) = block.clone() {
            let dead = Dead { value: value.clone(), tries: *tries, block };
            self.dead.insert(number, dead);
        }
        self.counts.buried += 1;
        self.remove(number, now);
        self.keep_few();
    }

    pub(super) fn keep_few(&mut self) {
        while self.dead.len() > MOST_DEAD
            && let Some((number, dead)) = self.dead.pop_first()
        {
            self.change(Some(dead.block), gone(number), Then::Nothing);
        }
    }

    /// The oldest, so many, or fewer when they are large.
    pub(super) fn look(&self, most: u32) -> Vec<DeadLetter> {
        let mut bytes = 0;
        (self.dead.iter())
            .take(usize::try_from(most).unwrap_or(usize::MAX))
            .take_while(|(_, dead)| {
                let has_room = bytes < BYTES_OF_ANSWER;
                bytes += dead.value.len();
                has_room
            })
            .map(|(number, dead)| DeadLetter {
                number: *number,
                tries: dead.tries,
                value: dead.value.clone(),
            })
            .collect()
    }

    /// The same, and they go.
    pub(super) fn take(&mut self, asked: Asked, most: u32) {
        let letters = self.look(most);
        let numbers: Vec<Number> = letters.iter().map(|letter| letter.number).collect();
        self.task(asked, &numbers, Answer::Dead(letters), |number, _| gone(number).into());
    }

    pub(super) fn drop_dead(&mut self, asked: Asked, numbers: &[Number]) {
        let numbers: Vec<Number> = self.present(numbers);
        let answer = Answer::Changed(numbers.len() as u64);
        self.task(asked, &numbers, answer, |number, _| gone(number).into());
    }

    /// They are delivered again, marked: they were given before.
    pub(super) fn requeue(&mut self, asked: Asked, numbers: &[Number]) {
        let numbers: Vec<Number> = self.present(numbers);
        let answer = Answer::Changed(numbers.len() as u64);
        let once = || Bytes::from(&1_u64.to_be_bytes());
        let ops = |number: Number, dead: &Dead| {
            vec![
                entries::remove(entries::key(Kind::Dead, number.seq)),
                entries::put(entries::key(Kind::Tries, number.seq), once(), None),
                entries::put(entries::key(Kind::Message, number.seq), dead.value.clone(), None),
            ]
        };
        let dead: Vec<(Number, Bytes, Group)> = (numbers.iter())
            .filter_map(|number| {
                let dead = self.dead.get(number)?;
                Some((*number, dead.value.clone(), dead.block.clone()))
            })
            .collect();
        for (number, value, block) in dead {
            let group =
                Message::read(value.clone()).and_then(|message| message.group().map(Bytes::from));
            if let Some(group) = &group {
                self.groups.entry(group.clone()).or_default().push_back(number);
            }
            let (is_found, has_delay, due, ends) = (false, false, None, None);
            let (tries, recorded, state) = (1, 1, State::Unwritten);
            let block = Some(block);
            let stored = Stored {
                value,
                group,
                block,
                tries,
                recorded,
                is_found,
                has_delay,
                due,
                ends,
                state,
            };
            self.unwritten += 1;
            self.messages.insert(number, stored);
        }
        self.task(asked, &numbers, answer, ops);
    }

    fn present(&self, numbers: &[Number]) -> Vec<Number> {
        let mut numbers: Vec<Number> =
            numbers.iter().filter(|number| self.dead.contains_key(number)).copied().collect();
        numbers.sort_unstable();
        numbers.dedup();
        numbers
    }

    fn task(
        &mut self,
        asked: Asked,
        numbers: &[Number],
        answer: Answer,
        ops: impl Fn(Number, &Dead) -> Vec<Op>,
    ) {
        if numbers.is_empty() {
            return self.answer(asked, answer);
        }
        self.numbers += 1;
        let task = self.numbers;
        self.tasks.insert(task, Task { asked, left: numbers.len(), answer });
        for number in numbers {
            let Some(dead) = self.dead.remove(number) else { continue };
            let ops = ops(*number, &dead);
            self.change(Some(dead.block), ops, Then::Part(task, *number));
        }
    }

    /// One of several.
    pub(super) fn part(&mut self, task: u64, number: Number, now: Moment) {
        if let Some(stored) = self.messages.get_mut(&number)
            && stored.state == State::Unwritten
        {
            stored.state = State::Waiting;
            self.unwritten -= 1;
            self.offer(number, now);
        }
        let Some(of) = self.tasks.get_mut(&task) else { return };
        of.left -= 1;
        if of.left == 0
            && let Some(of) = self.tasks.remove(&task)
        {
            self.answer(of.asked, of.answer);
        }
    }
}

fn gone(number: Number) -> [Op; 2] {
    [Kind::Dead, Kind::Tries].map(|kind| entries::remove(entries::key(kind, number.seq)))
}
