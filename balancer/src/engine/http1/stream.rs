//! A connection as the engine sees it: plain, or with TLS of either side.

use std::io;
use std::os::fd::{AsRawFd as _, RawFd};
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, DuplexStream, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::{client, server};

use super::buffer::{Buffers, Held};
use crate::tls::TlsFacts;

/// Bytes both ways.
#[derive(Debug)]
pub(crate) enum Stream {
    Plain(TcpStream),
    /// A client's connection. Boxed: most connections are idle, and this is large.
    Tls(Box<server::TlsStream<TcpStream>>),
    /// A node's.
    NodeTls(Box<client::TlsStream<TcpStream>>),
    /// A pipe to the other engine, which serves the client.
    Bridge(Box<Bridged>),
}

/// A client that the other engine serves.
#[derive(Debug)]
pub(crate) struct Bridged {
    pub(super) pipe: DuplexStream,
    /// What is known of the real client's TLS.
    pub(super) tls: Option<Arc<TlsFacts>>,
}

impl Stream {
    /// Reads what there is into the buffer, and takes one from the store where there is none. It
    /// goes back if nothing came.
    pub(super) fn poll_fill(
        &mut self,
        cx: &mut Context<'_>,
        held: &mut Held,
        store: &Rc<Buffers>,
        size: usize,
    ) -> Poll<io::Result<usize>> {
        held.fill(store, size, |room| {
            let mut room = ReadBuf::new(room);
            let read = self.poll_read(cx, &mut room);
            let count = room.filled().len();
            (count, read.map_ok(|()| count))
        })
    }

    fn poll_read(&mut self, cx: &mut Context<'_>, room: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match self {
            Stream::Plain(stream) => Pin::new(stream).poll_read(cx, room),
            Stream::Tls(stream) => Pin::new(&mut **stream).poll_read(cx, room),
            Stream::NodeTls(stream) => Pin::new(&mut **stream).poll_read(cx, room),
            Stream::Bridge(bridged) => Pin::new(&mut bridged.pipe).poll_read(cx, room),
        }
    }

    pub(super) fn poll_write(
        &mut self,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = match self {
            Stream::Plain(stream) => Pin::new(stream).poll_write(cx, bytes),
            Stream::Tls(stream) => Pin::new(&mut **stream).poll_write(cx, bytes),
            Stream::NodeTls(stream) => Pin::new(&mut **stream).poll_write(cx, bytes),
            Stream::Bridge(bridged) => Pin::new(&mut bridged.pipe).poll_write(cx, bytes),
        };
        match ready!(written) {
            Ok(0) if !bytes.is_empty() => Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
            written => Poll::Ready(written),
        }
    }

    /// TLS may hold records back that the socket did not take.
    pub(super) fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self {
            Stream::Plain(_) | Stream::Bridge(_) => Poll::Ready(Ok(())),
            Stream::Tls(stream) => Pin::new(&mut **stream).poll_flush(cx),
            Stream::NodeTls(stream) => Pin::new(&mut **stream).poll_flush(cx),
        }
    }

    /// Ends the writing side.
    pub(super) fn poll_shutdown(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self {
            Stream::Plain(stream) => Pin::new(stream).poll_shutdown(cx),
            Stream::Tls(stream) => Pin::new(&mut **stream).poll_shutdown(cx),
            Stream::NodeTls(stream) => Pin::new(&mut **stream).poll_shutdown(cx),
            Stream::Bridge(bridged) => Pin::new(&mut bridged.pipe).poll_shutdown(cx),
        }
    }

    /// Lets the end of the connection be a reset, so that nobody takes it for an end in order.
    pub(super) fn reset(&self) {
        if let Some(socket) = self.socket() {
            // Where it fails the connection is as good as reset.
            let _ = socket.set_zero_linger();
        }
    }

    /// Whether a connection that waits in the pool can still be used: nothing came, not even its
    /// end. It costs no system call unless the poller has reported something.
    pub(super) fn is_quiet(&self) -> bool {
        // TLS may have read ahead: bytes that it still holds would pass for the next answer.
        if let Stream::NodeTls(stream) = self
            && !stream.get_ref().1.wants_read()
        {
            return false;
        }
        let read = self.socket().map(|socket| socket.try_read(&mut [0; 1]));
        matches!(read, Some(Err(error)) if error.kind() == io::ErrorKind::WouldBlock)
    }

    pub(crate) fn is_tls(&self) -> bool {
        match self {
            Stream::Plain(_) | Stream::Bridge(_) => false,
            Stream::Tls(_) | Stream::NodeTls(_) => true,
        }
    }

    /// The number of the socket below; -1 where there is none.
    pub(crate) fn raw_fd(&self) -> RawFd {
        self.socket().map_or(-1, |socket| socket.as_raw_fd())
    }

    fn socket(&self) -> Option<&TcpStream> {
        match self {
            Stream::Plain(stream) => Some(stream),
            Stream::Tls(stream) => Some(stream.get_ref().0),
            Stream::NodeTls(stream) => Some(stream.get_ref().0),
            Stream::Bridge(_) => None,
        }
    }

    /// What a node may be told of a client's TLS.
    pub(crate) fn tls_facts(&self) -> Option<TlsFacts> {
        match self {
            Stream::Tls(stream) => TlsFacts::of(stream.get_ref().1),
            Stream::Bridge(bridged) => bridged.tls.as_deref().cloned(),
            Stream::Plain(_) | Stream::NodeTls(_) => None,
        }
    }

    /// Whether the client chose HTTP/2 in its handshake.
    pub(crate) fn is_h2(&self) -> bool {
        match self {
            Stream::Tls(stream) => stream.get_ref().1.alpn_protocol() == Some(b"h2"),
            Stream::Plain(_) | Stream::NodeTls(_) | Stream::Bridge(_) => false,
        }
    }
}

// For the engine that it may be handed over to.
impl AsyncRead for Stream {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        room: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Stream::poll_read(self.get_mut(), cx, room)
    }
}

impl AsyncWrite for Stream {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Stream::poll_write(self.get_mut(), cx, bytes)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Stream::poll_flush(self.get_mut(), cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Stream::poll_shutdown(self.get_mut(), cx)
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;
    use std::sync::Arc;

    use rustls::crypto::ring;
    use rustls::{ClientConfig, RootCertStore, ServerConfig};
    use tokio::io::AsyncWriteExt as _;
    use tokio::net::TcpListener;
    use tokio_rustls::{TlsAcceptor, TlsConnector};

    use super::*;

    /// A node's connection, and the node's end of it.
    async fn node() -> (Stream, server::TlsStream<TcpStream>) {
        let own = rcgen::generate_simple_self_signed(["node.test".to_owned()]).unwrap();
        let mut roots = RootCertStore::empty();
        roots.add(own.cert.der().clone()).unwrap();
        let key = own.signing_key.serialize_der().try_into().unwrap();
        let provider = || Arc::new(ring::default_provider());
        let server = ServerConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![own.cert.der().clone()], key)
            .unwrap();
        let client = ClientConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let stream = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let (accepted, _) = listener.accept().await.unwrap();
        let connector = TlsConnector::from(Arc::new(client));
        let (client, server) = tokio::join!(
            connector.connect("node.test".try_into().unwrap(), stream),
            TlsAcceptor::from(Arc::new(server)).accept(accepted),
        );
        (Stream::NodeTls(Box::new(client.unwrap())), server.unwrap())
    }

    async fn read_one(stream: &mut Stream) -> u8 {
        let mut byte = [0];
        poll_fn(|cx| stream.poll_read(cx, &mut ReadBuf::new(&mut byte))).await.unwrap();
        byte[0]
    }

    #[tokio::test]
    async fn a_connection_on_which_tls_has_read_ahead_is_not_quiet() {
        let (mut stream, mut node) = node().await;
        node.write_all(b"ab").await.unwrap();
        node.flush().await.unwrap();
        assert_eq!(read_one(&mut stream).await, b'a');
        assert!(!stream.is_quiet());
        assert_eq!(read_one(&mut stream).await, b'b');
        assert!(stream.is_quiet());
        node.shutdown().await.unwrap();
        assert_eq!(read_one(&mut stream).await, 0);
        assert!(!stream.is_quiet());
    }
}
