//! Whatever a balancer says, a node goes on and comes to its end.

use super::*;

/// What a balancer may say, whatever the message was.
fn any_answer() -> impl proptest::strategy::Strategy<Value = Answer> {
    use proptest::prelude::*;
    let body = prop_oneof![
        Just(String::new()),
        (0..3_u64).prop_map(|id| state("OK", id)),
        (0..3_u64).prop_map(|id| state("NOTOK", id)),
        (0..3_u64).prop_map(requests),
        Just(info(&[("/a", "ENABLED"), ("/old", "STOPPED")])),
        "[ -~]{0,40}",
    ];
    prop_oneof![
        8 => body.prop_map(Answer::Good),
        1 => Just(Answer::TooLong),
        1 => Just(Answer::Syntax("SYNTAX: no".to_owned())),
        1 => Just(Answer::Mem("MEM: no".to_owned())),
        1 => Just(Answer::Lost("connection refused".to_owned())),
    ]
}

proptest::proptest! {
    /// No balancer can make the node panic, keep it busy between two ticks, or hold up its end.
    #[test]
    fn no_balancer_can_keep_a_node_busy_or_from_leaving(
        answers in proptest::collection::vec(any_answer(), 60..200),
        turns in proptest::collection::vec(0..6_u8, 20),
    ) {
        let mut story = Story::begin(&["/a", "/b"]);
        let mut answers = answers.into_iter().cycle();
        for turn in turns {
            let mut sent = 0;
            while let Action::Send(_) = story.life.next(story.now) {
                let answer = answers.next().expect("they never end");
                story.life.handle(Event::Answer(answer, None), story.now);
                sent += 1;
                proptest::prop_assert!(sent <= 24, "the node is kept busy");
            }
            match turn {
                0 => story.deploy("/c"),
                1 => story.undeploy("/c"),
                2 => story.forget("/c"),
                3 => story.life.handle(Event::Closed, story.now),
                4 => story.refresh(),
                _ => story.tick(60),
            }
        }
        story.stop();
        let mut steps = 0;
        loop {
            match story.life.next(story.now) {
                Action::Send(_) => {
                    let answer = answers.next().expect("they never end");
                    story.life.handle(Event::Answer(answer, None), story.now);
                }
                Action::Wait(until) => story.now = until.expect("a stop waits for a time"),
                Action::End => break,
            }
            steps += 1;
            proptest::prop_assert!(steps < 500, "the node does not come to its end");
        }
        proptest::prop_assert!(story.life.contexts().values().all(|context| context.is_gone()));
    }
}
