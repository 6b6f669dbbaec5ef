//! Who was heard when, by the clock that stands still while this process does not run.

use std::collections::BTreeMap;
use std::time::Duration;

use muster_cluster::{MemberId, Moment};

/// Since when each watched life is silent.
#[derive(Debug, Default)]
pub(crate) struct Silence {
    heard: BTreeMap<MemberId, (u64, Moment)>,
}

impl Silence {
    /// These are watched, with how often something was read from each; only rises count, as numbers
    /// begin anew with each connection. Whoever is new counts as just heard.
    pub(crate) fn note(&mut self, lives: &BTreeMap<MemberId, u64>, now: Moment) {
        self.heard.retain(|life, _| lives.contains_key(life));
        for (life, reads) in lives {
            let heard = self.heard.entry(*life).or_insert((*reads, now));
            if heard.0 < *reads {
                heard.1 = now;
            }
            heard.0 = *reads;
        }
    }

    /// Everybody counts as just heard.
    pub(crate) fn begin_anew(&mut self, now: Moment) {
        self.heard.values_mut().for_each(|heard| heard.1 = now);
    }

    /// How long each has been silent.
    pub(crate) fn lasts(&self, now: Moment) -> impl Iterator<Item = (MemberId, Duration)> {
        self.heard.iter().map(move |(life, (_, heard))| (*life, now.saturating_sub(*heard)))
    }
}
