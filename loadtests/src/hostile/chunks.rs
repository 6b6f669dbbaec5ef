//! A strict reading of chunks.

use super::heads::{header, line, text};
use super::reading::{Fault, Remark};

/// Most hex digits of a chunk's size.
const MAX_DIGITS: usize = 16;

/// A chunked body as far as it came.
pub(super) struct Chunks {
    /// The payload.
    pub(super) data: Vec<u8>,
    /// How many bytes it took.
    pub(super) length: usize,
    /// Whether its end is there.
    pub(super) is_whole: bool,
    /// What is odd.
    pub(super) remarks: Vec<Remark>,
}

/// Reads chunks, their extensions and trailers.
pub(super) fn read(bytes: &[u8]) -> Result<Chunks, Fault> {
    let mut chunks = Chunks { data: Vec::new(), length: 0, is_whole: false, remarks: Vec::new() };
    loop {
        let Some((size, after)) = line(bytes, chunks.length)? else { return Ok(chunks) };
        let size = chunk_size(size, &mut chunks.remarks)?;
        if size == 0 {
            return trailers(bytes, after, chunks);
        }
        let Some(there) = bytes[after..].get(..size) else {
            chunks.data.extend(&bytes[after..]);
            return Ok(chunks);
        };
        chunks.data.extend(there);
        match &bytes[after + size..] {
            [b'\r', b'\n', ..] => chunks.length = after + size + 2,
            [] | [b'\r'] => return Ok(chunks),
            _ => return Err(Fault::BadChunk),
        }
    }
}

fn trailers(bytes: &[u8], mut at: usize, mut chunks: Chunks) -> Result<Chunks, Fault> {
    while let Some((line, next)) = line(bytes, at)? {
        at = next;
        if line.is_empty() {
            (chunks.length, chunks.is_whole) = (at, true);
            break;
        }
        header(line).map_err(|_| Fault::BadTrailer)?;
        chunks.remarks.push(Remark::Trailer);
    }
    Ok(chunks)
}

fn chunk_size(line: &[u8], remarks: &mut Vec<Remark>) -> Result<usize, Fault> {
    let (digits, extension) = match line.iter().position(|&b| b == b';') {
        Some(at) => (&line[..at], Some(&line[at + 1..])),
        None => (line, None),
    };
    if extension.is_some() {
        remarks.push(Remark::Extension);
    }
    let is_size =
        (1..=MAX_DIGITS).contains(&digits.len()) && digits.iter().all(u8::is_ascii_hexdigit);
    let size = is_size.then(|| usize::from_str_radix(&text(digits), 16).ok()).flatten();
    size.ok_or(Fault::BadChunk)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chunks_are_read_to_their_end() {
        let chunks = read(b"3;x=y\r\nabc\r\n0A\r\n0123456789\r\n0\r\nX: y\r\n\r\nrest").unwrap();
        assert_eq!(chunks.data, b"abc0123456789");
        assert_eq!((chunks.is_whole, chunks.length), (true, 39));
        assert_eq!(chunks.remarks, [Remark::Extension, Remark::Trailer]);
        assert!(!read(b"3\r\nab").unwrap().is_whole);
        assert!(!read(b"3\r\nabc\r\n0\r\n").unwrap().is_whole);
    }

    #[test]
    fn bad_chunks_are_faults() {
        for bad in ["\r\n", "+3\r\nabc\r\n", "3 \r\nabc\r\n", "3\r\nabcd\r\n", "0x3\r\n", "g\r\n"] {
            assert_eq!(read(bad.as_bytes()).err(), Some(Fault::BadChunk), "{bad:?}");
        }
        assert_eq!(read(b"3\nabc\r\n").err(), Some(Fault::BareLf));
        assert_eq!(read(b"0\r\nno colon\r\n\r\n").err(), Some(Fault::BadTrailer));
    }
}
