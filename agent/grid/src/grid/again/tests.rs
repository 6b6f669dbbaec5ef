//! Two members with one row, and a link between them that loses what a story wants to be lost.

use crate::batch::{Batch, Expect, Fence, Op, Put, Reply, Request, Rev};
use crate::grid::{Grid, Limits, Out};
use crate::message::Message;
use crate::rules::Rules;
use crate::segment::{Group, Space};
use muster_cluster::{Copies, Electorate, Epoch, Member, MemberId, Moment, NodeId, Row, View};
use std::sync::Arc;
use std::time::Duration;

const ASKER: MemberId = MemberId { node: NodeId(1), incarnation: 1 };
const PRIMARY: MemberId = MemberId { node: NodeId(2), incarnation: 1 };
const OTHER: MemberId = MemberId { node: NodeId(3), incarnation: 1 };

/// A view in which the second node alone keeps the only row.
fn view(counter: u64, members: &[MemberId]) -> Arc<View> {
    let member = |id: &MemberId| Member {
        id: *id,
        name: format!("{id}").into(),
        address: "".into(),
        join: 1,
        weight: 100,
        leaving: false,
    };
    Arc::new(View {
        epoch: Epoch { counter, join: 1, by: PRIMARY },
        members: members.iter().map(member).collect(),
        next_join: 9,
        electorate: Electorate::default(),
        before: None,
        tables: vec![Copies::Some(1)],
        segments: 1,
        rows: vec![Row { owners: vec![PRIMARY.node], ..Row::default() }],
        merged: false,
    })
}

/// An asker and a primary.
struct Two {
    asker: Grid,
    primary: Grid,
    now: Moment,
}

impl Two {
    fn new() -> Self {
        let mut two = Self::apart();
        for grid in [&mut two.asker, &mut two.primary] {
            grid.install(&view(3, &[ASKER, PRIMARY, OTHER]), two.now);
        }
        two.words();
        two
    }

    /// Before they have a view.
    fn apart() -> Self {
        let grid = |id| Grid::new(id, Limits::default(), Rules::default(), Epoch::default());
        let mut two =
            Self { asker: grid(ASKER), primary: grid(PRIMARY), now: Moment::from_secs(1) };
        two.asker.quorate(true, two.now);
        two.primary.quorate(true, two.now);
        two
    }

    fn ask(&mut self, id: u64, request: Request) {
        let deadline = self.now + Duration::from_secs(10);
        self.asker.request(id, request, deadline, self.now);
    }

    /// What the asker and the primary say now: to each other, and of requests.
    fn words(&mut self) -> (Vec<Message>, Vec<Message>, Vec<(u64, Reply)>) {
        let (mut there, mut back, mut replies) = (Vec::new(), Vec::new(), Vec::new());
        for (grid, said) in [(&mut self.asker, &mut there), (&mut self.primary, &mut back)] {
            while let Some(out) = grid.poll() {
                match out {
                    Out::Send { message, .. } => said.push(message),
                    Out::Reply { id, reply } => replies.push((id, reply)),
                    _ => {}
                }
            }
        }
        (there, back, replies)
    }

    /// Carries everything there and back until both are silent.
    fn carry(&mut self) -> Vec<(u64, Reply)> {
        let mut all = Vec::new();
        loop {
            let (there, back, replies) = self.words();
            all.extend(replies);
            if there.is_empty() && back.is_empty() {
                return all;
            }
            there.into_iter().for_each(|message| self.primary.message(ASKER, message, self.now));
            back.into_iter().for_each(|message| self.asker.message(PRIMARY, message, self.now));
        }
    }

    /// What the asker says reaches the primary; what that one answers is lost.
    fn lose_answers(&mut self) -> usize {
        let (there, ..) = self.words();
        there.into_iter().for_each(|message| self.primary.message(ASKER, message, self.now));
        self.words().1.len()
    }

    fn link_anew(&mut self) -> Vec<(u64, Reply)> {
        self.asker.linked(PRIMARY.node);
        self.primary.linked(ASKER.node);
        self.carry()
    }

    fn pass(&mut self, ms: u64) {
        self.now += Duration::from_millis(ms);
        self.asker.tick(self.now);
        self.primary.tick(self.now);
    }

    fn writes(&self) -> u64 {
        self.primary.stats().writes
    }
}

fn group() -> Group {
    Group::new(Space { table: 0, cache: 1 }, b"g")
}

fn write() -> Request {
    let op = Op { key: b"k".into(), expect: Expect::Any, put: Some(Put::new(b"v")) };
    Request::Write(Batch::new(group(), vec![op]))
}

fn checkout(wait: u64) -> Request {
    let (hold, wait) = (Duration::from_secs(300), Duration::from_millis(wait));
    Request::Checkout { group: group(), hold, confirm: false, wait }
}

/// The fence of the only reply.
fn fence(replies: &[(u64, Reply)]) -> Fence {
    match replies {
        [(_, Reply::Checkout { fence, .. })] => *fence,
        other => unreachable!("a checkout: {other:?}"),
    }
}

#[test]
fn what_was_lost_on_its_way_is_asked_again_with_the_next_link() {
    let mut two = Two::new();
    two.ask(1, write());
    two.words();
    two.pass(900);
    assert_eq!(two.carry(), []);
    let replies = two.link_anew();
    assert!(matches!(replies[..], [(1, Reply::Written(_))]), "{replies:?}");
    assert_eq!(two.writes(), 1);
}

#[test]
fn a_write_whose_answer_was_lost_is_not_done_twice_and_its_asker_learns_that_nobody_knows() {
    let mut two = Two::new();
    two.ask(1, write());
    assert_eq!(two.lose_answers(), 1);
    assert_eq!(two.link_anew(), [(1, Reply::Unknown)]);
    assert_eq!(two.writes(), 1);
    // What changes nothing is simply done again.
    two.ask(2, Request::Get(group()));
    assert_eq!(two.lose_answers(), 1);
    assert_eq!(two.link_anew(), []);
    two.pass(20);
    let replies = two.carry();
    assert!(matches!(&replies[..], [(2, Reply::Entries(_))]), "{replies:?}");
}

#[test]
fn a_checkout_whose_answer_was_lost_is_given_again_and_is_the_same() {
    let mut two = Two::new();
    two.ask(1, checkout(0));
    assert_eq!(two.lose_answers(), 1);
    let given = fence(&two.link_anew());
    two.ask(2, Request::Release(group(), given));
    assert_eq!(two.carry(), [(2, Reply::Released)]);
    // It is over: whoever asks for it again gets another.
    two.ask(3, checkout(0));
    assert!(fence(&two.carry()) > given);
}

/// The primary answered by a connection of which it did not know that it was over.
#[test]
fn a_checkout_whose_answer_was_lost_without_a_new_link_is_given_again_in_time() {
    let mut two = Two::new();
    two.ask(1, checkout(10_000));
    for wait in [1_000, 1_000, 2_000] {
        assert_eq!(two.lose_answers(), 1);
        two.pass(wait - 1);
        assert_eq!(two.lose_answers(), 0);
        two.pass(1);
    }
    let given = fence(&two.carry());
    two.ask(2, Request::Release(group(), given));
    assert_eq!(two.carry(), [(2, Reply::Released)]);
    two.pass(60_000);
    assert!(two.words().0.is_empty(), "what is answered is not asked again");
}

#[test]
fn a_checkout_whose_answers_are_lost_until_nobody_waits_for_it_is_given_back() {
    let mut two = Two::new();
    two.ask(1, checkout(5_000));
    assert_eq!(two.lose_answers(), 1);
    while two.now < Moment::from_secs(11) {
        two.pass(50);
        two.lose_answers();
    }
    two.pass(10_000);
    assert_eq!(two.carry(), []);
    two.ask(2, checkout(0));
    fence(&two.carry());
}

#[test]
fn who_waits_in_the_queue_keeps_its_place_when_it_asks_again() {
    let mut two = Two::new();
    two.ask(1, checkout(0));
    let first = fence(&two.carry());
    two.ask(2, checkout(5_000));
    assert_eq!(two.carry(), []);
    assert_eq!(two.link_anew(), []);
    two.ask(3, Request::Release(group(), first));
    let replies = two.carry();
    assert!(
        matches!(replies[..], [(3, Reply::Released), (2, Reply::Checkout { .. })]),
        "{replies:?}"
    );
}

#[test]
fn a_checkout_that_comes_after_its_asker_has_gone_is_given_back() {
    for is_grant_lost in [false, true] {
        let mut two = Two::new();
        two.ask(1, checkout(10_000));
        let asked = two.words().0;
        if is_grant_lost {
            asked.iter().for_each(|ask| two.primary.message(ASKER, ask.clone(), two.now));
            assert_eq!(two.words().1.len(), 1);
        }
        two.pass(10_000);
        assert_eq!(two.words().2, [(1, Reply::Unavailable)]);
        if is_grant_lost {
            assert_eq!(two.link_anew(), []);
        } else {
            asked.into_iter().for_each(|ask| two.primary.message(ASKER, ask, two.now));
            assert_eq!(two.carry(), []);
        }
        two.ask(2, checkout(0));
        fence(&two.carry());
    }
}

#[test]
fn a_checkout_that_could_not_be_given_back_without_a_quorum_is_given_back_later() {
    let mut two = Two::new();
    two.ask(1, checkout(0));
    let given = fence(&two.carry());
    two.asker.quorate(false, two.now);
    two.ask(2, Request::Release(group(), given));
    assert_eq!(two.words().2, [(2, Reply::NotQuorate)]);
    two.pass(2_000);
    two.asker.quorate(true, two.now);
    assert_eq!(two.link_anew(), []);
    two.ask(3, checkout(0));
    fence(&two.carry());
}

#[test]
fn who_asks_from_a_view_that_has_not_come_here_yet_is_told_to_ask_again() {
    let mut two = Two::apart();
    two.asker.install(&view(3, &[ASKER, PRIMARY]), two.now);
    two.words();
    two.ask(1, write());
    assert_eq!(two.carry(), []);
    two.primary.install(&view(3, &[ASKER, PRIMARY]), two.now);
    two.pass(20);
    let replies = two.carry();
    assert!(matches!(replies[..], [(1, Reply::Written(_))]), "{replies:?}");
}

#[test]
fn what_was_to_be_asked_again_is_not_done_under_its_old_number_too() {
    let mut two = Two::apart();
    two.asker.install(&view(3, &[ASKER, PRIMARY, OTHER]), two.now);
    two.ask(1, write());
    let (there, ..) = two.words();
    let said = |two: &mut Two| {
        there.iter().for_each(|message| two.primary.message(ASKER, message.clone(), two.now));
    };
    said(&mut two);
    two.primary.install(&view(3, &[ASKER, PRIMARY, OTHER]), two.now);
    // It was on its way twice, as by two links.
    said(&mut two);
    assert_eq!((two.carry(), two.writes()), (Vec::new(), 0));
    two.pass(100);
    let replies = two.carry();
    assert!(matches!(replies[..], [(1, Reply::Written(_))]), "{replies:?}");
    assert_eq!(two.writes(), 1);
}

#[test]
fn a_life_that_has_left_is_never_told_that_nothing_happened() {
    let mut two = Two::new();
    two.ask(1, write());
    assert_eq!(two.lose_answers(), 1);
    two.primary.install(&view(4, &[PRIMARY, OTHER]), two.now);
    two.asker.linked(PRIMARY.node);
    assert_eq!(two.carry(), []);
    assert_eq!(two.writes(), 1);
}

#[test]
fn an_answer_that_other_owners_still_hold_up_comes_in_its_turn() {
    let mut two = Two::apart();
    let mut shared = View::clone(&view(3, &[ASKER, PRIMARY, OTHER]));
    shared.rows[0].owners.push(OTHER.node);
    let shared = Arc::new(shared);
    two.asker.install(&shared, two.now);
    two.primary.install(&shared, two.now);
    two.words();
    two.ask(1, write());
    two.lose_answers();
    two.asker.linked(PRIMARY.node);
    // To the other owner goes what it lacks, and to the asker nothing yet.
    assert_eq!(two.lose_answers(), 0);
    let epoch = shared.epoch;
    two.primary.message(OTHER, Message::Synced { epoch, row: 0 }, two.now);
    two.primary.message(OTHER, Message::Appended { epoch, row: 0, upto: 1 }, two.now);
    let answers = two.words().1.into_iter().filter_map(|message| match message {
        Message::Answer { reply, .. } => Some(reply),
        _ => None,
    });
    let written = Rev { epoch: 3, seq: 1 };
    assert_eq!(answers.collect::<Vec<_>>(), [Reply::Written(written)]);
}
