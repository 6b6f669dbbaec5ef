//! When a member has to look after a job, and what for: a function of its ledger and of who is
//! there.

use super::ledger::{Ledger, Me};
use super::policy::Policy;
use super::schedule::Schedule;

/// Each further member waits so long before it does what the one before it has not.
const STEP_MS: i64 = 150;

/// While another member runs, it is looked so often whether it still holds its lease.
const POLL_MS: i64 = 2000;

/// The time until then in milliseconds at most, so that a step of the clock is noticed.
const MOST_SLEEP_MS: i64 = 10_000;

/// When this member looks again, in milliseconds since 1970.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wake {
    /// To get a place then; now or earlier is at once.
    Work(i64),
    /// There is nothing to do until then, unless something changes.
    Look(i64),
}

/// When this member has to look after a job.
pub(super) fn wake(
    ledger: &Ledger,
    schedule: &Schedule,
    policy: &Policy,
    me: Me<'_>,
    place: usize,
    now: i64,
) -> Wake {
    let look = Wake::Look(now + MOST_SLEEP_MS);
    let Some(rank) = me.candidates.iter().position(|name| name == me.name) else { return look };
    let first = if policy.places() == 1 { 1 } else { ledger.open.len() };
    let waiting = ledger.open.iter().take(first).map(|firing| match &firing.run {
        // The task of that place looks after it.
        Some(run) if run.place != place => None,
        // Whoever looks runs nothing in this place: it lost its lease in the middle, or has another
        // life now.
        Some(run) if run.member == me.name => Some(now),
        // It has left, and its lease ends soon or has.
        Some(run) if !me.candidates.contains(&run.member) => Some(late(now, rank)),
        Some(_) => Some(late(now + POLL_MS, rank)),
        None if firing.may_be_run_by(me) => {
            let ahead = me.candidates[..rank].iter().filter(|name| !firing.tried.contains(*name));
            let since = schedule.due_at(firing.at).max(firing.not_before);
            Some(late(since, ahead.count()))
        }
        None => None,
    });
    let waiting = waiting.flatten().min();
    // In one place the next is taken up by whoever ends the one before.
    let is_full = ledger.open.len() >= policy.places();
    let next = match schedule.after(ledger.through) {
        Some(next) if !is_full && !ledger.is_paused => Some(late(schedule.due_at(next), rank)),
        _ => None,
    };
    match waiting.into_iter().chain(next).min() {
        // The clock may be set meanwhile.
        Some(at) if at <= now + MOST_SLEEP_MS => Wake::Work(at),
        _ => look,
    }
}

fn late(since: i64, rank: usize) -> i64 {
    since.saturating_add(STEP_MS.saturating_mul(i64::try_from(rank).unwrap_or(0)))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::job::ledger::Parts;

    #[test]
    fn a_run_that_its_own_member_knows_nothing_of_is_looked_after_at_once() {
        let schedule = Schedule::every("tick", Duration::from_secs(1)).unwrap();
        let (policy, token): (Policy, Parts) = (Policy::default(), (1, 1));
        let candidates = ["a".to_owned(), "b".to_owned()];
        let me = |name| Me { name, candidates: &candidates };
        let mut ledger = Ledger::new(0);
        ledger.advance(&schedule, &policy, 1_000, false);
        assert!(ledger.claim(me("a"), 0, token, &policy, 1_000).is_some());
        let wake = |name| wake(&ledger, &schedule, &policy, me(name), 0, 1_100);
        assert_eq!(wake("a"), Wake::Work(1_100));
        // It may still be at it, as far as another knows.
        assert_eq!(wake("b"), Wake::Work(1_100 + POLL_MS + STEP_MS));
    }
}
