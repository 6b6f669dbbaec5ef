//! One queue at one member: its client always, and its home while the member leads the queue's row.
//! Events and time in, actions out, as with [`crate::Core`], beside which a shell drives it.

mod journal;

use super::client::{self, Client};
use super::frame::{Frame, ToClient, ToHome};
use super::home::{self, Home};
use super::{Answer, Ending, FencedBy, Publication, Question, QueueRules, Settings, Stats, Ticket};
use crate::batch::{Reply, Request};
use crate::segment::{Bytes, Group, Place, Space};
use crate::store::WholeGroup;
use journal::Keepers;
use muster_cluster::{Epoch, MemberId, Moment, NodeId, View};
use std::collections::{BTreeSet, VecDeque};
use std::time::Duration;

/// After how long a page that could not be read is tried again.
const AGAIN: Duration = Duration::from_millis(20);

/// What the shell must do, in this order.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Act {
    /// Send, or say that it could not be sent: [`Station::not_sent`].
    Send {
        /// Which life of this member says it.
        from: MemberId,
        /// To whom; never to this member itself.
        to: MemberId,
        /// What.
        frame: Frame,
    },
    /// Ask the grid by [`crate::Event::Led`]; its answer goes to [`Station::written`].
    Led {
        /// Returned with the answer.
        id: u64,
        /// Since when this member leads the row.
        reign: Epoch,
        /// What.
        request: Request,
    },
    /// Read a page by [`crate::Grid::page_led`]: it goes to [`Station::read`].
    Read {
        /// Returned with the page.
        reading: u64,
        /// Since when this member leads the row.
        reign: Epoch,
        /// After which place.
        after: Option<Place>,
    },
    /// A call is done.
    Done {
        /// Which.
        call: u64,
        /// How.
        answer: Answer,
    },
    /// A consumer of this member has got something.
    Given {
        /// Which.
        consumer: u64,
        /// Names the delivery.
        ticket: Ticket,
        /// The message.
        value: Bytes,
    },
}

/// The row is being read.
struct Reading {
    number: u64,
    /// When and from where on a page is tried again.
    again: Option<(Moment, Option<Place>)>,
}

/// A reign of this member over the queue's row.
struct Reign {
    since: Epoch,
    home: Home,
    /// It is still being read.
    reading: Option<Reading>,
    /// Groups that came meanwhile from the other side of a split.
    merged: Vec<WholeGroup>,
}

/// One queue at one member.
pub struct Station {
    me: MemberId,
    /// Who is in the view.
    members: BTreeSet<MemberId>,
    /// The owners of the queue's row.
    owners: Vec<NodeId>,
    space: Space,
    settings: Settings,
    rules: QueueRules,
    client: Client,
    reign: Option<Reign>,
    /// This member's journal of the queue, if it has one.
    journal: Option<Keepers>,
    segments: u16,
    salt: u32,
    numbers: u64,
    out: VecDeque<Act>,
}

// === impl Station ===

impl Station {
    /// A queue at a member, before it knows of a view.
    #[must_use]
    pub fn new(me: MemberId, space: Space, settings: Settings, rules: QueueRules) -> Self {
        Self {
            me,
            members: BTreeSet::new(),
            owners: Vec::new(),
            space,
            client: Client::new(settings.clone()),
            settings,
            rules,
            reign: None,
            journal: None,
            segments: 1,
            salt: 0,
            numbers: 0,
            out: VecDeque::new(),
        }
    }

    /// Which life of its member it knows of.
    #[must_use]
    pub fn me(&self) -> MemberId {
        self.me
    }

    /// What the queue is.
    #[must_use]
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// Whether this member is the queue's home.
    #[must_use]
    pub fn is_home(&self) -> bool {
        self.reign.as_ref().is_some_and(|reign| reign.reading.is_none())
    }

    /// The home's numbers, where that is here.
    #[must_use]
    pub fn stats(&self) -> Option<Stats> {
        self.reign.as_ref().map(|reign| reign.home.stats())
    }

    /// The next thing to be done.
    pub fn poll(&mut self) -> Option<Act> {
        self.out.pop_front()
    }

    /// The view is this one, and this member leads the queue's row since that epoch, if it does
    /// ([`crate::Grid::reign`]). `salt` is a number by chance, another for each view.
    pub fn view(
        &mut self,
        me: MemberId,
        view: Option<&View>,
        reign: Option<Epoch>,
        salt: u32,
        now: Moment,
    ) {
        self.salt = salt;
        self.members =
            view.into_iter().flat_map(|view| view.members.iter().map(|of| of.id)).collect();
        let is_reborn = self.me != me;
        if self.reign.as_ref().map(|reign| reign.since) != reign || is_reborn {
            self.end_reign(now);
            self.me = me;
            self.segments = view.map_or(1, |view| view.segments);
            if let Some(since) = reign {
                self.begin_reign(since);
            }
        }
        let row = view.map(|view| Group::new(self.space, b"").row(view));
        let home = view.zip(row).and_then(|(view, row)| view.primary(row));
        let members = &self.members;
        let kept = view.zip(row).and_then(|(view, row)| view.rows.get(usize::from(row)));
        self.owners = kept.map(|row| row.owners.clone()).unwrap_or_default();
        if let Some(journal) = &mut self.journal {
            journal.told.retain(|id| members.contains(id));
        }
        self.are_kept(now);
        let members = &self.members;
        if let Some(reign) = &mut self.reign {
            reign.home.members(|id| members.contains(&id), now);
        }
        if is_reborn {
            self.client.reborn(now);
        }
        self.client.view(home, |id| members.contains(&id), now);
        self.settle(now);
    }

    fn begin_reign(&mut self, since: Epoch) {
        self.numbers += 1;
        // A home of the same reign must not number its messages as the one before did.
        self.salt = self.salt.wrapping_add(1);
        let reading = self.numbers;
        let with = (self.salt, self.numbers);
        let mut home =
            Home::new(self.space, self.segments, self.settings.clone(), self.rules, since, with);
        if self.journal.is_some() {
            home.keep();
        }
        let is_read = Some(Reading { number: reading, again: None });
        self.reign = Some(Reign { since, home, reading: is_read, merged: Vec::new() });
        if self.journal.as_ref().is_none_or(|journal| journal.is_restored) {
            self.out.push_back(Act::Read { reading, reign: since, after: None });
        }
    }

    fn end_reign(&mut self, now: Moment) {
        let Some(reign) = self.reign.take() else { return };
        self.numbers = reign.home.numbers();
        for out in reign.home.end_all() {
            if let home::Out::Send(to, said) = out {
                self.tell(to, said, now);
            }
        }
    }

    /// Another home takes the place of one that is over, in the same reign.
    fn begin_anew(&mut self, now: Moment) {
        let Some(since) = self.reign.as_ref().map(|reign| reign.since) else { return };
        self.end_reign(now);
        self.begin_reign(since);
        self.are_kept(now);
    }

    /// A life of another member said something to a life of this one.
    pub fn frame(&mut self, from: MemberId, to: u64, frame: Frame, now: Moment) {
        let is_mine = to == self.me.incarnation;
        match frame {
            Frame::Home(said) if is_mine && self.members.contains(&from) => {
                self.asked(from, said, now);
            }
            // It has not happened here. One of the two does not know yet who is there.
            Frame::Home(said) => self.decline(from, &said, now),
            Frame::Client(said) if is_mine => self.client.hear(from, said, now),
            // An earlier process at this place has asked for it.
            Frame::Client(_) => {}
        }
        self.settle(now);
    }

    /// Something is asked of the home.
    fn asked(&mut self, from: MemberId, said: ToHome, now: Moment) {
        if let ToHome::Ask { call, question: Question::Keep } = said
            && self.reign.is_some()
        {
            return self.keeps(from, call, now);
        }
        match self.reign.as_mut().filter(|reign| reign.reading.is_none()) {
            Some(reign) => reign.home.hear(from, said, now),
            None => self.decline(from, &said, now),
        }
    }

    fn decline(&mut self, from: MemberId, said: &ToHome, now: Moment) {
        let number = match said {
            ToHome::Open(_) | ToHome::Gone { .. } => return,
            ToHome::Consume { consumer, .. } => *consumer,
            ToHome::Publish { call, .. }
            | ToHome::PublishFenced { call, .. }
            | ToHome::End { call, .. }
            | ToHome::Ask { call, .. } => *call,
        };
        self.tell(from, ToClient::Answers(vec![(number, Answer::Elsewhere)]), now);
    }

    fn tell(&mut self, to: MemberId, said: ToClient, now: Moment) {
        if to == self.me {
            self.client.hear(to, said, now);
        } else {
            self.out.push_back(Act::Send { from: self.me, to, frame: Frame::Client(said) });
        }
    }

    /// It did not leave this member.
    pub fn not_sent(&mut self, frame: Frame, to: MemberId, now: Moment) {
        match frame {
            Frame::Home(said) => self.client.not_sent(&said, now),
            Frame::Client(ToClient::Give { consumer, ticket, .. }) => {
                if let Some(reign) = &mut self.reign {
                    reign.home.not_given((to, consumer), ticket, now);
                }
            }
            // Whoever waits for them asks once more, or gives up.
            Frame::Client(ToClient::Answers(_)) => {}
        }
        self.settle(now);
    }

    /// A page of what is in the row; after the place that comes with it there is more. None: it could
    /// not be read.
    pub fn read(
        &mut self,
        reading: u64,
        page: Option<(Vec<WholeGroup>, Option<Place>)>,
        after: Option<Place>,
        now: Moment,
    ) {
        let Some(reign) = &mut self.reign else { return };
        let Some(is_read) = reign.reading.as_mut().filter(|of| of.number == reading) else {
            return;
        };
        let Some((groups, next)) = page else {
            is_read.again = Some((now + AGAIN, after));
            return;
        };
        for group in groups {
            reign.home.find(group, now);
        }
        if next.is_some() {
            let reign = reign.since;
            self.out.push_back(Act::Read { reading, reign, after: next });
            return;
        }
        reign.reading = None;
        for group in std::mem::take(&mut reign.merged) {
            reign.home.find(group, now);
        }
        reign.home.settle(now);
        self.settle(now);
    }

    /// A group of the other side of a split was taken into the row.
    pub fn merged(&mut self, group: WholeGroup, now: Moment) {
        let Some(reign) = &mut self.reign else { return };
        if reign.reading.is_some() {
            reign.merged.push(group);
        } else {
            reign.home.merge(group, now);
        }
        self.settle(now);
    }

    /// The grid's answer.
    pub fn written(&mut self, id: u64, reply: &Reply, now: Moment) {
        if let Some(reign) = &mut self.reign {
            reign.home.written(id, reply, now);
        }
        self.settle(now);
    }

    /// Publishes; the call's number.
    pub fn publish(&mut self, publication: Publication, deadline: Moment, now: Moment) -> u64 {
        self.publish_by(publication, None, deadline, now)
    }

    /// The same under a lease: `Fenced` where the queue has seen a greater token of it.
    pub fn publish_by(
        &mut self,
        publication: Publication,
        by: Option<FencedBy>,
        deadline: Moment,
        now: Moment,
    ) -> u64 {
        let call = self.client.publish(publication, by, deadline, now);
        self.settle(now);
        call
    }

    /// Asks; the call's number.
    pub fn ask(&mut self, question: Question, deadline: Moment, now: Moment) -> u64 {
        let call = self.client.ask(question, deadline, now);
        self.settle(now);
        call
    }

    /// A consumer with so many credits; its number.
    pub fn consume(&mut self, credits: u32, now: Moment) -> u64 {
        let consumer = self.client.consume(credits, now);
        self.settle(now);
        consumer
    }

    /// A consumer is gone. Nobody has seen these deliveries: they come as if they had not been
    /// given.
    pub fn gone(&mut self, consumer: u64, untouched: Vec<Ticket>, now: Moment) {
        self.client.gone(consumer, untouched);
        self.settle(now);
    }

    /// Nobody will end this delivery: it comes again when its time is over.
    pub fn dropped(&mut self, consumer: u64, ticket: Ticket) {
        self.client.dropped(consumer, ticket);
    }

    /// Ends a delivery; the call's number.
    pub fn end(
        &mut self,
        consumer: u64,
        ticket: Ticket,
        ending: Ending,
        deadline: Moment,
        now: Moment,
    ) -> u64 {
        let call = self.client.end(consumer, ticket, ending, deadline, now);
        self.settle(now);
        call
    }

    /// Time has passed.
    pub fn tick(&mut self, now: Moment) {
        self.client.tick(now);
        if let Some(reign) = &mut self.reign {
            match &mut reign.reading {
                None => reign.home.tick(now),
                Some(reading) => {
                    if let Some((_, after)) = reading.again.take_if(|(at, _)| *at <= now) {
                        let (reading, reign) = (reading.number, reign.since);
                        self.out.push_back(Act::Read { reading, reign, after });
                    }
                }
            }
        }
        self.settle(now);
    }

    /// When something is due; none when nothing is.
    #[must_use]
    pub fn next(&self) -> Option<Moment> {
        let home = self.reign.as_ref().and_then(|reign| match &reign.reading {
            None => reign.home.next(),
            Some(reading) => reading.again.as_ref().map(|(at, _)| *at),
        });
        home.into_iter().chain(self.client.next()).min()
    }

    /// Carries each half's words to the other, until both are silent.
    fn settle(&mut self, now: Moment) {
        loop {
            if let Some(out) = self.client.poll() {
                self.client_says(out, now);
            } else if let Some(out) = self.reign.as_mut().and_then(|reign| reign.home.poll()) {
                self.home_says(out, now);
            } else if self.reign.as_ref().is_some_and(|reign| reign.home.is_over()) {
                self.begin_anew(now);
            } else {
                return;
            }
        }
    }

    fn client_says(&mut self, out: client::Out, now: Moment) {
        match out {
            client::Out::Send(to, said) if to == self.me => self.asked(to, said, now),
            client::Out::Send(to, said) => {
                self.out.push_back(Act::Send { from: self.me, to, frame: Frame::Home(said) });
            }
            client::Out::Done(call, answer) => self.out.push_back(Act::Done { call, answer }),
            client::Out::Given(consumer, ticket, value) => {
                self.out.push_back(Act::Given { consumer, ticket, value });
            }
        }
    }

    fn home_says(&mut self, out: home::Out, now: Moment) {
        match out {
            home::Out::Send(to, said) => self.tell(to, said, now),
            home::Out::Led(id, request) => {
                if let Some(reign) = &self.reign {
                    self.out.push_back(Act::Led { id, reign: reign.since, request });
                }
            }
        }
    }
}
