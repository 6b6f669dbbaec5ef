//! A strict reading of heads: lines, header lines, and what they say of the body.

use super::reading::{Fault, Header, Named as _, Remark};

/// Longest head that is read, in bytes.
const MAX_HEAD: usize = 4 << 20;

/// A head: its first line, its header lines, and its length in bytes.
pub(super) struct Head {
    pub(super) first: Vec<u8>,
    pub(super) headers: Vec<Header>,
    pub(super) length: usize,
}

/// How a body ends.
pub(super) enum Framing {
    Length(usize),
    Chunked,
    None,
}

/// Reads a head from the start of the bytes; `None` where it is not whole.
pub(super) fn read(bytes: &[u8]) -> Result<Option<Head>, Fault> {
    let Some((first, mut at)) = line(bytes, 0)? else { return Ok(None) };
    let mut headers = Vec::new();
    loop {
        let Some((line, next)) = line(bytes, at)? else { return Ok(None) };
        at = next;
        if line.is_empty() {
            return Ok(Some(Head { first: first.to_vec(), headers, length: at }));
        }
        headers.push(header(line)?);
    }
}

/// The line that begins at `at`, without its end, and where the next one begins.
pub(super) fn line(bytes: &[u8], at: usize) -> Result<Option<(&[u8], usize)>, Fault> {
    let rest = &bytes[at..];
    let Some(end) = rest.iter().position(|&b| b == b'\n') else {
        return if bytes.len() > MAX_HEAD { Err(Fault::TooLong) } else { Ok(None) };
    };
    let line = rest[..end].strip_suffix(b"\r").ok_or(Fault::BareLf)?;
    if line.contains(&b'\r') {
        return Err(Fault::BareCr);
    }
    if line.contains(&0) {
        return Err(Fault::Nul);
    }
    Ok(Some((line, at + end + 1)))
}

/// A header line as a strict reader takes it.
pub(super) fn header(line: &[u8]) -> Result<Header, Fault> {
    if line.starts_with(b" ") || line.starts_with(b"\t") {
        return Err(Fault::Fold);
    }
    let colon = line.iter().position(|&b| b == b':').ok_or(Fault::NoColon)?;
    let (name, value) = (&line[..colon], trim(&line[colon + 1..]));
    if name.ends_with(b" ") || name.ends_with(b"\t") {
        return Err(Fault::BlankBeforeColon);
    }
    if !is_token(name) {
        return Err(Fault::BadName);
    }
    if value.iter().any(|b| is_control(*b)) {
        return Err(Fault::BadValue);
    }
    Ok(Header { name: text(name), value: value.to_vec() })
}

/// What the headers say of the body; `None` where they say nothing.
pub(super) fn framing(
    headers: &[Header],
    minor: u8,
    remarks: &mut Vec<Remark>,
) -> Result<Option<Framing>, Fault> {
    let lengths: Vec<&[u8]> = headers.all("content-length").collect();
    let codings = elements(headers, "transfer-encoding");
    let is_encoded = headers.all("transfer-encoding").next().is_some();
    match (&lengths[..], is_encoded) {
        ([], false) => Ok(None),
        ([_, ..], true) => Err(Fault::LengthAndEncoding),
        ([_, _, ..], false) => Err(Fault::SeveralLengths),
        ([length], false) => Ok(Some(Framing::Length(number(length)?))),
        ([], true) if minor == 0 => Err(Fault::EncodingOn10),
        ([], true) => match codings.last() {
            Some(last) if last.eq_ignore_ascii_case(b"chunked") => {
                let value = headers.only("transfer-encoding");
                if !value.is_some_and(|value| value.eq_ignore_ascii_case(b"chunked")) {
                    remarks.push(Remark::OddEncoding);
                }
                Ok(Some(Framing::Chunked))
            }
            _ => Err(Fault::BadEncoding),
        },
    }
}

fn number(value: &[u8]) -> Result<usize, Fault> {
    // More than 18 digits may be more than a reader's integer holds; zeros in front count little.
    let zeros = value.iter().take_while(|&&b| b == b'0').count();
    let is_number =
        !value.is_empty() && value.len() - zeros <= 18 && value.iter().all(u8::is_ascii_digit);
    let number = is_number.then(|| text(value).parse().ok()).flatten();
    number.ok_or(Fault::BadLength)
}

/// The elements of a list header over all its lines, empty ones left out.
pub(super) fn elements(headers: &[Header], name: &str) -> Vec<Vec<u8>> {
    let values = headers.iter().filter(|h| h.name.eq_ignore_ascii_case(name));
    let parts = values.flat_map(|h| h.value.split(|&b| b == b','));
    parts.map(|part| trim(part).to_vec()).filter(|part| !part.is_empty()).collect()
}

fn trim(mut bytes: &[u8]) -> &[u8] {
    while let [b' ' | b'\t', rest @ ..] | [rest @ .., b' ' | b'\t'] = bytes {
        bytes = rest;
    }
    bytes
}

pub(super) fn is_token(bytes: &[u8]) -> bool {
    let is_char = |b: &u8| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(b);
    !bytes.is_empty() && bytes.iter().all(is_char)
}

pub(super) fn is_control(byte: u8) -> bool {
    (byte < b' ' && byte != b'\t') || byte == 0x7f
}

pub(super) fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
