//! What was promised, checked from outside.

use crate::case::Kind;
use crate::client::{Clients, Histories, LEASES, Sort};
use crate::linear::{Effect, Linear, check};
use crate::world::{MS, Time, World};
use muster_grid::Rev;
use std::collections::{BTreeMap, BTreeSet};

/// Watches leases while things happen.
#[derive(Default)]
pub struct LeaseWatch {
    tokens: BTreeMap<&'static [u8], (usize, Rev)>,
}

impl LeaseWatch {
    /// At most one member believes to hold a lease, each by its own clock; tokens only rise.
    pub fn look(&mut self, world: &mut World) {
        if world.case.kind == Kind::Splits {
            return;
        }
        for name in LEASES {
            let holders: Vec<(usize, Rev)> = (world.cores())
                .filter_map(|(at, core)| Some((at, core.grid().lease(name, world.clock(at))?)))
                .collect();
            let shown = String::from_utf8_lossy(name);
            if let [first, second, ..] = holders[..] {
                let (a, b) = (first.0 + 1, second.0 + 1);
                world.wrong.push(format!("lease {shown} is held by m{a} and m{b} at once"));
            }
            if let [(at, token)] = holders[..] {
                let last = self.tokens.insert(name, (at, token));
                if last.is_some_and(|(_, last)| token < last) {
                    world.wrong.push(format!("the token of lease {shown} fell to {token:?}"));
                }
            }
        }
    }
}

/// Whether everybody agrees and everything is where it should be; why not, in words.
pub fn converged(world: &World) -> Result<(), String> {
    let mut views = Vec::new();
    for (at, slot) in world.slots.iter().enumerate() {
        let core = slot.core.as_ref().ok_or_else(|| format!("m{} is down", at + 1))?;
        let view = core.membership().view().ok_or_else(|| format!("m{} has no view", at + 1))?;
        if core.membership().promised() != view.epoch {
            return Err(format!("m{} promised more than {}", at + 1, view.epoch));
        }
        if core.grid().offered() > 0 {
            return Err(format!("m{} still gives data to the other side", at + 1));
        }
        views.push(view.clone());
    }
    let view = &views[0];
    if let Some(other) = views.iter().find(|other| other.epoch != view.epoch) {
        return Err(format!("there are two views, {} and {}", view.epoch, other.epoch));
    }
    if view.members.len() != world.slots.len() {
        return Err(format!("{} has {} members", view.epoch, view.members.len()));
    }
    if !view.is_settled() {
        return Err(format!("{} is not settled", view.epoch));
    }
    for (id, row) in (0..).zip(&view.rows) {
        let mut digests = BTreeSet::new();
        for owner in &row.owners {
            let Some((_, core)) = world.cores().find(|(at, _)| world.slots[*at].node == *owner)
            else {
                return Err(format!("row {id} waits for {owner}"));
            };
            if !core.grid().is_complete(id) {
                return Err(format!("row {id} is not whole at {owner}"));
            }
            digests.extend(core.grid().store(id).map(muster_grid::store::Store::digest));
        }
        if digests.len() != 1 {
            return Err(format!("the copies of row {id} differ"));
        }
    }
    Ok(())
}

/// Checks all histories of one schedule.
pub fn judge(world: &mut World, clients: &Clients) {
    let histories = &clients.histories;
    match world.case.kind {
        Kind::Splits => sets_are_whole(world, clients),
        Kind::Crashes | Kind::Quorum => {
            linearizable(world, histories);
            locks(world, histories);
            tokens(world, histories);
            expiry(world, histories);
        }
    }
    no_value_is_invented(world, histories);
}

fn linearizable(world: &mut World, histories: &Histories) {
    for (group, history) in &histories.groups {
        match check(history) {
            Linear::Yes => {}
            Linear::GaveUp => world.wrong.push(format!("gave up on the history of {group:?}")),
            Linear::No(upto) => {
                world.wrong.push(format!(
                    "group {group:?} is not linearizable: only {upto} of {} operations fit",
                    history.len()
                ));
                let mut history = history.clone();
                history.sort_by_key(|operation| operation.called);
                for operation in history {
                    world.tell(|| {
                        format!(
                            "  {group:?} {:>10.3}..{} {} {:?}",
                            operation.called as f64 / 1e6,
                            (operation.returned)
                                .map_or("?".into(), |at| format!("{:.3}", at as f64 / 1e6)),
                            operation.who,
                            operation.effect
                        )
                    });
                }
            }
        }
    }
}

/// Commits under checkouts come in the order of their fences, and a confirmed checkout after
/// another has the higher fence.
fn locks(world: &mut World, histories: &Histories) {
    for (group, commits) in &histories.commits {
        let mut commits = commits.clone();
        commits.sort_by_key(|commit| commit.rev);
        if commits.windows(2).any(|pair| pair[0].fence > pair[1].fence) {
            world.wrong.push(format!("group {group:?} was written under a fence that was over"));
        }
    }
    for (group, confirmed) in &histories.confirmed {
        let wrong = confirmed.iter().any(|first| {
            confirmed
                .iter()
                .any(|later| later.called > first.returned && later.fence <= first.fence)
        });
        if wrong {
            world.wrong.push(format!("the fences of group {group:?} did not rise"));
        }
    }
}

/// A group's tokens rise from write to write, whatever was removed in between; and whoever was
/// fenced had a lower one than somebody who wrote, or may have written.
fn tokens(world: &mut World, histories: &Histories) {
    for (group, all) in &histories.tokens {
        let mut written: Vec<_> = (all.iter()).filter_map(|one| Some((one.rev?, one))).collect();
        written.sort_by_key(|(rev, _)| *rev);
        for pair in written.windows(2) {
            let (first, later) = (pair[0].1, pair[1].1);
            if later.token < first.token {
                let (low, high) = (later.token, first.token);
                world.wrong.push(format!("group {group:?} went from token {high} back to {low}"));
            }
        }
        for fenced in all.iter().filter(|one| one.is_fenced) {
            let is_justified = all.iter().any(|other| {
                !other.is_fenced
                    && other.token > fenced.token
                    && fenced.returned.is_none_or(|returned| other.called < returned)
            });
            if !is_justified {
                let token = fenced.token;
                world.wrong.push(format!("group {group:?} fenced token {token} for nobody"));
            }
        }
    }
}

/// No value is seen long after its time, and none vanishes before it.
fn expiry(world: &mut World, histories: &Histories) {
    for (group, all) in &histories.expiring {
        let puts = || all.iter().filter(|one| one.ttl.is_some());
        for read in all.iter().filter(|one| one.ttl.is_none()) {
            let Some(returned) = read.returned else { continue };
            for put in puts() {
                let ttl = put.ttl.unwrap_or(0);
                // A put of unknown end may happen until its deadline, and each move of a copy to
                // another clock may add what its messages took.
                let end = put.returned.unwrap_or(put.called + 5_000 * MS);
                if read.value == put.value && read.called > end + ttl * 5 / 4 + 3_000 * MS {
                    world.wrong.push(format!("group {group:?}: {:?} outlived its time", put.value));
                }
                let is_last = !puts().any(|other| {
                    other.called >= put.called
                        && other.value != put.value
                        && other.called < returned
                });
                let must_live = put.returned.is_some_and(|end| read.called > end)
                    && returned < put.called + ttl * 3 / 4;
                let before =
                    puts().any(|other| other.called < put.called && other.returned.is_none());
                if is_last && !before && must_live && read.value != put.value {
                    world.wrong.push(format!("group {group:?}: {:?} died early", put.value));
                }
            }
        }
    }
}

/// What both sides of a split added is there when they have met again.
fn sets_are_whole(world: &mut World, clients: &Clients) {
    for (group, sort) in clients.groups() {
        let Some(history) = clients.histories.groups.get(group) else { continue };
        let mut last: Vec<(Time, &BTreeMap<u32, u32>)> = Vec::new();
        let mut added = BTreeSet::new();
        for operation in history {
            match &operation.effect {
                Effect::Read(seen) => last.push((operation.called, seen)),
                Effect::Write { puts, .. } if operation.returned.is_some() => {
                    added.extend(puts.iter().map(|(key, _)| *key));
                }
                Effect::Write { .. } | Effect::Conflict { .. } => {}
            }
        }
        // All read at one moment at the end; whoever got no answer then has not read.
        let end = last.iter().map(|(called, _)| *called).max();
        let finals = last.iter().filter(|(called, _)| Some(*called) == end);
        let finals: BTreeSet<_> = finals.map(|(_, seen)| *seen).collect();
        if finals.len() > 1 {
            world.wrong.push(format!("group {group:?} is not the same for all after the merge"));
        }
        let Some(seen) = finals.first() else { continue };
        let missing: Vec<&u32> = added.iter().filter(|key| !seen.contains_key(key)).collect();
        if *sort == Sort::Set && !missing.is_empty() {
            world.wrong.push(format!("group {group:?} lost {missing:?} in a merge"));
        }
    }
}

/// Even a read that may be old sees only what somebody wrote, and nothing of the future.
fn no_value_is_invented(world: &mut World, histories: &Histories) {
    for (group, at, seen) in &histories.local {
        let Some(history) = histories.groups.get(group) else { continue };
        for (key, value) in seen {
            let written = history.iter().any(|operation| match &operation.effect {
                Effect::Write { puts, .. } => {
                    operation.called <= *at && puts.contains(&(*key, Some(*value)))
                }
                Effect::Read(_) | Effect::Conflict { .. } => false,
            });
            if !written {
                world.wrong.push(format!("group {group:?}: nobody wrote {value} under {key}"));
            }
        }
    }
}
