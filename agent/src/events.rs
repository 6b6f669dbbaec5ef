//! What has happened, as this member saw it: a bounded log in memory, which the management of any
//! member shows together with those of the others. Parts tell it what an operator would ask for
//! later; what they log is their own matter.

use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;

use muster_protocol::cluster::events::{ClusterEvent, EventKind, Gravity, MOST_EVENTS};
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
    /// How grave it is; none where an earlier release tells it.
    #[serde(default)]
    pub gravity: Option<Gravity>,
    /// What has happened, in words.
    pub text: String,
}

// === impl Events ===

impl Events {
    /// One more, to be known; the oldest is forgotten for it where there are 200. Words begin with what
    /// it is about: `counter started on one`. What every member sees it tells in the same words.
    pub fn tell(&self, kind: EventKind, text: impl Into<String>) {
        self.tell_of(Gravity::Info, kind, text);
    }

    /// One more at which somebody should look.
    pub fn warn(&self, kind: EventKind, text: impl Into<String>) {
        self.tell_of(Gravity::Warning, kind, text);
    }

    /// One more by which something is lost, or not done any more.
    pub fn trouble(&self, kind: EventKind, text: impl Into<String>) {
        self.tell_of(Gravity::Trouble, kind, text);
    }

    pub(crate) fn tell_of(&self, gravity: Gravity, kind: EventKind, text: impl Into<String>) {
        let gravity = Some(gravity);
        self.add(Event { at_ms: crate::wall::ms(), kind, gravity, text: text.into() });
    }

    fn add(&self, mut event: Event) {
        while event.text.len() > MOST_TEXT {
            event.text.pop();
        }
        let mut log = self.log.lock();
        log.truncate(MOST_EVENTS - 1);
        log.push_front(event);
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
            for (gravity, kind, text) in told(&last, &view) {
                events.tell_of(gravity, kind, text);
            }
            last = view;
        }
    });
}

/// What is different in a view, in words that are the same on every member. Who went may have left in
/// order or be lost: a view does not say it.
fn told(before: &View, view: &View) -> Vec<(Gravity, EventKind, String)> {
    let names = |of: &View, but: &View| -> Vec<String> {
        let others = of.members.iter().filter(|member| but.member(member.id).is_none());
        others.map(|member| member.name.to_string()).collect()
    };
    let mut told = Vec::new();
    if view.merges > before.merges {
        told.push((Gravity::Warning, EventKind::Merge, "two sides of a split met".to_owned()));
    }
    for (gravity, names, what) in [
        (Gravity::Info, names(view, before), "came"),
        (Gravity::Warning, names(before, view), "went"),
    ] {
        if !names.is_empty() {
            told.push((gravity, EventKind::View, format!("{} {what}", names.join(", "))));
        }
    }
    if before.is_quorate != view.is_quorate {
        let (gravity, now) = match view.is_quorate {
            true => (Gravity::Info, "enough"),
            false => (Gravity::Trouble, "too few"),
        };
        told.push((gravity, EventKind::Quorum, format!("{now} members are in sight")));
    }
    told
}

/// What members tell, each by its name, as one list, the latest first. What several tell in the same
/// words at about the same time is one event, as grave as the gravest says.
pub(crate) fn together(told: Vec<(String, Vec<Event>)>) -> Vec<ClusterEvent> {
    let all = told
        .into_iter()
        .flat_map(|(member, events)| events.into_iter().map(move |event| (member.clone(), event)));
    let mut all: Vec<(String, Event)> = all.collect();
    all.sort_by_key(|(_, event)| event.at_ms);
    let mut list: Vec<ClusterEvent> = Vec::with_capacity(all.len());
    for (member, Event { at_ms, kind, gravity, text }) in all {
        let near = list.iter_mut().rev().take_while(|one| at_ms - one.at_ms <= TOGETHER_MS);
        let same = |one: &&mut ClusterEvent| {
            one.kind == kind && one.text == text && !one.members.contains(&member)
        };
        match near.into_iter().find(same) {
            Some(one) => {
                one.gravity = one.gravity.max(gravity);
                one.members.push(member);
            }
            None => list.push(ClusterEvent { at_ms, kind, gravity, text, members: vec![member] }),
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
        let gravity = Some(Gravity::Warning);
        Event { at_ms, kind: EventKind::View, gravity, text: text.to_owned() }
    }

    #[test]
    fn what_members_of_two_releases_tell_is_as_grave_as_the_later_one_says() {
        let old = Event { gravity: None, ..event(1000, "c went") };
        let told =
            vec![("one".to_owned(), vec![old]), ("two".to_owned(), vec![event(1001, "c went")])];
        let list = together(told);
        assert_eq!((list.len(), list[0].gravity), (1, Some(Gravity::Warning)));
        let before: Event =
            serde_json::from_str(r#"{"at_ms":1,"kind":"job","text":"a job"}"#).unwrap();
        assert_eq!(before.gravity, None);
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
            events.add(Event { at_ms: number, ..event(0, &"é".repeat(1000)) });
        }
        let told = events.latest_first();
        assert_eq!((told.len(), told[0].at_ms), (MOST_EVENTS, 204));
        assert_eq!(told[0].text.len(), MOST_TEXT);
    }
}
