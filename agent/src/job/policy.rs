//! What becomes of firings that were missed, that come while an earlier one is still at it, or that
//! fail.

use std::time::Duration;

/// Firings of a job that wait at most, whatever its policies say.
pub const MOST_OPEN: usize = 100;

/// Firings that no member could do at their time: the cluster was down, or had too few members.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Missed {
    /// They are remembered as missed, and that is all.
    Skip,
    /// One of them is made up for: the latest.
    #[default]
    RunOnce,
    /// The latest of them, so many at most, 1 to [`MOST_OPEN`], one after the other.
    RunAll(usize),
}

/// A firing whose time has come while an earlier one runs or is tried again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Overlap {
    /// It is skipped.
    #[default]
    Skip,
    /// So many wait at most, 1 to [`MOST_OPEN`]; with 1 the next one does. More are skipped.
    Queue(usize),
    /// So many are under way at once at most, 2 to 16; more are skipped. Tokens rise among the runs
    /// that take the same of these places only.
    Allow(usize),
}

/// What a job does besides its schedule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Policy {
    pub(super) missed: Missed,
    pub(super) overlap: Overlap,
    /// A firing is late, and so missed, after so long.
    pub(super) grace: Duration,
    /// Tries of one firing at most, on all members together.
    pub(super) tries: u32,
    /// When all members have tried, the first may again after so long.
    pub(super) pause: Duration,
    /// A run that takes longer has failed.
    pub(super) limit: Duration,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            missed: Missed::default(),
            overlap: Overlap::default(),
            grace: Duration::from_secs(60),
            tries: 10,
            pause: Duration::from_secs(1),
            limit: Duration::from_secs(3600),
        }
    }
}

// === impl Policy ===

impl Policy {
    /// Firings that may run at once.
    pub(super) fn places(&self) -> usize {
        match self.overlap {
            Overlap::Skip | Overlap::Queue(_) => 1,
            Overlap::Allow(most) => most,
        }
    }

    /// The setting that is out of its bounds, its value, and what is possible.
    pub(super) fn fault(&self) -> Option<(&'static str, String, &'static str)> {
        let ms = Duration::from_millis;
        let day = Duration::from_secs(24 * 3600);
        let is_bad = |bad: bool, field, value: String, why| bad.then_some((field, value, why));
        let missed =
            matches!(self.missed, Missed::RunAll(most) if !(1..=MOST_OPEN).contains(&most));
        let overlap = match self.overlap {
            Overlap::Skip => false,
            Overlap::Queue(most) => !(1..=MOST_OPEN).contains(&most),
            Overlap::Allow(most) => !(2..=16).contains(&most),
        };
        let (grace, pause) = (ms(100)..=day * 31, ms(10)..=day);
        let (limit, tries) = (ms(10)..=day * 31, 1..=1000);
        is_bad(missed, "missed", format!("{:?}", self.missed), "1 to 100 is possible")
            .or_else(|| {
                let why = "Queue of 1 to 100 or Allow of 2 to 16 is possible";
                is_bad(overlap, "overlap", format!("{:?}", self.overlap), why)
            })
            .or_else(|| {
                let bad = !grace.contains(&self.grace);
                is_bad(bad, "grace", format!("{:?}", self.grace), "100 ms to 31 days is possible")
            })
            .or_else(|| {
                let bad = !tries.contains(&self.tries);
                is_bad(bad, "tries", self.tries.to_string(), "1 to 1000 is possible")
            })
            .or_else(|| {
                let bad = !pause.contains(&self.pause);
                is_bad(bad, "pause", format!("{:?}", self.pause), "10 ms to a day is possible")
            })
            .or_else(|| {
                let bad = !limit.contains(&self.limit);
                is_bad(bad, "limit", format!("{:?}", self.limit), "10 ms to 31 days is possible")
            })
    }
}
