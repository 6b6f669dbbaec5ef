//! The other side of a queue at each member: what is asked finds the home, and finds the next one
//! when that is lost.

use super::frame::{ToClient, ToHome};
use super::{Answer, Ending, FencedBy, Publication, Question, Settings, Ticket, UNKEPT};
use crate::segment::Bytes;
use muster_cluster::{MemberId, Moment};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

/// After how long something that did not happen is tried again.
const AGAIN: Duration = Duration::from_millis(20);
/// After how long something unanswered is asked once more, where that is harmless.
const RESEND: Duration = Duration::from_millis(1_000);
/// After how long a consumer that the home knows is told to it once more: that it forgot it may have been
/// said in a frame that was lost with its link.
const REASSURE: Duration = Duration::from_millis(5_000);
/// How often calls are looked at.
const LOOK: Duration = Duration::from_millis(100);

/// What a client wants done.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Out {
    /// Tell the home.
    Send(MemberId, ToHome),
    /// A call is done.
    Done(u64, Answer),
    /// A consumer has got something.
    Given(u64, Ticket, Bytes),
}

#[derive(Clone)]
enum What {
    Publish(Publication, Option<FencedBy>),
    End(u64, Ticket, Ending),
    Ask(Question),
}

/// What the home knows of this member's journal.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Keeping {
    /// There is none.
    No,
    /// It was told by this call; publications wait.
    Telling(u64),
    /// It knows.
    Known,
    /// The home has none itself. It is told again then.
    Refused(Moment),
}

/// A call under way.
struct Call {
    what: What,
    deadline: Moment,
    /// Where it is, if it is anywhere.
    sent: Option<MemberId>,
    at: Moment,
    is_again: bool,
}

/// A consumer of this member.
struct Eater {
    credits: u32,
    /// The home that it was told to, and whether that has answered.
    with: Option<(MemberId, bool)>,
    at: Moment,
    /// What it has and has not ended.
    held: BTreeSet<Ticket>,
}

/// The client of a queue.
pub(super) struct Client {
    settings: Settings,
    home: Option<MemberId>,
    /// The home that knows what the queue is.
    opened: Option<MemberId>,
    keeping: Keeping,
    /// Since when this home has no journal.
    refused: Option<Moment>,
    calls: BTreeMap<u64, Call>,
    consumers: BTreeMap<u64, Eater>,
    last: u64,
    look_at: Moment,
    out: VecDeque<Out>,
}

// === impl Client ===

impl Client {
    pub(super) fn new(settings: Settings) -> Self {
        Self {
            settings,
            home: None,
            opened: None,
            keeping: Keeping::No,
            refused: None,
            calls: BTreeMap::new(),
            consumers: BTreeMap::new(),
            last: 0,
            look_at: Moment::ZERO,
            out: VecDeque::new(),
        }
    }

    pub(super) fn poll(&mut self) -> Option<Out> {
        self.out.pop_front()
    }

    /// This member has a journal: every home is told so before anything is published.
    pub(super) fn keep(&mut self, now: Moment) {
        if let Keeping::Telling(call) = self.keeping {
            self.calls.remove(&call);
        }
        let call = self.call(What::Ask(Question::Keep), Moment::MAX, now);
        self.keeping = Keeping::Telling(call);
    }

    /// What the home says to that.
    fn kept(&mut self, answer: &Answer, now: Moment) {
        (self.keeping, self.refused) = match answer {
            Answer::NotKept => {
                let since = self.refused.unwrap_or(now);
                (Keeping::Refused(now.saturating_add(LOOK)), Some(since))
            }
            _ => (Keeping::Known, None),
        };
        self.look_soon(now);
        let waits = |call: &Call| call.sent.is_none() && matches!(call.what, What::Publish(..));
        let waiting: Vec<u64> =
            self.calls.iter().filter(|(_, call)| waits(call)).map(|(number, _)| *number).collect();
        for number in waiting {
            self.send_call(number, now);
        }
    }

    pub(super) fn publish(
        &mut self,
        publication: Publication,
        by: Option<FencedBy>,
        deadline: Moment,
        now: Moment,
    ) -> u64 {
        self.call(What::Publish(publication, by), deadline, now)
    }

    pub(super) fn ask(&mut self, question: Question, deadline: Moment, now: Moment) -> u64 {
        self.call(What::Ask(question), deadline, now)
    }

    pub(super) fn end(
        &mut self,
        consumer: u64,
        ticket: Ticket,
        ending: Ending,
        deadline: Moment,
        now: Moment,
    ) -> u64 {
        self.call(What::End(consumer, ticket, ending), deadline, now)
    }

    fn call(&mut self, what: What, deadline: Moment, now: Moment) -> u64 {
        self.last += 1;
        let call = Call { what, deadline, sent: None, at: now, is_again: false };
        self.calls.insert(self.last, call);
        self.send_call(self.last, now);
        self.look_soon(now);
        self.last
    }

    pub(super) fn consume(&mut self, credits: u32, now: Moment) -> u64 {
        self.last += 1;
        let eater = Eater { credits, with: None, at: now, held: BTreeSet::new() };
        self.consumers.insert(self.last, eater);
        self.send_consumer(self.last, now);
        self.look_soon(now);
        self.last
    }

    /// A consumer is gone; these it was given and nobody has seen.
    pub(super) fn gone(&mut self, consumer: u64, untouched: Vec<Ticket>) {
        let Some(eater) = self.consumers.remove(&consumer) else { return };
        if let Some((home, _)) = eater.with {
            self.out.push_back(Out::Send(home, ToHome::Gone { consumer, untouched }));
        }
    }

    /// Nobody will end this delivery.
    pub(super) fn dropped(&mut self, consumer: u64, ticket: Ticket) {
        if let Some(eater) = self.consumers.get_mut(&consumer) {
            eater.held.remove(&ticket);
        }
    }

    /// This process lives on as another life: nobody knows any more what the one before asked for.
    pub(super) fn reborn(&mut self, now: Moment) {
        (self.home, self.opened) = (None, None);
        for eater in self.consumers.values_mut() {
            (eater.with, eater.at) = (None, now);
        }
        for number in self.calls.keys().copied().collect::<Vec<_>>() {
            self.lost(number, now);
        }
    }

    /// Where the home is now, and who is there.
    pub(super) fn view(
        &mut self,
        home: Option<MemberId>,
        is_member: impl Fn(MemberId) -> bool,
        now: Moment,
    ) {
        if self.home != home {
            (self.home, self.opened, self.refused) = (home, None, None);
            if self.keeping != Keeping::No {
                self.keep(now);
            }
        }
        for consumer in self.consumers.keys().copied().collect::<Vec<_>>() {
            self.send_consumer(consumer, now);
        }
        let is_lost = |call: &Call| call.sent.is_some_and(|to| !is_member(to));
        let waits = |call: &Call| call.sent.is_none() || is_lost(call);
        let calls: Vec<u64> =
            self.calls.iter().filter(|(_, call)| waits(call)).map(|(number, _)| *number).collect();
        for number in calls {
            self.lost(number, now);
        }
    }

    /// The home of a call is gone, or it had none.
    fn lost(&mut self, number: u64, now: Moment) {
        let Some(call) = self.calls.get_mut(&number) else { return };
        let was_sent = call.sent.take().is_some();
        match &call.what {
            // With an id it can be published once more without harm.
            What::Publish(publication, _) if was_sent && publication.dedup.is_none() => {
                return self.done(number, Answer::Unknown);
            }
            What::Ask(Question::Take(_)) if was_sent => return self.done(number, Answer::Unknown),
            _ => call.is_again |= was_sent,
        }
        self.send_call(number, now);
    }

    fn done(&mut self, number: u64, answer: Answer) {
        let Some(call) = self.calls.remove(&number) else { return };
        if let What::End(consumer, ticket, Ending::Done | Ending::Again(_)) = call.what {
            self.dropped(consumer, ticket);
        }
        self.out.push_back(Out::Done(number, answer));
    }

    fn open(&mut self, home: MemberId) {
        if self.opened != Some(home) {
            self.opened = Some(home);
            self.out.push_back(Out::Send(home, ToHome::Open(self.settings.clone())));
        }
    }

    fn send_call(&mut self, number: u64, now: Moment) {
        let Some(home) = self.home else { return };
        self.open(home);
        let Some(call) = self.calls.get_mut(&number) else { return };
        if matches!(call.what, What::Publish(..)) {
            match self.keeping {
                Keeping::No | Keeping::Known => {}
                Keeping::Telling(_) | Keeping::Refused(_) => {
                    call.at = now;
                    // It may have just come.
                    if self.refused.is_some_and(|since| now >= since.saturating_add(UNKEPT)) {
                        self.done(number, Answer::NotKept);
                    }
                    return;
                }
            }
        }
        (call.sent, call.at) = (Some(home), now);
        let said = match call.what.clone() {
            What::Publish(publication, None) => ToHome::Publish { call: number, publication },
            What::Publish(publication, Some(by)) => {
                ToHome::PublishFenced { call: number, publication, by }
            }
            What::End(_, ticket, ending) => {
                ToHome::End { call: number, ticket, ending, is_again: call.is_again }
            }
            What::Ask(question) => ToHome::Ask { call: number, question },
        };
        self.out.push_back(Out::Send(home, said));
    }

    /// Makes a consumer known to the home, if it is not.
    fn send_consumer(&mut self, consumer: u64, now: Moment) {
        let Some(home) = self.home else { return };
        let Some(eater) = self.consumers.get_mut(&consumer) else { return };
        if eater.with.is_some_and(|(with, _)| with == home) {
            return;
        }
        (eater.with, eater.at) = (Some((home, false)), now);
        let (credits, held) = (eater.credits, eater.held.iter().copied().collect());
        self.open(home);
        self.out.push_back(Out::Send(home, ToHome::Consume { consumer, credits, held }));
    }

    /// A home says something.
    pub(super) fn hear(&mut self, from: MemberId, said: ToClient, now: Moment) {
        match said {
            ToClient::Give { consumer, ticket, value } => self.given(from, consumer, ticket, value),
            ToClient::Answers(answers) => {
                for (number, answer) in answers {
                    self.answered(from, number, answer, now);
                }
            }
        }
    }

    fn given(&mut self, from: MemberId, consumer: u64, ticket: Ticket, value: Bytes) {
        match self.consumers.get_mut(&consumer) {
            Some(eater) if eater.with.is_some_and(|(with, _)| with == from) => {
                eater.held.insert(ticket);
                self.out.push_back(Out::Given(consumer, ticket, value));
            }
            // An earlier home's: the present one gives it again.
            Some(_) => {}
            None => {
                let untouched = vec![ticket];
                self.out.push_back(Out::Send(from, ToHome::Gone { consumer, untouched }));
            }
        }
    }

    fn answered(&mut self, from: MemberId, number: u64, answer: Answer, now: Moment) {
        if let Some(eater) = self.consumers.get_mut(&number) {
            if eater.with.is_some_and(|(with, _)| with == from) {
                let is_known = answer == Answer::Consuming;
                eater.with = is_known.then_some((from, true));
                eater.at = now;
                if !is_known {
                    self.opened = None;
                    self.look_at = self.look_at.min(now + AGAIN);
                }
            }
            return;
        }
        let Some(call) = self.calls.get_mut(&number).filter(|call| call.sent == Some(from)) else {
            return;
        };
        if self.keeping == Keeping::Telling(number) && answer != Answer::Elsewhere {
            self.calls.remove(&number);
            return self.kept(&answer, now);
        }
        let is_repeatable = match &call.what {
            What::Publish(publication, _) => publication.dedup.is_some(),
            What::End(..) => true,
            What::Ask(question) => !matches!(question, Question::Take(_)),
        };
        match answer {
            Answer::Elsewhere => {
                (call.sent, call.at) = (None, now);
                // A home that has ended may have been about to.
                call.is_again = true;
                self.opened = None;
                self.look_at = self.look_at.min(now + AGAIN);
            }
            Answer::Unknown if is_repeatable && now < call.deadline => {
                (call.sent, call.at, call.is_again) = (None, now, true);
                self.look_at = self.look_at.min(now + AGAIN);
            }
            answer => self.done(number, answer),
        }
    }

    /// It did not leave this member.
    pub(super) fn not_sent(&mut self, said: &ToHome, now: Moment) {
        self.opened = None;
        self.look_at = self.look_at.min(now + AGAIN);
        match said {
            ToHome::Publish { call, .. }
            | ToHome::PublishFenced { call, .. }
            | ToHome::End { call, .. }
            | ToHome::Ask { call, .. } => {
                if let Some(call) = self.calls.get_mut(call) {
                    (call.sent, call.at) = (None, now);
                }
            }
            ToHome::Consume { consumer, .. } => {
                if let Some(eater) = self.consumers.get_mut(consumer) {
                    (eater.with, eater.at) = (None, now);
                }
            }
            // A home that gives to who is gone is told once more.
            ToHome::Open(_) | ToHome::Gone { .. } => {}
        }
    }

    fn look_soon(&mut self, now: Moment) {
        if self.look_at < now {
            self.look_at = now + LOOK;
        }
    }

    /// Time has passed.
    pub(super) fn tick(&mut self, now: Moment) {
        if now < self.look_at {
            return;
        }
        self.look_at = now + LOOK;
        let consumers: Vec<u64> = self.consumers.keys().copied().collect();
        for number in consumers {
            let Some(eater) = self.consumers.get_mut(&number) else { continue };
            // A frame that was lost with its link is said again.
            if eater.due().is_some_and(|due| now >= due) {
                eater.with = None;
            }
            self.send_consumer(number, now);
        }
        if matches!(self.keeping, Keeping::Refused(until) if until <= now) {
            self.keep(now);
        }
        let due: Vec<u64> = (self.calls.iter())
            .filter(|(_, call)| now >= call.deadline || call.is_due(now))
            .map(|(number, _)| *number)
            .collect();
        for number in due {
            let Some(call) = self.calls.get_mut(&number) else { continue };
            if now >= call.deadline {
                let answer = call.at_the_end();
                self.done(number, answer);
            } else {
                call.is_again |= call.sent.is_some();
                self.send_call(number, now);
            }
        }
    }

    /// When something is due; none when nothing is under way.
    pub(super) fn next(&self) -> Option<Moment> {
        let is_known = |eater: &Eater| eater.with.is_some_and(|(_, is_known)| is_known);
        let is_refused = matches!(self.keeping, Keeping::Refused(_));
        let waits = is_refused || !self.calls.is_empty() || !self.consumers.values().all(is_known);
        let look = waits.then_some(self.look_at);
        let due = self.consumers.values().filter_map(Eater::due).min();
        // Nothing is looked at earlier.
        look.or(due.map(|due| due.max(self.look_at)))
    }
}

impl Eater {
    /// When it is told to its home once more, if that was told of it.
    fn due(&self) -> Option<Moment> {
        let (_, is_known) = self.with?;
        Some(self.at + if is_known { REASSURE } else { RESEND })
    }
}

impl Call {
    /// Whether it is to be sent, again where it is unanswered and that does no harm.
    fn is_due(&self, now: Moment) -> bool {
        match (&self.what, self.sent) {
            (_, None) => now >= self.at + AGAIN,
            (What::End(..), Some(_)) => now >= self.at + RESEND,
            (What::Ask(Question::Stats | Question::Look(_) | Question::Keep), Some(_)) => {
                now >= self.at + RESEND
            }
            (What::Publish(..) | What::Ask(_), Some(_)) => false,
        }
    }

    fn at_the_end(&self) -> Answer {
        match &self.what {
            What::Ask(Question::Stats | Question::Look(_)) => Answer::Unavailable,
            What::End(..) if self.sent.is_some() || self.is_again => Answer::Unknown,
            _ if self.sent.is_some() => Answer::Unknown,
            _ => Answer::Unavailable,
        }
    }
}
