//! What the stories of clusters share: a round's histories, judged.

use std::collections::BTreeMap;

use muster_loadtests::cluster::clock::Nanos;
use muster_loadtests::cluster::singleton::{self, Line};
use muster_loadtests::cluster::worker::Histories;
use muster_loadtests::cluster::{Entry, Herd, History, Judge, Model};
use serde_json::{Value, json};

/// Checkouts of a round that stood, at least. Usual are 60 to 600.
const LEAST_LOCKS: usize = 15;

/// What was judged so far, in words.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    rounds: u32,
    done: BTreeMap<&'static str, usize>,
}

impl Tally {
    /// Judges a round's histories, each of which must have at least so many operations that
    /// happened.
    pub(crate) fn judge(&mut self, herd: &Herd, histories: &Histories, at_least: usize) {
        let judge = Judge::new(herd.folder()).unwrap();
        let all = [
            (Model::Register, &histories.register),
            (Model::Durable, &histories.durable),
            (Model::Counter, &histories.counter),
            (Model::Lock, &histories.lock),
        ];
        for (model, history) in all {
            // A checkout waits for the one before, whose holder may be cut off: there are fewer.
            let least = if model == Model::Lock { at_least.min(LEAST_LOCKS) } else { at_least };
            self.one(&judge, model, history, least);
        }
        self.rounds += 1;
    }

    /// Judges by one model.
    pub(crate) fn one(&mut self, judge: &Judge, model: Model, history: &History, at_least: usize) {
        let verdict = judge.judge(model, history, at_least).unwrap();
        if !verdict.is_pass {
            let kept = std::env::temp_dir().join(format!("muster-bad-{}.jsonl", model.name()));
            history.save(&kept).unwrap();
            eprintln!("the history that fails: {}", kept.display());
        }
        assert!(verdict.is_pass, "round {}: {verdict}", self.rounds);
        *self.done.entry(model.name()).or_default() += history.count_ok("");
    }

    /// One line that says how much was judged.
    pub(crate) fn tell(&self, what: &str) {
        eprintln!("round {what}: {} rounds, done and judged {:?}, 0 lost", self.rounds, self.done);
    }
}

/// What all members wrote of their lease, as a history. Those that were killed held nothing from that
/// instant on.
pub(crate) fn lease(herd: &Herd, kills: &[(String, Nanos)]) -> History {
    let history = History::new();
    for member in &herd.members {
        let entry =
            |op, start, end, value| Entry::done(&member.name, op, "lease", (start, end), value);
        for line in singleton::read(&member.journal) {
            history.push(match line {
                Line::Start { asked, at, token } => entry("acquire", asked, at, json!(token)),
                Line::Stop { at } => entry("release", at, at, Value::Null),
            });
        }
        for (_, at) in kills.iter().filter(|(name, _)| *name == member.name) {
            history.push(entry("crash", *at, *at, Value::Null));
        }
    }
    history
}
