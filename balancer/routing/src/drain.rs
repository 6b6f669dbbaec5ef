//! A drain: no new sessions, until nothing is left or its deadline is over; then no requests.
//!
//! ```text
//!   Draining --nothing left--------------------------------> Ended(Empty)
//!            \--deadline, or stopped--> Stopping --no request left--> Ended(Deadline, Stopped)
//!            \--the node is gone, or the drain was cancelled-> Ended(Gone, Cancelled)
//! ```
//! *Nothing left* means: no request is at the node, and no session is. Where the node reports its
//! sessions, that is 0 of them. Where it does not, sessions are taken to be gone when no request
//! has come for the drain's quiet time: only old sessions send any while a node drains.

use std::collections::VecDeque;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::word::{Subject, UnixMs};

/// Most drains that are over and still shown.
pub const MOST_HISTORY: usize = 1_000;

/// How much of the past counts for the rate.
const RATE_WINDOW_MS: UnixMs = 60_000;

/// Most samples of the past, one every second at most.
const MOST_SAMPLES: usize = 60;

/// What is at a node, or at one of its contexts.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Observed {
    /// Requests that are there now.
    pub in_flight: u64,
    /// Sessions, where the node reports them.
    pub sessions: Option<u64>,
    /// Requests that were sent there since it registered.
    pub requests: u64,
    /// Requests that were lost there since it registered.
    pub lost: u64,
}

/// What is left to be done.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Left {
    /// Requests in flight.
    pub requests: u64,
    /// Sessions, where the node reports them.
    pub sessions: Option<u64>,
}

/// How a drain ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum End {
    /// Nothing was left.
    Empty,
    /// Its deadline was over.
    Deadline,
    /// An operator did not wait for the rest.
    Stopped,
    /// An operator took it back.
    Cancelled,
    /// The node left, or was forgotten.
    Gone,
}

/// Where a drain stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// Old sessions only.
    Draining,
    /// No requests any more; those in flight finish.
    Stopping(End),
    /// It is over.
    Ended(End),
}

/// A drain, under way or over.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Drain {
    /// Of whom.
    pub subject: Subject,
    /// By whom.
    pub by: Arc<str>,
    /// When it began.
    pub started_ms: UnixMs,
    /// When it stops waiting.
    pub deadline_ms: UnixMs,
    /// When it was over.
    pub ended_ms: Option<UnixMs>,
    /// Where it stands.
    pub phase: Phase,
    /// What there was when it began.
    pub first: Left,
    /// What there is now; once contexts are stopped, what there was then.
    pub left: Left,
    /// Requests of old sessions that were sent meanwhile.
    pub served: u64,
    /// Requests that the node lost meanwhile. It should read 0.
    pub lost: u64,
    quiet_ms: u64,
    last_request_ms: UnixMs,
    at_first: Option<(u64, u64)>,
    samples: VecDeque<(UnixMs, u64)>,
}

// === impl Left ===

impl Left {
    /// What progress is measured by: sessions where they are known, else requests.
    pub fn measure(self) -> u64 {
        self.sessions.unwrap_or(self.requests)
    }
}

// === impl End ===

impl End {
    /// One word for it.
    pub fn word(self) -> &'static str {
        match self {
            End::Empty => "empty",
            End::Deadline => "deadline",
            End::Stopped => "stopped",
            End::Cancelled => "cancelled",
            End::Gone => "gone",
        }
    }
}

// === impl Drain ===

impl Drain {
    /// A drain that begins now.
    pub fn begin(
        subject: Subject,
        by: Arc<str>,
        deadline_ms: UnixMs,
        quiet_ms: u64,
        now: UnixMs,
    ) -> Drain {
        Drain {
            subject,
            by,
            started_ms: now,
            deadline_ms,
            ended_ms: None,
            phase: Phase::Draining,
            first: Left::default(),
            left: Left::default(),
            served: 0,
            lost: 0,
            quiet_ms,
            last_request_ms: now,
            at_first: None,
            samples: VecDeque::new(),
        }
    }

    /// Whether it is over.
    pub fn is_over(&self) -> bool {
        matches!(self.phase, Phase::Ended(_))
    }

    /// Whether its contexts take no requests any more.
    pub fn is_stopped(&self) -> bool {
        !matches!(self.phase, Phase::Draining)
    }

    /// Looks at what is left; `None` for a node that is gone. Says whether the phase is another.
    pub fn observe(&mut self, observed: Option<Observed>, now: UnixMs) -> bool {
        let before = self.phase;
        match (observed, self.phase) {
            (_, Phase::Ended(_)) => {}
            (None, _) => self.end(End::Gone, now),
            (Some(observed), Phase::Draining) => {
                self.count(observed, now);
                self.left = observed.left();
                self.sample(now);
                if self.is_empty(now) {
                    self.end(End::Empty, now);
                } else if now >= self.deadline_ms {
                    self.stop(End::Deadline, now);
                }
            }
            (Some(observed), Phase::Stopping(end)) => {
                self.count(observed, now);
                if observed.in_flight == 0 {
                    self.end(end, now);
                }
            }
        }
        self.phase != before
    }

    /// What there is when it begins.
    pub fn look(&mut self, observed: Observed) {
        self.count(observed, self.started_ms);
        self.left = observed.left();
    }

    /// Waits no longer: contexts are stopped, and requests in flight finish.
    pub fn stop(&mut self, end: End, now: UnixMs) {
        match (self.phase, self.left.requests) {
            (Phase::Draining, 0) => self.end(end, now),
            (Phase::Draining, _) => self.phase = Phase::Stopping(end),
            (Phase::Stopping(_) | Phase::Ended(_), _) => {}
        }
    }

    /// It is over, however far it is.
    pub fn end(&mut self, end: End, now: UnixMs) {
        if !self.is_over() {
            self.phase = Phase::Ended(end);
            self.ended_ms = Some(now);
        }
    }

    /// How many go away in a second, over the last minute.
    pub fn rate(&self) -> f64 {
        let (Some(first), Some(last)) = (self.samples.front(), self.samples.back()) else {
            return 0.0;
        };
        let seconds = last.0.saturating_sub(first.0) as f64 / 1000.0;
        let gone = first.1.saturating_sub(last.1) as f64;
        if seconds > 0.0 { gone / seconds } else { 0.0 }
    }

    /// When nothing will be left if it goes on so, and at its deadline at the latest, in seconds;
    /// `None` when nothing says so.
    pub fn eta_seconds(&self, now: UnixMs) -> Option<f64> {
        if self.is_over() {
            return None;
        }
        let until_deadline = self.deadline_ms.saturating_sub(now) as f64 / 1000.0;
        let rate = self.rate();
        (rate > 0.0).then(|| (self.left.measure() as f64 / rate).min(until_deadline))
    }

    fn count(&mut self, observed: Observed, now: UnixMs) {
        let Observed { requests, lost, .. } = observed;
        let (first_requests, first_lost) = *self.at_first.get_or_insert_with(|| {
            self.first = observed.left();
            (requests, lost)
        });
        let served = requests.saturating_sub(first_requests);
        if served != self.served || observed.in_flight > 0 {
            self.last_request_ms = now;
        }
        self.served = served;
        self.lost = self.lost.max(lost.saturating_sub(first_lost));
    }

    fn is_empty(&self, now: UnixMs) -> bool {
        let is_quiet = now.saturating_sub(self.last_request_ms) >= self.quiet_ms;
        self.left.requests == 0
            && match self.left.sessions {
                Some(sessions) => sessions == 0,
                None => is_quiet,
            }
    }

    fn sample(&mut self, now: UnixMs) {
        let is_due = self.samples.back().is_none_or(|(last, _)| now >= last + 1000);
        if is_due {
            self.samples.push_back((now, self.left.measure()));
        }
        let is_old = |(at, _): &(UnixMs, u64)| *at + RATE_WINDOW_MS < now;
        while self.samples.len() > MOST_SAMPLES || self.samples.front().is_some_and(is_old) {
            self.samples.pop_front();
        }
    }
}

impl Observed {
    fn left(self) -> Left {
        Left { requests: self.in_flight, sessions: self.sessions }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const QUIET: u64 = 60_000;

    fn drain() -> Drain {
        let subject = Subject::node("n".parse().unwrap());
        Drain::begin(subject, "ann".into(), 600_000, QUIET, 0)
    }

    fn seen(in_flight: u64, sessions: Option<u64>, requests: u64) -> Option<Observed> {
        Some(Observed { in_flight, sessions, requests, lost: 0 })
    }

    #[test]
    fn a_node_that_reports_no_session_and_has_no_request_is_drained_at_once() {
        let mut drain = drain();
        assert!(!drain.observe(seen(1, Some(0), 5), 0));
        assert!(drain.observe(seen(0, Some(0), 5), 250));
        assert_eq!((drain.phase, drain.ended_ms), (Phase::Ended(End::Empty), Some(250)));
    }

    #[test]
    fn a_node_that_reports_sessions_is_waited_for_however_quiet_they_are() {
        let mut drain = drain();
        drain.observe(seen(0, Some(3), 5), 0);
        assert!(!drain.observe(seen(0, Some(3), 5), 10 * QUIET - 1));
        assert!(drain.observe(seen(0, Some(3), 5), 600_000));
        assert_eq!(drain.phase, Phase::Ended(End::Deadline));
        assert_eq!(drain.left, Left { requests: 0, sessions: Some(3) });
    }

    #[test]
    fn a_node_that_reports_nothing_is_drained_when_no_old_session_has_asked_for_the_quiet_time() {
        let mut drain = drain();
        drain.observe(seen(0, None, 5), 0);
        drain.observe(seen(0, None, 6), 30_000);
        assert!(!drain.observe(seen(0, None, 6), 30_000 + QUIET - 1));
        assert!(drain.observe(seen(0, None, 6), 30_000 + QUIET));
        assert_eq!((drain.phase, drain.served), (Phase::Ended(End::Empty), 1));
    }

    #[test]
    fn at_the_deadline_requests_in_flight_still_finish_and_are_told_of() {
        let mut drain = drain();
        drain.observe(seen(2, None, 5), 0);
        assert!(drain.observe(seen(2, None, 5), 600_000));
        assert_eq!(drain.phase, Phase::Stopping(End::Deadline));
        assert!(!drain.observe(seen(1, None, 5), 601_000));
        assert!(drain.observe(seen(0, None, 5), 602_000));
        assert_eq!(drain.phase, Phase::Ended(End::Deadline));
        assert_eq!((drain.left.requests, drain.lost), (2, 0));
    }

    #[test]
    fn requests_that_are_lost_meanwhile_are_counted_and_those_before_are_not() {
        let mut drain = drain();
        let at = |lost| Some(Observed { lost, in_flight: 1, ..Observed::default() });
        drain.observe(at(7), 0);
        drain.observe(at(9), 1000);
        assert_eq!(drain.lost, 2);
        assert!(drain.observe(None, 2000));
        assert_eq!((drain.phase, drain.lost), (Phase::Ended(End::Gone), 2));
    }

    #[test]
    fn the_rate_says_when_nothing_will_be_left() {
        let mut drain = drain();
        for second in 0..=10 {
            drain.observe(seen(0, Some(100 - 2 * second), 0), second * 1000);
        }
        assert_eq!(drain.rate(), 2.0);
        assert_eq!(drain.eta_seconds(10_000), Some(40.0));
        assert_eq!(drain.first.measure(), 100);
    }

    #[test]
    fn what_is_over_stays_as_it_ended() {
        let mut drain = drain();
        drain.end(End::Cancelled, 5);
        drain.stop(End::Stopped, 6);
        assert!(!drain.observe(None, 7));
        assert_eq!((drain.phase, drain.ended_ms), (Phase::Ended(End::Cancelled), Some(5)));
    }
}
