//! One context on its way from what the balancer was told to what the node wants.

use std::time::{Duration, Instant};

use muster_protocol::mcmp::{ContextStatus, Verb};

use crate::status::ContextState;
use crate::wanted::Want;

/// Between two STOP-APP of a context that still has requests.
pub(super) const DRAIN_POLL: Duration = Duration::from_millis(250);

/// A context, as wanted and as told.
#[derive(Debug, Clone, Copy)]
pub(super) struct Mount {
    pub(super) want: Want,
    pub(super) told: ContextState,
    /// When STOP-APP was last answered.
    pub(super) stopped_at: Option<Instant>,
    /// Nobody wants to hear of it any more; it goes once the balancer has forgotten it.
    pub(super) is_orphan: bool,
}

/// What a context needs now.
pub(super) enum Step {
    Nothing,
    Wait(Instant),
    Tell(Verb),
}

// === impl Mount ===

impl Mount {
    pub(super) fn new(want: Want) -> Mount {
        Mount { want, told: ContextState::Untold, stopped_at: None, is_orphan: false }
    }

    /// Whether it should go and has gone, or was never there.
    pub(super) fn is_done(&self) -> bool {
        matches!(self.want, Want::Gone { .. })
            && (self.told.is_gone() || self.told == ContextState::Untold)
    }

    pub(super) fn next(&mut self, now: Instant) -> Step {
        let by = match self.want {
            Want::Enabled if self.told == ContextState::Enabled => return Step::Nothing,
            Want::Enabled => return Step::Tell(Verb::Enable),
            Want::Disabled if self.told == ContextState::Disabled => return Step::Nothing,
            Want::Disabled => return Step::Tell(Verb::Disable),
            Want::Standby => return self.stand_by(now),
            Want::Gone { by } => by,
        };
        match self.told {
            ContextState::Untold => {
                self.told = ContextState::Removed { requests_left: 0 };
                Step::Nothing
            }
            ContextState::Enabled => Step::Tell(Verb::Disable),
            ContextState::Disabled => Step::Tell(Verb::Stop),
            ContextState::Stopped { requests: 0 } => Step::Tell(Verb::Remove),
            ContextState::Stopped { .. } if now >= by => Step::Tell(Verb::Remove),
            ContextState::Stopped { .. } => {
                let again = self.stopped_at.map_or(now, |at| at + DRAIN_POLL).min(by);
                if now >= again { Step::Tell(Verb::Stop) } else { Step::Wait(again) }
            }
            ContextState::Removed { .. } | ContextState::Unreached => Step::Nothing,
        }
    }

    /// No requests: as on the way out, but there it stays.
    fn stand_by(&mut self, now: Instant) -> Step {
        match self.told {
            ContextState::Stopped { requests: 0 } => Step::Nothing,
            ContextState::Stopped { .. } => {
                let again = self.stopped_at.map_or(now, |at| at + DRAIN_POLL);
                if now >= again { Step::Tell(Verb::Stop) } else { Step::Wait(again) }
            }
            ContextState::Disabled => Step::Tell(Verb::Stop),
            ContextState::Untold
            | ContextState::Enabled
            | ContextState::Removed { .. }
            | ContextState::Unreached => Step::Tell(Verb::Disable),
        }
    }

    /// The balancer says what it knows of this context.
    pub(super) fn learn(&mut self, known: Option<ContextStatus>) {
        self.told = match (self.want, known) {
            (Want::Gone { .. }, None) => match self.told {
                ContextState::Removed { .. } => self.told,
                _ => ContextState::Removed { requests_left: 0 },
            },
            (Want::Gone { .. }, Some(_)) => match self.told {
                ContextState::Disabled | ContextState::Stopped { .. } => self.told,
                _ => ContextState::Enabled,
            },
            (Want::Standby, Some(ContextStatus::Stopped)) => match self.told {
                ContextState::Stopped { .. } => self.told,
                _ => ContextState::Stopped { requests: 0 },
            },
            (_, None) => ContextState::Untold,
            // An operator has taken this context out of traffic since it was enabled: a lost
            // connection must not undo that.
            (Want::Enabled, Some(known))
                if self.told == ContextState::Enabled && known != ContextStatus::Enabled =>
            {
                self.told
            }
            (_, Some(_)) => ContextState::Untold,
        };
    }

    /// No more messages for now: what the balancer has not confirmed, it may still know.
    pub(super) fn give_up(&mut self, is_known: bool) {
        self.told = match self.told {
            ContextState::Removed { requests_left } => ContextState::Removed { requests_left },
            _ if is_known => ContextState::Unreached,
            _ => ContextState::Removed { requests_left: 0 },
        };
    }

    /// Nobody knows what the balancer knows.
    pub(super) fn learn_nothing(&mut self) {
        if !matches!(self.want, Want::Gone { .. }) {
            self.told = ContextState::Untold;
        }
    }
}
