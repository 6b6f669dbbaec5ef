//! Why a request is refused, and what it is told.

use httparse::{Error, Request};

use super::{HeadLimits, MAX_METHOD};
use crate::fault::{self, Syntax};

/// A request that must not be passed on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadRequest {
    /// The head is longer than the limit.
    #[error("the head is longer than the limit")]
    HeadTooLong,
    /// The head has more lines than the limit.
    #[error("the head has more header lines than the limit")]
    TooManyHeaders,
    /// The target is longer than the limit.
    #[error("the request target is longer than the limit")]
    TargetTooLong,
    /// HTTP, but neither 1.0 nor 1.1.
    #[error("the version is neither HTTP/1.0 nor HTTP/1.1")]
    Version,
    /// CONNECT or TRACE, with which a reverse proxy has no business.
    #[error("the method is not one for a reverse proxy")]
    Method,
    /// Not a fault: HTTP/2 without TLS begins. The bytes belong to another engine.
    #[error("HTTP/2 begins")]
    Preface,
    /// The method is no token, or longer than 32 bytes.
    #[error("the method is no token of at most 32 bytes")]
    BadMethod,
    /// The target is no path, no URL and no `*` of OPTIONS, or has a fragment or a character that
    /// is not visible ASCII, a quote or an angle bracket, or in its path a backtick.
    #[error("the request target is bad")]
    BadTarget,
    /// The first line does not end with a version.
    #[error("the request line does not end with a version")]
    BadRequestLine,
    /// Host is no host, or there are several, or a whole URL names another one.
    #[error("Host is not one host with an optional port, or not the target's")]
    BadHost,
    /// Connection, TE or Upgrade lists what is no token. An answer may have such lines: they end
    /// here, and the client hears nothing of them.
    #[error("Connection, TE or Upgrade lists what is no token")]
    BadOption,
    /// HTTP/1.1 without Host.
    #[error("Host is missing")]
    NoHost,
    /// The form of the header lines, or their framing.
    #[error(transparent)]
    Syntax(#[from] Syntax),
}

// === impl BadRequest ===

impl BadRequest {
    /// The status that the client is answered with. (The preface is not answered.)
    pub fn status(self) -> u16 {
        match self {
            Self::HeadTooLong | Self::TooManyHeaders => 431,
            Self::TargetTooLong => 414,
            Self::Version | Self::Preface => 505,
            Self::Method => 405,
            Self::BadMethod
            | Self::BadTarget
            | Self::BadRequestLine
            | Self::BadHost
            | Self::BadOption
            | Self::NoHost
            | Self::Syntax(_) => 400,
        }
    }

    /// One word for the log.
    pub fn word(self) -> &'static str {
        match self {
            Self::HeadTooLong => "head-too-long",
            Self::TooManyHeaders => "too-many-headers",
            Self::TargetTooLong => "target-too-long",
            Self::Version => "version",
            Self::Method => "method",
            Self::Preface => "preface",
            Self::BadMethod => "bad-method",
            Self::BadTarget => "bad-target",
            Self::BadRequestLine => "bad-request-line",
            Self::BadHost => "bad-host",
            Self::BadOption => "bad-option",
            Self::NoHost => "no-host",
            Self::Syntax(syntax) => syntax.word(),
        }
    }
}

/// What can be refused before the head is whole, so that nobody has to read on.
#[cold]
pub(super) fn early(
    bytes: &[u8],
    request: &Request<'_, '_>,
    limits: &HeadLimits,
) -> Option<BadRequest> {
    let method = request.method.map_or_else(|| token_length(bytes), str::len);
    if method > MAX_METHOD {
        return Some(BadRequest::BadMethod);
    }
    let target = match (request.path, request.method) {
        (Some(target), _) => target.len(),
        (None, Some(_)) => target_length(&bytes[method + 1..]),
        (None, None) => 0,
    };
    (target > limits.target).then_some(BadRequest::TargetTooLong)
}

/// The parser's complaint in our words.
#[cold]
pub(super) fn translate(
    bytes: &[u8],
    request: &Request<'_, '_>,
    error: Error,
    limits: &HeadLimits,
) -> BadRequest {
    if let Some(refusal) = early(bytes, request, limits) {
        return refusal;
    }
    match (request.method, request.path, request.version) {
        (None, _, _) => BadRequest::BadMethod,
        (_, None, _) => BadRequest::BadTarget,
        (Some(method), Some(target), None) => version(&bytes[method.len() + target.len() + 2..]),
        (Some(_), Some(_), Some(_)) if error == Error::TooManyHeaders => BadRequest::TooManyHeaders,
        (Some(method), Some(target), Some(_)) => {
            let end = method.len() + target.len() + 2 + "HTTP/1.1".len();
            match bytes.get(end..) {
                Some([b'\r', b'\n', ..]) => fault::in_lines(bytes).into(),
                Some([b'\n', ..]) => Syntax::BareLf.into(),
                Some([b'\r', ..]) => Syntax::BareCr.into(),
                _ => BadRequest::BadRequestLine,
            }
        }
    }
}

/// Another version, or no version at all.
fn version(bytes: &[u8]) -> BadRequest {
    match bytes.strip_prefix(b"HTTP/").and_then(<[u8]>::first) {
        Some(digit) if digit.is_ascii_digit() => BadRequest::Version,
        _ => BadRequest::BadRequestLine,
    }
}

fn token_length(bytes: &[u8]) -> usize {
    bytes.iter().take_while(|byte| fault::is_token(**byte)).count()
}

fn target_length(bytes: &[u8]) -> usize {
    bytes.iter().take_while(|byte| **byte > b' ' && **byte != 0x7F).count()
}
