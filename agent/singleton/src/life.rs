//! One member's way from its election to the end of the service's body: first the lease, then the
//! start; first the stop, then the lease is given back.

use std::time::Duration;

use muster_cluster::Moment;

/// How long things may take.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Bounds {
    /// Who is elected and does not get the lease, since the provider before still stops, asks for it
    /// again after so long. Default: 50 ms.
    pub ask_again: Duration,
    /// The body of a service that shall stop is cut off after so long. Default: 10 s.
    pub stop: Duration,
    /// The body of a service whose lease is lost is cut off after so long: the lease may be another's
    /// half a second after it was lost. Default: 300 ms.
    pub lost: Duration,
    /// What was cut off and goes on all the same, since it blocks a thread, keeps the lease for so
    /// long. Default: 5 s.
    pub cut_off: Duration,
    /// Who failed is no candidate for so long; twice as long after each further failure.
    /// Default: 1 s.
    pub rest: Duration,
    /// And at most for so long. Default: 60 s.
    pub most_rest: Duration,
}

/// Where a service stands on this member.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum State {
    /// It is not this member's to run.
    Standby,
    /// It is elected, and waits for the lease.
    Waiting,
    /// It runs.
    Running,
    /// It was told to stop.
    Stopping,
    /// It failed here: for a while this member is no candidate.
    Resting,
    /// It was cut off and goes on all the same: its writes are fenced, and it is not started again.
    Stuck,
    /// It is no more.
    Closed,
}

/// How a body ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Outcome {
    /// In order.
    Stopped,
    /// With an error, or by itself where it should not.
    Failed,
}

/// One member's way with a service.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Life {
    /// Nothing is here.
    Idle,
    /// The lease is asked for.
    Asking,
    /// Another has it: it is asked for again then.
    Waiting {
        /// When.
        again: Moment,
    },
    /// The body runs.
    Running {
        /// The lease's token.
        token: u128,
        /// Since when.
        since: Moment,
    },
    /// The body was told to stop.
    Stopping {
        /// The lease's token.
        token: u128,
        /// It is cut off then.
        by: Moment,
        /// Whether the lease is still held.
        holds: bool,
    },
    /// The body was cut off.
    CutOff {
        /// The lease's token.
        token: u128,
        /// It is given up then.
        by: Moment,
        /// Whether the lease is still held.
        holds: bool,
    },
    /// The body was given up, and has not ended.
    Stuck {
        /// The token of the lease that it had.
        token: u128,
    },
    /// The body failed here.
    Resting {
        /// So long.
        until: Moment,
    },
    /// The end.
    Closed,
}

/// What follows from a step of a life.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Step {
    Ask,
    Start(u128),
    Stop(u128),
    CutOff(u128),
    GiveUp(u128),
    Resign(u128),
    Rest,
    Rested,
}

// === impl Bounds ===

impl Default for Bounds {
    fn default() -> Self {
        let ms = Duration::from_millis;
        Self {
            ask_again: ms(50),
            stop: ms(10_000),
            lost: ms(300),
            cut_off: ms(5_000),
            rest: ms(1_000),
            most_rest: ms(60_000),
        }
    }
}

// === impl Life ===

impl Life {
    /// As others see it.
    #[must_use]
    pub fn state(&self) -> State {
        match self {
            Self::Idle => State::Standby,
            Self::Asking | Self::Waiting { .. } => State::Waiting,
            Self::Running { .. } => State::Running,
            Self::Stopping { .. } | Self::CutOff { .. } => State::Stopping,
            Self::Stuck { .. } => State::Stuck,
            Self::Resting { .. } => State::Resting,
            Self::Closed => State::Closed,
        }
    }

    /// The token, while a body may be running.
    #[must_use]
    pub fn token(&self) -> Option<u128> {
        match *self {
            Self::Running { token, .. }
            | Self::Stopping { token, .. }
            | Self::CutOff { token, .. }
            | Self::Stuck { token } => Some(token),
            Self::Idle
            | Self::Asking
            | Self::Waiting { .. }
            | Self::Resting { .. }
            | Self::Closed => None,
        }
    }

    /// One step on the way to what is wanted, by time and by election; none where it has to wait.
    pub(crate) fn step(&mut self, wanted: bool, bounds: &Bounds, now: Moment) -> Option<Step> {
        let (next, step) = match *self {
            Self::Idle if wanted => (Self::Asking, Some(Step::Ask)),
            Self::Waiting { .. } if !wanted => (Self::Idle, None),
            Self::Waiting { again } if now >= again => (Self::Asking, Some(Step::Ask)),
            Self::Running { token, .. } if !wanted => {
                let by = now + bounds.stop;
                (Self::Stopping { token, by, holds: true }, Some(Step::Stop(token)))
            }
            Self::Stopping { token, by, holds } if now >= by => {
                let by = now + bounds.cut_off;
                (Self::CutOff { token, by, holds }, Some(Step::CutOff(token)))
            }
            Self::CutOff { token, by, .. } if now >= by => {
                (Self::Stuck { token }, Some(Step::GiveUp(token)))
            }
            Self::Resting { until } if now >= until => (Self::Idle, Some(Step::Rested)),
            _ => return None,
        };
        *self = next;
        step
    }

    /// An answer to what was asked for.
    pub(crate) fn leased(
        &mut self,
        token: Option<u128>,
        wanted: bool,
        bounds: &Bounds,
        now: Moment,
    ) -> Option<Step> {
        match (&self, token) {
            (Self::Asking, Some(token)) if wanted => {
                *self = Self::Running { token, since: now };
                Some(Step::Start(token))
            }
            (Self::Asking, token) => {
                *self = match token {
                    None if wanted => Self::Waiting { again: now + bounds.ask_again },
                    _ => Self::Idle,
                };
                token.map(Step::Resign)
            }
            // Nothing was asked for: it is not kept.
            (_, token) => token.map(Step::Resign),
        }
    }

    /// The lease of this token is held no more.
    pub(crate) fn lost(&mut self, lost: u128, bounds: &Bounds, now: Moment) -> Option<Step> {
        let soon = now + bounds.lost;
        match *self {
            Self::Running { token, .. } if token == lost => {
                *self = Self::Stopping { token, by: soon, holds: false };
                Some(Step::Stop(token))
            }
            Self::Stopping { token, by, .. } if token == lost => {
                *self = Self::Stopping { token, by: by.min(soon), holds: false };
                None
            }
            Self::CutOff { token, by, .. } if token == lost => {
                *self = Self::CutOff { token, by, holds: false };
                None
            }
            _ => None,
        }
    }

    /// The body of this token has ended. After a failure this member rests for so long.
    pub(crate) fn ended(
        &mut self,
        ended: u128,
        outcome: Outcome,
        rest: Duration,
        now: Moment,
    ) -> [Option<Step>; 2] {
        if self.token() != Some(ended) {
            return [None, None];
        }
        let was = std::mem::replace(self, Self::Idle);
        match was {
            Self::Running { token, .. } if outcome == Outcome::Failed => {
                *self = Self::Resting { until: now + rest };
                [Some(Step::Resign(token)), Some(Step::Rest)]
            }
            Self::Running { token, .. } => [Some(Step::Resign(token)), None],
            Self::Stopping { token, holds, .. } | Self::CutOff { token, holds, .. } => {
                [holds.then_some(Step::Resign(token)), None]
            }
            _ => [None, None],
        }
    }

    /// When time alone brings about a step.
    pub(crate) fn wake(&self) -> Option<Moment> {
        match *self {
            Self::Waiting { again } => Some(again),
            Self::Stopping { by, .. } | Self::CutOff { by, .. } => Some(by),
            Self::Resting { until } => Some(until),
            Self::Idle
            | Self::Asking
            | Self::Running { .. }
            | Self::Stuck { .. }
            | Self::Closed => None,
        }
    }
}
