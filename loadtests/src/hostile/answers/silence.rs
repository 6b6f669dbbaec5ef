//! Nodes that say nothing, or a little now and then.

use std::time::Duration;

use super::super::answer::{Ask, HostileAnswer, Outcome};
use super::super::backend::Act;
use super::say;

/// A byte so often: soon enough for any bound on silence, for ever otherwise.
const DRIP: Duration = Duration::from_millis(100);

fn silent(name: &str, said: impl Into<Vec<u8>>) -> HostileAnswer {
    HostileAnswer::new(name, vec![Act::Say(said.into()), Act::Hold]).slow()
}

fn dripping(name: &str, said: impl Into<Vec<u8>>) -> HostileAnswer {
    let mut acts = vec![Act::Say(said.into())];
    acts.extend((0..600).flat_map(|_| [Act::Pause(DRIP), Act::Say(b"y".to_vec())]));
    HostileAnswer::new(name, acts).slow()
}

pub(super) fn answers() -> Vec<HostileAnswer> {
    let length = || say("200 OK", "Content-Length: 10000\r\n", "hello");
    let chunks = || say("200 OK", "Transfer-Encoding: chunked\r\n", "5\r\nhello\r\n");
    let cut = || Outcome::Cut(200, b"hello".to_vec());
    vec![
        silent("silence", ""),
        silent("silence after a POST", "").ask(Ask::Post(5)),
        silent("silence within the status line", "HTTP/1.1 20"),
        silent("silence within the head", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n"),
        silent("silence after 100 Continue", "HTTP/1.1 100 Continue\r\n\r\n").or(Outcome::Ended),
        silent("silence within a body", length()).or(cut()),
        silent("silence between two chunks", chunks()).or(cut()),
        silent("silence before the last chunk's end", [chunks(), b"0\r\n".to_vec()].concat())
            .or(cut()),
        dripping("a head that drips", "HTTP/1.1 200 OK\r\nX-Drip: "),
        dripping("a body that drips", length())
            .or(Outcome::Cut(200, [&b"hello"[..], &[b'y'; 600]].concat())),
    ]
}
