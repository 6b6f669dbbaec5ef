//! Why an answer is not passed on.

use httparse::{Error, Response};

use crate::fault::{self, Syntax};

/// An answer that must not be passed on: the client gets a 502 instead.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadResponse {
    /// The head is longer than the limit.
    #[error("the answer's head is longer than the limit")]
    HeadTooLong,
    /// The head has more lines than the limit.
    #[error("the answer has more header lines than the limit")]
    TooManyHeaders,
    /// It does not begin with HTTP/1.0 or HTTP/1.1.
    #[error("the answer does not begin with HTTP/1.0 or HTTP/1.1")]
    Version,
    /// No status from 100 to 599, or a bad reason.
    #[error("the answer has no status line with a status from 100 to 599")]
    Status,
    /// A 101 that was not asked for, or without the lines it needs.
    #[error("the answer is a 101 that was not asked for, or not well formed")]
    Unasked101,
    /// The form of the header lines, or their framing.
    #[error(transparent)]
    Syntax(#[from] Syntax),
}

// === impl BadResponse ===

impl BadResponse {
    /// One word for the log.
    pub fn word(self) -> &'static str {
        match self {
            Self::HeadTooLong => "head-too-long",
            Self::TooManyHeaders => "too-many-headers",
            Self::Version => "version",
            Self::Status => "status",
            Self::Unasked101 => "unasked-101",
            Self::Syntax(syntax) => syntax.word(),
        }
    }
}

/// The parser's complaint in our words.
#[cold]
pub(super) fn translate(bytes: &[u8], response: &Response<'_, '_>, error: Error) -> BadResponse {
    match (response.version, response.reason) {
        (None, _) => BadResponse::Version,
        (Some(_), _) if error == Error::Version => BadResponse::Version,
        (Some(_), None) => BadResponse::Status,
        (Some(_), Some(_)) if error == Error::TooManyHeaders => BadResponse::TooManyHeaders,
        (Some(_), Some(_)) => fault::in_lines(bytes).into(),
    }
}
