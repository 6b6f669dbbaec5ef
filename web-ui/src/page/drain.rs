//! Drains: nodes that are emptied before they are taken away.

use serde::Serialize;

/// A drain that goes on.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Drain {
    /// The node.
    pub route: String,
    /// Who began it.
    pub by: String,
    /// Sessions at its beginning; `None` where nobody reports them.
    pub sessions_then: Option<u64>,
    /// Sessions that are left.
    pub sessions_left: Option<u64>,
    /// Requests that are left.
    pub requests_left: u64,
    /// Requests at its beginning.
    pub requests_then: u64,
    /// Seconds since its beginning.
    pub seconds: u64,
    /// Seconds until what is left is stopped; `None` without a deadline.
    pub seconds_to_deadline: Option<u64>,
}

/// A drain that is over.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct PastDrain {
    /// The node.
    pub route: String,
    /// Who began it.
    pub by: String,
    /// How it ended, in a word or two.
    pub outcome: String,
    /// How long it took.
    pub seconds: u64,
    /// Seconds since its end.
    pub seconds_ago: u64,
    /// Requests that were cut; should be 0.
    pub lost_requests: u64,
    /// Sessions that had to go elsewhere.
    pub moved_sessions: Option<u64>,
}

// === impl Drain ===

impl Drain {
    /// What is waited for: sessions where they are known, else requests.
    pub fn left(&self) -> u64 {
        self.sessions_left.unwrap_or(self.requests_left)
    }

    /// How much there was of it.
    pub fn then(&self) -> u64 {
        match self.sessions_left {
            Some(_) => self.sessions_then.unwrap_or(0),
            None => self.requests_then,
        }
    }

    /// Its word: sessions or requests.
    pub fn unit(&self) -> &'static str {
        match self.sessions_left {
            Some(_) => "sessions",
            None => "requests in flight",
        }
    }

    /// How far it is, in percent.
    pub fn percent(&self) -> u64 {
        match self.then() {
            0 => 100,
            then => 100 - (self.left().min(then) * 100 / then),
        }
    }

    /// What went away per minute so far.
    pub fn per_minute(&self) -> f64 {
        let gone = self.then().saturating_sub(self.left());
        gone as f64 * 60.0 / self.seconds.max(1) as f64
    }

    /// Seconds until nothing is left, if it goes on so; `None` while nothing has gone.
    pub fn eta_seconds(&self) -> Option<u64> {
        let rate = self.per_minute();
        (rate > 0.0).then(|| (self.left() as f64 * 60.0 / rate).ceil() as u64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_drain_says_how_far_it_is_and_when_it_will_be_over() {
        let drain = Drain {
            route: "n1".to_owned(),
            by: "anna".to_owned(),
            sessions_then: Some(50),
            sessions_left: Some(37),
            requests_left: 2,
            requests_then: 9,
            seconds: 60,
            seconds_to_deadline: Some(240),
        };
        assert_eq!(
            (drain.percent(), drain.per_minute(), drain.eta_seconds()),
            (26, 13.0, Some(171))
        );
        let requests = Drain { sessions_left: None, sessions_then: None, ..drain };
        assert_eq!((requests.left(), requests.unit()), (2, "requests in flight"));
        let still = Drain { requests_left: 9, ..requests };
        assert_eq!((still.percent(), still.eta_seconds()), (0, None));
    }
}
