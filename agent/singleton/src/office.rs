//! The elector: the oldest of those who offer the service. What it decides it tells the others, each
//! until it knows, and all of them again now and then: whoever has heard something else is put right.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use muster_cluster::{MemberId, Moment, NodeId};
use serde::{Deserialize, Serialize};

/// A member that did not take the word is told again after so long: as a rule it has not seen yet who
/// elects.
const AGAIN: Duration = Duration::from_millis(50);
/// All are told again after so long.
const ALL_AGAIN: Duration = Duration::from_secs(2);

/// What an elector says.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Elected {
    /// Rises with every word of one elector.
    pub version: u64,
    /// Who shall run the service.
    pub provider: Option<MemberId>,
    /// The node to which an operator moved it, while it is there.
    pub moved: Option<NodeId>,
}

/// What one elector has told whom. Members that do not elect have none.
#[derive(Clone, Debug)]
pub(crate) struct Office {
    word: Elected,
    /// Who has been told and has not answered.
    asked: BTreeSet<MemberId>,
    known: BTreeSet<MemberId>,
    /// Who did not take it is told again then.
    again: BTreeMap<MemberId, Moment>,
    all_again: Moment,
}

// === impl Office ===

impl Office {
    pub(crate) fn new(word: Elected, now: Moment) -> Self {
        let (asked, known, again) = (BTreeSet::new(), BTreeSet::new(), BTreeMap::new());
        Self { word, asked, known, again, all_again: now + ALL_AGAIN }
    }

    /// Another word, which nobody knows yet.
    pub(crate) fn say(&mut self, word: Elected, now: Moment) {
        *self = Self { asked: std::mem::take(&mut self.asked), ..Self::new(word, now) };
    }

    pub(crate) fn word(&self) -> Elected {
        self.word
    }

    /// Who of these is to be told now; each is asked once at a time.
    pub(crate) fn due(
        &mut self,
        others: impl Iterator<Item = MemberId>,
        now: Moment,
    ) -> Vec<MemberId> {
        if now >= self.all_again {
            self.known.clear();
            self.all_again = now + ALL_AGAIN;
        }
        let is_early = |to: &MemberId| self.again.get(to).is_some_and(|at| now < *at);
        let due: Vec<MemberId> = others
            .filter(|to| !self.known.contains(to) && !self.asked.contains(to) && !is_early(to))
            .collect();
        self.asked.extend(&due);
        due
    }

    /// It has heard that word, and taken it or not.
    pub(crate) fn answered(&mut self, by: MemberId, version: u64, is_taken: bool, now: Moment) {
        self.asked.remove(&by);
        if !is_taken {
            self.again.insert(by, now + AGAIN);
        } else if version == self.word.version {
            self.known.insert(by);
        }
    }

    /// What was said to members that are gone needs no answer.
    pub(crate) fn retain(&mut self, is_there: impl Fn(MemberId) -> bool) {
        self.asked.retain(|id| is_there(*id));
        self.known.retain(|id| is_there(*id));
        self.again.retain(|id, _| is_there(*id));
    }

    /// When there is something to say again.
    pub(crate) fn wake(&self) -> Moment {
        self.again.values().copied().fold(self.all_again, Moment::min)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn life(node: u128) -> MemberId {
        MemberId { node: NodeId(node), incarnation: 1 }
    }

    #[test]
    fn each_is_told_until_it_knows_and_all_are_told_again_now_and_then() {
        let ms = Moment::from_millis;
        let both = || [life(1), life(2)].into_iter();
        let word = Elected { version: 1, provider: Some(life(2)), moved: None };
        let mut office = Office::new(word, ms(0));
        assert_eq!(office.due(both(), ms(0)), [life(1), life(2)]);
        assert_eq!(office.due(both(), ms(1)), []);
        office.answered(life(1), 1, true, ms(2));
        office.answered(life(2), 1, false, ms(2));
        assert_eq!(office.due(both(), ms(10)), []);
        assert_eq!(office.wake(), ms(52));
        assert_eq!(office.due(both(), ms(52)), [life(2)]);
        office.say(Elected { version: 2, ..word }, ms(60));
        // The answer to the earlier word is no answer to this one.
        assert_eq!(office.due(both(), ms(60)), [life(1)]);
        office.answered(life(2), 1, true, ms(61));
        assert_eq!(office.due(both(), ms(61)), [life(2)]);
        office.answered(life(1), 2, true, ms(62));
        office.answered(life(2), 2, true, ms(62));
        assert_eq!(office.due(both(), ms(100)), []);
        assert_eq!(office.due(both(), ms(2060)), [life(1), life(2)]);
    }
}
