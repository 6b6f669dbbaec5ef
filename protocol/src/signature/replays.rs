//! What came before: every signed message within the window, once.
//!
//! A message is remembered until its date is out of the window, when it is refused as old. When
//! more come than are remembered, further ones are refused: none within the window is forgotten to
//! make room. Only messages with a good signature get here, so only who knows the secret can fill
//! it.

use std::collections::BTreeSet;

use super::{Reason, Stamp, Window};

/// The stamps of messages that were taken.
#[derive(Debug)]
pub struct Replays {
    seen: BTreeSet<Stamp>,
    most: usize,
    /// Nothing older is taken, for what came before is not known.
    since: u64,
}

// === impl Replays ===

impl Replays {
    /// Remembers `most` messages. Those dated before `since`, the start of whoever remembers, are
    /// old: they may have come to the life before this one.
    pub fn new(most: usize, since: u64) -> Replays {
        Replays { seen: BTreeSet::new(), most, since }
    }

    /// Notes a message as taken.
    ///
    /// # Errors
    /// [`Reason::Old`], [`Reason::Future`], [`Reason::Replayed`] or [`Reason::Full`]; the message
    /// must not be taken then.
    pub fn note(&mut self, stamp: Stamp, window: Window) -> Result<(), Reason> {
        window.check(stamp.date)?;
        if stamp.date < self.since {
            return Err(Reason::Old);
        }
        self.forget(window);
        if self.seen.contains(&stamp) {
            return Err(Reason::Replayed);
        }
        if self.seen.len() >= self.most {
            return Err(Reason::Full);
        }
        self.seen.insert(stamp);
        Ok(())
    }

    /// How many are remembered.
    pub fn len(&self) -> usize {
        self.seen.len()
    }

    /// Whether none is remembered.
    pub fn is_empty(&self) -> bool {
        self.seen.is_empty()
    }

    fn forget(&mut self, window: Window) {
        let oldest = window.now.saturating_sub(window.skew);
        while self.seen.first().is_some_and(|stamp| stamp.date < oldest) {
            self.seen.pop_first();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::Nonce;
    use super::*;

    fn stamp(date: u64, nonce: u8) -> Stamp {
        Stamp { date, nonce: Nonce([nonce; 16]) }
    }

    fn at(now: u64) -> Window {
        Window { now, skew: 30 }
    }

    #[test]
    fn a_message_is_taken_once_within_its_window() {
        let mut replays = Replays::new(10, 0);
        assert_eq!(replays.note(stamp(100, 1), at(100)), Ok(()));
        assert_eq!(replays.note(stamp(100, 1), at(100)), Err(Reason::Replayed));
        assert_eq!(replays.note(stamp(100, 1), at(130)), Err(Reason::Replayed));
        assert_eq!(replays.note(stamp(100, 2), at(130)), Ok(()), "another nonce");
        assert_eq!(replays.note(stamp(100, 1), at(131)), Err(Reason::Old));
    }

    #[test]
    fn dates_out_of_the_window_or_before_the_start_are_refused() {
        let mut replays = Replays::new(10, 90);
        assert_eq!(replays.note(stamp(69, 1), at(100)), Err(Reason::Old));
        assert_eq!(replays.note(stamp(89, 1), at(100)), Err(Reason::Old), "before the start");
        assert_eq!(replays.note(stamp(90, 1), at(100)), Ok(()));
        assert_eq!(replays.note(stamp(130, 1), at(100)), Ok(()));
        assert_eq!(replays.note(stamp(131, 1), at(100)), Err(Reason::Future));
    }

    #[test]
    fn when_it_is_full_nothing_within_the_window_is_forgotten() {
        let mut replays = Replays::new(2, 0);
        assert_eq!(replays.note(stamp(100, 1), at(100)), Ok(()));
        assert_eq!(replays.note(stamp(110, 2), at(110)), Ok(()));
        assert_eq!(replays.note(stamp(120, 3), at(120)), Err(Reason::Full));
        assert_eq!(replays.note(stamp(100, 1), at(120)), Err(Reason::Replayed));
        assert_eq!(replays.note(stamp(131, 3), at(131)), Ok(()), "the first is out of the window");
        assert_eq!(replays.len(), 2);
    }
}
