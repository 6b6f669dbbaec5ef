//! 1xx: asked for or not, and without end.

use super::super::answer::{Ask, HostileAnswer, Outcome};
use super::super::backend::Act;
use super::{hello, say};

const SWITCH: &str = "HTTP/1.1 101 Switching Protocols\r\n";
const UPGRADE: &str = "Connection: Upgrade\r\nUpgrade: websocket\r\n";

pub(super) fn answers() -> Vec<HostileAnswer> {
    unasked().into_iter().chain(floods()).chain(good()).collect()
}

/// A 101 that nobody asked for would make a tunnel, through which whatever follows reaches the
/// client as the answer to its next request.
fn unasked() -> Vec<HostileAnswer> {
    let second = String::from_utf8_lossy(&hello("")).into_owned();
    let switch = |lines: &str| format!("{SWITCH}{lines}\r\n{second}");
    let post = Ask::Post(5);
    vec![
        HostileAnswer::keeping("an unasked 101 and a second answer behind it", switch(UPGRADE)),
        HostileAnswer::keeping("an unasked 101 without an Upgrade", switch("")),
        HostileAnswer::keeping("an unasked 101 to a POST", switch(UPGRADE)).ask(post),
        HostileAnswer::keeping(
            "an unasked 101 with a Content-Length",
            switch("Content-Length: 5\r\n"),
        ),
        HostileAnswer::keeping("an asked 101 without an Upgrade", switch("")).ask(Ask::Upgrade),
        HostileAnswer::keeping(
            "an asked 101 whose Connection says close",
            switch("Connection: close\r\nUpgrade: websocket\r\n"),
        )
        .ask(Ask::Upgrade),
        HostileAnswer::new(
            "an unasked 101 and a second answer later",
            vec![
                Act::Say(format!("{SWITCH}{UPGRADE}\r\n").into()),
                Act::Pause(super::super::answer::MOMENT),
                Act::Say(hello("")),
            ],
        ),
    ]
}

fn floods() -> Vec<HostileAnswer> {
    let hints = say("103 Early Hints", "Link: </a.css>\r\n", "");
    let many = hints.repeat(1_000);
    vec![
        HostileAnswer::new(
            "a thousand 103 and then the answer",
            vec![Act::Say(many.clone()), Act::Say(hello(""))],
        )
        .or(Outcome::honest(200, "hello"))
        .or(Outcome::Ended),
        HostileAnswer::new(
            "100 without end",
            vec![Act::Repeat(b"HTTP/1.1 100 Continue\r\n\r\n".repeat(1_000), 10_000), Act::Hold],
        )
        .or(Outcome::Ended)
        .slow(),
        HostileAnswer::new("103 without end", vec![Act::Repeat(many, 2_000), Act::Hold])
            .or(Outcome::Ended)
            .slow(),
        HostileAnswer::new("103 and then a close", vec![Act::Say(hints), Act::Close])
            .or(Outcome::Ended),
    ]
}

fn good() -> Vec<HostileAnswer> {
    let hints = say("103 Early Hints", "Link: </a.css>\r\n", "");
    vec![
        HostileAnswer::keeping("103 three times", [&hints.repeat(3), &hello("")[..]].concat())
            .only(Outcome::honest(200, "hello")),
        HostileAnswer::keeping(
            "a 100 that nobody waits for",
            [&b"HTTP/1.1 100 Continue\r\n\r\n"[..], &hello("")].concat(),
        )
        .only(Outcome::honest(200, "hello")),
    ]
}
