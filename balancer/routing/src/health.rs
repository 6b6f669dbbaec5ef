//! Whether a node is there: a state machine of events and time.
//!
//! ```text
//!   Checking --forget_after--> forgotten
//!   Checking --answers--> Up --three timeouts in a row--> Down --answers--> Up
//!                          \--connect refused or failed-->/  \--forget_after--> forgotten
//! ```
//! A failed connect of a request takes the node out at once (outlier ejection), for a connect
//! that fails costs nothing to try elsewhere; a probe that only times out must do so three times
//! in a row, for a busy node answers late. Once is enough where the other members of the node's
//! cluster go on without it. Whoever is out is probed every `revive_interval`, and
//! after [`OUT_FOR_LONG`] every `probe_interval`.

use crate::Moment;

/// Probes that may time out in a row before a node that is up goes down.
pub const TIMEOUTS_TO_DOWN: u8 = 3;

/// After so long a node that is out is probed less often: most such nodes never come back.
pub const OUT_FOR_LONG: Moment = Moment::from_secs(60);

/// A node that has requests and answers none for so long is probed, and not only when its time has
/// come.
pub const QUIET_AFTER: Moment = Moment::from_millis(500);

/// Who waits for a node that is left out looks elsewhere only when it has answered nothing for so
/// long.
pub const SILENT_AFTER: Moment = Moment::from_millis(750);

/// How long a probe may take of a node that the others of its cluster go on without.
pub const DOUBTED_WITHIN: Moment = Moment::from_millis(250);

/// How a node stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Health {
    /// Registered, and has never answered yet.
    Checking,
    /// Answers.
    Up,
    /// Usable, but the last probes timed out: so many.
    Suspect(u8),
    /// Left out since then, until a probe passes.
    Down(Moment),
}

/// What a probe found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Probed {
    /// An answer, whichever.
    Answered,
    /// Nobody listens, or the connection broke.
    Refused,
    /// Nothing came in time.
    TimedOut,
}

/// How often and how long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timing {
    /// Between two probes of a node that is up.
    pub probe_interval: Moment,
    /// Between two probes of a node that is not, for [`OUT_FOR_LONG`].
    pub revive_interval: Moment,
    /// A node without a STATUS for so long is probed as often as one that is not up.
    pub silent_after: Moment,
    /// A node that registered itself and is down for so long, or has not answered for so long
    /// since it registered, is forgotten.
    pub forget_after: Moment,
    /// How long a newcomer or a revived node warms up.
    pub slow_start: Moment,
}

impl Default for Timing {
    fn default() -> Self {
        Timing {
            probe_interval: Moment::from_secs(5),
            revive_interval: Moment::from_secs(1),
            silent_after: Moment::from_secs(30),
            forget_after: Moment::from_secs(600),
            slow_start: Moment::from_secs(5),
        }
    }
}

impl Health {
    /// Whether requests may be sent to such a node.
    pub fn is_usable(self) -> bool {
        matches!(self, Health::Up | Health::Suspect(_))
    }

    /// The state after a probe.
    pub fn after(self, probed: Probed, now: Moment) -> Health {
        match (probed, self) {
            (Probed::Answered, _) => Health::Up,
            (_, Health::Checking) => Health::Checking,
            (_, Health::Down(since)) => Health::Down(since),
            (Probed::Refused, Health::Up | Health::Suspect(_)) => Health::Down(now),
            (Probed::TimedOut, Health::Up) => Health::Suspect(1),
            (Probed::TimedOut, Health::Suspect(n)) if n + 1 < TIMEOUTS_TO_DOWN => {
                Health::Suspect(n + 1)
            }
            (Probed::TimedOut, Health::Suspect(_)) => Health::Down(now),
        }
    }

    /// The state after a request could not connect, or a silence that others know of too.
    pub fn left_out(self, now: Moment) -> Health {
        match self {
            Health::Up | Health::Suspect(_) => Health::Down(now),
            Health::Checking | Health::Down(_) => self,
        }
    }

    /// How long to wait until the next probe, while the node is not out for long.
    pub fn probe_after(self, timing: &Timing) -> Moment {
        match self {
            Health::Up => timing.probe_interval,
            Health::Checking | Health::Suspect(_) | Health::Down(_) => timing.revive_interval,
        }
    }

    /// Since when no request may be sent to such a node; `registered` is when it came.
    pub fn out_since(self, registered: Moment) -> Option<Moment> {
        match self {
            Health::Checking => Some(registered),
            Health::Down(since) => Some(since),
            Health::Up | Health::Suspect(_) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Moment = Moment::from_secs(7);

    #[test]
    fn a_busy_node_is_down_only_after_three_timeouts_in_a_row() {
        let one = Health::Up.after(Probed::TimedOut, NOW);
        let two = one.after(Probed::TimedOut, NOW);
        assert_eq!((one, two), (Health::Suspect(1), Health::Suspect(2)));
        assert_eq!(two.after(Probed::Answered, NOW), Health::Up);
        assert_eq!(two.after(Probed::TimedOut, NOW), Health::Down(NOW));
    }

    #[test]
    fn a_refused_connect_takes_a_node_out_until_a_probe_passes() {
        let down = Health::Up.left_out(NOW);
        assert_eq!(down, Health::Down(NOW));
        assert!(!down.is_usable());
        let later = Moment::from_secs(9);
        assert_eq!(down.after(Probed::Refused, later), Health::Down(NOW));
        assert!(down.after(Probed::Answered, later).is_usable());
    }

    #[test]
    fn a_node_is_out_since_it_went_down_or_came() {
        let came = Moment::from_secs(3);
        assert_eq!(Health::Checking.out_since(came), Some(came));
        assert_eq!(Health::Down(NOW).out_since(came), Some(NOW));
        assert_eq!(Health::Up.out_since(came), None);
        assert_eq!(Health::Suspect(2).out_since(came), None);
    }
}
