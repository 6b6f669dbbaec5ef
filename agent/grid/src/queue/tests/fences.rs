//! What is published under a lease.

use super::*;

const PUBLISHED: Option<Answer> = Some(Answer::Published(true));
const FENCED: Option<Answer> = Some(Answer::Fenced);

#[test]
fn an_older_token_than_the_queue_has_seen_publishes_nothing() {
    let mut members = Members::new(2);
    members.consume(1, 9);
    assert_eq!(members.publish_by(0, "five", 5), PUBLISHED);
    assert_eq!(members.publish_by(1, "five again", 5), PUBLISHED);
    assert_eq!(members.publish_by(1, "seven", 7), PUBLISHED);
    assert_eq!(members.publish_by(0, "six", 6), FENCED);
    let bodies: Vec<String> = members.given.drain(..).map(|(.., body)| body).collect();
    assert_eq!(bodies, ["five", "five again", "seven"]);
    // Without a lease, and under another, it is nobody's business.
    members.publish(0, "plain");
    assert_eq!(members.comes(), came("plain", 1));
    let (now, by) = (members.now, FencedBy { name: b"other".into(), token: 1 });
    let other = message(None, "other");
    members.with(0, |station| station.publish_by(other, Some(by), FAR, now));
    assert_eq!(members.comes(), came("other", 1));
}

#[test]
fn a_greater_token_fences_from_the_moment_it_is_seen() {
    let mut members = Members::new(1);
    members.holds = true;
    assert_eq!(members.publish_by(0, "seven", 7), None);
    members.holds = false;
    assert_eq!(members.publish_by(0, "six", 6), FENCED);
}

#[test]
fn tokens_survive_the_home_and_the_messages_that_brought_them() {
    let mut members = Members::new(3);
    members.consume(2, 9);
    for (body, token) in [("five", 5), ("seven", 7)] {
        assert_eq!(members.publish_by(1, body, token), PUBLISHED);
        let delivery = members.next();
        members.end(&delivery, Ending::Done);
    }
    members.kill(0, 1);
    members.pass(ms(300));
    assert_eq!(members.publish_by(1, "six", 6), FENCED);
    assert_eq!(members.publish_by(1, "eight", 8), PUBLISHED);
    members.kill(1, 2);
    members.pass(ms(300));
    assert_eq!(members.publish_by(2, "seven again", 7), FENCED);
    // Of a lease one entry is left.
    let entries: usize =
        members.row.whole_in_memory(0, members.now).map(|whole| whole.entries.len()).sum();
    assert_eq!(entries, 2);
}

#[test]
fn what_stood_under_an_id_is_there_already_whatever_has_come_since() {
    let mut members = Members::new(1);
    let publish = |members: &mut Members, token| {
        let with_id = Publication { dedup: Some(b"id".into()), ..message(None, "one") };
        let (now, by) = (members.now, FencedBy { name: b"daemon".into(), token });
        let call = members.with(0, |station| station.publish_by(with_id, Some(by), FAR, now));
        members.answer(0, call)
    };
    assert_eq!(publish(&mut members, 5), PUBLISHED);
    assert_eq!(members.publish_by(0, "six", 6), PUBLISHED);
    assert_eq!(publish(&mut members, 5), Some(Answer::Published(false)));
}
