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
