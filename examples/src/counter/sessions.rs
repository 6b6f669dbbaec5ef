//! The sessions of one process: bounded in number, in bytes and in time.

use std::collections::{BTreeMap, HashMap};
use std::time::{Duration, Instant};

use rand::Rng;

/// How long a session lives without a request.
const MAX_IDLE: Duration = Duration::from_secs(30 * 60);

/// How much may be kept; then those sessions that rested longest go.
#[derive(Debug, Clone, Copy)]
pub(super) struct Bounds {
    /// Most sessions.
    sessions: usize,
    /// Most bytes of their attributes.
    bytes: usize,
}

/// All sessions.
#[derive(Debug, Default)]
pub(super) struct Sessions {
    by_id: HashMap<String, Session>,
    bytes: usize,
    bounds: Bounds,
}

#[derive(Debug)]
struct Session {
    count: u64,
    attributes: BTreeMap<u32, Vec<u8>>,
    used: Instant,
}

/// What a request does to its session beside counting.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Changes {
    /// Attributes 0 to `fill` - 1 are set to `size` bytes.
    pub(super) fill: u32,
    pub(super) size: usize,
    /// This attribute alone is set to `size` bytes.
    pub(super) touch: Option<u32>,
    /// The session ends.
    pub(super) invalidate: bool,
}

/// A session as a request found it.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Visit {
    pub(super) id: String,
    pub(super) is_new: bool,
    pub(super) count: u64,
}

// === impl Bounds ===

impl Default for Bounds {
    fn default() -> Self {
        Bounds { sessions: 100_000, bytes: 256 * 1024 * 1024 }
    }
}

// === impl Sessions ===

impl Sessions {
    /// Counts a request in the session that it asks for, or in a new one.
    pub(super) fn visit(&mut self, asked: Option<&str>, changes: Changes, now: Instant) -> Visit {
        let known = asked.filter(|id| self.by_id.get(*id).is_some_and(|s| !s.is_over(now)));
        let is_new = known.is_none();
        let id = known.map_or_else(new_id, str::to_owned);
        if is_new {
            self.make_room(now);
        }
        let session = self.by_id.entry(id.clone()).or_insert_with(|| Session::new(now));
        let bytes_before = session.bytes();
        session.count += 1;
        session.used = now;
        session.change(changes);
        let (bytes, count) = (session.bytes(), session.count);
        self.bytes = self.bytes + bytes - bytes_before;
        if changes.invalidate {
            self.remove(&id);
        }
        Visit { id, is_new, count }
    }

    /// How many there are, those among them that are over and not yet noticed.
    pub(super) fn count(&self) -> u64 {
        self.by_id.len() as u64
    }

    fn remove(&mut self, id: &str) {
        if let Some(session) = self.by_id.remove(id) {
            self.bytes -= session.bytes();
        }
    }

    /// Sessions that are over go first, then a tenth of all, so that this is done seldom.
    fn make_room(&mut self, now: Instant) {
        if self.by_id.len() < self.bounds.sessions && self.bytes < self.bounds.bytes {
            return;
        }
        let mut by_rest: Vec<_> = self.by_id.iter().map(|(id, s)| (s.used, id.clone())).collect();
        by_rest.sort_unstable();
        let tenth = by_rest.len().div_ceil(10);
        for (i, (used, id)) in by_rest.into_iter().enumerate() {
            if i < tenth || now.saturating_duration_since(used) > MAX_IDLE {
                self.remove(&id);
            }
        }
    }
}

// === impl Session ===

impl Session {
    fn new(now: Instant) -> Session {
        Session { count: 0, attributes: BTreeMap::new(), used: now }
    }

    fn is_over(&self, now: Instant) -> bool {
        now.saturating_duration_since(self.used) > MAX_IDLE
    }

    fn bytes(&self) -> usize {
        self.attributes.values().map(Vec::len).sum()
    }

    fn change(&mut self, changes: Changes) {
        for attribute in (0..changes.fill).chain(changes.touch) {
            let mut value = vec![0; changes.size];
            rand::rng().fill(&mut value[..]);
            self.attributes.insert(attribute, value);
        }
    }
}

/// 128 random bits in hexadecimal.
fn new_id() -> String {
    format!("{:032X}", rand::rng().random::<u128>())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn visit(sessions: &mut Sessions, asked: Option<&str>, now: Instant) -> Visit {
        sessions.visit(asked, Changes::default(), now)
    }

    #[test]
    fn a_session_counts_its_requests() {
        let (mut sessions, now) = (Sessions::default(), Instant::now());
        let first = visit(&mut sessions, None, now);
        assert_eq!((first.is_new, first.count, first.id.len()), (true, 1, 32));
        let second = visit(&mut sessions, Some(&first.id), now);
        assert_eq!((second.is_new, second.count), (false, 2));
        assert_ne!(visit(&mut sessions, Some("of-another-node"), now).id, "of-another-node");
    }

    #[test]
    fn a_session_is_over_after_half_an_hour_or_at_once() {
        let (mut sessions, now) = (Sessions::default(), Instant::now());
        let first = visit(&mut sessions, None, now);
        let later = now + MAX_IDLE + Duration::from_secs(1);
        assert!(visit(&mut sessions, Some(&first.id), later).is_new);
        let ended = Changes { invalidate: true, ..Changes::default() };
        let second = sessions.visit(None, ended, later);
        assert!(visit(&mut sessions, Some(&second.id), later).is_new);
    }

    #[test]
    fn attributes_are_bounded_and_the_longest_rested_session_goes_first() {
        let bounds = Bounds { bytes: 8_000, ..Bounds::default() };
        let mut sessions = Sessions { bounds, ..Sessions::default() };
        let full = Changes { fill: 4, size: 100, ..Changes::default() };
        let mut now = Instant::now();
        let first = sessions.visit(None, full, now);
        let mut last = first.id.clone();
        for _ in 0..25 {
            now += Duration::from_secs(1);
            last = sessions.visit(None, full, now).id;
            assert!(sessions.bytes <= 8_000);
        }
        assert!(visit(&mut sessions, Some(&first.id), now).is_new);
        assert!(!visit(&mut sessions, Some(&last), now).is_new);
    }

    #[test]
    fn sessions_are_bounded_in_number() {
        let bounds = Bounds { sessions: 10, ..Bounds::default() };
        let mut sessions = Sessions { bounds, ..Sessions::default() };
        for _ in 0..100 {
            visit(&mut sessions, None, Instant::now());
            assert!(sessions.by_id.len() <= 10);
        }
    }
}
