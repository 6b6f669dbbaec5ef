//! Asks the manager of a running balancer, by one small request on a connection of its own.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

/// For connect, and for each silence.
const PATIENCE: Duration = Duration::from_secs(5);

/// Most bytes of an answer: the state of 10,000 nodes fits.
const MOST: u64 = 64 * 1024 * 1024;

/// What was answered.
#[derive(Debug, Clone)]
pub(crate) struct Asked {
    pub(crate) status: u16,
    pub(crate) body: String,
}

/// GET of a path.
///
/// # Errors
/// Why there is no answer.
pub(crate) fn ask(manager: SocketAddr, path: &str) -> std::io::Result<Asked> {
    let mut stream = TcpStream::connect_timeout(&manager, PATIENCE)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    // HTTP/1.0 ends its answer by closing the connection, and sends no chunks.
    let head = format!("GET {path} HTTP/1.0\r\nHost: {manager}\r\nAccept: */*\r\n\r\n");
    stream.write_all(head.as_bytes())?;
    let mut bytes = Vec::new();
    stream.take(MOST).read_to_end(&mut bytes)?;
    read(&String::from_utf8_lossy(&bytes))
        .ok_or_else(|| std::io::Error::other("the answer is no HTTP"))
}

fn read(text: &str) -> Option<Asked> {
    let (head, body) = text.split_once("\r\n\r\n")?;
    let status = head.strip_prefix("HTTP/1.")?.split(' ').nth(1)?.parse().ok()?;
    Some(Asked { status, body: body.to_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_a_status_and_a_body() {
        let asked = read("HTTP/1.0 503 Service Unavailable\r\na: b\r\n\r\ndraining\n").unwrap();
        assert_eq!((asked.status, asked.body.as_str()), (503, "draining\n"));
        assert!(read("SSH-2.0-x\r\n\r\n").is_none() && read("HTTP/1.1 200").is_none());
    }
}
