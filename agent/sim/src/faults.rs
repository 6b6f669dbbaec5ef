//! What goes wrong, and when it may: a schedule takes away the last copy of nothing, so that every
//! loss that is seen is the cluster's fault.

use crate::case::Kind;
use crate::happening::Happening;
use crate::network::Weather;
use crate::world::{MS, Time, World};
use muster_cluster::message::Wish;
use muster_cluster::{Durable, View};
use muster_grid::Event;
use std::collections::BTreeSet;
use std::sync::Arc;

/// The next fault, and when the one after it comes.
pub fn fault(world: &mut World) {
    match (world.case.kind, world.rng.u8(0..100)) {
        (Kind::Splits, 0..70) | (Kind::Quorum, 0..30) => cut(world),
        (Kind::Crashes, 0..55) | (Kind::Quorum, 30..62) => crash(world),
        (_, 0..72) => freeze(world),
        (_, 72..84) => weather(world),
        (Kind::Crashes | Kind::Quorum, 84..96) => leave(world),
        (Kind::Quorum, 96..) => wish(world),
        _ => {}
    }
    let next = world.now + world.rng.u64(50 * MS..900 * MS);
    world.at(next, Happening::Fault);
}

/// Everything is well again.
pub fn heal_all(world: &mut World) {
    world.mend();
    world.weather = Weather { loss: 0, doubled: 0, delay: 2 * MS };
    for slot in 0..world.slots.len() {
        world.slots[slot].frozen_until = 0;
        world.slots[slot].dies_after = None;
        if !world.is_up(slot) {
            world.at(world.now, Happening::Start { slot });
        }
    }
    world.tell(|| "all is well again".into());
}

/// All members end at once, and start again one after the other.
pub fn blackout(world: &mut World) {
    world.tell(|| "all end at once".into());
    for slot in 0..world.slots.len() {
        if world.is_up(slot) {
            world.counts.kills += 1;
            world.kill(slot, "is killed with all others");
        }
        let back = world.now + world.rng.u64(20 * MS..1_500 * MS);
        world.at(back, Happening::Start { slot });
    }
}

fn cut(world: &mut World) {
    let count = world.slots.len();
    let mut cut = BTreeSet::new();
    let one_way = world.rng.u8(0..4) == 0;
    let side: Vec<bool> = match world.rng.u8(0..3) {
        0 => {
            let alone = world.rng.usize(0..count);
            (0..count).map(|at| at == alone).collect()
        }
        _ => (0..count).map(|_| world.rng.bool()).collect(),
    };
    for from in 0..count {
        for to in 0..count {
            if side[from] != side[to] && (!one_way || side[from]) {
                cut.insert((from, to));
            }
        }
    }
    if cut.is_empty() {
        return;
    }
    world.counts.cuts += 1;
    world.tell(|| {
        let away: Vec<String> =
            (0..count).filter(|at| side[*at]).map(|at| format!("m{}", at + 1)).collect();
        let how = if one_way { "nothing comes from" } else { "cut off:" };
        format!("{how} {}", away.join(" "))
    });
    world.cut = cut;
    let heals = world.now + world.rng.u64(100 * MS..4_000 * MS);
    world.at(heals, Happening::Heal);
}

/// A cut ends.
pub fn heal(world: &mut World) {
    if !world.cut.is_empty() {
        world.tell(|| "the network is whole".into());
        world.mend();
    }
}

fn crash(world: &mut World) {
    let up: Vec<usize> = world.cores().map(|(at, _)| at).collect();
    let Some(victim) = world.rng.choice(&up).copied() else { return };
    if up.len() < 2 || !can_die(world, victim) {
        return;
    }
    if world.rng.bool() {
        world.slots[victim].dies_after = Some(world.rng.u32(0..60));
    } else {
        world.counts.kills += 1;
        world.kill(victim, "is killed");
    }
    if world.case.wipes
        && world.rng.u8(0..4) == 0
        && !world.is_up(victim)
        && can_wipe(world, victim)
    {
        world.slots[victim].disk = Durable::default();
        world.slots[victim].node = world.new_node();
        world.tell(|| format!("m{} lost its disk", victim + 1));
    }
    let back = world.now + world.rng.u64(20 * MS..2_500 * MS);
    world.at(back, Happening::Start { slot: victim });
}

/// Every view that may be the base of the next one.
fn candidates(world: &World) -> Vec<Arc<View>> {
    let newest = (world.cores())
        .filter_map(|(_, core)| core.membership().view().map(|view| view.epoch))
        .max();
    let mut views: Vec<Arc<View>> = Vec::new();
    for (_, core) in world.cores() {
        views.extend(core.membership().view().cloned());
    }
    views.extend(world.slots.iter().filter_map(|slot| slot.disk.accepted.clone()));
    views.retain(|view| newest.is_none_or(|newest| view.epoch >= newest));
    views.sort_by_key(|view| view.epoch);
    views.dedup_by_key(|view| view.epoch);
    views
}

/// Whether another living process has a whole copy of whatever this one has.
#[must_use]
pub fn can_die(world: &World, victim: usize) -> bool {
    let Some(dying) = &world.slots[victim].core else { return true };
    // A member that leaves and finds itself the last one takes everything with it, as it was told.
    let somebody_leaves = world.slots.iter().any(|slot| slot.leaves && slot.core.is_some());
    if somebody_leaves && world.case.kind == Kind::Crashes {
        return false;
    }
    let me = world.slots[victim].node;
    candidates(world).iter().all(|view| {
        (0..).zip(&view.rows).all(|(id, row)| {
            // An owner, or one that was left out by a view that perhaps never stood.
            let may_matter = row.owners.contains(&me) || row.may_need(me);
            !(may_matter && dying.grid().is_complete(id))
                || world.cores().any(|(at, core)| {
                    at != victim
                        && row.owners.contains(&world.slots[at].node)
                        && core.grid().is_complete(id)
                        && world.slots[at].dies_after.is_none()
                        && !world.slots[at].leaves
                })
        })
    })
}

/// Whether a node may lose its identity: all other voters have theirs.
fn can_wipe(world: &World, victim: usize) -> bool {
    if world.case.kind != Kind::Quorum {
        return true;
    }
    let present: BTreeSet<_> = world.slots.iter().map(|slot| slot.node).collect();
    let disks = world.slots.iter().enumerate().filter(|(at, _)| *at != victim);
    let others: Vec<_> = disks.map(|(_, slot)| slot.disk.accepted.clone()).collect();
    // With two of two, nobody may be lost; and everybody must know of the last change.
    let quorum = usize::from(world.case.quorum.unwrap_or(1));
    let epochs: BTreeSet<_> = others.iter().flatten().map(|view| view.epoch).collect();
    // And no proposal may be under way: it may count on what the victim has promised.
    let is_quiet = world.cores().all(|(_, core)| {
        let promised = core.membership().promised();
        core.membership().view().is_some_and(|view| view.epoch == promised)
    });
    is_quiet
        && quorum < world.slots.len()
        && epochs.len() == 1
        && others.iter().all(|view| {
            view.as_ref().is_some_and(|view| {
                view.before.is_none()
                    && view.electorate.quorum == world.case.quorum
                    && view.electorate.known.keys().all(|node| present.contains(node))
            })
        })
}

fn freeze(world: &mut World) {
    let up: Vec<usize> = world.cores().map(|(at, _)| at).collect();
    let Some(at) = world.rng.choice(&up).copied() else { return };
    // Without a quorum nobody may be suspected wrongly: the promise does not hold then.
    let most = if world.case.kind == Kind::Quorum { 3_000 } else { 400 };
    let ms = world.rng.u64(20..most);
    world.slots[at].frozen_until = world.now + ms * MS;
    world.tell(|| format!("m{} is frozen for {ms} ms", at + 1));
}

fn weather(world: &mut World) {
    let is_quorum = world.case.kind == Kind::Quorum;
    let most_loss = if is_quorum { 200 } else { 20 };
    let most_delay: Time = if is_quorum { 150 } else { 25 };
    world.weather = Weather {
        loss: world.rng.u32(0..most_loss),
        doubled: world.rng.u32(0..100),
        delay: world.rng.u64(1..most_delay) * MS,
    };
    let weather = world.weather;
    world.tell(|| format!("{weather:?}"));
}

fn leave(world: &mut World) {
    let up: Vec<usize> = world.cores().map(|(at, _)| at).collect();
    let Some(at) = world.rng.choice(&up).copied() else { return };
    // The last one to leave takes everything with it, as it was told to.
    let stays = |other: &usize| {
        *other != at
            && !world.slots[*other].leaves
            && world.slots[*other].core.as_ref().is_some_and(|c| c.membership().view().is_some())
    };
    if up.iter().any(stays) && !world.slots[at].leaves {
        world.slots[at].leaves = true;
        world.tell(|| format!("m{} wants to leave", at + 1));
        world.give(at, Event::Cluster(muster_cluster::Event::Leave));
    }
}

fn wish(world: &mut World) {
    // Nodes that lose their identity need the quorum that they were counted with.
    if world.case.wipes {
        return;
    }
    let up: Vec<usize> = world.cores().map(|(at, _)| at).collect();
    let Some(at) = world.rng.choice(&up).copied() else { return };
    let count = world.slots.len();
    let quorum = Some(u16::try_from(world.rng.usize(count / 2 + 1..=count)).unwrap_or(1));
    world.tell(|| format!("m{} is told to set the quorum to {quorum:?}", at + 1));
    let wish = Wish::Quorum { quorum, forced: false };
    world.give(at, Event::Cluster(muster_cluster::Event::Wish(wish)));
}
