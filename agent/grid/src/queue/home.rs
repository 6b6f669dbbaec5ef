//! The home of a queue: who gets which message, as a function of what is asked, when, and what
//! became of its writes. Nothing here waits or reads a clock.
//!
//! | file | idea |
//! |---|---|
//! | `publish` | messages come in |
//! | `give` | and go out to consumers |
//! | `fences` | the tokens of leases that it was published with |
//! | `ending` | what becomes of deliveries |
//! | `dead` | dead letters |
//! | `writes` | what is written, and what follows once it stands |
//! | `found` | what an earlier home has left in the row |

mod dead;
mod ending;
mod fences;
mod found;
mod give;
mod publish;
mod writes;

use super::frame::{ToClient, ToHome};
use super::{Answer, Number, Question, QueueRules, Settings, Stats};
use crate::batch::Request;
use crate::segment::{Bytes, Group, Space};
use foldhash::fast::FixedState;
use muster_cluster::{Epoch, MemberId, Moment};
use publish::{Block, Ids};
use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::time::Duration;
use writes::{Changes, Write};

/// How long after it asked, a home that was confirmed may be certain that nobody has taken its place
/// without its knowledge: a fraction of any detection time, by which the others would have to be
/// silent first.
const LEASE: Duration = Duration::from_millis(250);
/// How long what was found waits for the consumers that have it already to say so.
const SETTLING: Duration = Duration::from_millis(250);
/// After how long a write that was not taken is tried again.
const AGAIN: Duration = Duration::from_millis(20);

/// Who asked: a client, and its number for it.
pub(super) type Asked = (MemberId, u64);
/// A consumer: whose, and its number there.
pub(super) type Who = (MemberId, u64);

/// What a home wants done.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Out {
    /// Tell a client.
    Send(MemberId, ToClient),
    /// Ask the grid, as the primary that it is.
    Led(u64, Request),
}

/// A message.
struct Stored {
    value: Bytes,
    group: Option<Bytes>,
    block: Option<Group>,
    /// How often it was given, or may have been.
    tries: u32,
    /// How often, as it is written.
    recorded: u32,
    /// An earlier home may have given it, and this one has not yet.
    is_found: bool,
    has_delay: bool,
    due: Option<Moment>,
    ends: Option<Moment>,
    state: State,
}

/// Where a message is.
#[derive(Clone, PartialEq, Eq, Debug)]
enum State {
    /// Not with all owners yet.
    Unwritten,
    /// It waits: for its turn, for its delay, for a consumer.
    Waiting,
    /// It will be given once that is written.
    Recording(Who),
    /// Given, until then.
    Out(Who, Moment),
    /// A journal has not taken it: it goes, and who has published it hears so then.
    Refused(Asked),
    /// Done, once that is written; who waits to hear so.
    Leaving(Vec<Asked>),
    /// A dead letter, once that is written.
    Burying,
}

/// What is due when.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
enum Timer {
    /// Its delay is over.
    Due,
    /// Its time to live is over.
    Ttl,
    /// Its consumer had it for too long.
    Visible,
}

/// Whether what is published must be in journals.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Journal {
    No,
    /// Every owner has one.
    Kept,
    /// An owner has none, since then.
    Lacking(Moment),
}

/// A consumer.
#[derive(Default)]
struct Eater {
    credits: usize,
    has: BTreeSet<Number>,
    is_hungry: bool,
}

/// The home of a queue, for one reign of its member over the queue's row.
pub(super) struct Home {
    space: Space,
    segments: u16,
    settings: Settings,
    rules: QueueRules,
    epoch: u64,
    salt: u32,
    last: u64,
    messages: HashMap<Number, Stored, FixedState>,
    /// Those that may be given now.
    ready: BTreeSet<Number>,
    /// Those of them that an earlier home may have given.
    found: BTreeSet<Number>,
    /// The messages of each group in order. Only the first may be given.
    groups: HashMap<Bytes, VecDeque<Number>, FixedState>,
    timers: BTreeSet<(Moment, Number, Timer)>,
    ids: Ids,
    fences: fences::Fences,
    dead: BTreeMap<Number, dead::Dead>,
    tasks: BTreeMap<u64, dead::Task>,
    consumers: BTreeMap<Who, Eater>,
    /// Consumers that may have one more, in turn.
    hungry: VecDeque<Who>,
    /// Publications that are not on their way yet.
    waiting: VecDeque<publish::Waiting>,
    block: Option<Block>,
    changes: HashMap<Bytes, Changes, FixedState>,
    dirty: VecDeque<Bytes>,
    writes: BTreeMap<u64, Write>,
    again: Vec<(Moment, Write)>,
    /// Those of which nobody knows whether they stand.
    failed: Vec<Write>,
    publishing: usize,
    numbers: u64,
    is_confirming: bool,
    /// All owners have said since it read the row that this member is the primary: before, what it
    /// found may be no more than its own.
    is_proven: bool,
    /// Answers that wait for that.
    unproven: Vec<(Asked, Answer)>,
    gives_until: Moment,
    settled_at: Moment,
    journal: Journal,
    is_over: bool,
    counts: Stats,
    outs: u64,
    unwritten: u64,
    out: VecDeque<Out>,
}

// === impl Home ===

impl Home {
    pub(super) fn new(
        space: Space,
        segments: u16,
        settings: Settings,
        rules: QueueRules,
        reign: Epoch,
        (salt, numbers): (u32, u64),
    ) -> Self {
        Self {
            space,
            segments,
            settings,
            rules,
            epoch: reign.counter,
            salt,
            last: 0,
            messages: HashMap::default(),
            ready: BTreeSet::new(),
            found: BTreeSet::new(),
            groups: HashMap::default(),
            timers: BTreeSet::new(),
            ids: Ids::default(),
            fences: fences::Fences::default(),
            dead: BTreeMap::new(),
            tasks: BTreeMap::new(),
            consumers: BTreeMap::new(),
            hungry: VecDeque::new(),
            waiting: VecDeque::new(),
            block: None,
            changes: HashMap::default(),
            dirty: VecDeque::new(),
            writes: BTreeMap::new(),
            again: Vec::new(),
            failed: Vec::new(),
            publishing: 0,
            numbers,
            is_confirming: false,
            is_proven: false,
            unproven: Vec::new(),
            gives_until: Moment::ZERO,
            settled_at: Moment::ZERO,
            journal: Journal::No,
            is_over: false,
            counts: Stats::default(),
            outs: 0,
            unwritten: 0,
            out: VecDeque::new(),
        }
    }

    /// What is published must be in the journals of all owners: none has said yet that it has one.
    pub(super) fn keep(&mut self) {
        self.journal = Journal::Lacking(Moment::MAX);
    }

    /// Whether every owner has a journal.
    pub(super) fn are_kept(&mut self, are_kept: bool, now: Moment) {
        self.journal = match self.journal {
            Journal::No => Journal::No,
            _ if are_kept => Journal::Kept,
            Journal::Lacking(since) => Journal::Lacking(since.min(now)),
            Journal::Kept => Journal::Lacking(now),
        };
    }

    /// The next thing to be done.
    pub(super) fn poll(&mut self) -> Option<Out> {
        self.out.pop_front()
    }

    /// Its writes have numbers up to this one.
    pub(super) fn numbers(&self) -> u64 {
        self.numbers
    }

    /// It does not know any more what stands: another home, of the same reign, must read it anew.
    pub(super) fn is_over(&self) -> bool {
        self.is_over && self.writes.is_empty()
    }

    /// Something is asked.
    pub(super) fn hear(&mut self, from: MemberId, said: ToHome, now: Moment) {
        match said {
            ToHome::Open(_) => {}
            ToHome::Publish { call, publication } => {
                self.publish((from, call), publication, None, now);
            }
            ToHome::PublishFenced { call, publication, by } => {
                self.publish((from, call), publication, Some(by), now);
            }
            ToHome::Consume { consumer, credits, held } => {
                self.come((from, consumer), credits, &held, now);
                self.answer((from, consumer), Answer::Consuming);
            }
            ToHome::Gone { consumer, untouched } => self.gone((from, consumer), &untouched, now),
            ToHome::End { call, ticket, ending, is_again } => {
                self.end((from, call), ticket, ending, is_again, now);
            }
            ToHome::Ask { call, question } => self.ask((from, call), question),
        }
        self.go_on(now);
    }

    fn ask(&mut self, asked: Asked, question: Question) {
        match question {
            Question::Stats => {
                let stats = Answer::Stats(Box::new(self.stats()));
                self.answer(asked, stats);
            }
            Question::Look(most) => {
                let letters = Answer::Dead(self.look(most));
                self.answer(asked, letters);
            }
            Question::Take(most) => self.take(asked, most),
            Question::Requeue(numbers) => self.requeue(asked, &numbers),
            Question::Drop(numbers) => self.drop_dead(asked, &numbers),
            // The station's.
            Question::Keep => self.answer(asked, Answer::NotKept),
        }
    }

    /// Only these members are there: what the others had comes again.
    pub(super) fn members(&mut self, is_member: impl Fn(MemberId) -> bool, now: Moment) {
        let left: Vec<Who> =
            self.consumers.keys().filter(|(member, _)| !is_member(*member)).copied().collect();
        for who in left {
            let Some(eater) = self.consumers.remove(&who) else { continue };
            for number in eater.has {
                self.come_back(number, Duration::ZERO, now);
            }
        }
        self.go_on(now);
    }

    /// Time has passed.
    pub(super) fn tick(&mut self, now: Moment) {
        self.ids.forget(now);
        while let Some((at, number, timer)) = self.timers.first().copied()
            && at <= now
        {
            self.timers.pop_first();
            self.over(number, timer, now);
        }
        self.go_on(now);
    }

    fn over(&mut self, number: Number, timer: Timer, now: Moment) {
        let Some(stored) = self.messages.get(&number) else { return };
        match (timer, &stored.state) {
            (Timer::Due, _) => self.offer(number, now),
            // One that is out may still be done; if it comes back its time is over then.
            (Timer::Ttl, State::Waiting) => self.expire(number, now),
            (Timer::Visible, State::Out(..)) => self.come_back(number, Duration::ZERO, now),
            (Timer::Ttl | Timer::Visible, _) => {}
        }
    }

    /// When something is due; none when nothing is.
    pub(super) fn next(&self) -> Option<Moment> {
        let waits = !self.found.is_empty() && !self.hungry.is_empty() && !self.is_confirming;
        let settles = waits.then_some(self.settled_at);
        let again = self.again.iter().map(|(at, _)| *at);
        let timer = self.timers.first().map(|(at, ..)| *at);
        again.chain(timer).chain(settles).min()
    }

    /// Gives and writes whatever can be.
    pub(super) fn go_on(&mut self, now: Moment) {
        if self.is_over {
            return;
        }
        self.feed(now);
        self.write(now);
    }

    /// Answers by what was found.
    fn answer_proven(&mut self, asked: Asked, answer: Answer, now: Moment) {
        if self.is_proven {
            return self.answer(asked, answer);
        }
        self.unproven.push((asked, answer));
        self.confirm(now);
    }

    fn answer(&mut self, (member, call): Asked, answer: Answer) {
        // Answers that follow on each other go together.
        if let Some(Out::Send(to, ToClient::Answers(answers))) = self.out.back_mut()
            && *to == member
        {
            return answers.push((call, answer));
        }
        self.out.push_back(Out::Send(member, ToClient::Answers(vec![(call, answer)])));
    }

    /// What is in it, and what was done.
    pub(super) fn stats(&self) -> Stats {
        let mut consumers: BTreeMap<MemberId, (u32, u64)> = BTreeMap::new();
        for ((member, _), eater) in &self.consumers {
            let (count, has) = consumers.entry(*member).or_default();
            (*count, *has) = (*count + 1, *has + eater.has.len() as u64);
        }
        let all = self.messages.len() as u64;
        Stats {
            ready: all.saturating_sub(self.outs + self.unwritten),
            out: self.outs,
            dead: self.dead.len() as u64,
            consumers: consumers.into_iter().map(|(id, (count, has))| (id, count, has)).collect(),
            ..self.counts.clone()
        }
    }

    /// Whom it owes an answer when it ends. A publication that was on its way may stand.
    pub(super) fn end_all(mut self) -> VecDeque<Out> {
        for asked in self.waits_for_journals() {
            self.answer(asked, Answer::Elsewhere);
        }
        let failed = std::mem::take(&mut self.failed);
        let writes = failed.into_iter().chain(std::mem::take(&mut self.writes).into_values());
        for write in writes {
            for (asked, number) in write.published() {
                self.answer(asked, Answer::Unknown);
                self.ids.failed(number).into_iter().for_each(|follower| {
                    self.answer(follower, Answer::Unknown);
                });
            }
        }
        // What is to be written again has not happened.
        let again = std::mem::take(&mut self.again).into_iter();
        for (asked, _) in again.flat_map(|(_, write)| write.published()) {
            self.answer(asked, Answer::Elsewhere);
        }
        for waiting in std::mem::take(&mut self.waiting) {
            self.answer(waiting.asked, Answer::Elsewhere);
        }
        let unproven = std::mem::take(&mut self.unproven).into_iter().map(|(asked, _)| asked);
        for asked in self.ids.followers().into_iter().chain(unproven) {
            self.answer(asked, Answer::Elsewhere);
        }
        for stored in std::mem::take(&mut self.messages).into_values() {
            match stored.state {
                // Its group is being removed, and nobody knows whether that stands.
                State::Refused(asked) => self.answer(asked, Answer::Unknown),
                State::Leaving(calls) => {
                    calls.into_iter().for_each(|asked| self.answer(asked, Answer::Elsewhere));
                }
                _ => {}
            }
        }
        for asked in std::mem::take(&mut self.consumers).into_keys() {
            self.answer(asked, Answer::Elsewhere);
        }
        for task in std::mem::take(&mut self.tasks).into_values() {
            self.answer(task.asked, Answer::Unknown);
        }
        self.out
    }
}
