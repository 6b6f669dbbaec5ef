//! Two owners with a journal each: a write counts once both have it on their shelves.

use super::*;
use crate::batch::{Batch, Expect, Op, Put, Reply, Request};
use crate::grid::Limits;
use crate::message::Message;
use crate::rules::Rules;
use crate::store::Record;
use muster_cluster::{Copies, Electorate, Epoch, Member, MemberId, NodeId, Row, View};
use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

const SPACE: Space = Space { table: 0, cache: 7 };

/// A shelf that takes and removes nothing while it is broken.
#[derive(Default)]
struct Board {
    records: Mutex<BTreeMap<Vec<u8>, Vec<u8>>>,
    is_broken: AtomicBool,
}

impl Board {
    fn turn(&self) -> Result<(), ShelfError> {
        match self.is_broken.load(Ordering::Relaxed) {
            true => Err(ShelfError("it is full".to_owned())),
            false => Ok(()),
        }
    }

    /// The values that it has of a group.
    fn values(&self, group: &str) -> Vec<String> {
        let records = self.records.lock().unwrap();
        let records = records.values().filter_map(|record| Record::decode(record).ok());
        let of_group = records.filter(|record| *record.name == *group.as_bytes());
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        of_group.flat_map(|record| record.entries).map(|entry| text(&entry.put.value)).collect()
    }
}

impl Shelf for Board {
    fn put(&self, key: &[u8], record: &[u8]) -> Result<(), ShelfError> {
        self.turn()?;
        self.records.lock().unwrap().insert(key.into(), record.into());
        Ok(())
    }

    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, ShelfError> {
        Ok(self.records.lock().unwrap().get(key).cloned())
    }

    fn remove(&self, key: &[u8]) -> Result<(), ShelfError> {
        self.turn()?;
        self.records.lock().unwrap().remove(key);
        Ok(())
    }

    fn keeps(&self) -> bool {
        true
    }
}

/// The primary and its backup.
struct Pair {
    grids: [Grid; 2],
    shelves: [Arc<Board>; 2],
    now: Moment,
    asked: u64,
    replies: Vec<Reply>,
    /// What the backup says is lost.
    is_deaf: bool,
}

fn id(at: usize) -> MemberId {
    MemberId { node: NodeId(at as u128 + 1), incarnation: 1 }
}

fn view() -> Arc<View> {
    let member = |at| Member {
        id: id(at),
        name: "".into(),
        address: "".into(),
        join: at as u64 + 1,
        weight: 100,
        leaving: false,
    };
    Arc::new(View {
        epoch: Epoch { counter: 1, join: 1, by: id(0) },
        members: vec![member(0), member(1)],
        next_join: 3,
        electorate: Electorate::default(),
        before: None,
        tables: vec![Copies::Some(2)],
        segments: 1,
        rows: vec![Row { owners: vec![id(0).node, id(1).node], fresh: true, ..Row::default() }],
        merged: false,
    })
}

impl Pair {
    fn new() -> Self {
        let mut pair = Self::without_journals();
        (0..2).for_each(|at| pair.set_journal(at));
        pair
    }

    fn without_journals() -> Self {
        let grid = |at| {
            let mut grid = Grid::new(id(at), Limits::default(), Rules::default(), Epoch::default());
            grid.install(&view(), Moment::ZERO);
            grid.quorate(true, Moment::ZERO);
            grid
        };
        let grids = [grid(0), grid(1)];
        let (now, replies) = (Moment::ZERO, Vec::new());
        let mut pair =
            Self { grids, shelves: Default::default(), now, asked: 0, replies, is_deaf: false };
        pair.talk();
        pair
    }

    fn set_journal(&mut self, at: usize) {
        self.grids[at].set_journal(SPACE, self.shelves[at].clone(), self.now);
    }

    fn breaks(&self, at: usize, is_broken: bool) {
        self.shelves[at].is_broken.store(is_broken, Ordering::Relaxed);
    }

    fn talk(&mut self) {
        loop {
            let mut is_silent = true;
            for at in 0..2 {
                while let Some(out) = self.grids[at].poll() {
                    is_silent = false;
                    match out {
                        Out::Send { .. } if at == 1 && self.is_deaf => {}
                        Out::Send { message, .. } => {
                            self.grids[1 - at].message(id(at), message, self.now);
                        }
                        Out::Reply { reply, .. } => self.replies.push(reply),
                        _ => {}
                    }
                }
            }
            if is_silent {
                return;
            }
        }
    }

    fn pass(&mut self, ms: u64) {
        let ends = self.now + Moment::from_millis(ms);
        while self.now < ends {
            self.now += Moment::from_millis(50);
            self.grids.iter_mut().for_each(|grid| grid.tick(self.now));
            self.talk();
        }
    }

    /// Writes as the member there asks; what has been answered by then.
    fn write(&mut self, at: usize, group: &str, put: Option<&str>) -> Option<Reply> {
        self.asked += 1;
        let put = put.map(|value| Put::new(value.as_bytes()));
        let op = Op { key: b"k".into(), expect: Expect::Any, put };
        let batch = Batch::new(Group::new(SPACE, group.as_bytes()), vec![op]);
        let deadline = Moment::from_secs(1_000);
        self.grids[at].request(self.asked, Request::Write(batch), deadline, self.now);
        self.talk();
        self.replies.pop()
    }

    fn kept(&self, group: &str) -> [Vec<String>; 2] {
        [0, 1].map(|at| self.shelves[at].values(group))
    }
}

fn both(value: &str) -> [Vec<String>; 2] {
    [vec![value.to_owned()], vec![value.to_owned()]]
}

#[test]
fn what_both_journals_have_is_written() {
    let mut pair = Pair::new();
    assert!(matches!(pair.write(0, "g", Some("one")), Some(Reply::Written(_))));
    assert_eq!(pair.kept("g"), both("one"));
    assert!(matches!(pair.write(1, "g", Some("two")), Some(Reply::Written(_))));
    assert_eq!(pair.kept("g"), both("two"));
    assert!(matches!(pair.write(0, "g", None), Some(Reply::Written(_))));
    assert_eq!(pair.kept("g"), [vec![], vec![]] as [Vec<String>; 2]);
}

#[test]
fn what_one_journal_has_not_taken_says_so_whoever_asked_and_is_put_again() {
    for broken in 0..2 {
        for asker in 0..2 {
            let mut pair = Pair::new();
            pair.write(0, "g", Some("one"));
            pair.breaks(broken, true);
            let reply = pair.write(asker, "g", Some("two"));
            assert!(matches!(reply, Some(Reply::Unkept(_))), "{broken} {asker}: {reply:?}");
            // What it had stays.
            assert_eq!(pair.kept("g")[broken], ["one"]);
            assert_eq!(pair.kept("g")[1 - broken], ["two"]);
            assert_eq!(pair.grids[broken].lacking(SPACE), 1);
            pair.breaks(broken, false);
            pair.pass(1_500);
            assert_eq!(pair.kept("g"), both("two"));
            assert_eq!(pair.grids[broken].lacking(SPACE), 0);
            assert!(matches!(pair.write(asker, "g", Some("three")), Some(Reply::Written(_))));
        }
    }
}

#[test]
fn a_removal_that_a_journal_has_not_taken_is_done_once_it_can_be() {
    let mut pair = Pair::new();
    pair.write(0, "g", Some("one"));
    pair.breaks(1, true);
    assert!(matches!(pair.write(0, "g", None), Some(Reply::Unkept(_))));
    assert_eq!(pair.kept("g")[1], ["one"]);
    pair.breaks(1, false);
    pair.pass(1_500);
    assert_eq!(pair.kept("g")[1], Vec::<String>::new());
}

#[test]
fn that_a_journal_has_not_taken_it_is_said_again_where_it_was_lost() {
    let mut pair = Pair::new();
    pair.breaks(1, true);
    pair.is_deaf = true;
    assert_eq!(pair.write(0, "g", Some("one")), None);
    pair.breaks(1, false);
    pair.is_deaf = false;
    // It is sent again, and the backup has it already.
    pair.pass(2_000);
    let reply = pair.replies.pop();
    assert!(matches!(reply, Some(Reply::Unkept(_))), "{reply:?}");
}

#[test]
fn what_was_there_before_the_journal_is_put_into_it() {
    let mut pair = Pair::without_journals();
    pair.write(0, "g", Some("one"));
    (0..2).for_each(|at| pair.set_journal(at));
    pair.pass(100);
    assert_eq!(pair.kept("g"), both("one"));
}

#[test]
fn a_message_about_a_journal_is_within_its_bounds_on_the_wire() {
    use crate::core::Wire;
    let epoch = Epoch { counter: 1, join: 1, by: id(0) };
    let unkept = Wire::Grid(Message::Unkept { epoch, row: 0, upto: 2, seqs: vec![1, 2] });
    let mut bytes = Vec::new();
    crate::wire::encode(&unkept, &mut bytes).unwrap();
    assert_eq!(crate::wire::decode(&bytes), Ok(unkept));
}

/// Whether the journal says that it lacks something of the only row.
fn lacks(pair: &Pair, at: usize) -> bool {
    let records = pair.shelves[at].records.lock().unwrap();
    let of_row = |(key, stamp): (&Vec<u8>, &Vec<u8>)| {
        crate::life::named(key).filter(|(.., is_stamp)| *is_stamp)?;
        crate::Stamp::decode(stamp).ok()
    };
    records.iter().filter_map(of_row).any(|stamp| stamp.lacks())
}

#[test]
fn a_journal_says_that_it_lacks_something_as_long_as_it_does() {
    let mut pair = Pair::new();
    pair.write(0, "g", Some("one"));
    pair.breaks(1, true);
    pair.write(0, "g", Some("two"));
    pair.write(0, "h", Some("two"));
    // Nothing can be said on a shelf that takes nothing. The next that is said of the row says it.
    pair.breaks(1, false);
    pair.write(0, "i", Some("three"));
    assert_eq!((lacks(&pair, 0), lacks(&pair, 1)), (false, true));
    pair.pass(1_500);
    assert_eq!((lacks(&pair, 0), lacks(&pair, 1)), (false, false));
}
