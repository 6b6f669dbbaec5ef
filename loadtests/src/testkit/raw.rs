//! Connections whose every byte a story decides: raw clients, and nodes that answer by hand.

use std::io::{self, ErrorKind};
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use tokio::io::{
    AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, ReadHalf, WriteHalf,
};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::task::AbortHandle;
use tokio::time::timeout;

use super::mcmp;

/// How long a raw connection waits for anything.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// Most bytes of a head.
const MAX_HEAD: usize = 1 << 20;

/// Most connections of a node that nobody has looked at.
const MAX_ARRIVED: usize = 1024;

/// What is read in one go.
const PIECE: usize = 64 << 10;

/// A connection, and what was read from it and not yet asked for. Every wait is bounded by
/// [`PATIENCE`].
#[derive(Debug)]
pub struct Raw<S> {
    stream: S,
    read: Vec<u8>,
}

/// A node that answers nothing by itself but probes.
#[derive(Debug)]
pub struct RawNode {
    /// Where it listens.
    pub address: SocketAddr,
    route: String,
    arrived: mpsc::Receiver<Arrived>,
    server: AbortHandle,
}

/// A connection to a node, with the head of its first request.
#[derive(Debug)]
pub struct Arrived {
    /// The head, with the empty line that ends it.
    pub head: String,
    /// The connection; what follows the head is still to be read.
    pub raw: Raw<TcpStream>,
}

// === impl Raw ===

impl Raw<TcpStream> {
    /// Connects.
    pub async fn connect(to: SocketAddr) -> io::Result<Raw<TcpStream>> {
        let stream = TcpStream::connect(to).await?;
        stream.set_nodelay(true)?;
        Ok(Raw::new(stream))
    }
}

impl<S> Raw<S> {
    /// Over this stream.
    pub fn new(stream: S) -> Raw<S> {
        Raw { stream, read: Vec::new() }
    }

    /// The stream below.
    pub fn stream(&self) -> &S {
        &self.stream
    }

    /// The stream below; what was read and not asked for is lost.
    pub fn into_stream(self) -> S {
        self.stream
    }
}

impl<S: AsyncRead + AsyncWrite> Raw<S> {
    /// Both ways apart, to be used at once.
    pub fn split(self) -> (Raw<ReadHalf<S>>, Raw<WriteHalf<S>>) {
        let (read, write) = tokio::io::split(self.stream);
        (Raw { stream: read, read: self.read }, Raw::new(write))
    }
}

impl<S: AsyncWrite + Unpin> Raw<S> {
    /// Sends all of it.
    pub async fn send(&mut self, bytes: impl AsRef<[u8]>) -> io::Result<()> {
        let sending = async {
            self.stream.write_all(bytes.as_ref()).await?;
            self.stream.flush().await
        };
        within(sending).await
    }

    /// Ends the sending side.
    pub async fn end(&mut self) -> io::Result<()> {
        within(self.stream.shutdown()).await
    }
}

impl<S: AsyncRead + Unpin> Raw<S> {
    /// A head, with the empty line that ends it.
    pub async fn head(&mut self) -> io::Result<String> {
        let end = self.until(b"\r\n\r\n").await?;
        Ok(String::from_utf8_lossy(&self.take(end)).into_owned())
    }

    /// A head and a body that says how long it is, or none; chunks are put together.
    pub async fn message(&mut self) -> io::Result<(String, Vec<u8>)> {
        let head = self.head().await?;
        let body = match (field(&head, "transfer-encoding"), field(&head, "content-length")) {
            (Some("chunked"), None) => self.chunks().await?,
            (None, Some(length)) => {
                let length = length.parse().map_err(|_| bad("a bad Content-Length"))?;
                self.exactly(length).await?
            }
            (None, None) => Vec::new(),
            _ => return Err(bad("the length is told in more than one way")),
        };
        Ok((head, body))
    }

    /// So many bytes.
    pub async fn exactly(&mut self, length: usize) -> io::Result<Vec<u8>> {
        while self.read.len() < length {
            if !self.more().await? {
                return Err(ErrorKind::UnexpectedEof.into());
            }
        }
        Ok(self.take(length))
    }

    /// One chunk's data; empty for the last.
    pub async fn chunk(&mut self) -> io::Result<Vec<u8>> {
        let end = self.until(b"\r\n").await?;
        let line = self.take(end);
        let size = std::str::from_utf8(&line).map_err(|_| bad("a chunk's size is no text"))?;
        let size =
            usize::from_str_radix(size.trim_end(), 16).map_err(|_| bad("no chunk's size"))?;
        let mut data = self.exactly(size + 2).await?;
        if data.split_off(size) != b"\r\n" {
            return Err(bad("a chunk does not end where it should"));
        }
        Ok(data)
    }

    /// All until the other side ends, however it does.
    pub async fn rest(&mut self) -> Vec<u8> {
        while matches!(self.more().await, Ok(true)) {}
        std::mem::take(&mut self.read)
    }

    /// Whether the other side has ended in order, with nothing left to read.
    pub async fn has_ended(&mut self) -> io::Result<bool> {
        Ok(self.read.is_empty() && !self.more().await?)
    }

    async fn chunks(&mut self) -> io::Result<Vec<u8>> {
        let mut body = Vec::new();
        loop {
            match self.chunk().await? {
                data if data.is_empty() => return Ok(body),
                data => body.extend_from_slice(&data),
            }
        }
    }

    /// Reads until this has come; where it ends.
    async fn until(&mut self, mark: &[u8]) -> io::Result<usize> {
        let mut from = 0;
        loop {
            let found = self.read[from..].windows(mark.len()).position(|part| part == mark);
            if let Some(at) = found {
                return Ok(from + at + mark.len());
            }
            from = self.read.len().saturating_sub(mark.len() - 1);
            if self.read.len() > MAX_HEAD {
                return Err(bad("a head without end"));
            }
            if !self.more().await? {
                return Err(ErrorKind::UnexpectedEof.into());
            }
        }
    }

    fn take(&mut self, count: usize) -> Vec<u8> {
        let rest = self.read.split_off(count);
        std::mem::replace(&mut self.read, rest)
    }

    /// False at the end.
    async fn more(&mut self) -> io::Result<bool> {
        let from = self.read.len();
        self.read.resize(from + PIECE, 0);
        let read = within(self.stream.read(&mut self.read[from..])).await;
        self.read.truncate(from + *read.as_ref().unwrap_or(&0));
        Ok(read? > 0)
    }
}

/// A header's value, of a name in lower case.
pub fn field<'h>(head: &'h str, name: &str) -> Option<&'h str> {
    let lines = head.lines().filter_map(|line| line.split_once(':'));
    lines.filter(|(own, _)| own.eq_ignore_ascii_case(name)).map(|(_, value)| value.trim()).next()
}

async fn within<T>(work: impl Future<Output = io::Result<T>>) -> io::Result<T> {
    timeout(PATIENCE, work).await.unwrap_or_else(|_| Err(ErrorKind::TimedOut.into()))
}

fn bad(what: &'static str) -> io::Error {
    io::Error::new(ErrorKind::InvalidData, what)
}

// === impl RawNode ===

impl RawNode {
    /// A node with these contexts, which has registered and says STATUS once.
    pub async fn register(
        route: &str,
        balancer: SocketAddr,
        contexts: &[&str],
    ) -> anyhow::Result<RawNode> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let address = listener.local_addr()?;
        let (sender, arrived) = mpsc::channel(MAX_ARRIVED);
        let server = tokio::spawn(serve(listener, sender)).abort_handle();
        let node = RawNode { address, route: route.to_owned(), arrived, server };
        let port = address.port();
        let form = format!("JVMRoute={route}&Host=127.0.0.1&Port={port}&Type=http");
        mcmp::accepted(balancer, "CONFIG", "/", &form).await?;
        for context in contexts {
            node.tell(balancer, "ENABLE-APP", context).await?;
        }
        let form = format!("JVMRoute={route}&Load=100");
        mcmp::accepted(balancer, "STATUS", "/", &form).await?;
        Ok(node)
    }

    /// Says a command about one of its contexts.
    pub async fn tell(
        &self,
        balancer: SocketAddr,
        command: &str,
        context: &str,
    ) -> Result<String, mcmp::Refused> {
        let context = context.replace('/', "%2F");
        let form = format!("JVMRoute={}&Alias=localhost&Context={context}", self.route);
        mcmp::accepted(balancer, command, "/", &form).await
    }

    /// The next connection that has asked for something.
    pub async fn next(&mut self) -> io::Result<Arrived> {
        let next = async { self.arrived.recv().await.ok_or(ErrorKind::BrokenPipe.into()) };
        within(next).await
    }

    /// Whether a connection has come that nobody has looked at.
    pub fn has_next(&self) -> bool {
        !self.arrived.is_empty()
    }
}

impl Drop for RawNode {
    fn drop(&mut self) {
        self.server.abort();
    }
}

async fn serve(listener: TcpListener, arrived: mpsc::Sender<Arrived>) {
    loop {
        let Ok((stream, _)) = listener.accept().await else { continue };
        let _ = stream.set_nodelay(true);
        let arrived = arrived.clone();
        tokio::spawn(async move {
            let mut raw = Raw::new(stream);
            let Ok(head) = raw.head().await else { return };
            if head.starts_with("OPTIONS * ") {
                let _ = raw.send("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").await;
                return;
            }
            // Nobody looks any more when the node is gone.
            let _ = arrived.try_send(Arrived { head, raw });
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn messages_are_read_one_after_the_other_however_they_are_cut() {
        let (near, far) = tokio::io::duplex(7);
        let sent = "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabcHTTP/1.1 200 OK\r\n\
                    Transfer-Encoding: chunked\r\n\r\n2\r\nde\r\n1\r\nf\r\n0\r\n\r\nrest";
        let mut far = Raw::new(far);
        let sending = async {
            far.send(sent).await.unwrap();
            far.end().await.unwrap();
        };
        let reading = async {
            let mut near = Raw::new(near);
            assert_eq!(near.message().await.unwrap().1, b"abc");
            assert_eq!(near.message().await.unwrap().1, b"def");
            assert_eq!(near.rest().await, b"rest");
            assert!(near.has_ended().await.unwrap());
        };
        tokio::join!(sending, reading);
    }

    #[test]
    fn a_field_is_found_by_its_name_in_any_case() {
        let head = "GET / HTTP/1.1\r\nX-Forwarded-For: 192.0.2.7\r\n\r\n";
        assert_eq!(field(head, "x-forwarded-for"), Some("192.0.2.7"));
        assert_eq!(field(head, "host"), None);
    }
}
