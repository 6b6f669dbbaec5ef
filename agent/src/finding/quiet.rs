//! Which refusals are worth a line in the log: one for each sender and reason, and never more than
//! one in a while. Whoever floods the network must not flood the log.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::{Duration, Instant};

/// Between two lines, at least.
const LEAST: Duration = Duration::from_secs(60);

/// One sender's reason is told again after so long.
const AGAIN: Duration = Duration::from_secs(3600);

/// Most senders and reasons that are remembered.
const MOST: usize = 256;

/// What was told, and when.
#[derive(Debug, Default)]
pub(super) struct Quiet {
    told: BTreeMap<(IpAddr, String), Instant>,
    last: Option<Instant>,
    left_out: u64,
}

// === impl Quiet ===

impl Quiet {
    /// Whether to tell of it, and of how many nothing was told since the last line.
    pub(super) fn line(&mut self, from: IpAddr, reason: &str, now: Instant) -> Option<u64> {
        let is_old = |told: Instant, bound| now.saturating_duration_since(told) >= bound;
        let key = (from, reason.to_owned());
        let is_known = self.told.get(&key).is_some_and(|told| !is_old(*told, AGAIN));
        if is_known || self.last.is_some_and(|last| !is_old(last, LEAST)) {
            self.left_out += u64::from(!is_known);
            return None;
        }
        if self.told.len() >= MOST {
            self.told.retain(|_, told| !is_old(*told, AGAIN));
        }
        if self.told.len() < MOST {
            self.told.insert(key, now);
        }
        self.last = Some(now);
        Some(std::mem::take(&mut self.left_out))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sender_and_a_reason_are_told_once_and_a_flood_once_a_minute() {
        let start = Instant::now();
        let mut quiet = Quiet::default();
        let mut at = |from: u8, reason: &str, seconds| {
            quiet.line([10, 0, 0, from].into(), reason, start + Duration::from_secs(seconds))
        };
        assert_eq!(at(1, "wrong", 0), Some(0));
        assert_eq!(at(1, "wrong", 61), None, "told already");
        assert_eq!(at(2, "wrong", 61), Some(0));
        for from in 3..103 {
            assert_eq!(at(from, "wrong", 62), None, "a flood");
        }
        assert_eq!(at(1, "unsigned", 121), Some(100));
        assert_eq!(at(1, "wrong", 3601), Some(0), "an hour later");
    }
}
