//! When a job fires: the instants of a schedule, in milliseconds since 1970. All members come to the
//! same ones without talking.

use std::fmt;
use std::hash::Hasher as _;
use std::time::Duration;

use croner::Cron;
use croner::parser::{CronParser, Seconds};
use jiff::Timestamp;
use jiff::tz::TimeZone;
use siphasher::sip::SipHasher13;

use super::BadJob;

/// The shortest and the longest interval.
const INTERVALS: (Duration, Duration) =
    (Duration::from_millis(100), Duration::from_secs(366 * 24 * 3600));

/// Instants that are looked at in one go after a long pause; of more only the latest are counted.
const MOST_INSTANTS: usize = 20_000;

/// When a job fires.
#[derive(Debug, Clone)]
pub(super) struct Schedule {
    times: Times,
    /// Each firing is late by a time of its own, at most this.
    jitter_ms: u64,
    /// Of the job's name, so that jobs of one schedule do not fire together.
    seed: u64,
}

#[derive(Debug, Clone)]
enum Times {
    Cron { pattern: Box<Cron>, zone: TimeZone, text: String },
    Every(u64),
}

/// The instants up to now.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Due {
    /// In their order.
    pub(super) instants: Vec<i64>,
    /// Earlier ones that were not looked at.
    pub(super) is_cut: bool,
}

// === impl Schedule ===

impl Schedule {
    /// A cron pattern of five fields, or of six with seconds first, in a time zone.
    pub(super) fn cron(name: &str, pattern: &str, zone: &str) -> Result<Self, BadJob> {
        let bad = |field, value: &str, why: &dyn fmt::Display| BadJob {
            job: name.to_owned(),
            field,
            value: value.to_owned(),
            why: why.to_string(),
        };
        let parser = CronParser::builder().seconds(Seconds::Optional).build();
        let parsed =
            parser.parse(pattern).map_err(|error| bad("the cron pattern", pattern, &error))?;
        let named = TimeZone::get(zone).map_err(|error| bad("the time zone", zone, &error))?;
        let times = Times::Cron {
            pattern: Box::new(parsed),
            zone: named,
            text: format!("{pattern} {zone}"),
        };
        let schedule = Self::of(name, times);
        // One that never fires is a mistake: 30 February.
        match schedule.after(0) {
            Some(_) => Ok(schedule),
            None => Err(bad("the cron pattern", pattern, &"there is no such day")),
        }
    }

    /// Every so often, at whole multiples of it since 1970.
    pub(super) fn every(name: &str, interval: Duration) -> Result<Self, BadJob> {
        let (least, most) = INTERVALS;
        if !(least..=most).contains(&interval) {
            return Err(BadJob {
                job: name.to_owned(),
                field: "the interval",
                value: format!("{interval:?}"),
                why: format!("{least:?} to {most:?} is possible"),
            });
        }
        let every = u64::try_from(interval.as_millis()).unwrap_or(u64::MAX);
        Ok(Self::of(name, Times::Every(every)))
    }

    fn of(name: &str, times: Times) -> Self {
        let mut hasher = SipHasher13::new();
        hasher.write(name.as_bytes());
        Self { times, jitter_ms: 0, seed: hasher.finish() }
    }

    pub(super) fn with_jitter(mut self, jitter: Duration) -> Self {
        self.jitter_ms = u64::try_from(jitter.as_millis()).unwrap_or(u64::MAX);
        self
    }

    /// The first instant after another; none where there is no more.
    pub(super) fn after(&self, after: i64) -> Option<i64> {
        match &self.times {
            Times::Every(every) => {
                let every = i64::try_from(*every).ok()?;
                after.div_euclid(every).checked_add(1)?.checked_mul(every)
            }
            Times::Cron { pattern, zone, .. } => {
                let start = Timestamp::from_millisecond(after).ok()?.to_zoned(zone.clone());
                let next = pattern.find_next_occurrence(&start, false).ok()?;
                let next = next.timestamp().as_millisecond();
                // Never back, whatever a time zone does.
                (next > after).then_some(next)
            }
        }
    }

    /// When an instant is to be done: itself, or later by its jitter.
    pub(super) fn due_at(&self, at: i64) -> i64 {
        if self.jitter_ms == 0 {
            return at;
        }
        let mut hasher = SipHasher13::new_with_keys(self.seed, 0);
        hasher.write_i64(at);
        let late = hasher.finish() % (self.jitter_ms + 1);
        at.saturating_add(i64::try_from(late).unwrap_or(i64::MAX))
    }

    /// The instants after `through` that are due now.
    pub(super) fn due(&self, through: i64, now: i64) -> Due {
        let found = self.due_from(through, now, MOST_INSTANTS);
        if found.len() < MOST_INSTANTS {
            return Due { instants: found, is_cut: false };
        }
        // So many that the first do not matter: as many as fit into the last such time.
        let half = MOST_INSTANTS / 2;
        let span = found[half] - found[0];
        let instants = self.due_from(through.max(now - span), now, MOST_INSTANTS);
        Due { instants, is_cut: true }
    }

    fn due_from(&self, through: i64, now: i64, most: usize) -> Vec<i64> {
        let mut instants = Vec::new();
        let mut last = through;
        while instants.len() < most {
            match self.after(last) {
                Some(next) if self.due_at(next) <= now => instants.push(next),
                _ => break,
            }
            last = instants.last().copied().unwrap_or(last);
        }
        instants
    }
}

/// In words, for those who look.
impl fmt::Display for Schedule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.times {
            Times::Every(every) => write!(f, "every {:?}", Duration::from_millis(*every))?,
            Times::Cron { text, .. } => f.write_str(text)?,
        }
        match self.jitter_ms {
            0 => Ok(()),
            jitter => write!(f, ", up to {:?} later", Duration::from_millis(jitter)),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn ms(text: &str) -> i64 {
        text.parse::<Timestamp>().unwrap().as_millisecond()
    }

    fn text(ms: i64) -> String {
        Timestamp::from_millisecond(ms).unwrap().to_string()
    }

    fn berlin(pattern: &str) -> Schedule {
        Schedule::cron("report", pattern, "Europe/Berlin").unwrap()
    }

    #[test]
    fn in_spring_a_time_that_is_left_out_is_made_up_for_once() {
        // At 02:00 of 29 March 2026 the clock in Berlin goes to 03:00.
        let nightly = berlin("30 2 * * *");
        let due = nightly.due(ms("2026-03-28T12:00:00Z"), ms("2026-03-30T12:00:00Z"));
        let due: Vec<String> = due.instants.into_iter().map(text).collect();
        assert_eq!(due, ["2026-03-29T01:00:00Z", "2026-03-30T00:30:00Z"]);
    }

    #[test]
    fn in_autumn_a_time_that_comes_twice_counts_once() {
        // At 03:00 of 25 October 2026 the clock in Berlin goes back to 02:00.
        let nightly = berlin("30 2 * * *");
        let due = nightly.due(ms("2026-10-24T12:00:00Z"), ms("2026-10-26T12:00:00Z"));
        let due: Vec<String> = due.instants.into_iter().map(text).collect();
        assert_eq!(due, ["2026-10-25T00:30:00Z", "2026-10-26T01:30:00Z"]);
        let hourly = berlin("0 * * * *");
        let due = hourly.due(ms("2026-10-24T21:59:00Z"), ms("2026-10-25T03:01:00Z"));
        assert_eq!(due.instants.len(), 6, "each hour that passes is one");
    }

    #[test]
    fn what_cannot_be_a_schedule_is_refused_with_its_value() {
        for (pattern, zone, said) in [
            ("61 * * * *", "UTC", "the cron pattern has the bad value \"61 * * * *\""),
            ("* * *", "UTC", "the cron pattern has the bad value \"* * *\""),
            ("0 0 30 2 *", "UTC", "there is no such day"),
            ("0 0 * * *", "Europe/Atlantis", "the time zone has the bad value"),
        ] {
            let error = Schedule::cron("report", pattern, zone).unwrap_err().to_string();
            assert!(error.contains(said) && error.contains("report"), "{error}");
        }
        for bad in [Duration::ZERO, Duration::from_millis(99), Duration::MAX] {
            assert!(Schedule::every("report", bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn after_a_long_pause_only_the_latest_are_counted() {
        let each = Schedule::every("report", Duration::from_secs(1)).unwrap();
        let now = ms("2026-03-30T12:00:00Z");
        let due = each.due(0, now);
        assert!(due.is_cut && (9_000..20_000).contains(&due.instants.len()));
        assert_eq!(due.instants.last(), Some(&now));
    }

    proptest! {
        #[test]
        fn instants_rise_and_asking_in_pieces_gives_the_same(
            start in 1_700_000_000_000_i64..1_800_000_000_000,
            pieces in proptest::collection::vec(0_i64..100_000_000, 1..8),
            which in 0_usize..5,
            jitter in 0_u64..30_000,
        ) {
            let schedule = match which {
                0 => berlin("*/20 * * * *"),
                1 => berlin("30 2 * * *"),
                2 => Schedule::cron("a", "0 0 */3 * * *", "America/New_York").unwrap(),
                3 => Schedule::cron("a", "15 1,2 * * 0", "Australia/Lord_Howe").unwrap(),
                _ => Schedule::every("a", Duration::from_secs(1234)).unwrap(),
            };
            let schedule = schedule.with_jitter(Duration::from_millis(jitter));
            let (mut now, mut through, mut all) = (start, start, Vec::new());
            for piece in pieces {
                now += piece;
                let due = schedule.due(through, now).instants;
                through = due.last().copied().unwrap_or(through);
                all.extend(due);
            }
            prop_assert_eq!(&all, &schedule.due(start, now).instants);
            prop_assert!(all.windows(2).all(|two| two[0] < two[1]));
            prop_assert!(all.iter().all(|at| (*at..=*at + jitter as i64).contains(&schedule.due_at(*at))));
        }
    }
}
