//! Which attempts of an asker have been seen: a window over their numbers, which are used once.

/// The window of one asker.
pub(super) struct Seen {
    /// The latest number.
    latest: u64,
    /// A bit for each of the last numbers, at its place in the ring.
    bits: Vec<u64>,
}

impl Seen {
    /// A window over so many numbers.
    pub(super) fn new(most: usize) -> Self {
        Self { latest: 0, bits: vec![0; most.div_ceil(64).max(1)] }
    }

    fn width(&self) -> u64 {
        self.bits.len() as u64 * 64
    }

    /// Whether a number comes for the first time. One that fell out of the window counts as seen.
    pub(super) fn is_new(&mut self, attempt: u64) -> bool {
        let width = self.width();
        if attempt > self.latest {
            if attempt - self.latest >= width {
                self.bits.fill(0);
            } else {
                (self.latest + 1..attempt).for_each(|between| self.set(between, false));
            }
            self.latest = attempt;
            self.set(attempt, true);
            return true;
        }
        if self.latest - attempt >= width || self.get(attempt) {
            return false;
        }
        self.set(attempt, true);
        true
    }

    fn place(&self, attempt: u64) -> (usize, u64) {
        let at = attempt % self.width();
        (usize::try_from(at / 64).unwrap_or(0), 1 << (at % 64))
    }

    fn get(&self, attempt: u64) -> bool {
        let (word, bit) = self.place(attempt);
        self.bits[word] & bit != 0
    }

    fn set(&mut self, attempt: u64, value: bool) {
        let (word, bit) = self.place(attempt);
        if value {
            self.bits[word] |= bit;
        } else {
            self.bits[word] &= !bit;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn a_number_is_new_once_and_never_again() {
        let mut seen = Seen::new(128);
        let mut rng = fastrand::Rng::with_seed(3);
        let (mut taken, mut base) = (BTreeSet::new(), 1);
        for _ in 0..20_000 {
            let attempt = base + rng.u64(0..100);
            base += rng.u64(0..4);
            let is_new = seen.is_new(attempt);
            assert!(!is_new || taken.insert(attempt), "{attempt} was taken twice");
        }
        assert!(taken.len() > 10_000);
        assert!(!seen.is_new(1));
        assert!(seen.is_new(u64::MAX) && !seen.is_new(u64::MAX));
    }
}
