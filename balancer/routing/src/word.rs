//! The operators' word: what was said of a node, a context or a balancer name, and what it means.
//!
//! A node says of its contexts what it likes; an operator's word is a *ceiling* over that: a
//! context takes what the node allows, and no more than the operator does. So a node that comes
//! back to its own "enable" in the middle of a drain changes nothing, and when the word is taken
//! back, what the node had said is there again.
//!
//! Each word has a [`Stamp`], and of two words for one thing the later holds. That is all that two
//! balancers need to agree: they tell each other their words, in any order and as often as they
//! like.

use std::collections::BTreeMap;
use std::sync::Arc;

use muster_protocol::names::{Alias, BalancerName, ContextPath, Route};
use serde::{Deserialize, Serialize};

use crate::context::ContextState;
use crate::overrides::{BalancerOverride, NodeOverride};

/// Milliseconds since 1970: words outlive a process, and are told to other machines.
pub type UnixMs = u64;

/// Most words that are kept. When there are more, the oldest that hold nothing down go first.
pub const MOST_WORDS: usize = 100_000;

/// How far ahead of our own clock another's word may be: one from farther would win for ever.
pub const MOST_AHEAD_MS: u64 = 24 * 3600 * 1000;

/// When a word was said, and at which balancer. Later ones win; at the same time, names decide.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Stamp {
    /// When; never earlier than the word that it answers, whatever the clocks say.
    pub at_ms: UnixMs,
    /// Which balancer heard it.
    pub heard_by: Arc<str>,
}

/// A node, or one context of it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Subject {
    /// The node.
    pub route: Route,
    /// Where only one of its contexts is meant: a name of its virtual host, and its path.
    pub context: Option<(Alias, ContextPath)>,
}

/// What was said of a node or a context.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Say {
    /// All requests, whatever the node said until now.
    Enable,
    /// No new sessions.
    Disable,
    /// No requests.
    Stop,
    /// No new sessions until nothing is left or the deadline is over; then no requests.
    Drain {
        /// When.
        deadline_ms: UnixMs,
        /// Whether an operator had disabled it before: so it is again when the drain is cancelled.
        #[serde(default)]
        disabled_before: bool,
    },
    /// What the node says itself: an earlier word is taken back.
    Free,
}

/// What is said.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum About {
    /// Of the requests that a node or a context takes.
    State {
        /// Of whom.
        subject: Subject,
        /// What.
        say: Say,
    },
    /// Of a node's properties.
    Node {
        /// Which.
        route: Route,
        /// What holds instead of what it reports.
        overrides: NodeOverride,
    },
    /// Of a balancer name's settings.
    Balancer {
        /// Which.
        name: BalancerName,
        /// What holds instead of what its nodes report.
        overrides: BalancerOverride,
    },
}

/// What a word is for. Of each, only the last word is kept.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Key {
    /// Which requests it takes.
    State(Subject),
    /// A node's properties.
    Node(Route),
    /// A balancer name's settings.
    Balancer(BalancerName),
}

/// One word.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Word {
    /// When and where.
    pub stamp: Stamp,
    /// Who.
    pub by: Arc<str>,
    /// What.
    pub about: About,
}

/// All words that stand.
#[derive(Debug, Clone, Default)]
pub struct Words {
    all: BTreeMap<Key, Word>,
    latest_ms: UnixMs,
}

/// The table of words is full of words that hold something down.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("no room for more words of operators: the limit is {MOST_WORDS}")]
pub struct Full;

// === impl Subject ===

impl Subject {
    /// A whole node.
    pub fn node(route: Route) -> Subject {
        Subject { route, context: None }
    }
}

// === impl Say ===

impl Say {
    /// The most that a context may take. `has_drained`: the drain is over.
    pub fn ceiling(self, has_drained: bool) -> ContextState {
        match self {
            Say::Enable | Say::Free => ContextState::Enabled,
            Say::Disable => ContextState::Disabled,
            Say::Stop => ContextState::Stopped,
            Say::Drain { .. } if has_drained => ContextState::Stopped,
            Say::Drain { .. } => ContextState::Disabled,
        }
    }

    /// One word for it.
    pub fn word(self) -> &'static str {
        match self {
            Say::Enable => "enable",
            Say::Disable => "disable",
            Say::Stop => "stop",
            Say::Drain { .. } => "drain",
            Say::Free => "free",
        }
    }
}

// === impl About ===

impl About {
    /// What it is for.
    pub fn key(&self) -> Key {
        match self {
            About::State { subject, .. } => Key::State(subject.clone()),
            About::Node { route, .. } => Key::Node(route.clone()),
            About::Balancer { name, .. } => Key::Balancer(name.clone()),
        }
    }

    /// Whether it leaves everything as the nodes say.
    fn is_idle(&self) -> bool {
        match self {
            About::State { say, .. } => matches!(say, Say::Free | Say::Enable),
            About::Node { overrides, .. } => overrides.is_empty(),
            About::Balancer { overrides, .. } => overrides.is_empty(),
        }
    }
}

// === impl Words ===

impl Words {
    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = &Word> {
        self.all.values()
    }

    /// The last word for something.
    pub fn get(&self, key: &Key) -> Option<&Word> {
        self.all.get(key)
    }

    /// A stamp for a word that is said now: later than every word that is known.
    pub fn stamp(&self, now: UnixMs, heard_by: &Arc<str>) -> Stamp {
        Stamp { at_ms: now.max(self.latest_ms + 1), heard_by: heard_by.clone() }
    }

    /// Takes a word where it is later than the one that stands; says whether it is.
    ///
    /// # Errors
    /// [`Full`]; nothing has changed then.
    pub fn take(&mut self, word: &Word) -> Result<bool, Full> {
        let key = word.about.key();
        match self.all.get(&key) {
            Some(known) if known.stamp >= word.stamp => return Ok(false),
            None if self.all.len() >= MOST_WORDS => self.make_room()?,
            Some(_) | None => {}
        }
        self.latest_ms = self.latest_ms.max(word.stamp.at_ms);
        self.all.insert(key, word.clone());
        Ok(true)
    }

    /// What was said of a node and its contexts.
    pub fn of<'w>(
        &'w self,
        route: &'w Route,
    ) -> impl Iterator<Item = (&'w Subject, Say, &'w Stamp)> {
        let first = Key::State(Subject::node(route.clone()));
        let words = self.all.range(first..);
        words.map_while(move |(key, word)| match (key, &word.about) {
            (Key::State(subject), About::State { say, .. }) if subject.route == *route => {
                Some((subject, *say, &word.stamp))
            }
            _ => None,
        })
    }

    /// What holds instead of what a node reports.
    pub fn node(&self, route: &Route) -> Option<&NodeOverride> {
        match &self.all.get(&Key::Node(route.clone()))?.about {
            About::Node { overrides, .. } => Some(overrides),
            About::State { .. } | About::Balancer { .. } => None,
        }
    }

    /// What holds instead of what the nodes of a balancer name report.
    pub fn balancer(&self, name: &BalancerName) -> Option<&BalancerOverride> {
        match &self.all.get(&Key::Balancer(name.clone()))?.about {
            About::Balancer { overrides, .. } => Some(overrides),
            About::State { .. } | About::Node { .. } => None,
        }
    }

    fn make_room(&mut self) -> Result<(), Full> {
        let idle = self.all.iter().filter(|(_, word)| word.about.is_idle());
        let oldest = idle.min_by_key(|(_, word)| word.stamp.at_ms).map(|(key, _)| key.clone());
        self.all.remove(&oldest.ok_or(Full)?);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn word(at_ms: UnixMs, heard_by: &str, route: &str, say: Say) -> Word {
        let subject = Subject::node(route.parse().unwrap());
        let stamp = Stamp { at_ms, heard_by: heard_by.into() };
        Word { stamp, by: "ann".into(), about: About::State { subject, say } }
    }

    proptest! {
        #[test]
        fn balancers_that_told_each_other_all_words_agree_in_whatever_order_they_heard_them(
            said in proptest::collection::vec((0..5_u64, 0..2_usize, 0..2_usize, 0..3_usize), 0..12),
            order in any::<u64>(),
        ) {
            // Where one balancer hears two words in one millisecond, their stamps differ.
            let say = [Say::Enable, Say::Disable, Say::Stop];
            let words: Vec<Word> = said
                .iter()
                .enumerate()
                .map(|(at, (ms, by, route, what))| {
                    word(ms * 100 + at as u64, ["A", "B"][*by], ["n", "m"][*route], say[*what])
                })
                .collect();
            let mut shuffled = words.clone();
            shuffled.sort_by_key(|word| (word.stamp.at_ms.wrapping_mul(order | 1)).rotate_left(17));
            let heard = |words: &[Word]| {
                let mut all = Words::default();
                for word in words.iter().chain(words) {
                    let _ = all.take(word);
                }
                all.iter().cloned().collect::<Vec<_>>()
            };
            prop_assert_eq!(heard(&words), heard(&shuffled));
        }
    }

    #[test]
    fn a_stamp_is_later_than_every_word_that_is_known_whatever_the_clock_says() {
        let mut words = Words::default();
        assert_eq!(words.take(&word(1000, "B", "n", Say::Stop)), Ok(true));
        let stamp = words.stamp(10, &"A".into());
        assert!(stamp > words.iter().next().unwrap().stamp);
        let later = Word { stamp, ..word(0, "A", "n", Say::Enable) };
        assert_eq!(words.take(&later), Ok(true));
        assert_eq!(words.take(&word(1000, "B", "n", Say::Stop)), Ok(false));
    }

    #[test]
    fn words_can_be_written_down_and_read_again() {
        let said = word(7, "A", "n", Say::Drain { deadline_ms: 9, disabled_before: true });
        let text = serde_json::to_string(&said).unwrap();
        assert_eq!(serde_json::from_str::<Word>(&text).unwrap(), said);
        let hostile = text.replace("\"n\"", "\"<script>\"");
        assert!(serde_json::from_str::<Word>(&hostile).is_err());
    }

    #[test]
    fn a_full_table_forgets_what_holds_nothing_down() {
        let mut words = Words::default();
        for at in 0..MOST_WORDS {
            let say = if at == 7 { Say::Free } else { Say::Stop };
            words.take(&word(at as u64, "A", &format!("n{at}"), say)).unwrap();
        }
        assert_eq!(words.take(&word(1, "A", "more", Say::Stop)), Ok(true));
        assert_eq!(words.take(&word(1, "A", "even-more", Say::Stop)), Err(Full));
        assert_eq!(words.iter().count(), MOST_WORDS);
    }
}
