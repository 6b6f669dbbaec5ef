//! The next view, as a function of the answers to a proposal. The rules that keep acknowledged
//! writes are here: who survives as an owner, who is promoted, and when a row may begin empty.

use crate::bounds::MOST_DOUBTS;
use crate::id::{Epoch, MemberId, NodeId};
use crate::message::{Change, Promise};
use crate::rows::{RowId, RowSet};
use crate::view::{Copies, Doubt, Electorate, Member, Row, View};
use std::collections::{BTreeMap, BTreeSet};

/// Where the rows of every table should be: a function of the members alone, so that all members
/// agree on it without talking.
pub trait Placement: Send + Sync {
    /// For each row, table after table: who should own it, the primary first. Never empty while
    /// there are members.
    fn place(&self, tables: &[Copies], segments: u16, members: &[&Member]) -> Vec<Vec<NodeId>>;
}

/// What a proposer knows when everybody has answered.
pub struct Answers<'a> {
    /// The attempt.
    pub epoch: Epoch,
    /// The accepted view of the highest epoch among the answers.
    pub base: Option<&'a View>,
    /// Whether one of the answers knows that it stands.
    pub committed: bool,
    /// All promises, by node.
    pub promises: &'a BTreeMap<NodeId, Promise>,
    /// What an operator wants of the electorate.
    pub change: &'a Change,
    /// Who asked to leave.
    pub leaving: &'a BTreeSet<MemberId>,
    /// Who is not to be filled at the moment.
    pub slow: &'a BTreeSet<NodeId>,
    /// Tables, segments and quorum of a first view.
    pub first: (&'a [Copies], u16, Option<u16>),
}

/// The view to be proposed.
pub struct Next {
    /// The view.
    pub view: View,
    /// Rows that begin empty although they had owners.
    pub lost: RowSet,
}

/// The next view.
#[must_use]
pub fn succeed(answers: &Answers<'_>, placement: &dyn Placement) -> Next {
    let (mut members, next_join) = members(answers);
    let (mut electorate, mut before, barred) = electorate(answers, &members);
    members.retain(|member| !barred.contains(&member.id.node));
    let (tables, segments, _) = answers.first;
    let (tables, segments) = match answers.base {
        Some(base) => (base.tables.clone(), base.segments),
        None => (tables.to_vec(), segments),
    };
    let targets = targets(placement, &tables, segments, &members);
    let mut lost = RowSet::default();
    let rows: Vec<Row> = (targets.iter().enumerate())
        .map(|(at, target)| {
            let at = RowId::try_from(at).unwrap_or(RowId::MAX);
            let (row, is_lost) = row(answers, &electorate, at, target, &members);
            if is_lost {
                lost.insert(at);
            }
            row
        })
        .collect();
    let gone = handed_over(&members, &rows, &electorate);
    members.retain(|member| !gone.contains(&member.id.node));
    forget_left(answers, &gone, &mut electorate, &mut before);
    let merged = members.iter().any(|member| {
        (answers.promises.get(&member.id.node)).is_some_and(|promise| promise.who.moved)
            && !answers.base.is_some_and(|base| base.has(member.id))
    });
    let epoch = answers.epoch;
    let view =
        View { epoch, members, next_join, electorate, before, tables, segments, rows, merged };
    Next { view, lost }
}

/// The owners that each row should have, with those who leave left out.
pub(crate) fn targets(
    placement: &dyn Placement,
    tables: &[Copies],
    segments: u16,
    members: &[Member],
) -> Vec<Vec<NodeId>> {
    let mut stay: Vec<&Member> = members.iter().filter(|member| !member.leaving).collect();
    if stay.is_empty() {
        stay = members.iter().collect();
    }
    placement.place(tables, segments, &stay)
}

/// Those who answered: members of the base keep their join numbers, newcomers and new lives get
/// the next ones.
fn members(answers: &Answers<'_>) -> (Vec<Member>, u64) {
    let mut next_join = answers.base.map_or(1, |base| base.next_join);
    let old = answers.base.map_or(&[][..], |base| &base.members);
    let answered =
        |id: MemberId| answers.promises.get(&id.node).is_some_and(|promise| promise.who.id == id);
    let mut members: Vec<Member> =
        old.iter().filter(|member| answered(member.id)).cloned().collect();
    for member in &mut members {
        member.leaving |= answers.leaving.contains(&member.id);
    }
    for promise in answers.promises.values() {
        let who = &promise.who;
        if members.iter().any(|member| member.id == who.id) {
            continue;
        }
        members.push(Member {
            id: who.id,
            name: who.name.clone(),
            address: who.address.clone(),
            join: next_join,
            weight: who.weight,
            leaving: false,
        });
        next_join += 1;
    }
    (members, next_join)
}

/// The electorate, the one before where that must agree too, and newcomers that cannot come in
/// yet because a change of the electorate is still under way.
fn electorate(
    answers: &Answers<'_>,
    members: &[Member],
) -> (Electorate, Option<Electorate>, BTreeSet<NodeId>) {
    let Some(base) = answers.base else {
        let mut first = Electorate { quorum: answers.first.2, ..Electorate::default() };
        if first.quorum.is_some() {
            first.known = members.iter().map(|m| (m.id.node, m.name.clone())).collect();
        }
        return (first, None, BTreeSet::new());
    };
    let mut wanted = base.electorate.clone();
    // A quorum that those who are here could not reach waits until they can.
    let here = members.len();
    let reachable = |quorum: &Option<u16>| quorum.is_none_or(|quorum| usize::from(quorum) <= here);
    wanted.quorum = answers.change.quorum.filter(reachable).unwrap_or(wanted.quorum);
    wanted
        .known
        .retain(|node, _| wanted.quorum.is_some() && !answers.change.forgotten.contains(node));
    let begins = base.electorate.quorum.is_none();
    let newcomers: Vec<&Member> = (members.iter())
        .filter(|m| wanted.quorum.is_some() && !wanted.known.contains_key(&m.id.node))
        .collect();
    let mut barred = BTreeSet::new();
    for newcomer in newcomers {
        let mut known = wanted.known.clone();
        // A name whose holder is away: the newcomer takes its place, and its vote.
        known.retain(|node, name| {
            *name != newcomer.name || members.iter().any(|m| m.id.node == *node)
        });
        known.insert(newcomer.id.node, newcomer.name.clone());
        let grows = known.len() > wanted.known.len();
        if begins || !grows || is_safe(wanted.quorum, known.len()) {
            wanted.known = known;
        } else {
            barred.insert(newcomer.id.node);
        }
    }
    if wanted == base.electorate {
        let before = if answers.committed { None } else { base.before.clone() };
        return (wanted, before, barred);
    }
    // One change after the other: while the last one is not known to stand, no new one begins.
    if !answers.committed && base.before.is_some() {
        barred = (members.iter().map(|m| m.id.node))
            .filter(|node| !begins && !base.electorate.known.contains_key(node))
            .collect();
        return (base.electorate.clone(), base.before.clone(), barred);
    }
    (wanted, Some(base.electorate.clone()), barred)
}

/// Whether two quorums always share a node.
pub(crate) fn is_safe(quorum: Option<u16>, known: usize) -> bool {
    quorum.is_none_or(|quorum| usize::from(quorum) * 2 > known)
}

/// The next owners of one row, and whether its data is lost.
fn row(
    answers: &Answers<'_>,
    electorate: &Electorate,
    at: RowId,
    target: &[NodeId],
    members: &[Member],
) -> (Row, bool) {
    let fresh = || Row { owners: target.to_vec(), fresh: true, ..Row::default() };
    let Some((base, old)) =
        answers.base.and_then(|base| Some((base, base.rows.get(usize::from(at))?)))
    else {
        return (fresh(), false);
    };
    let holds = |node: &NodeId| {
        answers.promises.get(node).is_some_and(|promise| promise.complete.contains(at))
            && members.iter().any(|member| member.id.node == *node)
    };
    let mut survivors: Vec<NodeId> = old.owners.iter().copied().filter(holds).collect();
    if survivors.is_empty() {
        survivors = never_replaced(answers, base, old, holds);
    }
    let mut is_lost = false;
    if survivors.is_empty()
        && !is_untouched(answers, base, old)
        && away(answers, electorate, base, old).is_empty()
    {
        // The owners have lost it, and nobody can say whether they wrote alone. What those hold who
        // were left out is better than nothing; it is told as a loss.
        survivors = (old.doubts.iter().rev())
            .map(|doubt| doubt.owners.iter().copied().filter(holds).collect::<Vec<_>>())
            .find(|owners| !owners.is_empty())
            .unwrap_or_default();
        is_lost = !survivors.is_empty();
    }
    // Filled in the very view that the base is: then it has had every write since.
    let promoted = old
        .pending
        .iter()
        .copied()
        .filter(|node| holds(node) && answers.promises[node].installed == Some(base.epoch));
    let owners: Vec<NodeId> = survivors.iter().copied().chain(promoted).collect();
    if owners.is_empty() {
        return without_owner(answers, electorate, base, old, fresh());
    }
    let missing: Vec<NodeId> =
        target.iter().copied().filter(|node| !owners.contains(node)).collect();
    if !missing.is_empty() {
        let pending = missing.into_iter().filter(|node| !answers.slow.contains(node)).collect();
        let doubts = doubts(answers, old, &owners);
        return (Row { owners, pending, fresh: false, doubts }, is_lost);
    }
    // All who should own it hold it. The primary is kept until the next view when the one that
    // should be it has only just been promoted.
    let keep = survivors.first().filter(|_| !survivors.contains(&target[0]));
    let owners: Vec<NodeId> = (keep.into_iter())
        .chain(target.iter().filter(|node| Some(*node) != keep))
        .copied()
        .collect();
    let doubts = doubts(answers, old, &owners);
    (Row { owners, pending: Vec::new(), fresh: false, doubts }, is_lost)
}

/// Whom views left out that are not known to stand, this one among them. Beyond the bound the oldest
/// is forgotten.
fn doubts(answers: &Answers<'_>, old: &Row, owners: &[NodeId]) -> Vec<Doubt> {
    let mut doubts = if answers.committed { Vec::new() } else { old.doubts.clone() };
    doubts.retain(|doubt| !doubt.is_mark());
    let left_out: Vec<NodeId> =
        old.owners.iter().copied().filter(|node| !owners.contains(node)).collect();
    if !left_out.is_empty() {
        doubts.push(Doubt { epoch: answers.epoch, owners: left_out });
    }
    bounded(doubts)
}

fn bounded(mut doubts: Vec<Doubt>) -> Vec<Doubt> {
    let surplus = doubts.len().saturating_sub(MOST_DOUBTS);
    doubts.drain(..surplus);
    doubts
}

/// Whether whoever proposed a view answers, and never made it stand: then nobody installed it.
fn never_stood(answers: &Answers<'_>, epoch: Epoch) -> bool {
    answers.promises.get(&epoch.by.node).is_some_and(|proposer| proposer.was_in < epoch)
}

/// Doubts about a base that did not stand, or about views in which one of the row's owners served
/// nothing, as it installed neither them nor a later one. The latest first. That an earlier view than
/// the base did not stand says nothing: a later one without the same owners may have.
fn refuted<'a>(
    answers: &'a Answers<'_>,
    base: &'a View,
    old: &'a Row,
) -> impl Iterator<Item = &'a Doubt> {
    let untouched = began(base, old).filter(|_| is_untouched(answers, base, old));
    old.doubts.iter().rev().filter(move |doubt| {
        untouched == Some(doubt.epoch)
            || (doubt.epoch == base.epoch && never_stood(answers, base.epoch))
            || old.owners.iter().any(|owner| {
                answers.promises.get(owner).is_some_and(|promise| {
                    promise.was_in < doubt.epoch
                        || promise.accepted.as_ref().is_none_or(|view| view.epoch < doubt.epoch)
                })
            })
    })
}

/// Owners that a view left out in which nothing was written: one of the row's owners has not accepted
/// it, and without that it cannot have stood; or that owner never installed it, and without that
/// nothing was acknowledged. What those hold who were left out is whole.
fn never_replaced(
    answers: &Answers<'_>,
    base: &View,
    old: &Row,
    holds: impl Fn(&NodeId) -> bool,
) -> Vec<NodeId> {
    // The later a view, the fewer owners it leaves to be asked: the latest refuted one counts.
    refuted(answers, base, old)
        .map(|doubt| doubt.owners.iter().copied().filter(&holds).collect::<Vec<_>>())
        .find(|owners| !owners.is_empty())
        .unwrap_or_default()
}

/// A row that nobody who answered holds. Without a quorum it begins empty, so that the cluster
/// works on. With one it waits for its owners, until each is known to have lost it.
fn without_owner(
    answers: &Answers<'_>,
    electorate: &Electorate,
    base: &View,
    old: &Row,
    fresh: Row,
) -> (Row, bool) {
    let began = began(base, old);
    if is_untouched(answers, base, old) {
        // As empty as it was; those whom its view left out may still come.
        let mut doubts = old.doubts.clone();
        doubts.retain(|doubt| !doubt.is_mark());
        for doubt in doubts.iter_mut().filter(|doubt| began == Some(doubt.epoch)) {
            doubt.epoch = answers.epoch;
        }
        return (Row { doubts, ..fresh }, false);
    }
    let fresh = Row { doubts: doubts(answers, old, &[]), ..fresh };
    if electorate.quorum.is_none() {
        return (fresh, true);
    }
    let left = away(answers, electorate, base, old);
    if left.is_empty() {
        return (fresh, true);
    }
    let mut doubts = old.doubts.clone();
    if let Some(epoch) = began.filter(|_| !doubts.iter().any(Doubt::is_mark)) {
        doubts.push(Doubt { epoch, owners: Vec::new() });
    }
    let doubts = bounded(doubts);
    (Row { owners: left, pending: Vec::new(), fresh: old.fresh, doubts }, false)
}

/// The view with which a row began empty, where it had no write before that: the base itself, or,
/// while the row waits for its owners, the one that its mark names.
fn began(base: &View, old: &Row) -> Option<Epoch> {
    if !old.fresh {
        return None;
    }
    if old.owners.iter().any(|owner| base.member(*owner).is_some()) {
        return Some(base.epoch);
    }
    old.doubts.iter().find(|doubt| doubt.is_mark()).map(|mark| mark.epoch)
}

/// Begun empty in a view that never stood, or that one of its owners has not installed, and waiting
/// since for those who did not answer: nothing was acknowledged in it.
fn is_untouched(answers: &Answers<'_>, base: &View, old: &Row) -> bool {
    let Some(began) = began(base, old) else { return false };
    if never_stood(answers, began) {
        return true;
    }
    old.owners.iter().filter_map(|node| answers.promises.get(node)).any(|promise| {
        let missed_base = base.has(promise.who.id) && promise.installed != Some(base.epoch);
        missed_base || promise.was_in < began
    })
}

/// Owners that did not answer and may come back with their data: those of the view, or where they
/// are gone, those that a view left out which never stood.
fn away(answers: &Answers<'_>, electorate: &Electorate, base: &View, old: &Row) -> Vec<NodeId> {
    let is_away =
        |node: &NodeId| !answers.promises.contains_key(node) && electorate.known.contains_key(node);
    let left: Vec<NodeId> = old.owners.iter().copied().filter(is_away).collect();
    if !left.is_empty() {
        return left;
    }
    refuted(answers, base, old)
        .map(|doubt| doubt.owners.iter().copied().filter(is_away).collect())
        .find(|left: &Vec<NodeId>| !left.is_empty())
        .unwrap_or_default()
}

/// Those who leave and own nothing any more.
fn handed_over(members: &[Member], rows: &[Row], electorate: &Electorate) -> BTreeSet<NodeId> {
    let stay = || members.iter().filter(|member| !member.leaving).map(|member| &member.id.node);
    let stays = stay().next().is_some() && electorate.satisfied(stay());
    let is_member = |node: NodeId| members.iter().any(|member| member.id.node == node);
    (members.iter().filter(|member| member.leaving && stays).map(|member| member.id.node))
        .filter(|node| !rows.iter().any(|row| row.binds(*node, is_member)))
        .collect()
}

/// Who has left does not vote any more, as long as the others can still reach the quorum.
fn forget_left(
    answers: &Answers<'_>,
    gone: &BTreeSet<NodeId>,
    electorate: &mut Electorate,
    before: &mut Option<Electorate>,
) {
    let (Some(base), Some(quorum)) = (answers.base, electorate.quorum) else { return };
    if gone.is_empty() || before.is_some() {
        return;
    }
    for node in gone {
        if electorate.known.len() > usize::from(quorum) {
            electorate.known.remove(node);
        }
    }
    if *electorate != base.electorate {
        *before = Some(base.electorate.clone());
    }
}
