//! A clock that stands still while this process does not run: frozen, or starved by others. Silence
//! that nobody could have heard counts for nothing.

use std::time::Duration;

use muster_cluster::Moment;

/// A beat counts as this long at most.
const MOST_BEAT: Duration = Duration::from_millis(150);
/// A beat later than this begins the round anew.
const LATE: Duration = Duration::from_millis(500);

/// The clock.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Awake {
    last: Moment,
    now: Moment,
}

impl Awake {
    /// A beat, by the node's clock. Returns the time awake, and whether this process has just been
    /// away for long.
    pub(crate) fn beat(&mut self, clock: Moment) -> (Moment, bool) {
        let passed = clock.saturating_sub(self.last);
        self.last = self.last.max(clock);
        self.now += passed.min(MOST_BEAT);
        (self.now, passed > LATE)
    }

    /// The time awake at the last beat.
    pub(crate) fn now(&self) -> Moment {
        self.now
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_in_which_the_process_did_not_run_does_not_count() {
        let ms = Duration::from_millis;
        let mut awake = Awake::default();
        assert_eq!(awake.beat(ms(50)), (ms(50), false));
        assert_eq!(awake.beat(ms(100)), (ms(100), false));
        assert_eq!(awake.beat(ms(60_100)), (ms(250), true));
        assert_eq!(awake.beat(ms(60_150)), (ms(300), false));
    }
}
