//! Frames made by hand, for what no library sends (RFC 9113, 4; RFC 7541, 6.2.2).

use std::io;
use std::net::SocketAddr;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::time::timeout;

use crate::testkit::raw::PATIENCE;

/// Kinds of frames.
pub mod kind {
    /// A part of a body.
    pub const DATA: u8 = 0;
    /// A head, or its beginning.
    pub const HEADERS: u8 = 1;
    /// The end of a stream before its time.
    pub const RST_STREAM: u8 = 3;
    /// What a side asks of the other.
    pub const SETTINGS: u8 = 4;
    /// A question whether the other side is there.
    pub const PING: u8 = 6;
    /// The end of a connection.
    pub const GOAWAY: u8 = 7;
    /// More room for bodies.
    pub const WINDOW_UPDATE: u8 = 8;
    /// More of a head.
    pub const CONTINUATION: u8 = 9;
}

/// Flags of frames.
pub mod flag {
    /// The stream's last DATA or HEADERS; of SETTINGS and PING: it is the answer.
    pub const END_STREAM: u8 = 1;
    /// The head is whole.
    pub const END_HEADERS: u8 = 4;
}

/// A connection on which frames are sent by hand. Answers to settings and pings are not sent.
#[derive(Debug)]
pub struct Wire {
    read: OwnedReadHalf,
    write: OwnedWriteHalf,
}

/// A frame that came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frame {
    /// See [`kind`].
    pub kind: u8,
    /// See [`flag`].
    pub flags: u8,
    /// 0 for the connection itself.
    pub stream: u32,
    /// What it says.
    pub payload: Vec<u8>,
}

// === impl Frame ===

impl Frame {
    /// The status of an answer's head; `None` of anything else.
    pub fn status(&self) -> Option<u16> {
        /// Statuses that stand in the static table from 8 on (RFC 7541, A).
        const KNOWN: [u16; 7] = [200, 204, 206, 304, 400, 404, 500];
        match (self.kind, self.payload.as_slice()) {
            (kind::HEADERS, [known @ 0x88..=0x8E, ..]) => Some(KNOWN[usize::from(known - 0x88)]),
            // The field of that name with a text of its own.
            (kind::HEADERS, [0x48 | 0x08 | 0x18, length, text @ ..]) => {
                let text = text.get(..usize::from(length & 0x7F))?;
                match length & 0x80 {
                    0 => std::str::from_utf8(text).ok()?.parse().ok(),
                    _ => digits(text),
                }
            }
            _ => None,
        }
    }
}

/// Three digits in Huffman's code: those below 3 have five bits, the others six (RFC 7541, B).
fn digits(text: &[u8]) -> Option<u16> {
    let bits: Vec<u16> = text
        .iter()
        .flat_map(|byte| (0..8).rev().map(move |at| u16::from(byte >> at & 1)))
        .collect();
    let mut at = 0;
    let mut take = |count: usize| {
        let code = bits.get(at..at + count)?.iter().fold(0, |code, bit| code << 1 | bit);
        at += count;
        Some(code)
    };
    (0..3).try_fold(0, |number, _| match take(5)? {
        digit @ 0..=2 => Some(number * 10 + digit),
        start @ 12..=15 => Some(number * 10 + (start << 1 | take(1)?) - 22),
        _ => None,
    })
}

/// A frame.
pub fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let mut frame = (payload.len() as u32).to_be_bytes()[1..].to_vec();
    frame.extend([kind, flags]);
    frame.extend(stream.to_be_bytes());
    frame.extend_from_slice(payload);
    frame
}

/// Header fields as they stand in a head: plain, and not to be remembered.
pub fn fields(fields: &[(&str, &str)]) -> Vec<u8> {
    let mut block = Vec::new();
    for (name, value) in fields {
        block.push(0);
        text(name, &mut block);
        text(value, &mut block);
    }
    block
}

/// A text: its length in seven bits, or in those and the bytes that follow.
fn text(text: &str, block: &mut Vec<u8>) {
    const MOST: usize = 127;
    let length = text.len();
    if length < MOST {
        block.push(length as u8);
    } else {
        block.push(MOST as u8);
        let mut rest = length - MOST;
        while rest >= 128 {
            block.push((rest % 128) as u8 | 128);
            rest /= 128;
        }
        block.push(rest as u8);
    }
    block.extend_from_slice(text.as_bytes());
}

/// The head of a GET of `/` at localhost, with more fields.
pub fn get(more: &[(&str, &str)]) -> Vec<u8> {
    let own =
        [(":method", "GET"), (":scheme", "http"), (":path", "/"), (":authority", "localhost")];
    fields(&[&own[..], more].concat())
}

// === impl Wire ===

impl Wire {
    /// Connects without TLS, and says preface and settings.
    pub async fn connect(to: SocketAddr) -> io::Result<Wire> {
        let stream = TcpStream::connect(to).await?;
        stream.set_nodelay(true)?;
        let (read, mut write) = stream.into_split();
        write.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").await?;
        write.write_all(&frame(kind::SETTINGS, 0, 0, &[])).await?;
        Ok(Wire { read, write })
    }

    /// Sends these bytes; false when the other side takes no more.
    pub async fn send(&mut self, bytes: &[u8]) -> bool {
        matches!(timeout(PATIENCE, self.write.write_all(bytes)).await, Ok(Ok(())))
    }

    /// The next frame; `None` at the end of the connection.
    pub async fn next(&mut self) -> Option<Frame> {
        timeout(PATIENCE, read_frame(&mut self.read)).await.ok()?.ok()
    }

    /// The first frame for a stream that ends it or answers it: HEADERS or RST_STREAM; GOAWAY
    /// counts for all.
    pub async fn answer(&mut self, stream: u32) -> Option<Frame> {
        loop {
            let frame = self.next().await?;
            let is_answer = matches!(frame.kind, kind::HEADERS | kind::RST_STREAM);
            if frame.kind == kind::GOAWAY || (is_answer && frame.stream == stream) {
                return Some(frame);
            }
        }
    }

    /// Sends the same bytes again and again, changed by their number, until the other side has had
    /// enough: it says GOAWAY, or ends the connection. Gives how many times it took, and GOAWAY's
    /// reason; `None` when it never has enough.
    pub async fn flood(
        self,
        most: u32,
        bytes: impl Fn(u32) -> Vec<u8>,
    ) -> Option<(u32, Option<u32>)> {
        let Wire { mut read, mut write } = self;
        let reading = tokio::spawn(async move {
            let mut reason = None;
            while let Ok(frame) = read_frame(&mut read).await {
                if frame.kind == kind::GOAWAY {
                    let code = frame.payload.get(4..8).and_then(|code| code.try_into().ok());
                    reason = code.map(u32::from_be_bytes);
                }
            }
            reason
        });
        let mut sent = 0;
        while sent < most && !reading.is_finished() {
            // Each on its own, so that the other side has its turn.
            if !matches!(timeout(PATIENCE, write.write_all(&bytes(sent))).await, Ok(Ok(()))) {
                break;
            }
            sent += 1;
            tokio::task::yield_now().await;
        }
        let reason = timeout(PATIENCE, reading).await.ok()?.ok()?;
        (sent < most || reason.is_some()).then_some((sent, reason))
    }
}

async fn read_frame(read: &mut OwnedReadHalf) -> io::Result<Frame> {
    let mut head = [0; 9];
    read.read_exact(&mut head).await?;
    let length = u32::from_be_bytes([0, head[0], head[1], head[2]]);
    let mut payload = vec![0; length as usize];
    read.read_exact(&mut payload).await?;
    let stream = u32::from_be_bytes([head[5], head[6], head[7], head[8]]) & 0x7FFF_FFFF;
    Ok(Frame { kind: head[3], flags: head[4], stream, payload })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_is_read_however_it_is_written() {
        let head = |payload: &[u8]| {
            let payload = payload.to_vec();
            Frame { kind: kind::HEADERS, flags: 0, stream: 1, payload }.status()
        };
        assert_eq!(
            (head(&[0x88]), head(&[0x8C, 1, 2]), head(&[0x8F])),
            (Some(200), Some(400), None)
        );
        assert_eq!(head(&[0x08, 3, b'4', b'3', b'1']), Some(431));
        assert_eq!(head(&[0x48, 0x83, 0x68, 0x0D, 0xFF]), Some(405));
    }

    #[test]
    fn frames_and_fields_are_written_as_the_standards_say() {
        assert_eq!(frame(6, 1, 3, &[7, 8]), [0, 0, 2, 6, 1, 0, 0, 0, 3, 7, 8]);
        assert_eq!(fields(&[("a", "bc")]), [0, 1, b'a', 2, b'b', b'c']);
        let long = fields(&[("a", &"x".repeat(300))]);
        assert_eq!(long[..5], [0, 1, b'a', 127, 173]);
        assert_eq!((long[5], long.len()), (1, 6 + 300));
    }
}
