//! A member whose memory is bounded answers like one whose memory is not.

use super::*;
use crate::batch::{Batch, Expect, Fence, Op, Put, Reply, Request, Rev};
use crate::grid::Limits;
use crate::rules::Rules;
use crate::segment::Bytes;
use crate::shelf::{Shelf, Shelved};
use muster_cluster::{Copies, Electorate, Epoch, Member, MemberId, NodeId, Row, View};
use proptest::prelude::*;
use std::collections::HashMap;
use std::sync::{Arc, Mutex};

const SPACE: Space = Space { table: 0, cache: 7 };
const ROWS: u16 = 3;

/// A shelf that fails when it is told to.
#[derive(Default)]
struct Board {
    records: Mutex<HashMap<Vec<u8>, Vec<u8>>>,
    /// Whether puts fail, and whether gets do.
    fails: Mutex<(bool, bool)>,
}

impl Shelf for Board {
    fn put(&self, key: &[u8], record: &[u8]) -> Result<(), ShelfError> {
        if self.fails.lock().unwrap().0 {
            return Err(ShelfError("it is full".to_owned()));
        }
        self.records.lock().unwrap().insert(key.into(), record.into());
        Ok(())
    }

    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, ShelfError> {
        if self.fails.lock().unwrap().1 {
            return Err(ShelfError("it is broken".to_owned()));
        }
        Ok(self.records.lock().unwrap().get(key).cloned())
    }

    fn remove(&self, key: &[u8]) -> Result<(), ShelfError> {
        self.records.lock().unwrap().remove(key);
        Ok(())
    }
}

/// A member that is alone, and its clock.
struct Alone {
    grid: Grid,
    now: Moment,
    asked: u64,
}

fn me(incarnation: u64) -> MemberId {
    MemberId { node: NodeId(1), incarnation }
}

fn view(counter: u64, me: MemberId) -> Arc<View> {
    let member = Member {
        id: me,
        name: "one".into(),
        address: "".into(),
        join: 1,
        weight: 100,
        leaving: false,
    };
    let row = Row { owners: vec![me.node], ..Row::default() };
    Arc::new(View {
        epoch: Epoch { counter, join: 1, by: me },
        members: vec![member],
        next_join: 2,
        electorate: Electorate::default(),
        before: None,
        tables: vec![Copies::Some(1)],
        segments: ROWS,
        rows: vec![row; ROWS.into()],
        merged: false,
    })
}

impl Alone {
    fn new(memory: Option<Memory>) -> Self {
        let (me, now) = (me(1), Moment::ZERO);
        let mut grid = Grid::new(me, Limits::default(), Rules::default(), Epoch::default());
        grid.install(&view(1, me), now);
        grid.quorate(true, now);
        if let Some(memory) = memory {
            grid.set_memory(SPACE, memory, now);
        }
        grid.watch(SPACE, crate::watch::Watched::All);
        Self { grid, now, asked: 0 }
    }

    /// The answer, and every change that is told; what the shelf does is told by one of two only.
    fn ask(&mut self, request: Request) -> Vec<Out> {
        self.asked += 1;
        let deadline = self.now + Moment::from_secs(3_600);
        self.grid.request(self.asked, request, deadline, self.now);
        self.grid.make_room(self.now);
        self.said()
    }

    fn said(&mut self) -> Vec<Out> {
        let said = std::iter::from_fn(|| self.grid.poll());
        said.filter(|out| matches!(out, Out::Reply { .. } | Out::Changed(_))).collect()
    }

    fn tick(&mut self, ms: u64) -> Vec<Out> {
        self.now += Moment::from_millis(ms);
        self.grid.tick(self.now);
        self.said()
    }

    fn digests(&self) -> Vec<u64> {
        (0..ROWS).map(|row| self.grid.store(row).unwrap().digest()).collect()
    }

    fn stats(&self) -> ShelfStats {
        self.grid.shelf_stats(SPACE).unwrap()
    }
}

#[derive(Clone, Debug)]
enum Doing {
    Put { group: u8, key: u8, value: u8, ttl: Option<u8>, idle: bool, ends_group: bool },
    Remove { group: u8, key: u8, token: bool },
    Get(u8),
    Peek(u8),
    Checkout(u8),
    Commit { group: u8, value: u8, release: bool },
    Release(u8),
    Scan(u8),
    Merge { group: u8, value: u8 },
    Wait(u8),
    View,
    FailPuts(bool),
}

fn doing() -> impl Strategy<Value = Doing> {
    let group = 0u8..12;
    prop_oneof![
        5 => (group.clone(), 0u8..3, any::<u8>(), any::<Option<u8>>(), any::<bool>(), any::<bool>())
            .prop_map(|(group, key, value, ttl, idle, ends_group)| {
                Doing::Put { group, key, value, ttl, idle, ends_group }
            }),
        2 => (group.clone(), 0u8..3, any::<bool>())
            .prop_map(|(group, key, token)| Doing::Remove { group, key, token }),
        3 => group.clone().prop_map(Doing::Get),
        1 => group.clone().prop_map(Doing::Peek),
        2 => group.clone().prop_map(Doing::Checkout),
        2 => (group.clone(), any::<u8>(), any::<bool>())
            .prop_map(|(group, value, release)| Doing::Commit { group, value, release }),
        1 => group.clone().prop_map(Doing::Release),
        1 => (0u8..3).prop_map(Doing::Scan),
        1 => (group, any::<u8>()).prop_map(|(group, value)| Doing::Merge { group, value }),
        2 => any::<u8>().prop_map(Doing::Wait),
        1 => Just(Doing::View),
        1 => any::<bool>().prop_map(Doing::FailPuts),
    ]
}

fn named(group: u8) -> Group {
    Group::new(SPACE, &[group])
}

/// What both do, and what is held between two steps: checkouts.
#[derive(Default)]
struct Held {
    under: HashMap<u8, (Fence, Rev)>,
    views: u64,
}

impl Held {
    fn request(&mut self, doing: &Doing) -> Option<Request> {
        let op = |key: u8, put: Option<Put>| Op { key: [key][..].into(), expect: Expect::Any, put };
        Some(match *doing {
            Doing::Put { group, key, value, ttl, idle, ends_group } => {
                let ttl = ttl.map(|ttl| Moment::from_millis(ttl.into()));
                let idle = idle.then(|| Moment::from_millis(90));
                let put = Put { ttl, idle, ends_group, ..Put::new(&vec![value; value.into()]) };
                Request::Write(Batch::new(named(group), vec![op(key, Some(put))]))
            }
            Doing::Remove { group, key, token } => Request::Write(Batch {
                token: token.then_some(9),
                ..Batch::new(named(group), vec![op(key, None)])
            }),
            Doing::Get(group) => Request::Get(named(group)),
            Doing::Checkout(group) => Request::Checkout {
                group: named(group),
                hold: Moment::from_millis(150),
                confirm: true,
                wait: Moment::ZERO,
            },
            Doing::Commit { group, value, release } => Request::Write(Batch {
                under: Some(*self.under.get(&group)?),
                release,
                ..Batch::new(named(group), vec![op(0, Some(Put::new(&[value])))])
            }),
            Doing::Release(group) => Request::Release(named(group), self.under.remove(&group)?.0),
            Doing::Scan(row) => {
                Request::Scan { space: SPACE, row: row.into(), after: None, most: 100 }
            }
            Doing::Merge { group, value } => Request::Merge {
                group: named(group),
                entries: [(Bytes::from(&[value % 3]), Put::new(&[value]))].into(),
                token: 3,
            },
            Doing::Peek(_) | Doing::Wait(_) | Doing::View | Doing::FailPuts(_) => return None,
        })
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn a_bounded_memory_answers_and_tells_as_an_unbounded_one(
        steps in proptest::collection::vec(doing(), 1..120),
        most_groups in 0usize..5,
        write_through: bool,
    ) {
        let shelf = Arc::new(Board::default());
        let memory = Memory { most_groups, shelf: shelf.clone(), write_through };
        let (mut plain, mut bounded) = (Alone::new(None), Alone::new(Some(memory)));
        let mut held = Held { views: 1, ..Held::default() };
        for step in steps {
            let (said, expected) = match (&step, held.request(&step)) {
                (_, Some(request)) => (bounded.ask(request.clone()), plain.ask(request)),
                (Doing::Wait(ms), _) => (bounded.tick((*ms).into()), plain.tick((*ms).into())),
                (Doing::Peek(group), _) => {
                    let peek = |at: &Alone| at.grid.peek(SPACE, &[*group], &[0], at.now);
                    prop_assert_eq!(peek(&bounded), peek(&plain));
                    continue;
                }
                (Doing::View, _) => {
                    held.views += 1;
                    for at in [&mut bounded, &mut plain] {
                        at.grid.install(&view(held.views, me(1)), at.now);
                    }
                    (bounded.said(), plain.said())
                }
                (Doing::FailPuts(fails), _) => {
                    shelf.fails.lock().unwrap().0 = *fails;
                    continue;
                }
                _ => continue,
            };
            prop_assert_eq!(&said, &expected);
            if let (Doing::Checkout(group), Some(Out::Reply { reply, .. })) = (&step, said.last())
                && let Reply::Checkout { fence, entries } = reply
            {
                held.under.insert(*group, (*fence, entries.rev));
            }
            prop_assert_eq!(bounded.digests(), plain.digests());
            let count = |at: &Alone| {
                let count = at.grid.count(SPACE).0;
                (count.groups, count.entries, count.bytes)
            };
            prop_assert_eq!(count(&bounded), count(&plain));
            let stats = bounded.stats();
            prop_assert_eq!(stats.in_memory + stats.on_shelf, count(&bounded).0);
        }
    }
}

fn put(group: u8) -> Request {
    let op = Op { key: b"k"[..].into(), expect: Expect::Any, put: Some(Put::new(b"v")) };
    Request::Write(Batch::new(named(group), vec![op]))
}

#[test]
fn the_group_that_was_used_longest_ago_goes_and_comes_back_when_it_is_asked_for() {
    let shelf = Arc::new(Board::default());
    let memory = Memory { most_groups: 2, shelf: shelf.clone(), write_through: false };
    let mut alone = Alone::new(Some(memory));
    for group in 0..3 {
        alone.ask(put(group));
    }
    let has = |alone: &Alone, group: u8| {
        (0..ROWS).any(|row| alone.grid.store(row).unwrap().has(&named(group)))
    };
    assert_eq!([0, 1, 2].map(|group| has(&alone, group)), [false, true, true]);
    alone.ask(Request::Get(named(1)));
    alone.ask(Request::Get(named(0)));
    assert_eq!([0, 1, 2].map(|group| has(&alone, group)), [true, true, false]);
    let stats = alone.stats();
    assert_eq!((stats.in_memory, stats.on_shelf), (2, 1));
    assert_eq!((stats.passivations, stats.activations, stats.errors), (2, 1, 0));
    assert_eq!(shelf.records.lock().unwrap().len(), 1);
}

#[test]
fn a_group_that_is_checked_out_stays_in_memory() {
    let shelf = Arc::new(Board::default());
    let memory = Memory { most_groups: 0, shelf, write_through: false };
    let mut alone = Alone::new(Some(memory));
    alone.ask(put(0));
    let (hold, wait) = (Moment::from_secs(1), Moment::ZERO);
    alone.ask(Request::Checkout { group: named(0), hold, confirm: false, wait });
    alone.ask(put(1));
    assert_eq!(alone.stats().in_memory, 1);
    alone.tick(2_000);
    assert_eq!((alone.stats().in_memory, alone.stats().on_shelf), (0, 2));
}

#[test]
fn what_cannot_be_read_is_never_answered_as_if_it_was_not_there() {
    let shelf = Arc::new(Board::default());
    let memory = Memory { most_groups: 0, shelf: shelf.clone(), write_through: false };
    let mut alone = Alone::new(Some(memory));
    alone.ask(put(0));
    shelf.fails.lock().unwrap().1 = true;
    let scans = (0..ROWS).map(|row| Request::Scan { space: SPACE, row, after: None, most: 9 });
    let row = named(0).row(&view(1, me(1)));
    for request in scans.filter(|scan| scan.row(&view(1, me(1))) == row) {
        assert_eq!(alone.ask(request), []);
    }
    assert_eq!(alone.ask(Request::Get(named(0))), []);
    assert_eq!(alone.ask(put(0)), []);
    assert_eq!(alone.grid.peek(SPACE, &[0], b"k", alone.now), None);
    assert!(alone.stats().errors >= 3);
    // Each waits for its deadline, and is answered when the shelf is well again.
    shelf.fails.lock().unwrap().1 = false;
    assert_eq!(alone.tick(100).len(), 4);
    assert_eq!(alone.grid.peek(SPACE, &[0], b"k", alone.now), Some(Some(b"v".into())));
}

#[test]
fn a_row_is_read_for_one_cache_whatever_the_shelves_of_others_do_not_give() {
    let shelf = Arc::new(Board::default());
    let memory = Memory { most_groups: 0, shelf: shelf.clone(), write_through: false };
    let mut alone = Alone::new(Some(memory));
    // Of each neighbour in the order of places too.
    (0..32).for_each(|group| _ = alone.ask(put(group)));
    let neighbours = [SPACE.cache - 1, SPACE.cache + 1].map(|cache| Space { cache, ..SPACE });
    for space in neighbours {
        let op = Op { key: b"k".into(), expect: Expect::Any, put: Some(Put::new(b"v")) };
        alone.ask(Request::Write(Batch::new(Group::new(space, b"g"), vec![op])));
    }
    shelf.fails.lock().unwrap().1 = true;
    let reign = alone.grid.reign(0).unwrap();
    for space in neighbours {
        let row = alone.grid.row_of(space, b"g").unwrap();
        let (groups, next) = alone.grid.page_led(space, row, reign, None, alone.now).unwrap();
        assert_eq!((groups.len(), next), (1, None));
    }
    let all = (0..ROWS).map(|row| alone.grid.page_led(SPACE, row, reign, None, alone.now));
    assert!(all.into_iter().any(|page| page.is_none()), "its own are not there, and that is said");
}

#[test]
fn a_shelf_that_is_full_leaves_all_in_memory_and_is_told_once_in_a_while() {
    let shelf = Arc::new(Board::default());
    let memory = Memory { most_groups: 1, shelf: shelf.clone(), write_through: false };
    let mut alone = Alone::new(Some(memory));
    shelf.fails.lock().unwrap().0 = true;
    let mut told = 0;
    for group in 0..9 {
        alone.asked += 1;
        alone.grid.request(alone.asked, put(group), alone.now + Moment::from_secs(1), alone.now);
        alone.grid.make_room(alone.now);
        while let Some(out) = alone.grid.poll() {
            told += usize::from(matches!(out, Out::Shelved(Shelved::Failed { .. })));
        }
    }
    assert_eq!((told, alone.stats().in_memory), (1, 9));
    shelf.fails.lock().unwrap().0 = false;
    alone.tick(2_000);
    assert_eq!((alone.stats().in_memory, alone.stats().on_shelf), (1, 8));
}

#[test]
fn groups_on_the_shelf_are_offered_to_the_other_side_of_a_split() {
    let shelf = Arc::new(Board::default());
    let memory = Memory { most_groups: 2, shelf: shelf.clone(), write_through: true };
    let mut alone = Alone::new(Some(memory));
    for group in 0..9 {
        alone.ask(put(group));
    }
    alone.grid.give_up(me(2), true, alone.now);
    assert_eq!((alone.grid.offered(), alone.stats().in_memory), (9, 0));
    let mut fresh = (*view(5, me(2))).clone();
    fresh.rows.iter_mut().for_each(|row| row.fresh = true);
    alone.grid.install(&Arc::new(fresh), alone.now);
    alone.grid.quorate(true, alone.now);
    alone.tick(50);
    alone.tick(50);
    assert_eq!((alone.grid.offered(), alone.stats().in_memory), (0, 2));
    for group in 0..9 {
        let answer = alone.ask(Request::Get(named(group)));
        let Some(Out::Reply { reply: Reply::Entries(entries), .. }) = answer.last() else {
            panic!("{answer:?}");
        };
        assert_eq!(entries.entries.len(), 1);
    }
    alone.tick(50);
    // What was of the row before is gone.
    assert_eq!(shelf.records.lock().unwrap().len(), 9);
}
