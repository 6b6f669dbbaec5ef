//! What has happened, as this member saw it: a bounded log in memory, which the management of any
//! member shows together with those of the others. Parts tell it what an operator would ask for
//! later; what they log is their own matter.

use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;

use muster_protocol::cluster::events::{ClusterEvent, EventKind, MOST_EVENTS};
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use tokio_util::sync::CancellationToken;

use crate::engine::{Group, View};
use crate::watching::changed;

/// Bytes of an event's text at most.
const MOST_TEXT: usize = 512;

/// Members tell of one thing within so long of each other, where their clocks agree.
const TOGETHER_MS: u64 = 3000;

/// What has happened here. Clones are the same log.
#[derive(Debug, Clone, Default)]
pub struct Events {
    log: Arc<Mutex<VecDeque<Event>>>,
}

/// Something that has happened.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Event {
    /// When, in milliseconds since 1970.
    pub at_ms: u64,
    /// What it is about.
    pub kind: EventKind,
    /// What has happened, in words.
    pub text: String,
}

// === impl Events ===

impl Events {
    /// One more; the oldest is forgotten for it where there are 200. Words begin with what it is
    /// about: `counter started on one`. What every member sees it tells in the same words.
    pub fn tell(&self, kind: EventKind, text: impl Into<String>) {
        self.tell_at(crate::wall::ms(), kind, text.into());
    }

    fn tell_at(&self, at_ms: u64, kind: EventKind, mut text: String) {
        while text.len() > MOST_TEXT {
            text.pop();
        }
        let mut log = self.log.lock();
        log.truncate(MOST_EVENTS - 1);
        log.push_front(Event { at_ms, kind, text });
    }

    /// What has happened on this member, the latest first.
    #[must_use]
    pub fn latest_first(&self) -> Vec<Event> {
        self.log.lock().iter().cloned().collect()
    }
}

/// Tells of views until `closed`.
pub(crate) fn tell_views(events: &Events, group: &Arc<dyn Group>, closed: CancellationToken) {
    let (events, mut views) = (events.clone(), group.watch());
    tokio::spawn(async move {
        let mut last = views.borrow_and_update().clone();
        while changed(&mut views, &closed).await {
            let view = views.borrow_and_update().clone();
            for (kind, text) in told(&last, &view) {
                events.tell(kind, text);
            }
            last = view;
        }
    });
}

/// What is different in a view, in words that are the same on every member.
fn told(before: &View, view: &View) -> Vec<(EventKind, String)> {
    let names = |of: &View, but: &View| -> Vec<String> {
        let others = of.members.iter().filter(|member| but.member(member.id).is_none());
        others.map(|member| member.name.to_string()).collect()
    };
    let mut told = Vec::new();
    if view.merges > before.merges {
        told.push((EventKind::Merge, "two sides of a split met".to_owned()));
    }
    for (names, what) in [(names(view, before), "came"), (names(before, view), "went")] {
        if !names.is_empty() {
            told.push((EventKind::View, format!("{} {what}", names.join(", "))));
        }
    }
    if before.is_quorate != view.is_quorate {
        let now = if view.is_quorate { "enough" } else { "too few" };
        told.push((EventKind::Quorum, format!("{now} members are in sight")));
    }
    told
}

/// What members tell, each by its name, as one list, the latest first. What several tell in the same
/// words at about the same time is one event.
pub(crate) fn together(told: Vec<(String, Vec<Event>)>) -> Vec<ClusterEvent> {
    let all = told
        .into_iter()
        .flat_map(|(member, events)| events.into_iter().map(move |event| (member.clone(), event)));
    let mut all: Vec<(String, Event)> = all.collect();
    all.sort_by_key(|(_, event)| event.at_ms);
    let mut list: Vec<ClusterEvent> = Vec::with_capacity(all.len());
    for (member, Event { at_ms, kind, text }) in all {
        let near = list.iter_mut().rev().take_while(|one| at_ms - one.at_ms <= TOGETHER_MS);
        let same = |one: &&mut ClusterEvent| {
            one.kind == kind && one.text == text && !one.members.contains(&member)
        };
        match near.into_iter().find(same) {
            Some(one) => one.members.push(member),
            None => list.push(ClusterEvent { at_ms, kind, text, members: vec![member] }),
        }
    }
    list.reverse();
    list
}

/// Members of these that told nothing.
pub(crate) fn silent<'m>(
    members: impl Iterator<Item = &'m str>,
    told: &[(String, Vec<Event>)],
) -> Vec<String> {
    let answered: BTreeSet<&str> = told.iter().map(|(member, _)| member.as_str()).collect();
    members.filter(|member| !answered.contains(member)).map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(at_ms: u64, text: &str) -> Event {
        Event { at_ms, kind: EventKind::View, text: text.to_owned() }
    }

    #[test]
    fn what_members_tell_in_the_same_words_is_one_event() {
        let one = vec![event(9000, "c went"), event(1100, "c came")];
        let two = vec![event(9050, "c went"), event(9060, "two alone"), event(1000, "c came")];
        let list = together(vec![("one".to_owned(), one), ("two".to_owned(), two)]);
        let words: Vec<_> =
            list.iter().map(|one| (one.at_ms, one.text.as_str(), one.members.join(" "))).collect();
        let both = |who: &str| who.to_owned();
        assert_eq!(
            words,
            [
                (9060, "two alone", both("two")),
                (9000, "c went", both("one two")),
                (1000, "c came", both("two one")),
            ]
        );
    }

    #[test]
    fn what_one_member_tells_twice_happened_twice() {
        let twice = vec![event(1001, "a failed"), event(1000, "a failed")];
        assert_eq!(together(vec![("one".to_owned(), twice)]).len(), 2);
        let later = vec![("one".to_owned(), vec![event(1000, "a failed")])];
        let later = [later, vec![("two".to_owned(), vec![event(5000, "a failed")])]].concat();
        assert_eq!(together(later).len(), 2);
    }

    #[test]
    fn only_the_last_events_are_remembered_and_none_is_long() {
        let events = Events::default();
        for number in 0..MOST_EVENTS as u64 + 5 {
            events.tell_at(number, EventKind::Job, "é".repeat(1000));
        }
        let told = events.latest_first();
        assert_eq!((told.len(), told[0].at_ms), (MOST_EVENTS, 204));
        assert_eq!(told[0].text.len(), MOST_TEXT);
    }
}
