//! A strict reading of HTTP/1 bytes, written apart from every engine: the suite's own opinion.
//!
//! It reads what reached a node and what reached a client. Where the bytes can be read in two
//! ways it says [`Reading::Broken`]; where the end of the message is certain but something is odd,
//! the message has a [`Remark`]. It copies freely and reads again from the start when more bytes
//! come: it is made to be right, not fast.

use super::chunks;
use super::heads::{self, Framing, elements, framing, is_control, is_token, text};

/// How far the bytes go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reading<T> {
    /// The message is not whole yet.
    More,
    /// A whole message.
    Whole {
        /// The message.
        value: T,
        /// How many bytes it took.
        length: usize,
    },
    /// Bytes that no two readers need to read alike.
    Broken(Fault),
}

/// Why a message cannot be read in one way only.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[allow(missing_docs, reason = "the texts say it")]
pub enum Fault {
    #[error("a line ends in a bare LF")]
    BareLf,
    #[error("a CR that ends no line")]
    BareCr,
    #[error("a NUL")]
    Nul,
    #[error("a folded line")]
    Fold,
    #[error("a header line without a colon")]
    NoColon,
    #[error("a blank before the colon")]
    BlankBeforeColon,
    #[error("a bad header name")]
    BadName,
    #[error("a control character in a header value")]
    BadValue,
    #[error("a bad first line")]
    FirstLine,
    #[error("several Content-Length fields")]
    SeveralLengths,
    #[error("a Content-Length that is no number")]
    BadLength,
    #[error("Content-Length and Transfer-Encoding")]
    LengthAndEncoding,
    #[error("a Transfer-Encoding that does not end in chunked")]
    BadEncoding,
    #[error("Transfer-Encoding in HTTP/1.0")]
    EncodingOn10,
    #[error("a bad chunk")]
    BadChunk,
    #[error("a bad trailer")]
    BadTrailer,
    #[error("a head without end")]
    TooLong,
    #[error("the connection ended within the head")]
    EarlyEnd,
}

/// What is odd in a message whose end is certain.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[allow(missing_docs, reason = "the texts say it")]
pub enum Remark {
    #[error("no Host")]
    NoHost,
    #[error("several Host fields")]
    SeveralHosts,
    #[error("a bad Host")]
    BadHost,
    #[error("an odd target")]
    OddTarget,
    #[error("an odd Transfer-Encoding")]
    OddEncoding,
    #[error("a chunk extension")]
    Extension,
    #[error("a trailer")]
    Trailer,
}

/// A header line, its value without the blanks around it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Header {
    /// The name as it came.
    pub name: String,
    /// The value.
    pub value: Vec<u8>,
}

/// A request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// The method.
    pub method: String,
    /// The target as it came.
    pub target: Vec<u8>,
    /// The digit after `HTTP/1.`.
    pub minor: u8,
    /// The header lines.
    pub headers: Vec<Header>,
    /// The payload.
    pub body: Vec<u8>,
    /// What is odd.
    pub remarks: Vec<Remark>,
}

/// An answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// The status.
    pub status: u16,
    /// The header lines.
    pub headers: Vec<Header>,
    /// The payload, as far as it came.
    pub body: Vec<u8>,
    /// Whether all of the body came. One that ends with the connection always has.
    pub is_whole: bool,
    /// Whether the body ended with the connection, so that nobody can see whether it is whole.
    pub until_close: bool,
}

/// Headers that can be looked up by name.
pub trait Named {
    /// All values of a header, in their order.
    fn all<'h>(&'h self, name: &'h str) -> impl Iterator<Item = &'h [u8]>;

    /// The value of a header that is there once.
    fn only(&self, name: &str) -> Option<&[u8]>;

    /// Whether a list header has this element.
    fn lists(&self, name: &str, element: &str) -> bool;
}

// === impl Named ===

impl Named for [Header] {
    fn all<'h>(&'h self, name: &'h str) -> impl Iterator<Item = &'h [u8]> {
        self.iter().filter(|h| h.name.eq_ignore_ascii_case(name)).map(|h| &h.value[..])
    }

    fn only(&self, name: &str) -> Option<&[u8]> {
        let mut values = self.iter().filter(|h| h.name.eq_ignore_ascii_case(name));
        let first = values.next()?;
        values.next().is_none().then_some(&first.value)
    }

    fn lists(&self, name: &str, element: &str) -> bool {
        elements(self, name).iter().any(|e| e.eq_ignore_ascii_case(element.as_bytes()))
    }
}

// === request ===

/// Reads one request from the start of the bytes.
pub fn request(bytes: &[u8]) -> Reading<Request> {
    let (head, mut request, framing) = match request_head(bytes) {
        Ok(Some(read)) => read,
        Ok(None) => return Reading::More,
        Err(fault) => return Reading::Broken(fault),
    };
    let rest = &bytes[head..];
    match framing {
        Framing::None => Reading::Whole { value: request, length: head },
        Framing::Length(length) if rest.len() < length => Reading::More,
        Framing::Length(length) => {
            request.body = rest[..length].to_vec();
            Reading::Whole { value: request, length: head + length }
        }
        Framing::Chunked => match chunks::read(rest) {
            Ok(chunks) if !chunks.is_whole => Reading::More,
            Ok(chunks) => {
                request.body = chunks.data;
                request.remarks.extend(chunks.remarks);
                Reading::Whole { value: request, length: head + chunks.length }
            }
            Err(fault) => Reading::Broken(fault),
        },
    }
}

/// The head of a request whose body may still be on its way; `None` where it is not whole or not
/// good.
pub fn started(bytes: &[u8]) -> Option<Request> {
    request_head(bytes).ok().flatten().map(|(_, request, _)| request)
}

fn request_head(bytes: &[u8]) -> Result<Option<(usize, Request, Framing)>, Fault> {
    let Some(head) = heads::read(bytes)? else { return Ok(None) };
    let words: Vec<&[u8]> = head.first.split(|&b| b == b' ').collect();
    let [method, target, version] = words[..] else { return Err(Fault::FirstLine) };
    let minor = match version {
        b"HTTP/1.1" => 1,
        b"HTTP/1.0" => 0,
        _ => return Err(Fault::FirstLine),
    };
    let is_plain = |b: &u8| *b > b' ' && *b != 0x7f;
    if !is_token(method) || target.is_empty() || !target.iter().all(is_plain) {
        return Err(Fault::FirstLine);
    }
    let mut remarks = Vec::new();
    let framing = framing(&head.headers, minor, &mut remarks)?.unwrap_or(Framing::None);
    if target.iter().any(|b| !b.is_ascii() || *b == b'#') {
        remarks.push(Remark::OddTarget);
    }
    remarks.extend(host_remark(&head.headers, minor));
    let request = Request {
        method: text(method),
        target: target.to_vec(),
        minor,
        headers: head.headers,
        body: Vec::new(),
        remarks,
    };
    Ok(Some((head.length, request, framing)))
}

fn host_remark(headers: &[Header], minor: u8) -> Option<Remark> {
    let hosts: Vec<&[u8]> = headers.all("host").collect();
    match hosts[..] {
        [] if minor == 0 => None,
        [] => Some(Remark::NoHost),
        [host] => (!is_host(host)).then_some(Remark::BadHost),
        _ => Some(Remark::SeveralHosts),
    }
}

fn is_host(host: &[u8]) -> bool {
    let is_good = |b: &u8| b.is_ascii_alphanumeric() || b"-._~!$&'()*+,;=:[]%".contains(b);
    !host.is_empty() && host.iter().all(is_good)
}

// === answer ===

/// Reads one answer, interim or final, from the start of the bytes. `ended` says that no more
/// will come: then what is there is the answer, whole or not.
pub fn answer(bytes: &[u8], is_head: bool, ended: bool) -> Reading<Answer> {
    let (head, mut answer, framing) = match answer_head(bytes, is_head) {
        Ok(Some(read)) => read,
        Ok(None) if ended => return Reading::Broken(Fault::EarlyEnd),
        Ok(None) => return Reading::More,
        Err(fault) => return Reading::Broken(fault),
    };
    let rest = &bytes[head..];
    let (body, length, is_whole) = match framing {
        Some(Framing::None) => (Vec::new(), 0, true),
        Some(Framing::Length(length)) => {
            let there = rest.len().min(length);
            (rest[..there].to_vec(), there, there == length)
        }
        Some(Framing::Chunked) => match chunks::read(rest) {
            Ok(chunks) => (chunks.data, chunks.length, chunks.is_whole),
            Err(fault) => return Reading::Broken(fault),
        },
        None => (rest.to_vec(), rest.len(), ended),
    };
    if !is_whole && !ended {
        return Reading::More;
    }
    (answer.body, answer.is_whole, answer.until_close) = (body, is_whole, framing.is_none());
    Reading::Whole { value: answer, length: head + length }
}

/// The framing is `None` where the body ends with the connection.
fn answer_head(
    bytes: &[u8],
    is_head: bool,
) -> Result<Option<(usize, Answer, Option<Framing>)>, Fault> {
    let Some(head) = heads::read(bytes)? else { return Ok(None) };
    let (minor, status) = status_line(&head.first).ok_or(Fault::FirstLine)?;
    let mut remarks = Vec::new();
    let framing = framing(&head.headers, minor, &mut remarks)?;
    if !remarks.is_empty() {
        return Err(Fault::BadEncoding);
    }
    let is_bare = is_head || status < 200 || status == 204 || status == 304;
    let framing = if is_bare { Some(Framing::None) } else { framing };
    let (headers, body) = (head.headers, Vec::new());
    let answer = Answer { status, headers, body, is_whole: true, until_close: false };
    Ok(Some((head.length, answer, framing)))
}

fn status_line(line: &[u8]) -> Option<(u8, u16)> {
    let (minor, rest) = match line.split_at_checked(9)? {
        (b"HTTP/1.1 ", rest) => (1, rest),
        (b"HTTP/1.0 ", rest) => (0, rest),
        _ => return None,
    };
    let (digits, reason) = rest.split_at_checked(3)?;
    let is_good = digits.iter().all(u8::is_ascii_digit)
        && (reason.is_empty() || reason[0] == b' ')
        && !reason.iter().any(|b| is_control(*b));
    let status = text(digits).parse().ok().filter(|status| (100..=599).contains(status))?;
    is_good.then_some((minor, status))
}

impl Answer {
    /// Whether it announces a further answer to the same request.
    pub fn is_interim(&self) -> bool {
        self.status < 200 && self.status != 101
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn get(lines: &str) -> Reading<Request> {
        request(format!("GET / HTTP/1.1\r\nHost: x\r\n{lines}\r\nabc").as_bytes())
    }

    #[test]
    fn a_body_is_as_long_as_its_head_says() {
        let Reading::Whole { value, length } = get("Content-Length: 2\r\n") else { panic!() };
        assert_eq!((&value.body[..], value.remarks, length), (&b"ab"[..], vec![], 48));
        assert_eq!(get("Content-Length: 4\r\n"), Reading::More);
    }

    #[test]
    fn what_two_readers_may_read_in_two_ways_is_broken() {
        for (lines, fault) in [
            ("Content-Length: 3\r\nContent-Length: 3\r\n", Fault::SeveralLengths),
            ("Content-Length: 3, 3\r\n", Fault::BadLength),
            ("Content-Length: 3\r\nTransfer-Encoding: chunked\r\n", Fault::LengthAndEncoding),
            ("Transfer-Encoding: chunked, gzip\r\n", Fault::BadEncoding),
            ("Content-Length : 3\r\n", Fault::BlankBeforeColon),
            ("X: y\n", Fault::BareLf),
            ("X: a\rb\r\n", Fault::BareCr),
            (" X: a\r\n", Fault::Fold),
        ] {
            assert_eq!(get(lines), Reading::Broken(fault), "{lines:?}");
        }
    }

    #[test]
    fn what_is_odd_but_certain_gets_a_remark() {
        let raw = b"GET / HTTP/1.1\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n";
        let Reading::Whole { value, .. } = request(raw) else { panic!() };
        assert_eq!(value.remarks, [Remark::OddEncoding, Remark::NoHost]);
    }

    #[test]
    fn an_answer_shows_whether_it_was_cut() {
        let raw = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nabc";
        assert_eq!(answer(raw, false, false), Reading::More);
        let Reading::Whole { value, .. } = answer(raw, false, true) else { panic!() };
        assert_eq!((&value.body[..], value.is_whole), (&b"abc"[..], false));
        let Reading::Whole { value, length } = answer(raw, true, false) else { panic!() };
        assert_eq!((value.is_whole, length), (true, raw.len() - 3));
        let early = answer(&raw[..20], false, true);
        assert_eq!(early, Reading::Broken(Fault::EarlyEnd));
    }
}
