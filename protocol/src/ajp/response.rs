//! The head of an answer, SEND_HEADERS, and all that a node may do wrong.
//!
//! A node's head is checked as a whole before any of it is handed out, for HTTP clients must be
//! able to take it as it is. (reference: AJP13, points 7 and 8)

use super::hop::{is_connection, is_hop_by_hop, is_nominated};
use super::packet::Reader;

/// Most headers of an answer.
pub const MAX_HEADERS: u16 = 100;

/// The head of an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AnswerHead<'b> {
    /// 100 to 599, never 101.
    pub status: u16,
    /// The reason phrase; empty where the node had none worth telling.
    pub message: &'b str,
    /// The Content-Length, which is not among the headers. Where a body follows, it has so many
    /// bytes, or the exchange fails.
    pub length: Option<u64>,
    /// Whether no body follows, whatever the length says: for HEAD, 204, 304 and before the
    /// final head.
    pub is_bodiless: bool,
    fields: Fields<'b>,
}

/// The headers that may be passed on, each a name and a value without blanks around it.
#[derive(Debug, Clone)]
pub struct Headers<'b> {
    all: Fields<'b>,
    rest: Fields<'b>,
    has_connection: bool,
}

/// Why what a node sent is no AJP answer. The connection can't be used any more, and neither can
/// a client that has seen a part of the answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadAnswer {
    /// It does not begin as a packet does; this is the first byte that differs.
    #[error("an AJP packet from a node begins with \"AB\"; there is the byte {0:#04x}")]
    Magic(u8),
    /// There is no packet of this number, or a node does not send it amid an answer.
    #[error("the AJP packet {0} is no part of an answer")]
    UnknownPacket(u8),
    /// The length of a packet and what it says it holds differ.
    #[error("{0} does not have the length of its content")]
    Packet(&'static str),
    /// An answer can't have this status; 101 was never asked for.
    #[error("the answer has the bad status {0}")]
    Status(u16),
    /// The head has more headers than [`MAX_HEADERS`].
    #[error("the answer has {count} headers, the limit is {MAX_HEADERS}")]
    TooManyHeaders {
        /// Headers that the head says it has.
        count: u16,
    },
    /// This is no name for a header.
    #[error("the answer has the bad header name {0:?}")]
    HeaderName(String),
    /// A value holds what ends a line, or another control character.
    #[error("the answer's header {name} has the bad value {value:?}")]
    HeaderValue {
        /// The header.
        name: String,
        /// The start of its value.
        value: String,
    },
    /// This is no length.
    #[error("the answer has the bad Content-Length {0:?}")]
    Length(String),
    /// There are several lengths, be they equal.
    #[error("the answer has several Content-Length headers")]
    SeveralLengths,
    /// There are more than a few heads before the final one.
    #[error("the answer has more than {0} interim heads")]
    TooManyInterim(u8),
    /// A head came after the final one.
    #[error("the answer has a second head")]
    SecondHead,
    /// Body or end came before the head.
    #[error("{0} came before the answer's head")]
    BeforeHead(&'static str),
    /// The body goes on after its length.
    #[error("the answer's body is longer than its length, by {0} bytes and more")]
    BodyTooLong(u64),
    /// The body ends before its length.
    #[error("the answer's body is {0} bytes shorter than its length")]
    BodyTooShort(u64),
    /// The node asks for a body while it is owed one, or for no bytes.
    #[error("the node asks for {0} bytes of the request's body when it may not")]
    Wish(u16),
    /// Something came after the end, or after an error.
    #[error("something came after the answer")]
    AfterEnd,
}

// === impl AnswerHead ===

impl<'b> AnswerHead<'b> {
    /// Reads what follows the number of the packet.
    pub(super) fn parse(mut content: Reader<'b>, is_head: bool) -> Result<Self, BadAnswer> {
        const SHORT: BadAnswer = BadAnswer::Packet("SEND_HEADERS");
        let status = content.number().ok_or(SHORT)?;
        if !(100..=599).contains(&status) || status == 101 {
            return Err(BadAnswer::Status(status));
        }
        let message = message(content.string().ok_or(SHORT)?, status);
        let count = content.number().ok_or(SHORT)?;
        if count > MAX_HEADERS {
            return Err(BadAnswer::TooManyHeaders { count });
        }
        let fields = Fields { rest: content, count };
        let length = checked(fields)?;
        Ok(AnswerHead {
            status,
            message,
            length: length.filter(|&length| is_length_passed(status, length)),
            is_bodiless: is_head || status < 200 || matches!(status, 204 | 304),
            fields,
        })
    }

    /// The headers in their order, without Content-Length and those that end at this hop.
    pub fn headers(&self) -> Headers<'b> {
        let mut fields = self.fields;
        let has_connection = fields.any(|(name, _)| is_connection(name));
        Headers { all: self.fields, rest: self.fields, has_connection }
    }

    /// Whether another head follows.
    pub fn is_interim(&self) -> bool {
        self.status < 200
    }
}

/// Tomcat gives 204 and 304 a Content-Length of 0 over AJP. It does not belong to the first, and
/// is no news of the second: what is not modified has another length.
fn is_length_passed(status: u16, length: u64) -> bool {
    match status {
        100..=199 | 204 => false,
        304 => length != 0,
        _ => true,
    }
}

/// A phrase that says less than the status, or that can't stand in a status line, is none.
fn message(text: &[u8], status: u16) -> &str {
    let text = std::str::from_utf8(text).unwrap_or_default();
    let is_said = text.parse() != Ok(status);
    if is_said && text.bytes().all(is_of_value) { text } else { "" }
}

// === Headers ===

/// The headers as they stand in the packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Fields<'b> {
    rest: Reader<'b>,
    count: u16,
}

impl<'b> Fields<'b> {
    /// The next one as it came.
    fn read(&mut self) -> Option<(&'b [u8], &'b [u8])> {
        self.count = self.count.checked_sub(1)?;
        Some((self.rest.header_name()?, self.rest.string()?))
    }
}

impl<'b> Iterator for Fields<'b> {
    type Item = (&'b str, &'b [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        let (name, value) = self.read()?;
        Some((std::str::from_utf8(name).ok()?, value.trim_ascii()))
    }
}

impl<'b> Iterator for Headers<'b> {
    type Item = (&'b str, &'b [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        let (all, has_connection) = (self.all, self.has_connection);
        self.rest.find(|&(name, _)| {
            let ends_here = is_hop_by_hop(name)
                || is_content_length(name)
                || has_connection && is_nominated(all, name);
            !ends_here
        })
    }
}

/// Looks at all headers once, and returns the Content-Length.
fn checked(mut fields: Fields<'_>) -> Result<Option<u64>, BadAnswer> {
    let mut found = None;
    while fields.count > 0 {
        let (name, value) = fields.read().ok_or(BadAnswer::Packet("SEND_HEADERS"))?;
        let name = checked_name(name)?;
        if !value.iter().copied().all(is_of_value) {
            return Err(BadAnswer::HeaderValue { name: name.to_owned(), value: shown(value) });
        }
        if is_content_length(name) && found.replace(length(value.trim_ascii())?).is_some() {
            return Err(BadAnswer::SeveralLengths);
        }
    }
    match fields.rest.is_empty() {
        true => Ok(found),
        false => Err(BadAnswer::Packet("SEND_HEADERS")),
    }
}

fn is_content_length(name: &str) -> bool {
    name.eq_ignore_ascii_case("content-length")
}

/// A token of HTTP; so it is ASCII too.
fn checked_name(name: &[u8]) -> Result<&str, BadAnswer> {
    let is_token = !name.is_empty() && name.iter().copied().all(is_of_token);
    match std::str::from_utf8(name) {
        Ok(name) if is_token => Ok(name),
        _ => Err(BadAnswer::HeaderName(shown(name))),
    }
}

fn is_of_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

fn is_of_value(byte: u8) -> bool {
    byte == b'\t' || !byte.is_ascii_control()
}

/// Digits only: neither a sign nor a list.
fn length(value: &[u8]) -> Result<u64, BadAnswer> {
    let text =
        std::str::from_utf8(value).ok().filter(|text| text.bytes().all(|b| b.is_ascii_digit()));
    text.and_then(|text| text.parse().ok()).ok_or_else(|| BadAnswer::Length(shown(value)))
}

/// As much of a node's text as an error needs.
fn shown(text: &[u8]) -> String {
    String::from_utf8_lossy(&text[..text.len().min(40)]).into_owned()
}
