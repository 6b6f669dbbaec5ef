//! From the load that a node reports to the share that it gets: slow start.

use muster_protocol::mcmp::Load;

use crate::Moment;
use crate::node::Availability;

/// Shares are at least this part of the load while a node warms up.
const FIRST_STEP: f64 = 0.1;

/// How often a share rises. Each step builds the node's contexts anew.
const STEP: Moment = Moment::from_secs(1);

/// A node that warms up: its share rises from a tenth of its load to all of it, once a second.
///
/// Only a node that joins others under way warms up. When all start together, all are cold, and
/// holding them down would change nothing but the exactness of the shares.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SlowStart {
    since: Moment,
    lasts: Moment,
}

impl SlowStart {
    /// A node that begins now and has its whole share after `lasts`.
    pub fn begin(now: Moment, lasts: Moment) -> Option<SlowStart> {
        (!lasts.is_zero()).then_some(SlowStart { since: now, lasts })
    }

    /// Whether the node has its whole share.
    pub fn is_over(&self, now: Moment) -> bool {
        now.saturating_sub(self.since) >= self.lasts
    }

    /// Since when, and for how long.
    pub(crate) fn parts(self) -> (Moment, Moment) {
        (self.since, self.lasts)
    }

    fn part(&self, now: Moment) -> f64 {
        let passed = now.saturating_sub(self.since);
        if passed >= self.lasts {
            return 1.0;
        }
        let steps = passed.as_secs() / STEP.as_secs();
        let part = (steps * STEP.as_secs()) as f64 / self.lasts.as_secs_f64();
        part.clamp(FIRST_STEP, 1.0)
    }
}

/// What a node that answers may be used for.
pub fn availability(load: Option<Load>, warming: Option<SlowStart>, now: Moment) -> Availability {
    match load {
        Some(Load::Usable(factor)) => {
            let part = warming.map_or(1.0, |slow_start| slow_start.part(now));
            Availability::Usable((f64::from(factor) * part).ceil().clamp(1.0, 100.0) as u8)
        }
        Some(Load::Standby) => Availability::Standby,
        Some(Load::Broken | Load::ProbeOnly) | None => Availability::Unusable,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_rises_to_the_whole_load() {
        let lasts = Moment::from_secs(10);
        let warming = SlowStart::begin(Moment::from_secs(100), lasts);
        let share =
            |seconds| availability(Some(Load::Usable(80)), warming, Moment::from_secs(seconds));
        assert_eq!(share(100), Availability::Usable(8));
        assert_eq!(share(105), Availability::Usable(40));
        assert_eq!(share(110), Availability::Usable(80));
        assert_eq!(share(1000), Availability::Usable(80));
    }

    #[test]
    fn a_share_rises_once_a_second() {
        let warming = SlowStart::begin(Moment::ZERO, Moment::from_millis(2500));
        let share = |ms| availability(Some(Load::Usable(100)), warming, Moment::from_millis(ms));
        assert_eq!([0, 900].map(share), [Availability::Usable(10); 2]);
        assert_eq!([1000, 1900].map(share), [Availability::Usable(40); 2]);
        assert_eq!([2000, 2400].map(share), [Availability::Usable(80); 2]);
        assert_eq!(share(2500), Availability::Usable(100));
    }

    #[test]
    fn without_a_time_there_is_no_slow_start() {
        assert_eq!(SlowStart::begin(Moment::ZERO, Moment::ZERO), None);
    }

    #[test]
    fn a_node_that_never_reported_a_load_is_not_used() {
        assert_eq!(availability(None, None, Moment::ZERO), Availability::Unusable);
        assert_eq!(availability(Some(Load::Broken), None, Moment::ZERO), Availability::Unusable);
    }
}
