//! What the counts that browsers saw say of their sessions. A browser asks for the next thing only
//! when it has its answer, so that its counts must rise by one.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::time::Duration;

use tokio::time::Instant;

use super::crowd::{Seen, Visit};

/// An answer that takes longer is a slow one.
pub const SLOW: Duration = Duration::from_millis(100);
/// What is slow and was asked for so soon after a fault is slow because of it; later ones have
/// reasons of their own, such as a node that comes back.
pub const FELT_FOR: Duration = Duration::from_secs(2);
/// Failures that are told in words, at most, and requests that were counted twice.
const MOST_TOLD: usize = 8;

/// What is known of every browser, round after round.
#[derive(Debug, Default)]
pub struct Judge {
    browsers: BTreeMap<usize, Browser>,
}

#[derive(Debug, Default)]
struct Browser {
    last: Option<u64>,
    node: Option<String>,
    /// Requests that failed since the last count: each may have been counted.
    failed: u64,
}

/// What a round brought.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Round {
    /// Requests that were answered well.
    pub good: u64,
    /// Those that were not, and why.
    pub failed: BTreeMap<String, u64>,
    /// Of the failed, those of browsers that the victim served.
    pub failed_at_victim: u64,
    /// Sessions that were new although their browser had one.
    pub lost: u64,
    /// Counts that were not higher than one that their browser had seen.
    pub went_back: u64,
    /// Requests that were counted and not seen to be.
    pub doubled: u64,
    /// Of those, such as a failed request does not explain.
    pub unexplained: u64,
    /// Of the doubled, the first few: whose, where, and when, measured from the fault.
    pub doubles: Vec<String>,
    /// Requests under way at the victim when it was hurt.
    pub in_flight: u64,
    /// Browsers that the victim served.
    pub at_victim: u64,
    /// From the fault until the last slow answer had come that was asked for within [`FELT_FOR`].
    pub recovered: Duration,
    /// The slowest request that was under way at the fault or later.
    pub slowest: Duration,
}

/// Who was hurt, and when.
#[derive(Debug, Clone, Copy)]
pub struct Hurt<'a> {
    /// The node.
    pub victim: &'a str,
    /// The moment.
    pub at: Instant,
    /// When it was done: on a busy machine a kill takes a while.
    pub done: Instant,
}

// === impl Judge ===

impl Judge {
    /// Judges what was seen since the last round.
    pub fn round(&mut self, visits: &[Visit], hurt: Option<Hurt<'_>>) -> Round {
        let mut ordered: Vec<&Visit> = visits.iter().collect();
        ordered.sort_by_key(|visit| visit.asked);
        let mut round = Round::default();
        if let Some(hurt) = hurt {
            round.time(&ordered, hurt);
        }
        let mut after = BTreeSet::new();
        for visit in ordered {
            let is_first_after =
                hurt.is_some_and(|hurt| visit.ended > hurt.at) && after.insert(visit.browser);
            let browser = self.browsers.entry(visit.browser).or_default();
            let was_at_victim =
                hurt.is_some_and(|hurt| browser.node.as_deref() == Some(hurt.victim));
            let is_under_way = hurt.is_some_and(|hurt| visit.is_under_way(&hurt));
            round.in_flight += u64::from(was_at_victim && is_under_way);
            round.at_victim += u64::from(was_at_victim && is_first_after);
            match &visit.seen {
                Seen::Counted { count, is_new, node } => {
                    round.good += 1;
                    let before = round.doubled;
                    browser.count(&mut round, *count, *is_new);
                    if round.doubled > before && round.doubles.len() < MOST_TOLD {
                        let more = round.doubled - before;
                        round.doubles.push(visit.told(more, browser.node.as_deref(), node, hurt));
                    }
                    browser.node = Some(node.clone());
                }
                Seen::Failed(why) => {
                    browser.failed += 1;
                    round.failed_at_victim += u64::from(was_at_victim);
                    if round.failed.len() < MOST_TOLD || round.failed.contains_key(why) {
                        *round.failed.entry(why.clone()).or_default() += 1;
                    } else {
                        *round.failed.entry("other".to_owned()).or_default() += 1;
                    }
                }
            }
        }
        round
    }
}

impl Browser {
    fn count(&mut self, round: &mut Round, count: u64, is_new: bool) {
        let failed = std::mem::take(&mut self.failed);
        let Some(last) = self.last.replace(count) else { return };
        if is_new {
            round.lost += 1;
        } else if count <= last {
            round.went_back += 1;
        } else {
            let more = count - last - 1;
            round.doubled += more;
            round.unexplained += more.saturating_sub(failed);
        }
    }
}

impl Visit {
    fn took(&self) -> Duration {
        self.ended.duration_since(self.asked)
    }

    fn is_under_way(&self, hurt: &Hurt<'_>) -> bool {
        self.asked <= hurt.done && hurt.at < self.ended
    }

    /// Of a request that was counted so many times too often.
    fn told(&self, more: u64, was: Option<&str>, node: &str, hurt: Option<Hurt<'_>>) -> String {
        let from_fault = |at: Instant| match hurt {
            Some(hurt) if at < hurt.at => -(hurt.at - at).as_secs_f64(),
            Some(hurt) => (at - hurt.at).as_secs_f64(),
            None => f64::NAN,
        };
        let (asked, ended) = (from_fault(self.asked), from_fault(self.ended));
        let was = was.unwrap_or("nobody");
        format!("{} from {was} to {node} +{more} {asked:.2}..{ended:.2} s", self.browser)
    }

    fn is_slow(&self) -> bool {
        self.took() >= SLOW || matches!(self.seen, Seen::Failed(_))
    }
}

// === impl Round ===

impl Round {
    /// Requests that failed.
    pub fn failures(&self) -> u64 {
        self.failed.values().sum()
    }

    fn time(&mut self, ordered: &[&Visit], hurt: Hurt<'_>) {
        for visit in ordered.iter().filter(|visit| visit.ended > hurt.at) {
            self.slowest = self.slowest.max(visit.took());
            if visit.is_slow() && visit.asked < hurt.at + FELT_FOR {
                self.recovered = self.recovered.max(visit.ended.duration_since(hurt.at));
            }
        }
    }

    /// Adds another one.
    pub fn add(&mut self, other: &Round) {
        self.good += other.good;
        for (why, count) in &other.failed {
            *self.failed.entry(why.clone()).or_default() += count;
        }
        self.failed_at_victim += other.failed_at_victim;
        self.lost += other.lost;
        self.went_back += other.went_back;
        self.doubled += other.doubled;
        self.unexplained += other.unexplained;
        self.in_flight += other.in_flight;
        self.at_victim += other.at_victim;
        self.recovered = self.recovered.max(other.recovered);
        self.slowest = self.slowest.max(other.slowest);
    }
}

impl fmt::Display for Round {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} good, {} failed, {} lost, {} went back, {} doubled of {} in flight; \
             {} browsers were at the victim, all served in under {} ms after {:.2} s, \
             slowest {:.2} s",
            self.good,
            self.failures(),
            self.lost,
            self.went_back,
            self.doubled,
            self.in_flight,
            self.at_victim,
            SLOW.as_millis(),
            self.recovered.as_secs_f64(),
            self.slowest.as_secs_f64()
        )?;
        if !self.failed.is_empty() {
            write!(f, "; {:?}", self.failed)?;
        }
        if !self.doubles.is_empty() {
            write!(f, "; doubled {:?}", self.doubles)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Visits at given milliseconds, of a browser, with their counts.
    fn visits(told: &[(usize, u64, u64, Option<u64>)]) -> (Vec<Visit>, Instant) {
        let began = Instant::now();
        let at = |ms| began + Duration::from_millis(ms);
        let visit = |(browser, asked, ended, count): &(usize, u64, u64, Option<u64>)| Visit {
            browser: *browser,
            asked: at(*asked),
            ended: at(*ended),
            seen: match count {
                Some(count) => {
                    Seen::Counted { count: *count, is_new: *count == 1, node: "a".to_owned() }
                }
                None => Seen::Failed("502".to_owned()),
            },
        };
        (told.iter().map(visit).collect(), began)
    }

    #[test]
    fn a_count_that_repeats_goes_back_or_begins_anew_is_found() {
        let mut judge = Judge::default();
        let (seen, _) = visits(&[(0, 0, 1, Some(1)), (0, 10, 11, Some(2)), (0, 20, 21, Some(2))]);
        let round = judge.round(&seen, None);
        assert_eq!((round.good, round.went_back, round.lost), (3, 1, 0));
        let (seen, _) = visits(&[(0, 30, 31, Some(1))]);
        assert_eq!(judge.round(&seen, None).lost, 1);
    }

    #[test]
    fn a_request_that_was_counted_twice_is_doubled_and_a_failed_one_may_be_counted() {
        let (seen, _) = visits(&[
            (0, 0, 1, Some(1)),
            (0, 10, 11, Some(3)),
            (1, 0, 1, Some(1)),
            (1, 10, 11, None),
            (1, 20, 21, Some(3)),
        ]);
        let round = Judge::default().round(&seen, None);
        assert_eq!((round.doubled, round.unexplained, round.failures()), (2, 1, 1));
    }

    #[test]
    fn who_waited_for_the_fault_is_timed_until_the_last_slow_answer() {
        let (seen, began) = visits(&[
            (0, 0, 1, Some(1)),
            (0, 95, 400, Some(2)),
            (0, 500, 501, Some(3)),
            (1, 0, 1, Some(1)),
            (1, 110, 111, Some(2)),
            (1, 600, 900, Some(3)),
            // That is something else.
            (1, 2600, 2900, Some(4)),
        ]);
        let at = began + Duration::from_millis(100);
        let hurt = Hurt { victim: "a", at, done: at };
        let round = Judge::default().round(&seen, Some(hurt));
        assert_eq!(round.recovered, Duration::from_millis(800));
        assert_eq!((round.in_flight, round.at_victim), (1, 2));
        assert_eq!(round.slowest, Duration::from_millis(305));
    }
}
