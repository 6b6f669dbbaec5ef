//! A raw client connection: writes bytes as they are, hears answers as a strict reader does.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::reading::{self, Answer, Fault, Reading};

/// Most bytes of one answer.
const MAX_ANSWER: usize = 64 << 20;

/// What a client heard.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Heard {
    /// An answer, interim or final, whole or cut by the end of the connection.
    Answer(Answer),
    /// The connection ended, and nothing had come.
    Ended,
    /// What came is no answer that can be read in one way.
    Broken(Fault),
    /// Nothing whole came in time.
    Late,
}

/// A connection to a proxy.
#[derive(Debug)]
pub struct Wire {
    stream: TcpStream,
    buffer: Vec<u8>,
    has_ended: bool,
}

// === impl Wire ===

impl Wire {
    /// Connects.
    pub async fn connect(to: SocketAddr) -> io::Result<Wire> {
        let stream = TcpStream::connect(to).await?;
        stream.set_nodelay(true)?;
        Ok(Wire { stream, buffer: Vec::new(), has_ended: false })
    }

    /// Writes all of it, or as much as the other side takes within the time. Why it failed shows
    /// when the answer is heard.
    pub async fn write(&mut self, bytes: &[u8], within: Duration) {
        // A proxy that refused early reads no more: what it said is what counts.
        let _ = timeout(within, self.exchange(bytes)).await;
    }

    /// Ends the sending side.
    pub async fn half_close(&mut self) {
        let _ = self.stream.shutdown().await;
    }

    /// Hears the next answer, interim or final.
    pub async fn hear(&mut self, is_head: bool, within: Duration) -> Heard {
        timeout(within, self.listen(is_head)).await.unwrap_or(Heard::Late)
    }

    /// Hears the next final answer, or the switch of protocols.
    pub async fn hear_final(&mut self, is_head: bool, within: Duration) -> Heard {
        let hearing = async {
            loop {
                match self.listen(is_head).await {
                    Heard::Answer(answer) if answer.is_interim() => continue,
                    heard => return heard,
                }
            }
        };
        timeout(within, hearing).await.unwrap_or(Heard::Late)
    }

    /// Bytes that come next, whatever they are; for a tunnel.
    pub async fn hear_bytes(&mut self, count: usize, within: Duration) -> Option<Vec<u8>> {
        let hearing = async {
            while self.buffer.len() < count && !self.has_ended {
                self.read().await;
            }
        };
        let _ = timeout(within, hearing).await;
        (self.buffer.len() >= count).then(|| self.buffer.drain(..count).collect())
    }

    /// Writes, and reads meanwhile: a proxy that answers early must not block on us.
    async fn exchange(&mut self, mut bytes: &[u8]) {
        let mut piece = vec![0; 16 << 10];
        while !bytes.is_empty() {
            let (mut read, mut write) = self.stream.split();
            tokio::select! {
                biased;
                count = read.read(&mut piece), if !self.has_ended => match count {
                    Ok(count) if count > 0 => self.buffer.extend(&piece[..count]),
                    _ => self.has_ended = true,
                },
                count = write.write(bytes) => match count {
                    Ok(count) => bytes = &bytes[count..],
                    Err(_) => return,
                },
            }
        }
    }

    async fn listen(&mut self, is_head: bool) -> Heard {
        loop {
            match reading::answer(&self.buffer, is_head, self.has_ended) {
                Reading::Whole { value, length } => {
                    self.buffer.drain(..length);
                    return Heard::Answer(value);
                }
                _ if self.buffer.is_empty() && self.has_ended => return Heard::Ended,
                Reading::Broken(fault) => return Heard::Broken(fault),
                Reading::More if self.buffer.len() > MAX_ANSWER => {
                    return Heard::Broken(Fault::TooLong);
                }
                Reading::More => self.read().await,
            }
        }
    }

    async fn read(&mut self) {
        self.buffer.reserve(64 << 10);
        // A reset is an end like any other.
        let count = self.stream.read_buf(&mut self.buffer).await.unwrap_or(0);
        self.has_ended |= count == 0;
    }
}
