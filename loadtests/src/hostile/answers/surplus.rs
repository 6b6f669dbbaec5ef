//! More than an answer: what follows it must never reach the next client.

use super::super::answer::{Ask, HostileAnswer, MOMENT, Outcome};
use super::super::backend::Act;
use super::{hello, say};

pub(super) fn answers() -> Vec<HostileAnswer> {
    at_once().into_iter().chain(later()).chain(bodiless()).collect()
}

fn smuggled() -> Vec<u8> {
    say("200 OK", "Content-Length: 8\r\nX-Smuggled: 1\r\n", "smuggled")
}

fn at_once() -> Vec<HostileAnswer> {
    let twice =
        |name: &str, first: Vec<u8>| HostileAnswer::keeping(name, [first, smuggled()].concat());
    let chunks = say("200 OK", "Transfer-Encoding: chunked\r\n", "5\r\nhello\r\n0\r\n\r\n");
    let honest = || Outcome::honest(200, "hello");
    vec![
        twice("a second answer behind the first", hello("")).or(honest()),
        twice("a second answer behind a chunked one", chunks).or(honest()),
        twice("a second answer behind an empty one", say("200 OK", "Content-Length: 0\r\n", ""))
            .or(Outcome::honest(200, "")),
        twice("ten answers for one", hello("").repeat(9)).or(honest()),
        HostileAnswer::keeping(
            "a body longer than its length",
            hello("").into_iter().chain(*b"world").collect::<Vec<u8>>(),
        )
        .or(honest()),
        HostileAnswer::keeping(
            "line ends behind an answer",
            [hello(""), b"\r\n\r\n".to_vec()].concat(),
        )
        .or(honest()),
        twice("a second answer to a POST", hello("")).ask(Ask::Post(5)).or(honest()),
    ]
}

fn later() -> Vec<HostileAnswer> {
    let later = |name: &str, pause: u32| {
        let acts = vec![Act::Say(hello("")), Act::Pause(MOMENT * pause), Act::Say(smuggled())];
        HostileAnswer::new(name, acts).awaited().or(Outcome::honest(200, "hello"))
    };
    vec![
        later("a second answer a moment after the first", 1),
        later("a second answer some time after the first", 5),
    ]
}

fn bodiless() -> Vec<HostileAnswer> {
    let plain = |status| Outcome::honest(status, "");
    let chunked = say("200 OK", "Transfer-Encoding: chunked\r\n", "5\r\nhello\r\n0\r\n\r\n");
    vec![
        HostileAnswer::keeping("a body for HEAD", hello("")).ask(Ask::Head).or(plain(200)),
        HostileAnswer::keeping("chunks for HEAD", chunked).ask(Ask::Head).or(plain(200)),
        HostileAnswer::keeping(
            "a second answer for HEAD",
            [say("200 OK", "Content-Length: 5\r\n", ""), smuggled()].concat(),
        )
        .ask(Ask::Head)
        .or(plain(200)),
        HostileAnswer::keeping(
            "a body with 204",
            say("204 None", "Content-Length: 5\r\n", "hello"),
        )
        .or(plain(204)),
        HostileAnswer::keeping(
            "an answer behind 204",
            [say("204 None", "", ""), smuggled()].concat(),
        )
        .or(plain(204)),
        HostileAnswer::keeping(
            "a body with 304",
            say("304 Same", "Content-Length: 5\r\n", "hello"),
        )
        .or(plain(304)),
        HostileAnswer::keeping(
            "chunks with 304",
            say("304 Same", "Transfer-Encoding: chunked\r\n", "5\r\nhello\r\n0\r\n\r\n"),
        )
        .or(plain(304)),
        HostileAnswer::keeping(
            "a length for HEAD and no body",
            say("200 OK", "Content-Length: 5\r\n", ""),
        )
        .ask(Ask::Head)
        .only(plain(200)),
    ]
}
