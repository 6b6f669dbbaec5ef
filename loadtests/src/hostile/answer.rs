//! A hostile answer: what a node does with a request, and what the client may get of it.

use std::time::Duration;

use super::backend::{Act, Script};
use super::case::PLACE;
use super::reading::{Answer, Named as _};
use super::vector::HOST;
use super::wire::Heard;

/// What a node does, and what is right.
#[derive(Debug, Clone)]
pub struct HostileAnswer {
    /// What it is, in words.
    pub name: String,
    /// What the client asks.
    pub ask: Ask,
    /// What the node does.
    pub script: Script,
    /// What the node says on a fresh connection before it was asked.
    pub first_words: Option<Vec<u8>>,
    /// What the client may get: any of these.
    pub right: Vec<Outcome>,
    /// Whether the node must have done all before the next request is sent.
    pub is_awaited: bool,
    /// Whether the answer takes as long as the proxy's own bounds.
    pub is_slow: bool,
}

/// What the client asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ask {
    /// GET.
    Get,
    /// HEAD.
    Head,
    /// POST with so many bytes.
    Post(usize),
    /// GET with an upgrade to WebSocket.
    Upgrade,
}

/// What a client may get.
#[derive(Debug, Clone)]
pub enum Outcome {
    /// A whole answer with this status and body.
    Honest {
        /// The status.
        status: u16,
        /// The body.
        body: Vec<u8>,
        /// Headers that it must not have.
        lacks: &'static [&'static str],
        /// A header with all its values.
        has: Option<(&'static str, &'static [&'static str])>,
    },
    /// 502, 503 or 504: a proxy that tried in vain to find another node may say so.
    Refused,
    /// An answer with this status that is visibly cut, its body the beginning of this one.
    Cut(u16, Vec<u8>),
    /// The end of the connection.
    Ended,
}

// === impl HostileAnswer ===

impl HostileAnswer {
    /// A GET that is answered by these acts; right is an error of the proxy's own.
    pub fn new(name: impl Into<String>, acts: Vec<Act>) -> HostileAnswer {
        HostileAnswer {
            name: name.into(),
            ask: Ask::Get,
            script: Script { acts, at_head: false },
            first_words: None,
            right: vec![Outcome::Refused],
            is_awaited: false,
            is_slow: false,
        }
    }

    /// The same for bytes after which the node closes.
    pub fn closing(name: impl Into<String>, bytes: impl Into<Vec<u8>>) -> HostileAnswer {
        HostileAnswer::new(name, vec![Act::Say(bytes.into()), Act::Close])
    }

    /// The same for bytes after which the node keeps the connection.
    pub fn keeping(name: impl Into<String>, bytes: impl Into<Vec<u8>>) -> HostileAnswer {
        HostileAnswer::new(name, vec![Act::Say(bytes.into())])
    }

    /// Asked so.
    pub fn ask(mut self, ask: Ask) -> HostileAnswer {
        self.ask = ask;
        self
    }

    /// This outcome is right too.
    pub fn or(mut self, outcome: Outcome) -> HostileAnswer {
        self.right.push(outcome);
        self
    }

    /// This outcome alone is right.
    pub fn only(mut self, outcome: Outcome) -> HostileAnswer {
        self.right = vec![outcome];
        self
    }

    /// What comes late shall meet an idle connection, not the next request: then nobody could
    /// tell it from the answer.
    pub fn awaited(mut self) -> HostileAnswer {
        self.is_awaited = true;
        self
    }

    /// It lasts until the proxy's own bounds end it.
    pub fn slow(mut self) -> HostileAnswer {
        self.is_slow = true;
        self
    }

    /// The request as the client sends it, with a place for the token.
    pub fn request(&self) -> Vec<u8> {
        let upgrade = "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
                       Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
        let (method, lines, body) = match self.ask {
            Ask::Get => ("GET", String::new(), 0),
            Ask::Head => ("HEAD", String::new(), 0),
            Ask::Post(bytes) => ("POST", format!("Content-Length: {bytes}\r\n"), bytes),
            Ask::Upgrade => ("GET", upgrade.to_owned(), 0),
        };
        let body = "x".repeat(body);
        format!("{method} /{PLACE}/attack HTTP/1.1\r\nHost: {HOST}\r\n{lines}\r\n{body}")
            .into_bytes()
    }

    /// Why what the client heard is not right.
    ///
    /// # Errors
    /// In words, what it heard.
    pub fn check(&self, heard: &Heard) -> Result<(), String> {
        match self.right.iter().any(|outcome| outcome.is(heard)) {
            true => Ok(()),
            false => Err(match heard {
                Heard::Answer(answer) => format!(
                    "the client got {} with {} bytes, {}",
                    answer.status,
                    answer.body.len(),
                    if answer.is_whole { "whole" } else { "cut" }
                ),
                Heard::Ended => "the connection ended without a word".to_owned(),
                Heard::Broken(fault) => format!("the client got {fault}"),
                Heard::Late => "the client still waits".to_owned(),
            }),
        }
    }
}

// === impl Outcome ===

impl Outcome {
    /// A whole answer with this status and body.
    pub fn honest(status: u16, body: impl Into<Vec<u8>>) -> Outcome {
        Outcome::Honest { status, body: body.into(), lacks: &[], has: None }
    }

    fn is(&self, heard: &Heard) -> bool {
        match (self, heard) {
            (Outcome::Ended, heard) => *heard == Heard::Ended,
            (Outcome::Refused, Heard::Answer(answer)) => {
                answer.is_whole && matches!(answer.status, 502..=504)
            }
            (Outcome::Cut(status, whole), Heard::Answer(answer)) => {
                !answer.is_whole && answer.status == *status && whole.starts_with(&answer.body)
            }
            (Outcome::Honest { status, body, lacks, has }, Heard::Answer(answer)) => {
                answer.is_whole
                    && (answer.status, &answer.body) == (*status, body)
                    && lacks.iter().all(|name| answer.headers.all(name).next().is_none())
                    && has.is_none_or(|(name, values)| has_all(answer, name, values))
            }
            (_, Heard::Ended | Heard::Broken(_) | Heard::Late) => false,
        }
    }
}

fn has_all(answer: &Answer, name: &str, values: &[&str]) -> bool {
    answer.headers.all(name).eq(values.iter().map(|value| value.as_bytes()))
}

/// A pause that is part of an attack.
pub(super) const MOMENT: Duration = Duration::from_millis(100);
