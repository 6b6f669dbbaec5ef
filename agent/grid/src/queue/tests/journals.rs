//! Queues that their members write down.

use super::*;
use crate::store::WholeGroup;

/// Members of which all have a journal, and nothing was left in any.
fn keeping(count: usize) -> Members {
    let mut members = Members::new(count);
    for at in 0..count {
        members.keep(at);
        members.restored(at);
    }
    members.pass(ms(100));
    members
}

/// What is in the row, as another process of the same members finds it.
fn again(before: &Members) -> (Members, Vec<WholeGroup>) {
    let mut members = Members::new(before.stations.len());
    // Epochs rise.
    (members.counter, members.reign) = (before.counter + 10, 0);
    members.lead(0);
    for at in 0..members.stations.len() {
        members.keep(at);
    }
    (members, before.row.whole_in_memory(0, before.now).collect())
}

/// A group is given back.
fn give(members: &mut Members, whole: &WholeGroup) {
    let rev = Rev { epoch: members.counter, seq: 0 };
    let puts = whole.entries.iter().map(|(key, _, put)| (key.clone(), Some(put.clone()))).collect();
    let effect = Effect { group: whole.group.clone(), rev, token: 0, is_expiry: false, puts };
    let now = members.now;
    members.row.apply(&effect, now);
    let whole = whole.clone();
    members.with(members.lead, |station| station.merged(whole, now));
}

#[test]
fn nothing_is_taken_before_every_owner_has_a_journal() {
    let mut members = Members::new(3);
    members.backup = Some(1);
    members.lead(0);
    members.keep(0);
    members.restored(0);
    members.keep(2);
    let call = members.publish(2, "one");
    members.pass(ms(1_000));
    assert_eq!(members.answer(2, call), None);
    members.keep(1);
    members.pass(ms(200));
    assert_eq!(members.answer(2, call), Some(Answer::Published(true)));
}

#[test]
fn an_owner_that_stays_without_a_journal_is_an_error_and_nothing_is_changed() {
    let mut members = Members::new(2);
    members.backup = Some(1);
    members.lead(0);
    members.keep(0);
    members.restored(0);
    let call = members.publish(0, "one");
    members.pass(ms(3_200));
    assert_eq!(members.answer(0, call), Some(Answer::NotKept));
    // So is a home that has none itself.
    members.kill(0, 1);
    members.restart(0);
    members.keep(0);
    let call = members.publish(0, "two");
    members.pass(ms(2_500));
    assert_eq!(members.answer(0, call), None);
    members.pass(ms(1_000));
    assert_eq!(members.answer(0, call), Some(Answer::NotKept));
    assert!(members.row.is_empty());
    // Until it has one.
    members.backup = None;
    members.lead(1);
    members.keep(1);
    members.restored(1);
    members.pass(ms(500));
    let call = members.publish(0, "three");
    members.pass(ms(500));
    assert_eq!(members.answer(0, call), Some(Answer::Published(true)));
}

#[test]
fn what_a_journal_has_not_taken_is_refused_and_given_to_nobody() {
    let mut members = keeping(2);
    members.consume(1, 5);
    members.is_broken = true;
    let with_id = Publication { dedup: Some(b"id".into()), ..message(Some("group"), "one") };
    let call = members.publish_as(1, with_id.clone());
    assert_eq!(members.answer(1, call), Some(Answer::NotKept));
    assert_eq!((members.comes(), members.stats(0)), (None, (0, 0, 0)));
    assert!(members.row.is_empty());
    // Its id is free again, and nothing of its group waits for it.
    members.is_broken = false;
    let call = members.publish_as(1, with_id);
    assert_eq!(members.answer(1, call), Some(Answer::Published(true)));
    assert_eq!(members.comes(), came("one", 1));
}

#[test]
fn what_is_done_while_a_journal_is_broken_is_done() {
    let mut members = keeping(2);
    members.consume(1, 5);
    members.publish(0, "one");
    let delivery = members.next();
    members.is_broken = true;
    let call = members.end(&delivery, Ending::Done);
    assert_eq!(members.answer(1, call), Some(Answer::Ended));
    assert_eq!(members.stats(0), (0, 0, 0));
}

#[test]
fn nothing_is_added_to_a_group_that_was_written() {
    let groups = |members: &mut Members| {
        (0..5).for_each(|number| _ = members.publish(0, &number.to_string()));
        members.row.whole_in_memory(0, members.now).count()
    };
    assert_eq!(groups(&mut Members::new(1)), 1);
    assert_eq!(groups(&mut keeping(1)), 5);
    // Those that wait for the same write share it.
    let mut members = keeping(1);
    members.holds = true;
    (0..102).for_each(|number| _ = members.publish(0, &number.to_string()));
    members.holds = false;
    members.let_go();
    assert_eq!(members.stats(0), (100, 0, 0));
    assert_eq!(members.row.whole_in_memory(0, members.now).count(), 3);
}

#[test]
fn after_a_restart_what_was_left_comes_first_and_marked_and_what_was_done_does_not() {
    let mut before = keeping(2);
    for body in ["a1", "a2", "a3"] {
        before.publish_as(1, message(Some("a"), body));
    }
    before.publish_as(1, Publication { delay: Some(ms(60_000)), ..message(None, "later") });
    before.consume(1, 5);
    let first = before.next();
    before.end(&first, Ending::Done);
    assert_eq!(before.comes(), came("a2", 1));

    let (mut members, left) = again(&before);
    members.consume(1, 5);
    let call = members.publish_as(1, message(Some("a"), "a4"));
    members.pass(ms(500));
    // Whoever came too early would overtake what is on its way.
    assert_eq!((members.answer(1, call), members.comes()), (None, None));
    left.iter().rev().for_each(|whole| give(&mut members, whole));
    members.restored(0);
    members.pass(ms(500));
    assert_eq!(members.answer(1, call), Some(Answer::Published(true)));
    for (body, tries) in [("a2", 2), ("a3", 2), ("a4", 1)] {
        let delivery = members.next();
        assert_eq!((&*delivery.3, delivery.2.tries), (body, tries));
        members.end(&delivery, Ending::Done);
    }
    assert_eq!(members.comes(), None);
    members.pass(ms(60_000));
    assert_eq!(members.comes(), came("later", 2));
}

#[test]
fn ids_and_dead_letters_outlive_a_restart() {
    let mut before = keeping(1);
    let with_id = Publication { dedup: Some(b"id".into()), ..message(None, "one") };
    before.publish_as(0, with_id.clone());
    before.consume(0, 1);
    for _ in 0..3 {
        let delivery = before.next();
        before.end(&delivery, Ending::Again(Duration::ZERO));
    }
    assert_eq!(before.stats(0), (0, 0, 1));
    let (mut members, left) = again(&before);
    left.iter().for_each(|whole| give(&mut members, whole));
    members.restored(0);
    members.pass(ms(100));
    assert_eq!(members.stats(0), (0, 0, 1));
    let call = members.publish_as(0, with_id);
    members.pass(ms(100));
    assert_eq!(members.answer(0, call), Some(Answer::Published(false)));
}

#[test]
fn a_home_that_moves_to_a_member_with_a_journal_goes_on() {
    let mut members = keeping(3);
    members.publish(1, "one");
    members.kill(0, 2);
    members.pass(ms(200));
    let call = members.publish(1, "two");
    members.pass(ms(200));
    assert_eq!(members.answer(1, call), Some(Answer::Published(true)));
    // Who told an earlier home of its journal tells the next one, and itself too.
    members.restart(0);
    members.keep(0);
    members.restored(0);
    members.backup = Some(0);
    members.lead(1);
    members.pass(ms(200));
    let call = members.publish(2, "three");
    members.pass(ms(200));
    assert_eq!(members.answer(2, call), Some(Answer::Published(true)));
}

#[test]
fn that_an_id_is_known_is_said_once_journals_have_what_it_names() {
    let mut members = keeping(2);
    let with_id = Publication { dedup: Some(b"id".into()), ..message(None, "one") };
    members.is_broken = true;
    members.holds = true;
    let call = members.publish_as(1, with_id.clone());
    // It stands, and nobody hears that a journal has not taken it: its home dies with that.
    let (_, _, _, request) = members.held.pop_front().unwrap();
    members.apply(request);
    members.holds = false;
    members.kill(0, 1);
    members.pass(ms(300));
    assert_eq!(members.answer(1, call), None);
    members.is_broken = false;
    members.pass(ms(300));
    assert_eq!(members.answer(1, call), Some(Answer::Published(false)));
    members.consume(1, 1);
    members.pass(ms(300));
    assert_eq!(members.comes(), came("one", 2));
}
