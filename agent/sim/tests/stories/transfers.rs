//! Copies that are filled while views change.

use crate::calm::Calm;
use muster_cluster::message::Wish;
use muster_grid::{Batch, Expect, Group, Op, Put, Reply, Request, Space};
use muster_sim::world::MS;

#[test]
fn a_transfer_goes_on_where_it_was_when_the_view_changes_meanwhile() {
    let mut calm = Calm::new(3, Some(2));
    calm.wait(5_000);
    for number in 0..1_500u16 {
        let group = Group::new(Space { table: 1, cache: 1 }, &number.to_le_bytes());
        let put = Some(Put::new(&[7; 60]));
        let op = Op { key: b"k".into(), expect: Expect::Any, put };
        assert!(matches!(
            calm.ask(0, Request::Write(Batch::new(group, vec![op]))),
            Reply::Written(_)
        ));
    }
    calm.world.kill(2, "is killed");
    calm.wait(500);
    calm.world.start(2);
    // A chunk holds one group here: rows of a hundred groups take longer than a view.
    let is_filled_a_little = |calm: &Calm| {
        let grid = calm.core(2).grid();
        let groups = |row| grid.store(row).map_or(0, |store| store.len());
        calm.core(2).membership().view().is_some_and(|view| {
            view.rows_of(1).any(|row| groups(row) > 4 && !grid.is_complete(row))
        })
    };
    while !is_filled_a_little(&calm) {
        let happening = calm.world.next_happening().expect("timers never end");
        calm.world.happen(happening);
    }
    let before = calm.view(2).epoch;
    calm.wish(0, Wish::Quorum { quorum: Some(3), forced: false });
    while calm.view(2).epoch == before {
        let happening = calm.world.next_happening().expect("timers never end");
        calm.world.happen(happening);
    }
    let patience = calm.world.now + 10_000 * MS;
    while !calm.view(2).is_settled() && calm.world.now < patience {
        calm.wait(10);
    }
    let stats = calm.core(2).grid().stats();
    assert!(stats.resumed > 0, "{stats:?}");
    let view = calm.view(2);
    for row in view.rows_of(1) {
        let digests: Vec<_> = (0..3)
            .map(|slot| calm.core(slot).grid().store(row).map(|store| store.digest()))
            .collect();
        assert!(digests.windows(2).all(|pair| pair[0] == pair[1]), "row {row} differs");
    }
}
