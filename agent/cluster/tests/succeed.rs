//! The next owners of a row: the example of docs/protocol.md, step by step.

use muster_cluster::message::Change;
use muster_cluster::succeed::{Answers, Next, succeed};
use muster_cluster::view::Doubt;
use muster_cluster::{
    Copies, Electorate, Epoch, Joining, Member, MemberId, NodeId, Placement, Promise, Row, RowSet,
    View,
};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

const A: NodeId = NodeId(1);
const B: NodeId = NodeId(2);
const C: NodeId = NodeId(3);

/// The first two members own the one row.
struct FirstTwo;

impl Placement for FirstTwo {
    fn place(&self, _: &[Copies], _: u16, members: &[&Member]) -> Vec<Vec<NodeId>> {
        let mut nodes: Vec<NodeId> = members.iter().map(|member| member.id.node).collect();
        nodes.sort();
        nodes.truncate(2);
        vec![nodes]
    }
}

fn epoch(counter: u64) -> Epoch {
    Epoch { counter, join: 1, by: life(A) }
}

fn life(node: NodeId) -> MemberId {
    MemberId { node, incarnation: 1 }
}

fn view(counter: u64, members: &[NodeId], row: Row) -> View {
    let known = [A, B, C].map(|node| (node, node.to_string().into())).into();
    View {
        epoch: epoch(counter),
        members: (1..)
            .zip(members)
            .map(|(join, node)| Member {
                id: life(*node),
                name: node.to_string().into(),
                address: "".into(),
                join,
                weight: 100,
                leaving: false,
            })
            .collect(),
        next_join: 4,
        electorate: Electorate { quorum: Some(2), known },
        before: None,
        tables: vec![Copies::Some(2)],
        segments: 1,
        rows: vec![row],
        merged: false,
    }
}

fn row(owners: &[NodeId], pending: &[NodeId]) -> Row {
    Row { owners: owners.to_vec(), pending: pending.to_vec(), ..Row::default() }
}

/// An answer: which view it accepted and installed, and whether it holds the row.
fn promise(node: NodeId, accepted: &View, installed: Option<u64>, holds: bool) -> Promise {
    let mut complete = RowSet::default();
    if holds {
        complete.insert(0);
    }
    Promise {
        epoch: epoch(9),
        who: Joining {
            id: life(node),
            name: node.to_string().into(),
            address: "".into(),
            weight: 100,
            moved: false,
        },
        accepted: Some(Arc::new(accepted.clone())),
        committed: installed == Some(accepted.epoch.counter),
        installed: installed.map(epoch),
        was_in: epoch(installed.unwrap_or(accepted.epoch.counter)),
        complete,
    }
}

fn next(base: &View, committed: bool, promises: Vec<Promise>) -> Next {
    let promises: BTreeMap<NodeId, Promise> =
        promises.into_iter().map(|promise| (promise.who.id.node, promise)).collect();
    let answers = Answers {
        epoch: epoch(9),
        base: Some(base),
        committed,
        promises: &promises,
        change: &Change::default(),
        leaving: &BTreeSet::new(),
        slow: &BTreeSet::new(),
        first: (&[], 1, None),
    };
    succeed(&answers, &FirstTwo)
}

#[test]
fn a_killed_backup_is_replaced_by_a_pending_one_and_remembered_until_the_view_stands() {
    let base = view(4, &[A, B, C], row(&[A, B], &[]));
    let answers = vec![promise(A, &base, Some(4), true), promise(C, &base, Some(4), false)];
    let next = next(&base, true, answers);
    let doubts = vec![Doubt { epoch: epoch(9), owners: vec![B] }];
    assert_eq!(next.view.rows, [Row { doubts, ..row(&[A], &[C]) }]);
}

#[test]
fn a_row_whose_only_owner_is_away_waits_for_it() {
    let base = view(5, &[A, C], row(&[A], &[C]));
    let answers = vec![promise(B, &base, None, false), promise(C, &base, Some(5), false)];
    let next = next(&base, true, answers);
    assert_eq!(next.view.rows[0].owners, [A]);
    assert!(next.view.primary(0).is_none() && next.lost.is_empty());
}

#[test]
fn it_begins_empty_and_is_told_as_lost_once_its_owner_came_back_without_it() {
    let base = view(5, &[A, C], row(&[A], &[C]));
    let answers = vec![promise(A, &base, None, false), promise(C, &base, Some(5), false)];
    let next = next(&base, true, answers);
    assert!(next.view.rows[0].fresh && next.lost.contains(0));
}

/// An answer of one who is back without data, and was last in that view.
fn was_in(counter: u64, mut promise: Promise) -> Promise {
    promise.was_in = epoch(counter);
    promise
}

#[test]
fn a_row_that_began_empty_and_waits_is_lost_only_where_all_its_owners_had_been_in_the_view_that_began_it()
 {
    let e4 = view(4, &[A, B, C], Row { fresh: true, ..row(&[A, B], &[]) });
    let waits = next(&e4, false, vec![promise(C, &e4, Some(4), false)]).view;
    let mark = Doubt { epoch: epoch(4), owners: Vec::new() };
    assert_eq!(waits.rows, [Row { fresh: true, doubts: vec![mark], ..row(&[A, B], &[]) }]);

    let mut base = view(9, &[C], waits.rows[0].clone());
    let here = promise(C, &base, Some(9), false);
    let never = was_in(3, promise(A, &e4, None, false));
    let empty = next(&base, true, vec![here.clone(), never]);
    assert!(empty.lost.is_empty());
    assert_eq!(empty.view.rows, [Row { fresh: true, ..row(&[A, C], &[]) }]);

    let wiped = was_in(4, promise(A, &e4, None, false));
    let waits = next(&base, true, vec![here.clone(), wiped.clone()]);
    assert!(waits.lost.is_empty());
    assert_eq!(waits.view.rows[0].owners, [B]);

    base.rows = waits.view.rows;
    let last = |counter| was_in(counter, promise(B, &e4, None, false));
    let empty = next(&base, true, vec![here.clone(), wiped.clone(), last(3)]);
    assert!(empty.lost.is_empty() && empty.view.rows[0].doubts.is_empty());
    assert!(next(&base, true, vec![here, wiped, last(4)]).lost.contains(0));
}

#[test]
fn a_pending_member_is_promoted_only_when_it_was_filled_in_the_very_view_that_the_base_is() {
    let base = view(5, &[A, C], row(&[A], &[C]));
    let answers =
        |installed| vec![promise(A, &base, Some(5), true), promise(C, &base, installed, true)];
    assert_eq!(next(&base, true, answers(Some(5))).view.rows[0].owners, [A, C]);
    assert_eq!(next(&base, true, answers(Some(4))).view.rows[0].owners, [A]);
    // The primary is gone: the pending one has had every write since, and is enough.
    let alone = vec![promise(C, &base, Some(5), true), promise(B, &base, None, false)];
    assert_eq!(next(&base, true, alone).view.rows[0].owners, [C]);
}

#[test]
fn whoever_may_have_the_only_copy_does_not_leave_before_that_is_settled() {
    let e4 = view(4, &[A, B, C], row(&[A, B], &[]));
    let doubts = vec![Doubt { epoch: epoch(5), owners: vec![B] }];
    let d = NodeId(4);
    let mut base = view(5, &[B, C, d], Row { doubts, ..row(&[A], &[]) });
    base.electorate.known.insert(d, "d".into());
    base.members[0].leaving = true;
    // A is away and never was in e5: if it comes back empty, what B holds is all there is.
    let answers = vec![
        promise(B, &e4, Some(4), true),
        promise(C, &base, Some(5), false),
        promise(d, &base, Some(5), false),
    ];
    let view = next(&base, false, answers).view;
    assert!(view.has(life(B)) && view.rows[0].may_need(B));
}

#[test]
fn who_was_left_out_owns_it_again_when_the_view_that_did_it_never_stood() {
    let e4 = view(4, &[A, B, C], row(&[A, B], &[]));
    let doubts = vec![Doubt { epoch: epoch(5), owners: vec![B] }];
    let base = view(5, &[A, C], Row { doubts, ..row(&[A], &[C]) });
    // A has lost its memory; on its disk is e4: it never accepted e5, so e5 never stood.
    let refuted = vec![
        promise(A, &e4, None, false),
        promise(B, &e4, Some(4), true),
        promise(C, &base, None, false),
    ];
    let view = next(&base, false, refuted);
    assert_eq!((view.view.rows[0].owners.as_slice(), view.lost.is_empty()), (&[B][..], true));
    // It accepted e5 and never installed it: whether e5 stood or not, A wrote nothing in it.
    let idle = vec![
        Promise { was_in: epoch(4), ..promise(A, &base, None, false) },
        promise(B, &e4, Some(4), true),
        promise(C, &base, None, false),
    ];
    let view = next(&base, false, idle);
    assert_eq!((view.view.rows[0].owners.as_slice(), view.lost.is_empty()), (&[B][..], true));
    // Had it been in e5, it might have written alone: told as a loss.
    let unproven = vec![
        promise(A, &base, None, false),
        promise(B, &e4, Some(4), true),
        promise(C, &base, None, false),
    ];
    let view = next(&base, false, unproven);
    assert_eq!((view.view.rows[0].owners.as_slice(), view.lost.contains(0)), (&[B][..], true));
}

#[test]
fn who_was_left_out_owns_it_again_when_the_proposer_says_that_the_view_that_did_it_never_stood() {
    let by = |counter, node| Epoch { counter, join: 1, by: life(node) };
    // B and A own the row, and have died; C proposed the view that left out D, and never made it stand.
    let d = NodeId(4);
    let doubts = vec![Doubt { epoch: by(5, C), owners: vec![d] }];
    let mut base = view(5, &[A, B, C, d], Row { doubts, ..row(&[A, B], &[]) });
    base.epoch = by(5, C);
    base.electorate = Electorate::default();
    let answers = |last| {
        vec![
            was_in(last, promise(C, &base, Some(4), false)),
            was_in(4, promise(d, &base, Some(4), true)),
        ]
    };
    let kept = next(&base, false, answers(4));
    assert!(kept.lost.is_empty());
    assert_eq!(kept.view.rows[0].owners, [d]);
    // It made it stand: what D holds may be old, and is told as a loss.
    let mut stood = answers(4);
    stood[0].was_in = by(5, C);
    assert!(next(&base, false, stood).lost.contains(0));
}

#[test]
fn who_was_left_out_stays_out_when_a_later_view_without_it_stood() {
    // C proposed a view without B, which never stood. A made the next one upon it, without C, and wrote in
    // it alone: what B holds is old, though C knows that its own view never stood.
    let by = |counter, node| Epoch { counter, join: 1, by: life(node) };
    let doubts = vec![
        Doubt { epoch: by(5, C), owners: vec![B] },
        Doubt { epoch: by(6, A), owners: vec![C] },
    ];
    let base = view(6, &[A, C], Row { doubts, ..row(&[A], &[C]) });
    let e4 = view(4, &[A, B, C], row(&[A, B], &[]));
    for committed in [true, false] {
        let answers = vec![
            was_in(4, promise(B, &e4, Some(4), true)),
            was_in(4, promise(C, &base, Some(4), false)),
        ];
        let next = next(&base, committed, answers);
        assert_eq!(next.view.rows[0].owners, [A]);
        assert!(next.view.primary(0).is_none() && next.lost.is_empty(), "it waits for A");
    }
}

#[test]
fn a_change_of_the_electorate_needs_the_one_before_until_it_stands() {
    let mut base = view(4, &[A, B], row(&[A, B], &[]));
    base.electorate.known.remove(&C);
    let answers = || {
        vec![
            promise(A, &base, Some(4), true),
            promise(B, &base, Some(4), true),
            promise(C, &base, None, false),
        ]
    };
    let joined = next(&base, true, answers()).view;
    assert_eq!(joined.before, Some(base.electorate.clone()));
    assert_eq!(joined.electorate.known.len(), 3);
    // While the last change is not known to stand, no other begins: the newcomer waits.
    let mut unproven = base.clone();
    unproven.before = Some(Electorate { quorum: Some(2), known: base.electorate.known.clone() });
    let waits = next(&unproven, false, answers()).view;
    assert_eq!((waits.members.len(), waits.before), (2, unproven.before));
}
