//! A world for stories of queues: some members, a row that all of them read, and who leads it.

mod fences;
mod journals;
mod stories;

use super::*;
use crate::batch::{Reply, Request, Rev};
use crate::segment::{Group, Space};
use crate::store::{Effect, Store};
use muster_cluster::{Copies, Electorate, Epoch, Member, Moment, NodeId, Row, View};
use std::collections::VecDeque;

const SPACE: Space = Space { table: 0, cache: 9 };
const FAR: Moment = Moment::from_secs(1_000);

fn node(at: usize) -> NodeId {
    NodeId(at as u128 + 1)
}

fn first(at: usize) -> MemberId {
    MemberId { node: node(at), incarnation: 1 }
}

fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

/// A delivery: to whom, which, and its body.
type Delivery = (usize, u64, Ticket, String);

struct Members {
    stations: Vec<Option<Station>>,
    /// The life that each is in.
    lives: Vec<u64>,
    settings: Settings,
    row: Store,
    counter: u64,
    /// Since which view the row is led by the same member.
    reign: u64,
    seq: u64,
    lead: usize,
    now: Moment,
    /// Writes wait as long as this is set.
    holds: bool,
    /// Frames are lost as long as this is set.
    loses: bool,
    /// Who owns the row beside the one that leads it.
    backup: Option<usize>,
    /// The journal of an owner takes nothing as long as this is set.
    is_broken: bool,
    held: VecDeque<(usize, u64, Epoch, Request)>,
    confirms: usize,
    done: Vec<(usize, u64, Answer)>,
    given: VecDeque<Delivery>,
}

impl Members {
    fn new(count: usize) -> Self {
        Self::of(count, |_| {})
    }

    fn of(count: usize, with: impl FnOnce(&mut Settings)) -> Self {
        let mut settings = Settings {
            name: "/q".to_owned(),
            most: 100,
            visibility: ms(10_000),
            most_tries: 3,
            dedup_window: ms(60_000),
        };
        with(&mut settings);
        let station =
            |at| Some(Station::new(first(at), SPACE, settings.clone(), QueueRules::default()));
        let mut members = Self {
            stations: (0..count).map(station).collect(),
            lives: vec![1; count],
            settings: settings.clone(),
            row: Store::default(),
            counter: 0,
            reign: 0,
            seq: 0,
            lead: 0,
            now: ms(1_000),
            holds: false,
            loses: false,
            backup: None,
            is_broken: false,
            held: VecDeque::new(),
            confirms: 0,
            done: Vec::new(),
            given: VecDeque::new(),
        };
        members.lead(0);
        members
    }

    fn epoch(&self, counter: u64) -> Epoch {
        Epoch { counter, join: 1, by: first(0) }
    }

    fn member(&self, at: usize) -> MemberId {
        MemberId { node: node(at), incarnation: self.lives[at] }
    }

    fn view(&self) -> View {
        let there = (0..self.stations.len()).filter(|at| self.stations[*at].is_some());
        let one = |at| Member {
            id: self.member(at),
            name: "".into(),
            address: "".into(),
            join: 1,
            weight: 100,
            leaving: false,
        };
        View {
            epoch: self.epoch(self.counter),
            members: there.map(one).collect(),
            next_join: 9,
            electorate: Electorate::default(),
            before: None,
            tables: vec![Copies::Some(1)],
            segments: 1,
            rows: vec![Row {
                owners: [self.lead].into_iter().chain(self.backup).map(node).collect(),
                ..Row::default()
            }],
            merged: false,
        }
    }

    /// A new view, in which this member leads the row.
    fn lead(&mut self, lead: usize) {
        self.counter += 1;
        if lead != self.lead || self.reign == 0 {
            self.held.clear();
            (self.lead, self.reign) = (lead, self.counter);
        }
        let view = self.view();
        for at in 0..self.stations.len() {
            let reign = (at == lead).then_some(self.epoch(self.reign));
            let (me, now, salt) = (self.member(at), self.now, self.counter as u32);
            self.with(at, |station| station.view(me, Some(&view), reign, salt, now));
        }
    }

    fn kill(&mut self, at: usize, lead: usize) {
        self.stations[at] = None;
        self.lead(lead);
    }

    /// A process begins anew at its place.
    fn restart(&mut self, at: usize) {
        self.lives[at] += 1;
        let (me, settings) = (self.member(at), self.settings.clone());
        self.stations[at] = Some(Station::new(me, SPACE, settings, QueueRules::default()));
        self.lead(self.lead);
    }

    /// A process that was dropped wrongly lives on as another life.
    fn renew(&mut self, at: usize) {
        self.lives[at] += 1;
        self.lead(self.lead);
    }

    fn with<R: Default>(&mut self, at: usize, f: impl FnOnce(&mut Station) -> R) -> R {
        let Some(station) = &mut self.stations[at] else { return R::default() };
        let result = f(station);
        self.perform(at);
        result
    }

    fn perform(&mut self, at: usize) {
        while let Some(act) = self.stations[at].as_mut().and_then(Station::poll) {
            let now = self.now;
            match act {
                Act::Send { .. } if self.loses => {}
                Act::Send { from, to, frame } => {
                    let [from, life] = [from, to].map(|id| id.incarnation);
                    let address = Address { cache: SPACE.cache, from, to: life };
                    let mut bytes = Vec::new();
                    frame.encode(address, &mut bytes);
                    let (read, frame) = Frame::decode(&bytes).unwrap();
                    assert_eq!(read, address);
                    // A link leads to whoever is at that place.
                    let to = (0..self.stations.len()).find(|at| node(*at) == to.node).unwrap();
                    let from = MemberId { node: node(at), incarnation: from };
                    self.with(to, |station| station.frame(from, life, frame, now));
                }
                Act::Led { id, reign, request } => {
                    self.held.push_back((at, id, reign, request));
                    self.let_go();
                }
                Act::Read { reading, .. } => {
                    let all = self.row.whole_in_memory(0, now).collect();
                    self.with(at, |station| station.read(reading, Some((all, None)), None, now));
                }
                Act::Done { call, answer } => self.done.push((at, call, answer)),
                Act::Given { consumer, ticket, value } => {
                    let message = Message::read(value).unwrap();
                    let body = String::from_utf8(message.body().to_vec()).unwrap();
                    self.given.push_back((at, consumer, ticket, body));
                }
            }
        }
    }

    fn let_go(&mut self) {
        while !self.holds
            && let Some((at, id, reign, request)) = self.held.pop_front()
        {
            let is_led = reign == self.epoch(self.reign) && at == self.lead;
            let reply = if is_led { self.apply(request) } else { Reply::Unavailable };
            let now = self.now;
            self.with(at, |station| station.written(id, &reply, now));
        }
    }

    fn apply(&mut self, request: Request) -> Reply {
        let Request::Write(batch) = request else {
            self.confirms += 1;
            return Reply::Entries(crate::batch::Entries::default());
        };
        self.seq += 1;
        let rev = Rev { epoch: self.counter, seq: self.seq };
        let puts = batch.ops.into_iter().map(|op| (op.key, op.put)).collect();
        let effect = Effect { group: batch.group, rev, token: 0, is_expiry: false, puts };
        self.row.apply(&effect, self.now);
        if self.is_broken { Reply::Unkept(rev) } else { Reply::Written(rev) }
    }

    /// Time passes: what is over in the row goes, and the stations hear of it.
    fn pass(&mut self, time: Duration) {
        let ends = self.now + time;
        while self.now < ends {
            self.now += ms(10).min(ends - self.now);
            let now = self.now;
            let due: Vec<Group> = self.row.due(0, now).collect();
            for group in due {
                self.seq += 1;
                let rev = Rev { epoch: self.counter, seq: self.seq };
                let puts =
                    self.row.expired(&group, now).into_iter().map(|key| (key, None)).collect();
                self.row.apply(&Effect { group, rev, token: 0, is_expiry: true, puts }, now);
            }
            for at in 0..self.stations.len() {
                self.with(at, |station| station.tick(now));
            }
        }
    }

    fn publish_as(&mut self, at: usize, publication: Publication) -> u64 {
        let now = self.now;
        self.with(at, |station| station.publish(publication, FAR, now))
    }

    fn publish(&mut self, at: usize, body: &str) -> u64 {
        self.publish_as(at, message(None, body))
    }

    fn publish_by(&mut self, at: usize, body: &str, token: u128) -> Option<Answer> {
        let (now, by) = (self.now, FencedBy { name: b"daemon".into(), token });
        let publication = message(None, body);
        let call = self.with(at, |station| station.publish_by(publication, Some(by), FAR, now));
        self.answer(at, call)
    }

    /// A member gets a journal.
    fn keep(&mut self, at: usize) {
        let now = self.now;
        self.with(at, |station| station.keep(now));
    }

    /// What its earlier process left is given back.
    fn restored(&mut self, at: usize) {
        let now = self.now;
        self.with(at, |station| station.restored(now));
    }

    fn consume(&mut self, at: usize, credits: u32) -> u64 {
        let now = self.now;
        self.with(at, |station| station.consume(credits, now))
    }

    fn end(&mut self, (at, consumer, ticket, _): &Delivery, ending: Ending) -> u64 {
        let now = self.now;
        self.with(*at, |station| station.end(*consumer, *ticket, ending, FAR, now))
    }

    fn answer(&mut self, at: usize, call: u64) -> Option<Answer> {
        let of = self.done.iter().position(|(of, number, _)| (*of, *number) == (at, call))?;
        Some(self.done.swap_remove(of).2)
    }

    fn next(&mut self) -> Delivery {
        self.given.pop_front().expect("nothing was given")
    }

    /// Body and try of what comes next.
    fn comes(&mut self) -> Option<(String, u32)> {
        self.given.pop_front().map(|(_, _, ticket, body)| (body, ticket.tries))
    }

    fn ask(&mut self, at: usize, question: Question) -> Answer {
        let now = self.now;
        let call = self.with(at, |station| station.ask(question, FAR, now));
        self.answer(at, call).expect("no answer")
    }

    fn stats(&mut self, at: usize) -> (u64, u64, u64) {
        match self.ask(at, Question::Stats) {
            Answer::Stats(stats) => (stats.ready, stats.out, stats.dead),
            other => panic!("{other:?}"),
        }
    }
}

fn message(group: Option<&str>, body: &str) -> Publication {
    let value = Message::new(group, body.as_bytes()).value().clone();
    Publication { value, dedup: None, delay: None, ttl: None }
}

fn came(body: &str, tries: u32) -> Option<(String, u32)> {
    Some((body.to_owned(), tries))
}
