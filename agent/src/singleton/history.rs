//! What has happened with a singleton on this member, the last few things.

use std::collections::VecDeque;

use muster_protocol::cluster::events::Gravity;
use muster_singleton::{Note, Outcome};

use crate::engine::{Member, Token};

/// So many are kept.
const MOST: usize = 64;

/// Something that has happened.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Happening {
    /// When, in milliseconds since 1970.
    pub at_ms: u64,
    /// What, in words.
    pub text: String,
}

/// The last happenings, and how often some of them came.
#[derive(Debug, Default)]
pub(super) struct History {
    last: VecDeque<Happening>,
    pub(super) counts: Counts,
}

/// What only rises.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) struct Counts {
    pub(crate) starts: u64,
    pub(crate) failures: u64,
    pub(crate) lost: u64,
    pub(crate) cut_off: u64,
}

/// What the cluster is told of it, and how grave it is: what starts and ends, not who is elected for
/// it, which the start says too.
pub(super) fn told(note: Note, singleton: &str, here: &str) -> Option<(Gravity, String)> {
    Some(match note {
        Note::Started(token) => {
            (Gravity::Info, format!("{singleton} started on {here} with token {}", Token(token)))
        }
        Note::Ended(_, Outcome::Stopped) => {
            (Gravity::Info, format!("{singleton} stopped on {here}"))
        }
        Note::Ended(_, Outcome::Failed) => (
            Gravity::Warning,
            format!("{singleton} failed on {here}: another member is asked first"),
        ),
        Note::Lost(token) => {
            let token = Token(token);
            (Gravity::Warning, format!("{singleton} lost the lease of token {token} on {here}"))
        }
        Note::Late(_) => (
            Gravity::Warning,
            format!("{singleton} did not stop in time on {here}, and was cut off"),
        ),
        Note::Stuck(_) => (
            Gravity::Trouble,
            format!("{singleton} was cut off on {here} and goes on: its writes are fenced"),
        ),
        // Every candidate says so, in the same words.
        Note::Elected(None, Some(why)) => {
            (Gravity::Trouble, format!("{singleton} runs nowhere: {why}"))
        }
        Note::Elected(..) => return None,
    })
}

// === impl History ===

impl History {
    pub(super) fn add(&mut self, note: Note, candidates: &[Member]) -> String {
        let counts = &mut self.counts;
        let text = match note {
            Note::Elected(Some(id), _) => {
                let name = candidates.iter().find(|one| one.id == id).map(|one| &*one.name);
                format!("{} is elected", name.unwrap_or("a member that is gone"))
            }
            Note::Elected(None, Some(why)) => format!("nobody is elected: {why}"),
            Note::Elected(None, None) => "nobody is elected".to_owned(),
            Note::Started(token) => {
                counts.starts += 1;
                format!("started with token {}", Token(token))
            }
            Note::Lost(token) => {
                counts.lost += 1;
                format!("the lease of token {} was lost", Token(token))
            }
            Note::Ended(_, Outcome::Stopped) => "stopped".to_owned(),
            Note::Ended(_, Outcome::Failed) => {
                counts.failures += 1;
                "failed: another member is asked first".to_owned()
            }
            Note::Late(_) => {
                counts.cut_off += 1;
                "did not stop in time, and was cut off".to_owned()
            }
            Note::Stuck(_) => "goes on although it was cut off: its writes are fenced".to_owned(),
        };
        if self.last.len() == MOST {
            self.last.pop_front();
        }
        self.last.push_back(Happening { at_ms: crate::wall::ms(), text: text.clone() });
        text
    }

    pub(super) fn latest_first(&self) -> Vec<Happening> {
        self.last.iter().rev().cloned().collect()
    }
}
