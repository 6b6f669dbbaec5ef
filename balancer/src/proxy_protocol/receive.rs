//! Takes a header from a socket, and not one byte of the client's after it: TLS or HTTP begins
//! with a socket as fresh as one without a header.

use std::io::{Error, ErrorKind, Result};

use tokio::io::AsyncReadExt as _;
use tokio::net::TcpStream;

use super::{Header, read};

/// So much is looked at in one go; headers are rarely longer.
const GLANCE: usize = 256;

/// Takes the header that the connection must begin with. The caller bounds the time.
///
/// # Errors
/// `InvalidData` with a [`Bad`](super::Bad) for what is no header, `UnexpectedEof` for a
/// connection that ends within one. It is to be closed then, without an answer.
pub async fn receive(stream: &mut TcpStream) -> Result<Header> {
    let mut taken = Vec::new();
    loop {
        let mut seen = [0; GLANCE];
        let count = stream.peek(&mut seen).await?;
        if count == 0 {
            return Err(ErrorKind::UnexpectedEof.into());
        }
        let before = taken.len();
        taken.extend_from_slice(&seen[..count]);
        let header = read(&taken).map_err(|bad| Error::new(ErrorKind::InvalidData, bad))?;
        // All that belongs to the header is taken out of the socket: without an end of it, all.
        let own = header.map_or(count, |header| header.consumed - before);
        stream.read_exact(&mut seen[..own]).await?;
        if let Some(header) = header {
            return Ok(header);
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncWriteExt as _;
    use tokio::net::TcpListener;

    use super::*;

    async fn pair() -> (TcpStream, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (client, accepted) = tokio::join!(TcpStream::connect(address), listener.accept());
        (client.unwrap(), accepted.unwrap().0)
    }

    #[tokio::test]
    async fn what_follows_the_header_stays_in_the_socket() {
        let (mut client, mut stream) = pair().await;
        client.write_all(b"PROXY TCP4 192.0.2.7 198.51.100.1 1 2\r\nGET /").await.unwrap();
        let header = receive(&mut stream).await.unwrap();
        assert_eq!(header.source, Some("192.0.2.7:1".parse().unwrap()));
        let mut rest = [0; 5];
        stream.read_exact(&mut rest).await.unwrap();
        assert_eq!(&rest, b"GET /");
    }

    #[tokio::test]
    async fn a_header_may_come_in_pieces_and_be_long() {
        let (mut client, mut stream) = pair().await;
        let long = [b"\r\n\r\n\0\r\nQUIT\n\x20\x00\x07\xd0", &[0; 2000][..], b"x"].concat();
        let sends = async {
            for piece in long.chunks(700) {
                client.write_all(piece).await.unwrap();
                tokio::task::yield_now().await;
            }
        };
        let (header, ()) = tokio::join!(receive(&mut stream), sends);
        assert_eq!(header.unwrap().consumed, 2016);
        assert_eq!(stream.read_u8().await.unwrap(), b'x');
    }

    #[tokio::test]
    async fn who_sends_something_else_or_leaves_is_an_error() {
        let (mut client, mut stream) = pair().await;
        client.write_all(b"GET / HTTP/1.1\r\n").await.unwrap();
        assert_eq!(receive(&mut stream).await.unwrap_err().kind(), ErrorKind::InvalidData);
        let (mut client, mut stream) = pair().await;
        client.write_all(b"PROXY TCP4 192.0").await.unwrap();
        drop(client);
        assert_eq!(receive(&mut stream).await.unwrap_err().kind(), ErrorKind::UnexpectedEof);
    }
}
