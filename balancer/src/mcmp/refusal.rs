//! Why a message is refused, and what it is answered.
//!
//! Only what is malformed is SYNTAX, for a real client takes a balancer for down, for good, that
//! says so. The lock answers 403 with another Type: who is let in later comes back by itself.

use std::time::Duration;

use http::StatusCode;
use muster_protocol::mcmp::ParseError;
use muster_protocol::mcmp::reply::{Answer, Refused};
use muster_protocol::signature::Reason;
use muster_routing::registry::ApplyError;

use super::guard::BadAddress;

/// Why a message did not become an outcome.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Refusal {
    #[error("{reason} (the clock here says {now})")]
    Signature {
        reason: Reason,
        /// Seconds since 1970, for those whose clock is wrong.
        now: u64,
    },
    #[error(transparent)]
    Address(#[from] BadAddress),
    #[error(transparent)]
    Parse(#[from] ParseError),
    #[error(transparent)]
    Apply(#[from] ApplyError),
    #[error("the body is longer than {0} bytes")]
    TooLong(usize),
    #[error("the body broke off")]
    BrokenOff,
    #[error("the body did not come within {0:?}")]
    TooLate(Duration),
}

// === impl Refusal ===

impl Refusal {
    /// One word, for metrics and log.
    pub(crate) fn word(&self) -> &'static str {
        match self {
            Refusal::Signature { reason, .. } => reason.word(),
            Refusal::Address(_) => "address",
            Refusal::Parse(_) => "malformed",
            Refusal::Apply(error) => match error {
                ApplyError::NotOwner(_) => "owner",
                ApplyError::Unknown(_) => "unknown_node",
                ApplyError::RouteTaken { .. } | ApplyError::AddressTaken { .. } => "taken",
                ApplyError::Static(_) => "static",
                ApplyError::Full { .. } => "full",
            },
            Refusal::TooLong(_) => "too_long",
            Refusal::BrokenOff => "broken_off",
            Refusal::TooLate(_) => "too_late",
        }
    }

    pub(crate) fn answer(&self) -> Answer {
        match self {
            Refusal::Parse(error) => error.answer(),
            Refusal::Signature { .. }
            | Refusal::Address(_)
            | Refusal::Apply(ApplyError::NotOwner(_)) => {
                let status = StatusCode::FORBIDDEN.as_u16();
                Answer { status, ..Refused::mem(self.to_string()).answer() }
            }
            // Any kind but SYNTAX lets the node register again.
            Refusal::Apply(error) => Refused::mem(error.to_string()).answer(),
            Refusal::TooLong(_) => self.plain(StatusCode::PAYLOAD_TOO_LARGE),
            Refusal::BrokenOff => self.plain(StatusCode::BAD_REQUEST),
            Refusal::TooLate(_) => self.plain(StatusCode::REQUEST_TIMEOUT),
        }
    }

    fn plain(&self, status: StatusCode) -> Answer {
        Answer {
            status: status.as_u16(),
            content_type: "text/plain",
            headers: Vec::new(),
            body: format!("{self}\n"),
        }
    }
}
