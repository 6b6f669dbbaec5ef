//! What a node is asked in each scheme, and what passes for an answer.
//!
//! Any HTTP answer will do, for it shows that the process serves. So will a connection that the
//! node ends in order without a word: small servers do that to `OPTIONS *`, and one that is dead
//! or frozen cannot. Over AJP only a CPong will do, over HTTP/2 only SETTINGS: every server begins
//! with them (RFC 9113, 3.4), and unlike a mere connect they come from the process, not from the
//! kernel of one that is frozen.

use std::io::{ErrorKind, Result};

use muster_protocol::ajp::{PING, PONG};
use muster_protocol::mcmp::Address;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};

/// What every HTTP answer begins with.
const ANSWER: &[u8] = b"HTTP/";

/// What a client of HTTP/2 begins with: the preface, and SETTINGS that change nothing.
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";

/// An end in order: GOAWAY without a stream and without an error.
const GOAWAY: &[u8] = b"\0\0\x08\x07\0\0\0\0\0\0\0\0\0\0\0\0\0";

/// The head of a frame of HTTP/2.
const FRAME_HEAD: usize = 9;

/// The type of SETTINGS.
const SETTINGS: u8 = 4;

pub(super) async fn http<S>(mut stream: S, address: &Address) -> Result<()>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let Address { host, port, .. } = address;
    let request = format!(
        "OPTIONS * HTTP/1.1\r\nHost: {host}:{port}\r\nUser-Agent: muster-probe\r\n\
         Content-Length: 0\r\nConnection: close\r\n\r\n"
    );
    stream.write_all(request.as_bytes()).await?;
    stream.flush().await?;
    let mut start = Vec::with_capacity(ANSWER.len());
    match stream.take(ANSWER.len() as u64).read_to_end(&mut start).await {
        // TLS without its own end, after a handshake that only a process that serves can make.
        Err(error) if error.kind() == ErrorKind::UnexpectedEof => {}
        read => drop(read?),
    }
    match start == ANSWER || start.is_empty() {
        true => Ok(()),
        false => Err(ErrorKind::InvalidData.into()),
    }
}

/// Every AJP connector knows CPing, so a connection that ends without a word is no answer here.
pub(super) async fn ajp<S>(mut stream: S) -> Result<()>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    stream.write_all(&PING).await?;
    let mut answer = [0; PONG.len()];
    stream.read_exact(&mut answer).await?;
    match answer == PONG {
        true => Ok(()),
        false => Err(ErrorKind::InvalidData.into()),
    }
}

pub(super) async fn h2<S>(mut stream: S) -> Result<()>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    stream.write_all(PREFACE).await?;
    stream.flush().await?;
    let mut head = [0; FRAME_HEAD];
    stream.read_exact(&mut head).await?;
    let [.., kind, flags, _, _, _, _] = head;
    if (kind, flags) != (SETTINGS, 0) {
        return Err(ErrorKind::InvalidData.into());
    }
    // A node that is there and hears no farewell is there all the same.
    let _ = stream.write_all(GOAWAY).await;
    let _ = stream.flush().await;
    Ok(())
}
