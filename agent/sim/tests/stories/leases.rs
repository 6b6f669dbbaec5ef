//! Leases whose primary is cut off or lost: soon somebody else's, and never two members'.

use crate::calm::Calm;
use muster_grid::{LeaseWish, Reply, Request, lease};
use muster_sim::happening::Happening;
use muster_sim::world::MS;
use muster_sim::{Case, Kind};
use std::time::Duration;

/// Who does not hold a lease asks for it so often, and who holds it renews it so often.
const ASKS: u64 = 50;
const RENEWS: u64 = 500;

fn wish(name: &[u8], wish: LeaseWish) -> Request {
    Request::Lease { name: name.into(), wish }
}

/// Members that take as long to find out as real ones do at most.
fn slow_to_see(members: usize, quorum: u16) -> Calm {
    let case = Case {
        kind: Kind::Quorum,
        segments: 16,
        copies: 2,
        detection: Duration::from_secs(2),
        ..Case::of(1, Some(members), Some(quorum))
    };
    let mut calm = Calm::of(case);
    calm.wait(12_000);
    calm
}

/// The machines that keep a lease, and the others.
fn owners(calm: &Calm, name: &[u8]) -> (Vec<usize>, Vec<usize>) {
    let view = calm.view(0);
    let row = &view.rows[usize::from(lease::group(name).row(&view))];
    let is_owner = |slot: &usize| row.owners.contains(&calm.world.slots[*slot].node);
    (0..calm.world.slots.len()).partition(is_owner)
}

fn holds(calm: &Calm, slot: usize, name: &[u8]) -> bool {
    let core = calm.world.slots[slot].core.as_ref();
    core.is_some_and(|core| core.grid().lease(name, calm.world.clock(slot)).is_some())
}

/// The holder renews, and all others ask, until one of these holds it; after how many milliseconds.
fn until_another_holds(calm: &mut Calm, holder: usize, name: &[u8]) -> u64 {
    let others: Vec<usize> = (0..calm.world.slots.len()).filter(|slot| *slot != holder).collect();
    let began = calm.world.now;
    for step in 0..400 {
        if step % (RENEWS / ASKS) == 0 {
            let (core, clock) = (calm.core(holder), calm.world.clock(holder));
            if let Some(token) = core.grid().lease(name, clock) {
                calm.begin(holder, wish(name, LeaseWish::Renew(token)));
            }
        }
        for slot in &others {
            calm.begin(*slot, wish(name, LeaseWish::Campaign));
        }
        calm.wait(ASKS);
        if others.iter().any(|slot| holds(calm, *slot, name)) {
            assert!(!holds(calm, holder, name), "two hold it at once");
            return (calm.world.now - began) / MS;
        }
    }
    unreachable!("nobody gets the lease of {name:?}");
}

#[test]
fn a_holder_that_is_cut_off_together_with_its_primary_is_followed_within_three_seconds() {
    for number in 0..6_u8 {
        let name = [b'l', number];
        let mut calm = slow_to_see(5, 3);
        let primary = calm.primary(&lease::group(&name));
        // Itself, or another that goes with it. Were that the other owner, all would wait for both.
        let others = owners(&calm, &name).1;
        let holder = if number % 3 == 0 { primary } else { others[usize::from(number % 3)] };
        let given = calm.ask(holder, wish(&name, LeaseWish::Campaign));
        assert!(matches!(given, Reply::Leased(_)), "{given:?}");
        calm.cut_off_together(&[primary, holder]);
        let after = until_another_holds(&mut calm, holder, &name);
        println!("m{} is cut off with m{}: followed after {after} ms", holder + 1, primary + 1);
        assert!(after <= 3_000, "the lease of m{} is free after {after} ms", holder + 1);
    }
}

#[test]
fn who_holds_a_lease_that_all_owners_have_lost_goes_on_alone_until_it_must_stop() {
    for number in 0..4_u8 {
        let name = [b'b', number];
        let mut calm = slow_to_see(3, 2);
        let (owners, others) = owners(&calm, &name);
        let holder = others[0];
        let given = calm.ask(holder, wish(&name, LeaseWish::Campaign));
        assert!(matches!(given, Reply::Leased(_)), "{given:?}");
        for slot in owners {
            calm.world.kill(slot, "is killed");
            calm.world.at(calm.world.now + 20 * MS, Happening::Start { slot });
        }
        calm.wait(30);
        let began = calm.world.now;
        while calm.members_at(holder) < 3 || calm.world.now < began + 200 * MS {
            calm.wait(10);
        }
        // Nobody renews it: it holds until its own clock says that it is over.
        let others = [(holder + 1) % 3, (holder + 2) % 3];
        while !others.iter().any(|slot| holds(&calm, *slot, &name)) {
            for slot in others {
                calm.begin(slot, wish(&name, LeaseWish::Campaign));
            }
            calm.wait(ASKS);
        }
        assert!(!holds(&calm, holder, &name), "two hold it at once");
    }
}
