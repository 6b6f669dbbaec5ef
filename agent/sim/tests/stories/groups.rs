//! Tokens, queues, pages, listeners and near looks.

use crate::calm::{Calm, group};
use muster_grid::{Batch, Bytes, Expect, Fence, Group, Kind, Op, Put, Reply, Request, Rev, Space};
use muster_sim::faults;
use std::collections::BTreeSet;
use std::time::Duration;

const MS: Duration = Duration::from_millis(1);

fn batch(group: Group, value: Option<&[u8]>, token: Option<u128>) -> Request {
    let op = Op { key: b"k".into(), expect: Expect::Any, put: value.map(Put::new) };
    Request::Write(Batch { token, ..Batch::new(group, vec![op]) })
}

fn checkout(wait: u32) -> Request {
    Request::Checkout { group: group(), hold: MS * 1_500, confirm: true, wait: MS * wait }
}

fn fence(reply: Option<Reply>) -> (Fence, Rev) {
    let Some(Reply::Checkout { entries, fence }) = reply else {
        unreachable!("the group is free: {reply:?}");
    };
    (fence, entries.rev)
}

#[test]
fn an_old_token_is_fenced_even_when_nothing_is_left_of_its_group() {
    let mut calm = Calm::new(3, Some(2));
    calm.wait(5_000);
    assert!(matches!(calm.ask(0, batch(group(), Some(b"a"), Some(7))), Reply::Written(_)));
    assert!(matches!(calm.ask(1, batch(group(), None, None)), Reply::Written(_)));
    assert_eq!(calm.ask(2, batch(group(), Some(b"b"), Some(6))), Reply::Fenced);
    let primary = calm.primary(&group());
    calm.world.kill(primary, "is killed");
    calm.wait(1_000);
    let asker = (primary + 1) % 3;
    assert_eq!(calm.ask(asker, batch(group(), Some(b"b"), Some(6))), Reply::Fenced);
    assert!(matches!(calm.ask(asker, batch(group(), Some(b"c"), Some(7))), Reply::Written(_)));
    assert!(matches!(calm.ask(asker, batch(group(), Some(b"d"), None)), Reply::Written(_)));
    assert_eq!(calm.get(asker, b"k"), Some(b"d".to_vec()));
}

#[test]
fn the_higher_token_of_two_sides_of_a_split_counts() {
    let mut calm = Calm::new(3, None);
    calm.wait(5_000);
    calm.cut_off(2);
    calm.wait(4_000);
    assert!(matches!(calm.ask(0, batch(group(), Some(b"a"), Some(3))), Reply::Written(_)));
    assert!(matches!(calm.ask(2, batch(group(), Some(b"b"), Some(8))), Reply::Written(_)));
    faults::heal_all(&mut calm.world);
    calm.wait(6_000);
    assert_eq!(calm.members_at(0), 3);
    assert_eq!(calm.ask(0, batch(group(), Some(b"c"), Some(7))), Reply::Fenced);
}

#[test]
fn what_a_short_cut_has_swallowed_is_asked_again_once_it_is_over() {
    for is_answer_lost in [false, true] {
        let mut calm = Calm::new(3, Some(2));
        calm.wait(5_000);
        let primary = calm.primary(&group());
        let asker = (primary + 1) % 3;
        let lost = if is_answer_lost { (primary, asker) } else { (asker, primary) };
        calm.world.cut.insert(lost);
        let asked = calm.begin(asker, checkout(0));
        calm.wait(200);
        assert_eq!(calm.answer(asked), None);
        faults::heal_all(&mut calm.world);
        calm.wait(100);
        let (given, _) = fence(calm.answer(asked));
        assert_eq!(calm.ask(asker, Request::Release(group(), given)), Reply::Released);
    }
}

#[test]
fn a_write_that_a_copy_has_missed_is_sent_again_however_many_follow() {
    let mut calm = Calm::new(3, Some(2));
    calm.wait(5_000);
    let primary = calm.primary(&group());
    let others = (0..3).filter(|other| *other != primary);
    calm.world.cut.extend(others.map(|other| (primary, other)));
    let missed = calm.begin(primary, batch(group(), Some(b"missed"), None));
    calm.wait(10);
    calm.world.cut.clear();
    for _ in 0..30 {
        calm.begin(primary, batch(group(), Some(b"another"), None));
        calm.wait(20);
    }
    let answer = calm.answer(missed);
    assert!(matches!(answer, Some(Reply::Written(_))), "{answer:?}");
}

#[test]
fn checkouts_wait_in_the_order_of_asking() {
    let mut calm = Calm::new(3, None);
    calm.wait(5_000);
    let first = fence(Some(calm.ask(0, checkout(0))));
    assert_eq!(calm.ask(1, checkout(0)), Reply::Locked);
    let mut waiting = Vec::new();
    for slot in [1, 2, 0] {
        waiting.push(calm.begin(slot, checkout(1_400)));
        // Longer than any message takes.
        calm.wait(50);
    }
    let impatient = calm.begin(1, checkout(100));
    assert_eq!(calm.end(impatient), Reply::Locked);
    assert_eq!(calm.ask(0, Request::Release(group(), first.0)), Reply::Released);
    let second = fence(Some(calm.end(waiting[0])));
    assert_eq!(calm.answer(waiting[1]), None);
    let op = Op { key: b"k".into(), expect: Expect::Any, put: Some(Put::new(b"v")) };
    let commit = Batch { under: Some(second), release: true, ..Batch::new(group(), vec![op]) };
    assert!(matches!(calm.ask(1, Request::Write(commit)), Reply::Written(_)));
    let third = fence(Some(calm.end(waiting[1])));
    assert!(first.0 < second.0 && second.0 < third.0);
    // The third does nothing: the last waits as long as it wanted to.
    assert_eq!(calm.end(waiting[2]), Reply::Locked);
}

#[test]
fn whoever_waits_gets_the_group_when_its_holder_or_its_primary_dies() {
    for holder_dies in [true, false] {
        let mut calm = Calm::new(4, None);
        calm.wait(5_000);
        let primary = calm.primary(&group());
        let others: Vec<usize> = (0..4).filter(|slot| *slot != primary).collect();
        fence(Some(calm.ask(others[0], checkout(0))));
        let waiting = calm.begin(others[1], checkout(1_400));
        calm.wait(50);
        calm.world.kill(if holder_dies { others[0] } else { primary }, "is killed");
        calm.wait(700);
        fence(calm.answer(waiting));
    }
}

#[test]
fn pages_of_all_rows_have_each_group_of_a_cache_once() {
    let mut calm = Calm::new(3, None);
    calm.wait(5_000);
    let space = Space { table: 0, cache: 1 };
    let mut names = BTreeSet::new();
    for number in 0..60u8 {
        let other = Space { cache: 2, ..space };
        let name: Bytes = vec![number].into();
        for (space, name) in [(space, &name), (other, &name)] {
            let reply = calm.ask(0, batch(Group::new(space, name), Some(b"v"), None));
            assert!(matches!(reply, Reply::Written(_)));
        }
        names.insert(name);
    }
    let gone: Bytes = vec![7].into();
    assert!(matches!(
        calm.ask(0, batch(Group::new(space, &gone), None, Some(1))),
        Reply::Written(_)
    ));
    names.remove(&gone);
    let mut seen = Vec::new();
    for row in calm.view(1).rows_of(0) {
        let mut after = None;
        loop {
            let scan = Request::Scan { space, row, after: after.clone(), most: 2 };
            let reply = calm.ask(1, scan);
            let Reply::Groups { groups, is_last } = reply else {
                unreachable!("a calm world answers: {reply:?}");
            };
            assert!(groups.len() <= 2);
            seen.extend(groups.iter().map(|(name, _)| name.clone()));
            after = groups.last().map(|(name, _)| name.clone());
            if is_last {
                break;
            }
        }
    }
    assert_eq!(seen.len(), names.len());
    assert_eq!(seen.into_iter().collect::<BTreeSet<_>>(), names);
    let beyond = Request::Scan { space, row: 17, after: None, most: 9 };
    assert_eq!(calm.ask(1, beyond), Reply::Groups { groups: Vec::new(), is_last: true });
}

#[test]
fn listeners_hear_each_change_in_order_from_the_primary_and_from_each_copy() {
    let mut calm = Calm::new(3, None);
    calm.wait(5_000);
    for slot in 0..3 {
        let core = calm.world.slots[slot].core.as_mut().expect("it runs");
        core.grid_mut().watch(group().space, muster_grid::Watched::All);
    }
    calm.ask(0, batch(group(), Some(b"a"), None));
    calm.ask(1, batch(group(), Some(b"b"), None));
    calm.ask(2, batch(group(), None, None));
    calm.ask(2, batch(group(), None, None));
    let put = Put { ttl: Some(MS * 200), ..Put::new(b"c") };
    let op = Op { key: b"k".into(), expect: Expect::Any, put: Some(put) };
    calm.ask(0, Request::Write(Batch::new(group(), vec![op])));
    calm.wait(1_000);
    let told = std::mem::take(&mut calm.world.told);
    let kinds = |is_primary: bool| {
        let of = told.iter().filter(|(_, changes)| changes.is_primary == is_primary);
        of.flat_map(|(_, changes)| changes.entries.iter().map(|(_, kind)| kind.clone()))
            .collect::<Vec<_>>()
    };
    let expected = [
        Kind::Created(b"a".into()),
        Kind::Changed(b"b".into()),
        Kind::Removed(b"b".into()),
        Kind::Created(b"c".into()),
        Kind::Expired(b"c".into()),
    ];
    assert_eq!(kinds(true), expected);
    assert_eq!(kinds(false), expected);
}

#[test]
fn an_owner_looks_at_its_copy_and_counts_it_without_asking() {
    let mut calm = Calm::new(3, None);
    calm.wait(5_000);
    calm.ask(0, batch(group(), Some(b"value"), None));
    let view = calm.view(0);
    let owners = &view.rows[usize::from(group().row(&view))].owners;
    let (mut copies, mut led) = (0, 0);
    for slot in 0..3 {
        let (now, node) = (calm.world.clock(slot), calm.world.slots[slot].node);
        let grid = calm.core(slot).grid();
        let seen = grid.peek(group().space, b"g", b"k", now);
        let is_owner = owners.contains(&node);
        assert_eq!(
            seen.map(|value| value.map(|value| value.to_vec())),
            is_owner.then(|| Some(b"value".to_vec()))
        );
        assert_eq!(grid.is_primary(group().space, b"g"), owners[0] == node);
        let (all, mine) = grid.count(group().space);
        copies += all.entries;
        led += mine.entries;
        assert_eq!(all.bytes, all.entries * 6);
    }
    assert_eq!((copies, led), (2, 1));
}
