//! Addresses at which somebody may listen, and when each is to be dialled.

use std::collections::BTreeMap;
use std::time::Duration;

use muster_cluster::{Moment, NodeId};

use super::hello::Lane;

/// Addresses at most.
const MOST: usize = 256;
/// Bytes of an address at most.
const MOST_ADDRESS: usize = 256;
/// How long an address is tried that nobody speaks of any more.
const PATIENCE: Duration = Duration::from_secs(60);
/// Between the first tries of an address.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
/// Between two tries of an address at most.
const LONGEST_PAUSE: Duration = Duration::from_secs(5);
/// After it was spoken of, an address is tried within this time.
const SPOKEN_OF: Duration = Duration::from_millis(800);
/// How long the side with the higher id leaves dialling to the other one.
const COURTESY: Duration = Duration::from_millis(500);

#[derive(Clone, Debug)]
struct Entry {
    /// Who answered there last.
    node: Option<NodeId>,
    tries: u32,
    next: Moment,
    until: Moment,
    is_dialling: bool,
}

/// What a dial came to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Dialled {
    /// This node is linked now.
    Linked(NodeId),
    /// It is this process itself.
    Oneself,
    /// It failed.
    Failed,
}

/// The addresses.
#[derive(Debug, Default)]
pub(crate) struct Book {
    entries: BTreeMap<String, Entry>,
    me: NodeId,
}

impl Book {
    pub(crate) fn new(me: NodeId) -> Self {
        Self { entries: BTreeMap::new(), me }
    }

    /// Somebody may listen there. False when there is no room for it.
    pub(crate) fn found(&mut self, address: &str, node: Option<NodeId>, now: Moment) -> bool {
        if address.is_empty() || address.len() > MOST_ADDRESS {
            return false;
        }
        if let Some(entry) = self.entries.get_mut(address) {
            entry.until = now + PATIENCE;
            // Whoever is spoken of again is likely to be there now.
            entry.next = entry.next.min(now + SPOKEN_OF);
            return true;
        }
        if self.entries.len() >= MOST {
            self.entries.retain(|_, entry| entry.until > now || entry.is_dialling);
        }
        if self.entries.len() >= MOST {
            return false;
        }
        let next = if node.is_some() { now + COURTESY } else { now };
        let (tries, until) = (0, now + PATIENCE);
        let entry = Entry { node, tries, next, until, is_dialling: false };
        self.entries.insert(address.to_owned(), entry);
        true
    }

    /// What is to be dialled now.
    pub(crate) fn due(
        &mut self,
        now: Moment,
        is_linked: impl Fn(NodeId, Lane) -> bool,
    ) -> Vec<(String, Lane)> {
        self.entries.retain(|_, entry| entry.until > now || entry.is_dialling);
        let me = self.me;
        let mut due = Vec::new();
        for (address, entry) in &mut self.entries {
            if entry.is_dialling || entry.next > now || entry.node == Some(me) {
                continue;
            }
            let lane = match entry.node {
                Some(node) if is_linked(node, Lane::Bulk) && is_linked(node, Lane::Calls) => {
                    entry.until = now + PATIENCE;
                    continue;
                }
                Some(node) if is_linked(node, Lane::Calls) => Lane::Bulk,
                _ => Lane::Calls,
            };
            entry.is_dialling = true;
            due.push((address.clone(), lane));
        }
        due
    }

    /// What came of it.
    pub(crate) fn done(&mut self, address: &str, dialled: Dialled, now: Moment) {
        let me = self.me;
        let Some(entry) = self.entries.get_mut(address) else { return };
        entry.is_dialling = false;
        match dialled {
            Dialled::Linked(node) => {
                entry.node = Some(node);
                (entry.tries, entry.until) = (0, now + PATIENCE);
                entry.next = if me < node { now } else { now + COURTESY };
            }
            Dialled::Oneself => entry.node = Some(me),
            Dialled::Failed => {
                // Who listens there next may be somebody else.
                entry.node = None;
                let pause = FIRST_PAUSE.saturating_mul(1 << entry.tries.min(10));
                entry.tries += 1;
                entry.next = now + pause.min(LONGEST_PAUSE);
            }
        }
    }

    /// This node.
    pub(crate) fn me(&self) -> NodeId {
        self.me
    }

    /// Where a node was last reached, or is said to listen.
    pub(crate) fn address(&self, node: NodeId) -> Option<String> {
        let mut entries = self.entries.iter();
        entries.find(|(_, entry)| entry.node == Some(node)).map(|(address, _)| address.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ME: NodeId = NodeId(5);
    const NOBODY: fn(NodeId, Lane) -> bool = |_, _| false;

    fn at(ms: u64) -> Moment {
        Duration::from_millis(ms)
    }

    #[test]
    fn an_address_is_dialled_at_once_then_less_and_less_often_and_at_last_forgotten() {
        let mut book = Book::new(ME);
        assert!(book.found("a:1", None, at(0)));
        let mut tries = Vec::new();
        for now in (0..70_000).step_by(50) {
            for (address, lane) in book.due(at(now), NOBODY) {
                assert_eq!((address.as_str(), lane), ("a:1", Lane::Calls));
                tries.push(now);
                book.done(&address, Dialled::Failed, at(now));
            }
        }
        assert_eq!(tries[..6], [0, 100, 300, 700, 1500, 3100]);
        assert!(tries.windows(2).all(|pair| pair[1] - pair[0] <= 5_000));
        assert!(tries.last().is_some_and(|last| (55_000..60_000).contains(last)), "{tries:?}");
    }

    #[test]
    fn the_lower_id_dials_the_lane_for_bulk_and_the_higher_only_when_it_does_not() {
        for (peer, first) in [(NodeId(9), 0), (NodeId(2), 500)] {
            let mut book = Book::new(ME);
            book.found("a:1", None, at(0));
            book.due(at(0), NOBODY);
            book.done("a:1", Dialled::Linked(peer), at(0));
            let calls = |_, lane| lane == Lane::Calls;
            let bulk = (0..1_000).step_by(50).find(|now| {
                let due = book.due(at(*now), calls);
                due == [("a:1".to_owned(), Lane::Bulk)]
            });
            assert_eq!(bulk, Some(first));
        }
    }

    #[test]
    fn a_process_does_not_dial_itself_again_and_a_full_book_takes_no_more() {
        let mut book = Book::new(ME);
        book.found("me:1", None, at(0));
        book.due(at(0), NOBODY);
        book.done("me:1", Dialled::Oneself, at(0));
        assert!(book.due(at(10_000), NOBODY).is_empty());
        let taken = (0..2 * MOST).filter(|n| book.found(&format!("b:{n}"), None, at(0))).count();
        assert_eq!(taken, MOST - 1);
        assert!(!book.found("", None, at(0)) && !book.found(&"x".repeat(300), None, at(0)));
    }
}
