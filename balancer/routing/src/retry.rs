//! Which failures may be tried again, and how many of them.
//!
//! A failed connect may be tried on another node whatever the method. Once bytes were sent only
//! an idempotent request whose body is still there may be, within a budget, and never after a
//! byte of the answer was seen: so no POST reaches two nodes (reference: choosing the node, 5, 6).

use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

use crate::Moment;

/// How far an attempt had come when it failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Failure {
    /// No connection: the node has seen nothing.
    Connect,
    /// After bytes were sent, before any byte of the answer. `reused`: on a pooled connection,
    /// which the node may just have closed.
    Unanswered {
        /// Whether the connection came from the pool.
        reused: bool,
    },
    /// After bytes were sent the node kept silent for too long. It may still be at work.
    TimedOut,
    /// After bytes were sent the node was left out, for it answers no probe or says that it cannot
    /// serve. It may still be at work.
    LeftOut,
    /// The node answered that it does not serve the context, and has said over MCMP that it does
    /// not any more: it stopped or removed it while the request was on its way.
    Withdrawn,
    /// Part of the answer was seen.
    Answered,
}

/// What is known of a request when an attempt fails.
#[derive(Debug, Clone, Copy)]
pub struct Attempt<'r> {
    /// The request's method.
    pub method: &'r str,
    /// Whether the whole body can be sent again.
    pub replayable: bool,
    /// Retries so far.
    pub retries: u32,
    /// Most retries: the balancer name's Maxattempts.
    pub max_retries: u32,
    /// Whether this request lost the race for a pooled connection before.
    pub raced: bool,
    /// Whether the context allows retries of failed connects only.
    pub connect_only: bool,
}

/// What to do after a failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Another node.
    Elsewhere,
    /// Another node, if the budget has a retry left.
    IfBudget,
    /// The same node on a fresh connection; it does not count as a retry.
    Afresh,
    /// Tell the client.
    GiveUp,
}

/// Judges a failed attempt. The budget is the caller's to ask.
pub fn judge(attempt: &Attempt<'_>, failure: Failure) -> Verdict {
    let is_left = attempt.retries < attempt.max_retries;
    match failure {
        Failure::Connect if is_left => Verdict::Elsewhere,
        // A pooled connection that the node closed first is nobody's fault.
        Failure::Unanswered { reused: true } if !attempt.raced && attempt.may_repeat() => {
            Verdict::Afresh
        }
        Failure::Unanswered { .. } | Failure::LeftOut if is_left && attempt.may_repeat() => {
            Verdict::IfBudget
        }
        Failure::Withdrawn if is_left && attempt.may_repeat() => Verdict::Elsewhere,
        Failure::Connect
        | Failure::Unanswered { .. }
        | Failure::TimedOut
        | Failure::LeftOut
        | Failure::Withdrawn
        | Failure::Answered => Verdict::GiveUp,
    }
}

impl Attempt<'_> {
    /// Whether a node may see the request after another, or the same one, may have seen it.
    fn may_repeat(&self) -> bool {
        self.replayable && !self.connect_only && is_idempotent(self.method)
    }
}

/// Whether sending it twice does what sending it once does (RFC 9110, section 9.2.2).
pub fn is_idempotent(method: &str) -> bool {
    matches!(method, "GET" | "HEAD" | "OPTIONS" | "TRACE" | "PUT" | "DELETE")
}

/// Retries that may still be made: a part of the requests, and a few each second besides.
#[derive(Debug)]
pub struct Budget {
    /// Thousandths of a retry that each request adds.
    per_request: i64,
    /// Retries per second that are always allowed.
    floor: u32,
    thousandths: AtomicI64,
    /// The second (upper half) and how many of its floor are used (lower half).
    used: AtomicU64,
}

/// Most retries that can be saved up.
const MOST_SAVED: i64 = 1000 * 1000;

impl Budget {
    /// A budget of `ratio` retries for each request (0.2: one for five), and `floor` per second.
    pub fn new(ratio: f64, floor: u32) -> Budget {
        Budget {
            per_request: (ratio.clamp(0.0, 1.0) * 1000.0) as i64,
            floor,
            thousandths: AtomicI64::new(0),
            used: AtomicU64::new(0),
        }
    }

    /// A request came.
    pub fn deposit(&self) {
        if self.thousandths.load(Ordering::Relaxed) < MOST_SAVED {
            self.thousandths.fetch_add(self.per_request, Ordering::Relaxed);
        }
    }

    /// Takes one retry, if there is one.
    pub fn withdraw(&self, now: Moment) -> bool {
        let taken = self.thousandths.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| {
            (left >= 1000).then(|| left - 1000)
        });
        taken.is_ok() || self.withdraw_from_floor(now)
    }

    fn withdraw_from_floor(&self, now: Moment) -> bool {
        let second = now.as_secs() << 32;
        let taken = self.used.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |used| {
            let spent = if used >> 32 == second >> 32 { used as u32 } else { 0 };
            (spent < self.floor).then(|| second | u64::from(spent + 1))
        });
        taken.is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const REFUSED: Failure = Failure::Connect;
    const LOST: Failure = Failure::Unanswered { reused: false };
    const RACE: Failure = Failure::Unanswered { reused: true };

    fn attempt(method: &str) -> Attempt<'_> {
        Attempt {
            method,
            replayable: true,
            retries: 0,
            max_retries: 1,
            raced: false,
            connect_only: false,
        }
    }

    #[test]
    fn a_failed_connect_is_tried_elsewhere_whatever_the_method() {
        assert_eq!(judge(&attempt("POST"), REFUSED), Verdict::Elsewhere);
        assert_eq!(judge(&Attempt { retries: 1, ..attempt("GET") }, REFUSED), Verdict::GiveUp);
    }

    #[test]
    fn a_post_never_reaches_two_nodes() {
        for failure in [LOST, RACE, Failure::TimedOut, Failure::LeftOut, Failure::Answered] {
            assert_eq!(judge(&attempt("POST"), failure), Verdict::GiveUp);
            assert_eq!(judge(&attempt("PATCH"), failure), Verdict::GiveUp);
        }
    }

    #[test]
    fn an_idempotent_request_is_tried_again_while_its_body_is_there() {
        assert_eq!(judge(&attempt("GET"), LOST), Verdict::IfBudget);
        assert_eq!(judge(&attempt("GET"), Failure::LeftOut), Verdict::IfBudget);
        assert_eq!(judge(&Attempt { replayable: false, ..attempt("PUT") }, LOST), Verdict::GiveUp);
        assert_eq!(judge(&attempt("GET"), Failure::Answered), Verdict::GiveUp);
        assert_eq!(judge(&Attempt { connect_only: true, ..attempt("GET") }, LOST), Verdict::GiveUp);
    }

    #[test]
    fn a_context_that_was_taken_away_meanwhile_is_looked_for_elsewhere() {
        assert_eq!(judge(&attempt("GET"), Failure::Withdrawn), Verdict::Elsewhere);
        assert_eq!(judge(&attempt("POST"), Failure::Withdrawn), Verdict::GiveUp);
        let none = Attempt { max_retries: 0, ..attempt("GET") };
        assert_eq!(judge(&none, Failure::Withdrawn), Verdict::GiveUp);
    }

    #[test]
    fn a_lost_race_for_a_pooled_connection_is_not_a_failure_of_the_request() {
        let none = Attempt { max_retries: 0, ..attempt("GET") };
        assert_eq!(judge(&none, RACE), Verdict::Afresh);
        assert_eq!(judge(&none, LOST), Verdict::GiveUp);
        assert_eq!(judge(&Attempt { raced: true, ..none }, RACE), Verdict::GiveUp);
        assert_eq!(judge(&Attempt { raced: true, ..attempt("GET") }, RACE), Verdict::IfBudget);
    }

    #[test]
    fn a_budget_allows_a_part_of_the_requests_and_a_few_each_second() {
        let budget = Budget::new(0.2, 2);
        let now = Moment::from_secs(5);
        (0..10).for_each(|_| budget.deposit());
        assert_eq!((0..10).filter(|_| budget.withdraw(now)).count(), 2 + 2);
        assert!(budget.withdraw(Moment::from_secs(6)));
    }

    #[test]
    fn what_is_saved_is_bounded() {
        let budget = Budget::new(1.0, 0);
        (0..5_000).for_each(|_| budget.deposit());
        assert_eq!((0..5_000).filter(|_| budget.withdraw(Moment::ZERO)).count(), 1_000);
    }
}
