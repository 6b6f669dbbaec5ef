//! Answers that come before the request is there, and ends before the answer is.

use super::super::answer::{Ask, HostileAnswer, Outcome};
use super::super::backend::Act;
use super::{hello, say};

/// A body that no socket buffer takes at once, within the proxy's limit.
const BODY: usize = 900 << 10;

pub(super) fn answers() -> Vec<HostileAnswer> {
    let ends = [
        ("a close without a byte", ""),
        ("a close within the version", "HTTP/1."),
        ("a close within the status line", "HTTP/1.1 200 O"),
        ("a close after the status line", "HTTP/1.1 200 OK\r\n"),
        ("a close within a header", "HTTP/1.1 200 OK\r\nContent-Le"),
        ("a close before the empty line", "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n"),
    ];
    let ends = ends.map(|(name, bytes)| HostileAnswer::closing(name, bytes));
    let resets = [
        HostileAnswer::new("a reset without a byte", vec![Act::Reset]),
        HostileAnswer::new(
            "a reset within the head",
            vec![Act::Say(b"HTTP/1.1 200 OK\r\nX: ".to_vec()), Act::Reset],
        ),
        HostileAnswer::new("a reset instead of an answer to a POST", vec![Act::Reset])
            .ask(Ask::Post(5)),
    ];
    ends.into_iter().chain(resets).chain(before()).collect()
}

fn before() -> Vec<HostileAnswer> {
    let too_large = || say("413 Too Large", "Content-Length: 5\r\nConnection: close\r\n", "large");
    let first = Outcome::honest(200, "hello");
    vec![
        at_head(
            "an answer while the body is on its way, and a close",
            vec![Act::Say(too_large()), Act::Close],
        )
        .or(Outcome::honest(413, "large")),
        at_head(
            "an answer while the body is on its way, and a reset",
            vec![Act::Say(too_large()), Act::Reset],
        )
        .or(Outcome::honest(413, "large")),
        HostileAnswer {
            first_words: Some(hello("")),
            ..HostileAnswer::new("an answer before any request", vec![Act::Say(hello(""))])
        }
        .or(first.clone())
        .awaited(),
        HostileAnswer {
            first_words: Some(hello("").repeat(2)),
            ..HostileAnswer::new("two answers before any request", vec![Act::Say(hello(""))])
        }
        .or(first),
    ]
}

fn at_head(name: &str, acts: Vec<Act>) -> HostileAnswer {
    let mut answer = HostileAnswer::new(name, acts).ask(Ask::Post(BODY));
    answer.script.at_head = true;
    answer
}
