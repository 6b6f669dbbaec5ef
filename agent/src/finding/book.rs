//! What is news: an address is told when it is new, and again after a while.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use muster_protocol::cluster::PeerAddress;

/// When which address was told last.
#[derive(Debug)]
pub(super) struct Book {
    told: BTreeMap<PeerAddress, Instant>,
    again: Duration,
    most: usize,
}

// === impl Book ===

impl Book {
    pub(super) fn new(again: Duration, most: usize) -> Book {
        Book { told: BTreeMap::new(), again, most }
    }

    /// Whether the address is to be told now; it counts as told then.
    pub(super) fn is_news(&mut self, address: &PeerAddress, now: Instant) -> bool {
        if let Some(told) = self.told.get(address)
            && now.saturating_duration_since(*told) < self.again
        {
            return false;
        }
        let again = self.again;
        if self.told.len() >= self.most {
            self.told.retain(|_, told| now.saturating_duration_since(*told) < again);
        }
        if self.told.len() < self.most {
            self.told.insert(address.clone(), now);
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_news_when_it_is_new_and_after_a_while() {
        let mut book = Book::new(Duration::from_secs(5), 2);
        let start = Instant::now();
        let mut at = |address: &str, seconds| {
            book.is_news(&address.parse().unwrap(), start + Duration::from_secs(seconds))
        };
        assert!(at("a:1", 0) && at("b:1", 1));
        assert!(!at("a:1", 4) && !at("b:1", 5));
        assert!(at("a:1", 5));
        // There is no room for a third one, which is told each time then.
        assert!(at("c:1", 5) && at("c:1", 5));
        assert!(at("c:1", 7) && !at("c:1", 8), "b has been forgotten");
    }
}
