//! When a member says where it is: in quick succession at first, then at an interval that grows with
//! the cluster, and at once when a newcomer asks.

use std::time::{Duration, Instant};

use muster_protocol::cluster::Kind;
use rand::Rng;
use rand::rngs::StdRng;

/// After the start: so early that two that start together find each other in a moment, and so often
/// that a lost datagram does no harm.
const FIRST: [Duration; 5] = [
    Duration::ZERO,
    Duration::from_millis(50),
    Duration::from_millis(150),
    Duration::from_millis(400),
    Duration::from_millis(1000),
];

/// Between two datagrams of one member, at least; many newcomers share an answer.
const LEAST: Duration = Duration::from_millis(40);

/// An answer comes at a moment of chance within this, so that many members do not all speak at once.
const SPREAD: Duration = Duration::from_millis(20);

/// When the next datagram is due, and what it says.
#[derive(Debug)]
pub(super) struct Pace {
    started: Instant,
    first: usize,
    next: Instant,
    last: Option<Instant>,
    answer: Option<Instant>,
    interval: Duration,
    most_per_second: u32,
    chance: StdRng,
}

// === impl Pace ===

impl Pace {
    /// A member that starts now. All members together send about `most_per_second` datagrams once
    /// that is less than one in each `interval` of each of them.
    pub(super) fn new(
        interval: Duration,
        most_per_second: u32,
        now: Instant,
        chance: StdRng,
    ) -> Pace {
        let most_per_second = most_per_second.max(1);
        let next = now;
        Pace {
            started: now,
            first: 0,
            next,
            last: None,
            answer: None,
            interval,
            most_per_second,
            chance,
        }
    }

    /// When to look again.
    pub(super) fn due(&self) -> Instant {
        self.answer.map_or(self.next, |answer| answer.min(self.next))
    }

    /// Another one says that it has just come.
    pub(super) fn sought(&mut self, now: Instant) {
        let earliest = self.last.map_or(now, |last| now.max(last + LEAST));
        let spread = SPREAD.mul_f64(self.chance.random());
        self.answer.get_or_insert(earliest + spread);
    }

    /// What to send now, if anything; `others` is how many members are heard.
    pub(super) fn take(&mut self, others: usize, now: Instant) -> Option<Kind> {
        if now < self.due() {
            return None;
        }
        self.answer = None;
        self.last = Some(now);
        if now < self.next {
            return Some(Kind::Here);
        }
        let is_first = self.first < FIRST.len();
        self.first += usize::from(is_first);
        self.next = match FIRST.get(self.first) {
            Some(after) => (self.started + *after).max(now + LEAST),
            None => now + self.usual(others),
        };
        Some(if is_first { Kind::Seeking } else { Kind::Here })
    }

    fn usual(&mut self, others: usize) -> Duration {
        let members = u32::try_from(others + 1).unwrap_or(u32::MAX);
        let fair = Duration::from_secs(1).saturating_mul(members) / self.most_per_second;
        self.interval.max(fair).mul_f64(self.chance.random_range(0.9..1.1))
    }
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;

    use super::*;

    fn pace(start: Instant) -> Pace {
        Pace::new(Duration::from_secs(1), 20, start, StdRng::seed_from_u64(1))
    }

    /// When it speaks within so long, and what it says.
    fn spoken(pace: &mut Pace, others: usize, from: Instant, within: Duration) -> Vec<Kind> {
        let mut said = Vec::new();
        while pace.due() <= from + within {
            let now = pace.due();
            said.extend(pace.take(others, now));
        }
        said
    }

    #[test]
    fn it_seeks_in_quick_succession_and_then_speaks_each_second() {
        let start = Instant::now();
        let mut pace = pace(start);
        let first = spoken(&mut pace, 0, start, Duration::from_millis(1050));
        assert_eq!(first, [Kind::Seeking; 5]);
        let later = start + Duration::from_secs(2);
        let usual = spoken(&mut pace, 0, later, Duration::from_secs(60));
        assert!((54..=70).contains(&usual.len()) && usual.iter().all(|kind| *kind == Kind::Here));
    }

    #[test]
    fn many_members_speak_less_often() {
        let start = Instant::now();
        let mut pace = pace(start);
        spoken(&mut pace, 199, start, Duration::from_secs(2));
        let usual = spoken(&mut pace, 199, start, Duration::from_secs(102));
        assert!((9..=12).contains(&usual.len()), "200 members share 20 datagrams a second");
    }

    #[test]
    fn many_newcomers_get_one_answer_in_a_moment() {
        let start = Instant::now();
        let mut pace = pace(start);
        spoken(&mut pace, 0, start, Duration::from_millis(1050));
        let now = start + Duration::from_millis(1300);
        (0..100).for_each(|_| pace.sought(now));
        assert!(pace.due() <= now + SPREAD);
        assert_eq!(spoken(&mut pace, 0, now, Duration::from_millis(100)), [Kind::Here]);
        let answered = pace.last.unwrap();
        pace.sought(answered);
        assert!(pace.due() >= answered + LEAST);
    }
}
