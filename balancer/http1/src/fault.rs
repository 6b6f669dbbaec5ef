//! What can be wrong with the form of a head, a request's or an answer's alike.
//!
//! The parser only says that something is wrong. Which of it is found here, on the cold way, by
//! reading the lines again from the front: the first thing wrong is told, so that a head gives
//! the same word however its bytes were split.

/// A head whose form has more than one reading, or none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Syntax {
    /// A line ends without a carriage return.
    #[error("a line of the head ends with a bare line feed")]
    BareLf,
    /// A carriage return without its line feed.
    #[error("the head has a carriage return without a line feed")]
    BareCr,
    /// A line begins with a blank: a folded value, or a trick.
    #[error("a line of the head begins with a blank")]
    ObsFold,
    /// A blank between name and colon.
    #[error("a blank stands before the colon of a header line")]
    BlankBeforeColon,
    /// A name that is empty, has other than token characters, or no colon.
    #[error("a header line has a bad name or no colon")]
    BadHeaderName,
    /// A control character in a value.
    #[error("a header value has a control character")]
    BadHeaderValue,
    /// The head begins with an empty line.
    #[error("an empty line stands before the head")]
    LeadingEmptyLine,
    /// Content-Length is not one line with one number of at most 18 digits.
    #[error("Content-Length is not one number of at most 18 digits")]
    ContentLength,
    /// Both ways to tell where the body ends.
    #[error("Content-Length and Transfer-Encoding are both given")]
    LengthAndTransferEncoding,
    /// Transfer-Encoding other than exactly `chunked`, twice, or in HTTP/1.0.
    #[error("Transfer-Encoding is not exactly chunked, once, in HTTP/1.1")]
    TransferEncoding,
    /// Connection names a header that frames or addresses the message, or more than eight.
    #[error("Connection names Content-Length, Transfer-Encoding or Host, or too many headers")]
    ConnectionNames,
}

// === impl Syntax ===

impl Syntax {
    /// One word for the log.
    pub fn word(self) -> &'static str {
        match self {
            Self::BareLf => "bare-lf",
            Self::BareCr => "bare-cr",
            Self::ObsFold => "obs-fold",
            Self::BlankBeforeColon => "blank-before-colon",
            Self::BadHeaderName => "bad-header-name",
            Self::BadHeaderValue => "bad-header-value",
            Self::LeadingEmptyLine => "leading-empty-line",
            Self::ContentLength => "content-length",
            Self::LengthAndTransferEncoding => "length-and-transfer-encoding",
            Self::TransferEncoding => "transfer-encoding",
            Self::ConnectionNames => "connection-names",
        }
    }
}

/// What is wrong with the header lines, which stand after the first line of `bytes`.
#[cold]
pub(crate) fn in_lines(bytes: &[u8]) -> Syntax {
    let mut rest = after_line(bytes);
    loop {
        if let Some(fault) = in_line(rest) {
            return fault;
        }
        let next = after_line(rest);
        if next.len() == rest.len() || next.is_empty() {
            return Syntax::BadHeaderName;
        }
        rest = next;
    }
}

/// What is wrong with the line that `bytes` begins with, up to its line feed.
fn in_line(bytes: &[u8]) -> Option<Syntax> {
    let name = bytes.iter().take_while(|byte| is_token(**byte)).count();
    match (name, bytes.get(name)) {
        (0, Some(b' ' | b'\t')) => return Some(Syntax::ObsFold),
        (0, Some(b'\r')) if bytes.get(1) != Some(&b'\n') => return Some(Syntax::BareCr),
        (0, Some(b'\n')) => return Some(Syntax::BareLf),
        (_, Some(b' ' | b'\t')) => return Some(Syntax::BlankBeforeColon),
        (1.., Some(b':')) => {}
        _ => return Some(Syntax::BadHeaderName),
    }
    in_value(&bytes[name + 1..])
}

/// What is wrong with a value and the end of its line.
pub(crate) fn in_value(bytes: &[u8]) -> Option<Syntax> {
    let end = bytes.iter().position(|byte| is_control(*byte))?;
    match (bytes[end], bytes.get(end + 1)) {
        (b'\n', _) => Some(Syntax::BareLf),
        (b'\r', Some(b'\n') | None) => None,
        (b'\r', Some(_)) => Some(Syntax::BareCr),
        _ => Some(Syntax::BadHeaderValue),
    }
}

fn after_line(bytes: &[u8]) -> &[u8] {
    match bytes.iter().position(|byte| *byte == b'\n') {
        Some(end) => &bytes[end + 1..],
        None => &[],
    }
}

/// A control character other than the tab.
pub(crate) fn is_control(byte: u8) -> bool {
    (byte < b' ' && byte != b'\t') || byte == 0x7F
}

/// A character of names and methods (RFC 9110, 5.6.2).
pub(crate) fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}
