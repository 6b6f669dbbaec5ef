//! An answer's head: a node is believed no more than a client.

mod refuse;
mod write;

use std::mem::MaybeUninit;

use httparse::{Header, ParserConfig, Response, Status};

use crate::fault::Syntax;
use crate::lines::{Facts, Line, Lines};
use crate::request::{HeadLimits, Version};
use crate::span::Span;
use crate::{MAX_HEAD_BYTES, MAX_HEADERS};

pub use refuse::BadResponse;
pub use write::{Connection, Framing, ResponseChanges};

/// Where the status line's code ends: `HTTP/1.1 200`.
const CODE_END: usize = 12;

/// How an answer's body is framed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ResponseBody {
    /// There is none, whatever the lines say.
    None,
    /// As many bytes as Content-Length says.
    Length(u64),
    /// Chunks.
    Chunked,
    /// All that comes until the node closes.
    Close,
}

/// What an answer's framing depends on beside the answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Question {
    /// The request was a HEAD: its answer has no body.
    pub is_head: bool,
    /// The request asked for an upgrade: only then may the answer be a 101.
    pub asks_upgrade: bool,
}

/// An answer's head.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ResponseHead {
    /// Bytes of the head with its empty line: here the body begins.
    pub length: usize,
    /// 100 to 599. Under 200 it is an interim answer and another one follows, but for 101.
    pub status: u16,
    /// The node's version.
    pub version: Version,
    /// How the body is framed.
    pub body: ResponseBody,
    /// Whether the node's connection may be used again after the body.
    pub keep_alive: bool,
    /// What the connection becomes, of a 101 only.
    pub upgrade: Option<Span>,
    lines: Lines,
    reason: Span,
    is_oddly_chunked: bool,
}

/// Reads the head of an answer that `bytes` begin with; `None` when more bytes are needed.
///
/// The target's limit does not concern it. See [`worth_parsing`](crate::worth_parsing) for nodes
/// that send byte by byte.
///
/// ```
/// # use muster_http1::{HeadLimits, Question, ResponseBody, parse_response};
/// let bytes = b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n";
/// let head = parse_response(bytes, &HeadLimits::default(), Question::default())?;
/// assert_eq!(head.expect("it is whole").body, ResponseBody::Length(3));
/// # Ok::<(), muster_http1::BadResponse>(())
/// ```
///
/// # Errors
/// The first reason for which the answer cannot be passed on. The node's connection is then of
/// no more use.
pub fn parse_response(
    bytes: &[u8],
    limits: &HeadLimits,
    question: Question,
) -> Result<Option<ResponseHead>, BadResponse> {
    if let Some(b'\r' | b'\n') = bytes.first() {
        return Err(Syntax::LeadingEmptyLine.into());
    }
    let most = limits.bytes.min(MAX_HEAD_BYTES);
    let window = &bytes[..bytes.len().min(most)];
    let mut headers = [const { MaybeUninit::<Header<'_>>::uninit() }; MAX_HEADERS];
    let headers = &mut headers[..limits.headers.min(MAX_HEADERS)];
    let mut response = Response::new(&mut []);
    let config = ParserConfig::default();
    match config.parse_response_with_uninit_headers(&mut response, window, headers) {
        Ok(Status::Complete(length)) => checked(window, length, &response, question).map(Some),
        Ok(Status::Partial) if bytes.len() >= most => Err(BadResponse::HeadTooLong),
        Ok(Status::Partial) => Ok(None),
        Err(error) => Err(refuse::translate(window, &response, error)),
    }
}

/// Checks what the parser let pass, and puts the head together.
#[inline]
fn checked(
    head: &[u8],
    length: usize,
    response: &Response<'_, '_>,
    question: Question,
) -> Result<ResponseHead, BadResponse> {
    let status = response.code.unwrap_or_default();
    if !(100..600).contains(&status) {
        return Err(BadResponse::Status);
    }
    let is_http10 = response.version == Some(0);
    let mut facts = Facts::default();
    facts.read(head, length, response.headers)?;
    facts.framing.check(is_http10)?;
    let upgrade =
        if status == 101 { Some(granted(head, &facts, is_http10, question)?) } else { None };
    let body = body(status, &facts, question);
    // A body that must not be there would be taken for the next answer.
    let is_misframed = has_no_framing(status)
        && (facts.framing.is_chunked || facts.framing.length.is_some_and(|length| length > 0));
    let wants = !facts.connection.close && (!is_http10 || facts.connection.keep_alive);
    let line_end = facts.lines.start().saturating_sub(2);
    Ok(ResponseHead {
        length,
        status,
        version: if is_http10 { Version::Http10 } else { Version::Http11 },
        body,
        keep_alive: wants && body != ResponseBody::Close && !is_misframed && upgrade.is_none(),
        upgrade,
        reason: Span::new((CODE_END + 1).min(line_end), line_end),
        is_oddly_chunked: facts.framing.is_odd,
        lines: facts.lines,
    })
}

/// The upgrade that a 101 grants, if it was asked for and is well formed.
fn granted(
    head: &[u8],
    facts: &Facts,
    is_http10: bool,
    question: Question,
) -> Result<Span, BadResponse> {
    let may = question.asks_upgrade && !is_http10;
    let is_bare =
        !facts.framing.is_chunked && facts.framing.length.is_none_or(|length| length == 0);
    facts.upgrade(head).filter(|_| may && is_bare).ok_or(BadResponse::Unasked101)
}

#[inline]
fn body(status: u16, facts: &Facts, question: Question) -> ResponseBody {
    match facts.framing.length {
        _ if question.is_head || has_no_framing(status) || status == 304 => ResponseBody::None,
        Some(length) => ResponseBody::Length(length),
        None if facts.framing.is_chunked => ResponseBody::Chunked,
        None => ResponseBody::Close,
    }
}

/// Answers that have no body and must not speak of one (RFC 9110, 8.6).
#[inline]
fn has_no_framing(status: u16) -> bool {
    status < 200 || status == 204
}

// === impl ResponseHead ===

impl ResponseHead {
    /// All header lines as they came. Reads them again: for those who rewrite by hand.
    pub fn headers<'b>(&self, head: &'b [u8]) -> impl Iterator<Item = Line<'b>> {
        self.lines.iter(head)
    }

    /// The node's reason, which may be empty and need not be ASCII.
    pub fn reason<'b>(&self, head: &'b [u8]) -> &'b [u8] {
        self.reason.of(head)
    }
}
