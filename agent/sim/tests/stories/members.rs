//! Members come, go, are refused and meet again.

use crate::calm::{Calm, group};
use muster_cluster::message::Wish;
use muster_cluster::{Durable, Refusal};
use muster_grid::{Batch, Event, Expect, Op, Put, Reply, Request};
use muster_sim::client::Clients;
use muster_sim::faults;
use muster_sim::happening::Happening;
use muster_sim::world::MS;
use std::time::Duration;

#[test]
fn a_second_node_of_a_name_is_refused_in_a_sentence_and_disturbs_nobody() {
    let mut calm = Calm::new(3, None);
    calm.world.slots[2].name = "m1".into();
    calm.wait(6_000);
    let wrong = calm.world.wrong.join("\n");
    assert!(wrong.contains("the name \"m1\" belongs to"), "{wrong}");
    assert_eq!(calm.members_at(1), 2);
}

#[test]
fn a_minority_answers_not_quorate_and_the_majority_goes_on() {
    let mut calm = Calm::new(3, Some(2));
    calm.wait(4_000);
    assert!(matches!(calm.put(0, b"k", b"1", 0), Reply::Written(_)));
    calm.cut_off(2);
    calm.wait(4_000);
    assert_eq!(calm.put(2, b"k", b"2", 0), Reply::NotQuorate);
    assert!(matches!(calm.put(0, b"k", b"3", 0), Reply::Written(_)));
    faults::heal_all(&mut calm.world);
    calm.wait(4_000);
    assert_eq!(calm.members_at(2), 3);
    assert_eq!(calm.get(2, b"k"), Some(b"3".to_vec()));
}

#[test]
fn a_quorum_of_at_most_half_is_refused_unless_forced_and_a_change_is_a_view() {
    let mut calm = Calm::new(5, Some(3));
    calm.wait(4_000);
    calm.wish(3, Wish::Quorum { quorum: Some(2), forced: false });
    calm.wait(1_000);
    assert_eq!(calm.quorum_at(0), Some(3));
    calm.wish(3, Wish::Quorum { quorum: Some(4), forced: false });
    calm.wait(1_000);
    assert_eq!(calm.quorum_at(4), Some(4));
    calm.wish(0, Wish::Quorum { quorum: Some(2), forced: true });
    calm.wait(1_000);
    assert_eq!(calm.quorum_at(4), Some(2));
}

#[test]
fn a_killed_member_is_out_long_before_the_failure_detector_would_know() {
    let mut calm = Calm::new(3, None);
    calm.wait(5_000);
    assert_eq!(calm.members_at(0), 3);
    calm.world.kill(1, "is killed");
    calm.wait(200);
    assert_eq!((calm.members_at(0), calm.members_at(2)), (2, 2));
}

#[test]
fn a_copy_that_drifts_is_found_by_its_digest_and_repaired() {
    let mut calm = Calm::new(2, None);
    calm.wait(5_000);
    assert!(matches!(calm.put(0, b"k", b"right", 0), Reply::Written(_)));
    let row = {
        let core = calm.world.slots[0].core.as_ref().expect("it runs");
        group().row(core.membership().view().expect("it has a view"))
    };
    let backup = (0..2)
        .find(|slot| {
            let core = calm.world.slots[*slot].core.as_ref().expect("it runs");
            core.membership().view().and_then(|view| view.primary(row))
                != Some(core.membership().me())
        })
        .expect("one of two is the backup");
    let damage = muster_grid::store::Effect {
        group: group(),
        rev: muster_grid::Rev { epoch: 0, seq: 1 },
        token: 0,
        is_expiry: false,
        puts: [(b"k".into(), Some(Put::new(b"wrong")))].into(),
    };
    let core = calm.world.slots[backup].core.as_mut().expect("it runs");
    core.grid_mut().store_mut(row).expect("it has rows").apply(&damage, Duration::ZERO);
    calm.wait(3_000);
    let core = calm.world.slots[backup].core.as_ref().expect("it runs");
    assert_eq!(core.grid().stats().repairs, 1);
    let entry = core.grid().store(row).and_then(|store| store.entry(&group(), b"k"));
    assert_eq!(entry.map(|entry| entry.value.to_vec()), Some(b"right".to_vec()));
}

#[test]
fn whoever_leaves_hands_over_what_it_has() {
    let mut calm = Calm::new(3, None);
    calm.wait(5_000);
    for key in 0..20u8 {
        assert!(matches!(calm.put(0, &[key], b"v", 0), Reply::Written(_)));
    }
    for slot in [1, 0] {
        calm.world.give(slot, Event::Cluster(muster_cluster::Event::Leave));
        while calm.world.is_up(slot) {
            calm.wait(10);
        }
        // It is kept from coming back.
        calm.world.slots[slot].disk = Durable::default();
        calm.wait(90);
    }
    for key in 0..20u8 {
        assert_eq!(calm.get(2, &[key]), Some(b"v".to_vec()));
    }
}

#[test]
fn after_a_split_the_policy_decides_between_two_values_and_single_ones_are_kept() {
    for (policy, expected) in [
        (muster_grid::Policy::PreferMajor, b"major".to_vec()),
        (muster_grid::Policy::Latest, b"minor".to_vec()),
        (
            muster_grid::Policy::Custom(|_, ours, theirs| {
                [&ours[..], b"+", theirs].concat().into()
            }),
            b"major+minor".to_vec(),
        ),
    ] {
        let mut calm = Calm::new(3, None);
        calm.wait(5_000);
        for slot in 0..3 {
            let core = calm.world.slots[slot].core.as_mut().expect("it runs");
            core.grid_mut().set_policy(1, policy);
        }
        calm.cut_off(2);
        calm.wait(4_000);
        assert!(matches!(calm.put(0, b"k", b"major", 1), Reply::Written(_)));
        assert!(matches!(calm.put(2, b"k", b"minor", 2), Reply::Written(_)));
        assert!(matches!(calm.put(2, b"only", b"here", 2), Reply::Written(_)));
        faults::heal_all(&mut calm.world);
        calm.wait(6_000);
        assert_eq!(calm.members_at(0), 3);
        assert_eq!(calm.get(1, b"k"), Some(expected));
        assert_eq!(calm.get(1, b"only"), Some(b"here".to_vec()));
    }
}

#[test]
fn an_entry_goes_when_it_is_idle_and_not_while_it_is_read() {
    let mut calm = Calm::new(2, None);
    calm.wait(5_000);
    let put = Some(Put { idle: Some(Duration::from_millis(600)), ..Put::new(b"v") });
    let ops = vec![Op { key: b"k"[..].into(), expect: Expect::Any, put }];
    assert!(matches!(calm.ask(0, Request::Write(Batch::new(group(), ops))), Reply::Written(_)));
    for _ in 0..6 {
        calm.wait(250);
        assert_eq!(calm.get(1, b"k"), Some(b"v".to_vec()));
    }
    calm.wait(1_500);
    assert_eq!(calm.get(1, b"k"), None);
}

#[test]
fn refusals_speak_in_sentences() {
    let why = Refusal::QuorumTooSmall { quorum: 2, known: 4 };
    assert_eq!(
        why.to_string(),
        "the quorum 2 would be at most half of 4 known nodes: raise it first"
    );
}

#[test]
fn clients_of_a_calm_world_are_all_answered() {
    let mut calm = Calm::new(3, Some(2));
    calm.wait(4_000);
    let mut clients = Clients::new(&mut calm.world);
    let until = calm.world.now + 5_000 * MS;
    while calm.world.now < until {
        let happening = calm.world.next_happening().expect("timers never end");
        if let Some(Happening::Client { client }) = calm.world.happen(happening) {
            clients.wake(&mut calm.world, client);
        }
        clients.answers(&mut calm.world);
    }
    assert!(clients.histories.acknowledged > 50);
}
