//! From a datagram to what it says. Whether that is true is another question: [`super::verify`].

use std::time::SystemTime;

use super::digest::from_hex;
use super::{Announcement, BadServer, MAX_DATAGRAM, Manager, Phase, Protocol};

/// A datagram that can be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Datagram<'d> {
    /// What it says.
    pub announcement: Announcement,
    /// What the new digest covers: every byte before its line.
    pub(super) signed: &'d [u8],
    /// The texts that the old digest covers: date, sequence, server.
    pub(super) covered: [&'d str; 3],
    pub(super) digest: Option<[u8; 16]>,
    pub(super) new_digest: Option<[u8; 32]>,
}

/// Why a datagram cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ParseError {
    /// It has more bytes than any balancer sends.
    #[error("the datagram has {0} bytes, the limit is {MAX_DATAGRAM}")]
    TooLong(usize),
    /// It is no text.
    #[error("the datagram is no text")]
    NoText,
    /// It does not begin as advertise does, or with a status that has no meaning here.
    #[error("the datagram begins with {0:?}, and not with HTTP/1.0 200, 403 or 410")]
    Status(String),
    /// A line that is no header.
    #[error("the line {0:?} is no header")]
    Line(String),
    /// A header that must be there is not.
    #[error("the header {0} is missing")]
    Missing(&'static str),
    /// A header that must stand once stands twice.
    #[error("the header {0} stands twice")]
    Twice(&'static str),
    /// A header's value is of the wrong kind.
    #[error("{0} has the bad value {1:?}")]
    Value(&'static str, String),
    /// The server's name is none.
    #[error(transparent)]
    Server(#[from] BadServer),
    /// Something follows the signature, which covers what is before it.
    #[error("something follows X-Digest-SHA256, which must be the last header")]
    AfterDigest,
}

/// The headers that have a meaning, as they are usually written.
const NAMES: [&str; 7] = [
    "Date",
    "Sequence",
    "Digest",
    "Server",
    "X-Manager-Address",
    "X-Manager-Protocol",
    "X-Digest-SHA256",
];

/// The values of [`NAMES`], in their order.
type Values<'d> = [Option<&'d str>; NAMES.len()];

/// Reads a datagram. Names know no case, unknown headers are ignored, and the blank line at the end
/// may be missing.
///
/// ```
/// use muster_protocol::advertise::{Phase, parse};
/// let bytes = b"HTTP/1.0 410 Gone\r\nDate: Sun, 29 Nov 2026 21:20:47 GMT\r\n\
///     Sequence: 7\r\nServer: b1\r\n";
/// assert_eq!(parse(bytes)?.announcement.phase, Phase::Gone);
/// # Ok::<(), muster_protocol::advertise::ParseError>(())
/// ```
pub fn parse(bytes: &[u8]) -> Result<Datagram<'_>, ParseError> {
    if bytes.len() > MAX_DATAGRAM {
        return Err(ParseError::TooLong(bytes.len()));
    }
    let text = std::str::from_utf8(bytes).map_err(|_| ParseError::NoText)?;
    let (first, rest) = text.split_once("\r\n").unwrap_or((text, ""));
    let phase = phase(first)?;
    let (values, signed) = headers(text, rest)?;
    let [date, sequence, digest, server, address, protocol, new_digest] = values;
    let date = date.ok_or(ParseError::Missing("Date"))?;
    let sequence = sequence.ok_or(ParseError::Missing("Sequence"))?;
    let server = server.ok_or(ParseError::Missing("Server"))?;
    let announcement = Announcement {
        phase,
        date: read_date(date)?,
        sequence: value("Sequence", sequence, |text| text.parse().ok())?,
        server: server.parse()?,
        manager: manager(phase, address, protocol)?,
    };
    Ok(Datagram {
        announcement,
        signed,
        covered: [date, sequence, server],
        digest: digest.map(|text| value("Digest", text, from_hex)).transpose()?,
        new_digest: new_digest.map(|text| value("X-Digest-SHA256", text, from_hex)).transpose()?,
    })
}

fn phase(line: &str) -> Result<Phase, ParseError> {
    let mut words = line.splitn(3, ' ');
    let is_http = words.next().is_some_and(|word| word.starts_with("HTTP/1."));
    let phase = words.next().and_then(Phase::from_code).filter(|_| is_http);
    phase.ok_or_else(|| ParseError::Status(line.to_owned()))
}

/// The values of the known headers, and the bytes before the new digest.
fn headers<'d>(text: &'d str, rest: &'d str) -> Result<(Values<'d>, &'d [u8]), ParseError> {
    let mut values = Values::default();
    let mut signed = text.as_bytes();
    let mut at = text.len() - rest.len();
    for line in rest.split_inclusive("\r\n") {
        let start = at;
        at += line.len();
        let line = line.strip_suffix("\r\n").unwrap_or(line);
        if line.is_empty() && at == text.len() {
            break;
        }
        if values[NAMES.len() - 1].is_some() {
            return Err(ParseError::AfterDigest);
        }
        let (name, found) = header(line)?;
        let Some(place) = NAMES.iter().position(|known| known.eq_ignore_ascii_case(name)) else {
            continue;
        };
        if values[place].replace(found).is_some() {
            return Err(ParseError::Twice(NAMES[place]));
        }
        if place == NAMES.len() - 1 {
            signed = &text.as_bytes()[..start];
        }
    }
    Ok((values, signed))
}

fn header(line: &str) -> Result<(&str, &str), ParseError> {
    let split = line.split_once(':').filter(|_| !line.contains(|c: char| c.is_control()));
    let (name, value) = split.ok_or_else(|| ParseError::Line(line.to_owned()))?;
    Ok((name, value.strip_prefix(' ').unwrap_or(value)))
}

fn manager(
    phase: Phase,
    address: Option<&str>,
    protocol: Option<&str>,
) -> Result<Option<Manager>, ParseError> {
    let Some(address) = address else {
        return match phase {
            Phase::Serving => Err(ParseError::Missing("X-Manager-Address")),
            Phase::Draining | Phase::Gone => Ok(None),
        };
    };
    let is_good = |address: &std::net::SocketAddr| address.port() != 0;
    let address = value("X-Manager-Address", address, |text| text.parse().ok().filter(is_good))?;
    let protocol = match protocol {
        None => Protocol::Http,
        Some(word) => value("X-Manager-Protocol", word, Protocol::from_word)?,
    };
    Ok(Some(Manager { address, protocol }))
}

/// The date of RFC 822 with four digits of the year, as httpd and Undertow write it.
fn read_date(text: &str) -> Result<SystemTime, ParseError> {
    value("Date", text, |text| httpdate::parse_http_date(text).ok())
}

fn value<T>(
    name: &'static str,
    text: &str,
    read: impl FnOnce(&str) -> Option<T>,
) -> Result<T, ParseError> {
    read(text).ok_or_else(|| ParseError::Value(name, text.to_owned()))
}
