//! What becomes of messages when members, homes and consumers come and go.

use super::*;

#[test]
fn a_publication_is_acknowledged_and_given_once_all_owners_have_it() {
    let mut members = Members::new(2);
    members.consume(1, 5);
    members.holds = true;
    let call = members.publish(1, "one");
    assert_eq!((members.answer(1, call), members.comes()), (None, None));
    members.holds = false;
    members.let_go();
    assert_eq!(members.answer(1, call), Some(Answer::Published(true)));
    assert_eq!(members.comes(), came("one", 1));
}

#[test]
fn what_is_done_is_done_once_that_is_written_and_leaves_nothing() {
    let mut members = Members::new(2);
    members.consume(1, 5);
    members.publish(0, "one");
    let delivery = members.next();
    members.holds = true;
    let call = members.end(&delivery, Ending::Done);
    assert_eq!(members.answer(1, call), None);
    members.holds = false;
    members.let_go();
    assert_eq!(members.answer(1, call), Some(Answer::Ended));
    assert_eq!(members.stats(1), (0, 0, 0));
    assert!(members.row.is_empty());
    let again = members.end(&delivery, Ending::Done);
    assert_eq!(members.answer(1, again), Some(Answer::Expired));
}

#[test]
fn what_a_new_home_finds_is_marked() {
    let mut members = Members::new(3);
    members.publish(1, "one");
    members.publish(1, "two");
    members.kill(0, 1);
    members.consume(2, 5);
    assert_eq!(members.comes(), None);
    members.pass(ms(300));
    assert_eq!(members.comes(), came("one", 2));
    assert_eq!(members.comes(), came("two", 2));
    // What is given once more is written, so that the next home knows.
    members.kill(1, 2);
    members.consume(2, 5);
    members.pass(ms(300));
    assert_eq!(members.comes(), None);
    members.pass(ms(11_000));
    assert_eq!(members.comes(), came("one", 3));
}

#[test]
fn who_has_a_message_when_its_home_is_lost_ends_it_at_the_next_one() {
    let mut members = Members::new(3);
    members.consume(2, 5);
    members.publish(2, "one");
    members.publish(2, "two");
    let (one, two) = (members.next(), members.next());
    members.kill(0, 1);
    members.pass(ms(1_000));
    assert_eq!(members.comes(), None);
    let call = members.end(&one, Ending::Done);
    assert_eq!(members.answer(2, call), Some(Answer::Ended));
    members.end(&two, Ending::Again(Duration::ZERO));
    assert_eq!(members.comes(), came("two", 2));
}

#[test]
fn an_end_whose_answer_was_lost_with_the_home_is_asked_for_again() {
    let mut members = Members::new(2);
    members.consume(1, 5);
    members.publish(1, "one");
    let one = members.next();
    members.holds = true;
    let call = members.end(&one, Ending::Done);
    // It was written, and nobody heard of it.
    let (_, _, _, request) = members.held.pop_front().unwrap();
    members.apply(request);
    members.holds = false;
    members.kill(0, 1);
    members.pass(ms(300));
    assert_eq!(members.answer(1, call), Some(Answer::Ended));
    assert_eq!((members.comes(), members.stats(1)), (None, (0, 0, 0)));
}

#[test]
fn what_a_consumer_had_comes_again_when_its_member_leaves() {
    let mut members = Members::new(3);
    members.consume(2, 5);
    members.publish(1, "one");
    assert_eq!(members.comes(), came("one", 1));
    members.consume(1, 5);
    members.kill(2, 0);
    assert_eq!(members.comes(), came("one", 2));
}

#[test]
fn an_answer_to_an_earlier_process_at_its_place_is_not_taken_for_one_to_this() {
    let mut members = Members::new(2);
    members.holds = true;
    let earlier = members.publish(1, "of the earlier one");
    members.restart(1);
    let number = members.publish(1, "of this one");
    assert_eq!(number, earlier, "processes number their calls from the beginning");
    // The home hears that the first one stands, and loses the second.
    let (at, id, _, request) = members.held.pop_front().unwrap();
    let (reply, now) = (members.apply(request), members.now);
    members.with(at, |station| station.written(id, &reply, now));
    members.held.clear();
    assert_eq!(members.answer(1, number), None);
    members.holds = false;
    members.kill(0, 1);
    assert_eq!(members.answer(1, number), Some(Answer::Unknown));
}

#[test]
fn a_member_that_was_dropped_and_comes_back_goes_on_consuming() {
    let mut members = Members::new(2);
    members.consume(1, 5);
    members.publish(0, "one");
    assert_eq!(members.comes(), came("one", 1));
    members.renew(1);
    assert_eq!(members.comes(), came("one", 2));
    members.publish(0, "two");
    assert_eq!(members.comes(), came("two", 1));
}

#[test]
fn a_consumer_that_its_home_has_forgotten_unheard_is_told_to_it_again() {
    let mut members = Members::new(2);
    members.consume(1, 5);
    members.loses = true;
    // The home reads its row anew, and what it says about that is lost with a link.
    members.reign = 0;
    members.lead(0);
    members.loses = false;
    members.publish(0, "one");
    assert_eq!(members.comes(), None);
    members.pass(ms(6_000));
    assert_eq!(members.comes(), came("one", 1));
}

#[test]
fn a_publication_of_unknown_end_says_so_unless_it_has_an_id() {
    let mut members = Members::new(2);
    members.holds = true;
    let plain = members.publish(1, "one");
    let with_id = Publication { dedup: Some(b"id".into()), ..message(None, "two") };
    let with_id = members.publish_as(1, with_id);
    members.holds = false;
    members.kill(0, 1);
    members.pass(ms(300));
    assert_eq!(members.answer(1, plain), Some(Answer::Unknown));
    assert_eq!(members.answer(1, with_id), Some(Answer::Published(true)));
}

#[test]
fn of_two_with_one_id_only_the_first_counts_at_the_next_home_too() {
    let mut members = Members::new(2);
    let with = |body| Publication { dedup: Some(b"id".into()), ..message(None, body) };
    members.holds = true;
    let (one, two) = (members.publish_as(0, with("one")), members.publish_as(1, with("two")));
    members.holds = false;
    members.let_go();
    assert_eq!(members.answer(0, one), Some(Answer::Published(true)));
    assert_eq!(members.answer(1, two), Some(Answer::Published(false)));
    members.kill(0, 1);
    let three = members.publish_as(1, with("three"));
    assert_eq!(members.answer(1, three), Some(Answer::Published(false)));
    members.pass(ms(61_000));
    let four = members.publish_as(1, with("four"));
    assert_eq!(members.answer(1, four), Some(Answer::Published(true)));
}

#[test]
fn a_group_comes_in_order_one_at_a_time_whoever_is_the_home() {
    let mut members = Members::new(3);
    for body in ["a1", "a2", "a3"] {
        members.publish_as(1, message(Some("a"), body));
    }
    members.consume(2, 5);
    let first = members.next();
    assert_eq!((&*first.3, members.comes()), ("a1", None));
    members.kill(0, 1);
    members.pass(ms(300));
    members.end(&first, Ending::Done);
    assert_eq!(members.comes(), came("a2", 2));
    members.kill(1, 2);
    members.pass(ms(11_000));
    assert_eq!((members.comes(), members.comes()), (came("a2", 3), None));
}

#[test]
fn what_fails_too_often_is_a_dead_letter_until_somebody_looks_after_it() {
    let mut members = Members::new(2);
    members.consume(1, 5);
    members.publish(0, "poison");
    for tries in 1..=3 {
        let delivery = members.next();
        assert_eq!(delivery.2.tries, tries);
        members.end(&delivery, Ending::Again(Duration::ZERO));
    }
    assert_eq!(members.stats(0), (0, 0, 1));
    members.kill(0, 1);
    members.pass(ms(300));
    assert_eq!((members.comes(), members.stats(1)), (None, (0, 0, 1)));
    let Answer::Dead(letters) = members.ask(1, Question::Look(10)) else { panic!() };
    assert_eq!((letters.len(), letters[0].tries), (1, 3));
    let number = letters[0].number;
    assert_eq!(members.ask(1, Question::Requeue(vec![number])), Answer::Changed(1));
    assert_eq!((members.comes(), members.stats(1)), (came("poison", 2), (0, 1, 0)));
    members.pass(ms(10_100));
    let last = members.next();
    members.end(&last, Ending::Again(Duration::ZERO));
    let Answer::Dead(taken) = members.ask(1, Question::Take(10)) else { panic!() };
    assert_eq!(taken.len(), 1);
    assert_eq!(members.stats(1), (0, 0, 0));
    assert!(members.row.is_empty());
}

#[test]
fn delays_and_times_to_live_go_on_at_the_next_home() {
    let mut members = Members::new(2);
    members.publish_as(1, Publication { delay: Some(ms(2_000)), ..message(None, "later") });
    members.publish_as(1, Publication { ttl: Some(ms(2_000)), ..message(None, "late") });
    members.pass(ms(1_000));
    members.kill(0, 1);
    members.pass(ms(900));
    members.consume(1, 1);
    assert_eq!(members.comes(), came("late", 2));
    members.pass(ms(200));
    // Nobody else may have it before it comes back, and then it is too late.
    assert_eq!(members.stats(1), (1, 1, 0));
    members.consume(1, 1);
    assert_eq!(members.comes(), came("later", 2));
    members.pass(ms(10_000));
    assert_eq!(members.comes(), came("later", 3));
    assert_eq!(members.stats(1), (0, 1, 0));
}

#[test]
fn a_home_that_was_not_confirmed_for_a_while_asks_before_it_gives() {
    let mut members = Members::new(1);
    members.publish(0, "one");
    members.pass(ms(1_000));
    let before = members.confirms;
    members.holds = true;
    members.consume(0, 1);
    assert_eq!(members.comes(), None);
    members.holds = false;
    members.let_go();
    assert_eq!((members.comes(), members.confirms), (came("one", 1), before + 1));
}

#[test]
fn consumers_take_turns_and_have_no_more_than_their_credits() {
    let mut members = Members::new(3);
    let (one, two) = (members.consume(1, 2), members.consume(2, 2));
    for number in 0..6 {
        members.publish(0, &number.to_string());
    }
    let given: Vec<u64> = members.given.iter().map(|(at, ..)| *at as u64).collect();
    assert_eq!(given, [1, 2, 1, 2]);
    let (_, of, ticket, _) = members.given.pop_front().unwrap();
    assert_eq!((of, two), (one, two));
    members.end(&(1, of, ticket, String::new()), Ending::Done);
    assert_eq!(members.given.back().unwrap().3, "4");
    // Who goes gives back what nobody has seen.
    let untouched: Vec<Ticket> =
        members.given.drain(..).filter(|(at, ..)| *at == 1).map(|(.., ticket, _)| ticket).collect();
    let now = members.now;
    members.with(1, |station| station.gone(one, untouched, now));
    members.consume(0, 9);
    let bodies: Vec<_> = std::iter::from_fn(|| members.comes()).collect();
    assert_eq!(bodies, ["2", "4", "5"].map(|body| (body.to_owned(), 1)));
}

#[test]
fn a_full_queue_refuses() {
    let mut members = Members::of(1, |settings| settings.most = 2);
    let calls = ["one", "two", "three"].map(|body| members.publish(0, body));
    let answers = calls.map(|call| members.answer(0, call).unwrap());
    assert_eq!(answers, [Answer::Published(true), Answer::Published(true), Answer::Full(2)]);
}

#[test]
fn a_group_of_the_other_side_of_a_split_is_given_too() {
    let mut members = Members::new(1);
    members.publish(0, "ours");
    let mut other = Members::new(1);
    (other.counter, other.reign) = (7, 0);
    other.lead(0);
    other.publish(0, "theirs");
    let theirs: Vec<_> = other.row.whole_in_memory(0, other.now).collect();
    for whole in theirs {
        let now = members.now;
        members.with(0, |station| station.merged(whole.clone(), now));
    }
    members.consume(0, 5);
    assert_eq!(members.comes(), came("ours", 1));
    assert_eq!(members.comes(), came("theirs", 2));
}
